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
    /// Adds head records to the open batch until all groups have one in this segment.
    pub(super) fn add_heads(&mut self) {
        let bytes = record::record_bytes(payload::HEAD_BYTES);
        for _ in 0..limits::HEADS_PER_BATCH {
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
            if !open.batch.has_room(bytes) {
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
