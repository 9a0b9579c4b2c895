//! What a leader has heard from idle sessions and not logged yet.
//!
//! A keep-alive is not an entry: the leader gathers them and writes one refresh entry per quarter
//! of the shortest timeout among those that said something. A session whose commands were committed
//! meanwhile needs no place in it. A new leader starts with nothing, since its first entry
//! refreshes all.

use crate::host::Host;
use crate::payload::Refresh;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use margay_types::{LogTime, SessionId};

/// A refresh entry is due after this part of the shortest timeout.
const REFRESH_PARTS: u64 = 4;

/// What a session said last, and when.
#[derive(Clone, Copy, Debug)]
struct Heard {
    refresh: Refresh,
    at: LogTime,
}

/// Keep-alives of one group that wait for the next refresh entry.
#[derive(Debug, Default)]
pub struct KeepAlives {
    waiting: BTreeMap<SessionId, Heard>,
    due_at: Option<LogTime>,
}

impl KeepAlives {
    /// A leader that has heard nothing yet.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            waiting: BTreeMap::new(),
            due_at: None,
        }
    }

    /// A keep-alive came in. One of a session that `host` does not know changes nothing.
    pub fn on_keep_alive(&mut self, host: &Host, refresh: Refresh, now: LogTime) {
        let Some(session) = host.session(refresh.session()) else {
            return;
        };
        let due_at = now.plus_ns(session.timeout_ns / REFRESH_PARTS);
        self.due_at = Some(self.due_at.map_or(due_at, |earlier| earlier.min(due_at)));
        self.waiting
            .insert(refresh.session(), Heard { refresh, at: now });
    }

    /// Was this session heard from since the last refresh entry?
    #[must_use]
    pub fn contains(&self, session: SessionId) -> bool {
        self.waiting.contains_key(&session)
    }

    /// When the next refresh entry is due, in log time.
    #[must_use]
    pub fn due_at(&self) -> Option<LogTime> {
        self.due_at
    }

    /// The next refresh entry's list, if it is due: at most `count_max` into `refreshes`, whose
    /// bytes one after the other are the payload. What does not fit stays due.
    pub fn take_due(
        &mut self,
        host: &Host,
        now: LogTime,
        count_max: usize,
        refreshes: &mut Vec<Refresh>,
    ) {
        refreshes.clear();
        if self.due_at.is_none_or(|due_at| due_at > now) {
            return;
        }
        while refreshes.len() < count_max {
            let Some((id, heard)) = self.waiting.pop_first() else {
                self.due_at = None;
                return;
            };
            let Some(session) = host.session(id) else {
                continue;
            };
            let says_something = session.refreshed < heard.at
                || session.acknowledged_below < heard.refresh.acknowledged_below()
                || session.events_received < heard.refresh.events_received();
            if says_something {
                refreshes.push(heard.refresh);
            }
        }
    }

    /// Leadership is lost: the next leader hears for itself.
    pub fn clear(&mut self) {
        self.waiting.clear();
        self.due_at = None;
    }
}
