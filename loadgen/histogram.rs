//! How long operations took: one histogram per kind, and a line and a log entry per second.
//!
//! A latency is recorded once, in the histogram of the running second; when the second is over it is
//! added to the whole. So the hot path costs one increment.

use crate::interval_log::IntervalLog;
use crate::workload::Kind;
use hdrhistogram::Histogram;

/// Longest latency that is told apart: an hour, for in an open loop it grows with the run. Longer ones count
/// as this.
const LATENCY_NS_MAX: u64 = 3_600_000_000_000;

/// Digits that are exact.
const DIGITS: u8 = 3;

const SECOND_NS: u64 = 1_000_000_000;

/// One second of the run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Second {
    /// Its number, from 1.
    pub(crate) second: u64,
    /// Operations per second.
    pub(crate) per_s: f64,
    /// 99th percentile.
    pub(crate) p99_us: f64,
    /// The longest one.
    pub(crate) max_us: f64,
}

/// The latencies of one kind of operation.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Latencies {
    pub(crate) count: u64,
    pub(crate) min_us: f64,
    pub(crate) p50_us: f64,
    pub(crate) p90_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) p999_us: f64,
    pub(crate) p9999_us: f64,
    pub(crate) max_us: f64,
}

/// The second under way, and all of them.
#[derive(Debug)]
struct Recorded {
    second: Histogram<u64>,
    whole: Histogram<u64>,
    log: IntervalLog,
}

/// Latencies of the measured time.
#[derive(Debug)]
pub(crate) struct Recorder {
    writes: Recorded,
    reads: Recorded,
    started_ns: u64,
    second_ends_ns: u64,
    seconds: Vec<Second>,
}

/// An empty histogram.
pub(crate) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LATENCY_NS_MAX, DIGITS).expect("the bounds are legal")
}

impl Recorded {
    fn new() -> Self {
        Self {
            second: histogram(),
            whole: histogram(),
            log: IntervalLog::default(),
        }
    }

    /// Ends the interval that began so long after the start.
    fn end_interval(&mut self, offset_ns: u64, length_ns: u64) {
        self.log.add(&self.second, offset_ns, length_ns);
        self.whole
            .add(&self.second)
            .expect("both have the same bounds");
        self.second.reset();
    }
}

impl Recorder {
    /// Measures from `started_ns` on.
    pub(crate) fn new(started_ns: u64) -> Self {
        Self {
            writes: Recorded::new(),
            reads: Recorded::new(),
            started_ns,
            second_ends_ns: started_ns + SECOND_NS,
            seconds: Vec::new(),
        }
    }

    /// An operation is complete.
    pub(crate) fn record(&mut self, kind: Kind, latency_ns: u64) {
        let recorded = match kind {
            Kind::Write => &mut self.writes,
            Kind::Read => &mut self.reads,
        };
        recorded.second.saturating_record(latency_ns.max(1));
    }

    /// Ends the seconds that are over. A turn that took several seconds counts for the last of them, and
    /// the others show that nothing was complete. Returns the last one, when one has ended.
    pub(crate) fn on_time(&mut self, now_ns: u64) -> Option<Second> {
        let known = self.seconds.len();
        while now_ns >= self.second_ends_ns {
            self.end_second(SECOND_NS);
            self.second_ends_ns += SECOND_NS;
        }
        let last = self.seconds.last().copied();
        last.filter(|_| self.seconds.len() > known)
    }

    /// The measured time is over.
    pub(crate) fn finish(&mut self, now_ns: u64) {
        self.on_time(now_ns);
        let rest_ns = now_ns.saturating_sub(self.second_ends_ns - SECOND_NS);
        // A turn ends a little late; what is left of a second then is no second to show.
        if rest_ns > SECOND_NS / 10 {
            self.end_second(rest_ns);
        } else if !self.writes.second.is_empty() || !self.reads.second.is_empty() {
            self.end_interval(rest_ns);
        }
    }

    fn end_interval(&mut self, length_ns: u64) {
        let offset_ns = self.second_ends_ns - SECOND_NS - self.started_ns;
        self.writes.end_interval(offset_ns, length_ns);
        self.reads.end_interval(offset_ns, length_ns);
    }

    fn end_second(&mut self, length_ns: u64) {
        let mut both = self.writes.second.clone();
        both.add(&self.reads.second)
            .expect("both have the same bounds");
        self.seconds.push(Second {
            second: self.seconds.len() as u64 + 1,
            per_s: both.len() as f64 * SECOND_NS as f64 / length_ns as f64,
            p99_us: quantile_us(&both, 0.99),
            max_us: both.max() as f64 / 1e3,
        });
        self.end_interval(length_ns);
    }

    /// Seconds since the start.
    pub(crate) fn elapsed_s(&self, now_ns: u64) -> f64 {
        now_ns.saturating_sub(self.started_ns) as f64 / 1e9
    }

    /// Second by second.
    pub(crate) fn seconds(&self) -> &[Second] {
        &self.seconds
    }

    fn recorded(&self, kind: Kind) -> &Recorded {
        match kind {
            Kind::Write => &self.writes,
            Kind::Read => &self.reads,
        }
    }

    /// The log of a kind.
    pub(crate) fn log(&self, kind: Kind) -> &IntervalLog {
        &self.recorded(kind).log
    }

    /// The latencies of a kind, once the time is over.
    pub(crate) fn latencies(&self, kind: Kind) -> Latencies {
        let whole = &self.recorded(kind).whole;
        if whole.is_empty() {
            return Latencies::default();
        }
        Latencies {
            count: whole.len(),
            min_us: whole.min() as f64 / 1e3,
            p50_us: quantile_us(whole, 0.5),
            p90_us: quantile_us(whole, 0.9),
            p99_us: quantile_us(whole, 0.99),
            p999_us: quantile_us(whole, 0.999),
            p9999_us: quantile_us(whole, 0.9999),
            max_us: whole.max() as f64 / 1e3,
        }
    }
}

/// A quantile in microseconds.
pub(crate) fn quantile_us(histogram: &Histogram<u64>, quantile: f64) -> f64 {
    histogram.value_at_quantile(quantile) as f64 / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    const START_NS: u64 = 5 * SECOND_NS;

    #[test]
    fn each_second_has_its_own_line_and_all_are_in_the_whole() {
        let mut recorder = Recorder::new(START_NS);
        for latency_us in 1..=100 {
            recorder.record(Kind::Write, latency_us * 1_000);
        }
        recorder.on_time(START_NS + SECOND_NS);
        recorder.record(Kind::Read, 700_000);
        recorder.finish(START_NS + 3 * SECOND_NS / 2);
        let shown: Vec<(u64, f64)> = recorder
            .seconds()
            .iter()
            .map(|second| (second.second, second.per_s))
            .collect();
        assert_eq!(shown, [(1, 100.0), (2, 2.0)]);
        let writes = recorder.latencies(Kind::Write);
        assert_eq!(writes.count, 100);
        assert!((49.9..50.2).contains(&writes.p50_us), "{writes:?}");
        assert!((99.9..100.2).contains(&writes.max_us), "{writes:?}");
        assert_eq!(recorder.latencies(Kind::Read).count, 1);
    }

    #[test]
    fn a_second_without_an_answer_is_shown() {
        let mut recorder = Recorder::new(START_NS);
        recorder.on_time(START_NS + 2 * SECOND_NS);
        recorder.finish(START_NS + 2 * SECOND_NS + 1_000);
        let shown: Vec<f64> = recorder
            .seconds()
            .iter()
            .map(|second| second.per_s)
            .collect();
        assert_eq!(shown, [0.0, 0.0]);
        assert_eq!(recorder.latencies(Kind::Write), Latencies::default());
    }

    /// Look at the rest after the second: too short to be shown, and still in the log.
    #[test]
    fn the_log_of_a_kind_holds_everything_that_was_recorded() {
        let mut recorder = Recorder::new(START_NS);
        recorder.record(Kind::Write, 100_000);
        let ended = recorder.on_time(START_NS + SECOND_NS);
        assert_eq!(ended.map(|second| second.second), Some(1));
        assert_eq!(recorder.on_time(START_NS + SECOND_NS + 5), None);
        recorder.record(Kind::Write, 200_000);
        recorder.finish(START_NS + SECOND_NS + 1_000);
        let mut bytes = Vec::new();
        let log = recorder.log(Kind::Write);
        log.write(std::time::Duration::ZERO, &mut bytes)
            .expect("memory takes it");
        let text = String::from_utf8(bytes).expect("it is text");
        let starts: Vec<&str> = text
            .lines()
            .filter(|line| !line.starts_with('#'))
            .map(|line| &line[..12])
            .collect();
        assert_eq!(starts, ["0.000,1.000,", "1.000,0.000,"]);
        assert_eq!(recorder.seconds().len(), 1);
        assert_eq!(recorder.latencies(Kind::Write).count, 2);
    }
}
