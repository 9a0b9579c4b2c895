//! What a client tells its application, in the order in which it happened.
//!
//! Outputs are copied once, into one buffer that is used again as soon as everything in it was taken.

use crate::query::QueryKey;
use crate::session::SessionKey;
use margay_types::{Index, SequenceNumber, SessionId};
use margay_wire::Refusal;
use std::collections::VecDeque;

/// What became of a command or a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome<'a> {
    /// Applied or answered, once, with this output.
    Done(&'a [u8]),
    /// Not applied, now or ever.
    Refused(Refusal),
    /// Applied, without an output that could be had.
    NoOutput(Refusal),
    /// The session was lost: applied or not, nobody can tell any more.
    Unknown,
}

/// One piece of news.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Completion<'a> {
    /// The session is open; commands may be submitted.
    Opened {
        /// Which session.
        session: SessionKey,
        /// Its id in the group.
        id: SessionId,
    },
    /// The session will not be opened; the key is of no more use.
    NotOpened {
        /// Which session.
        session: SessionKey,
        /// Why.
        refusal: Refusal,
    },
    /// A command is decided. Commands of one session complete in the order of their numbers.
    Command {
        /// Whose.
        session: SessionKey,
        /// Its number.
        sequence: SequenceNumber,
        /// Index of its entry; `ZERO` where there is none, or none is known.
        index: Index,
        /// What became of it.
        outcome: Outcome<'a>,
    },
    /// A command's deadline has passed; it is still under way and will complete.
    Pending {
        /// Whose.
        session: SessionKey,
        /// Its number.
        sequence: SequenceNumber,
    },
    /// A query is answered, or refused for good.
    Query {
        /// Which query.
        query: QueryKey,
        /// The index of the state that it saw.
        index: Index,
        /// Its answer; never `Unknown`.
        outcome: Outcome<'a>,
    },
    /// A query's deadline has passed; it is given up.
    QueryTimedOut {
        /// Which query.
        query: QueryKey,
    },
    /// An event of the session, in order and without gaps.
    Event {
        /// Whose.
        session: SessionKey,
        /// Its number.
        number: u64,
        /// Index of the entry that published it.
        index: Index,
        /// The machine's event, encoded.
        payload: &'a [u8],
    },
    /// The session is lost; what was in flight completed as `Unknown` before. The key is of no more use.
    Lost {
        /// Which session.
        session: SessionKey,
        /// Why.
        refusal: Refusal,
    },
    /// The session is closed as asked. The key is of no more use.
    Closed {
        /// Which session.
        session: SessionKey,
    },
}

/// A completion whose bytes are in the buffer.
#[derive(Clone, Copy, Debug)]
enum Record {
    Whole(Completion<'static>),
    Output {
        session: SessionKey,
        sequence: SequenceNumber,
        index: Index,
        bytes: Bytes,
    },
    Answer {
        query: QueryKey,
        index: Index,
        bytes: Bytes,
    },
    Event {
        session: SessionKey,
        number: u64,
        index: Index,
        bytes: Bytes,
    },
}

/// Where an output lies in the buffer that all of them share.
#[derive(Clone, Copy, Debug)]
struct Bytes {
    start: usize,
    end: usize,
}

/// Completions that the application has not taken yet.
#[derive(Debug, Default)]
pub(crate) struct Completions {
    records: VecDeque<Record>,
    buffer: Vec<u8>,
}

impl Completions {
    pub(crate) fn push(&mut self, completion: Completion<'static>) {
        self.records.push_back(Record::Whole(completion));
    }

    pub(crate) fn push_output(
        &mut self,
        session: SessionKey,
        sequence: SequenceNumber,
        index: Index,
        output: &[u8],
    ) {
        let bytes = self.keep(output);
        self.records.push_back(Record::Output {
            session,
            sequence,
            index,
            bytes,
        });
    }

    pub(crate) fn push_answer(&mut self, query: QueryKey, index: Index, output: &[u8]) {
        let bytes = self.keep(output);
        self.records.push_back(Record::Answer {
            query,
            index,
            bytes,
        });
    }

    pub(crate) fn push_event(
        &mut self,
        session: SessionKey,
        number: u64,
        index: Index,
        payload: &[u8],
    ) {
        let bytes = self.keep(payload);
        self.records.push_back(Record::Event {
            session,
            number,
            index,
            bytes,
        });
    }

    pub(crate) fn take(&mut self) -> Option<Completion<'_>> {
        let Some(record) = self.records.pop_front() else {
            self.buffer.clear();
            return None;
        };
        let lent = |bytes: Bytes| &self.buffer[bytes.start..bytes.end];
        Some(match record {
            Record::Whole(completion) => completion,
            Record::Output {
                session,
                sequence,
                index,
                bytes,
            } => {
                let outcome = Outcome::Done(lent(bytes));
                Completion::Command {
                    session,
                    sequence,
                    index,
                    outcome,
                }
            }
            Record::Answer {
                query,
                index,
                bytes,
            } => Completion::Query {
                query,
                index,
                outcome: Outcome::Done(lent(bytes)),
            },
            Record::Event {
                session,
                number,
                index,
                bytes,
            } => Completion::Event {
                session,
                number,
                index,
                payload: lent(bytes),
            },
        })
    }

    fn keep(&mut self, bytes: &[u8]) -> Bytes {
        if self.records.is_empty() {
            self.buffer.clear();
        }
        let start = self.buffer.len();
        self.buffer.extend_from_slice(bytes);
        Bytes {
            start,
            end: self.buffer.len(),
        }
    }
}
