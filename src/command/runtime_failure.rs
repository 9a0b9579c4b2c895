//! What the runtime refuses, as people look it up.

use super::data_directory::failed;
use crate::codes::{Code, Exit, Failure};
use crate::runtime::RuntimeError;
use std::io::ErrorKind;

/// The situation behind an error of the runtime, with its facts and its remedy.
pub(super) fn runtime_failure(error: RuntimeError) -> Failure {
    match error {
        RuntimeError::NoIoUring { refusal } => Failure::new(Code::IoUringUnavailable)
            .with("reason", refusal)
            .remedy("allow io_uring to this process: sysctl, seccomp profile, kernel 6.1 or later"),
        RuntimeError::DirectoryLocked { directory, holder } => Failure::new(Code::DirectoryLocked)
            .with("directory", directory.display())
            .with("process", holder)
            .remedy("stop that process, or give this node a directory of its own"),
        RuntimeError::Lock { directory, source } => failed(&directory, &source),
        RuntimeError::NoDirectIo { directory, reason } => Failure::new(Code::DirectIoUnavailable)
            .with("directory", directory.display())
            .with("reason", reason)
            .remedy("put the data directory on ext4 or xfs"),
        RuntimeError::PortInUse { address } => Failure::new(Code::ListenRefused)
            .with("listen", address)
            .with("reason", "the port is in use")
            .remedy("stop what listens there (ss -ltnp shows it), or set `listen` to another port"),
        RuntimeError::Listen { address, source } => listen_refused(&address.to_string(), &source),
        RuntimeError::TooFewDescriptors { available, needed } => Failure::new(Code::LimitTooLow)
            .with("descriptors", available)
            .with("needed", needed)
            .remedy("raise the limit: ulimit -n, or LimitNOFILE= of the service"),
        RuntimeError::Kernel { what, source } => Failure::new(Code::KernelRefused)
            .with("call", what)
            .with("reason", source),
        RuntimeError::Executor { shard, reason } => Failure::new(Code::KernelRefused)
            .with("shard", shard)
            .with("reason", reason),
        RuntimeError::Panicked { shard, message } => Failure::new(Code::ShardPanicked)
            .with("shard", shard)
            .with("panic", message),
        RuntimeError::Core { message, exit_code } => {
            Failure::new(code_of_exit(exit_code)).with("reason", message)
        }
    }
}

fn listen_refused(address: &str, source: &std::io::Error) -> Failure {
    if source.kind() == ErrorKind::PermissionDenied {
        Failure::new(Code::PermissionDenied)
            .with("listen", address)
            .with("user", rustix::process::geteuid().as_raw())
            .remedy("take a port above 1023")
    } else {
        Failure::new(Code::ListenRefused)
            .with("listen", address)
            .with("reason", source)
            .remedy("set `listen` to an address of this machine, or to 0.0.0.0")
    }
}

/// A shard gives up with an exit code; this is the situation that it stands for.
fn code_of_exit(exit_code: u8) -> Code {
    let situations = [
        Code::DirectoryFailed,
        Code::OtherCluster,
        Code::IdentityDamaged,
        Code::LogDeviceFailed,
        Code::IoUringUnavailable,
        Code::ReplicaDiverged,
    ];
    situations
        .into_iter()
        .find(|code| code.exit().number() == exit_code)
        .unwrap_or(Code::ShardFailed)
}

/// What a server that ended by itself exits with: done when a person or the system asked it to.
pub(super) fn ended(exit_code: u8) -> Result<Exit, Failure> {
    if exit_code == Exit::Done.number() {
        Ok(Exit::Done)
    } else {
        Err(Failure::new(code_of_exit(exit_code)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_that_gave_up_is_named_by_its_exit_code() {
        assert_eq!(ended(0), Ok(Exit::Done));
        for (exit_code, code) in [
            (3, Code::DirectoryFailed),
            (22, Code::LogDeviceFailed),
            (24, Code::ReplicaDiverged),
            (1, Code::ShardFailed),
            (99, Code::ShardFailed),
        ] {
            let failure = ended(exit_code).expect_err("it is no good end");
            assert_eq!(failure.code(), code);
        }
    }

    #[test]
    fn a_port_that_someone_has_is_named() {
        let address = std::net::SocketAddr::from(([127, 0, 0, 1], 7400));
        let failure = runtime_failure(RuntimeError::PortInUse { address });
        assert_eq!(failure.code(), Code::ListenRefused);
        assert!(failure.to_string().contains("127.0.0.1:7400"), "{failure}");
    }
}
