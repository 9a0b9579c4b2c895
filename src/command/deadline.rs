//! How long a command may still wait.

use std::thread;
use std::time::{Duration, Instant};

/// A point in time behind which nobody waits any more.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline {
    start: Instant,
    timeout: Duration,
}

impl Deadline {
    /// In `timeout` from now.
    pub(super) fn after(timeout: Duration) -> Self {
        Self {
            start: now(),
            timeout,
        }
    }

    /// Time since it was set.
    pub(super) fn elapsed(&self) -> Duration {
        now().duration_since(self.start)
    }

    /// What is left; `None` when it has passed.
    pub(super) fn left(&self) -> Option<Duration> {
        let left = self.timeout.checked_sub(self.elapsed())?;
        (!left.is_zero()).then_some(left)
    }

    /// Waits a while before the next attempt; false when there is no time for one.
    pub(super) fn pause(&self, pause: Duration) -> bool {
        match self.left() {
            Some(left) if left > pause => {
                thread::sleep(pause);
                true
            }
            Some(_) | None => false,
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a person waits for this command; nothing replicated depends on it"
)]
fn now() -> Instant {
    Instant::now()
}
