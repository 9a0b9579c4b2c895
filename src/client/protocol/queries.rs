//! Queries find somebody to answer them: the connection of their session, the leader of their group, or any member.

use super::Protocol;
use super::Timer;
use super::completion::{Completion, Outcome};
use super::number::{GENERATION_MASK, Kind, Number};
use crate::connection::ConnectionId;
use crate::options::ReadFrom;
use crate::query::QueryKey;
use crate::session::{Binding, SessionKey};
use margay_types::{GroupId, Index, NodeId, SequenceNumber};
use margay_wire::client::{Answer, Attachment, Query, Response};
use margay_wire::{Code, Refusal};

/// Where a query can be sent now.
enum Route {
    On(ConnectionId, Attachment, Index, SequenceNumber),
    Wait,
    Gone,
}

impl Route {
    /// Outside of any session.
    const fn alone(connection: ConnectionId) -> Self {
        let nothing_issued = SequenceNumber::new(0);
        Self::On(connection, Attachment::NONE, Index::ZERO, nothing_issued)
    }
}

impl Protocol {
    /// Sends a query, or lets it wait for what is missing.
    pub(super) fn send_query(&mut self, key: QueryKey) {
        let now_ns = self.now_ns;
        let Some(query) = self.queries.get_mut(key) else {
            return;
        };
        if query.sent_on.is_some() {
            return;
        }
        if query.retry_at_ns > now_ns {
            self.queries.waiting.push(key);
            return;
        }
        let (session, group) = (query.session, query.group);
        let passed_over = query.passed_over;
        let route = match (session, self.options.read_from) {
            (Some(session), _) => self.route_in_session(session),
            (None, ReadFrom::Leader) => self.route_alone(group, key.slot),
            (None, ReadFrom::Followers | ReadFrom::Any) => {
                self.route_to_member(group, passed_over, key.slot)
            }
        };
        match route {
            Route::On(connection, attachment, seen, issued) => {
                let Some(query) = self.queries.get_mut(key) else {
                    return;
                };
                query.sent_on = Some(connection);
                let number = Number {
                    kind: Kind::Query,
                    slot: key.slot,
                    generation: key.generation & GENERATION_MASK,
                    epoch: 0,
                    sequence: 0,
                };
                let payload = core::mem::take(&mut query.payload);
                let (operation, level) = (query.operation, query.level);
                let asked = Query {
                    attachment,
                    group,
                    operation,
                    level,
                    seen,
                    issued,
                    payload: &payload,
                };
                self.write(connection, |out| asked.write(out, number.pack()));
                if let Some(query) = self.queries.get_mut(key) {
                    query.payload = payload;
                }
            }
            Route::Wait => self.queries.waiting.push(key),
            Route::Gone => self.finish_query_refused(key, Refusal::UnknownSession),
        }
    }

    fn route_in_session(&self, key: SessionKey) -> Route {
        let Some(session) = self.sessions.get(key) else {
            return Route::Gone;
        };
        match session.binding {
            Binding::Bound(connection, attachment) => {
                let issued = SequenceNumber::new(session.sequencer.next().number() - 1);
                Route::On(connection, attachment, session.seen, issued)
            }
            Binding::Unbound | Binding::Waiting | Binding::Asked(_) => Route::Wait,
        }
    }

    fn route_alone(&mut self, group: GroupId, slot: u32) -> Route {
        let Some(node) = self.router.target(group) else {
            self.want_map();
            return Route::Wait;
        };
        self.connected_to(node, group, slot)
            .map_or(Route::Wait, Route::alone)
    }

    /// A member that a connection stands to: the slot's own, or the next one, and only if there is no other the one
    /// that could not answer. All on the way are dialed, so that a member that cannot be reached is passed over.
    fn route_to_member(&mut self, group: GroupId, passed_over: Option<NodeId>, slot: u32) -> Route {
        let count = self.router.members(group).len();
        if count == 0 {
            self.want_map();
            return Route::Wait;
        }
        let spared = match self.options.read_from {
            ReadFrom::Followers => self.router.leader(group),
            ReadFrom::Leader | ReadFrom::Any => None,
        };
        let mut last = [passed_over, spared];
        for at in 0..count {
            let place = (slot as usize).wrapping_add(at) % count;
            let node = self.router.members(group).get(place).copied();
            let Some(node) = node.filter(|node| !last.contains(&Some(*node))) else {
                continue;
            };
            if let Some(connection) = self.connected_to(node, group, slot) {
                return Route::alone(connection);
            }
        }
        // Nobody else: whoever could not answer is asked again, and the leader only where there is no other member.
        if count > 1 {
            last[1] = None;
        }
        let left = last.into_iter().flatten().next();
        left.and_then(|node| self.connected_to(node, group, slot))
            .map_or(Route::Wait, Route::alone)
    }

    /// The connection to the shard that has the group there; it is dialed if it does not stand.
    fn connected_to(&mut self, node: NodeId, group: GroupId, slot: u32) -> Option<ConnectionId> {
        let shard = self.router.shard(node, group);
        let link = self.shard_link(node, shard, slot);
        let connection = self.ready(link);
        if connection.is_none() {
            self.want_link(link);
        }
        connection
    }

    /// Something changed: tries the queries that wait.
    pub(super) fn send_waiting_queries(&mut self) {
        if self.queries.waiting.is_empty() {
            return;
        }
        for key in core::mem::take(&mut self.queries.waiting) {
            self.send_query(key);
        }
    }

    pub(super) fn on_query_answer(&mut self, number: Number, response: Response<'_>) {
        let found = self
            .queries
            .key(number.slot, number.generation, GENERATION_MASK);
        let Some(key) = found else { return };
        match response.answer {
            Answer::Done(output) => {
                let session = self.queries.get_mut(key).and_then(|query| query.session);
                if let Some(session) = session.and_then(|key| self.sessions.get_mut(key)) {
                    session.seen = session.seen.max(response.head.index);
                }
                self.completions
                    .push_answer(key, response.head.index, output);
                self.queries.remove(key);
            }
            Answer::Refused(refusal) => self.on_query_refused(key, refusal),
        }
    }

    fn on_query_refused(&mut self, key: QueryKey, refusal: Refusal) {
        let is_transient = refusal.is_transient() || refusal.code() == Code::StoppedMachine;
        if !is_transient {
            self.finish_query_refused(key, refusal);
            return;
        }
        let Some(query) = self.queries.get_mut(key) else {
            return;
        };
        let Some(connection) = query.sent_on.take() else {
            return;
        };
        let (session, group) = (query.session, query.group);
        let node = self.node_of(connection);
        if let Some(query) = self.queries.get_mut(key) {
            query.passed_over = node;
        }
        if let Some(hint) = refusal.leader_hint() {
            self.follow_hint(group, hint, node);
        } else if refusal.code() == Code::UnknownGroup {
            self.want_map();
        }
        let moves = refusal.leader_hint().is_some()
            || matches!(refusal.code(), Code::UnknownAttachment | Code::UnknownGroup);
        if let Some(session) = session.filter(|_| moves) {
            let is_bound_there = self
                .sessions
                .get(session)
                .is_some_and(|session| session.connection() == Some(connection));
            if is_bound_there {
                self.rebind_later(session, 0);
            }
        }
        let least_ns = u64::from(refusal.retry_after_ms().unwrap_or(0)) * 1_000_000;
        self.repeat_query_later(key, least_ns);
    }

    fn repeat_query_later(&mut self, key: QueryKey, least_ns: u64) {
        let bounds = self.retry_bounds();
        let Some(query) = self.queries.get_mut(key) else {
            return;
        };
        query.sent_on = None;
        let is_first = query.backoff.failures() == 0;
        let delay_ns = query.backoff.delay_ns(&mut self.random, bounds, least_ns);
        if is_first && least_ns == 0 {
            self.send_query(key);
            return;
        }
        let due_ns = self.now_ns + delay_ns;
        query.retry_at_ns = due_ns;
        self.queries.waiting.push(key);
        self.timers.insert((due_ns, Timer::Queries));
    }

    fn finish_query_refused(&mut self, key: QueryKey, refusal: Refusal) {
        let outcome = Outcome::Refused(refusal);
        self.completions.push(Completion::Query {
            query: key,
            index: Index::ZERO,
            outcome,
        });
        self.queries.remove(key);
    }

    /// The connection is gone: what was asked on it is asked elsewhere.
    pub(super) fn on_query_link_lost(&mut self, connection: ConnectionId) {
        for key in self.queries.keys() {
            let was_there = self
                .queries
                .get_mut(key)
                .is_some_and(|query| query.sent_on == Some(connection));
            if was_there {
                self.repeat_query_later(key, 0);
            }
        }
        self.send_waiting_queries();
    }

    /// The session is lost: so are its queries.
    pub(super) fn fail_queries_of(&mut self, session: SessionKey, refusal: Refusal) {
        for key in self.queries.keys() {
            let is_of = self
                .queries
                .get_mut(key)
                .is_some_and(|q| q.session == Some(session));
            if is_of {
                self.finish_query_refused(key, refusal);
            }
        }
    }

    /// Gives queries up whose deadline has passed; the least of the others.
    pub(super) fn expire_queries(&mut self) -> u64 {
        let mut earliest_ns = u64::MAX;
        for key in self.queries.keys() {
            let Some(query) = self.queries.get_mut(key) else {
                continue;
            };
            if query.deadline_ns > self.now_ns {
                earliest_ns = earliest_ns.min(query.deadline_ns);
                continue;
            }
            self.completions
                .push(Completion::QueryTimedOut { query: key });
            self.queries.remove(key);
        }
        earliest_ns
    }
}
