//! Looks at the machine before anything depends on it: is io_uring allowed, does the data directory take direct
//! writes, do synchronous writes really flush, how much memory may be locked.

use super::error::RuntimeError;
use super::limits::{
    CLIENTS_MAX, DISPLACED_MAX, PEERS_RESERVED, PROCESS_DESCRIPTORS, SEGMENTS_RESERVED,
    SHARD_DESCRIPTORS,
};
use crate::limits::{SEGMENTS_MAX, WRITE_UNIT_BYTES};
use io_uring::{IoUring, Probe, opcode};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::fmt;
use std::fs;
use std::io;

/// What stands in the way of io_uring.
#[derive(Debug)]
pub struct UringRefusal {
    /// What was tried.
    call: &'static str,
    /// The kernel's reason.
    error: io::Error,
    /// `kernel.io_uring_disabled`, when the kernel has it.
    disabled: Option<u8>,
    /// Is a seccomp filter in force for this process?
    is_filtered: bool,
}

impl fmt::Display for UringRefusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.call, self.error)?;
        match self.disabled {
            Some(0) => write!(
                formatter,
                "\n  sysctl   kernel.io_uring_disabled=0 (allowed)"
            )?,
            Some(level) => write!(
                formatter,
                "\n  sysctl   kernel.io_uring_disabled={level} (RHEL 9 sets 2): sysctl -w kernel.io_uring_disabled=0"
            )?,
            None => {}
        }
        if self.is_filtered {
            write!(
                formatter,
                "\n  seccomp  a filter is in force: allow io_uring_setup, io_uring_enter and \
                 io_uring_register in the container's profile"
            )?;
        }
        match self.error.raw_os_error() {
            Some(libc::ENOSYS) => write!(formatter, "\n  kernel   6.1 or newer is needed"),
            Some(libc::ENOMEM) => write!(
                formatter,
                "\n  memory   raise the memory-lock limit (ulimit -l)"
            ),
            _ => Ok(()),
        }
    }
}

/// Requests without which nothing works; a kernel that has the newest of them has all.
const OPCODES: [(u8, &str); 6] = [
    (opcode::Accept::CODE, "accept"),
    (opcode::RecvMulti::CODE, "receive"),
    (opcode::SendMsg::CODE, "sendmsg"),
    (opcode::MkDirAt::CODE, "mkdirat"),
    (opcode::Fallocate::CODE, "fallocate"),
    (opcode::AsyncCancel::CODE, "cancel"),
];

/// Makes a ring as the cores will, and looks whether the kernel knows our requests. Call it before an executor
/// starts: the executor would end the process without a word.
///
/// # Errors
/// `NoIoUring`, with everything that an administrator needs to know.
pub fn require_io_uring() -> Result<(), RuntimeError> {
    let refused = |call, error| RuntimeError::NoIoUring {
        refusal: refusal(call, error),
    };
    let ring: IoUring = IoUring::builder()
        .setup_single_issuer()
        .setup_defer_taskrun()
        .build(8)
        .map_err(|error| refused("io_uring_setup", error))?;
    let mut probe = Probe::new();
    ring.submitter()
        .register_probe(&mut probe)
        .map_err(|error| refused("io_uring_register", error))?;
    match OPCODES.iter().find(|(code, _)| !probe.is_supported(*code)) {
        None => Ok(()),
        Some((_, name)) => Err(refused(name, io::Error::from_raw_os_error(libc::ENOSYS))),
    }
}

fn refusal(call: &'static str, error: io::Error) -> UringRefusal {
    let disabled = fs::read_to_string("/proc/sys/kernel/io_uring_disabled").ok();
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let seccomp = status
        .lines()
        .find_map(|line| line.strip_prefix("Seccomp:"));
    UringRefusal {
        call,
        error,
        disabled: disabled.and_then(|text| text.trim().parse().ok()),
        is_filtered: seccomp.is_some_and(|mode| mode.trim() != "0"),
    }
}

/// Limits of this process, for `status` and for what is built on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessLimits {
    /// Bytes of memory that may be locked; `None` is no limit.
    pub locked_memory_bytes: Option<u64>,
    /// Descriptors that may be open.
    pub descriptors: u64,
}

/// Raises the descriptor limit as far as the administrator allows, and reads what then holds.
#[must_use]
pub fn process_limits() -> ProcessLimits {
    let before = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: before.maximum,
        maximum: before.maximum,
    };
    // If it may not be raised, the limit read below is the one that holds.
    let _ = setrlimit(Resource::Nofile, raised);
    ProcessLimits {
        locked_memory_bytes: getrlimit(Resource::Memlock).current,
        descriptors: getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX),
    }
}

/// What one shard may open under the descriptor limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DescriptorShares {
    /// Clients that it takes.
    pub clients_max: usize,
    /// Segments that its log may have: each is an open file.
    pub segments_max: usize,
}

/// Divides the descriptors between the segments and the clients of `shard_count` shards: connections must never take
/// what files need, because a log that cannot open a file ends the node.
///
/// # Errors
/// `TooFewDescriptors` when not even what is reserved is there.
pub fn descriptor_shares(
    limits: ProcessLimits,
    shard_count: usize,
) -> Result<DescriptorShares, RuntimeError> {
    let shards = shard_count.max(1) as u64;
    let fixed = (SHARD_DESCRIPTORS + PEERS_RESERVED + DISPLACED_MAX) as u64;
    let least = fixed + SEGMENTS_RESERVED as u64 + CLIENTS_MIN;
    let needed = PROCESS_DESCRIPTORS as u64 + shards * least;
    let Some(more) = limits.descriptors.checked_sub(needed) else {
        return Err(RuntimeError::TooFewDescriptors {
            available: limits.descriptors,
            needed,
        });
    };
    let each = more / shards;
    let segments = (SEGMENTS_RESERVED as u64 + each / 2).min(SEGMENTS_MAX as u64);
    let clients = CLIENTS_MIN + each - (segments - SEGMENTS_RESERVED as u64);
    let fitted = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
    Ok(DescriptorShares {
        clients_max: fitted(clients).min(CLIENTS_MAX),
        segments_max: fitted(segments),
    })
}

/// A shard that cannot serve this many clients is not worth starting.
const CLIENTS_MIN: u64 = 16;

const _: () = assert!(WRITE_UNIT_BYTES.is_power_of_two(), "an alignment");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_allows_io_uring() {
        require_io_uring().unwrap();
    }

    #[test]
    fn a_refusal_names_errno_sysctl_and_seccomp() {
        let refusal = UringRefusal {
            call: "io_uring_setup",
            error: io::Error::from_raw_os_error(libc::EPERM),
            disabled: Some(2),
            is_filtered: true,
        };
        let error = RuntimeError::NoIoUring { refusal };
        assert_eq!(error.code().exit().number(), 23);
        let text = error.to_string();
        for word in ["io_uring_setup", "kernel.io_uring_disabled=2", "seccomp"] {
            assert!(text.contains(word), "{word} is missing in {text}");
        }
    }

    #[test]
    fn segments_and_clients_share_the_descriptors_that_are_left() {
        let limits = |descriptors| ProcessLimits {
            locked_memory_bytes: None,
            descriptors,
        };
        let plenty = descriptor_shares(limits(1 << 20), 1).unwrap();
        assert_eq!(plenty.clients_max, CLIENTS_MAX);
        assert_eq!(plenty.segments_max, SEGMENTS_MAX);
        for shards in 1..4 {
            let needed = 32 + 496 * shards as u64;
            assert!(descriptor_shares(limits(needed - 1), shards).is_err());
            for descriptors in [needed, needed + 1, needed + 777, 20_000] {
                let shares = descriptor_shares(limits(descriptors), shards).unwrap();
                let each = shares.clients_max + shares.segments_max + 64 + 256 + 32;
                assert!(32 + each * shards <= usize::try_from(descriptors).unwrap());
                assert!(shares.clients_max >= 16 && shares.segments_max >= 128);
            }
        }
        let usual = descriptor_shares(limits(1024), 1).unwrap();
        assert_eq!((usual.clients_max, usual.segments_max), (264, 376));
    }
}
