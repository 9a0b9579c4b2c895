//! Which segments are needed and by whom, and how much room there is.
//!
//! Segments are freed as a whole, and the oldest first: so a truncation or a removal never leaves before what it
//! made dead. The oldest goes when
//!
//! * no group has an entry, a chunk, a pointer or its birth in it, and what replaced them is *covered*,
//! * a later segment has the head records of all groups, covered too: terms and votes are there again.
//!
//! A segment that recovery holds back for a damaged group stays, and with it all later ones.
//!
//! Entries leave the index when their group's checkpoint covers them and the shard lets them go
//! ([`Log::release`]). A group that writes little can hold the oldest segment for long: [`Log::oldest_holders`] says
//! who does, and a checkpoint of theirs helps.
//!
//! Three marks, in spare segments, the reserve among them, once no other can be made:
//!
//! ```text
//!   3 or more   free      everything is taken
//!   2           soft      leaders refuse ordinary commands
//!   1           hard      followers refuse appends: only the reserve is left
//!   0           reserve   hard states, heads, checkpoints and restarts are using it
//! ```
//!
//! Not done: copying what lives out of a mostly dead segment. Until then a checkpoint must stand for everything
//! up to its index, kept entries included.

use super::directory::directory_bytes;
use super::disk::Disk;
use super::group_log::GroupLog;
use super::log::Log;
use super::open_batch::OpenBatch;
use super::spares::FreedSegment;
use crate::limits;
use margay_raft::Position;
#[cfg(feature = "mutants")]
use margay_types::mutant::{self, Mutant};
use margay_types::{GroupId, Index};
use std::collections::{BTreeMap, VecDeque};

/// Batches of small records that find room in one block at least: a batch goes into the rest of a block while that is a
/// quarter of it.
const BATCHES_PER_BLOCK: usize = 3;

/// How much room the log has; see the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Room {
    /// Everything is taken.
    Free,
    /// Leaders refuse ordinary commands.
    Soft,
    /// Followers refuse appends.
    Hard,
    /// Even the reserve is in use.
    Reserve,
}

/// Counts what is needed in every segment, and what will not be once something is covered.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    uses: BTreeMap<u32, u64>,
    /// Segments that lose a use when the batch is covered.
    retired: VecDeque<(u64, Vec<u32>)>,
    /// Checkpoints that count when the batch is covered.
    pointers: VecDeque<(u64, GroupId, Index)>,
}

impl Ledger {
    /// Something in each of these segments is needed.
    pub(super) fn use_all(&mut self, segments: impl IntoIterator<Item = u32>) {
        for segment in segments {
            *self.uses.entry(segment).or_default() += 1;
        }
    }

    /// Something in each of these segments is not needed any more.
    pub(super) fn drop_all(&mut self, segments: impl IntoIterator<Item = u32>) {
        for segment in segments {
            let uses = self.uses.get_mut(&segment).filter(|uses| **uses > 0);
            let uses = uses.unwrap_or_else(|| panic!("segment {segment} is used by nobody"));
            *uses -= 1;
        }
    }

    /// Something in each of these segments is not needed any more once `sequence` is covered.
    pub(super) fn retire(&mut self, sequence: u64, segments: impl IntoIterator<Item = u32>) {
        let segments: Vec<u32> = segments.into_iter().collect();
        if !segments.is_empty() {
            self.retired.push_back((sequence, segments));
        }
    }

    /// A checkpoint counts once `sequence` is covered.
    pub(super) fn expect_pointer(&mut self, sequence: u64, group: GroupId, at: Index) {
        self.pointers.push_back((sequence, group, at));
    }

    /// The group is gone; one that is born under its id later has nothing to do with its checkpoints.
    pub(super) fn forget_pointers(&mut self, group: GroupId) {
        self.pointers.retain(|(_, of, _)| *of != group);
    }

    fn take_pointer(&mut self, covered: u64) -> Option<(GroupId, Index)> {
        let pointer = self
            .pointers
            .pop_front_if(|(sequence, ..)| *sequence <= covered)?;
        Some((pointer.1, pointer.2))
    }

    fn drop_retired(&mut self, covered: u64) {
        while let Some((_, segments)) = self
            .retired
            .pop_front_if(|(sequence, _)| *sequence <= covered)
        {
            self.drop_all(segments);
        }
    }

    fn is_used(&self, segment: u32) -> bool {
        self.uses.get(&segment).is_some_and(|uses| *uses > 0)
    }
}

impl<D: Disk> Log<D> {
    /// The mark that the log stands at.
    #[must_use]
    pub fn room(&self) -> Room {
        let spares = self.spares.state().borrow();
        if spares.can_make() {
            return Room::Free;
        }
        match spares.ready_count() {
            0 => Room::Reserve,
            1 => Room::Hard,
            2 => Room::Soft,
            _ => Room::Free,
        }
    }

    /// Can records of so many bytes be appended now, so that hard states still find memory and the reserve?
    /// Asked before something is appended that can wait: a proposal, a received append, a checkpoint.
    #[must_use]
    pub fn has_room(&mut self, bytes: usize) -> bool {
        self.has_segments(bytes, limits::RESERVE_SEGMENTS) && self.has_memory(bytes)
    }

    /// The same, with the reserve: asked before a checkpoint or marks are written that will make room.
    #[must_use]
    pub fn has_room_for_upkeep(&mut self, bytes: usize) -> bool {
        self.has_segments(bytes, 0) && self.has_memory(bytes)
    }

    /// Do the rest of this segment and the spares, but for those kept back, take so many bytes of records?
    fn has_segments(&self, bytes: usize, kept_back: usize) -> bool {
        let batches = bytes / self.options.batch_bytes_max + 1;
        let directory = directory_bytes(self.options.runs_max());
        let frame = OpenBatch::least_bytes(directory, self.options.witness_bytes_max());
        let open = self
            .open
            .as_ref()
            .map_or(0, |open| open.batch.closed_bytes());
        let needed = (open + bytes + batches * (frame + self.heads_bytes_max())) as u64;
        let fits = self.tail_offset + needed <= self.segment_bytes;
        let spares = self.spares.state().borrow().ready_count();
        self.failure().is_none() && (fits || spares > kept_back)
    }

    fn has_memory(&mut self, bytes: usize) -> bool {
        let fits = self
            .open
            .as_ref()
            .is_some_and(|open| open.batch.has_room(bytes));
        let needed = self.blocks_kept_back()
            + if fits {
                0
            } else {
                1 + bytes / self.options.batch_bytes_max
            };
        while self.pool.available() < needed {
            if !self.memory.forget_oldest(self.commit.durable()) {
                return false;
            }
        }
        true
    }

    /// Blocks for what is written without asking: when a node falls, every group may write a few small records at
    /// once, and full directories close their batches. Never more than a quarter of the pool.
    fn blocks_kept_back(&self) -> usize {
        let records = self.groups.len() * limits::UNASKED_RECORDS_PER_GROUP;
        let blocks = records / (self.options.runs_max() * BATCHES_PER_BLOCK);
        1 + blocks.min(self.options.pool_bytes / self.options.block_bytes() / 4)
    }

    /// Entries of the group up to `to` are not needed here any more: everybody who is waited for has them, and
    /// nothing is pinned at or below. Only what a covered checkpoint stands for goes; gives up to where that is.
    pub fn release(&mut self, group: GroupId, to: Index) -> Index {
        let state = self.groups.expect_mut(group);
        let to = to.min(state.checkpoint_covered);
        let gone = state.release(to);
        self.ledger.drop_all(gone.iter().map(|item| item.segment));
        to
    }

    /// The highest index that a covered checkpoint of the group stands for.
    #[must_use]
    pub fn checkpoint_covered(&self, group: GroupId) -> Index {
        self.groups.expect(group).checkpoint_covered
    }

    /// How far entries of the group were let go of: what the next pointer must tell.
    #[must_use]
    pub fn floor(&self, group: GroupId) -> Position {
        self.groups.expect(group).floor
    }

    /// First entry of the group that is held, if any is.
    #[must_use]
    pub fn first(&self, group: GroupId) -> Option<Index> {
        self.groups.expect(group).index.first()
    }

    /// Groups that need something in the oldest segment, by id.
    #[must_use]
    pub fn oldest_holders(&self) -> Vec<GroupId> {
        self.holders(|_, group, oldest| group.segments().any(|segment| segment == oldest))
    }

    /// Those of them whom a checkpoint would help that is taken now, at what `applied` gives, by id. Entries that the
    /// newest one stands for wait for other members, and those that are not applied for their commit: no checkpoint
    /// helps these, and each would take of the reserve.
    #[must_use]
    pub fn oldest_holders_for_checkpoint(
        &self,
        applied: impl Fn(GroupId) -> Index,
    ) -> Vec<GroupId> {
        self.holders(|id, group, oldest| group.would_let_go_of(oldest, applied(id)))
    }

    fn holders(&self, holds: impl Fn(GroupId, &GroupLog, u32) -> bool) -> Vec<GroupId> {
        let Some(oldest) = self.segments.front() else {
            return Vec::new();
        };
        let number = oldest.live.name.number;
        self.groups
            .from(GroupId::SYSTEM)
            .filter(|(id, group)| holds(*id, group, number))
            .map(|(id, _)| id)
            .collect()
    }

    /// Segments that hold batches.
    #[must_use]
    pub fn used_segments(&self) -> usize {
        self.segments.len()
    }

    /// Segments that the manifest lists, spare ones too: as many files are open.
    #[must_use]
    pub fn listed_segments(&self) -> usize {
        self.spares.state().borrow().listed_count()
    }

    /// Bytes of the segments that hold batches.
    #[must_use]
    pub fn used_bytes(&self) -> u64 {
        self.segments.len() as u64 * self.segment_bytes
    }

    /// Frees what nobody needs, and sees to spares. Called now and then, and when room is short.
    pub fn tend(&mut self) {
        while self.is_oldest_free() {
            let Some(oldest) = self.segments.pop_front() else {
                break;
            };
            let freed = FreedSegment {
                name: oldest.live.name,
                file: oldest.live.file,
                pin: oldest.pin,
            };
            self.spares.state().borrow_mut().free(freed);
        }
        self.spares.state().borrow_mut().try_again();
        self.spares.wake();
    }

    fn is_oldest_free(&self) -> bool {
        let covered = self.commit.covered();
        let Some(oldest) = self.segments.front() else {
            return false;
        };
        let name = oldest.live.name;
        let is_told_again = self.segments.iter().skip(1).any(|later| {
            later
                .heads_complete
                .is_some_and(|sequence| sequence <= covered)
        });
        let is_written = self
            .full
            .iter()
            .chain(&self.open)
            .all(|batch| batch.segment != name);
        !oldest.live.is_held
            && is_told_again
            && is_written
            && oldest.live.last_sequence <= covered
            && !self.ledger.is_used(name.number)
    }

    /// More is covered than before.
    pub(super) fn on_covered(&mut self) {
        let covered = self.commit.covered();
        #[cfg(feature = "mutants")]
        let covered = if mutant::is(Mutant::ReleasedUncovered) {
            u64::MAX
        } else {
            covered
        };
        while let Some((id, at)) = self.ledger.take_pointer(covered) {
            if self.groups.find(id).is_some() {
                let group = self.groups.expect_mut(id);
                group.checkpoint_covered = group.checkpoint_covered.max(at);
            }
        }
        self.ledger.drop_retired(covered);
    }
}
