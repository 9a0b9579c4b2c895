//! SIGTERM and SIGINT as events: they end the process cleanly and interrupt nothing.
//!
//! A server's ring reads them; a command that has none waits for them with a time.
//!
//! The signals are blocked before anything else of a start, so that every thread inherits the mask, none of them is
//! ever interrupted, and one that comes early waits until the first shard reads it; a signalfd says when one has come.

use super::error::RuntimeError;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, read};
use std::fs;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

/// One signal, as a signalfd tells it: `signalfd_siginfo`.
const SIGNAL_BYTES: usize = 128;

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
        Self::of(&[Signal::SIGTERM, Signal::SIGINT])
    }

    /// The same, and SIGHUP: for a program that lives as long as its terminal. Who started it with `nohup` wants it
    /// to live longer.
    ///
    /// # Errors
    /// As [`Self::block`].
    pub fn block_with_hangup() -> Result<Self, RuntimeError> {
        if is_hangup_ignored() {
            return Self::block();
        }
        Self::of(&[Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP])
    }

    fn of(signals: &[Signal]) -> Result<Self, RuntimeError> {
        let mut set = SigSet::empty();
        for signal in signals {
            set.add(*signal);
        }
        set.thread_block().map_err(|error| refused(error.into()))?;
        let descriptor = SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC);
        let descriptor = descriptor.map_err(|error| refused(error.into()))?;
        Ok(Self { descriptor })
    }

    /// Waits for a signal, at most for this time; true when one came. It is taken: the next wait is for another one.
    ///
    /// # Errors
    /// `Kernel`, when the descriptor cannot be read.
    pub fn came_within(&self, time: Duration) -> Result<bool, RuntimeError> {
        let time = Timespec::try_from(time).map_err(|_| refused(ErrorKind::InvalidInput.into()))?;
        let mut descriptors = [PollFd::new(&self.descriptor, PollFlags::IN)];
        match poll(&mut descriptors, Some(&time)) {
            // A process that was stopped and goes on sees its wait interrupted.
            Ok(0) | Err(Errno::INTR) => return Ok(false),
            Ok(_) => {}
            Err(error) => return Err(refused(error.into())),
        }
        let mut signal = [0; SIGNAL_BYTES];
        let count = read(&self.descriptor, &mut signal).map_err(|error| refused(error.into()))?;
        Ok(count > 0)
    }

    /// The descriptor, for the ring to read.
    pub(super) fn descriptor(&self) -> io::Result<OwnedFd> {
        self.descriptor.as_fd().try_clone_to_owned()
    }
}

fn refused(source: io::Error) -> RuntimeError {
    RuntimeError::Kernel {
        what: "read signals",
        source,
    }
}

/// Is SIGHUP ignored, by the set that the kernel shows of this process?
fn is_hangup_ignored() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mut lines = status.lines();
    let ignored = lines.find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|set| u64::from_str_radix(set.trim(), 16).ok());
    // Signal 1 is the lowest bit.
    ignored.is_some_and(|set| set & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_taken_once_and_without_one_the_time_passes() {
        let signals = Signals::of(&[Signal::SIGUSR2]).expect("signals can be read");
        let came = || {
            signals
                .came_within(Duration::from_millis(1))
                .expect("it is read")
        };
        assert!(!came());
        nix::sys::signal::raise(Signal::SIGUSR2).expect("it is ours");
        assert!(came());
        assert!(!came());
    }
}
