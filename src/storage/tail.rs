//! The tail of the log: where the next batch opens, and how a batch leaves.
//!
//! ```text
//!   segment 7                                      segment 9 (a spare)
//!   ┌────┬─────┬─────────┬──────────┬─ ─ ─ ─┐      ┌────┬─ ─ ─ ─
//!   │    │ ... │ written │ full     │ open  │      │    │ next, when nothing fits here
//!   └────┴─────┴─────────┴──────────┴─ ─ ─ ─┘      └────┴─ ─ ─ ─
//!                          waits for a slot
//! ```
//!
//! A batch knows its place when it opens, so that the index can name it. A batch that is full before a slot is free
//! is written later with exactly the length that was counted on, whatever its witness turns out to be.

use super::batch::{BATCH_HEADER_BYTES, HeaderHash, SegmentName};
use super::block::Block;
use super::directory;
use super::disk::{Disk, WriteToken};
use super::error::StorageError;
use super::group_commit::WriteKind;
use super::log::{Log, Segment};
use super::open_batch::{Lead, OpenBatch, Stamp};
use super::record;
use super::resume::LiveSegment;
use super::spares::full_segment;
use super::witness::ITEM_HEADER_BYTES;
use crate::limits;
use margay_raft::WriteId;
use margay_types::GroupId;

/// A batch with its place and with those who wait for it.
#[derive(Debug)]
pub(super) struct PlacedBatch {
    pub(super) batch: OpenBatch,
    pub(super) segment: SegmentName,
    pub(super) offset: u32,
    pub(super) waiting: Vec<(GroupId, WriteId)>,
}

const _: () = assert!(
    BATCH_HEADER_BYTES + directory::directory_bytes(1) < limits::WRITE_UNIT_BYTES,
    "an empty batch fits in one write unit"
);

impl<D: Disk> Log<D> {
    /// The batch that takes the next record of so many bytes: the open one if it fits, else a new one. If there can
    /// be none the log has failed: whoever appends has changed what it believes already.
    pub(super) fn open_for(&mut self, record_bytes: usize) -> Result<&mut OpenBatch, StorageError> {
        self.check_alive()?;
        if self
            .open
            .as_ref()
            .is_some_and(|open| !open.batch.has_room(record_bytes))
        {
            self.close();
        }
        if self.open.is_none() {
            let opened = self.new_batch(record_bytes);
            self.open = Some(opened.inspect_err(|failure| self.failure = Some(failure.clone()))?);
            if record_bytes > 0 {
                self.add_heads(record_bytes);
            }
        }
        let open = self.open.as_mut().expect("opened above");
        Ok(&mut open.batch)
    }

    /// The open batch takes no more. It keeps the place that it will have when it is written. Closed by many small
    /// records, it leaves most of its memory to the next.
    fn close(&mut self) {
        let Some(mut open) = self.open.take() else {
            return;
        };
        if open.batch.is_directory_full() {
            self.rest = Some(open.batch.split_rest());
        }
        self.tail_offset += open.batch.closed_bytes() as u64;
        self.full.push_back(open);
    }

    fn new_batch(&mut self, record_bytes: usize) -> Result<PlacedBatch, StorageError> {
        let witness_bytes = self.witness_bytes_max();
        let least = OpenBatch::least_bytes(record_bytes, witness_bytes);
        assert!(
            least <= self.options.batch_bytes_max,
            "a record of {record_bytes} bytes"
        );
        let lead = match self.tail_offset + least as u64 <= self.segment_bytes {
            true => Lead::Nothing,
            false => Lead::SegmentHeader,
        };
        let block = self.take_block(least)?;
        if lead == Lead::SegmentHeader {
            self.switch_segment()?;
        }
        let left = self.segment_bytes - self.tail_offset;
        let bytes_max = usize::try_from(left)
            .unwrap_or(usize::MAX)
            .min(self.options.batch_bytes_max)
            .min(block.room_bytes() - lead.bytes());
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        let segment = self.segments.back().expect("a log writes to a segment");
        let offset = u32::try_from(self.tail_offset).expect("segments are at most 2 GiB");
        Ok(PlacedBatch {
            batch: OpenBatch::new(block, lead, sequence, bytes_max, witness_bytes)
                .with_runs_max(self.options.runs_max()),
            segment: segment.live.name,
            offset,
            waiting: Vec::new(),
        })
    }

    /// Most that the witness of the next batch may have to tell: of all before it, but never of more batches than
    /// can become durable between two.
    fn witness_bytes_max(&self) -> usize {
        let full = self.full.iter();
        let full = full.map(|full| ITEM_HEADER_BYTES + full.batch.directory_bytes());
        let bytes = record::record_bytes(self.commit.witness_bytes_max() + full.sum::<usize>());
        bytes.min(self.options.witness_bytes_max())
    }

    /// Memory for a batch that takes at least `least` bytes: the rest of the last block, while that is worth it.
    fn take_block(&mut self, least: usize) -> Result<Block, StorageError> {
        let wanted = (least + limits::SEGMENT_HEADER_BYTES).max(self.options.block_bytes() / 4);
        if let Some(rest) = self.rest.take().filter(|rest| rest.room_bytes() >= wanted) {
            return Ok(rest);
        }
        while self.pool.available() == 0 {
            if !self.memory.forget_oldest(self.commit.durable()) {
                return Err(StorageError::OutOfRoom);
            }
        }
        self.pool.try_take().ok_or(StorageError::OutOfRoom)
    }

    /// Goes on in a spare. The manifest lists it already.
    fn switch_segment(&mut self) -> Result<(), StorageError> {
        let spare = self.spares.state().borrow_mut().take_ready();
        let spare = spare.ok_or(StorageError::OutOfRoom)?;
        self.segments.push_back(Segment::new(LiveSegment {
            name: spare.name,
            file: spare.file,
            first_sequence: self.next_sequence,
            last_sequence: self.next_sequence,
            last_hash: HeaderHash::ZERO,
            is_held: false,
        }));
        self.tail_offset = limits::SEGMENT_HEADER_BYTES as u64;
        self.heads_from = Some(GroupId::SYSTEM);
        self.finish_heads();
        self.spares.wake();
        Ok(())
    }

    pub(super) fn write(&mut self, placed: PlacedBatch, kind: WriteKind, is_full: bool) {
        let witness = self.commit.take_witness();
        let stamp = Stamp {
            log_id: self.log_id,
            recovery_epoch: self.recovery_epoch,
            segment: placed.segment,
            offset: placed.offset,
            segment_bytes: self.segment_bytes,
            durable_sequence: self.commit.durable(),
            previous: self.last_hash,
            length: is_full.then(|| placed.batch.closed_bytes()),
        };
        let (mut sealed, rest) = placed.batch.seal(&stamp, witness.as_ref());
        if !is_full {
            self.tail_offset += sealed.bytes.len() as u64;
            self.rest = Some(rest);
        }
        self.last_hash = sealed.item.hash;
        let sequence = sealed.item.sequence;
        let at = self
            .segments
            .iter()
            .rposition(|own| own.live.name == placed.segment);
        let at = at.expect("a batch's segment is alive");
        let segment = self.segments.get_mut(at).expect("found above");
        segment.live.last_sequence = sequence;
        segment.live.last_hash = sealed.item.hash;
        let token = WriteToken(sequence);
        let file = segment.live.file.clone();
        self.memory.push(&mut sealed);
        self.commit.on_submitted(kind, sealed.item, placed.waiting);
        self.disk
            .write_durable(&file, sealed.write_offset, sealed.write, token);
    }

    /// What a full segment holds may be told by the manifest once its last batch is durable, and not before: a
    /// manifest that names a batch that a crash took would read as damage.
    pub(super) fn note_full_segments(&mut self) {
        let durable = self.commit.durable();
        let (full, open) = (&self.full, &self.open);
        for segment in self.segments.iter_mut().rev().skip(1) {
            let live = &segment.live;
            if segment.is_noted_full {
                break;
            }
            let is_waiting = full
                .iter()
                .chain(open)
                .any(|batch| batch.segment == live.name);
            if is_waiting || live.last_sequence > durable {
                continue;
            }
            let holds = full_segment(live.first_sequence, live.last_sequence, live.last_hash);
            self.spares.state().borrow_mut().on_full(live.name, holds);
            segment.is_noted_full = true;
        }
    }
}
