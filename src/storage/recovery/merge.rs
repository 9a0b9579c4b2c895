//! The state of every group, from records in whatever order they were found.
//!
//! Each record has an *origin*: the batch that it was first written in, and its place there. Ordered by origin,
//! records are what the group did, one after the other, so merging is sorting and then doing it again:
//!
//! | record | does |
//! | --- | --- |
//! | entry | takes its index, whatever stood there before |
//! | truncation | removes all entries from its index on |
//! | hard state | the greatest term counts, in it a vote over no vote; two votes in one term are corruption |
//! | checkpoint pointer | the greatest (stream epoch, index) counts; a stream's kills the entries that it replaces |
//! | group removed | forgets all that came before |
//! | head | repeats where the group stood, and so shows what was lost |
//!
//! What is damaged takes part: a bad entry keeps its index as *faulty*, so that a later truncation or entry heals it,
//! and a loss that nobody can name stands against the group until a later head shows that nothing of it was lost.

use super::super::batch::SegmentName;
use super::super::directory::RunClass;
use super::super::payload::{CheckpointPointer, Created, Head, Tail};
use super::super::resume::{RecordPlace, ReplicaIdentity};
use super::runs::{BadRecords, Content, FoundRecord};
use margay_raft::{EntryKind, HardState, Position};
use margay_types::{GroupId, Index, Term};
use std::collections::BTreeMap;

/// When a record was first written; orders everything that one log says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Origin {
    /// Sequence of the batch.
    pub sequence: u64,
    /// Offset in the batch.
    pub offset: u32,
}

/// Where a record's bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// In which segment.
    pub segment: SegmentName,
    /// Where in it.
    pub offset: u32,
    /// How many, header and padding included.
    pub bytes: u32,
    /// The batch that they stand in.
    pub sequence: u64,
}

/// An entry that the log holds, or held: `place` is `None` when it is faulty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryFacts {
    /// Its term.
    pub term: Term,
    /// What it is for; unknown of a faulty one, unless its class says.
    pub kind: Option<EntryKind>,
    /// Where it is.
    pub place: Option<Place>,
}

/// A checkpoint that a pointer made complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundCheckpoint {
    /// What the pointer says.
    pub pointer: CheckpointPointer,
    /// Where it stands.
    pub place: Place,
    /// Its chunks, by number; a missing one is damaged.
    pub chunks: BTreeMap<u32, Place>,
}

impl FoundCheckpoint {
    /// Where one of its chunks stands.
    #[must_use]
    pub fn chunk(&self, number: u32) -> Option<RecordPlace> {
        self.chunks.get(&number).map(Place::of_record)
    }
}

/// Something that one record, or the lack of one, says of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fact {
    /// A good record and where it is.
    Record(FoundRecord, Place),
    /// Records known by a directory only.
    Bad(BadRecords),
}

/// A loss that was not healed by what came later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    /// A term or vote may be forgotten.
    HardState,
    /// Two different votes in one term were found.
    TwoVotes(Term),
    /// A truncation from this index on.
    Truncation(Index),
    /// A mark, or a part of a checkpoint, that belongs to this index.
    Other(Index),
    /// A head names a last entry that is not there.
    Head(Position),
    /// A head or pointer names another replica than the one that was born here.
    Birth,
}

/// What is known of one group while its facts are told again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Merged {
    pub(crate) created: Option<(Created, Place)>,
    pub(crate) head: Option<Head>,
    pub(crate) hard_state: HardState,
    pub(crate) entries: BTreeMap<Index, EntryFacts>,
    pub(crate) origins: BTreeMap<Index, Origin>,
    pub(crate) configurations: BTreeMap<Index, Vec<u8>>,
    pub(crate) checkpoint: Option<FoundCheckpoint>,
    pub(crate) losses: Vec<(Origin, Loss)>,
    /// Sequence of the last batch with a head of the group.
    pub(crate) head_sequence: u64,
    pub(crate) identity: Option<ReplicaIdentity>,
    pub(crate) chunks: BTreeMap<(u64, Index, u32), Place>,
}

/// Facts of all groups, in whatever order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    by_group: BTreeMap<GroupId, Vec<(Origin, Fact)>>,
}

impl Facts {
    /// Takes in what a record says.
    pub(crate) fn tell(&mut self, group: GroupId, origin: Origin, fact: Fact) {
        if group != GroupId::LOG {
            self.by_group.entry(group).or_default().push((origin, fact));
        }
    }

    /// The state of every group that still exists.
    pub(crate) fn merge(self) -> BTreeMap<GroupId, Merged> {
        let merged = self.by_group.into_iter().filter_map(|(group, facts)| {
            let merged = merge_group(facts)?;
            Some((group, merged))
        });
        merged.collect()
    }
}

fn merge_group(mut facts: Vec<(Origin, Fact)>) -> Option<Merged> {
    facts.sort_by_key(|(origin, _)| *origin);
    let mut merged = None;
    for (origin, fact) in facts {
        match fact {
            Fact::Record(record, _) if record.content == Content::Removed => merged = None,
            Fact::Record(record, place) => {
                merged
                    .get_or_insert_with(Merged::default)
                    .apply(origin, record, place);
            }
            Fact::Bad(bad) => merged
                .get_or_insert_with(Merged::default)
                .lose(origin, &bad),
        }
    }
    merged
}

impl Merged {
    fn apply(&mut self, origin: Origin, record: FoundRecord, place: Place) {
        let FoundRecord {
            fields, content, ..
        } = record;
        match content {
            Content::Entry(kind) => {
                self.store(
                    origin,
                    fields.index,
                    EntryFacts {
                        term: fields.term,
                        kind: Some(kind),
                        place: Some(place),
                    },
                );
            }
            Content::Configuration(payload) => {
                self.store(
                    origin,
                    fields.index,
                    EntryFacts {
                        term: fields.term,
                        kind: Some(EntryKind::Configuration),
                        place: Some(place),
                    },
                );
                self.configurations.insert(fields.index, payload);
            }
            Content::Created(created) => {
                *self = Self {
                    identity: Some(ReplicaIdentity {
                        incarnation: created.incarnation,
                        replica: created.replica,
                        recovery_number: created.recovery_number,
                    }),
                    created: Some((created, place)),
                    ..Self::default()
                };
            }
            Content::HardState(hard_state) => self.promise(origin, hard_state),
            Content::Head(head) => self.look(origin, head),
            Content::Truncation => self.truncate(fields.index),
            Content::Chunk(chunk) => {
                let key = (chunk.stream_epoch, fields.index, chunk.number);
                self.chunks.insert(key, place);
            }
            Content::Pointer(pointer) => self.point(origin, pointer, place),
            Content::Removed | Content::Other => {}
        }
    }

    fn store(&mut self, origin: Origin, index: Index, entry: EntryFacts) {
        self.configurations.remove(&index);
        self.entries.insert(index, entry);
        self.origins.insert(index, origin);
    }

    fn truncate(&mut self, from: Index) {
        self.entries.split_off(&from);
        self.origins.split_off(&from);
        self.configurations.split_off(&from);
        self.forgive_losses_from(from);
    }

    /// What was lost from here on is gone by right since a truncation that was written later. What a head named beyond
    /// it may have been in a segment that was freed.
    fn forgive_losses_from(&mut self, from: Index) {
        self.losses
            .retain(|(_, loss)| !matches!(loss, Loss::Truncation(lost) if *lost >= from));
        for (_, loss) in &mut self.losses {
            if let Loss::Head(named) = loss {
                named.index = named.index.min(from.previous());
            }
        }
    }

    /// A durable promise. A good one heals an earlier loss: terms only grow, and it was written later.
    fn promise(&mut self, origin: Origin, hard_state: HardState) {
        self.losses
            .retain(|(lost, loss)| *loss != Loss::HardState || *lost > origin);
        let HardState { term, voted_for } = hard_state;
        let known = &mut self.hard_state;
        match (known.term.cmp(&term), known.voted_for, voted_for) {
            (std::cmp::Ordering::Less, _, _) => *known = hard_state,
            (std::cmp::Ordering::Equal, Some(before), Some(now)) if before != now => {
                self.losses.push((origin, Loss::TwoVotes(term)));
            }
            (std::cmp::Ordering::Equal, None, Some(_)) => *known = hard_state,
            (std::cmp::Ordering::Equal | std::cmp::Ordering::Greater, _, _) => {}
        }
    }

    fn look(&mut self, origin: Origin, head: Head) {
        let identity = ReplicaIdentity {
            incarnation: head.incarnation,
            replica: head.replica,
            recovery_number: head.recovery_number,
        };
        if *self.identity.get_or_insert(identity) != identity {
            self.losses.push((origin, Loss::Birth));
        }
        self.promise(origin, head.hard_state);
        self.head_sequence = self.head_sequence.max(origin.sequence);
        self.head = Some(head);
        let last = self.last();
        if last.index > head.last.index {
            self.losses
                .push((origin, Loss::Truncation(head.last.index.next())));
        } else if last != head.last {
            self.losses.push((origin, Loss::Head(head.last)));
        }
        let checkpoint = self
            .checkpoint
            .as_ref()
            .map_or(Index::ZERO, |it| it.pointer.at.index);
        if head.checkpoint > checkpoint {
            self.losses.push((origin, Loss::Other(head.checkpoint)));
        }
    }

    fn point(&mut self, origin: Origin, pointer: CheckpointPointer, at: Place) {
        if self
            .identity
            .is_some_and(|own| own.replica != pointer.replica)
        {
            self.losses.push((origin, Loss::Birth));
        }
        let rank = |pointer: &CheckpointPointer| (pointer.stream_epoch, pointer.at.index);
        if self
            .checkpoint
            .as_ref()
            .is_some_and(|known| rank(&known.pointer) >= rank(&pointer))
        {
            return;
        }
        if pointer.first_origin > 0 {
            self.replace_by_stream(&pointer);
        }
        let wanted = (pointer.stream_epoch, pointer.at.index);
        let chunks = self
            .chunks
            .iter()
            .filter(|((epoch, at, _), _)| (*epoch, *at) == wanted);
        let chunks = chunks
            .map(|((_, _, number), place)| (*number, *place))
            .collect();
        self.checkpoint = Some(FoundCheckpoint {
            pointer,
            place: at,
            chunks,
        });
    }

    /// A refill was switched to: what the replica held up to it is dead, and behind it only what belongs to that log.
    fn replace_by_stream(&mut self, pointer: &CheckpointPointer) {
        let at = pointer.at.index;
        let dead: Vec<Index> = self
            .origins
            .range(..=at)
            .filter(|(_, origin)| origin.sequence < pointer.first_origin)
            .map(|(index, _)| *index)
            .collect();
        for index in dead {
            self.entries.remove(&index);
            self.origins.remove(&index);
            self.configurations.remove(&index);
        }
        match pointer.tail {
            Tail::Keep => {}
            Tail::Cut => self.truncate(at.next()),
        }
    }

    fn lose(&mut self, origin: Origin, bad: &BadRecords) {
        match bad.class {
            RunClass::Plain | RunClass::Configuration | RunClass::Keeping => {
                let kind = match bad.class {
                    RunClass::Configuration => Some(EntryKind::Configuration),
                    RunClass::Keeping => Some(EntryKind::CommandKeeping),
                    RunClass::Plain
                    | RunClass::HardState
                    | RunClass::Truncation
                    | RunClass::Other => None,
                };
                for index in bad.first.number()..=bad.last.number() {
                    let faulty = EntryFacts {
                        term: bad.term,
                        kind,
                        place: None,
                    };
                    self.store(origin, Index::new(index), faulty);
                }
            }
            RunClass::HardState => self.losses.push((origin, Loss::HardState)),
            RunClass::Truncation => self.losses.push((origin, Loss::Truncation(bad.first))),
            RunClass::Other => self.losses.push((origin, Loss::Other(bad.first))),
        }
    }

    /// Its last entry, or its checkpoint.
    pub(crate) fn last(&self) -> Position {
        let checkpoint = self
            .checkpoint
            .as_ref()
            .map_or(Position::ZERO, |it| it.pointer.at);
        match self.entries.last_key_value() {
            Some((index, entry)) if *index > checkpoint.index => Position {
                term: entry.term,
                index: *index,
            },
            _ => checkpoint,
        }
    }
}

#[cfg(test)]
#[path = "merge_tests.rs"]
mod tests;
