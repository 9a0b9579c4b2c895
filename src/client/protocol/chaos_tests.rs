//! The protocol against a model of a cluster whose leader changes, whose connections break, whose unreplicated tail is
//! lost and whose doors are sometimes shut; whatever the seed, each command is applied once, in its session's order,
//! and completes in that order with the output of its one execution.

use super::*;
use margay_machine::CommandView;
use margay_types::{ClusterId, Incarnation, NodeId, Random, SessionId, Term};
use margay_wire::admin::{self, MapGroup, MapNode, MapRequest};
use margay_wire::client::{
    self as wire, Attached, Attachment, ResponseHead, write_attached, write_detached, write_done,
    write_refusal,
};
use margay_wire::hello::{HELLO_BYTES, Hello};
use margay_wire::{Frame, FrameKind, Refusal, Splitter};
use std::collections::BTreeMap;

const GROUP: GroupId = GroupId::new(1);
const SESSIONS: usize = 4;
const COMMANDS: u64 = 60;
const SEEDS: u64 = 200;

/// What the cluster holds of one session.
#[derive(Default)]
struct Held {
    client: ClientId,
    /// Payloads in the log, applied or not.
    log: Vec<Vec<u8>>,
    /// How many of them are applied: committed for ever.
    applied: usize,
    /// Who waits for which number.
    waiting: Vec<(u64, ConnectionId, u64)>,
}

struct Wire {
    node: u16,
    splitter: Splitter,
    hello: Vec<u8>,
    attachments: Vec<usize>,
    out: Vec<u8>,
}

struct Cluster {
    random: Random,
    leader: u16,
    term: u32,
    sessions: Vec<Held>,
    wires: BTreeMap<ConnectionId, Wire>,
}

impl Cluster {
    fn new(seed: u64) -> Self {
        Self {
            random: Random::new(seed),
            leader: 1,
            term: 1,
            sessions: Vec::new(),
            wires: BTreeMap::new(),
        }
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.random.below(100) < percent
    }

    fn head(&self) -> ResponseHead {
        ResponseHead {
            term: Term::new(self.term),
            index: Index::new(1),
            events: 0,
        }
    }

    fn receive(&mut self, connection: ConnectionId, bytes: &[u8]) {
        let Some(mut wire) = self.wires.remove(&connection) else {
            return;
        };
        let mut bytes = bytes;
        if wire.hello.len() < HELLO_BYTES {
            let (head, behind) = bytes.split_at(HELLO_BYTES.min(bytes.len()));
            wire.hello.extend_from_slice(head);
            let hello = Hello::decode(head.first_chunk().expect("whole")).expect("good");
            wire.out
                .extend_from_slice(&hello.answer(hello, None).encode());
            bytes = behind;
        }
        let mut splitter = std::mem::take(&mut wire.splitter);
        for frame in splitter.split(bytes) {
            self.answer(connection, &mut wire, frame.expect("clients send frames"));
        }
        wire.splitter = splitter;
        self.wires.insert(connection, wire);
    }

    fn answer(&mut self, connection: ConnectionId, wire: &mut Wire, frame: Frame<'_>) {
        let (request, head) = (frame.request, self.head());
        if frame.kind == FrameKind::Map {
            admin::write_answer::<MapRequest>(&mut wire.out, request, head, &map()).expect("fits");
            return;
        }
        if frame.kind == FrameKind::KeepAlive {
            write_detached(&mut wire.out, request, core::iter::empty());
            return;
        }
        if let Err(refusal) = self.serve(connection, wire, &frame) {
            write_refusal(&mut wire.out, request, head, &refusal);
        }
    }

    fn serve(
        &mut self,
        connection: ConnectionId,
        wire: &mut Wire,
        frame: &Frame<'_>,
    ) -> Result<(), Refusal> {
        if wire.node != self.leader {
            let leader = self.chance(70).then(|| NodeId::new(self.leader));
            let term = Term::new(self.term);
            return Err(Refusal::NotLeader { leader, term });
        }
        if self.chance(5) {
            return Err(Refusal::Overloaded { retry_after_ms: 1 });
        }
        if frame.kind == FrameKind::Command {
            return self.on_command(connection, wire, frame);
        }
        let client = if frame.kind == FrameKind::Open {
            wire::open(frame.body).expect("an open").client
        } else {
            wire::attach(frame.body).expect("an attach").client
        };
        let known = self.sessions.iter().position(|held| held.client == client);
        let at = known.unwrap_or_else(|| {
            self.sessions.push(Held {
                client,
                ..Held::default()
            });
            self.sessions.len() - 1
        });
        wire.attachments.push(at);
        let attached = Attached {
            session: SessionId::new(at as u64 + 1),
            next: SequenceNumber::new(self.sessions[at].log.len() as u64 + 1),
            attachment: Attachment(u32::try_from(wire.attachments.len() - 1).expect("few")),
            incarnation: 0,
            window: 16,
        };
        write_attached(&mut wire.out, frame.request, self.head(), &attached);
        Ok(())
    }

    fn on_command(
        &mut self,
        connection: ConnectionId,
        wire: &mut Wire,
        frame: &Frame<'_>,
    ) -> Result<(), Refusal> {
        let head = self.head();
        let command = wire::command(frame.body).expect("a command");
        let view = CommandView::decode(command.payload).expect("a payload");
        let at = wire.attachments[command.attachment.0 as usize];
        let held = &mut self.sessions[at];
        assert_eq!(view.session, Some(SessionId::new(at as u64 + 1)));
        let (number, next) = (view.sequence.number(), held.log.len() as u64 + 1);
        if number > next {
            let sequence = SequenceNumber::new(next);
            return Err(Refusal::NextIs { sequence });
        }
        let place = usize::try_from(number - 1).expect("small");
        if number == next {
            held.log.push(view.bytes.to_vec());
        } else {
            assert_eq!(
                held.log[place], view.bytes,
                "a number belongs to one command for ever"
            );
        }
        if place < held.applied {
            write_done(&mut wire.out, frame.request, head, &held.log[place]);
        } else {
            held.waiting.push((number, connection, frame.request));
        }
        Ok(())
    }

    /// Commits and applies one more command of a session, and answers whoever waits for it.
    fn apply(&mut self, at: usize) {
        let head = self.head();
        let Some(held) = self.sessions.get_mut(at) else {
            return;
        };
        let Some(output) = held.log.get(held.applied).cloned() else {
            return;
        };
        held.applied += 1;
        let number = held.applied as u64;
        let due: Vec<_> = held
            .waiting
            .extract_if(.., |(wanted, ..)| *wanted == number)
            .collect();
        for (_, connection, request) in due {
            if let Some(wire) = self.wires.get_mut(&connection) {
                write_done(&mut wire.out, request, head, &output);
            }
        }
    }

    /// Another leader: a part of what was not committed is lost.
    fn change_leader(&mut self) {
        self.leader = u16::try_from(self.random.below(3)).expect("small") + 1;
        self.term += 1;
        let (leader, head) = (Some(NodeId::new(self.leader)), self.head());
        let term = head.term;
        for held in &mut self.sessions {
            let open = (held.log.len() - held.applied) as u64;
            let kept = usize::try_from(self.random.below(open + 1)).expect("small");
            held.log.truncate(held.applied + kept);
            for (_, connection, request) in held.waiting.drain(..) {
                if let Some(wire) = self.wires.get_mut(&connection) {
                    let lost = Refusal::LeadershipLost { leader, term };
                    write_refusal(&mut wire.out, request, head, &lost);
                }
            }
        }
    }
}

fn map() -> Map {
    let place = |number: u16| MapNode {
        node: NodeId::new(number),
        incarnation: Incarnation::new([1; 16]),
        address: format!("{number}"),
        shards: 1,
        shard_ports: vec![],
    };
    Map {
        cluster: ClusterId::ZERO,
        version: Index::new(1),
        nodes: (1..=3).map(place).collect(),
        keyspaces: vec![],
        groups: vec![MapGroup {
            group: GROUP,
            incarnation: 0,
            members: (1..=3).map(NodeId::new).collect(),
            leader: None,
        }],
    }
}

/// A client and a cluster, one step of the network at a time.
struct World {
    protocol: Protocol,
    cluster: Cluster,
    now_ns: u64,
    keys: Vec<SessionKey>,
    submitted: BTreeMap<SessionKey, u64>,
    completed: BTreeMap<SessionKey, u64>,
}

impl World {
    fn new(seed: u64) -> Self {
        let endpoints = vec!["1".to_owned(), "2".to_owned()];
        let options = Options {
            connections_per_shard: 2,
            ..Options::default()
        };
        let mut protocol = Protocol::new(options, endpoints, ClientId::new([9; 16]), seed);
        let keys: Vec<_> = (0..SESSIONS)
            .map(|_| protocol.open_session(GROUP))
            .collect();
        Self {
            protocol,
            cluster: Cluster::new(seed),
            now_ns: 0,
            keys,
            submitted: BTreeMap::new(),
            completed: BTreeMap::new(),
        }
    }

    fn step(&mut self, calm: bool) {
        self.now_ns += 1_000_000 * (1 + self.cluster.random.below(10));
        self.protocol.on_time(self.now_ns);
        self.submit();
        self.network(calm);
        let at = usize::try_from(self.cluster.random.below(SESSIONS as u64)).expect("small");
        for _ in 0..3 {
            self.cluster.apply(at);
        }
        if !calm && self.cluster.chance(5) {
            self.cluster.change_leader();
        }
        if !calm && self.cluster.chance(5) {
            self.protocol.repeat_in_flight(self.keys[at]);
        }
        self.take_completions();
    }

    fn submit(&mut self) {
        for key in &self.keys {
            let count = self.submitted.entry(*key).or_default();
            while *count < COMMANDS && self.protocol.has_room(*key) {
                *count += 1;
                let bytes = count.to_le_bytes();
                let taken = self
                    .protocol
                    .submit(*key, OperationId::new(1), u64::MAX, |out| {
                        out.extend_from_slice(&bytes);
                    });
                assert_eq!(taken, Ok(SequenceNumber::new(*count)));
            }
        }
    }

    fn network(&mut self, calm: bool) {
        while let Some(connection) = self.protocol.next_hangup() {
            self.cluster.wires.remove(&connection);
        }
        while let Some(dial) = self.protocol.next_dial() {
            if !calm && self.cluster.chance(20) {
                self.protocol
                    .on_closed(dial.connection, self.now_ns, "refused");
                continue;
            }
            let wire = Wire {
                node: dial.address.parse().expect("a node"),
                splitter: Splitter::default(),
                hello: Vec::new(),
                attachments: Vec::new(),
                out: Vec::new(),
            };
            self.cluster.wires.insert(dial.connection, wire);
            self.protocol.on_connected(dial.connection, self.now_ns);
        }
        while self.protocol.next_unsent().is_some() {}
        let connections: Vec<_> = self.cluster.wires.keys().copied().collect();
        for connection in connections {
            let bytes = self.protocol.unsent(connection).to_vec();
            self.protocol.on_sent(connection, bytes.len());
            self.cluster.receive(connection, &bytes);
            if !calm && self.cluster.chance(3) {
                self.cluster.wires.remove(&connection);
                self.protocol.on_closed(connection, self.now_ns, "cut");
                continue;
            }
            let Some(wire) = self.cluster.wires.get_mut(&connection) else {
                continue;
            };
            let out = std::mem::take(&mut wire.out);
            // Answers arrive in two pieces, cut anywhere.
            let middle = self.cluster.random.below(out.len() as u64 + 1);
            let (first, second) = out.split_at(usize::try_from(middle).expect("small"));
            self.protocol.on_received(connection, first, self.now_ns);
            self.protocol.on_received(connection, second, self.now_ns);
        }
    }

    fn take_completions(&mut self) {
        while let Some(completion) = self.protocol.next_completion() {
            match completion {
                Completion::Opened { .. } => {}
                Completion::Command {
                    session,
                    sequence,
                    outcome: Outcome::Done(output),
                    ..
                } => {
                    let count = self.completed.entry(session).or_default();
                    *count += 1;
                    assert_eq!(sequence.number(), *count, "in program order");
                    assert_eq!(output, count.to_le_bytes(), "its own output");
                }
                Completion::Command { .. }
                | Completion::NotOpened { .. }
                | Completion::Pending { .. }
                | Completion::Query { .. }
                | Completion::QueryTimedOut { .. }
                | Completion::Event { .. }
                | Completion::Lost { .. }
                | Completion::Closed { .. } => panic!("{completion:?}"),
            }
        }
    }

    fn is_done(&self) -> bool {
        self.keys
            .iter()
            .all(|key| self.completed.get(key) == Some(&COMMANDS))
    }
}

#[test]
fn whatever_fails_each_command_is_applied_once_and_completes_in_order() {
    for seed in 0..SEEDS {
        let mut world = World::new(seed);
        for _ in 0..300 {
            world.step(false);
        }
        for _ in 0..2_000 {
            if world.is_done() {
                break;
            }
            world.step(true);
        }
        assert!(
            world.is_done(),
            "seed {seed}: completed {:?}",
            world.completed
        );
        for held in &world.cluster.sessions {
            let expected: Vec<_> = (1..=COMMANDS).map(|n| n.to_le_bytes().to_vec()).collect();
            assert!(held.log.is_empty() || held.log == expected, "seed {seed}");
        }
    }
}
