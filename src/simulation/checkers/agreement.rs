//! Logs match, what is committed stays, and machines agree.
//!
//! * An entry is named by its index and term: whoever has it has the same bytes.
//! * At an index one entry is committed, for ever, on every replica and in every life.
//! * At an index every machine has the same effect chain.
//! * A leader's commit index moves to entries of its own term only (thesis 3.6.2).
//!
//! Replicas are looked at after each of their turns.

use crate::network::Place;
use crate::seams::VirtualSeams;
use margay::shard::{ReplicaView, Shard};
use margay::storage::record;
use margay_raft::EntryKind;
use margay_types::{GroupId, Index, LogTime, Term};
use std::collections::BTreeMap;

/// Requests that may wait for one group.
const WAITERS_MAX: usize = 2 * 16_384;

/// An entry as some log holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownEntry {
    /// What it is for.
    pub kind: EntryKind,
    /// Its log time.
    pub log_time: LogTime,
    /// Its payload.
    pub payload: Vec<u8>,
}

/// What is known of one group.
#[derive(Debug, Default)]
pub struct Agreed {
    /// All entries that any log held.
    pub entries: BTreeMap<(Index, Term), KnownEntry>,
    /// The term of each committed entry.
    pub committed: BTreeMap<Index, Term>,
    chains: BTreeMap<Index, [u8; 16]>,
}

impl Agreed {
    /// The highest committed index.
    #[must_use]
    pub fn commit_index(&self) -> Index {
        self.committed
            .last_key_value()
            .map_or(Index::ZERO, |(index, _)| *index)
    }
}

/// How far a replica was when it was looked at last; nothing of it goes back within a life.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    commit: Index,
    last: (Term, Index),
    applied: Index,
    /// The term that it leads.
    led: Option<Term>,
}

/// All groups, on all nodes.
#[derive(Debug, Default)]
pub struct Agreement {
    /// By group.
    pub groups: BTreeMap<GroupId, Agreed>,
    seen: BTreeMap<(Place, GroupId), Seen>,
}

impl Agreement {
    /// The process of a node is gone: everything is looked at again in its next life.
    pub fn on_crash(&mut self, place: Place) {
        self.seen.retain(|(node, _), _| *node != place);
    }

    /// Looks at all replicas of a node.
    ///
    /// # Errors
    /// A promise is broken.
    pub fn look(&mut self, place: Place, shard: &Shard<VirtualSeams>) -> Result<(), String> {
        for view in shard.replicas() {
            let group = view.group;
            if let Some(stopped) = view.stopped {
                return Err(format!(
                    "the machine of group {group} on node {place} has stopped: {stopped:?}"
                ));
            }
            if view.waiters_count > WAITERS_MAX {
                return Err(format!(
                    "{} requests wait for group {group}",
                    view.waiters_count
                ));
            }
            self.look_at(place, shard, &view)
                .map_err(|what| format!("group {group} on node {place}: {what}"))?;
        }
        Ok(())
    }

    /// Notes what the logs of a node hold that is about to die: its last words may have reached the disk.
    ///
    /// # Errors
    /// A promise is broken.
    pub fn note_logs(&mut self, place: Place, shard: &Shard<VirtualSeams>) -> Result<(), String> {
        for view in shard.replicas() {
            let seen = self.seen.entry((place, view.group)).or_default();
            let agreed = self.groups.entry(view.group).or_default();
            let first = seen.commit.max(view.replica.log_floor().index).next();
            let last = view.replica.last_index();
            if first <= last {
                note_entries(agreed, shard, view.group, (first, last))?;
            }
        }
        Ok(())
    }

    fn look_at(
        &mut self,
        place: Place,
        shard: &Shard<VirtualSeams>,
        view: &ReplicaView<'_>,
    ) -> Result<(), String> {
        let seen = self.seen.entry((place, view.group)).or_default();
        let agreed = self.groups.entry(view.group).or_default();
        let (commit, applied) = (view.replica.commit_index(), view.host.applied_index());
        let position = view.replica.last_position();
        let last = (position.term, position.index);
        if commit < seen.commit || applied < seen.applied {
            return Err(format!(
                "commit index {commit} or applied index {applied} went back"
            ));
        }
        let led = view.replica.is_leader().then(|| view.replica.term());
        let is_own = view.replica.term_at(commit) == led;
        if commit > seen.commit && led.is_some() && led == seen.led && !is_own {
            return Err(format!(
                "the leader of term {:?} commits up to {commit}, an entry of another term",
                led
            ));
        }
        if last != seen.last {
            let first = seen.commit.max(view.replica.log_floor().index).next();
            if first <= last.1 {
                note_entries(agreed, shard, view.group, (first, last.1))?;
            }
        }
        let mut index = seen.commit.max(view.replica.log_floor().index).next();
        while index <= commit {
            if let Some(term) = view.replica.term_at(index) {
                let known = *agreed.committed.entry(index).or_insert(term);
                if known != term {
                    return Err(format!(
                        "index {index} is committed with term {term}; term {known} was committed there before"
                    ));
                }
            }
            index = index.next();
        }
        let chain = view.host.chain();
        let known = *agreed.chains.entry(applied).or_insert(chain);
        if known != chain {
            return Err(format!(
                "the effect chain at index {applied} differs from another replica's"
            ));
        }
        *seen = Seen {
            commit,
            last,
            applied,
            led,
        };
        Ok(())
    }
}

fn note_entries(
    agreed: &mut Agreed,
    shard: &Shard<VirtualSeams>,
    group: GroupId,
    (first, last): (Index, Index),
) -> Result<(), String> {
    let mut index = last;
    while index >= first {
        let pieces = shard.records_in_memory(group, index, index);
        if pieces.is_empty() {
            break;
        }
        for piece in pieces {
            note_records(agreed, &piece)?;
        }
        index = index.previous();
    }
    Ok(())
}

fn note_records(agreed: &mut Agreed, piece: &[u8]) -> Result<(), String> {
    for view in record::records(piece) {
        let view = view.map_err(|error| format!("a record in memory is damaged: {error}"))?;
        let (Some(entry), Some(log_time)) = (view.entry(), view.log_time()) else {
            continue;
        };
        let known = KnownEntry {
            kind: entry.kind,
            log_time,
            payload: entry.payload.to_vec(),
        };
        let name = (view.index(), view.term());
        let first = agreed.entries.entry(name).or_insert_with(|| known.clone());
        if *first != known {
            return Err(format!(
                "two different entries have index and term {name:?}"
            ));
        }
    }
    Ok(())
}
