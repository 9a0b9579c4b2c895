//! Which number a session's next command must have, as the leader counts.
//!
//! A sequence number belongs to one command for ever. So the next number of a session is one more than the
//! greatest in its applied record *and* in the unapplied part of the leader's own log. Counting from the applied
//! record alone would give a number a second time: a command that the old leader appended and that is not yet
//! applied here would get a twin, and the client's retry of it a second execution.
//!
//! ```text
//!   applied ............. | unapplied part of the log when this replica became leader | own entries
//!   record says 5         | holds 6, 7                                               | next is 8
//! ```
//!
//! Only a leader keeps this, from the moment when it became leader. When the unapplied part is not in memory any
//! more, it first applies everything up to there and says `not ready` meanwhile.

use margay_types::{Index, SequenceNumber, SessionId};
use std::collections::BTreeMap;

/// Where a command stands against what its session has sent before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// It is the next one: append it.
    Next,
    /// It, or another under its number, was appended before: answer, or attach.
    Earlier,
    /// Some before it are missing: the client sends again from `next`, in order.
    Gap {
        /// The number that must come next.
        next: SequenceNumber,
    },
}

/// The greatest numbers of one session's commands.
#[derive(Clone, Copy, Debug)]
struct Counted {
    next: SequenceNumber,
    /// None of its outputs under way takes more of the caches.
    output_bytes_max: u64,
}

impl Counted {
    const fn before(next: SequenceNumber) -> Self {
        Self {
            next,
            output_bytes_max: 0,
        }
    }
}

/// The next numbers of all sessions that wrote while this replica leads, or whose commands stood in its tail.
#[derive(Debug)]
pub(crate) struct Sequencing {
    sessions: BTreeMap<SessionId, Counted>,
    /// The greatest over all sessions, since this replica leads.
    output_bytes_max: u64,
    /// Numbers are known once everything up to here is applied.
    ready_at: Index,
}

impl Sequencing {
    /// A leader whose unapplied tail ends at `tail_last` and could not be read: it must apply that first.
    pub(crate) fn waiting(tail_last: Index) -> Self {
        Self {
            sessions: BTreeMap::new(),
            output_bytes_max: 0,
            ready_at: tail_last,
        }
    }

    /// A leader that has read its whole unapplied tail.
    pub(crate) fn from_tail(commands: impl Iterator<Item = (SessionId, SequenceNumber)>) -> Self {
        let mut sequencing = Self {
            sessions: BTreeMap::new(),
            output_bytes_max: 0,
            ready_at: Index::ZERO,
        };
        for (session, sequence) in commands {
            sequencing.count(session, sequence, 0);
        }
        sequencing
    }

    /// Are numbers known, with everything up to `applied` applied?
    pub(crate) fn is_ready(&self, applied: Index) -> bool {
        applied >= self.ready_at
    }

    /// Where the command stands. `applied_last` gives the greatest number in the session's applied record and is
    /// asked once per session and reign; `None` when there is no such session.
    pub(crate) fn place(
        &mut self,
        session: SessionId,
        sequence: SequenceNumber,
        applied_last: impl FnOnce() -> Option<SequenceNumber>,
    ) -> Option<Place> {
        let next = match self.sessions.get(&session) {
            Some(counted) => counted.next,
            None => {
                let next = applied_last()?.next();
                self.sessions.insert(session, Counted::before(next));
                next
            }
        };
        Some(match sequence.cmp(&next) {
            std::cmp::Ordering::Less => Place::Earlier,
            std::cmp::Ordering::Equal => Place::Next,
            std::cmp::Ordering::Greater => Place::Gap { next },
        })
    }

    /// The number that a session's next command must have, when its applied record says `applied`.
    pub(crate) fn next(&self, session: SessionId, applied: SequenceNumber) -> SequenceNumber {
        self.sessions
            .get(&session)
            .map_or(applied.next(), |counted| counted.next)
    }

    /// A command was appended, or stands in the tail. Its output takes so much of the caches at most; of what an
    /// earlier leader appended nothing is known here, and the table decides.
    pub(crate) fn count(
        &mut self,
        session: SessionId,
        sequence: SequenceNumber,
        output_bytes_max: u64,
    ) {
        let next = sequence.next();
        let counted = self.sessions.entry(session);
        let counted = counted.or_insert(Counted::before(next));
        counted.next = counted.next.max(next);
        counted.output_bytes_max = counted.output_bytes_max.max(output_bytes_max);
        self.output_bytes_max = self.output_bytes_max.max(output_bytes_max);
    }

    /// The most that the outputs of a session take whose commands are appended and not applied.
    pub(crate) fn promised_bytes(&self, session: SessionId, applied: SequenceNumber) -> u64 {
        let counted = self.sessions.get(&session);
        counted.map_or(0, |counted| {
            let under_way = counted
                .next
                .number()
                .saturating_sub(applied.next().number());
            under_way.saturating_mul(counted.output_bytes_max)
        })
    }

    /// The most that an output of any session takes.
    pub(crate) const fn any_output_bytes_max(&self) -> u64 {
        self.output_bytes_max
    }

    /// The session ended, and its record is gone; or a command of it was refused when it was applied, and its record
    /// says less than was counted. The record alone counts from here on. A command that is appended twice because of
    /// that is applied once: it has the same number both times.
    pub(crate) fn forget(&mut self, session: SessionId) {
        self.sessions.remove(&session);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SESSION: SessionId = SessionId::new(9);

    #[test]
    fn the_tail_counts_as_well_as_the_applied_record() {
        let tail = [6, 7].map(|number| (SESSION, SequenceNumber::new(number)));
        let mut sequencing = Sequencing::from_tail(tail.into_iter());
        let applied = || Some(SequenceNumber::new(5));
        let place = |sequencing: &mut Sequencing, number| {
            sequencing.place(SESSION, SequenceNumber::new(number), applied)
        };
        assert_eq!(place(&mut sequencing, 7), Some(Place::Earlier));
        assert_eq!(place(&mut sequencing, 8), Some(Place::Next));
        assert_eq!(
            place(&mut sequencing, 9),
            Some(Place::Gap {
                next: SequenceNumber::new(8)
            })
        );
    }

    #[test]
    fn a_refusal_consumes_no_number() {
        let mut sequencing = Sequencing::from_tail(std::iter::empty());
        let applied = || Some(SequenceNumber::new(0));
        for _ in 0..2 {
            let place = sequencing.place(SESSION, SequenceNumber::new(1), applied);
            assert_eq!(place, Some(Place::Next));
        }
    }

    #[test]
    fn a_session_without_a_record_has_no_place() {
        let mut sequencing = Sequencing::from_tail(std::iter::empty());
        assert_eq!(
            sequencing.place(SESSION, SequenceNumber::new(1), || None),
            None
        );
    }

    #[test]
    fn numbers_are_unknown_until_an_unread_tail_is_applied() {
        let sequencing = Sequencing::waiting(Index::new(40));
        assert!(!sequencing.is_ready(Index::new(39)));
        assert!(sequencing.is_ready(Index::new(40)));
    }
}
