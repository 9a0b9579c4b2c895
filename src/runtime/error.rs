//! Why a server cannot start, or cannot go on: what, where, and what to do.

use super::probe::UringRefusal;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use thiserror::Error;

/// Exit codes of the server that belong to the runtime; scripts and service managers depend on them.
pub mod exit {
    /// Done.
    pub const DONE: u8 = 0;
    /// A mistake of ours.
    pub const BUG: u8 = 1;
    /// The configuration asks for what cannot be.
    pub const CONFIGURATION: u8 = 3;
    /// The data directory belongs to another process.
    pub const LOCKED: u8 = 20;
    /// The log device failed.
    pub const LOG_DEVICE_FAILED: u8 = 22;
    /// The kernel refuses io_uring.
    pub const NO_IO_URING: u8 = 23;
}

/// Why the runtime does not run.
#[derive(Debug, Error)]
pub enum RuntimeError {
    /// io_uring is forbidden or missing. Ask the administrator, see the text.
    #[error("io_uring is not available: {refusal}")]
    NoIoUring {
        /// What forbids it.
        refusal: UringRefusal,
    },
    /// Another process holds the data directory. Stop it, or use another directory.
    #[error(
        "data directory is in use\n  directory  {}\n  held by    process {holder}\n  \
         do         stop that process, or use another directory",
        directory.display()
    )]
    DirectoryLocked {
        /// The data directory.
        directory: PathBuf,
        /// Process id of the holder, or a question mark.
        holder: String,
    },
    /// The lock file cannot be made. Look at the directory's owner and mode.
    #[error("cannot lock data directory {}: {source}", directory.display())]
    Lock {
        /// The data directory.
        directory: PathBuf,
        /// The kernel's reason.
        source: io::Error,
    },
    /// The file system takes no direct writes. Use ext4 or XFS on a block device.
    #[error(
        "no direct I/O in {}: {reason}\n  do  put the data directory on ext4 or XFS on a block device",
        directory.display()
    )]
    NoDirectIo {
        /// The data directory.
        directory: PathBuf,
        /// What was tried.
        reason: String,
    },
    /// Someone listens there already. Stop the other server, or choose another `listen` address.
    #[error(
        "port {} is in use\n  address  {address}\n  do       stop the other process \
         (ss -ltnp 'sport = :{}'), or listen elsewhere",
        address.port(), address.port()
    )]
    PortInUse {
        /// The address that was asked for.
        address: SocketAddr,
    },
    /// The address cannot be listened on. It must be one of this machine's.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address that was asked for.
        address: SocketAddr,
        /// The kernel's reason.
        source: io::Error,
    },
    /// Too few descriptors. Raise the limit (`ulimit -n`, LimitNOFILE=).
    #[error(
        "{available} file descriptors are too few: at least {needed} are needed (ulimit -n, LimitNOFILE=)"
    )]
    TooFewDescriptors {
        /// The limit of this process.
        available: u64,
        /// What a shard needs at least.
        needed: u64,
    },
    /// A thread, a ring or a bell could not be made. The kernel's reason says which limit is in the way.
    #[error("cannot {what}: {source}")]
    Kernel {
        /// What was tried.
        what: &'static str,
        /// The kernel's reason.
        source: io::Error,
    },
    /// The executor of a shard could not be started.
    #[error("cannot start shard {shard}: {reason}")]
    Executor {
        /// The shard.
        shard: u16,
        /// glommio's reason.
        reason: String,
    },
    /// A shard's thread panicked. This is a mistake of ours; the log has the place.
    #[error("shard {shard} panicked: {message}")]
    Panicked {
        /// The shard.
        shard: u16,
        /// The panic's message.
        message: String,
    },
    /// The shard could not be made: its log does not recover, or its configuration is refused.
    #[error("{message}")]
    Core {
        /// What the shard says.
        message: String,
        /// What the process exits with.
        exit_code: u8,
    },
}

impl RuntimeError {
    /// What the process exits with.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::NoIoUring { .. } => exit::NO_IO_URING,
            Self::DirectoryLocked { .. } => exit::LOCKED,
            Self::Lock { .. }
            | Self::NoDirectIo { .. }
            | Self::PortInUse { .. }
            | Self::Listen { .. }
            | Self::TooFewDescriptors { .. } => exit::CONFIGURATION,
            Self::Kernel { .. } | Self::Executor { .. } | Self::Panicked { .. } => exit::BUG,
            Self::Core { exit_code, .. } => *exit_code,
        }
    }

    /// The stable code of the message.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoIoUring { .. } => "M101",
            Self::NoDirectIo { .. } => "M102",
            Self::PortInUse { .. } | Self::Listen { .. } => "M103",
            Self::TooFewDescriptors { .. } => "M104",
            Self::Kernel { .. } | Self::Executor { .. } => "M105",
            Self::Panicked { .. } => "M106",
            Self::DirectoryLocked { .. } | Self::Lock { .. } => "M110",
            Self::Core { .. } => "M107",
        }
    }
}
