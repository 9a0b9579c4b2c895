//! What a server needs of its host, asked before anything is touched.

use crate::codes::{Code, Failure};
use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener};

/// Where the kernel says whether it lets processes have rings: 0 all, 1 privileged ones, 2 none.
const IO_URING_SYSCTL: &str = "/proc/sys/kernel/io_uring_disabled";
/// Entries of the ring that is made and thrown away.
const PROBE_ENTRIES: u32 = 2;

/// Demands that this process may have a ring.
///
/// # Errors
/// `IoUringUnavailable`, with what keeps it away.
pub(super) fn demand_io_uring() -> Result<(), Failure> {
    match io_uring::IoUring::new(PROBE_ENTRIES) {
        Ok(_) => Ok(()),
        Err(error) => Err(io_uring_refused(&error, fs::read_to_string(IO_URING_SYSCTL).ok())),
    }
}

fn io_uring_refused(error: &io::Error, sysctl: Option<String>) -> Failure {
    let failure = Failure::new(Code::IoUringUnavailable).with("io_uring_setup", error);
    match sysctl.as_deref().map(str::trim) {
        Some("0") => failure
            .with("sysctl", "kernel.io_uring_disabled = 0")
            .remedy("allow io_uring in the seccomp profile of the container or service"),
        Some(level) => failure
            .with("sysctl", format!("kernel.io_uring_disabled = {level}"))
            .remedy("sysctl kernel.io_uring_disabled=0   (as root; some distributions set 2)"),
        None => failure.remedy("run a kernel of 6.1 or later, and allow io_uring in seccomp profiles"),
    }
}

/// Listens on the node's well-known address.
///
/// # Errors
/// `PortInUse`, `PermissionDenied` for a privileged port, `AddressUnavailable` otherwise.
pub(super) fn listen(address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).map_err(|error| listen_refused(address, &error))
}

fn listen_refused(address: SocketAddr, error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::AddrInUse => Failure::new(Code::PortInUse)
            .with("listen", address)
            .remedy("stop what listens there (ss -ltnp shows it), or set `listen` to another port"),
        io::ErrorKind::PermissionDenied => Failure::new(Code::PermissionDenied)
            .with("listen", address)
            .with("user", rustix::process::geteuid().as_raw())
            .remedy("take a port above 1023"),
        _ => Failure::new(Code::AddressUnavailable)
            .with("listen", address)
            .with("reason", error)
            .remedy("set `listen` to an address of this machine, or to 0.0.0.0"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_ring_names_what_to_change() {
        let refused = io::Error::from(io::ErrorKind::PermissionDenied);
        let sysctl = io_uring_refused(&refused, Some("2\n".to_owned()));
        assert!(sysctl.to_string().contains("io_uring_disabled = 2"), "{sysctl}");
        let seccomp = io_uring_refused(&refused, Some("0\n".to_owned()));
        assert!(seccomp.to_string().contains("seccomp"), "{seccomp}");
        assert_eq!(seccomp.exit().number(), 23);
    }

    #[test]
    fn a_port_that_someone_has_is_named() {
        let first = listen(SocketAddr::from(([127, 0, 0, 1], 0))).expect("any free port");
        let taken = first.local_addr().expect("it listens");
        let failure = listen(taken).expect_err("it is taken");
        assert_eq!(failure.code(), Code::PortInUse);
        assert!(failure.to_string().contains(&taken.to_string()), "{failure}");
    }

    #[test]
    fn an_address_of_another_machine_is_refused() {
        let elsewhere = SocketAddr::from(([192, 0, 2, 1], 7400));
        let failure = listen(elsewhere).expect_err("it is not ours");
        assert_eq!(failure.code(), Code::AddressUnavailable);
    }
}
