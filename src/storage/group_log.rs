//! What the log knows of one group: who the replica is, where its entries are, and what it needs to live.

use super::index::{GroupIndex, IndexItem};
use super::payload::Head;
use super::resume::{RecordPlace, ReplicaIdentity, ResumedGroup, StoredCheckpoint};
use margay_raft::{HardState, Position};
use margay_types::{GroupId, Index};
use std::collections::BTreeMap;

/// A checkpoint that is being written: its pointer is not there yet.
#[derive(Debug)]
pub(crate) struct NextCheckpoint {
    pub(crate) at: Index,
    pub(crate) stream_epoch: u64,
    pub(crate) chunks: Vec<RecordPlace>,
}

/// One group of the log.
#[derive(Debug)]
pub(crate) struct GroupLog {
    pub(crate) identity: ReplicaIdentity,
    pub(crate) hard_state: HardState,
    /// Last entry, or what the checkpoint stands for when there is none behind it.
    pub(crate) last: Position,
    /// How far entries were let go of: a member may end exactly there.
    pub(crate) floor: Position,
    pub(crate) configurations: Vec<Index>,
    pub(crate) index: GroupIndex,
    /// Is the last item of the index in the batch of this sequence, and may it grow?
    pub(crate) growing: Option<u64>,
    /// The run that the growing item ends with.
    pub(crate) last_run: u32,
    pub(crate) checkpoint: StoredCheckpoint,
    /// The highest index whose entries may go: covered by a durable, covered checkpoint.
    pub(crate) checkpoint_covered: Index,
    pub(crate) next_checkpoint: Option<NextCheckpoint>,
    /// The batch that names the group's newest write, and where.
    pub(crate) noted: (u64, usize),
}

impl GroupLog {
    /// A replica as recovery found it, or as it is born.
    pub(crate) fn new(resumed: ResumedGroup) -> Self {
        let checkpoint_covered = resumed
            .checkpoint
            .pointer
            .map_or(Index::ZERO, |at| at.at.index);
        let group = Self {
            identity: resumed.identity,
            hard_state: resumed.hard_state,
            last: resumed.last,
            floor: resumed.floor,
            configurations: resumed.configurations,
            index: GroupIndex::new(resumed.items),
            growing: None,
            last_run: 0,
            checkpoint: resumed.checkpoint,
            checkpoint_covered,
            next_checkpoint: None,
            noted: (0, 0),
        };
        if let Some(last) = group.index.last() {
            assert!(
                last == group.last,
                "the index ends at {last:?}, the log at {:?}",
                group.last
            );
        }
        group
    }

    /// What a head record says of it now.
    pub(crate) fn head(&self) -> Head {
        let pointer = self.checkpoint.pointer;
        Head {
            incarnation: self.identity.incarnation,
            replica: self.identity.replica,
            recovery_number: self.identity.recovery_number,
            hard_state: self.hard_state,
            last: self.last,
            checkpoint: pointer.map_or(Index::ZERO, |pointer| pointer.at.index),
            stream_epoch: pointer.map_or(0, |pointer| pointer.stream_epoch),
            configuration: self.configurations.last().copied().unwrap_or(Index::ZERO),
        }
    }

    /// Term and index of the last entry at or before `index` that is known here.
    pub(crate) fn position_at(&self, index: Index) -> Position {
        match self.index.term(index) {
            Some(term) => Position { term, index },
            None => self
                .checkpoint
                .pointer
                .map_or(Position::ZERO, |pointer| pointer.at),
        }
    }

    /// Entries from `from` on are gone; gives the items that nothing refers to any more.
    pub(crate) fn truncate(&mut self, from: Index) -> Vec<IndexItem> {
        let gone = self.index.truncate(from);
        self.last = self.position_at(from.previous());
        self.configurations.retain(|index| *index < from);
        self.growing = None;
        gone
    }

    /// Entries up to `to` are not needed; gives the items that nothing refers to any more. The next recovery must know
    /// the term at `to`: the newest pointer tells it, and else nothing but the entry itself, which stays.
    pub(crate) fn release(&mut self, to: Index) -> Vec<IndexItem> {
        if to <= self.floor.index {
            return Vec::new();
        }
        let pointer = self.checkpoint.pointer.map(|pointer| pointer.at);
        let told = pointer.filter(|at| at.index == to);
        self.floor = told.unwrap_or_else(|| self.position_at(to));
        assert!(
            self.floor.index == to,
            "entries are released up to {to}, which is not held"
        );
        let in_force = self.configurations.partition_point(|index| *index <= to);
        self.configurations.drain(..in_force.saturating_sub(1));
        let gone = self
            .index
            .release(if told.is_some() { to } else { to.previous() });
        if self.index.first().is_none() {
            self.growing = None;
        }
        gone
    }

    /// Would a checkpoint at `next` let go of what is in this segment: the newest one, and entries above it? Not while
    /// one of these lies above `next`, too: the segment stays then, whatever else in it goes.
    pub(crate) fn would_let_go_of(&self, segment: u32, next: Index) -> bool {
        let StoredCheckpoint {
            pointer,
            place,
            chunks,
        } = &self.checkpoint;
        let at = pointer.map_or(Index::ZERO, |pointer| pointer.at.index);
        let items = self.index.items();
        let last = items
            .filter(|item| item.segment == segment)
            .map(|item| item.last)
            .max();
        let holds_checkpoint =
            place.segment == segment || chunks.iter().any(|chunk| chunk.segment == segment);
        last.is_none_or(|last| last <= next)
            && (holds_checkpoint || last.is_some_and(|last| last > at))
    }

    /// Places of everything that the group needs, with the segment of each.
    pub(crate) fn segments(&self) -> impl Iterator<Item = u32> {
        let items = self.index.items().map(|item| item.segment);
        let chunks = self.checkpoint.chunks.iter().map(|place| place.segment);
        let next = self.next_checkpoint.iter().flat_map(|next| &next.chunks);
        let next = next.map(|place| place.segment);
        items
            .chain(chunks)
            .chain(next)
            .chain([self.checkpoint.place.segment])
    }
}

/// The groups of a log, by id. The one used last is found without a search: records come in runs.
#[derive(Debug, Default)]
pub(crate) struct GroupLogs {
    groups: Vec<Option<GroupLog>>,
    slots: BTreeMap<GroupId, usize>,
    latest: Option<(GroupId, usize)>,
}

impl GroupLogs {
    pub(crate) fn insert(&mut self, id: GroupId, group: GroupLog) {
        let slot = self.groups.len();
        self.groups.push(Some(group));
        let earlier = self.slots.insert(id, slot);
        assert!(earlier.is_none(), "group {id} is here already");
    }

    pub(crate) fn remove(&mut self, id: GroupId) -> Option<GroupLog> {
        self.latest = None;
        let slot = self.slots.remove(&id)?;
        self.groups.get_mut(slot).and_then(Option::take)
    }

    pub(crate) fn find(&self, id: GroupId) -> Option<&GroupLog> {
        let slot = *self.slots.get(&id)?;
        self.groups.get(slot).and_then(Option::as_ref)
    }

    /// The group.
    ///
    /// # Panics
    /// If it does not live here: the shard asks only for groups that it has.
    pub(crate) fn expect(&self, id: GroupId) -> &GroupLog {
        self.find(id)
            .unwrap_or_else(|| panic!("group {id} does not live in this log"))
    }

    /// The group, to be changed; panics as `expect` does.
    pub(crate) fn expect_mut(&mut self, id: GroupId) -> &mut GroupLog {
        let slot = match self.latest {
            Some((latest, slot)) if latest == id => Some(slot),
            Some(_) | None => self.slots.get(&id).copied(),
        };
        self.latest = slot.map(|slot| (id, slot));
        let group = slot
            .and_then(|slot| self.groups.get_mut(slot))
            .and_then(Option::as_mut);
        group.unwrap_or_else(|| panic!("group {id} does not live in this log"))
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// The groups in order of their ids, from `from` on.
    pub(crate) fn from(&self, from: GroupId) -> impl Iterator<Item = (GroupId, &GroupLog)> {
        self.slots.range(from..).filter_map(|(id, slot)| {
            let group = self.groups.get(*slot)?.as_ref()?;
            Some((*id, group))
        })
    }
}
