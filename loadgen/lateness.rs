//! How late the generator itself was: what an open loop's latencies can be trusted for.
//!
//! ```text
//!   intended ───────── ready ───────────── left ──────────────── answered
//!            waits for room     lateness
//!            in the windows     (the generator's)
//!   └──────────────────────── latency ────────────────────────┘
//! ```
//!
//! A send is ready when it was meant to leave and some client had room for it. Waiting for room is the
//! cluster's doing and part of the latency; what follows is the generator's own. A run is valid when that
//! is small against what was measured.

use crate::histogram::{histogram, quantile_us};
use hdrhistogram::Histogram;

/// A send that leaves this much after its intended time is counted as late, whoever caused it.
const LATE_NS: u64 = 1_000_000;

/// The part of the latencies that the generator's lateness may be, both at the 99th percentile.
const PART_MAX: f64 = 0.1;

/// The sends of the measured time.
#[derive(Debug)]
pub(crate) struct Lateness {
    histogram: Histogram<u64>,
    from_ns: u64,
    late_count: u64,
    waited_count: u64,
    unsent_count: u64,
}

/// What became of the intended times.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Punctuality {
    /// 99th percentile of what the generator itself was late.
    pub(crate) late_us_p99: f64,
    /// Sends that left more than a millisecond after their time, for whatever reason.
    pub(crate) late_count: u64,
    /// Sends that waited because all windows were full.
    pub(crate) waited_count: u64,
    /// Sends that waited longer than the generator's patience, and never left.
    pub(crate) unsent_count: u64,
}

/// The times of one send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Departure {
    pub(crate) intended_ns: u64,
    /// When the windows had room for it; the intended time when they had it then.
    pub(crate) ready_ns: u64,
}

impl Lateness {
    /// Nothing is counted until [`Self::measure_from`].
    pub(crate) fn new() -> Self {
        Self {
            histogram: histogram(),
            from_ns: u64::MAX,
            late_count: 0,
            waited_count: 0,
            unsent_count: 0,
        }
    }

    /// Counts the sends that are meant to leave from then on.
    pub(crate) const fn measure_from(&mut self, from_ns: u64) {
        self.from_ns = from_ns;
    }

    /// A send has left.
    pub(crate) fn on_left(&mut self, departure: Departure, left_ns: u64) {
        let Departure {
            intended_ns,
            ready_ns,
        } = departure;
        assert!(
            intended_ns <= ready_ns && ready_ns <= left_ns,
            "a send is due, ready and gone in this order: {intended_ns}, {ready_ns}, {left_ns}"
        );
        if intended_ns < self.from_ns {
            return;
        }
        self.histogram
            .saturating_record((left_ns - ready_ns).max(1));
        self.late_count += u64::from(left_ns - intended_ns > LATE_NS);
        self.waited_count += u64::from(ready_ns > intended_ns);
    }

    /// A send waited too long for room, and does not leave any more.
    pub(crate) fn on_given_up(&mut self, intended_ns: u64) {
        self.unsent_count += u64::from(intended_ns >= self.from_ns);
    }

    /// What it came to.
    pub(crate) fn punctuality(&self) -> Punctuality {
        Punctuality {
            late_us_p99: quantile_us(&self.histogram, 0.99),
            late_count: self.late_count,
            waited_count: self.waited_count,
            unsent_count: self.unsent_count,
        }
    }
}

impl Punctuality {
    /// Do these latencies, each the 99th percentile of one kind of operation, show the cluster rather than
    /// the generator? None show nothing.
    pub(crate) fn is_valid_for(&self, latencies_us_p99: impl IntoIterator<Item = f64>) -> bool {
        let least = latencies_us_p99.into_iter().min_by(f64::total_cmp);
        least.is_some_and(|latency| self.late_us_p99 <= latency * PART_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn departure(intended_ns: u64, ready_ns: u64) -> Departure {
        Departure {
            intended_ns,
            ready_ns,
        }
    }

    #[test]
    fn waiting_for_room_is_late_but_not_the_generators_lateness() {
        let mut lateness = Lateness::new();
        lateness.measure_from(0);
        lateness.on_left(departure(0, 0), 20_000);
        lateness.on_left(departure(1_000, 5_000_000), 5_020_000);
        let punctuality = lateness.punctuality();
        assert_eq!((punctuality.late_count, punctuality.waited_count), (1, 1));
        let late_us = punctuality.late_us_p99;
        assert!((19.9..20.1).contains(&late_us), "{late_us}");
    }

    #[test]
    fn sends_of_the_warm_up_are_not_counted() {
        let mut lateness = Lateness::new();
        lateness.on_left(departure(5, 5), 9_000_000);
        lateness.measure_from(1_000);
        lateness.on_left(departure(999, 999), 9_000_000);
        lateness.on_left(departure(1_000, 1_000), 2_000);
        let punctuality = lateness.punctuality();
        assert_eq!(punctuality.late_count, 0);
        assert!(punctuality.late_us_p99 < 1.1, "{punctuality:?}");
    }

    #[test]
    fn a_run_is_valid_up_to_a_tenth_of_its_least_latency() {
        let punctuality = |late_us_p99| Punctuality {
            late_us_p99,
            late_count: 0,
            waited_count: 0,
            unsent_count: 0,
        };
        assert!(punctuality(100.0).is_valid_for([1_000.0]));
        assert!(!punctuality(100.1).is_valid_for([1_000.0]));
        assert!(!punctuality(100.0).is_valid_for([5_000.0, 999.0]));
        assert!(!punctuality(0.0).is_valid_for([]));
    }
}
