//! Why a server cannot start, or cannot go on: what, where, and what to do.

use super::probe::UringRefusal;
use crate::codes::Code;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use thiserror::Error;

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
    /// The data directory was deleted, moved or unmounted under the node. Put it back before the node starts again.
    #[error("{} is gone while the node ran", missing.display())]
    DirectoryGone {
        /// The data directory.
        directory: PathBuf,
        /// What is not there any more, or is another one.
        missing: PathBuf,
    },
    /// The lock file cannot be made. Look at the directory's owner and mode.
    #[error("cannot lock data directory {}: {source}", directory.display())]
    Lock {
        /// The data directory.
        directory: PathBuf,
        /// The kernel's reason.
        source: io::Error,
    },
    /// The data directory, or a file in it, refuses what a server needs. Look at its owner, its mode and its mount.
    #[error("cannot use {}: {source}", path.display())]
    Directory {
        /// What was to be used.
        path: PathBuf,
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
        /// The situation that it stands for.
        code: Code,
    },
}

impl RuntimeError {
    /// The situation, as people look it up; what the process exits with follows from it.
    #[must_use]
    pub const fn code(&self) -> Code {
        match self {
            Self::NoIoUring { .. } => Code::IoUringUnavailable,
            Self::NoDirectIo { .. } => Code::DirectIoUnavailable,
            Self::PortInUse { .. } | Self::Listen { .. } => Code::ListenRefused,
            Self::TooFewDescriptors { .. } => Code::LimitTooLow,
            Self::Kernel { .. } | Self::Executor { .. } => Code::KernelRefused,
            Self::Panicked { .. } => Code::ShardPanicked,
            Self::DirectoryLocked { .. } => Code::DirectoryLocked,
            Self::DirectoryGone { .. } => Code::DirectoryGone,
            Self::Lock { .. } | Self::Directory { .. } => Code::DirectoryFailed,
            Self::Core { code, .. } => *code,
        }
    }
}
