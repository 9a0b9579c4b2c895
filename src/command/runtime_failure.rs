//! What the runtime refuses, as people look it up.

use super::data_directory::failed;
use crate::codes::{Code, Failure};
use crate::runtime::RuntimeError;
use std::io::ErrorKind;
use std::net::SocketAddr;

/// The situation behind an error of the runtime, with its facts and its remedy.
pub(super) fn runtime_failure(error: RuntimeError) -> Failure {
    let failure = Failure::new(error.code());
    match error {
        RuntimeError::NoIoUring { refusal } => failure
            .with("reason", refusal)
            .remedy("allow io_uring to this process: sysctl, seccomp profile, kernel 6.1 or later"),
        RuntimeError::DirectoryLocked { directory, holder } => failure
            .with("directory", directory.display())
            .with("process", holder)
            .remedy("stop that process, or give this node a directory of its own"),
        RuntimeError::DirectoryGone { directory, missing } => failure
            .with("directory", directory.display())
            .with("missing", missing.display())
            .remedy("moved or unmounted: put it back, and start the node again; deleted: this member is lost"),
        RuntimeError::Lock { directory, source } => failed(&directory, &source),
        RuntimeError::Directory { path, source } => failed(&path, &source),
        RuntimeError::NoDirectIo { directory, reason } => failure
            .with("directory", directory.display())
            .with("reason", reason)
            .remedy("put the data directory on ext4 or xfs"),
        RuntimeError::PortInUse { address } => failure
            .with("listen", address)
            .with("reason", "the port is in use")
            .remedy("stop what listens there (ss -ltnp shows it), or set `listen` to another port"),
        RuntimeError::Listen { address, source } => listen_refused(failure, address, &source),
        RuntimeError::TooFewDescriptors { available, needed } => failure
            .with("descriptors", available)
            .with("needed", needed)
            .remedy("raise the limit: ulimit -n, or LimitNOFILE= of the service"),
        RuntimeError::Kernel { what, source } => failure
            .with("call", what)
            .with("reason", source)
            .remedy("the reason tells which limit or permission is in the way"),
        RuntimeError::Executor { shard, reason } => {
            failure.with("shard", shard).with("reason", reason)
        }
        RuntimeError::Panicked { shard, message } => failure
            .with("shard", shard)
            .with("panic", message)
            .remedy("start the node again, and report this with the log above"),
        RuntimeError::Core {
            message,
            code: Code::DirectoryFailed,
        } => failure
            .with("reason", message)
            .remedy("see that nothing in the directory was moved, changed or deleted, and that its disk is well;")
            .remedy("with other members, leave the node down and look at them: margay status"),
        RuntimeError::Core { message, code: _ } => failure.with("reason", message),
    }
}

fn listen_refused(failure: Failure, address: SocketAddr, source: &std::io::Error) -> Failure {
    if source.kind() == ErrorKind::PermissionDenied {
        Failure::new(Code::PermissionDenied)
            .with("listen", address)
            .with("user", rustix::process::geteuid().as_raw())
            .remedy("take a port above 1023")
    } else {
        failure
            .with("listen", address)
            .with("reason", source)
            .remedy("set `listen` to an address of this machine, or to 0.0.0.0")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_someone_has_is_named() {
        let address = std::net::SocketAddr::from(([127, 0, 0, 1], 7400));
        let failure = runtime_failure(RuntimeError::PortInUse { address });
        assert_eq!(failure.code(), Code::ListenRefused);
        assert!(failure.to_string().contains("127.0.0.1:7400"), "{failure}");
    }
}
