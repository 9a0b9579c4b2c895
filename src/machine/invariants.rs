//! What holds of a host between any two entries; called by tests and simulators, because it looks at every session.

use crate::host::Host;
use crate::limits::ENDED_SESSIONS_MAX;
use crate::session::Session;
use crate::session_table::SessionTable;
use alloc::collections::BTreeSet;

impl Host {
    /// Checks this host against itself. One that stopped did so in the middle of an entry, and applies nothing more.
    ///
    /// # Panics
    /// When it contradicts itself: a mistake of ours.
    pub fn check(&self) {
        if self.stopped.is_some() {
            return;
        }
        self.sessions.check();
        assert!(
            self.sessions.len() as u64 <= u64::from(self.limits.sessions_max),
            "{} sessions, and {} may be",
            self.sessions.len(),
            self.limits.sessions_max
        );
        assert!(
            self.sessions.refresh_floor() <= self.log_time,
            "all were heard from at {}, behind {}",
            self.sessions.refresh_floor(),
            self.log_time
        );
        for session in self.sessions.iter() {
            self.check_session(session);
        }
        let reminded: BTreeSet<_> = self.expiry.reminded().collect();
        let forgotten = self.sessions.ids().find(|id| !reminded.contains(id));
        assert!(
            forgotten.is_none(),
            "nobody will look whether session {forgotten:?} has expired"
        );
    }

    fn check_session(&self, session: &Session) {
        assert!(
            session.id.number() <= self.applied_index.number(),
            "session {} was opened by an entry behind {}",
            session.id,
            self.applied_index
        );
        assert!(
            session.refreshed <= self.log_time,
            "session {} was heard from at {}, behind {}",
            session.id,
            session.refreshed,
            self.log_time
        );
        let newest = session.outputs().last();
        assert!(
            newest.is_none_or(|output| output.index <= self.applied_index),
            "an output of session {} comes from an entry behind {}",
            session.id,
            self.applied_index
        );
    }
}

impl SessionTable {
    fn check(&self) {
        assert!(
            self.ids().is_sorted_by(|a, b| a < b),
            "sessions do not ascend"
        );
        for session in self.iter() {
            session.check();
            assert!(
                self.of_client(session.client) == Some(session.id),
                "session {} is open, and its client has another",
                session.id
            );
        }
        let cached_bytes: u64 = self.iter().map(Session::cached_bytes).sum();
        assert!(
            cached_bytes == self.cached_bytes(),
            "the sessions keep {cached_bytes} bytes, and {} are counted",
            self.cached_bytes()
        );
        assert!(
            self.ended_count() <= ENDED_SESSIONS_MAX,
            "{} ended sessions are remembered",
            self.ended_count()
        );
        let revenant = self
            .ended()
            .find(|ended| self.find(ended.session).is_some());
        assert!(
            revenant.is_none(),
            "a session is open that has ended: {revenant:?}"
        );
    }
}

impl Session {
    fn check(&self) {
        assert!(
            self.acknowledged_below() <= self.applied().next(),
            "session {} acknowledged {}, and {} is applied",
            self.id,
            self.acknowledged_below(),
            self.applied()
        );
        assert!(
            self.acknowledged_below().number() + self.outputs().len() as u64
                == self.applied().number() + 1,
            "outputs of session {} have a hole",
            self.id
        );
        assert!(
            self.outputs().is_sorted_by_key(|output| output.index),
            "outputs of session {} do not ascend",
            self.id
        );
        let cached_bytes: u64 = self.outputs().map(|output| output.cached_bytes()).sum();
        assert!(
            cached_bytes == self.cached_bytes(),
            "session {} keeps {cached_bytes} bytes, and {} are counted",
            self.id,
            self.cached_bytes()
        );
        assert!(
            self.events_received <= self.event_counter,
            "session {} received {} of {} events",
            self.id,
            self.events_received,
            self.event_counter
        );
    }
}
