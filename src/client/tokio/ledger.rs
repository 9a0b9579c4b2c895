//! Who waits for what, and what each of them is told.
//!
//! Requests come in by `on_request`, completions of the protocol by `deliver`, time by `on_time`. Results leave to the
//! calls; one that was dropped is not missed.

use super::account::Account;
use super::limits::{MAP_CALLS_MAX, QUERIES_MAX, SESSIONS_MAX};
use super::request::{Answer, Hold, Request};
use super::sockets::Turn;
use crate::blocking::{Reply, reply};
use crate::error::{ClientError, SubmitError};
use crate::protocol::{Completion, Protocol, Question};
use crate::query::QueryKey;
use crate::session::SessionKey;
use margay_types::GroupId;
use margay_wire::admin::Map;
use std::collections::BTreeMap;
use tokio::sync::mpsc::OwnedPermit;

/// Somebody who waits for a map.
struct MapCall {
    deadline_ns: u64,
    answer: Answer<Map>,
}

/// The calls of one client.
pub(super) struct Ledger {
    /// The addresses that were given, for error texts.
    addresses: String,
    maps: Vec<MapCall>,
    sessions: BTreeMap<SessionKey, Account>,
    queries: BTreeMap<QueryKey, Answer<Reply>>,
    /// Lower bound of the deadlines that the protocol does not know.
    deadline_ns: u64,
}

impl Ledger {
    pub(super) const fn new(addresses: String) -> Self {
        Self {
            addresses,
            maps: Vec::new(),
            sessions: BTreeMap::new(),
            queries: BTreeMap::new(),
            deadline_ns: u64::MAX,
        }
    }

    /// When to come back at the latest.
    pub(super) const fn due_ns(&self) -> u64 {
        self.deadline_ns
    }

    /// Has every session ended, and does nobody wait for an answer?
    pub(super) fn is_settled(&self) -> bool {
        let is_awaited = |answer: &Answer<Reply>| !answer.is_closed();
        self.sessions.is_empty() && !self.queries.values().any(is_awaited)
    }

    /// Takes the map, if it has the keyspace that is asked for, or waits for a newer one.
    pub(super) fn map(
        &mut self,
        protocol: &mut Protocol,
        keyspace: Option<&str>,
        deadline_ns: u64,
        answer: Answer<Map>,
    ) {
        let known = protocol
            .map()
            .filter(|map| keyspace.is_some_and(|name| map.keyspace(name).is_some()));
        if let Some(map) = known {
            let _ = answer.send(Ok(map.clone()));
            return;
        }
        if self.maps.len() >= MAP_CALLS_MAX {
            let _ = answer.send(Err(SubmitError::QueueFull.into()));
            return;
        }
        protocol.refresh_map();
        self.deadline_ns = self.deadline_ns.min(deadline_ns);
        self.maps.push(MapCall {
            deadline_ns,
            answer,
        });
    }

    /// Opens a session.
    pub(super) fn open(
        &mut self,
        protocol: &mut Protocol,
        (group, deadline_ns): (GroupId, u64),
        release: OwnedPermit<Request>,
        answer: Answer<Hold>,
    ) {
        if self.sessions.len() >= SESSIONS_MAX {
            let _ = answer.send(Err(SubmitError::QueueFull.into()));
            return;
        }
        let key = protocol.open_session(group);
        self.deadline_ns = self.deadline_ns.min(deadline_ns);
        let account = Account::opening(deadline_ns, release, answer);
        self.sessions.insert(key, account);
    }

    /// Asks a query.
    pub(super) fn ask(
        &mut self,
        protocol: &mut Protocol,
        question: Question,
        bytes: &[u8],
        answer: Answer<Reply>,
    ) {
        if self.queries.len() >= QUERIES_MAX {
            let _ = answer.send(Err(SubmitError::QueueFull.into()));
            return;
        }
        let key = protocol.ask(question, |out| out.extend_from_slice(bytes));
        self.queries.insert(key, answer);
    }

    /// Submits a command; one of a session that is gone is refused.
    pub(super) fn submit(
        &mut self,
        protocol: &mut Protocol,
        session: SessionKey,
        command: super::request::Command,
    ) {
        let Some(account) = self.sessions.get_mut(&session) else {
            let _ = command.answer.send(Err(SubmitError::NotOpen.into()));
            return;
        };
        self.deadline_ns = self.deadline_ns.min(command.deadline_ns);
        account.submit(command);
        account.refill(session, protocol);
    }

    /// Closes a session; one that is gone is closed already.
    pub(super) fn close(
        &mut self,
        protocol: &mut Protocol,
        session: SessionKey,
        deadline_ns: u64,
        answer: Answer<()>,
    ) {
        let Some(account) = self.sessions.get_mut(&session) else {
            let _ = answer.send(Ok(()));
            return;
        };
        self.deadline_ns = self.deadline_ns.min(deadline_ns);
        account.await_end(deadline_ns, answer);
        account.close();
        account.refill(session, protocol);
    }

    /// Closes a session for which nobody waits.
    pub(super) fn release(&mut self, protocol: &mut Protocol, session: SessionKey) {
        if let Some(account) = self.sessions.get_mut(&session) {
            account.close();
            account.refill(session, protocol);
        }
    }

    /// Closes all sessions.
    pub(super) fn release_all(&mut self, protocol: &mut Protocol) {
        for (session, account) in &mut self.sessions {
            account.close();
            account.refill(*session, protocol);
        }
    }

    /// Hands on what the protocol has to say.
    pub(super) fn deliver(&mut self, protocol: &mut Protocol) -> Turn {
        let mut turn = Turn::Idle;
        while self.deliver_one(protocol) == Turn::Moved {
            turn = Turn::Moved;
        }
        if protocol.is_map_wanted() || self.maps.is_empty() {
            return turn;
        }
        if let Some(map) = protocol.map() {
            for call in self.maps.drain(..) {
                let _ = call.answer.send(Ok(map.clone()));
            }
        }
        Turn::Moved
    }

    fn deliver_one(&mut self, protocol: &mut Protocol) -> Turn {
        let Some(completion) = protocol.next_completion() else {
            return Turn::Idle;
        };
        match completion {
            Completion::Opened { session, .. } => {
                if let Some(account) = self.sessions.get_mut(&session) {
                    account.on_opened(session);
                }
            }
            Completion::NotOpened { session, refusal } | Completion::Lost { session, refusal } => {
                self.end(session, Some(refusal));
            }
            Completion::Closed { session } => self.end(session, None),
            Completion::Command {
                session,
                sequence,
                index,
                outcome,
            } => {
                let result = reply(index, outcome);
                if let Some(account) = self.sessions.get_mut(&session) {
                    account.on_decided(sequence, result);
                    account.refill(session, protocol);
                }
            }
            Completion::Pending { session, sequence } => {
                let why = protocol.last_failure().unwrap_or("not answered in time");
                if let Some(account) = self.sessions.get_mut(&session) {
                    account.on_pending(sequence, why);
                }
            }
            Completion::Query {
                query,
                index,
                outcome,
            } => self.answer(query, reply(index, outcome)),
            Completion::QueryTimedOut { query } => self.answer(query, Err(ClientError::TimedOut)),
            Completion::Event { .. } => {}
        }
        Turn::Moved
    }

    fn end(&mut self, session: SessionKey, refusal: Option<margay_wire::Refusal>) {
        if let Some(account) = self.sessions.remove(&session) {
            account.end(refusal);
        }
    }

    fn answer(&mut self, query: QueryKey, result: Result<Reply, ClientError>) {
        if let Some(answer) = self.queries.remove(&query) {
            let _ = answer.send(result);
        }
    }

    /// Gives up what is late and was not sent.
    pub(super) fn on_time(&mut self, protocol: &mut Protocol, now_ns: u64) {
        if self.deadline_ns > now_ns {
            return;
        }
        let mut earliest_ns = u64::MAX;
        for (session, account) in &mut self.sessions {
            earliest_ns = earliest_ns.min(account.expire(now_ns));
            account.refill(*session, protocol);
        }
        for call in core::mem::take(&mut self.maps) {
            if call.deadline_ns > now_ns {
                earliest_ns = earliest_ns.min(call.deadline_ns);
                self.maps.push(call);
                continue;
            }
            let reason = protocol.last_failure().unwrap_or("no map came in time");
            let _ = call.answer.send(Err(ClientError::NotReached {
                addresses: self.addresses.clone(),
                reason: reason.to_owned(),
            }));
        }
        self.deadline_ns = earliest_ns;
    }
}
