//! What a replica may do after its records were merged: serve, or be named as damaged.
//!
//! One node alone decides only what is certain without its peers. A group that lost anything that it may have promised
//! does not serve until the others have helped; the rest of the log is not held up by it.

use super::super::payload::{Created, Head};
use super::super::resume::ReplicaIdentity;
use super::merge::{EntryFacts, FoundCheckpoint, Loss, Merged, Place};
use margay_raft::{HardState, Position};
#[cfg(feature = "mutants")]
use margay_types::mutant::{self, Mutant};
use margay_types::{GroupId, Index, Term};
use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;

/// What a group lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Damage {
    /// Entries were durable and cannot be read; what they were is known by term. Ask for these.
    Entries,
    /// Among them is a change of the members: the quorum is unknown until it is repaired.
    Configuration,
    /// Entries are missing, and nothing says what they were.
    Gap,
    /// A term or vote may be forgotten: it must grant no vote until it asked all others.
    HardState,
    /// Two different votes were cast in one term, which no crash explains.
    TwoVotes,
    /// Something that could not be named was lost, and nothing later shows that it was not of this group.
    Head,
    /// A truncation is lost: entries that look alive may be dead.
    Truncation,
    /// Marks or parts of a checkpoint are lost: refill.
    Checkpoint,
    /// Nothing says who the replica is, or two records do not agree.
    Birth,
}

impl fmt::Display for Damage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Entries => "entries are damaged",
            Self::Configuration => "a change of the members is damaged",
            Self::Gap => "entries are missing",
            Self::HardState => "a term or vote may be lost",
            Self::TwoVotes => "two votes in one term",
            Self::Head => "the end of its log is uncertain",
            Self::Truncation => "a truncation is damaged",
            Self::Checkpoint => "marks or parts of its checkpoint are damaged",
            Self::Birth => "its birth is damaged",
        })
    }
}

/// May the group act?
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupStatus {
    /// All that it ever promised is here.
    Serves,
    /// It does not act until it is repaired.
    Damaged {
        /// The indexes that are concerned.
        range: RangeInclusive<Index>,
        /// What was lost there.
        reason: Damage,
    },
}

/// Entries of one term that follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TermRun {
    /// Index of the first.
    pub first: Index,
    /// Their term.
    pub term: Term,
}

/// A replica as its log tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecoveredGroup {
    /// Which group.
    pub group: GroupId,
    /// Who it is, if its birth or a head is there.
    pub identity: Option<ReplicaIdentity>,
    /// Its birth, if that record is still there; else its head names the replica.
    pub created: Option<(Created, Place)>,
    /// The latest head, if there is one.
    pub head: Option<Head>,
    /// Term and vote; the least that it may have promised if it is damaged.
    pub hard_state: HardState,
    /// The position before the first entry that it holds contiguously; at or below its checkpoint.
    pub floor: Position,
    /// Terms of the entries above the floor.
    pub term_runs: Vec<TermRun>,
    /// Its last entry, or the floor.
    pub last: Position,
    /// Entries above the floor that change the members, with their payloads; and the newest below it that is there.
    pub configurations: Vec<(Index, Vec<u8>)>,
    /// Its checkpoint, if it is not the one that it was born with.
    pub checkpoint: Option<FoundCheckpoint>,
    /// Entries above the floor, and the one at it where it is held, by index; those without a place are faulty.
    pub entries: BTreeMap<Index, EntryFacts>,
    /// May it act?
    pub status: GroupStatus,
}

/// Judges one group. `unnamed` are the batches that were lost without a trace.
pub(crate) fn judge(group: GroupId, mut merged: Merged, unnamed: &[u64]) -> RecoveredGroup {
    let last = merged.last();
    let checkpoint = merged
        .checkpoint
        .as_ref()
        .map_or(Position::ZERO, |it| it.pointer.at);
    forget_doubtful(&mut merged, checkpoint.index, unnamed);
    let status = match find_damage(&merged, checkpoint.index, last.index, unnamed) {
        Some((range, reason)) => GroupStatus::Damaged { range, reason },
        None => GroupStatus::Serves,
    };
    let released = merged
        .checkpoint
        .as_ref()
        .map_or(Position::ZERO, |it| it.pointer.floor);
    let lowest = lowest(&merged.entries, checkpoint.index, last.index);
    let (floor, lowest) = floor(&merged.entries, checkpoint, released, lowest);
    // What stands below is not contiguous with the rest, so nobody may read it as log.
    let entries = merged.entries.split_off(&lowest);
    let mut configurations = merged.configurations;
    let above = configurations.split_off(&floor.index.next());
    let in_force = configurations.pop_last().filter(|_| unnamed.is_empty());
    RecoveredGroup {
        group,
        identity: merged.identity,
        created: merged.created,
        head: merged.head,
        hard_state: merged.hard_state,
        floor,
        term_runs: term_runs(&entries, floor.index),
        last,
        configurations: in_force.into_iter().chain(above).collect(),
        checkpoint: merged.checkpoint,
        entries,
        status,
    }
}

fn term_runs(entries: &BTreeMap<Index, EntryFacts>, floor: Index) -> Vec<TermRun> {
    let mut runs: Vec<TermRun> = Vec::new();
    for (index, entry) in entries.range(floor.next()..) {
        if runs.last().is_none_or(|run| run.term != entry.term) {
            runs.push(TermRun {
                first: *index,
                term: entry.term,
            });
        }
    }
    runs
}

/// What was lost without a name may have replaced entries before it. Those that the checkpoint stands for are not worth
/// the doubt; the others are confirmed by a later head or held against the group.
fn forget_doubtful(merged: &mut Merged, checkpoint: Index, unnamed: &[u64]) {
    let unnamed = unnamed.iter().copied().max().unwrap_or(0);
    let Merged {
        entries, origins, ..
    } = merged;
    entries.retain(|index, _| {
        let origin = origins.get(index).map_or(0, |origin| origin.sequence);
        *index > checkpoint || unnamed == 0 || origin > unnamed
    });
}

/// The first entry of the part that is whole up to the last one.
fn lowest(entries: &BTreeMap<Index, EntryFacts>, checkpoint: Index, last: Index) -> Index {
    let mut lowest = last.next();
    for (index, entry) in entries.range(..=last).rev() {
        let is_next = index.next() == lowest;
        if !is_next || (entry.place.is_none() && *index <= checkpoint) {
            break;
        }
        lowest = *index;
    }
    lowest
}

/// The position behind which the log is whole up to its end, and the first entry that stays. The term at that position
/// must be known, for a member may end exactly there:
///
/// ```text
///   lowest entry is                 known by             floor            entries from
///   the first of the group          -                    zero             it on
///   right behind the floor that     the pointer          that floor       it on
///     the pointer tells
///   at the checkpoint, or right     the pointer          checkpoint       behind the checkpoint
///     behind it
///   anywhere else below             the entry itself     lowest entry     it on
/// ```
fn floor(
    entries: &BTreeMap<Index, EntryFacts>,
    checkpoint: Position,
    released: Position,
    lowest: Index,
) -> (Position, Index) {
    let before = lowest.previous();
    if before == Index::ZERO {
        return (Position::ZERO, lowest);
    }
    let is_told = before == released.index;
    #[cfg(feature = "mutants")]
    let is_told = is_told && !mutant::is(Mutant::FloorForgotten);
    if is_told {
        return (released, lowest);
    }
    if lowest >= checkpoint.index {
        // If there is a gap in between, the group is damaged, and its checkpoint is all that is certain.
        return (checkpoint, checkpoint.index.next());
    }
    let term = entries
        .get(&lowest)
        .map_or(checkpoint.term, |entry| entry.term);
    let at = Position {
        term,
        index: lowest,
    };
    (at, lowest)
}

type Finding = (RangeInclusive<Index>, Damage);

fn find_damage(
    merged: &Merged,
    checkpoint: Index,
    last: Index,
    unnamed: &[u64],
) -> Option<Finding> {
    let is_known = match (&merged.created, &merged.checkpoint) {
        (Some(_), _) => true,
        (None, Some(_)) => merged.head.is_some(),
        (None, None) => false,
    };
    if !is_known {
        return Some((Index::ZERO..=last, Damage::Birth));
    }
    if unnamed.iter().any(|lost| merged.head_sequence <= *lost) {
        return Some((checkpoint.next()..=last.next(), Damage::Head));
    }
    if let Some(doubtful) = replaced_perhaps(merged, checkpoint, unnamed) {
        return Some((doubtful, Damage::Head));
    }
    let by_loss = merged
        .losses
        .iter()
        .filter_map(|(_, loss)| judge_loss(*loss, checkpoint, last));
    let mut by_loss: Vec<Finding> = by_loss.collect();
    by_loss.sort_by_key(|(range, damage)| (*damage, *range.start(), *range.end()));
    by_loss
        .into_iter()
        .next()
        .or_else(|| missing_chunks(merged))
        .or_else(|| damaged_entries(&merged.entries, checkpoint, last))
}

/// Entries on both sides of an unnamed loss whose terms differ: those before may have been truncated and replaced
/// within it. With equal terms they cannot, for terms never fall along a log.
fn replaced_perhaps(
    merged: &Merged,
    checkpoint: Index,
    unnamed: &[u64],
) -> Option<RangeInclusive<Index>> {
    let entries = || merged.entries.range(checkpoint.next()..);
    let sequence = |index: &Index| merged.origins.get(index).map_or(0, |it| it.sequence);
    let pairs = entries().zip(entries().skip(1));
    let mut doubtful = pairs.filter(|((index, entry), (next_index, next))| {
        let (before, behind) = (sequence(index), sequence(next_index));
        let straddles = unnamed.iter().any(|lost| before < *lost && *lost < behind);
        straddles && entry.term != next.term
    });
    doubtful
        .next()
        .map(|((index, _), (next_index, _))| *index..=*next_index)
}

fn judge_loss(loss: Loss, checkpoint: Index, last: Index) -> Option<Finding> {
    match loss {
        Loss::HardState => Some((last..=last, Damage::HardState)),
        Loss::Birth => Some((Index::ZERO..=last, Damage::Birth)),
        Loss::TwoVotes(_) => Some((last..=last, Damage::TwoVotes)),
        Loss::Truncation(from) => Some((from..=last.max(from), Damage::Truncation)),
        Loss::Other(index) => (index >= checkpoint).then_some((index..=index, Damage::Checkpoint)),
        Loss::Head(position) => {
            (position.index > checkpoint).then_some((position.index..=position.index, Damage::Gap))
        }
    }
}

fn missing_chunks(merged: &Merged) -> Option<Finding> {
    let FoundCheckpoint {
        pointer, chunks, ..
    } = merged.checkpoint.as_ref()?;
    let is_whole = (0..pointer.chunks).all(|number| chunks.contains_key(&number));
    let at = pointer.at.index;
    (!is_whole).then_some((at..=at, Damage::Checkpoint))
}

/// Entries above the checkpoint that are faulty or missing: the first to the last of them.
fn damaged_entries(
    entries: &BTreeMap<Index, EntryFacts>,
    checkpoint: Index,
    last: Index,
) -> Option<Finding> {
    let mut range: Option<(Index, Index)> = None;
    let mut reason = Damage::Entries;
    let mut expected = checkpoint.next();
    for (index, entry) in entries.range(checkpoint.next()..) {
        let bad = match (*index == expected, entry.place) {
            (true, Some(_)) => None,
            (true, None) => Some((*index, *index)),
            (false, _) => {
                reason = Damage::Gap;
                Some((expected, index.previous()))
            }
        };
        if entry.place.is_none() && entry.kind == Some(margay_raft::EntryKind::Configuration) {
            reason = reason.max(Damage::Configuration);
        }
        if let Some((first, end)) = bad {
            range = Some(range.map_or((first, end), |(known, _)| (known, end)));
        }
        expected = index.next();
    }
    assert!(
        expected == last.next() || last <= checkpoint,
        "{last} is not the last of the entries"
    );
    range.map(|(first, end)| (first..=end, reason))
}

#[cfg(test)]
#[path = "verdict_tests.rs"]
mod tests;
