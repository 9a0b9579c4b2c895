//! Head records: term, vote and position of every group, told again in every segment.
//!
//! They ride on batches that are written anyway, a slice at a time, until all groups of the log have one in this
//! segment. So no hard state is older than two segments, and the oldest segment can go.

use super::append::OwnRecord;
use super::disk::Disk;
use super::log::Log;
use super::payload;
use super::record::{self, RecordKind};
use crate::limits;
use margay_types::GroupId;

impl<D: Disk> Log<D> {
    /// Adds a slice of head records to the open batch, until all groups have one in this segment; a record of
    /// `kept_bytes` still finds room behind them. Called when a batch opens, because under load it is full when it
    /// leaves, and once more when it leaves.
    pub(super) fn add_heads(&mut self, kept_bytes: usize) {
        let bytes = record::record_bytes(payload::HEAD_BYTES);
        for _ in 0..self.heads_per_batch() {
            let Some(from) = self.heads_from else { return };
            let Some(open) = self.open.as_mut() else {
                return;
            };
            if self
                .segments
                .back()
                .is_none_or(|last| last.live.name != open.segment)
            {
                return;
            }
            let Some((id, group)) = self.groups.from(from).next() else {
                break;
            };
            if !open.batch.has_room_beside(bytes, kept_bytes) {
                return;
            }
            let head = group.head();
            let own =
                OwnRecord::new(RecordKind::Head, id).at(head.hard_state.term, head.last.index);
            let fields = own.fields(open.batch.sequence());
            open.batch.append(&fields, &[&head.encode()]);
            self.heads_from = Some(GroupId::new(id.number() + 1));
        }
        self.finish_heads();
    }

    /// Most bytes of head records that the next batch may take beside what is appended.
    pub(super) fn heads_bytes_max(&self) -> usize {
        let missing = self.heads_from.map_or(0, |_| self.heads_per_batch());
        missing.min(self.groups.len()) * record::record_bytes(payload::HEAD_BYTES)
    }

    /// Enough for all groups within half of the batches that a segment has at least.
    fn heads_per_batch(&self) -> usize {
        let batches = self.segment_bytes / self.options.batch_bytes_max as u64;
        let batches = usize::try_from(batches).unwrap_or(usize::MAX);
        let share = self.groups.len() * 2 / batches.max(1);
        share.max(limits::HEADS_PER_BATCH)
    }

    /// Notes that the last segment has the heads of all groups, when it does.
    pub(super) fn finish_heads(&mut self) {
        let Some(from) = self.heads_from else { return };
        if self.groups.from(from).next().is_some() {
            return;
        }
        self.heads_from = None;
        let sequence = self
            .open
            .as_ref()
            .map_or(self.next_sequence, |open| open.batch.sequence());
        if let Some(last) = self.segments.back_mut() {
            last.heads_complete = Some(sequence);
        }
    }
}
