//! What a process says last: the exit codes that scripts, units and other programs rest on.

use std::process::ExitCode;

/// Why a process ended. The numbers are an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Exit {
    /// Done, or the condition asked for is true.
    Done = 0,
    /// A mistake of Margay's own.
    Bug = 1,
    /// The command line makes no sense.
    Usage = 2,
    /// Configuration, data directory or version refused.
    Configuration = 3,
    /// Not reached, or timed out and known not to be applied.
    NotReached = 4,
    /// Refused by the cluster; the reason is printed.
    Refused = 5,
    /// It may have happened or not.
    OutcomeUnknown = 6,
    /// The condition asked for is false.
    ConditionFalse = 10,
    /// Server: another process, or another cluster, owns the directory.
    DirectoryLocked = 20,
    /// Server: what names the node is damaged.
    IdentityDamaged = 21,
    /// Server: a durable write failed, and nothing is written any more.
    LogDeviceFailed = 22,
    /// Server: io_uring cannot be used.
    IoUringUnavailable = 23,
    /// Server: a replica computed something else than the others.
    ReplicaDiverged = 24,
}

impl Exit {
    /// The number that the process ends with.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.number())
    }
}
