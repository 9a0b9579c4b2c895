//! Log time of a group while this replica leads: grows by observed turns, never by a pause.
//!
//! A leader goes on from the last log time of the log that it inherited. Each turn of the shard adds what
//! passed since the turn before, but at most [`TURN_NS_MAX`]: a process that was stopped for a minute has not
//! let a minute of log time pass, so no session expires because its *leader* slept (semantics, 9).
//!
//! All groups of a shard see the same turns, so the shard observes them once ([`Observed`]), and the clock of a group
//! is a place in that.

use crate::limits::HEARTBEAT_NS;
use margay_types::LogTime;

/// Most that one turn may add: two heartbeat intervals.
const TURN_NS_MAX: u64 = 2 * HEARTBEAT_NS;

/// Time as a shard saw it pass, turn by turn, in nanoseconds since its start.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Observed {
    passed_ns: u64,
    seen_ns: u64,
}

impl Observed {
    /// Nothing was observed yet; `now_ns` is the shard's clock.
    pub(crate) fn new(now_ns: u64) -> Self {
        Self {
            passed_ns: 0,
            seen_ns: now_ns,
        }
    }

    /// A turn happens at `now_ns`.
    pub(crate) fn observe(&mut self, now_ns: u64) {
        assert!(
            now_ns >= self.seen_ns,
            "the clock went back from {} to {now_ns}",
            self.seen_ns
        );
        self.passed_ns += (now_ns - self.seen_ns).min(TURN_NS_MAX);
        self.seen_ns = now_ns;
    }

    /// What was observed in all.
    pub(crate) fn ns(self) -> u64 {
        self.passed_ns
    }
}

/// The clock that stamps the entries of one group.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogClock {
    inherited: LogTime,
    since_ns: u64,
}

impl LogClock {
    /// A clock that goes on from `inherited` when so much was observed.
    pub(crate) fn new(inherited: LogTime, observed: Observed) -> Self {
        Self {
            inherited,
            since_ns: observed.passed_ns,
        }
    }

    /// The log time that entries of this turn carry.
    pub(crate) fn now(self, observed: Observed) -> LogTime {
        assert!(
            observed.passed_ns >= self.since_ns,
            "a reign began before it was observed"
        );
        self.inherited.plus_ns(observed.passed_ns - self.since_ns)
    }

    /// How much will have been observed at a log time; what has passed already is at least when the clock began.
    pub(crate) fn observed_at(self, log_time: LogTime) -> u64 {
        let ahead_ns = log_time.since_ns(self.inherited);
        self.since_ns.saturating_add(ahead_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_adds_what_passed() {
        let mut observed = Observed::new(1_000);
        let clock = LogClock::new(LogTime::new(500), observed);
        observed.observe(1_040);
        assert_eq!(clock.now(observed), LogTime::new(540));
        observed.observe(1_040);
        assert_eq!(clock.now(observed), LogTime::new(540));
    }

    #[test]
    fn a_pause_of_the_process_is_not_log_time() {
        let mut observed = Observed::new(0);
        let clock = LogClock::new(LogTime::ZERO, observed);
        observed.observe(60_000_000_000);
        assert_eq!(clock.now(observed), LogTime::new(TURN_NS_MAX));
    }

    #[test]
    fn a_log_time_is_reached_when_so_much_was_observed() {
        let mut observed = Observed::new(7);
        observed.observe(107);
        let clock = LogClock::new(LogTime::new(1_000), observed);
        assert_eq!(clock.observed_at(LogTime::new(1_050)), 150);
        assert_eq!(clock.observed_at(LogTime::new(900)), 100);
    }
}
