//! The log of a shard: records of all its groups go in, durable writes come out.
//!
//! One turn of the shard:
//!
//! ```text
//!  has_room ── append_* ── ... ── append_*   the batch grows; what is in it can be sent at once (`entries`)
//!                 submit                     a write starts, if a slot is free
//!                   ...
//!  on_written                                whose writes are durable now
//!  on_idle                                   a witness of its own, when nothing else comes
//!  tend                                      now and then: frees segments, starts the filling of spares
//! ```
//!
//! Invariants:
//! * Records of a group stand in the order in which they were appended; so do batches, by sequence.
//! * A batch never spans segments, and the place of every batch is known when it opens.
//! * Nothing is written before the restart batch of this life is durable: [`Resume`] says so by existing.
//! * After a failed write nothing is written any more, and every call says why.
//!
//! The rest of the log's methods stand in files of their own: `append`, `checkpoint`, `tail`,
//! `heads`, `space`, `lent`, `load`.

use super::batch::HeaderHash;
use super::batch_memory::BatchMemory;
use super::block::{Block, Pool};
use super::disk::{Disk, WriteToken};
use super::error::StorageError;
use super::group_commit::{GroupCommit, WriteKind};
use super::group_log::{GroupLog, GroupLogs};
use super::log_manifest::SegmentEntry;
use super::open_batch::Lead;
use super::options::{LogOptions, Sequence};
use super::payload;
use super::record;
use super::resume::{LiveSegment, Resume};
use super::space::Ledger;
use super::spares::{SpareState, Spares, full_segment};
use super::tail::PlacedBatch;
use crate::limits;
use margay_raft::{Position, WriteId};
use margay_types::{GroupId, Index, Term};
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// A segment that holds batches.
#[derive(Debug)]
pub(super) struct Segment<F> {
    pub(super) live: LiveSegment<F>,
    /// Held by reads under way; the file is not used anew before.
    pub(super) pin: Rc<()>,
    /// The batch with the last of the segment's head records, once every group has one in it.
    pub(super) heads_complete: Option<u64>,
    /// The next manifest says what it holds.
    pub(super) is_noted_full: bool,
}

/// The log of a shard; see the module.
pub struct Log<D: Disk> {
    pub(super) disk: D,
    pub(super) options: LogOptions,
    pub(super) log_id: u32,
    pub(super) recovery_epoch: u64,
    pub(super) segment_bytes: u64,
    pub(super) pool: Pool,
    pub(super) groups: GroupLogs,
    /// In order of use; the last is written to.
    pub(super) segments: VecDeque<Segment<D::File>>,
    pub(super) spares: Spares<D>,
    pub(super) ledger: Ledger,
    pub(super) commit: GroupCommit,
    pub(super) memory: BatchMemory,
    pub(super) open: Option<PlacedBatch>,
    /// Batches that are full and wait for a slot, oldest first.
    pub(super) full: VecDeque<PlacedBatch>,
    /// What is left of the block of the batch submitted last.
    pub(super) rest: Option<Block>,
    pub(super) next_sequence: u64,
    /// Where the next batch opens in the last segment.
    pub(super) tail_offset: u64,
    pub(super) last_hash: HeaderHash,
    /// Next group to get a head record in this segment; `None` when all have one.
    pub(super) heads_from: Option<GroupId>,
    pub(super) failure: Option<StorageError>,
    reported: Vec<(GroupId, WriteId)>,
}

impl<D: Disk> Log<D> {
    /// The log as recovery hands it over.
    ///
    /// # Panics
    /// If the head records of all groups would take more than their share of a segment, or what recovery says
    /// contradicts itself.
    #[must_use]
    pub fn resume(disk: D, options: LogOptions, resume: Resume<D>) -> Self {
        let options = options.fitted_to(resume.segment_bytes);
        options.check();
        assert!(
            resume
                .segments
                .last()
                .is_some_and(|last| last.name == resume.restart.segment),
            "the restart batch stands in the last segment"
        );
        assert!(
            resume.groups.len() <= groups_max(resume.segment_bytes),
            "the heads of {} groups take too much of a segment",
            resume.groups.len()
        );
        let spares = Self::spares_of(&disk, &options, &resume);
        let mut groups = GroupLogs::default();
        let mut ledger = Ledger::default();
        for group in resume.groups {
            let id = group.group;
            let group = GroupLog::new(group);
            ledger.use_all(group.segments());
            groups.insert(id, group);
        }
        let restart = resume.restart;
        let segments = resume.segments.into_iter();
        let mut log = Self {
            pool: Pool::new(options.block_bytes(), options.pool_bytes),
            log_id: resume.log_id,
            recovery_epoch: resume.recovery_epoch,
            segment_bytes: resume.segment_bytes,
            groups,
            segments: segments.map(Segment::new).collect(),
            spares,
            ledger,
            next_sequence: restart.sequence + 1,
            tail_offset: u64::from(restart.offset) + u64::from(restart.length),
            last_hash: restart.hash,
            commit: GroupCommit::new(options.writes_in_flight, restart, resume.covered_sequence),
            memory: BatchMemory::default(),
            open: None,
            full: VecDeque::new(),
            rest: None,
            heads_from: Some(GroupId::SYSTEM),
            failure: None,
            reported: Vec::new(),
            options,
            disk,
        };
        log.note_full_segments();
        log.spares.wake();
        log.finish_heads();
        log
    }

    fn spares_of(disk: &D, options: &LogOptions, resume: &Resume<D>) -> Spares<D> {
        let in_use = resume
            .segments
            .split_last()
            .map_or(&[][..], |(_, full)| full);
        let mut entries: Vec<_> = in_use
            .iter()
            .map(|live| SegmentEntry {
                name: live.name,
                full: Some(full_segment(
                    live.first_sequence,
                    live.last_sequence,
                    live.last_hash,
                )),
            })
            .collect();
        let blank = |name| SegmentEntry { name, full: None };
        entries.extend(resume.segments.last().map(|live| blank(live.name)));
        entries.extend(resume.held.iter().copied());
        entries.extend(resume.spares.iter().map(|spare| blank(spare.name)));
        let wanted = options.spares + limits::RESERVE_SEGMENTS;
        let ready = resume.spares.clone();
        let state = SpareState::new(entries, ready, wanted, options.segments_max);
        let numbers = (resume.log_id, resume.segment_bytes, options.fill_pause);
        let directory = resume.directory.clone();
        Spares::new(
            disk.clone(),
            directory,
            resume.manifest.clone(),
            numbers,
            state,
        )
    }

    /// Which log this is.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.log_id
    }

    /// The disk that it lies on, for cold work beside it.
    #[must_use]
    pub fn disk(&self) -> &D {
        &self.disk
    }

    /// Memory of the batches, to be registered with the ring before the first append.
    #[must_use]
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// The numbers it works with.
    #[must_use]
    pub fn options(&self) -> &LogOptions {
        &self.options
    }

    /// Groups that may live here at most: their heads take a bounded share of a segment.
    #[must_use]
    pub fn groups_max(&self) -> usize {
        groups_max(self.segment_bytes)
    }

    /// Groups that live here.
    #[must_use]
    pub fn group_count(&self) -> usize {
        self.groups.len()
    }

    /// Everything up to here is durable.
    #[must_use]
    pub fn durable(&self) -> Sequence {
        Sequence(self.commit.durable())
    }

    /// Everything up to here is durable, and a durable batch says so: damage of it will be recognised.
    #[must_use]
    pub fn covered(&self) -> Sequence {
        Sequence(self.commit.covered())
    }

    /// Last entry of the group, durable or not.
    #[must_use]
    pub fn last(&self, group: GroupId) -> Position {
        self.groups.expect(group).last
    }

    /// Term of an entry, if it is held, or is the checkpoint's.
    #[must_use]
    pub fn term(&self, group: GroupId, index: Index) -> Option<Term> {
        let state = self.groups.expect(group);
        let at = state.position_at(index);
        (at.index == index).then_some(at.term)
    }

    /// Starts the writes that may start: at most as many as there are free slots. Called once per turn.
    ///
    /// # Errors
    /// If the log has failed.
    pub fn submit(&mut self) -> Result<(), StorageError> {
        self.check_alive()?;
        while self.commit.has_slot() {
            let full = self.full.pop_front();
            let is_full = full.is_some();
            if !is_full {
                self.add_heads(0);
            }
            let Some(batch) = full.or_else(|| self.open.take()) else {
                break;
            };
            self.write(batch, WriteKind::Ordinary, is_full);
        }
        Ok(())
    }

    /// A write returned: the number of bytes written, or the error. Gives the groups whose writes are durable
    /// now, each with the latest one.
    ///
    /// # Errors
    /// If the write failed or was short, now or earlier: nothing is durable that was not reported before.
    ///
    /// # Panics
    /// If no such write is under way.
    pub fn on_written(
        &mut self,
        token: WriteToken,
        result: io::Result<usize>,
    ) -> Result<&[(GroupId, WriteId)], StorageError> {
        self.check_alive()?;
        let WriteToken(sequence) = token;
        let item = self.commit.under_way(sequence);
        let item = item.unwrap_or_else(|| panic!("batch {sequence} is not under way"));
        let lead = match item.offset as usize {
            limits::SEGMENT_HEADER_BYTES => Lead::SegmentHeader,
            _ => Lead::Nothing,
        };
        let whole = lead.bytes() + item.length as usize;
        let cause = match result {
            Ok(written) if written == whole => None,
            Ok(_) => Some(io::ErrorKind::WriteZero.into()),
            Err(error) => Some(error),
        };
        if let Some(cause) = cause {
            let failure = StorageError::Write {
                sequence,
                segment: item.segment.number,
                offset_bytes: u64::from(item.offset),
                cause: Arc::new(cause),
            };
            self.failure = Some(failure.clone());
            return Err(failure);
        }
        let durable = self.commit.on_returned(sequence);
        let are_several = durable.len() > 1;
        self.reported.clear();
        self.reported
            .extend(durable.into_iter().flat_map(|durable| durable.groups));
        if are_several {
            self.keep_latest();
        }
        self.note_full_segments();
        self.on_covered();
        self.forget_old_batches();
        Ok(&self.reported)
    }

    /// The shard has had nothing to do for `elapsed`. Writes a batch with nothing but a witness, or head records
    /// that this segment lacks.
    ///
    /// # Errors
    /// If the log has failed, or there is no room.
    pub fn on_idle(&mut self, elapsed: Duration) -> Result<(), StorageError> {
        self.check_alive()?;
        let is_busy = self.commit.is_writing() || self.open.is_some() || !self.full.is_empty();
        let is_idle = !is_busy && elapsed >= self.options.witness_idle;
        if !is_idle || !self.has_room_for_upkeep(record::record_bytes(payload::HEAD_BYTES)) {
            return Ok(());
        }
        let needs_heads = self.heads_from.is_some() && self.segments.len() > 1;
        if needs_heads {
            self.open_for(record::record_bytes(payload::HEAD_BYTES))?;
            return self.submit();
        }
        if self.commit.wants_witness() {
            self.open_for(0)?;
            if let Some(batch) = self.open.take() {
                self.write(batch, WriteKind::IdleWitness, false);
            }
        }
        Ok(())
    }

    /// Has the log failed, and why?
    #[must_use]
    pub fn failure(&self) -> Option<StorageError> {
        self.failure
            .clone()
            .or_else(|| self.spares.state().borrow().failure())
    }

    pub(super) fn check_alive(&self) -> Result<(), StorageError> {
        self.failure().map_or(Ok(()), Err)
    }

    /// Several batches became durable at once: one report per group, with its latest write.
    fn keep_latest(&mut self) {
        self.reported.sort_unstable();
        self.reported.reverse();
        self.reported.dedup_by_key(|(group, _)| *group);
        self.reported.reverse();
    }

    /// Keeps the memory of written batches within its bound.
    fn forget_old_batches(&mut self) {
        while self.memory.kept_bytes() > self.options.retained_bytes {
            if !self.memory.forget_oldest(self.commit.durable()) {
                return;
            }
        }
    }
}

/// Groups whose heads fit into their share of a segment.
fn groups_max(segment_bytes: u64) -> usize {
    let head = record::record_bytes(payload::HEAD_BYTES) as u64;
    let fitting = segment_bytes / limits::HEAD_SHARE / head;
    usize::try_from(fitting)
        .unwrap_or(usize::MAX)
        .min(limits::GROUPS_PER_NODE_MAX)
}

impl<D: Disk> fmt::Debug for Log<D> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Log")
            .field("id", &self.log_id)
            .field("next_sequence", &self.next_sequence)
            .field("durable", &self.commit.durable())
            .field("covered", &self.commit.covered())
            .field("segments", &self.segments.len())
            .field("failure", &self.failure)
            .finish_non_exhaustive()
    }
}

impl<F> Segment<F> {
    pub(super) fn new(live: LiveSegment<F>) -> Self {
        Self {
            live,
            pin: Rc::new(()),
            heads_complete: None,
            is_noted_full: false,
        }
    }
}

#[cfg(test)]
#[path = "log_tests.rs"]
mod tests;
