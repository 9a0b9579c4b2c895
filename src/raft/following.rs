//! What a follower does with its leader's appends and heartbeats.
//!
//! ```text
//!   log here      1 1 2 2 2 | 3 3          commit = 4
//!   append        previous = 5@2, entries 6@4 7@4
//!                   │              │
//!                   │              └─ first conflict: 6@3 is not 6@4. Truncate from 6, store 6..7.
//!                   └─ agrees, so everything up to 5 does (log matching, thesis 3.5)
//! ```
//!
//! Invariants:
//! * Entries go only when an entry of this term's leader contradicts them; a short or late request takes nothing away.
//! * What is committed, or proven to agree with this term's leader, never goes. Who asks for it is not a legal leader.
//! * An answer says what its own request proved, and leaves when that is durable.
//! * An append for which there is no room proves what is here already, and is answered like any other: its leader must
//!   learn what this replica holds, above all when it takes no more.
//! * The commit index never passes what is proven to agree with this term's leader.

use crate::configuration::Configuration;
use crate::effects::Effect;
use crate::entry::{EntryKind, EntryView, Position};
use crate::message::{
    AppendEntries, AppendOutcome, AppendResponse, Heartbeat, HeartbeatResponse, Message, Round,
};
use crate::replica::{Applies, Replica};
use crate::role::RoleState;
use crate::types::{Index, ReplicaNumber, Ticks};
use alloc::vec::Vec;
#[cfg(feature = "mutants")]
use margay_types::mutant::{self, Mutant};

/// How the entries of an append meet this log.
enum Meeting {
    /// Entries before this place in the list are here already; the rest continues the log.
    Continues(usize),
    /// The entry at this place of the list contradicts the one here.
    Conflicts(usize),
}

/// What becomes of entries that are not here yet.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Intake {
    /// They are stored.
    Stores,
    /// They are dropped, as a network may drop them.
    Drops,
}

impl Replica {
    /// An append arrived, with its entries lent. Like `step`, it does not panic, whatever it is given.
    pub fn on_append(
        &mut self,
        from: ReplicaNumber,
        append: &AppendEntries,
        entries: &[EntryView<'_>],
        effects: &mut Vec<Effect>,
    ) {
        self.take_append(from, append, (entries, Intake::Stores), effects);
    }

    /// The same, when there is no room for entries: those that are here already are proven to agree, those that the
    /// first new one contradicts go, and nothing is stored.
    pub fn on_append_without_room(
        &mut self,
        from: ReplicaNumber,
        append: &AppendEntries,
        entries: &[EntryView<'_>],
        effects: &mut Vec<Effect>,
    ) {
        self.take_append(from, append, (entries, Intake::Drops), effects);
    }

    fn take_append(
        &mut self,
        from: ReplicaNumber,
        append: &AppendEntries,
        (entries, intake): (&[EntryView<'_>], Intake),
        effects: &mut Vec<Effect>,
    ) {
        if from == self.number || !is_well_formed(append, entries) {
            return;
        }
        self.learn_term(append.term, effects);
        if append.term < self.hard_state.term {
            // The sender's reign is over; it learns so from the term.
            self.refuse_append(from, append, effects);
        } else if self.follow(from, effects) {
            self.receive(from, append, (entries, intake), effects);
        }
        self.settle(effects);
    }

    pub(crate) fn on_heartbeat(
        &mut self,
        from: ReplicaNumber,
        heartbeat: Heartbeat,
        effects: &mut Vec<Effect>,
    ) {
        if heartbeat.term < self.hard_state.term {
            // The sender's reign is over; it learns so from the term.
            self.answer_heartbeat(from, heartbeat.round, Index::ZERO, effects);
        } else if self.follow(from, effects) {
            self.note_stable(heartbeat.stable_index);
            self.commit_up_to(heartbeat.commit_index, effects);
            let proven = self.proven();
            self.answer_heartbeat(from, heartbeat.round, proven, effects);
        }
    }

    /// Last entry that is proven to agree with this term's leader.
    #[must_use]
    pub fn proven(&self) -> Index {
        match &self.role {
            RoleState::Follower(follower) => follower.proven,
            RoleState::PreCandidate(_) | RoleState::Candidate(_) => self.commit_index,
            RoleState::Leader(_) => self.log.last_index(),
        }
    }

    /// Commits what the leader says is committed, as far as the logs are proven to agree.
    pub(crate) fn commit_up_to(&mut self, index: Index, effects: &mut Vec<Effect>) {
        let proven = self.proven();
        #[cfg(feature = "mutants")]
        let proven = if mutant::is(Mutant::CommitPastProof) {
            self.log.last_index()
        } else {
            proven
        };
        let index = index.min(proven);
        if index > self.commit_index {
            self.advance_commit(index, effects);
        }
    }

    /// `from` leads this term. `false` when somebody else is known to, which no legal peer can contradict.
    fn follow(&mut self, from: ReplicaNumber, effects: &mut Vec<Effect>) -> bool {
        match &self.role {
            RoleState::Leader(_) => return false,
            RoleState::PreCandidate(_) | RoleState::Candidate(_) => {
                self.become_follower(self.hard_state.term, effects);
            }
            RoleState::Follower(_) => {}
        }
        let RoleState::Follower(follower) = &mut self.role else {
            unreachable!("everybody but a leader follows by now")
        };
        if follower.leader.is_some_and(|leader| leader != from) {
            return false;
        }
        follower.leader = Some(from);
        self.heard_ticks = 0;
        self.election_ticks = 0;
        self.report_role(effects);
        true
    }

    fn receive(
        &mut self,
        from: ReplicaNumber,
        append: &AppendEntries,
        (entries, intake): (&[EntryView<'_>], Intake),
        effects: &mut Vec<Effect>,
    ) {
        if !self.agrees_at(append.previous) {
            return self.refuse_append(from, append, effects);
        }
        let new = match self.meet(append.previous, entries) {
            Meeting::Continues(at) => at,
            Meeting::Conflicts(at) => {
                let index = entries
                    .get(at)
                    .map_or(Index::ZERO, |entry| entry.position.index);
                if index <= self.commit_index.max(self.proven()) {
                    return self.refuse_append(from, append, effects);
                }
                self.truncate(index, effects);
                at
            }
        };
        let taken = match intake {
            Intake::Stores => entries.len(),
            Intake::Drops => new,
        };
        self.store(entries.get(new..taken).unwrap_or(&[]), effects);
        let last = append.previous.index.plus(taken as u64);
        #[cfg(feature = "mutants")]
        self.truncate_behind(last, effects);
        if let RoleState::Follower(follower) = &mut self.role {
            follower.proven = follower.proven.max(last);
        }
        self.note_stable(append.stable_index);
        self.commit_up_to(append.commit_index, effects);
        #[cfg(feature = "mutants")]
        let last = if mutant::is(Mutant::MatchFromLastIndex) {
            self.log.last_index()
        } else {
            last
        };
        let accepted = AppendOutcome::Accepted { proven: last };
        let response = Message::AppendResponse(self.append_response(accepted, append.round));
        let is_durable = self.durability.durable_index() >= last;
        #[cfg(feature = "mutants")]
        let is_durable = is_durable || mutant::is(Mutant::AcknowledgedBeforeWrite);
        if is_durable {
            self.send(from, response, effects);
        } else {
            self.send_after_writes(from, response, effects);
        }
    }

    /// Do the logs agree up to here? What lies below the floor is committed and so agrees with every leader.
    fn agrees_at(&self, previous: Position) -> bool {
        #[cfg(feature = "mutants")]
        if mutant::is(Mutant::AppendWithoutCheck) && previous.index <= self.log.last_index() {
            return true;
        }
        previous.index < self.log.floor().index
            || self.log.term_at(previous.index) == Some(previous.term)
    }

    fn meet(&self, previous: Position, entries: &[EntryView<'_>]) -> Meeting {
        if previous.index == self.log.last_index() {
            return Meeting::Continues(0);
        }
        for (at, entry) in entries.iter().enumerate() {
            let Position { term, index } = entry.position;
            if index > self.log.last_index() {
                return Meeting::Continues(at);
            }
            if index >= self.log.floor().index && self.log.term_at(index) != Some(term) {
                return Meeting::Conflicts(at);
            }
        }
        Meeting::Continues(entries.len())
    }

    fn store(&mut self, entries: &[EntryView<'_>], effects: &mut Vec<Effect>) {
        let (Some(first), Some(last)) = (entries.first(), entries.last()) else {
            return;
        };
        let (first, last) = (first.position.index, last.position.index);
        // The term before the entries of that term, in the same log.
        self.save_hard_state(effects);
        for entry in entries {
            let position = self.log.append(entry.position.term, entry.size_bytes);
            assert_eq!(position, entry.position, "entries continue the log");
        }
        let write = self.durability.issue_entries(first, last);
        effects.push(Effect::Store { write, first, last });
        for entry in entries
            .iter()
            .filter(|entry| entry.kind == EntryKind::Configuration)
        {
            if let Ok(configuration) = Configuration::decode(entry.payload) {
                self.enter_configuration(entry.position.index, configuration, effects);
            }
        }
    }

    /// Entries at and behind `from` go, with the configurations in them.
    fn truncate(&mut self, from: Index, effects: &mut Vec<Effect>) {
        assert!(
            from > self.commit_index,
            "{from} is committed, up to {}",
            self.commit_index
        );
        self.save_hard_state(effects);
        self.log.truncate(from);
        let write = self.durability.truncate(from);
        effects.push(Effect::Truncate { write, from });
        self.roll_back_configurations(from, effects);
    }

    /// What no follower may do: an append of its leader's takes everything behind it away.
    #[cfg(feature = "mutants")]
    fn truncate_behind(&mut self, last: Index, effects: &mut Vec<Effect>) {
        let kept = last.max(self.commit_index);
        if !mutant::is(Mutant::StaleAppendTruncates) || kept >= self.log.last_index() {
            return;
        }
        self.truncate(kept.next(), effects);
        if let RoleState::Follower(follower) = &mut self.role {
            follower.proven = follower.proven.min(kept);
        }
    }

    fn note_stable(&mut self, stable_index: Index) {
        self.stable_index = self.stable_index.max(stable_index.min(self.proven()));
    }

    fn refuse_append(
        &mut self,
        from: ReplicaNumber,
        append: &AppendEntries,
        effects: &mut Vec<Effect>,
    ) {
        let hint = self.log.agreeable(append.previous);
        let outcome = AppendOutcome::Refused {
            previous: append.previous.index,
            hint,
        };
        let response = self.append_response(outcome, append.round);
        self.send(from, Message::AppendResponse(response), effects);
    }

    fn answer_heartbeat(
        &mut self,
        from: ReplicaNumber,
        round: Round,
        proven: Index,
        effects: &mut Vec<Effect>,
    ) {
        let response = HeartbeatResponse {
            term: self.hard_state.term,
            round,
            proven,
            honoured: self.honoured(),
            applies: self.applies == Applies::Yes,
            wants_checkpoint: self.wants_checkpoint,
        };
        self.send(from, Message::HeartbeatResponse(response), effects);
    }

    fn append_response(&self, outcome: AppendOutcome, round: Round) -> AppendResponse {
        AppendResponse {
            term: self.hard_state.term,
            outcome,
            round,
            honoured: self.honoured(),
            applies: self.applies == Applies::Yes,
        }
    }

    /// For so long after it heard from a leader this replica elects no other.
    fn honoured(&self) -> Ticks {
        self.options.election_ticks_min
    }
}

/// Could a legal leader have sent this? Entries follow `previous` without gaps, terms never fall and never pass the
/// leader's, and configurations can be read.
fn is_well_formed(append: &AppendEntries, entries: &[EntryView<'_>]) -> bool {
    let previous = append.previous;
    let Some(asked) = append.last.number().checked_sub(previous.index.number()) else {
        return false;
    };
    let count = entries.len() as u64;
    let has_all = count == asked || (append.may_shorten && count < asked);
    let mut before = previous;
    let follows = |entry: &EntryView<'_>| {
        let position = entry.position;
        let in_order = position.index.previous() == before.index
            && position.index > before.index
            && position.term >= before.term;
        before = position;
        in_order
            && (entry.kind != EntryKind::Configuration
                || Configuration::decode(entry.payload).is_ok())
    };
    has_all && entries.iter().all(follows) && before.term <= append.term
}

#[cfg(test)]
#[path = "following_tests.rs"]
mod tests;
