//! What a leader sends, and what it concludes from the answers.
//!
//! ```text
//!   propose ──> log ──> flush: appends to each member, up to its window      (may leave before the own write)
//!                │                              │
//!                └─> on_written: own share      └─> AppendResponse: proof of the member's share
//!                              └────────┬───────────────┘
//!                                       v
//!             a quorum has an entry of this term ──> commit ──> heartbeats and appends tell
//! ```
//!
//! Invariants:
//! * Only an entry of the leader's own term commits by counting; earlier ones commit with it (thesis 3.6.2).
//! * The own disk is one vote among the voters: followers may commit first, and a leader that does not vote any
//!   more has no share.
//! * `stable_index` is on the disks of all members, and never goes back.

use crate::effects::Effect;
use crate::entry::{EntryKind, Position};
use crate::log::Log;
use crate::membership::in_force;
use crate::message::{
    AppendEntries, AppendOutcome, AppendResponse, Heartbeat, HeartbeatResponse, Message, Round,
};
use crate::options::Options;
use crate::progress::{Heard, Progress, Way};
use crate::quorum;
use crate::replica::{Proposed, Replica};
use crate::role::RoleState;
use crate::types::{Index, ReplicaNumber};
use alloc::vec::Vec;
#[cfg(feature = "mutants")]
use margay_types::mutant::{self, Mutant};

/// What the header of a record adds to a payload (wire and disk).
const RECORD_HEADER_BYTES: u32 = 32;

/// Requests without an answer for so many heartbeat intervals are taken for lost when a heartbeat is answered.
const LOSS_HEARTBEATS: u32 = 2;

impl Replica {
    /// A new round, to everybody.
    pub(crate) fn send_heartbeats(&mut self, effects: &mut Vec<Effect>) {
        let (term, commit_index) = (self.hard_state.term, self.commit_index);
        let stable_index = self.stable_index;
        let RoleState::Leader(leader) = &mut self.role else {
            return;
        };
        leader.heartbeat_ticks = 0;
        leader.round = Round(leader.round.0 + 1);
        let round = leader.round;
        let heartbeat = Heartbeat {
            term,
            commit_index,
            stable_index,
            round,
        };
        for (to, _) in &leader.members {
            effects.push(Effect::Send {
                to: *to,
                message: Message::Heartbeat(heartbeat),
            });
        }
    }

    /// Would `flush` send anything? It may be called when not; it need not be.
    #[must_use]
    pub fn has_to_flush(&self) -> bool {
        let RoleState::Leader(leader) = &self.role else {
            return false;
        };
        let last_index = self.log.last_index();
        let is_owed = |progress: &Progress| {
            let has_more = progress.next_index() <= last_index || progress.way() == Way::Probe;
            has_more && progress.can_send(self.options.window)
        };
        leader.reads.wants_round() || leader.members.iter().any(|(_, member)| is_owed(member))
    }

    /// To every member what its window lets through.
    pub(crate) fn send_appends(&mut self, effects: &mut Vec<Effect>) {
        let RoleState::Leader(leader) = &mut self.role else {
            return;
        };
        let append = AppendEntries {
            term: self.hard_state.term,
            previous: Position::ZERO,
            last: Index::ZERO,
            may_shorten: false,
            commit_index: self.commit_index,
            stable_index: self.stable_index,
            round: leader.round,
        };
        for (to, progress) in &mut leader.members {
            while let Some(range) = next_range(&self.log, &self.options, progress) {
                let Range {
                    previous,
                    last,
                    may_shorten,
                } = range;
                let append = AppendEntries {
                    previous,
                    last,
                    may_shorten,
                    ..append
                };
                effects.push(Effect::SendAppend { to: *to, append });
            }
        }
    }

    pub(crate) fn on_append_response(
        &mut self,
        from: ReplicaNumber,
        response: AppendResponse,
        effects: &mut Vec<Effect>,
    ) {
        let AppendResponse {
            term,
            outcome,
            round,
            honoured,
            applies,
        } = response;
        let heard = Heard {
            round,
            honoured,
            applies,
        };
        let Self {
            role: RoleState::Leader(leader),
            log,
            hard_state,
            ..
        } = self
        else {
            return;
        };
        let is_credible = term == hard_state.term && round <= leader.round;
        let Some(progress) = leader.progress_mut(from).filter(|_| is_credible) else {
            return;
        };
        match outcome {
            AppendOutcome::Accepted { proven } if proven > log.last_index() => return,
            AppendOutcome::Accepted { proven } => progress.on_proof(proven),
            AppendOutcome::Refused { previous, hint } => {
                progress.on_refusal(previous, agreeable(log, hint));
            }
        }
        progress.on_heard(heard);
        self.on_progress(effects);
        self.go_on_with_transfer(from, effects);
    }

    pub(crate) fn on_heartbeat_response(
        &mut self,
        from: ReplicaNumber,
        response: HeartbeatResponse,
        effects: &mut Vec<Effect>,
    ) {
        let HeartbeatResponse {
            term,
            round,
            proven,
            honoured,
            applies,
            wants_checkpoint: _,
        } = response;
        let heard = Heard {
            round,
            honoured,
            applies,
        };
        let patience_ticks = self.options.heartbeat_ticks.number() * LOSS_HEARTBEATS;
        let Self {
            role: RoleState::Leader(leader),
            log,
            hard_state,
            ..
        } = self
        else {
            return;
        };
        let is_credible =
            term == hard_state.term && round <= leader.round && proven <= log.last_index();
        let Some(progress) = leader.progress_mut(from).filter(|_| is_credible) else {
            return;
        };
        progress.on_agreement(proven, patience_ticks);
        progress.on_heard(heard);
        self.confirm_reads(effects);
    }

    /// Somebody's share of the log grew: more may be committed, and reads confirmed.
    pub(crate) fn on_progress(&mut self, effects: &mut Vec<Effect>) {
        let Self {
            role: RoleState::Leader(leader),
            durability,
            configurations,
            ..
        } = self
        else {
            return;
        };
        let share_of = |number: ReplicaNumber| match leader.progress(number) {
            Some(progress) => progress.match_index(),
            None if number == self.number => durability.durable_index(),
            None => Index::ZERO,
        };
        let configuration = in_force(configurations);
        let reached = Index::new(quorum::reached(configuration, |it| share_of(it).number()));
        let everywhere = configuration.members().map(|it| share_of(it.number)).min();
        let is_own_term = self.log.term_at(reached) == Some(self.hard_state.term);
        #[cfg(feature = "mutants")]
        let is_own_term = is_own_term || mutant::is(Mutant::OldTermByCounting);
        if reached > self.commit_index && is_own_term {
            self.advance_commit(reached, effects);
        }
        // An entry may be everywhere before its commit is known; what is called stable is committed too.
        let stable_index = everywhere.unwrap_or_default().min(self.commit_index);
        self.stable_index = self.stable_index.max(stable_index);
        self.confirm_reads(effects);
        self.go_on_with_change(effects);
    }

    /// An entry that the core makes itself.
    pub(crate) fn append_own(
        &mut self,
        kind: EntryKind,
        payload: Vec<u8>,
        effects: &mut Vec<Effect>,
    ) -> Proposed {
        let payload_bytes = u32::try_from(payload.len()).expect("a configuration is small");
        let proposed = self.append_here(RECORD_HEADER_BYTES + payload_bytes);
        let Proposed { position, write } = proposed;
        effects.push(Effect::StoreOwn {
            write,
            position,
            kind,
            payload,
        });
        proposed
    }

    /// The own term's first entry is committed, so the commit index is up to date (thesis 6.4).
    pub(crate) fn has_committed_in_term(&self) -> bool {
        match &self.role {
            RoleState::Leader(leader) => self.commit_index >= leader.term_start,
            RoleState::Follower(_) | RoleState::PreCandidate(_) | RoleState::Candidate(_) => false,
        }
    }
}

/// Which entries go into one request.
struct Range {
    previous: Position,
    last: Index,
    may_shorten: bool,
}

/// The next request to a member, if one may leave; then it counts as under way.
fn next_range(log: &Log, options: &Options, progress: &mut Progress) -> Option<Range> {
    if !progress.can_send(options.window) {
        return None;
    }
    let next = progress.next_index();
    let Some(previous) = log.position_at(next.previous()) else {
        progress.become_stream(log.floor().index.next());
        return None;
    };
    let is_probe = progress.way() == Way::Probe;
    // A member that does not answer is asked whether it is there, not sent the same bytes again and again.
    let is_absent = is_probe && progress.silent_ticks() >= options.election_ticks_min.number();
    if next > log.last_index() || is_absent {
        return is_probe.then(|| {
            progress.on_sent(previous.index, 0);
            Range {
                previous,
                last: previous.index,
                may_shorten: false,
            }
        });
    }
    if let Some((last, bytes)) = log.take_up_to(next, options.append_bytes_max) {
        progress.on_sent(last, bytes);
        return Some(Range {
            previous,
            last,
            may_shorten: false,
        });
    }
    // Sizes are not known: one request, and its answer says how far it went.
    if !progress.is_idle() {
        return None;
    }
    if !is_probe {
        progress.become_probe(next);
    }
    let last = log.last_index();
    progress.on_sent(last, 0);
    Some(Range {
        previous,
        last,
        may_shorten: true,
    })
}

/// Where the logs may agree by a member's hint; below the floor nothing more is known than the hint itself. A member
/// that contradicts even the floor agrees somewhere below it, and needs a refill.
fn agreeable(log: &Log, hint: Position) -> Index {
    let highest = log.agreeable(hint);
    if hint.index < log.floor().index {
        hint.index
    } else if highest.term > hint.term {
        highest.index.previous()
    } else {
        highest.index
    }
}

#[cfg(test)]
#[path = "replication_tests.rs"]
mod tests;
