//! Linearizable reads without an entry in the log (ReadIndex, thesis 6.4).
//!
//! ```text
//!   reads arrive        round r starts: index = commit            a quorum answered r, or later
//!   a b c ────────────> [a b c] under way ──────────────────────> serve at index
//!        d e  wait for the next round ───────────────────────────> [d e] under way ...
//! ```
//!
//! Invariants:
//! * The confirming round starts after the read arrived; reads that wait share one.
//! * No round starts before an entry of the leader's own term is committed.
//! * Only answers of this very term confirm, and a round or a request is never named twice.

use crate::effects::{Effect, ReadId, ReadRefusal};
use crate::membership::in_force;
use crate::message::{Message, ReadIndex, ReadIndexResponse, Round};
use crate::progress::Progress;
use crate::quorum;
use crate::replica::Replica;
use crate::role::RoleState;
use crate::types::{Index, ReplicaNumber};
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::mem;
#[cfg(feature = "mutants")]
use margay_types::mutant::{self, Mutant};

/// Most reads that wait in one replica for their index; more are refused.
pub const READS_WAITING_MAX: usize = 16_384;

/// Who asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asker {
    Host(ReadId),
    Follower { number: ReplicaNumber, request: u64 },
}

/// Reads whose round is on its way.
#[derive(Clone, Copy, Debug)]
struct UnderWay {
    round: Round,
    index: Index,
}

/// What a leader owes an index.
#[derive(Clone, Debug, Default)]
pub(crate) struct LeaderReads {
    arrived: Vec<Asker>,
    confirming: Vec<Asker>,
    under_way: Option<UnderWay>,
}

/// A read that was passed on to the leader.
#[derive(Clone, Copy, Debug)]
struct Asked {
    request: u64,
    read: ReadId,
    waited_ticks: u32,
}

/// What a follower asked its leader.
#[derive(Clone, Debug, Default)]
pub(crate) struct AskedReads {
    waiting: VecDeque<Asked>,
}

impl LeaderReads {
    fn is_full(&self) -> bool {
        self.arrived.len() + self.confirming.len() >= READS_WAITING_MAX
    }

    /// Does a round wait to be started?
    pub(crate) fn wants_round(&self) -> bool {
        self.under_way.is_none() && !self.arrived.is_empty()
    }

    /// Questions of an earlier life of that member: its new life may use their numbers again.
    pub(crate) fn forget(&mut self, member: ReplicaNumber) {
        let is_other = |asker: &Asker| match asker {
            Asker::Host(_) => true,
            Asker::Follower { number, .. } => *number != member,
        };
        self.arrived.retain(is_other);
        self.confirming.retain(is_other);
    }
}

impl AskedReads {
    /// So many ticks passed.
    pub(crate) fn count_ticks(&mut self, ticks: u32) {
        for asked in &mut self.waiting {
            asked.waited_ticks = asked.waited_ticks.saturating_add(ticks);
        }
    }

    /// For how long the oldest question has waited.
    pub(crate) fn oldest_ticks(&self) -> Option<u32> {
        self.waiting.front().map(|asked| asked.waited_ticks)
    }

    pub(crate) fn refuse_all(self, effects: &mut Vec<Effect>) {
        for asked in self.waiting {
            effects.push(refused(asked.read, ReadRefusal::LeadershipLost));
        }
    }
}

impl Replica {
    /// Asks for the index at which a linearizable read may be served here. Answered by `ReadReady` or `ReadRefused`.
    pub fn read(&mut self, read: ReadId, effects: &mut Vec<Effect>) {
        match &mut self.role {
            RoleState::Leader(leader) if leader.reads.is_full() => {
                effects.push(refused(read, ReadRefusal::LeadershipLost));
            }
            RoleState::Leader(leader) => leader.reads.arrived.push(Asker::Host(read)),
            #[cfg(feature = "mutants")]
            RoleState::Follower(_) if mutant::is(Mutant::FollowerReadsOwnCommit) => {
                let index = self.commit_index;
                effects.push(Effect::ReadReady { read, index });
            }
            RoleState::Follower(follower) => match follower.leader {
                Some(_) if follower.asked.waiting.len() >= READS_WAITING_MAX => {
                    effects.push(refused(read, ReadRefusal::LeadershipLost));
                }
                Some(leader) => {
                    self.last_request += 1;
                    let request = self.last_request;
                    follower.asked.waiting.push_back(Asked {
                        request,
                        read,
                        waited_ticks: 0,
                    });
                    let question = ReadIndex {
                        term: self.hard_state.term,
                        request,
                    };
                    self.send(leader, Message::ReadIndex(question), effects);
                }
                None => effects.push(refused(read, ReadRefusal::NoLeader)),
            },
            RoleState::PreCandidate(_) | RoleState::Candidate(_) => {
                effects.push(refused(read, ReadRefusal::NoLeader));
            }
        }
    }

    pub(crate) fn on_read_index(
        &mut self,
        from: ReplicaNumber,
        question: ReadIndex,
        effects: &mut Vec<Effect>,
    ) {
        let request = question.request;
        let is_current = question.term == self.hard_state.term;
        match &mut self.role {
            RoleState::Leader(leader) if is_current && !leader.reads.is_full() => {
                leader.reads.arrived.push(Asker::Follower {
                    number: from,
                    request,
                });
            }
            RoleState::Leader(_)
            | RoleState::Follower(_)
            | RoleState::PreCandidate(_)
            | RoleState::Candidate(_) => self.answer_read(from, request, None, effects),
        }
    }

    pub(crate) fn on_read_index_response(
        &mut self,
        from: ReplicaNumber,
        response: ReadIndexResponse,
        effects: &mut Vec<Effect>,
    ) {
        let RoleState::Follower(follower) = &mut self.role else {
            return;
        };
        if response.term != self.hard_state.term || follower.leader != Some(from) {
            return;
        }
        let waiting = &mut follower.asked.waiting;
        let Ok(at) = waiting.binary_search_by_key(&response.request, |asked| asked.request) else {
            return;
        };
        let Some(asked) = waiting.remove(at) else {
            return;
        };
        match response.index {
            Some(index) => {
                self.commit_up_to(index, effects);
                effects.push(Effect::ReadReady {
                    read: asked.read,
                    index,
                });
            }
            None => effects.push(refused(asked.read, ReadRefusal::LeadershipLost)),
        }
    }

    /// Reads that arrived get a round, unless one is under way: then they share the next.
    pub(crate) fn start_read_round(&mut self, effects: &mut Vec<Effect>) {
        let has_committed = self.has_committed_in_term();
        #[cfg(feature = "mutants")]
        let has_committed = has_committed || mutant::is(Mutant::ReadBeforeOwnTerm);
        if !has_committed {
            return;
        }
        let index = self.commit_index;
        let RoleState::Leader(leader) = &mut self.role else {
            return;
        };
        if !leader.reads.wants_round() {
            return;
        }
        let reads = &mut leader.reads;
        assert!(
            reads.confirming.is_empty(),
            "reads are confirmed without a round"
        );
        mem::swap(&mut reads.arrived, &mut reads.confirming);
        let round = Round(leader.round.0 + 1);
        #[cfg(feature = "mutants")]
        let round = if mutant::is(Mutant::ReadByEarlierRound) {
            leader.round
        } else {
            round
        };
        reads.under_way = Some(UnderWay { round, index });
        self.send_heartbeats(effects);
        self.confirm_reads(effects);
    }

    /// Serves the reads whose round, or a later one, a quorum answered.
    pub(crate) fn confirm_reads(&mut self, effects: &mut Vec<Effect>) {
        let Self {
            role: RoleState::Leader(leader),
            configurations,
            number: own,
            ..
        } = self
        else {
            return;
        };
        let Some(UnderWay { round, index }) = leader.reads.under_way else {
            return;
        };
        let own_round = leader.round;
        let confirmed = quorum::reached(in_force(configurations), |number| {
            let otherwise = if number == *own { own_round } else { Round(0) };
            leader
                .progress(number)
                .map_or(otherwise, Progress::confirmed)
                .0
        });
        if confirmed < round.0 {
            return;
        }
        leader.reads.under_way = None;
        let mut askers = mem::take(&mut leader.reads.confirming);
        for asker in askers.drain(..) {
            match asker {
                Asker::Host(read) => effects.push(Effect::ReadReady { read, index }),
                Asker::Follower { number, request } => {
                    self.answer_read(number, request, Some(index), effects);
                }
            }
        }
        if let RoleState::Leader(leader) = &mut self.role {
            leader.reads.confirming = askers;
        }
    }

    /// Questions whose answer was lost do not wait for ever.
    pub(crate) fn expire_asked_reads(&mut self, effects: &mut Vec<Effect>) {
        let patience_ticks = self.options.election_ticks_max.number();
        let RoleState::Follower(follower) = &mut self.role else {
            return;
        };
        let waiting = &mut follower.asked.waiting;
        while let Some(asked) = waiting.pop_front_if(|it| it.waited_ticks >= patience_ticks) {
            effects.push(refused(asked.read, ReadRefusal::LeadershipLost));
        }
    }

    /// Leadership ends: nobody's read will be confirmed any more.
    pub(crate) fn refuse_leader_reads(&mut self, reads: LeaderReads, effects: &mut Vec<Effect>) {
        for asker in reads.confirming.into_iter().chain(reads.arrived) {
            match asker {
                Asker::Host(read) => effects.push(refused(read, ReadRefusal::LeadershipLost)),
                Asker::Follower { number, request } => {
                    self.answer_read(number, request, None, effects);
                }
            }
        }
    }

    fn answer_read(
        &mut self,
        to: ReplicaNumber,
        request: u64,
        index: Option<Index>,
        effects: &mut Vec<Effect>,
    ) {
        let response = ReadIndexResponse {
            term: self.hard_state.term,
            request,
            index,
        };
        self.send(to, Message::ReadIndexResponse(response), effects);
    }
}

fn refused(read: ReadId, reason: ReadRefusal) -> Effect {
    Effect::ReadRefused { read, reason }
}

#[cfg(test)]
#[path = "reads_tests.rs"]
mod tests;
