//! Sessions that write without a pause, in a thread of their own, while nodes die.
//!
//! Every answer is checked when it comes, and the whole at the end: nothing acknowledged is missing, nothing is there
//! twice, everything issued is there. Some commands are sent a second time on another connection on purpose. A check
//! that fails panics in the thread, and the test notices at its next look.

use super::cluster::{Cluster, KEYSPACE};
use super::session_check::SessionCheck;
use super::waiting::PATIENCE;
use margay_client::clock::now_ns;
use margay_client::{Completion, Driver, Options, Outcome, Protocol, Question};
use margay_machine::{Command, Decode, Query};
use margay_resources::bench::{Append, Bench, GrandTotal, Mine, Tally, Total};
use margay_types::{ClientId, GroupId, Index};
use margay_wire::client::QueryLevel;
use rustix::rand::{GetRandomFlags, getrandom};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Longer than any test: a session that ends in the middle would prove nothing.
const SESSION_TIMEOUT_MS: u32 = 300_000;
/// One command in so many is sent twice.
const COMMANDS_PER_REPETITION: u64 = 64;
/// The longest wait between two looks at the stop flag.
const TURN_NS: u64 = 20_000_000;

/// How much is asked of the cluster.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// Sessions in each group.
    pub(crate) sessions_per_group: usize,
    /// Commands of a session under way.
    pub(crate) in_flight: usize,
    /// Bytes of a command.
    pub(crate) command_bytes: usize,
}

impl Default for Shape {
    fn default() -> Self {
        Self {
            sessions_per_group: 3,
            in_flight: 4,
            command_bytes: 200,
        }
    }
}

#[derive(Debug, Default)]
struct Shared {
    answered: AtomicU64,
    is_stopped: AtomicBool,
}

/// A load that runs.
#[derive(Debug)]
pub(crate) struct Load {
    shared: Arc<Shared>,
    thread: JoinHandle<()>,
}

impl Load {
    /// Begins, and waits until every session had an answer.
    pub(crate) fn start(cluster: &Cluster, shape: Shape) -> Self {
        let shared = Arc::new(Shared::default());
        let endpoints = cluster.endpoints();
        let (groups, progress) = (cluster.groups(), Arc::clone(&shared));
        let sessions = groups.len() * shape.sessions_per_group;
        let thread = std::thread::spawn(move || {
            let mut worker = Worker::new(endpoints, &groups, shape);
            worker.open();
            worker.write(&progress);
            worker.settle(&progress);
        });
        let mut load = Self { shared, thread };
        load.advance(u64::try_from(sessions).expect("few"));
        load
    }

    /// Commands answered so far.
    pub(crate) fn answered(&self) -> u64 {
        self.shared.answered.load(Ordering::Relaxed)
    }

    /// Waits until so many more commands were answered: the cluster works.
    pub(crate) fn advance(&mut self, commands: u64) {
        let wanted = self.answered() + commands;
        super::waiting::eventually("answers to commands", || {
            assert!(!self.thread.is_finished(), "the load gave up, see above");
            let answered = self.answered();
            (answered >= wanted).then_some(()).ok_or(answered)
        });
    }

    /// Waits for what is under way, checks the whole, and gives how many commands that were.
    pub(crate) fn finish(self) -> u64 {
        self.shared.is_stopped.store(true, Ordering::Relaxed);
        let ended = self.thread.join();
        assert!(ended.is_ok(), "a check of the load failed, see above");
        self.shared.answered.load(Ordering::Relaxed)
    }
}

struct Worker {
    driver: Driver,
    shape: Shape,
    sessions: Vec<SessionCheck>,
    /// Per group: totals by the index of the command that they came with.
    totals: BTreeMap<GroupId, BTreeMap<Index, u64>>,
}

impl Worker {
    fn new(endpoints: Vec<String>, groups: &[GroupId], shape: Shape) -> Self {
        let options = Options {
            session_timeout_ms: SESSION_TIMEOUT_MS,
            connections_per_shard: 2,
            ..Options::default()
        };
        let mut protocol = Protocol::new(options, endpoints, drawn(), now_ns());
        protocol.on_time(now_ns());
        let mut sessions = Vec::new();
        for group in groups {
            for _ in 0..shape.sessions_per_group {
                sessions.push(SessionCheck::new(protocol.open_session(*group), *group));
            }
        }
        Self {
            driver: Driver::new(protocol).expect("the kernel has an epoll"),
            shape,
            sessions,
            totals: groups
                .iter()
                .map(|group| (*group, BTreeMap::new()))
                .collect(),
        }
    }

    fn open(&mut self) {
        let end = end_ns();
        let mut opened = 0;
        while opened < self.sessions.len() {
            self.turn(end);
            while let Some(completion) = self.driver.protocol.next_completion() {
                let is_opened = matches!(completion, Completion::Opened { .. });
                assert!(is_opened, "{completion:?} in {KEYSPACE}");
                opened += 1;
            }
        }
    }

    /// Writes until it is stopped, then waits for what is under way.
    fn write(&mut self, shared: &Shared) {
        while !shared.is_stopped.load(Ordering::Relaxed) {
            self.submit();
            self.turn(u64::MAX);
            self.take_answers(shared);
        }
        let end = end_ns();
        while self.sessions.iter().any(|session| session.in_flight() > 0) {
            self.turn(end);
            self.take_answers(shared);
        }
    }

    fn submit(&mut self) {
        for session in &mut self.sessions {
            while session.in_flight() < self.shape.in_flight
                && self.driver.protocol.has_room(session.key)
            {
                let payload = session.next_payload(self.shape.command_bytes);
                let operation = <Append<'_> as Command<Bench>>::OPERATION;
                let submitted =
                    self.driver
                        .protocol
                        .submit(session.key, operation, u64::MAX, |out| {
                            out.extend_from_slice(&payload);
                        });
                let sequence = submitted.expect("there was room").number();
                if sequence.is_multiple_of(COMMANDS_PER_REPETITION) {
                    self.driver.protocol.repeat_in_flight(session.key);
                }
            }
        }
    }

    fn turn(&mut self, end_ns: u64) {
        let now = now_ns();
        assert!(
            now < end_ns,
            "no answer in time, last failure: {:?}",
            self.driver.protocol.last_failure()
        );
        self.driver.turn(now + TURN_NS).expect("epoll works");
    }

    fn take_answers(&mut self, shared: &Shared) {
        while let Some(completion) = self.driver.protocol.next_completion() {
            let Completion::Command {
                session: key,
                index,
                outcome: Outcome::Done(output),
                ..
            } = completion
            else {
                panic!("a command without an output: {completion:?}");
            };
            let session = self.sessions.iter_mut().find(|session| session.key == key);
            let session = session.expect("it is one of ours");
            let total = session.on_output(index, output);
            let totals = self.totals.entry(session.group).or_default();
            let twin = totals.insert(index, total);
            assert_eq!(twin, None, "two commands of {} at {index}", session.group);
            shared.answered.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Checks the whole, and closes the sessions.
    fn settle(&mut self, shared: &Shared) {
        for at in 0..self.sessions.len() {
            let bytes = self.ask::<Mine>(at);
            self.sessions[at].on_tally(Tally::decode(&bytes).expect("a tally"));
        }
        for (group, totals) in core::mem::take(&mut self.totals) {
            let grows = totals
                .values()
                .zip(totals.values().skip(1))
                .all(|(one, next)| one < next);
            assert!(grows, "totals of {group} do not grow with the index");
            let at = self
                .sessions
                .iter()
                .position(|session| session.group == group);
            let bytes = self.ask::<Total>(at.expect("every group has sessions"));
            let total = GrandTotal::decode(&bytes).expect("a total").total.get();
            let counts = self
                .sessions
                .iter()
                .filter(|session| session.group == group);
            let sum: u64 = counts.map(SessionCheck::answered_count).sum();
            let others = totals.first_key_value().map_or(0, |(_, total)| total - 1);
            assert_eq!(total, others + sum, "commands of {group} in all");
        }
        let sum: u64 = self.sessions.iter().map(SessionCheck::answered_count).sum();
        assert_eq!(sum, shared.answered.load(Ordering::Relaxed));
        self.close();
    }

    /// A linearizable query of one session.
    fn ask<Q: Query<Bench>>(&mut self, at: usize) -> Vec<u8> {
        let end = end_ns();
        let question = Question {
            session: Some(self.sessions[at].key),
            group: self.sessions[at].group,
            operation: Q::OPERATION,
            level: QueryLevel::Linearizable,
            deadline_ns: end,
        };
        self.driver.protocol.ask(question, |_| {});
        loop {
            self.turn(end);
            let Some(completion) = self.driver.protocol.next_completion() else {
                continue;
            };
            let Completion::Query {
                outcome: Outcome::Done(bytes),
                ..
            } = completion
            else {
                let said = format!("{completion:?}");
                let is_bound = self.driver.protocol.is_bound(self.sessions[at].key);
                let failure = self.driver.protocol.last_failure();
                panic!(
                    "a query without an answer: {said}, bound: {is_bound}, last failure: {failure:?}"
                );
            };
            return bytes.to_vec();
        }
    }

    fn close(&mut self) {
        let end = end_ns();
        for session in &self.sessions {
            self.driver.protocol.close_session(session.key);
        }
        let mut closed = 0;
        while closed < self.sessions.len() {
            self.turn(end);
            while let Some(completion) = self.driver.protocol.next_completion() {
                let is_closed = matches!(completion, Completion::Closed { .. });
                assert!(is_closed, "{completion:?}");
                closed += 1;
            }
        }
    }
}

fn end_ns() -> u64 {
    let patience = Duration::as_nanos(&PATIENCE);
    now_ns() + u64::try_from(patience).expect("a minute fits")
}

fn drawn() -> ClientId {
    let mut bytes = [0; 16];
    getrandom(&mut bytes, GetRandomFlags::empty()).expect("the kernel draws");
    ClientId::new(bytes)
}
