//! The client's protocol as a state machine: time and bytes in, bytes and completions out.
//!
//! A driver repeats, in any order and as often as it likes:
//!
//! ```text
//!   on_time(now)                            what is due: retries, keep-alives, deadlines
//!   next_dial() -> dial it                  then on_connected, or on_closed when it fails
//!   next_hangup() -> close it               the protocol has forgotten it already
//!   unsent(connection) -> send; on_sent     bytes out
//!   on_received(connection, bytes)          bytes in
//!   next_completion()                       news for the application
//!   due_ns()                                when to come back at the latest
//! ```
//!
//! Files beside: `links` (connections come and go), `binding` (sessions find their leader), `answers` and `reaction`
//! (what a response means), `queries`, `timers`; `number` packs what an answer must find its way by.
//!
//! Invariants:
//! * Commands of a session leave in the order of their numbers, and complete in it.
//! * A command is sent again with the very bytes it was first sent with.
//! * Every repetition waits longer than the one before, but the first redirect to a leader that is known.

mod answers;
mod binding;
mod completion;
mod links;
mod number;
mod queries;
mod reaction;
mod timers;

pub use completion::{Completion, Outcome};

use crate::connection::{ConnectionId, Link, Target};
use crate::error::SubmitError;
use crate::options::Options;
use crate::query::{PendingQuery, Queries, QueryKey};
use crate::retry::Backoff;
use crate::routing::Router;
use crate::session::{Binding, Closing, Session, SessionKey, Sessions};
use completion::Completions;
use margay_types::{ClientId, GroupId, Index, OperationId, Random, SequenceNumber};
use margay_wire::admin::Map;
use margay_wire::client::{Attach, QueryLevel};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use timers::Timer;

/// A connection that the protocol wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dial {
    /// Its name in everything that the driver says about it.
    pub connection: ConnectionId,
    /// `host:port`.
    pub address: String,
}

/// A question to a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question {
    /// The session that asks; its reads never go back behind what it has seen.
    pub session: Option<SessionKey>,
    /// The group.
    pub group: GroupId,
    /// Which query of its machine.
    pub operation: OperationId,
    /// How fresh the answer must be.
    pub level: QueryLevel,
    /// When to give up; `u64::MAX` for never.
    pub deadline_ns: u64,
}

/// The whole client, without sockets and clock.
#[derive(Debug)]
pub struct Protocol {
    options: Options,
    client: ClientId,
    /// Sessions opened so far: each one has a client id of its own.
    opened_count: u64,
    random: Random,
    now_ns: u64,
    endpoints: Vec<String>,
    endpoint_cursor: usize,
    router: Router,
    map_wanted: bool,
    map_asked: Option<ConnectionId>,
    map_backoff: Backoff,
    /// Not asked before.
    map_paused_until_ns: u64,
    links: Vec<Link>,
    link_of: BTreeMap<Target, u32>,
    sessions: Sessions,
    queries: Queries,
    timers: BTreeSet<(u64, Timer)>,
    /// Lower bound of all deadlines of commands and queries.
    deadline_ns: u64,
    dials: VecDeque<Dial>,
    hangups: VecDeque<ConnectionId>,
    /// Connections with bytes to send, each once.
    unsent: VecDeque<ConnectionId>,
    completions: Completions,
    /// Answers by which a command was refused.
    refused_count: u64,
    /// Why the last connection that failed did.
    last_failure: Option<String>,
}

impl Protocol {
    /// A client of the cluster behind these addresses. `client` must be random: sessions of two clients with the same
    /// id would replace each other. `seed` decides the jitter. Tell it the time by [`Self::on_time`] before anything
    /// else.
    ///
    /// # Panics
    /// Without an address.
    #[must_use]
    pub fn new(options: Options, endpoints: Vec<String>, client: ClientId, seed: u64) -> Self {
        assert!(
            !endpoints.is_empty(),
            "a client needs an address to begin with"
        );
        let mut random = Random::new(seed);
        let start = usize::try_from(random.below(1 << 16)).unwrap_or_default();
        Self {
            options,
            client,
            opened_count: 0,
            random,
            now_ns: 0,
            endpoint_cursor: 0,
            endpoints,
            router: Router::new(start),
            map_wanted: false,
            map_asked: None,
            map_backoff: Backoff::default(),
            map_paused_until_ns: 0,
            links: Vec::new(),
            link_of: BTreeMap::new(),
            sessions: Sessions::default(),
            queries: Queries::default(),
            timers: BTreeSet::new(),
            deadline_ns: u64::MAX,
            dials: VecDeque::new(),
            hangups: VecDeque::new(),
            unsent: VecDeque::new(),
            completions: Completions::default(),
            refused_count: 0,
            last_failure: None,
        }
    }

    /// Asks for a newer map; [`Self::map`] has it some time later.
    pub fn refresh_map(&mut self) {
        self.want_map();
    }

    /// Is a map asked for that has not come yet?
    #[must_use]
    pub const fn is_map_wanted(&self) -> bool {
        self.map_wanted
    }

    /// The newest map, if one arrived.
    #[must_use]
    pub const fn map(&self) -> Option<&Map> {
        self.router.map()
    }

    /// Why the last connection that failed did, in words.
    #[must_use]
    pub fn last_failure(&self) -> Option<&str> {
        self.last_failure.as_deref()
    }

    /// Answers so far by which a command was refused, whatever became of it: a cluster with too much to do shows here.
    #[must_use]
    pub const fn refused_count(&self) -> u64 {
        self.refused_count
    }

    /// Opens a session in a group; `Opened`, `NotOpened` or nothing yet.
    pub fn open_session(&mut self, group: GroupId) -> SessionKey {
        let mut bytes = self.client.bytes();
        for (byte, count) in bytes.iter_mut().zip(self.opened_count.to_le_bytes()) {
            *byte ^= count;
        }
        self.opened_count += 1;
        let timeout_ms = self.options.session_timeout_ms;
        let key = self
            .sessions
            .insert(Session::new(group, ClientId::new(bytes), timeout_ms));
        self.bind(key);
        key
    }

    /// Closes a session, once everything in flight is decided.
    pub fn close_session(&mut self, key: SessionKey) {
        let Some(session) = self.sessions.get_mut(key) else {
            return;
        };
        if session.closing == Closing::No {
            session.closing = Closing::Wanted;
        }
        self.transmit(key);
    }

    /// May another command be submitted to this session now?
    #[must_use]
    pub fn has_room(&self, key: SessionKey) -> bool {
        self.sessions.get(key).is_some_and(|session| {
            session.identity.is_some()
                && session.closing == Closing::No
                && session.has_room(self.options.session_bytes_max)
        })
    }

    /// Commands of a session that are not completed.
    #[must_use]
    pub fn in_flight(&self, key: SessionKey) -> usize {
        self.sessions
            .get(key)
            .map_or(0, |session| session.sequencer.len())
    }

    /// Highest index that a session has seen: what another one needs to read no older state.
    #[must_use]
    pub fn seen(&self, key: SessionKey) -> Option<Index> {
        self.sessions.get(key).map(|session| session.seen)
    }

    /// What attaches a session on a connection that is not this client's: for programs that send commands a second
    /// time, to see that they are not applied twice. `None` while the session is not open.
    #[must_use]
    pub fn attach_elsewhere(&self, key: SessionKey) -> Option<Attach> {
        let session = self.sessions.get(key)?;
        let identity = session.identity?;
        Some(Attach {
            client: session.client,
            session: identity.session,
            events_received: session.events_received,
            group: session.group,
            incarnation: identity.incarnation,
        })
    }

    /// Submits a command; `encode` appends the operation's bytes. A deadline only reports `Pending`.
    ///
    /// # Errors
    /// When it was not taken; nothing happened then.
    pub fn submit(
        &mut self,
        key: SessionKey,
        operation: OperationId,
        deadline_ns: u64,
        encode: impl FnOnce(&mut Vec<u8>),
    ) -> Result<SequenceNumber, SubmitError> {
        let session = self.sessions.get_mut(key).ok_or(SubmitError::NotOpen)?;
        let identity = session.identity.ok_or(SubmitError::NotOpen)?;
        if session.closing != Closing::No {
            return Err(SubmitError::NotOpen);
        }
        if !session.has_room(self.options.session_bytes_max) {
            return Err(SubmitError::WindowFull);
        }
        let sequence = session
            .sequencer
            .submit(identity.session, operation, deadline_ns, encode);
        let (bytes, bytes_max) = (
            session.sequencer.newest_bytes(),
            self.options.command_bytes_max,
        );
        if bytes > bytes_max {
            session.sequencer.take_back();
            return Err(SubmitError::TooLarge { bytes, bytes_max });
        }
        self.deadline_ns = self.deadline_ns.min(deadline_ns);
        self.transmit(key);
        Ok(sequence)
    }

    /// Sends everything in flight a second time, over another connection where there are several to a shard: how a
    /// checker makes duplicates. Nothing is applied twice, and each command completes once.
    pub fn repeat_in_flight(&mut self, key: SessionKey) {
        self.send_twice(key);
    }

    /// Asks a query; `encode` appends its bytes.
    pub fn ask(&mut self, question: Question, encode: impl FnOnce(&mut Vec<u8>)) -> QueryKey {
        let mut payload = self.queries.buffer();
        encode(&mut payload);
        let key = self.queries.insert(PendingQuery {
            session: question.session,
            group: question.group,
            level: question.level,
            operation: question.operation,
            payload,
            deadline_ns: question.deadline_ns,
            sent_on: None,
            passed_over: None,
            backoff: Backoff::default(),
            retry_at_ns: 0,
        });
        self.deadline_ns = self.deadline_ns.min(question.deadline_ns);
        self.send_query(key);
        key
    }

    /// The next piece of news.
    pub fn next_completion(&mut self) -> Option<Completion<'_>> {
        self.completions.take()
    }

    /// Whether a session is bound to a connection now: its commands leave at once.
    #[must_use]
    pub fn is_bound(&self, key: SessionKey) -> bool {
        self.sessions
            .get(key)
            .is_some_and(|session| matches!(session.binding, Binding::Bound(..)))
    }
}

#[cfg(test)]
#[path = "protocol_tests.rs"]
mod tests;

#[cfg(test)]
mod chaos_tests;
