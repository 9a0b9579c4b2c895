//! Who waits for the output of an entry that is on its way.
//!
//! A request that was appended here waits in index order, because entries are applied in that order. A
//! duplicate of a command under way *attaches*: it waits beside, under the command's name, and gets the same
//! output. Whoever is still waiting when this replica stops leading is told so; nobody waits for ever.
//!
//! ```text
//!   appended   [ 41: a#7 ] [ 42: b#3 ] [ 44: a#8 ]      front is answered when its index is applied
//!   attached   { a#8: another connection }              answered with it
//! ```

use crate::shard::outbox::ConnectionId;
use margay_types::{Index, SequenceNumber, SessionId};
use std::collections::{BTreeMap, VecDeque};

/// What a request asked for, as far as its answer differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A command, a query, an operator's question.
    Output,
    /// A session.
    Open,
    /// The end of a session.
    Close,
}

/// A request that wants an answer: on which connection, under which number of the client's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Requester {
    /// Where it came from.
    pub(crate) connection: ConnectionId,
    /// The number in its frame's header, which the answer repeats.
    pub(crate) request: u64,
    /// What it asked for.
    pub(crate) purpose: Purpose,
}

/// The name of a command: its session and its number there.
pub(crate) type CommandName = (SessionId, SequenceNumber);

/// A request whose entry was appended.
#[derive(Clone, Copy, Debug)]
struct Appended {
    index: Index,
    requester: Requester,
    payload_bytes: usize,
    at_ns: u64,
}

/// Everybody who waits for an entry of one group.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    appended: VecDeque<Appended>,
    appended_bytes: usize,
    attached: BTreeMap<CommandName, Vec<Requester>>,
    attached_count: usize,
}

impl Waiters {
    /// Requests that wait, attached ones included.
    pub(crate) fn count(&self) -> usize {
        self.appended.len() + self.attached_count
    }

    /// Bytes of the entries that somebody waits for.
    pub(crate) const fn bytes(&self) -> usize {
        self.appended_bytes
    }

    /// The first entry that somebody waits for.
    pub(crate) fn first(&self) -> Option<Index> {
        self.appended.front().map(|first| first.index)
    }

    /// The last one.
    pub(crate) fn last(&self) -> Option<Index> {
        self.appended.back().map(|last| last.index)
    }

    /// When the oldest of them was appended.
    pub(crate) fn oldest_ns(&self) -> Option<u64> {
        self.appended.front().map(|oldest| oldest.at_ns)
    }

    /// The request whose entry was just appended at `index`.
    pub(crate) fn push(
        &mut self,
        index: Index,
        requester: Requester,
        payload_bytes: usize,
        now_ns: u64,
    ) {
        assert!(
            self.appended.back().is_none_or(|last| last.index < index),
            "requests wait in index order, and {index} is not behind the last"
        );
        self.appended_bytes += payload_bytes;
        self.appended.push_back(Appended {
            index,
            requester,
            payload_bytes,
            at_ns: now_ns,
        });
    }

    /// A duplicate of a command under way.
    pub(crate) fn attach(&mut self, name: CommandName, requester: Requester) {
        self.attached.entry(name).or_default().push(requester);
        self.attached_count += 1;
    }

    /// Takes the request that waits for the entry at `index`. Those of earlier entries got no output of their own
    /// and are given to `passed`.
    pub(crate) fn take_appended(
        &mut self,
        index: Index,
        mut passed: impl FnMut(Requester),
    ) -> Option<Requester> {
        while let Some(first) = self.appended.pop_front_if(|first| first.index <= index) {
            self.appended_bytes -= first.payload_bytes;
            if first.index == index {
                return Some(first.requester);
            }
            passed(first.requester);
        }
        None
    }

    /// Takes the duplicates that wait for this command.
    pub(crate) fn take_attached(&mut self, name: CommandName) -> Vec<Requester> {
        if self.attached.is_empty() {
            return Vec::new();
        }
        let taken = self.attached.remove(&name).unwrap_or_default();
        self.attached_count -= taken.len();
        taken
    }

    /// Takes the duplicates that wait for any command of a session.
    pub(crate) fn take_attached_of(&mut self, session: SessionId) -> Vec<Requester> {
        let (first, last) = (SequenceNumber::new(0), SequenceNumber::new(u64::MAX));
        let of_session = (session, first)..=(session, last);
        let taken = self.attached.extract_if(of_session, |_, _| true);
        let taken: Vec<Requester> = taken.flat_map(|(_, waiting)| waiting).collect();
        self.attached_count -= taken.len();
        taken
    }

    /// Takes everybody: this replica leads no more.
    pub(crate) fn take_all(&mut self) -> Vec<Requester> {
        let mut all: Vec<Requester> = self
            .appended
            .drain(..)
            .map(|appended| appended.requester)
            .collect();
        self.appended_bytes = 0;
        for (_, attached) in std::mem::take(&mut self.attached) {
            all.extend(attached);
        }
        self.attached_count = 0;
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requester(request: u64) -> Requester {
        Requester {
            connection: ConnectionId {
                shard: margay_types::ShardId::FIRST,
                number: 1,
            },
            request,
            purpose: Purpose::Output,
        }
    }

    #[test]
    fn the_front_is_taken_at_its_own_index_only() {
        let mut waiters = Waiters::default();
        waiters.push(Index::new(4), requester(1), 100, 1);
        waiters.push(Index::new(6), requester(2), 100, 2);
        assert_eq!(
            waiters.take_appended(Index::new(3), |_| unreachable!()),
            None
        );
        assert_eq!(
            waiters.take_appended(Index::new(4), |_| unreachable!()),
            Some(requester(1))
        );
        assert_eq!(
            waiters.take_appended(Index::new(5), |_| unreachable!()),
            None
        );
        assert_eq!(waiters.count(), 1);
        assert_eq!((waiters.bytes(), waiters.oldest_ns()), (100, Some(2)));
        waiters.take_all();
        assert_eq!((waiters.bytes(), waiters.oldest_ns()), (0, None));
    }

    #[test]
    fn a_request_whose_entry_gave_no_output_is_passed_on() {
        let mut waiters = Waiters::default();
        waiters.push(Index::new(4), requester(1), 100, 1);
        waiters.push(Index::new(5), requester(2), 100, 2);
        let mut passed = Vec::new();
        let taken = waiters.take_appended(Index::new(5), |requester| passed.push(requester));
        assert_eq!((taken, passed), (Some(requester(2)), vec![requester(1)]));
    }

    #[test]
    fn whoever_waits_for_a_session_is_taken_and_nobody_else() {
        let mut waiters = Waiters::default();
        let name = |session, sequence| (SessionId::new(session), SequenceNumber::new(sequence));
        waiters.attach(name(8, 3), requester(1));
        waiters.attach(name(9, 3), requester(2));
        waiters.attach(name(9, 7), requester(3));
        waiters.attach(name(10, 1), requester(4));
        let taken = waiters.take_attached_of(SessionId::new(9));
        assert_eq!(taken, [requester(2), requester(3)]);
        assert_eq!(waiters.count(), 2);
    }

    #[test]
    fn everybody_attached_to_a_command_is_answered_with_it() {
        let mut waiters = Waiters::default();
        let name = (SessionId::new(9), SequenceNumber::new(3));
        waiters.attach(name, requester(1));
        waiters.attach(name, requester(2));
        assert_eq!(
            waiters.take_attached(name),
            vec![requester(1), requester(2)]
        );
        assert_eq!(waiters.count(), 0);
    }
}
