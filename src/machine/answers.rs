//! What an apply has to say to those who wait for it.
//!
//! The host fills it, the shard drains it: an answer goes to the request that is attached here in
//! this process life, and to nobody in replay. Buffers are used again and again, so a command costs
//! no allocation.

use alloc::vec::Vec;
use margay_types::{ClientId, Index, SequenceNumber, SessionId};

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u16)]
pub enum Code {
    /// Applied; the bytes are the machine's output. For `Open` and `Close`: done.
    Output = 0,
    /// Applied, but the output was larger than allowed and is not kept. The bytes are empty.
    OutputTooLarge = 1,
    /// An operator had the entry skipped: not applied, and never will be.
    Skipped = 2,
    /// The client gave the number up before it was applied: not applied, and never will be.
    SkippedByClient = 3,
    /// Applied once, but the client said that it needs the output no more.
    OutputGone = 4,
    /// Not applied: the number is not the session's next. It stays free; the bytes are the next
    /// one.
    NotNext = 5,
    /// Not applied: the client must acknowledge outputs first. The number stays free.
    WindowFull = 6,
    /// Not applied: the group keeps too many outputs. The number stays free.
    CacheFull = 7,
    /// Not applied: no session has this id.
    UnknownSession = 8,
    /// Not applied: the client closed the session.
    SessionClosed = 9,
    /// Not applied: the session was not heard from.
    SessionExpired = 10,
    /// Not applied: the client opened another session in its place.
    SessionReplaced = 11,
    /// Not opened: the client has made a higher attempt.
    AttemptPassed = 12,
    /// Not opened: the group has as many sessions as it may.
    SessionsFull = 13,
}

impl Code {
    const ALL: [Self; 14] = [
        Self::Output,
        Self::OutputTooLarge,
        Self::Skipped,
        Self::SkippedByClient,
        Self::OutputGone,
        Self::NotNext,
        Self::WindowFull,
        Self::CacheFull,
        Self::UnknownSession,
        Self::SessionClosed,
        Self::SessionExpired,
        Self::SessionReplaced,
        Self::AttemptPassed,
        Self::SessionsFull,
    ];

    /// The number in formats.
    #[must_use]
    pub const fn number(self) -> u16 {
        self as u16
    }

    /// The code behind a number of a format.
    #[must_use]
    pub fn from_number(number: u16) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }
}

/// Whom an answer is for, beside its index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recipient {
    /// The request with this number of a session.
    Command {
        /// Whose.
        session: SessionId,
        /// Which.
        sequence: SequenceNumber,
    },
    /// The request whose entry stands at the answer's index.
    WithoutSession,
    /// The client that opened a session; with `Code::Output` the session is its own.
    Opening {
        /// Who.
        client: ClientId,
        /// Its count of attempts.
        attempt: u64,
        /// The session that it has now, if any.
        session: Option<SessionId>,
    },
    /// Whoever is attached to a session that has ended; the code says how.
    Ended {
        /// Which.
        session: SessionId,
    },
}

/// One answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer<'a> {
    /// Whom it is for.
    pub recipient: Recipient,
    /// The index at which it was decided: for a duplicate, that of the first time.
    pub index: Index,
    /// The session's event counter before the command ran.
    pub event_counter: u64,
    /// What became of it.
    pub code: Code,
    /// The output.
    pub output: &'a [u8],
}

/// An answer whose output lies in the common buffer.
#[derive(Clone, Copy, Debug)]
struct Record {
    recipient: Recipient,
    index: Index,
    event_counter: u64,
    code: Code,
    start: usize,
    end: usize,
}

/// Answers of one or more applies, in order.
#[derive(Debug, Default)]
pub struct Answers {
    records: Vec<Record>,
    bytes: Vec<u8>,
}

impl Answers {
    /// No answers, no memory.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            records: Vec::new(),
            bytes: Vec::new(),
        }
    }

    /// The answers, in the order in which they were decided.
    pub fn iter(&self) -> impl Iterator<Item = Answer<'_>> {
        self.records.iter().map(|record| Answer {
            recipient: record.recipient,
            index: record.index,
            event_counter: record.event_counter,
            code: record.code,
            output: &self.bytes[record.start..record.end],
        })
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Is there none?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Forgets the answers and keeps the memory.
    pub fn clear(&mut self) {
        self.records.clear();
        self.bytes.clear();
    }

    pub(crate) fn push(&mut self, answer: Answer<'_>) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(answer.output);
        self.records.push(Record {
            recipient: answer.recipient,
            index: answer.index,
            event_counter: answer.event_counter,
            code: answer.code,
            start,
            end: self.bytes.len(),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_behind_its_number() {
        for code in Code::ALL {
            assert_eq!(Code::from_number(code.number()), Some(code));
        }
        assert_eq!(Code::from_number(14), None);
    }
}
