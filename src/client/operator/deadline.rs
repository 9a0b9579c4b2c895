//! How long whoever asks may still wait.

use crate::clock::now_ns;
use std::thread;
use std::time::Duration;

/// A point in time behind which nobody waits any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline {
    start_ns: u64,
    end_ns: u64,
}

impl Deadline {
    /// In `timeout` from now.
    #[must_use]
    pub fn after(timeout: Duration) -> Self {
        let start_ns = now_ns();
        let timeout_ns = u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX);
        Self {
            start_ns,
            end_ns: start_ns.saturating_add(timeout_ns),
        }
    }

    /// An equal part of what is left, when as many as `askings` shall have their turn: one node that is silent
    /// must not take the time of all.
    #[must_use]
    pub fn share(&self, askings: usize) -> Self {
        let askings = u32::try_from(askings).unwrap_or(u32::MAX).max(1);
        Self::after(self.left().unwrap_or_default() / askings)
    }

    /// Time since it was set.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        Duration::from_nanos(now_ns().saturating_sub(self.start_ns))
    }

    /// What is left; `None` when it has passed.
    #[must_use]
    pub fn left(&self) -> Option<Duration> {
        let left_ns = self.end_ns.saturating_sub(now_ns());
        (left_ns > 0).then(|| Duration::from_nanos(left_ns))
    }

    /// Waits a while before the next attempt; false when there is no time for one.
    #[must_use]
    pub fn pause(&self, pause: Duration) -> bool {
        let has_time = self.left().is_some_and(|left| left > pause);
        if has_time {
            thread::sleep(pause);
        }
        has_time
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_passed_leaves_nothing_and_allows_no_pause() {
        let deadline = Deadline::after(Duration::ZERO);
        assert_eq!(deadline.left(), None);
        assert!(!deadline.pause(Duration::ZERO));
        assert_eq!(deadline.share(3).left(), None);
    }

    #[test]
    fn a_share_leaves_time_for_the_others() {
        let deadline = Deadline::after(Duration::from_secs(90));
        let share = deadline.share(3).left().expect("it has just begun");
        assert!(share <= Duration::from_secs(30), "{share:?}");
        assert!(deadline.share(0).left().is_some());
    }
}
