//! What every connection of a client asks of its kernel, whichever driver has it.
//!
//! A connection may be idle for hours, and firewalls forget idle ones without a word; so may a server vanish. The
//! protocol asks for signs of life while it waits for something; the kernel's probes keep up, or end, what nobody waits
//! for. The server has the same on its side.

use margay_wire::vanishing::{KEEPALIVE_IDLE, KEEPALIVE_INTERVAL, UNACKNOWLEDGED_MAX};
use rustix::fd::AsFd;
use rustix::net::sockopt;
use std::io;

/// Small frames leave at once, and a server that vanished is noticed, whether something was sent to it or not.
pub(crate) fn prepare(socket: impl AsFd) -> io::Result<()> {
    let socket = socket.as_fd();
    sockopt::set_tcp_nodelay(socket, true)?;
    sockopt::set_socket_keepalive(socket, true)?;
    sockopt::set_tcp_keepidle(socket, KEEPALIVE_IDLE)?;
    sockopt::set_tcp_keepintvl(socket, KEEPALIVE_INTERVAL)?;
    let timeout_ms = u32::try_from(UNACKNOWLEDGED_MAX.as_millis()).expect("some seconds");
    sockopt::set_tcp_user_timeout(socket, timeout_ms)?;
    Ok(())
}

/// What a socket was prepared with, as its kernel tells.
#[cfg(test)]
pub(crate) fn demand_prepared(socket: impl AsFd) {
    use std::time::Duration;
    let socket = socket.as_fd();
    assert_eq!(sockopt::tcp_nodelay(socket), Ok(true));
    assert_eq!(sockopt::socket_keepalive(socket), Ok(true));
    assert_eq!(sockopt::tcp_keepidle(socket), Ok(Duration::from_secs(2)));
    assert_eq!(sockopt::tcp_keepintvl(socket), Ok(Duration::from_secs(1)));
    assert_eq!(sockopt::tcp_user_timeout(socket), Ok(5_000));
}
