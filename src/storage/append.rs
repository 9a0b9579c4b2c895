//! Records go into the open batch: one copy, one checksum, and a few numbers to keep per entry.
//!
//! Entries of a group must follow its last one; what the core asks for out of order is our own mistake. The index
//! grows by one item per group and batch, and the batch remembers the latest write of every group that ends in it.

use super::disk::Disk;
use super::error::StorageError;
use super::group_log::GroupLog;
use super::index::IndexItem;
use super::log::Log;
use super::open_batch::Placed;
use super::options::{Sequence, Waiter};
use super::payload::{self, Created, Mark};
use super::record::{self, RecordFields, RecordKind, RecordView};
use super::resume::{RecordPlace, ReplicaIdentity, ResumedGroup, StoredCheckpoint};
use margay_raft::{EntryKind, HardState, Position, WriteId};
#[cfg(feature = "mutants")]
use margay_types::mutant::{self, Mutant};
use margay_types::{GroupId, Index, LogTime, Term};

/// An entry that this replica makes as leader.
#[derive(Clone, Copy, Debug)]
pub struct NewEntry<'a> {
    /// Whose it is.
    pub group: GroupId,
    /// Where it stands.
    pub position: Position,
    /// What it is for.
    pub kind: EntryKind,
    /// Log time of the group.
    pub log_time: LogTime,
    /// The payload, in pieces that are copied once.
    pub payload: &'a [&'a [u8]],
}

impl<D: Disk> Log<D> {
    /// Appends an entry that this replica made. The payload is copied once.
    ///
    /// # Errors
    /// If the log has failed, or there is no room although a write cannot wait; see [`StorageError`].
    ///
    /// # Panics
    /// If the entry does not follow the group's last one.
    pub fn append_entry(
        &mut self,
        entry: &NewEntry<'_>,
        write: WriteId,
    ) -> Result<Sequence, StorageError> {
        let fields = RecordFields {
            kind: RecordKind::Entry(entry.kind),
            group: entry.group,
            term: entry.position.term,
            index: entry.position.index,
            time: entry.log_time.number(),
        };
        let payload: usize = entry.payload.iter().map(|piece| piece.len()).sum();
        let placed = self
            .open_for(record::record_bytes(payload))?
            .append_pieces(&fields, entry.payload);
        Ok(self.on_entry(&fields, placed, write))
    }

    /// Appends a received entry, byte for byte.
    ///
    /// # Errors
    /// As for [`Self::append_entry`].
    ///
    /// # Panics
    /// If the record is no entry, or does not follow the group's last one.
    pub fn append_received(
        &mut self,
        record: &RecordView<'_>,
        write: WriteId,
    ) -> Result<Sequence, StorageError> {
        let is_entry = matches!(record.kind(), RecordKind::Entry(_));
        assert!(
            is_entry,
            "a record of kind {:?} was received as an entry",
            record.kind()
        );
        let placed = self.open_for(record.bytes().len())?.append_framed(record);
        Ok(self.on_entry(record.fields(), placed, write))
    }

    /// Makes term and vote durable.
    ///
    /// # Errors
    /// As for [`Self::append_entry`].
    pub fn save_hard_state(
        &mut self,
        group: GroupId,
        hard_state: HardState,
        write: WriteId,
    ) -> Result<Sequence, StorageError> {
        let state = self.groups.expect_mut(group);
        assert!(
            state.hard_state.term <= hard_state.term,
            "term {} of group {group} after {}",
            hard_state.term,
            state.hard_state.term
        );
        state.hard_state = hard_state;
        let own = OwnRecord::new(RecordKind::HardState, group).at(hard_state.term, Index::ZERO);
        let payload = payload::encode_hard_state(&hard_state);
        let place = self.append_own(own, &[&payload], Waiter::Core(write))?;
        Ok(Sequence(place.sequence))
    }

    /// Records that the entries from `from` on are gone.
    ///
    /// # Errors
    /// As for [`Self::append_entry`].
    pub fn truncate(
        &mut self,
        group: GroupId,
        from: Index,
        write: WriteId,
    ) -> Result<Sequence, StorageError> {
        let state = self.groups.expect(group);
        assert!(
            from > state.checkpoint_covered,
            "a truncation from {from} below the checkpoint of group {group}"
        );
        let own = OwnRecord::new(RecordKind::Truncation, group).at(Term::ZERO, from);
        let place = self.append_own(own, &[], Waiter::Core(write))?;
        let gone = self.groups.expect_mut(group).truncate(from);
        self.ledger
            .retire(place.sequence, gone.iter().map(|item| item.segment));
        Ok(Sequence(place.sequence))
    }

    /// Records that parts of entries were released.
    ///
    /// # Errors
    /// As for [`Self::append_entry`].
    pub fn write_marks(
        &mut self,
        group: GroupId,
        marks: &[Mark],
    ) -> Result<Sequence, StorageError> {
        let newest = marks
            .iter()
            .map(|mark| mark.released_by)
            .max()
            .unwrap_or(Index::ZERO);
        let own = OwnRecord::new(RecordKind::Marks, group).at(Term::ZERO, newest);
        let payload = payload::encode_marks(marks);
        let place = self.append_own(own, &[&payload], Waiter::Nobody)?;
        Ok(Sequence(place.sequence))
    }

    /// A replica is born. Its first message may leave when the batch is durable.
    ///
    /// # Errors
    /// As for [`Self::append_entry`].
    ///
    /// # Panics
    /// If the group lives here already, has the log's own id, or there are [`Self::groups_max`].
    pub fn create_group(
        &mut self,
        group: GroupId,
        created: &Created,
    ) -> Result<Sequence, StorageError> {
        assert!(group < GroupId::LOG, "group {group} is the log itself");
        assert!(
            self.groups.len() < self.groups_max(),
            "{} groups are here",
            self.groups.len()
        );
        let own = OwnRecord::new(RecordKind::Created, group)
            .at(Term::new(created.recovery_number), Index::ZERO);
        let place = self.append_own(own, &[&created.encode()], Waiter::Nobody)?;
        let identity = ReplicaIdentity {
            incarnation: created.incarnation,
            replica: created.replica,
            recovery_number: created.recovery_number,
        };
        let born = GroupLog::new(ResumedGroup {
            group,
            identity,
            hard_state: HardState::default(),
            last: Position::ZERO,
            floor: Position::ZERO,
            configurations: vec![Index::ZERO],
            checkpoint: StoredCheckpoint {
                pointer: None,
                place,
                chunks: Vec::new(),
            },
            items: Vec::new(),
        });
        self.ledger.use_all(born.segments());
        self.groups.insert(group, born);
        Ok(Sequence(place.sequence))
    }

    /// The replica is gone for good; nothing of it is needed once this is covered.
    ///
    /// # Errors
    /// As for [`Self::append_entry`].
    pub fn remove_group(&mut self, group: GroupId) -> Result<Sequence, StorageError> {
        let own = OwnRecord::new(RecordKind::GroupRemoved, group);
        let place = self.append_own(own, &[], Waiter::Nobody)?;
        self.ledger.forget_pointers(group);
        if let Some(gone) = self.groups.remove(group) {
            self.ledger.retire(place.sequence, gone.segments());
        }
        Ok(Sequence(place.sequence))
    }

    /// Appends a record of storage's own; gives its place.
    pub(super) fn append_own(
        &mut self,
        own: OwnRecord,
        pieces: &[&[u8]],
        waiter: Waiter,
    ) -> Result<RecordPlace, StorageError> {
        let payload: usize = pieces.iter().map(|piece| piece.len()).sum();
        let batch = self.open_for(record::record_bytes(payload))?;
        let fields = own.fields(batch.sequence());
        let placed = batch.append_pieces(&fields, pieces);
        match waiter {
            Waiter::Core(write) => self.note(own.group, write),
            Waiter::Nobody => {}
        }
        Ok(self.place_of(placed))
    }

    /// Where a record of the open batch will stand in its segment.
    fn place_of(&self, placed: Placed) -> RecordPlace {
        let open = self.open.as_ref().expect("a record was just placed in it");
        RecordPlace {
            segment: open.segment.number,
            offset: open.offset + placed.offset,
            length: placed.bytes,
            sequence: open.batch.sequence(),
        }
    }

    fn on_entry(&mut self, fields: &RecordFields, placed: Placed, write: WriteId) -> Sequence {
        let place = self.place_of(placed);
        let group = self.groups.expect_mut(fields.group);
        assert!(
            fields.index == group.last.index.next() && fields.term >= group.last.term,
            "entry {}@{} of group {} behind {:?}",
            fields.index,
            fields.term,
            fields.group,
            group.last
        );
        group.last = Position {
            term: fields.term,
            index: fields.index,
        };
        if fields.kind == RecordKind::Entry(EntryKind::Configuration) {
            group.configurations.push(fields.index);
        }
        let growing = group.growing == Some(place.sequence);
        match group
            .index
            .last_mut()
            .filter(|item| growing && item.term == fields.term)
        {
            Some(item) => {
                item.last = fields.index;
                item.length = place.offset + place.length - item.offset;
                if group.last_run != placed.run {
                    let open = self.open.as_mut().expect("the entry is in it");
                    open.batch.link_runs(group.last_run, placed.run);
                }
            }
            None => {
                group.growing = Some(place.sequence);
                self.ledger.use_all([place.segment]);
                group.index.push(IndexItem {
                    first: fields.index,
                    last: fields.index,
                    term: fields.term,
                    sequence: place.sequence,
                    segment: place.segment,
                    offset: place.offset,
                    length: place.length,
                    first_run: placed.run,
                });
            }
        }
        group.last_run = placed.run;
        self.note(fields.group, write);
        Sequence(place.sequence)
    }

    /// The open batch holds a write of the group's core. A write that goes on from the batch before is durable with
    /// its last record only, so that batch reports it no more. It is not under way yet: between the records of one
    /// write nothing is submitted. One write at most goes on from a batch, so the places of others there do not matter
    /// any more.
    fn note(&mut self, id: GroupId, write: WriteId) {
        let open = self.open.as_mut().expect("the write is in it");
        let group = self.groups.expect_mut(id);
        let (sequence, at) = group.noted;
        if sequence == open.batch.sequence() {
            let noted = open.waiting.get_mut(at).expect("noted in this batch");
            assert!(
                noted.1 <= write,
                "write {write:?} of group {id} after {:?}",
                noted.1
            );
            noted.1 = write;
        } else {
            group.noted = (open.batch.sequence(), open.waiting.len());
            open.waiting.push((id, write));
            #[cfg(feature = "mutants")]
            if mutant::is(Mutant::SpanningWriteEarly) {
                return;
            }
            let before = self.full.back_mut();
            let before = before.filter(|before| before.batch.sequence() == sequence);
            if let Some(before) = before
                && before.waiting.get(at) == Some(&(id, write))
            {
                before.waiting.swap_remove(at);
            }
        }
    }
}

/// Header of a record of storage's own, but for its origin, which the open batch gives.
#[derive(Clone, Copy, Debug)]
pub(super) struct OwnRecord {
    kind: RecordKind,
    group: GroupId,
    term: Term,
    index: Index,
}

impl OwnRecord {
    pub(super) fn new(kind: RecordKind, group: GroupId) -> Self {
        Self {
            kind,
            group,
            term: Term::ZERO,
            index: Index::ZERO,
        }
    }

    pub(super) fn at(self, term: Term, index: Index) -> Self {
        Self {
            term,
            index,
            ..self
        }
    }

    pub(super) fn fields(self, sequence: u64) -> RecordFields {
        let Self {
            kind,
            group,
            term,
            index,
        } = self;
        RecordFields {
            kind,
            group,
            term,
            index,
            time: sequence,
        }
    }
}
