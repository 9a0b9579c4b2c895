//! Questions to the machine: which index an answer must see, and who still waits for it.
//!
//! ```text
//!   Causal         applied >= what the asker has seen                       any replica
//!   Sequential     ... and the session's commands issued before are applied any replica
//!   Linearizable   ... and an index that a quorum confirmed after it came   leader, or follower through it
//! ```
//!
//! A question is answered from the state as it is when its index is applied. One that waits too long is refused: the
//! asker may try elsewhere.

use crate::limits::{
    NOT_READY_RETRY_MS, OVERLOADED_RETRY_MS, WAITING_READ_BYTES_MAX, WAITING_READ_MS,
    WAITING_READS_MAX,
};
use crate::shard::Seams;
use crate::shard::applying;
use crate::shard::hosted::Hosted;
use crate::shard::means::Means;
use crate::shard::waiters::Requester;
use margay_machine::{Host, Outcome, QueryError};
use margay_raft::ReadId;
#[cfg(feature = "mutants")]
use margay_types::mutant::{self, Mutant};
use margay_types::{Index, OperationId, SequenceNumber, SessionId, Term};
use margay_wire::client::{Query, QueryLevel, ResponseHead};
use margay_wire::refusal::Refusal;
use std::collections::BTreeMap;

/// A question and whom to tell.
#[derive(Debug)]
struct Question {
    to: Requester,
    session: Option<SessionId>,
    operation: OperationId,
    payload: Vec<u8>,
    /// The state must have got here.
    index: Index,
    /// And this session's commands must have got here.
    issued: SequenceNumber,
    deadline_ns: u64,
}

impl Question {
    fn is_due(&self, host: &Host) -> bool {
        if host.applied_index() < self.index {
            return false;
        }
        #[cfg(feature = "mutants")]
        if mutant::is(Mutant::QueryBeforeItsCommands) {
            return true;
        }
        let Some(session) = self
            .session
            .filter(|_| self.issued > SequenceNumber::new(0))
        else {
            return true;
        };
        host.session(session)
            .is_none_or(|view| view.applied >= self.issued)
    }
}

/// The questions of one group that wait.
#[derive(Debug, Default)]
pub(crate) struct Reads {
    /// Until a round confirms an index.
    unconfirmed: BTreeMap<ReadId, Question>,
    /// Until their index is applied, by that index.
    confirmed: BTreeMap<(Index, ReadId), Question>,
    /// What they all ask.
    bytes: usize,
    last: u64,
}

impl Reads {
    /// Does any wait?
    pub(crate) fn is_empty(&self) -> bool {
        self.count() == 0
    }

    /// How many wait.
    pub(crate) fn count(&self) -> usize {
        self.unconfirmed.len() + self.confirmed.len()
    }

    /// Is there room for a question of so many bytes?
    fn has_room(&self, bytes: usize) -> bool {
        self.count() < WAITING_READS_MAX && self.bytes + bytes <= WAITING_READ_BYTES_MAX
    }

    fn next_id(&mut self) -> ReadId {
        self.last += 1;
        ReadId(self.last)
    }

    /// The core confirmed an index for a read.
    pub(crate) fn on_ready(&mut self, read: ReadId, index: Index) {
        if let Some(mut question) = self.unconfirmed.remove(&read) {
            question.index = question.index.max(index);
            self.confirmed.insert((question.index, read), question);
        }
    }

    /// Answers every question whose index is applied.
    pub(crate) fn answer_ready<S: Seams>(&mut self, host: &Host, term: Term, means: &mut Means<S>) {
        if self.confirmed.is_empty() {
            return;
        }
        let behind = self
            .confirmed
            .split_off(&(host.applied_index().next(), ReadId(0)));
        for (key, question) in std::mem::replace(&mut self.confirmed, behind) {
            if question.is_due(host) {
                self.bytes -= question.payload.len();
                answer(host, term, means, &question);
            } else {
                self.confirmed.insert(key, question);
            }
        }
    }

    /// Refuses what has waited too long.
    pub(crate) fn expire<S: Seams>(&mut self, head: ResponseHead, means: &mut Means<S>) {
        let now_ns = means.now_ns;
        let refusal = Refusal::NotReady {
            retry_after_ms: NOT_READY_RETRY_MS,
        };
        let is_late = |question: &Question| question.deadline_ns <= now_ns;
        for (_, late) in self
            .unconfirmed
            .extract_if(.., |_, question| is_late(question))
        {
            self.bytes -= late.payload.len();
            means.refuse(late.to, head, &refusal);
        }
        for (_, late) in self
            .confirmed
            .extract_if(.., |_, question| is_late(question))
        {
            self.bytes -= late.payload.len();
            means.refuse(late.to, head, &refusal);
        }
    }
}

fn answer<S: Seams>(host: &Host, term: Term, means: &mut Means<S>, question: &Question) {
    let gone = question.session.and_then(|id| how_it_ended(host, id));
    if let Some(refusal) = gone {
        let head = ResponseHead {
            term,
            index: host.applied_index(),
            events: 0,
        };
        means.refuse(question.to, head, &refusal);
        return;
    }
    let events = question
        .session
        .and_then(|id| host.session(id))
        .map_or(0, |it| it.event_counter);
    let head = ResponseHead {
        term,
        index: host.applied_index(),
        events,
    };
    let mut output = Vec::new();
    match host.answer(
        question.operation,
        &question.payload,
        question.session,
        &mut output,
    ) {
        Ok(()) => means.answer(question.to, head, &output),
        Err(error) => means.refuse(question.to, head, &refusal_of(&error)),
    }
}

/// A question ends with its session. Where a session was attached it was open, so one that is not there has ended.
fn how_it_ended(host: &Host, session: SessionId) -> Option<Refusal> {
    match host.outcome(session, SequenceNumber::new(0)) {
        Outcome::NoSession(code) => applying::refusal_of(code, &[]),
        Outcome::Decided { .. } | Outcome::Gone | Outcome::NotYet => None,
    }
}

fn refusal_of(error: &QueryError) -> Refusal {
    match error {
        QueryError::UnknownOperation(_)
        | QueryError::Undecodable(_)
        | QueryError::Panicked { .. } => Refusal::BadOperation,
        QueryError::Stopped(_) => Refusal::StoppedMachine,
    }
}

impl Hosted {
    /// A question; its session, if it has one, was checked when it was attached.
    pub(crate) fn on_query<S: Seams>(
        &mut self,
        means: &mut Means<S>,
        to: Requester,
        session: Option<SessionId>,
        query: &Query<'_>,
    ) {
        if !self.reads.has_room(query.payload.len()) {
            let refusal = Refusal::Overloaded {
                retry_after_ms: OVERLOADED_RETRY_MS,
            };
            means.refuse(to, self.head(), &refusal);
            return;
        }
        let seen = query.seen;
        #[cfg(feature = "mutants")]
        let seen = if mutant::is(Mutant::QuerySeesLess) {
            Index::ZERO
        } else {
            seen
        };
        let question = Question {
            to,
            session,
            operation: query.operation,
            payload: query.payload.to_vec(),
            index: seen,
            issued: match query.level {
                QueryLevel::Causal => SequenceNumber::new(0),
                QueryLevel::Sequential
                | QueryLevel::BoundedLinearizable
                | QueryLevel::Linearizable => query.issued,
            },
            deadline_ns: means.now_ns + WAITING_READ_MS * 1_000_000,
        };
        let read = self.reads.next_id();
        self.reads.bytes += question.payload.len();
        match query.level {
            QueryLevel::Causal | QueryLevel::Sequential => {
                self.reads
                    .confirmed
                    .insert((question.index, read), question);
            }
            QueryLevel::BoundedLinearizable | QueryLevel::Linearizable => {
                self.reads.unconfirmed.insert(read, question);
                let mut effects = std::mem::take(&mut means.effects);
                self.replica.read(read, &mut effects);
                self.execute(means, effects, &[]);
            }
        }
        self.touch(means);
    }

    /// The core cannot confirm a read now.
    pub(crate) fn on_read_refused<S: Seams>(&mut self, means: &mut Means<S>, read: ReadId) {
        if let Some(question) = self.reads.unconfirmed.remove(&read) {
            self.reads.bytes -= question.payload.len();
            let refusal = self.not_leader();
            means.refuse(question.to, self.head(), &refusal);
        }
    }
}
