//! Latencies second by second, in the standard log of HdrHistogram (V2), which its viewers read.
//!
//! A second costs little while the load runs: its counts are kept in the compact form of the library,
//! and compressed when the run is over.

use hdrhistogram::Histogram;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, IntervalLogWriterError};
use hdrhistogram::serialization::{Deserializer, Serializer, V2DeflateSerializer, V2Serializer};
use std::io;
use std::time::{Duration, UNIX_EPOCH};

/// Values are nanoseconds; the readable maximum of a line is in milliseconds, as viewers expect.
const NS_PER_SHOWN_UNIT: f64 = 1e6;

/// How readers know the file.
const FORMAT: &str = "[Histogram log format version 1.3]";

/// The counts of one interval.
#[derive(Debug)]
struct Interval {
    /// Since the log's start.
    offset: Duration,
    length: Duration,
    counts: Vec<u8>,
}

/// The intervals of one kind of operation.
#[derive(Debug, Default)]
pub(crate) struct IntervalLog {
    intervals: Vec<Interval>,
}

impl IntervalLog {
    /// Adds an interval behind all others.
    pub(crate) fn add(&mut self, histogram: &Histogram<u64>, offset_ns: u64, length_ns: u64) {
        let mut counts = Vec::new();
        V2Serializer::new()
            .serialize(histogram, &mut counts)
            .expect("memory takes all bytes, and counts stay below 2^63");
        self.intervals.push(Interval {
            offset: Duration::from_nanos(offset_ns),
            length: Duration::from_nanos(length_ns),
            counts,
        });
    }

    /// Writes the log of a run that was started so long after the epoch.
    pub(crate) fn write(&self, started: Duration, out: &mut impl io::Write) -> io::Result<()> {
        let started = UNIX_EPOCH + started;
        let mut serializer = V2DeflateSerializer::new();
        let mut log = IntervalLogWriterBuilder::new()
            .add_comment(FORMAT)
            .add_comment("values are nanoseconds")
            .with_start_time(started)
            .with_base_time(started)
            .with_max_value_divisor(NS_PER_SHOWN_UNIT)
            .begin_log_with(out, &mut serializer)?;
        for interval in &self.intervals {
            let counts = interval.counts()?;
            log.write_histogram(&counts, interval.offset, interval.length, None)
                .map_err(|error| match error {
                    IntervalLogWriterError::IoError(error) => error,
                    IntervalLogWriterError::SerializeError(error) => io::Error::other(error),
                })?;
        }
        Ok(())
    }
}

impl Interval {
    fn counts(&self) -> io::Result<Histogram<u64>> {
        Deserializer::new()
            .deserialize(&mut self.counts.as_slice())
            .map_err(io::Error::other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::histogram::histogram;
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

    const SECOND: Duration = Duration::from_secs(1);

    fn of(latencies_us: &[u64]) -> Histogram<u64> {
        let mut histogram = histogram();
        for latency_us in latencies_us {
            histogram.saturating_record(latency_us * 1_000);
        }
        histogram
    }

    #[test]
    fn the_librarys_own_reader_finds_every_interval_with_its_counts() {
        let written = [of(&[100, 200, 61_000]), of(&[]), of(&[300; 1_000])];
        let mut log = IntervalLog::default();
        for (second, histogram) in (0..).zip(&written) {
            log.add(histogram, second * 1_000_000_000, 1_000_000_000);
        }
        let started = Duration::from_millis(1_764_029_520_250);
        let mut bytes = Vec::new();
        log.write(started, &mut bytes).expect("memory takes it");
        let mut read = Vec::new();
        for entry in IntervalLogIterator::new(&bytes) {
            match entry.expect("it is well formed") {
                LogEntry::StartTime(time) | LogEntry::BaseTime(time) => assert_eq!(time, started),
                LogEntry::Interval(interval) => {
                    let encoded = STANDARD.decode(interval.encoded_histogram());
                    let counts: Histogram<u64> = Deserializer::new()
                        .deserialize(&mut encoded.expect("it is base 64").as_slice())
                        .expect("it is a histogram");
                    read.push((interval.start_timestamp(), interval.duration(), counts));
                }
            }
        }
        let wanted = (0..).zip(written);
        let wanted = wanted.map(|(second, counts)| (SECOND * second, SECOND, counts));
        assert_eq!(read, wanted.collect::<Vec<_>>());
    }

    #[test]
    fn a_log_says_what_it_is_in_its_first_lines() {
        let mut bytes = Vec::new();
        let mut log = IntervalLog::default();
        log.add(&of(&[61_000]), 0, 1_000_000_000);
        log.write(SECOND, &mut bytes).expect("memory takes it");
        let text = String::from_utf8(bytes).expect("it is text");
        assert!(
            text.starts_with("#[Histogram log format version 1.3]\n"),
            "{text}"
        );
        let line = text.lines().last().expect("an interval");
        assert!(line.starts_with("0.000,1.000,61.0"), "{line}");
    }
}
