//! One replica on its own, for tests: its messages are written by hand, its writes return when the test says so.

use crate::configuration::{Configuration, Member};
use crate::effects::{Effect, Role, WriteId};
use crate::entry::{EntryKind, EntryView, HardState, Position};
use crate::log::TermRun;
use crate::message::{
    AppendEntries, AppendOutcome, AppendResponse, Heartbeat, HeartbeatResponse, Message,
    PreVoteResponse, RequestVote, RequestVoteResponse, Round,
};
use crate::options::Options;
use crate::replica::{Replica, Restored};
use crate::types::{Index, NodeId, ReplicaNumber, Term, Ticks};
use alloc::vec;
use alloc::vec::Vec;

pub(crate) const ELECTION_TICKS: u32 = 10;
pub(crate) const HEARTBEAT_TICKS: u32 = 3;

pub(crate) fn number(number: u16) -> ReplicaNumber {
    ReplicaNumber::new(number)
}

pub(crate) fn index(number: u64) -> Index {
    Index::new(number)
}

pub(crate) fn position(term: u32, index: u64) -> Position {
    Position {
        term: Term::new(term),
        index: Index::new(index),
    }
}

pub(crate) fn members(numbers: &[u16]) -> Vec<Member> {
    numbers
        .iter()
        .map(|&n| Member {
            number: number(n),
            node: NodeId::new(n),
        })
        .collect()
}

pub(crate) fn voters(numbers: &[u16]) -> Configuration {
    Configuration {
        voters: members(numbers),
        ..Configuration::default()
    }
}

pub(crate) fn append(term: u32, previous: Position, last: u64, commit: u64) -> AppendEntries {
    AppendEntries {
        term: Term::new(term),
        previous,
        last: index(last),
        may_shorten: false,
        commit_index: index(commit),
        stable_index: Index::ZERO,
        round: Round(1),
    }
}

pub(crate) fn heartbeat(term: u32, commit: u64) -> Message {
    Message::Heartbeat(Heartbeat {
        term: Term::new(term),
        commit_index: index(commit),
        stable_index: Index::ZERO,
        round: Round(1),
    })
}

pub(crate) fn request_vote(term: u32, last: Position) -> Message {
    Message::RequestVote(RequestVote {
        term: Term::new(term),
        last,
        transfer: false,
    })
}

pub(crate) fn command(term: u32, index: u64) -> EntryView<'static> {
    EntryView {
        position: position(term, index),
        kind: EntryKind::CommandPlain,
        size_bytes: 40,
        payload: &[],
    }
}

/// Replica 1, long after its start, and what it wants done.
pub(crate) struct Stage {
    pub(crate) replica: Replica,
    pub(crate) effects: Vec<Effect>,
}

impl Stage {
    /// A replica that has just started, with durable entries of these terms from index 1 on.
    pub(crate) fn started(configuration: Configuration, terms: &[u32]) -> Self {
        let mut term_runs: Vec<TermRun> = vec![];
        for (first, term) in (1..).map(index).zip(terms.iter().copied().map(Term::new)) {
            if term_runs.last().is_none_or(|run| run.term != term) {
                term_runs.push(TermRun { first, term });
            }
        }
        let term = Term::new(terms.last().copied().unwrap_or(0));
        let restored = Restored {
            hard_state: HardState {
                term,
                voted_for: None,
            },
            term_runs,
            last_index: index(terms.len() as u64),
            configurations: vec![(Index::ZERO, configuration)],
            ..Restored::default()
        };
        let options = Options {
            election_ticks_min: Ticks::new(ELECTION_TICKS),
            election_ticks_max: Ticks::new(2 * ELECTION_TICKS),
            election_slot_ticks: Ticks::new(0),
            heartbeat_ticks: Ticks::new(HEARTBEAT_TICKS),
            append_bytes_max: 100,
            tail_entries_max: 4,
            ..Options::default()
        };
        Self {
            replica: Replica::new(number(1), options, restored, 7),
            effects: vec![],
        }
    }

    /// A follower that owes nothing to anybody.
    pub(crate) fn follower(configuration: Configuration, terms: &[u32]) -> Self {
        let mut stage = Self::started(configuration, terms);
        stage.replica.age_ticks = u32::MAX;
        stage.replica.heard_ticks = u32::MAX;
        stage
    }

    pub(crate) fn candidate(configuration: Configuration, terms: &[u32]) -> Self {
        let mut stage = Self::follower(configuration, terms);
        stage.tick_until_it_campaigns();
        let term = stage.replica.term().next();
        for voter in stage.others() {
            let granted = Message::PreVoteResponse(PreVoteResponse {
                term,
                granted: true,
            });
            stage.step(voter.number(), granted);
        }
        assert_eq!(stage.replica.role(), Role::Candidate);
        stage
    }

    /// A leader whose no-op is durable here and proven nowhere else.
    pub(crate) fn leader(configuration: Configuration, terms: &[u32]) -> Self {
        let mut stage = Self::candidate(configuration, terms);
        stage.write_all();
        let term = stage.replica.term();
        for voter in stage.others() {
            let vote = RequestVoteResponse {
                term,
                granted: true,
            };
            stage.step(voter.number(), Message::RequestVoteResponse(vote));
        }
        assert_eq!(stage.replica.role(), Role::Leader);
        stage.write_all();
        stage.flush();
        stage
    }

    /// A leader whose members all have its whole log.
    pub(crate) fn settled_leader(configuration: Configuration, terms: &[u32]) -> Self {
        let mut stage = Self::leader(configuration, terms);
        let last = stage.replica.last_index().number();
        for member in stage.others() {
            stage.prove(member.number(), last);
        }
        assert_eq!(stage.replica.commit_index(), index(last));
        stage.flush();
        stage.take();
        stage
    }

    fn others(&self) -> Vec<ReplicaNumber> {
        let all = self
            .replica
            .configuration()
            .members()
            .map(|member| member.number);
        all.filter(|it| *it != number(1)).collect()
    }

    pub(crate) fn step(&mut self, from: u16, message: Message) {
        self.replica.step(number(from), message, &mut self.effects);
        self.replica.check();
    }

    pub(crate) fn on_append(
        &mut self,
        from: u16,
        append: AppendEntries,
        entries: &[EntryView<'_>],
    ) {
        self.replica
            .on_append(number(from), &append, entries, &mut self.effects);
        self.replica.check();
    }

    pub(crate) fn on_append_without_room(
        &mut self,
        from: u16,
        append: AppendEntries,
        entries: &[EntryView<'_>],
    ) {
        self.replica
            .on_append_without_room(number(from), &append, entries, &mut self.effects);
        self.replica.check();
    }

    pub(crate) fn tick(&mut self, ticks: u32) {
        for _ in 0..ticks {
            self.replica.tick(&mut self.effects);
            self.replica.check();
        }
    }

    fn tick_until_it_campaigns(&mut self) {
        for _ in 0..3 * ELECTION_TICKS {
            if self.replica.role() == Role::Follower {
                self.tick(1);
            }
        }
        assert_ne!(self.replica.role(), Role::Follower);
    }

    pub(crate) fn flush(&mut self) {
        self.replica.flush(&mut self.effects);
        self.replica.check();
    }

    pub(crate) fn written(&mut self, write: WriteId) {
        self.replica.on_written(write, &mut self.effects);
        self.replica.check();
    }

    pub(crate) fn write_all(&mut self) {
        self.written(self.replica.durability.issued());
    }

    pub(crate) fn propose(&mut self) -> WriteId {
        self.replica
            .propose(EntryKind::CommandPlain, 40)
            .unwrap()
            .write
    }

    /// Member `from` proves to hold the log up to `proven`.
    pub(crate) fn prove(&mut self, from: u16, proven: u64) {
        self.answer(
            from,
            AppendOutcome::Accepted {
                proven: index(proven),
            },
        );
    }

    pub(crate) fn answer(&mut self, from: u16, outcome: AppendOutcome) {
        let response = AppendResponse {
            term: self.replica.term(),
            outcome,
            round: Round(0),
            honoured: Ticks::new(ELECTION_TICKS),
            applies: true,
        };
        self.step(from, Message::AppendResponse(response));
    }

    pub(crate) fn confirm(&mut self, from: u16, round: Round, proven: u64) {
        let response = HeartbeatResponse {
            term: self.replica.term(),
            round,
            proven: index(proven),
            honoured: Ticks::new(ELECTION_TICKS),
            applies: true,
            wants_checkpoint: false,
        };
        self.step(from, Message::HeartbeatResponse(response));
    }

    pub(crate) fn take(&mut self) -> Vec<Effect> {
        core::mem::take(&mut self.effects)
    }

    /// The messages that left since the last time, all else forgotten.
    pub(crate) fn take_sent(&mut self) -> Vec<(u16, Message)> {
        let mut sent = vec![];
        for effect in self.take() {
            if let Effect::Send { to, message } = effect {
                sent.push((to.number(), message));
            }
        }
        sent
    }

    pub(crate) fn take_appends(&mut self) -> Vec<(u16, AppendEntries)> {
        let mut sent = vec![];
        for effect in self.take() {
            if let Effect::SendAppend { to, append } = effect {
                sent.push((to.number(), append));
            }
        }
        sent
    }
}
