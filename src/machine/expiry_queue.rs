//! Which sessions to look at next, so that a leader finds the dead among 200,000 without a walk.
//!
//! The queue has one reminder per session, at a time not later than its true deadline. A command
//! moves a deadline but not the reminder: when that comes due, it moves to where the deadline is by
//! then. So a session costs one step of a heap per timeout, and a command nothing.
//!
//! This is derived from the session table and not replicated: followers only fill it. Reminders of
//! ended sessions go when they come due, or when they are more than the living.

use crate::host::Host;
use crate::keep_alives::KeepAlives;
use alloc::collections::BinaryHeap;
use alloc::vec::Vec;
use core::cmp::Reverse;
use margay_types::{LogTime, SessionId};

/// So many reminders are never too many.
const REMINDERS_UNCHECKED: usize = 1_024;
/// A session that was reported and still lives is reported again after this part of its timeout:
/// the entry that was to end it may be lost with its leader.
const REPORT_AGAIN_PARTS: u64 = 4;

/// Reminders of sessions, the earliest first.
#[derive(Debug, Default)]
pub(crate) struct ExpiryQueue {
    reminders: BinaryHeap<Reverse<(LogTime, SessionId)>>,
}

impl ExpiryQueue {
    /// A session began; it lives until `deadline` if it is not heard from.
    pub(crate) fn on_opened(&mut self, session: SessionId, deadline: LogTime) {
        self.reminders.push(Reverse((deadline, session)));
    }

    /// When the next reminder comes due.
    fn next_at(&self) -> Option<LogTime> {
        self.reminders.peek().map(|Reverse((at, _))| *at)
    }

    /// The sessions that it will come back to; some may have ended.
    pub(crate) fn reminded(&self) -> impl Iterator<Item = SessionId> {
        self.reminders.iter().map(|Reverse((_, session))| *session)
    }

    fn take_due(&mut self, now: LogTime) -> Option<SessionId> {
        let Reverse((at, session)) = self.reminders.peek().copied()?;
        if at > now {
            return None;
        }
        self.reminders.pop();
        Some(session)
    }
}

impl Host {
    /// The sessions that a leader should propose to expire now: at most `count_max`, put into
    /// `due`. A session that `heard` knows is not among them, since what was received counts before
    /// expiry does.
    ///
    /// One that is reported and not expired by the entry is reported again a quarter of its timeout
    /// later.
    pub fn due_for_expiry(
        &mut self,
        now: LogTime,
        count_max: usize,
        heard: &KeepAlives,
        due: &mut Vec<SessionId>,
    ) {
        due.clear();
        while due.len() < count_max {
            let Some(id) = self.expiry.take_due(now) else {
                return;
            };
            let Some(slot) = self.sessions.find(id) else {
                continue;
            };
            let session = self.sessions.at(slot);
            let deadline = self.sessions.refreshed(session).plus_ns(session.timeout_ns);
            let again = now.plus_ns(session.timeout_ns / REPORT_AGAIN_PARTS + 1);
            if deadline > now {
                self.expiry.on_opened(id, deadline);
            } else {
                self.expiry.on_opened(id, again);
                if !heard.contains(id) {
                    due.push(id);
                }
            }
        }
    }

    /// When [`Host::due_for_expiry`] should be asked next: nothing is due before, if nothing is applied until then.
    #[must_use]
    pub fn next_expiry_at(&self) -> Option<LogTime> {
        self.expiry.next_at()
    }

    /// Drops reminders of ended sessions when they are the greater part.
    pub(crate) fn prune_expiry(&mut self) {
        let reminders = &mut self.expiry.reminders;
        if reminders.len() <= REMINDERS_UNCHECKED.max(2 * self.sessions.len()) {
            return;
        }
        let sessions = &self.sessions;
        reminders.retain(|Reverse((_, session))| sessions.find(*session).is_some());
    }

    /// Reminders for all sessions, after a rebuild.
    pub(crate) fn refill_expiry(&mut self) {
        let deadlines = self.sessions.iter().map(|session| {
            Reverse((
                self.sessions.refreshed(session).plus_ns(session.timeout_ns),
                session.id,
            ))
        });
        self.expiry.reminders = deadlines.collect();
    }
}
