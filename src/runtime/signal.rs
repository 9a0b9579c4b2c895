//! SIGTERM and SIGINT as events of the ring: they end the process cleanly and interrupt nothing.
//!
//! The signals are blocked before anything else of a start, so that every thread inherits the mask, none of them is
//! ever interrupted, and one that comes early waits until the first shard reads it; a signalfd says when one has come.

use super::error::RuntimeError;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use std::io;
use std::os::fd::{AsFd, OwnedFd};

/// Proof that the signals are blocked, and where they arrive.
#[derive(Debug)]
pub struct Signals {
    descriptor: SignalFd,
}

impl Signals {
    /// Blocks the signals for this thread and all that it starts from now on. Call it first in `main`.
    ///
    /// # Errors
    /// `Kernel` when there are no descriptors left.
    pub fn block() -> Result<Self, RuntimeError> {
        let what = "read signals";
        let kernel = |source| RuntimeError::Kernel { what, source };
        let mut set = SigSet::empty();
        set.add(Signal::SIGTERM);
        set.add(Signal::SIGINT);
        set.thread_block()
            .map_err(|error| kernel(io::Error::from(error)))?;
        let descriptor = SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC)
            .map_err(|error| kernel(io::Error::from(error)))?;
        Ok(Self { descriptor })
    }

    /// The descriptor, for the ring to read.
    pub(super) fn descriptor(&self) -> io::Result<OwnedFd> {
        self.descriptor.as_fd().try_clone_to_owned()
    }
}
