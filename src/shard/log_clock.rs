//! Log time of a group while this replica leads: grows by observed turns, never by a pause.
//!
//! A leader goes on from the last log time of the log that it inherited. Each turn of the shard adds what
//! passed since the turn before, but at most [`TURN_NS_MAX`]: a process that was stopped for a minute has not
//! let a minute of log time pass, so no session expires because its *leader* slept (semantics, 9).

use crate::limits::HEARTBEAT_NS;
use margay_types::LogTime;

/// Most that one turn may add: two heartbeat intervals.
const TURN_NS_MAX: u64 = 2 * HEARTBEAT_NS;

/// The clock that stamps the entries of one group.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogClock {
    log_time: LogTime,
    seen_ns: u64,
}

impl LogClock {
    /// A clock that goes on from `inherited`; `now_ns` is the shard's clock at that moment.
    pub(crate) fn new(inherited: LogTime, now_ns: u64) -> Self {
        Self {
            log_time: inherited,
            seen_ns: now_ns,
        }
    }

    /// A turn happened at `now_ns`. Gives the log time that entries of this turn carry.
    pub(crate) fn observe(&mut self, now_ns: u64) -> LogTime {
        assert!(
            now_ns >= self.seen_ns,
            "the clock went back from {} to {now_ns}",
            self.seen_ns
        );
        let passed_ns = (now_ns - self.seen_ns).min(TURN_NS_MAX);
        self.seen_ns = now_ns;
        self.log_time = self.log_time.plus_ns(passed_ns);
        self.log_time
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_adds_what_passed() {
        let mut clock = LogClock::new(LogTime::new(500), 1_000);
        assert_eq!(clock.observe(1_040), LogTime::new(540));
        assert_eq!(clock.observe(1_040), LogTime::new(540));
    }

    #[test]
    fn a_pause_of_the_process_is_not_log_time() {
        let mut clock = LogClock::new(LogTime::ZERO, 0);
        assert_eq!(clock.observe(60_000_000_000), LogTime::new(TURN_NS_MAX));
    }
}
