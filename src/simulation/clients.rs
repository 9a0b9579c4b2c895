//! A client: the very protocol that real clients run, on virtual connections and in virtual time, and the application
//! above it, which remembers what it asked and judges every answer.

use crate::history::{AnsweredQuery, Asked, DoneCommand, History, Question};
use crate::network::{ConnectionNumber, Keep, Network, Order, Parcel, Place, between};
use crate::news::News;
use crate::sockets::forget_shard;
use crate::trace::Trace;
use crate::workload::{
    MachineKind, OwnSession, Submitted, WorkloadOptions, draw_command, draw_query, unknown_command,
};
use margay_client::connection::ConnectionId;
use margay_client::protocol::Question as Asking;
use margay_client::{Options, Protocol, QueryKey, ReadFrom, SessionKey};
use margay_types::{ClientId, GroupId, Index, Random, SequenceNumber, SessionId};
use margay_wire::client::QueryLevel;
use std::collections::BTreeMap;

/// A group that clients may use.
pub type Offered = (GroupId, MachineKind);

/// A query under way.
struct PendingQuery {
    session: Option<(SessionKey, SessionId)>,
    group: GroupId,
    question: Question,
    level: QueryLevel,
    at_least: Index,
    /// The newest command of the session that it must see.
    issued: SequenceNumber,
}

/// A client.
pub struct Client {
    /// Do its hellos name shards? Those of a simpler client do not, and its frames hop.
    names_shards: bool,
    /// Where it is.
    pub place: Place,
    protocol: Protocol,
    options: WorkloadOptions,
    random: Random,
    trace: Trace,
    sockets: BTreeMap<ConnectionNumber, ConnectionId>,
    numbers: BTreeMap<ConnectionId, ConnectionNumber>,
    sessions: Vec<OwnSession>,
    queries: BTreeMap<QueryKey, PendingQuery>,
    next_action_ns: u64,
    next_number: u64,
    /// No new work: what is under way is to be completed.
    pub is_finishing: bool,
    /// Not driven before this time: its process is stopped.
    pub paused_until_ns: u64,
}

impl Client {
    /// A client of the cluster at these addresses.
    #[must_use]
    pub fn new(
        place: Place,
        seed: u64,
        options: WorkloadOptions,
        endpoints: Vec<String>,
        trace: Trace,
    ) -> Self {
        let mut random = Random::new(seed);
        let mut id = [0_u8; 16];
        let (low, high) = id.split_at_mut(8);
        low.copy_from_slice(&random.next_number().to_le_bytes());
        high.copy_from_slice(&random.next_number().to_le_bytes());
        let read_from = match random.below(3) {
            0 => ReadFrom::Followers,
            1 => ReadFrom::Any,
            _ => ReadFrom::Leader,
        };
        let names_shards = random.chance(2, 3);
        let settings = Options {
            read_from,
            session_timeout_ms: options.session_timeout_ms,
            connections_per_shard: options.connections_per_node,
            ..Options::default()
        };
        let protocol = Protocol::new(settings, endpoints, ClientId::new(id), random.next_number());
        Self {
            names_shards,
            place,
            protocol,
            options,
            random,
            trace,
            sockets: BTreeMap::new(),
            numbers: BTreeMap::new(),
            sessions: Vec::new(),
            queries: BTreeMap::new(),
            next_action_ns: 0,
            next_number: u64::try_from(place).unwrap_or(0) << 32,
            is_finishing: false,
            paused_until_ns: 0,
        }
    }

    /// When it must be driven next.
    #[must_use]
    pub fn next_event_ns(&self) -> u64 {
        let action_ns = if self.is_finishing {
            u64::MAX
        } else {
            self.next_action_ns
        };
        action_ns
            .min(self.protocol.due_ns())
            .max(self.paused_until_ns)
    }

    /// Something arrived.
    pub fn on_arrival(&mut self, now_ns: u64, number: ConnectionNumber, parcel: &Parcel) {
        let Some(connection) = self.sockets.get(&number).copied() else {
            return;
        };
        match parcel {
            Parcel::Connected => self.protocol.on_connected(connection, now_ns),
            Parcel::Bytes(bytes) => self.protocol.on_received(connection, bytes, now_ns),
            Parcel::End => {
                self.sockets.remove(&number);
                self.numbers.remove(&connection);
                self.protocol
                    .on_closed(connection, now_ns, "the connection ended");
            }
        }
    }

    /// Drives the protocol and the application; gives the addresses that were dialed.
    ///
    /// # Errors
    /// When an answer breaks a promise.
    pub fn drive(
        &mut self,
        now_ns: u64,
        network: &mut Network,
        history: &mut History,
        offered: &[Offered],
    ) -> Result<Vec<(ConnectionNumber, Place)>, String> {
        if now_ns < self.paused_until_ns {
            return Ok(Vec::new());
        }
        self.protocol.on_time(now_ns);
        if now_ns >= self.next_action_ns && !self.is_finishing {
            self.act(now_ns, history, offered);
            let pause_ns = between(
                &mut self.random,
                self.options.think_ns_min,
                self.options.think_ns_max,
            );
            self.next_action_ns = now_ns + pause_ns;
        }
        while let Some(completion) = self.protocol.next_completion() {
            let news = News::of(completion);
            self.on_news(now_ns, news, history)?;
        }
        Ok(self.exchange(now_ns, network))
    }

    fn exchange(&mut self, now_ns: u64, network: &mut Network) -> Vec<(ConnectionNumber, Place)> {
        while let Some(connection) = self.protocol.next_hangup() {
            if let Some(number) = self.numbers.remove(&connection) {
                self.sockets.remove(&number);
                network.close(now_ns, number, self.place, Keep::SomeBytes);
            }
        }
        let mut dialed = Vec::new();
        while let Some(dial) = self.protocol.next_dial() {
            let Some(node) = node_at(&dial.address) else {
                continue;
            };
            let number = network.open(Order::Stream, self.place, node);
            self.sockets.insert(number, dial.connection);
            self.numbers.insert(dial.connection, number);
            dialed.push((number, node));
        }
        while let Some(connection) = self.protocol.next_unsent() {
            let mut bytes = self.protocol.unsent(connection).to_vec();
            if !self.names_shards {
                forget_shard(&mut bytes);
            }
            if let Some(number) = self.numbers.get(&connection) {
                network.send(now_ns, *number, self.place, &bytes);
            }
            self.protocol.on_sent(connection, bytes.len());
        }
        dialed
    }

    fn act(&mut self, now_ns: u64, history: &History, offered: &[Offered]) {
        if offered.is_empty() {
            return;
        }
        if self.sessions.len() < self.options.sessions_per_client {
            let choice = self.random.below(offered.len() as u64);
            let (group, machine) = offered[usize::try_from(choice).unwrap_or(0)];
            let key = self.protocol.open_session(group);
            self.sessions.push(OwnSession::new(key, group, machine));
            return;
        }
        let choice = self.random.below(self.sessions.len() as u64);
        let at = usize::try_from(choice).unwrap_or(0);
        if self.random.chance(self.options.close_permille, 1000) {
            let session = &mut self.sessions[at];
            session.is_closing = true;
            self.protocol.close_session(session.key);
        } else if self.random.chance(self.options.repeat_permille, 1000) {
            self.protocol.repeat_in_flight(self.sessions[at].key);
        } else if self.random.chance(self.options.query_permille, 1000) {
            self.ask(at, history);
        } else {
            let count = 1 + self.random.below(self.options.in_flight_max as u64);
            for _ in 0..count {
                self.submit(now_ns, at, history);
            }
        }
    }

    fn submit(&mut self, now_ns: u64, at: usize, history: &History) {
        let session = &mut self.sessions[at];
        let is_full = session.submitted.len() >= self.options.in_flight_max;
        if is_full || session.is_closing || !self.protocol.has_room(session.key) {
            return;
        }
        self.next_number += 1;
        let drawn = draw_command(
            &mut self.random,
            session.machine,
            &self.options,
            self.next_number,
        );
        let unknown = unknown_command(self.next_number).filter(|_| !self.is_finishing);
        let (operation, asked) = unknown.unwrap_or(drawn);
        let bytes = match &asked {
            Asked::Append(bytes) | Asked::Map(_, bytes) => bytes,
        };
        let deadline_ns = match self.random.below(4) {
            0 => now_ns + self.random.below(500_000_000),
            _ => u64::MAX,
        };
        let encode = |out: &mut Vec<u8>| out.extend_from_slice(bytes);
        if let Ok(sequence) = self
            .protocol
            .submit(session.key, operation, deadline_ns, encode)
        {
            session.submitted.push_back(Submitted {
                sequence,
                asked: asked.clone(),
                floor: history.floor(session.group),
                at_ns: now_ns,
            });
        }
    }

    fn ask(&mut self, at: usize, history: &History) {
        let session = &self.sessions[at];
        let Some(id) = session.id else { return };
        let (operation, bytes, question, level) =
            draw_query(&mut self.random, session.machine, &self.options);
        let needs_session = question == Question::Mine
            || matches!(level, QueryLevel::Causal | QueryLevel::Sequential);
        let has_session = needs_session || self.random.chance(1, 2);
        if has_session && session.is_closing {
            return;
        }
        let asking = Asking {
            session: has_session.then_some(session.key),
            group: session.group,
            operation,
            level,
            deadline_ns: u64::MAX,
        };
        let at_least = match level {
            QueryLevel::Linearizable | QueryLevel::BoundedLinearizable => {
                history.floor(session.group)
            }
            QueryLevel::Causal | QueryLevel::Sequential => session.seen,
        };
        let issued = session
            .submitted
            .back()
            .map_or(SequenceNumber::new(0), |last| last.sequence);
        let key = self
            .protocol
            .ask(asking, |out| out.extend_from_slice(&bytes));
        let asked = PendingQuery {
            session: has_session.then_some((session.key, id)),
            group: session.group,
            question,
            level,
            at_least,
            issued,
        };
        self.queries.insert(key, asked);
    }

    /// One session more, in a group of a healed world; its commands are those of [`Self::submit_last`].
    pub fn open_one(&mut self, (group, machine): Offered) {
        let key = self.protocol.open_session(group);
        self.sessions.push(OwnSession::new(key, group, machine));
    }

    /// A command in each of the sessions that were opened last.
    pub fn submit_last(&mut self, now_ns: u64, count: usize, history: &History) {
        for at in self.sessions.len().saturating_sub(count)..self.sessions.len() {
            self.submit(now_ns, at, history);
        }
    }

    fn on_news(&mut self, now_ns: u64, news: News, history: &mut History) -> Result<(), String> {
        match news {
            News::Opened(key, id) => {
                if let Some(session) = self.session_mut(key) {
                    session.id = Some(id);
                    let (place, group) = (self.place, self.session_mut(key).map(|it| it.group));
                    self.trace.note(
                        now_ns,
                        &format!("client {place} opened session {id} in {group:?}"),
                    );
                }
                Ok(())
            }
            News::Gone(key, why, is_lost) => {
                history.lost_count += u64::from(is_lost);
                let gone = self.sessions.iter().position(|session| session.key == key);
                if let Some(at) = gone {
                    let session = self.sessions.remove(at);
                    let text = format!("client {} session {:?}: {why}", self.place, session.id);
                    self.trace.note(now_ns, &text);
                }
                Ok(())
            }
            News::Command(key, sequence, index, outcome) => {
                self.on_command(now_ns, (key, sequence, index), outcome, history)
            }
            News::Query(key, index, outcome) => self.on_query(key, index, outcome, history),
            News::TimedOut(key) => {
                self.queries.remove(&key);
                Ok(())
            }
            News::Broken(what) => Err(format!("client {}: {what}", self.place)),
            News::Other => Ok(()),
        }
    }

    fn on_command(
        &mut self,
        now_ns: u64,
        (key, sequence, index): (SessionKey, SequenceNumber, Index),
        outcome: Result<Vec<u8>, String>,
        history: &mut History,
    ) -> Result<(), String> {
        let (place, trace) = (self.place, self.trace.clone());
        let Some(session) = self.session_mut(key) else {
            return Err(format!("command {sequence} of no session completes"));
        };
        let submitted = session.take_submitted(sequence)?;
        let output = match outcome {
            Ok(output) => output,
            Err(why) => {
                let text = format!(
                    "client {place} command {sequence} of {:?}: {why}",
                    session.id
                );
                trace.note(now_ns, &text);
                return Ok(());
            }
        };
        session.on_done(&submitted, index, &output)?;
        let done = DoneCommand {
            session: session.id.unwrap_or(SessionId::new(0)),
            sequence,
            asked: submitted.asked,
            output,
        };
        history.on_command(session.group, (index, submitted.floor), done)
    }

    fn on_query(
        &mut self,
        key: QueryKey,
        index: Index,
        outcome: Result<Vec<u8>, String>,
        history: &mut History,
    ) -> Result<(), String> {
        let Some(asked) = self.queries.remove(&key) else {
            return Err("a query completes that was not asked".to_owned());
        };
        let Ok(output) = outcome else { return Ok(()) };
        if let Some((key, _)) = asked.session
            && let Some(session) = self.session_mut(key)
        {
            session.seen = session.seen.max(index);
            if asked.level == QueryLevel::Sequential {
                session.promised.push((asked.issued, index));
            }
        }
        let answered = AnsweredQuery {
            index,
            session: asked.session.map(|(_, id)| id),
            question: asked.question,
            output,
        };
        history.on_query(asked.group, (asked.level, asked.at_least), answered)
    }

    fn session_mut(&mut self, key: SessionKey) -> Option<&mut OwnSession> {
        self.sessions.iter_mut().find(|session| session.key == key)
    }

    /// What is under way, in words; empty when everything was completed.
    #[must_use]
    pub fn unfinished(&self) -> Vec<String> {
        let mut left = Vec::new();
        for session in &self.sessions {
            if session.id.is_none() {
                left.push(format!(
                    "client {}: a session of group {} opens",
                    self.place, session.group
                ));
            }
            if session.is_closing {
                left.push(format!(
                    "client {}: session {:?} closes",
                    self.place, session.id
                ));
            }
            if let Some(first) = session.submitted.front() {
                left.push(format!(
                    "client {}: command {} of session {:?} of group {} is under way since {} ms",
                    self.place,
                    first.sequence,
                    session.id,
                    session.group,
                    first.at_ns / 1_000_000
                ));
            }
        }
        for asked in self.queries.values() {
            left.push(format!(
                "client {}: {:?} {:?} is unanswered",
                self.place, asked.level, asked.question
            ));
        }
        left
    }
}

/// The place of the node with this address.
fn node_at(address: &str) -> Option<Place> {
    address
        .strip_prefix("node-")?
        .strip_suffix(":7400")?
        .parse()
        .ok()
}
