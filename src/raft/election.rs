//! Elections: when to campaign, whom to grant a vote, how votes count.
//!
//! Two rules keep a leader that works from being disturbed, and its promises true:
//! * **Stickiness.** Who heard from a leader within the shortest election timeout grants no vote and no pre-vote and
//!   learns no term from the question; only an election that the leader asked for is free (thesis 4.2.3, 6.4.1).
//! * **Silent start.** After a start a replica does not know whom it heard from in its earlier life, so for that
//!   time it grants nothing and does not campaign. A group of one has nobody to break a promise to.
//!
//! And one that keeps voters from meeting: timeouts are drawn at random, but no two voters draw the same, so that those
//! who lost sight of a leader together do not campaign together, however many groups a node has:
//!
//! ```text
//!   n1 | · · · · |   · · · |         all in [min, max), a slot apart
//!   n2 |   | · · · · |   · ·
//!   n3 |     |   · · · · |
//! ```
//!
//! Neither may shut out a replica whose term is greater: it answers the leader's messages with its term, and the
//! leader steps down; and a refused pre-vote carries the answerer's term, which the asker learns.

use crate::durability::STALLED_WRITE_ELECTIONS;
use crate::effects::Effect;
use crate::entry::Position;
use crate::membership::in_force;
use crate::message::{
    Message, PreVote, PreVoteResponse, RequestVote, RequestVoteResponse, TimeoutNow,
};
use crate::quorum::Tally;
use crate::replica::Replica;
use crate::role::{Cause, RoleState};
use crate::types::{ReplicaNumber, Term};
use alloc::vec::Vec;
#[cfg(feature = "mutants")]
use margay_types::mutant::{self, Mutant};

impl Replica {
    /// Of this message's term, what is learnt before it is looked at? Questions that change nothing and questions
    /// that must not disturb teach nothing.
    pub(crate) fn term_to_learn(&self, message: &Message) -> Option<Term> {
        match message {
            Message::PreVote(_) => None,
            Message::PreVoteResponse(it) => (!it.granted).then_some(it.term),
            Message::RequestVote(it) => (!self.turns_away(it)).then_some(it.term),
            Message::RequestVoteResponse(it) => Some(it.term),
            Message::AppendResponse(it) => Some(it.term),
            Message::Heartbeat(it) => Some(it.term),
            Message::HeartbeatResponse(it) => Some(it.term),
            Message::TimeoutNow(it) => Some(it.term),
            Message::ReadIndex(it) => Some(it.term),
            Message::ReadIndexResponse(it) => Some(it.term),
        }
    }

    pub(crate) fn on_pre_vote(
        &mut self,
        from: ReplicaNumber,
        request: PreVote,
        effects: &mut Vec<Effect>,
    ) {
        let granted = request.term > self.hard_state.term
            && self.is_reached_by(request.last)
            && !self.is_silent()
            && !self.is_sticky();
        let term = if granted {
            request.term
        } else {
            self.hard_state.term
        };
        let response = PreVoteResponse { term, granted };
        self.send(from, Message::PreVoteResponse(response), effects);
    }

    pub(crate) fn on_pre_vote_response(
        &mut self,
        from: ReplicaNumber,
        response: PreVoteResponse,
        effects: &mut Vec<Effect>,
    ) {
        let configuration = in_force(&self.configurations);
        let RoleState::PreCandidate(campaign) = &mut self.role else {
            return;
        };
        let is_current = !response.granted || response.term == self.hard_state.term.next();
        if !is_current || !configuration.is_voter(from) {
            return;
        }
        campaign.record(from, response.granted);
        match campaign.tally(configuration) {
            Tally::Won => self.become_candidate(Cause::Timeout, effects),
            Tally::Lost => self.become_follower(self.hard_state.term, effects),
            Tally::Open => {}
        }
    }

    /// The vote (thesis 3.4, 3.6.1). It leaves when it is durable.
    pub(crate) fn on_request_vote(
        &mut self,
        from: ReplicaNumber,
        request: RequestVote,
        effects: &mut Vec<Effect>,
    ) {
        if self.turns_away(&request) {
            return;
        }
        assert!(
            request.term <= self.hard_state.term,
            "the term of {request:?} was not learnt"
        );
        let is_free = match self.hard_state.voted_for {
            Some(chosen) => chosen == from,
            None => self.leader().is_none(),
        };
        #[cfg(feature = "mutants")]
        let is_free = is_free || mutant::is(Mutant::TwoVotesInOneTerm);
        let granted =
            request.term == self.hard_state.term && self.is_reached_by(request.last) && is_free;
        if granted {
            self.hard_state.voted_for = Some(from);
            self.election_ticks = 0;
        }
        let response = RequestVoteResponse {
            term: self.hard_state.term,
            granted,
        };
        self.send(from, Message::RequestVoteResponse(response), effects);
    }

    pub(crate) fn on_request_vote_response(
        &mut self,
        from: ReplicaNumber,
        response: RequestVoteResponse,
        effects: &mut Vec<Effect>,
    ) {
        if response.term == self.hard_state.term {
            self.count_vote(from, response.granted, effects);
        }
    }

    /// A candidate's own vote counts as soon as it is durable, like everybody's.
    pub(crate) fn count_own_vote(&mut self, effects: &mut Vec<Effect>) {
        if self.is_hard_state_durable() {
            self.count_vote(self.number, true, effects);
        }
    }

    pub(crate) fn on_timeout_now(
        &mut self,
        from: ReplicaNumber,
        message: TimeoutNow,
        effects: &mut Vec<Effect>,
    ) {
        let is_asked = message.term == self.hard_state.term && self.leader() == Some(from);
        if is_asked && from != self.number && self.can_campaign() {
            self.become_candidate(Cause::Transfer, effects);
        }
    }

    fn count_vote(&mut self, from: ReplicaNumber, granted: bool, effects: &mut Vec<Effect>) {
        let configuration = in_force(&self.configurations);
        let RoleState::Candidate(campaign) = &mut self.role else {
            return;
        };
        if !configuration.is_voter(from) {
            return;
        }
        campaign.record(from, granted);
        match campaign.tally(configuration) {
            Tally::Won if self.is_hard_state_durable() => self.become_leader(effects),
            Tally::Lost => self.become_follower(self.hard_state.term, effects),
            Tally::Won | Tally::Open => {}
        }
    }

    /// Is a log that ends there at least as up to date as the one here (thesis 3.6.1)?
    fn is_reached_by(&self, last: Position) -> bool {
        #[cfg(feature = "mutants")]
        if mutant::is(Mutant::VoteForShorterLog) {
            return true;
        }
        last >= self.log.last_position()
    }

    /// May this replica ask for votes now?
    pub(crate) fn can_campaign(&self) -> bool {
        self.may_be_needed()
            && !self.is_silent()
            && !self.is_disk_stalled()
            && self.hard_state.term < Term::new(u32::MAX)
    }

    /// Did it start so recently that it may have forgotten a promise?
    fn is_silent(&self) -> bool {
        self.age_ticks < self.options.election_ticks_min.number() && !self.is_alone()
    }

    /// Is there nobody to whom a promise could be broken? Not while others vote in a configuration that may come back
    /// or still lead by it.
    pub(crate) fn is_alone(&self) -> bool {
        self.alone
    }

    /// Was a leader heard so recently that it may rely on this replica?
    fn is_sticky(&self) -> bool {
        let heard = self.heard_ticks < self.options.election_ticks_min.number();
        self.is_leader() || heard
    }

    fn turns_away(&self, request: &RequestVote) -> bool {
        self.is_silent() || (self.is_sticky() && !request.transfer)
    }

    /// Did writes wait longer than a leader may wait for its own disk?
    pub(crate) fn is_disk_stalled(&self) -> bool {
        self.durability.stalled_ticks() >= self.stall_ticks()
    }

    /// So long a leader waits for its own disk.
    pub(crate) fn stall_ticks(&self) -> u32 {
        let elections = self.options.election_ticks_max.number();
        elections.saturating_mul(STALLED_WRITE_ELECTIONS)
    }

    /// Draws another timeout and starts it.
    pub(crate) fn restart_election_timer(&mut self) {
        let (min, max) = self.timeout_ticks();
        let voters = &self.configuration().voters;
        let count = u32::try_from(voters.len()).expect("a configuration is small");
        let before = voters.iter().filter(|voter| voter.number < self.number);
        let before = u32::try_from(before.count()).expect("a configuration is small");
        // In one round every voter has its slot. With less than two nothing would be left to chance.
        let slot_ticks = self.options.election_slot_ticks.number();
        let round_ticks = slot_ticks * count;
        let rounds = (max - min).checked_div(round_ticks).unwrap_or(0);
        self.election_ticks = 0;
        self.election_timeout_ticks = if rounds > 1 {
            let round = self.random.between(0, rounds);
            min + round * round_ticks + before % count * slot_ticks
        } else {
            self.random.between(min, max)
        };
    }

    /// Whom the host would see lead: leaders of many groups spread over nodes when each group prefers another. It only
    /// decides who campaigns first in the first election of the group's life, before anybody voted.
    pub fn prefer(&mut self, preferred: ReplicaNumber) {
        self.preferred = Some(preferred);
        if self.hard_state.term == Term::ZERO {
            self.restart_election_timer();
        }
    }

    /// Timeouts are drawn from here. In a group that has had no term yet, the preferred member asks again and again,
    /// until the others are past their silent start, and the others leave it the time for that.
    fn timeout_ticks(&self) -> (u32, u32) {
        let min = self.options.election_ticks_min.number();
        let max = self.options.election_ticks_max.number();
        let retry = self.options.heartbeat_ticks.number();
        match self.preferred {
            Some(preferred) if self.hard_state.term == Term::ZERO => {
                if preferred == self.number {
                    (retry, 2 * retry)
                } else {
                    (2 * max, 3 * max - min)
                }
            }
            Some(_) | None => (min, max),
        }
    }
}

#[cfg(test)]
#[path = "election_tests.rs"]
mod tests;
