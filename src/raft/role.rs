//! The roles, what each of them knows, and the moves between them.
//!
//! ```text
//!                timeout                quorum would vote             quorum voted
//!   Follower ─────────────> PreCandidate ────────────────> Candidate ─────────────> Leader
//!     ^  ^  │                   │                            ^   │                    │
//!     │  │  └─ TimeoutNow ──────┼────────────────────────────┘   │                    │
//!     │  └──── refused, leader ─┘                                │                    │
//!     ├─────── refused, leader of this term, greater term ───────┘                    │
//!     └─────── greater term, no quorum heard, own disk hangs, not a member any more ──┘
//! ```
//!
//! What only one role knows lives in its variant and ends with it; reads that wait are refused on the way out.

use crate::configuration::Configuration;
use crate::effects::{Effect, Role};
use crate::entry::EntryKind;
use crate::message::{Message, PreVote, RequestVote, Round};
use crate::progress::Progress;
use crate::quorum::{self, Tally};
use crate::reads::{AskedReads, LeaderReads};
use crate::replica::Replica;
use crate::transfer::Transfer;
use crate::types::{Index, ReplicaNumber, Term};
use alloc::vec::Vec;
use core::mem;

/// A role with its data.
#[derive(Clone, Debug)]
pub(crate) enum RoleState {
    Follower(Follower),
    PreCandidate(Campaign),
    Candidate(Campaign),
    Leader(Leader),
}

/// What a follower knows of its leader.
#[derive(Clone, Debug)]
pub(crate) struct Follower {
    pub(crate) leader: Option<ReplicaNumber>,
    /// Last entry that is proven to agree with the log of this term's leader.
    pub(crate) proven: Index,
    pub(crate) asked: AskedReads,
}

/// The answers to a candidate or a pre-candidate.
#[derive(Clone, Debug, Default)]
pub(crate) struct Campaign {
    votes: Vec<(ReplicaNumber, bool)>,
}

/// What a leader knows.
#[derive(Clone, Debug)]
pub(crate) struct Leader {
    /// Every member but itself, sorted by number.
    pub(crate) members: Vec<(ReplicaNumber, Progress)>,
    /// The no-op of its term: nothing before it is committed by counting (thesis 3.6.2).
    pub(crate) term_start: Index,
    /// The newest round.
    pub(crate) round: Round,
    pub(crate) heartbeat_ticks: u32,
    pub(crate) reads: LeaderReads,
    pub(crate) transfer: Option<Transfer>,
}

impl RoleState {
    pub(crate) fn name(&self) -> Role {
        match self {
            Self::Follower(_) => Role::Follower,
            Self::PreCandidate(_) => Role::PreCandidate,
            Self::Candidate(_) => Role::Candidate,
            Self::Leader(_) => Role::Leader,
        }
    }
}

impl Follower {
    /// Nobody leads; what is committed agrees with every leader to come (leader completeness, thesis 3.6.3).
    pub(crate) fn new(commit_index: Index) -> Self {
        Self {
            leader: None,
            proven: commit_index,
            asked: AskedReads::default(),
        }
    }
}

impl Campaign {
    /// The first answer of a member counts; it does not change its mind.
    pub(crate) fn record(&mut self, from: ReplicaNumber, granted: bool) {
        if !self.votes.iter().any(|(number, _)| *number == from) {
            self.votes.push((from, granted));
        }
    }

    pub(crate) fn forget(&mut self, member: ReplicaNumber) {
        self.votes.retain(|(number, _)| *number != member);
    }

    pub(crate) fn tally(&self, configuration: &Configuration) -> Tally {
        let vote_of = |number| {
            self.votes
                .iter()
                .find(|(voter, _)| *voter == number)
                .map(|(_, granted)| *granted)
        };
        quorum::tally(configuration, vote_of)
    }
}

impl Leader {
    pub(crate) fn progress(&self, number: ReplicaNumber) -> Option<&Progress> {
        self.members
            .iter()
            .find(|(member, _)| *member == number)
            .map(|(_, progress)| progress)
    }

    pub(crate) fn progress_mut(&mut self, number: ReplicaNumber) -> Option<&mut Progress> {
        self.members
            .iter_mut()
            .find(|(member, _)| *member == number)
            .map(|(_, progress)| progress)
    }

    /// One entry of progress for each member but `own`; what is known of those that stay is kept.
    pub(crate) fn follow_configuration(
        &mut self,
        configuration: &Configuration,
        own: ReplicaNumber,
        last_index: Index,
    ) {
        self.members
            .retain(|(number, _)| configuration.is_member(*number));
        for member in configuration
            .members()
            .filter(|member| member.number != own)
        {
            if self.progress(member.number).is_none() {
                self.members
                    .push((member.number, Progress::new(last_index)));
            }
        }
        self.members.sort_unstable_by_key(|(number, _)| *number);
    }
}

impl Replica {
    /// A greater term was seen: whatever this replica was, it follows.
    pub(crate) fn learn_term(&mut self, term: Term, effects: &mut Vec<Effect>) {
        if term > self.hard_state.term {
            self.become_follower(term, effects);
        }
    }

    /// Follows in `term`, with no leader known yet. The vote of the same term stays (thesis 3.4).
    pub(crate) fn become_follower(&mut self, term: Term, effects: &mut Vec<Effect>) {
        assert!(
            term >= self.hard_state.term,
            "term {} -> {term}",
            self.hard_state.term
        );
        if term > self.hard_state.term {
            self.enter_term(term, None);
        }
        let followed = matches!(self.role, RoleState::Follower(_));
        let next = RoleState::Follower(Follower::new(self.commit_index));
        let previous = mem::replace(&mut self.role, next);
        // A follower's clock goes on: a greater term alone is no reason to wait longer for a leader.
        if !followed {
            self.restart_election_timer();
        }
        self.report_role(effects);
        self.refuse_reads_of(previous, effects);
    }

    /// Asks whether an election could be won, without disturbing anybody (thesis 9.6).
    pub(crate) fn become_pre_candidate(&mut self, effects: &mut Vec<Effect>) {
        assert!(!self.is_leader(), "a leader does not campaign");
        let mut campaign = Campaign::default();
        campaign.record(self.number, true);
        let won = campaign.tally(self.configuration()) == Tally::Won;
        let previous = mem::replace(&mut self.role, RoleState::PreCandidate(campaign));
        self.restart_election_timer();
        self.report_role(effects);
        self.refuse_reads_of(previous, effects);
        if won {
            self.become_candidate(Cause::Timeout, effects);
        } else {
            let term = self.hard_state.term.next();
            let last = self.log.last_position();
            self.send_to_voters(Message::PreVote(PreVote { term, last }), effects);
        }
    }

    /// Asks for votes in the next term. Its own counts when it is durable; so do the messages wait for that.
    pub(crate) fn become_candidate(&mut self, cause: Cause, effects: &mut Vec<Effect>) {
        assert!(!self.is_leader(), "a leader does not campaign");
        self.enter_term(self.hard_state.term.next(), Some(self.number));
        let previous = mem::replace(&mut self.role, RoleState::Candidate(Campaign::default()));
        self.restart_election_timer();
        self.report_role(effects);
        self.refuse_reads_of(previous, effects);
        let request = RequestVote {
            term: self.hard_state.term,
            last: self.log.last_position(),
            transfer: cause == Cause::Transfer,
        };
        self.send_to_voters(Message::RequestVote(request), effects);
        self.save_hard_state(effects);
    }

    /// Leads; its first entry commits what earlier terms left (thesis 3.6.2).
    pub(crate) fn become_leader(&mut self, effects: &mut Vec<Effect>) {
        assert!(
            matches!(self.role, RoleState::Candidate(_)),
            "only a candidate is elected"
        );
        assert!(
            self.is_hard_state_durable(),
            "elected by a vote that is not durable"
        );
        let last_index = self.log.last_index();
        let mut leader = Leader {
            members: Vec::new(),
            term_start: last_index.next(),
            round: Round(0),
            heartbeat_ticks: 0,
            reads: LeaderReads::default(),
            transfer: None,
        };
        leader.follow_configuration(self.configuration(), self.number, last_index);
        self.role = RoleState::Leader(leader);
        self.report_role(effects);
        self.append_own(EntryKind::NoOp, Vec::new(), effects);
    }

    /// The term moves on: promises of earlier terms that did not leave yet will not.
    fn enter_term(&mut self, term: Term, voted_for: Option<ReplicaNumber>) {
        assert!(
            term > self.hard_state.term,
            "term {} -> {term}",
            self.hard_state.term
        );
        self.hard_state.term = term;
        self.hard_state.voted_for = voted_for;
        self.held.clear();
    }

    fn send_to_voters(&mut self, message: Message, effects: &mut Vec<Effect>) {
        let configuration = self.configuration();
        let voters: Vec<ReplicaNumber> = configuration
            .members()
            .map(|member| member.number)
            .filter(|number| *number != self.number && configuration.is_voter(*number))
            .collect();
        for voter in voters {
            self.send(voter, message, effects);
        }
    }

    fn refuse_reads_of(&mut self, previous: RoleState, effects: &mut Vec<Effect>) {
        match previous {
            RoleState::Follower(follower) => follower.asked.refuse_all(effects),
            RoleState::Leader(leader) => self.refuse_leader_reads(leader.reads, effects),
            RoleState::PreCandidate(_) | RoleState::Candidate(_) => {}
        }
    }
}

/// Why an election starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// No leader was heard from.
    Timeout,
    /// The leader hands over (thesis 3.10).
    Transfer,
}
