//! What a machine is told with a call: the commit, and what surrounds it.

use crate::machine::Machine;
use crate::session_table::SessionTable;
use core::marker::PhantomData;
use margay_types::{Index, LogTime, SessionId};

/// One committed command, and where it stands.
#[derive(Clone, Copy, Debug)]
pub struct Commit<C> {
    /// Index of its entry.
    pub index: Index,
    /// Log time of its entry; the only clock there is.
    pub time: LogTime,
    /// Whose it is; `None` for commands of level `None`, which have no session.
    pub session: Option<SessionId>,
    /// What to do.
    pub command: C,
}

/// What happened to a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionChange {
    /// It has begun and is listed already.
    Opened,
    /// Its client ended it; it is listed no more.
    Closed,
    /// Its client was not heard from, or opened another one; it is listed no more.
    Expired,
}

/// What a machine may look at while it applies.
pub struct Context<'a, M: Machine> {
    index: Index,
    time: LogTime,
    sessions: &'a SessionTable,
    machine: PhantomData<fn(&M)>,
}

impl<'a, M: Machine> Context<'a, M> {
    pub(crate) fn new(index: Index, time: LogTime, sessions: &'a SessionTable) -> Self {
        Self {
            index,
            time,
            sessions,
            machine: PhantomData,
        }
    }

    /// Index of the entry that is applied.
    #[must_use]
    pub fn index(&self) -> Index {
        self.index
    }

    /// Log time of the entry that is applied.
    #[must_use]
    pub fn time(&self) -> LogTime {
        self.time
    }

    /// The sessions that are open, in the order in which they were opened.
    pub fn sessions(&self) -> impl Iterator<Item = SessionId> + use<'a, M> {
        self.sessions.ids()
    }

    /// Is this session open?
    #[must_use]
    pub fn is_open(&self, session: SessionId) -> bool {
        self.sessions.find(session).is_some()
    }
}

/// What a machine is told with a query.
#[derive(Clone, Copy, Debug)]
pub struct View {
    /// Index of the last entry that was applied.
    pub index: Index,
    /// Log time of that entry.
    pub time: LogTime,
    /// Who asks, if it asks in a session.
    pub session: Option<SessionId>,
}
