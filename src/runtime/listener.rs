//! Sockets: the well-known port of a shard, accepted sockets, and sockets that dial.
//!
//! The port is bound without SO_REUSEPORT: a second server on the same port must fail and not take half of the
//! connections. SO_REUSEADDR only lets a port be bound again while old connections linger.

use super::error::RuntimeError;
use margay_wire::vanishing::{KEEPALIVE_IDLE, KEEPALIVE_INTERVAL, UNACKNOWLEDGED_MAX};
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

/// Connections that the kernel completes before the core accepts them.
const BACKLOG: i32 = 1024;

/// Binds `address` and listens; port 0 lets the kernel choose.
///
/// # Errors
/// `PortInUse` when any process listens there, or on the wildcard address with this port; `Listen` otherwise.
pub(super) fn bind(address: SocketAddr) -> Result<OwnedFd, RuntimeError> {
    try_bind(address).map_err(|error| {
        if error.kind() == io::ErrorKind::AddrInUse {
            RuntimeError::PortInUse { address }
        } else {
            RuntimeError::Listen {
                address,
                source: error,
            }
        }
    })
}

fn try_bind(address: SocketAddr) -> io::Result<OwnedFd> {
    let socket = new_socket(address)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    rustix::net::bind(&socket, &address)?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(socket)
}

/// Where a socket is bound.
pub(super) fn local_address(socket: &OwnedFd) -> io::Result<SocketAddr> {
    let address = rustix::net::getsockname(socket)?;
    SocketAddr::try_from(address).map_err(io::Error::from)
}

/// Who is at the other end, for log lines.
pub(super) fn remote_address(socket: &OwnedFd) -> Option<SocketAddr> {
    rustix::net::getpeername(socket)
        .ok()
        .flatten()
        .and_then(|address| SocketAddr::try_from(address).ok())
}

/// A socket to dial `address` with.
pub(super) fn dialing_socket(address: SocketAddr) -> io::Result<OwnedFd> {
    let socket = new_socket(address)?;
    prepare(&socket)?;
    Ok(socket)
}

/// What every connection wants: small frames leave at once, and a machine that vanished without a word is noticed,
/// whether something was sent to it or not.
pub(super) fn prepare(socket: &OwnedFd) -> io::Result<()> {
    sockopt::set_tcp_nodelay(socket, true)?;
    sockopt::set_socket_keepalive(socket, true)?;
    sockopt::set_tcp_keepidle(socket, KEEPALIVE_IDLE)?;
    sockopt::set_tcp_keepintvl(socket, KEEPALIVE_INTERVAL)?;
    let timeout_ms = u32::try_from(UNACKNOWLEDGED_MAX.as_millis()).expect("some seconds");
    sockopt::set_tcp_user_timeout(socket, timeout_ms)?;
    Ok(())
}

/// Does the kernel say that the other side, or the way to it, is gone without a word?
pub(super) fn is_vanished(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::TimedOut
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::NetworkDown
    )
}

/// Ends both directions; whatever the kernel does on the socket completes.
pub(super) fn shut_down(socket: &OwnedFd) {
    // A socket that is not connected any more is shut down already.
    let _ = rustix::net::shutdown(socket, rustix::net::Shutdown::Both);
}

/// Tells the other side that nothing follows.
pub(super) fn shut_down_sending(socket: &OwnedFd) {
    let _ = rustix::net::shutdown(socket, rustix::net::Shutdown::Write);
}

fn new_socket(address: SocketAddr) -> io::Result<OwnedFd> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let socket = rustix::net::socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn any_port(ip: [u8; 4]) -> SocketAddr {
        SocketAddr::from((ip, 0))
    }

    /// A port in use must be refused by name, whoever holds it and by whichever address.
    #[test]
    fn a_port_in_use_is_refused_on_the_same_and_on_the_wildcard_address() {
        for (first, second) in [
            ([127, 0, 0, 1], [127, 0, 0, 1]),
            ([127, 0, 0, 1], [0, 0, 0, 0]),
            ([0, 0, 0, 0], [127, 0, 0, 1]),
        ] {
            let held = bind(any_port(first)).unwrap();
            let port = local_address(&held).unwrap().port();
            let error = bind(SocketAddr::from((second, port))).unwrap_err();
            assert!(matches!(error, RuntimeError::PortInUse { .. }), "{error}");
            assert!(error.to_string().contains(&port.to_string()));
        }
    }

    #[test]
    fn a_foreign_address_cannot_be_bound() {
        let error = bind(SocketAddr::from(([192, 0, 2, 1], 0))).unwrap_err();
        assert!(matches!(error, RuntimeError::Listen { .. }), "{error}");
    }
}
