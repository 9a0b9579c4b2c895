//! The numbers that a log is told: sizes and bounds. Defaults are the product's; tests use small ones.

use super::directory::{DIRECTORY_HEADER_BYTES, RUN_BYTES, directory_bytes};
use super::open_batch::OpenBatch;
use super::record::record_bytes;
use super::witness::ITEM_HEADER_BYTES;
use crate::limits;
use margay_raft::WriteId;
use std::time::Duration;

/// The directory takes one byte in so many of the largest batch.
const DIRECTORY_SHARE: usize = 64;
const _: () = assert!(limits::BATCH_BYTES_MAX / DIRECTORY_SHARE == limits::DIRECTORY_BYTES_MAX);

/// Settings of one log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogOptions {
    /// Size of new segments. An existing log keeps its own.
    pub segment_bytes: u64,
    /// Largest batch.
    pub batch_bytes_max: usize,
    /// Largest payload of a record.
    pub record_bytes_max: usize,
    /// Memory for batches.
    pub pool_bytes: usize,
    /// Memory that written batches may keep.
    pub retained_bytes: usize,
    /// Durable writes under way.
    pub writes_in_flight: usize,
    /// Spare segments kept ready, beside the reserve.
    pub spares: usize,
    /// Segments at most, spares and reserve included.
    pub segments_max: usize,
    /// Idle time until a witness of its own is written.
    pub witness_idle: Duration,
    /// Pause between two pieces of filling a spare.
    pub fill_pause: Duration,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self {
            segment_bytes: limits::SEGMENT_BYTES,
            batch_bytes_max: limits::BATCH_BYTES_MAX,
            record_bytes_max: limits::RECORD_BYTES_MAX,
            pool_bytes: limits::BATCH_POOL_BYTES,
            retained_bytes: limits::BATCH_RETAINED_BYTES,
            writes_in_flight: limits::WRITES_IN_FLIGHT,
            spares: limits::SPARE_SEGMENTS,
            segments_max: limits::SEGMENTS_MAX,
            witness_idle: Duration::from_millis(limits::WITNESS_IDLE_MS),
            fill_pause: Duration::from_millis(limits::FILL_PAUSE_MS),
        }
    }
}

impl LogOptions {
    /// Small sizes for tests and simulations: segments of 256 KiB, batches of 64 KiB, records of 16 KiB.
    #[must_use]
    pub fn small() -> Self {
        Self {
            segment_bytes: 256 << 10,
            batch_bytes_max: 64 << 10,
            record_bytes_max: 16 << 10,
            pool_bytes: 2 << 20,
            retained_bytes: 512 << 10,
            ..Self::default()
        }
    }

    /// Memory of one batch in the pool, with the header of a segment before it.
    #[must_use]
    pub fn block_bytes(&self) -> usize {
        self.batch_bytes_max + limits::SEGMENT_HEADER_BYTES
    }

    /// The same for a log whose segments have another size: batches and records shrink to what fits. The shard
    /// refuses larger records before they get here.
    #[must_use]
    pub fn fitted_to(self, segment_bytes: u64) -> Self {
        let room = usize::try_from(segment_bytes).unwrap_or(usize::MAX);
        let room = room.saturating_sub(limits::SEGMENT_HEADER_BYTES);
        let batch_bytes_max = self.batch_bytes_max.min(room);
        let fitted = Self {
            segment_bytes,
            batch_bytes_max,
            ..self
        };
        let frame = OpenBatch::least_bytes(0, fitted.witness_bytes_max());
        let record = batch_bytes_max.saturating_sub(frame + limits::WRITE_UNIT_BYTES);
        Self {
            record_bytes_max: self.record_bytes_max.min(record),
            ..fitted
        }
    }

    /// Runs of one directory at most: a full one closes its batch, and takes 1/64 of the largest batch.
    #[must_use]
    pub fn runs_max(&self) -> usize {
        let bytes = (self.batch_bytes_max / DIRECTORY_SHARE).min(limits::DIRECTORY_BYTES_MAX);
        (bytes - DIRECTORY_HEADER_BYTES) / RUN_BYTES
    }

    /// Bytes of a witness that tells of as many batches as it ever may, each with a full directory.
    #[must_use]
    pub fn witness_bytes_max(&self) -> usize {
        let item = ITEM_HEADER_BYTES + directory_bytes(self.runs_max());
        record_bytes(limits::WITNESSED_BATCHES_MAX * item)
    }

    /// Asserts what the numbers must keep to.
    ///
    /// # Panics
    /// If they do not: options are made by this program, not by its users.
    pub fn check(&self) {
        let segment = limits::SEGMENT_BYTES_MIN..=limits::SEGMENT_BYTES_MAX;
        assert!(
            segment.contains(&self.segment_bytes),
            "segments of {}",
            self.segment_bytes
        );
        let unit = limits::WRITE_UNIT_BYTES;
        assert!(
            self.segment_bytes.is_multiple_of(unit as u64),
            "segments of whole write units"
        );
        assert!(
            self.batch_bytes_max.is_multiple_of(unit),
            "batches of whole write units"
        );
        assert!(
            self.batch_bytes_max <= limits::BATCH_BYTES_MAX,
            "larger than the format allows"
        );
        assert!(
            self.block_bytes() as u64 <= self.segment_bytes,
            "a batch must fit in a segment"
        );
        assert!(
            self.record_bytes_max <= limits::RECORD_BYTES_MAX,
            "larger than a frame"
        );
        let record = record_bytes(self.record_bytes_max);
        let least = OpenBatch::least_bytes(record, self.witness_bytes_max());
        assert!(
            least <= self.batch_bytes_max,
            "the largest record needs a batch of {least}"
        );
        let flights = 1..=limits::WRITES_IN_FLIGHT_MAX;
        assert!(
            flights.contains(&self.writes_in_flight),
            "{} writes",
            self.writes_in_flight
        );
        let needed = self.retained_bytes + 4 * self.block_bytes();
        assert!(
            needed <= self.pool_bytes,
            "a pool of {} bytes, {needed} needed",
            self.pool_bytes
        );
        let segments = self.spares + limits::RESERVE_SEGMENTS + 1;
        assert!(
            self.segments_max >= segments,
            "no room for spares and a segment in use"
        );
        assert!(
            self.segments_max <= limits::SEGMENTS_MAX,
            "more than a manifest holds"
        );
    }
}

/// Names a batch: everything up to it is durable, or is not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sequence(pub u64);

/// For whom a record is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waiter {
    /// The core of the group: it is told when this write is durable.
    Core(WriteId),
    /// Nobody; or somebody who asks for the durable sequence.
    Nobody,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_and_the_small_numbers_keep_to_the_rules() {
        LogOptions::default().check();
        LogOptions::small().check();
    }

    #[test]
    fn a_log_with_small_segments_keeps_them_under_large_options() {
        for segment_bytes in [limits::SEGMENT_BYTES_MIN, 256 << 10, 1 << 20] {
            let fitted = LogOptions::default().fitted_to(segment_bytes);
            fitted.check();
            assert!(fitted.record_bytes_max > 16 << 10, "{fitted:?}");
        }
        let default = LogOptions::default();
        assert_eq!(default.fitted_to(default.segment_bytes), default);
    }
}
