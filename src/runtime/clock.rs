//! The only place that reads the machine's clock.

use crate::shard::Clock;
use rustix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// CLOCK_BOOTTIME: never goes back, and goes on while the process is stopped or the machine sleeps.
#[derive(Clone, Copy, Debug, Default)]
pub struct BootClock;

impl Clock for BootClock {
    fn now_ns(&self) -> u64 {
        let time = clock_gettime(ClockId::Boottime);
        let seconds = u64::try_from(time.tv_sec).expect("the machine started in the past");
        let nanoseconds = u64::try_from(time.tv_nsec).expect("a part of a second");
        seconds * NS_PER_SECOND + nanoseconds
    }
}

/// Nanoseconds in a second.
pub(super) const NS_PER_SECOND: u64 = 1_000_000_000;

/// A span of time as the clock counts.
pub(super) fn nanoseconds(duration: Duration) -> u64 {
    duration.as_secs() * NS_PER_SECOND + u64::from(duration.subsec_nanos())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_never_goes_back() {
        let first = BootClock.now_ns();
        assert!(BootClock.now_ns() >= first);
    }
}
