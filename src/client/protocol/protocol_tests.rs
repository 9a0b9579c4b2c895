//! Scripts: the protocol against answers that a test writes by hand.

use super::*;
use crate::connection::ConnectionId;
use crate::options::ReadFrom;
use margay_machine::{CommandView, SKIP};
use margay_types::{ClusterId, Incarnation, NodeId, SessionId, Term};
use margay_wire::admin::{self, LeaderHint, MapGroup, MapNode, MapRequest};
use margay_wire::client::{
    self as wire, Attached, Attachment, Detached, Event, ResponseHead, write_attached,
    write_detached, write_done, write_refusal,
};
use margay_wire::hello::{HELLO_BYTES, Hello};
use margay_wire::{Code, FrameKind, Refusal, Splitter};
use std::collections::BTreeMap;

const MS: u64 = 1_000_000;
const GROUP: GroupId = GroupId::new(1);
const ADD: OperationId = OperationId::new(1);

/// A frame that the client sent.
#[derive(Clone, Debug)]
struct Asked {
    kind: FrameKind,
    request: u64,
    body: Vec<u8>,
}

impl Asked {
    /// Number, acknowledged-below and operation of a command, and its bytes.
    fn command(&self) -> (u64, u64, OperationId, Vec<u8>) {
        assert_eq!(self.kind, FrameKind::Command);
        let command = wire::command(&self.body).expect("a command");
        let view = CommandView::decode(command.payload).expect("a payload");
        let (number, below) = (view.sequence.number(), view.acknowledged_below.number());
        (number, below, view.operation, view.bytes.to_vec())
    }
}

/// The world around the protocol: three nodes `n1`..`n3` that answer what the script says.
struct World {
    protocol: Protocol,
    now_ns: u64,
    /// The connection to each address, once it was dialed.
    connections: BTreeMap<String, ConnectionId>,
    dials: Vec<String>,
    received: BTreeMap<ConnectionId, Vec<u8>>,
}

fn node(number: u16) -> NodeId {
    NodeId::new(number)
}

fn map(leader: Option<u16>) -> Map {
    let place = |number: u16| MapNode {
        node: node(number),
        incarnation: Incarnation::new([u8::try_from(number).expect("small"); 16]),
        address: format!("n{number}:1"),
        shards: 1,
        shard_ports: vec![],
    };
    Map {
        cluster: ClusterId::new([1; 16]),
        version: Index::new(1),
        nodes: (1..=3).map(place).collect(),
        keyspaces: vec![],
        groups: vec![MapGroup {
            group: GROUP,
            incarnation: 0,
            members: (1..=3).map(node).collect(),
            leader: leader.map(|number| LeaderHint {
                node: node(number),
                term: Term::new(1),
            }),
        }],
    }
}

impl World {
    fn new() -> Self {
        Self::with_options(Options::default())
    }

    fn with_options(options: Options) -> Self {
        let endpoints = vec!["e1:1".to_owned(), "e2:1".to_owned()];
        let client = ClientId::new([7; 16]);
        let protocol = Protocol::new(options, endpoints, client, 1);
        Self {
            protocol,
            now_ns: 0,
            connections: BTreeMap::new(),
            dials: Vec::new(),
            received: BTreeMap::new(),
        }
    }

    /// A world with an open session on `n1`, which leads in term 1.
    fn with_session() -> (Self, SessionKey) {
        let mut world = Self::new();
        let key = world.protocol.open_session(GROUP);
        world.accept("e1:1");
        world.give_map("e1:1", Some(1));
        world.accept("n1:1");
        let open = world.only("n1:1", FrameKind::Open);
        world.attach("n1:1", &open, 1);
        let opened = Completion::Opened {
            session: key,
            id: SessionId::new(50),
        };
        assert_eq!(world.protocol.next_completion(), Some(opened));
        (world, key)
    }

    fn collect_dials(&mut self) {
        while let Some(dial) = self.protocol.next_dial() {
            self.dials.push(dial.address.clone());
            self.connections.insert(dial.address, dial.connection);
        }
    }

    /// Time passes.
    fn pass(&mut self, ms: u64) {
        self.now_ns += ms * MS;
        self.protocol.on_time(self.now_ns);
        self.collect_dials();
    }

    fn at(&mut self, address: &str) -> ConnectionId {
        self.collect_dials();
        *self
            .connections
            .get(address)
            .unwrap_or_else(|| panic!("{address} was not dialed, only {:?}", self.dials))
    }

    /// The dial to an address succeeds, and the server greets.
    fn accept(&mut self, address: &str) {
        let connection = self.at(address);
        self.protocol.on_connected(connection, self.now_ns);
        let sent = self.take_bytes(connection);
        let hello = Hello::decode(sent.first_chunk::<HELLO_BYTES>().expect("a hello"));
        let hello = hello.expect("a good hello");
        let answer = hello.answer(hello, None).encode();
        self.protocol.on_received(connection, &answer, self.now_ns);
        self.collect_dials();
    }

    fn refuse_dial(&mut self, address: &str) {
        let connection = self.at(address);
        self.protocol.on_closed(connection, self.now_ns, "refused");
        self.connections.remove(address);
        self.collect_dials();
    }

    fn cut(&mut self, address: &str) {
        self.refuse_dial(address);
    }

    fn take_bytes(&mut self, connection: ConnectionId) -> Vec<u8> {
        let bytes = self.protocol.unsent(connection).to_vec();
        self.protocol.on_sent(connection, bytes.len());
        bytes
    }

    /// Everything that was sent to an address since the last call.
    fn asked(&mut self, address: &str) -> Vec<Asked> {
        let connection = self.at(address);
        let bytes = self.take_bytes(connection);
        let mut splitter = Splitter::default();
        splitter
            .split(&bytes)
            .map(|frame| frame.expect("whole frames"))
            .map(|frame| Asked {
                kind: frame.kind,
                request: frame.request,
                body: frame.body.to_vec(),
            })
            .collect()
    }

    fn only(&mut self, address: &str, kind: FrameKind) -> Asked {
        let asked = self.asked(address);
        let [one] = asked.as_slice() else {
            panic!("one frame to {address}, not {asked:?}")
        };
        assert_eq!(one.kind, kind);
        one.clone()
    }

    fn numbers(&mut self, address: &str) -> Vec<u64> {
        self.asked(address)
            .iter()
            .map(|asked| asked.command().0)
            .collect()
    }

    fn answer(&mut self, address: &str, write: impl FnOnce(&mut Vec<u8>)) {
        let connection = self.at(address);
        let mut bytes = Vec::new();
        write(&mut bytes);
        self.received.entry(connection).or_default().extend(&bytes);
        self.protocol.on_received(connection, &bytes, self.now_ns);
        self.collect_dials();
    }

    fn give_map(&mut self, address: &str, leader: Option<u16>) {
        let asked = self.only(address, FrameKind::Map);
        self.answer(address, |out| {
            admin::write_answer::<MapRequest>(
                out,
                asked.request,
                ResponseHead::default(),
                &map(leader),
            )
            .expect("it fits");
        });
    }

    fn attach(&mut self, address: &str, asked: &Asked, next: u64) {
        let attached = Attached {
            session: SessionId::new(50),
            next: SequenceNumber::new(next),
            attachment: Attachment(4),
            incarnation: 0,
            window: 8,
        };
        let head = ResponseHead {
            term: Term::new(2),
            index: Index::new(50),
            events: 0,
        };
        self.answer(address, |out| {
            write_attached(out, asked.request, head, &attached)
        });
    }

    /// A command was applied; its output is its own bytes.
    fn apply(&mut self, address: &str, asked: &Asked) {
        let (number, _, _, bytes) = asked.command();
        let head = ResponseHead {
            term: Term::new(2),
            index: Index::new(100 + number),
            events: 0,
        };
        self.answer(address, |out| write_done(out, asked.request, head, &bytes));
    }

    fn refuse(&mut self, address: &str, asked: &Asked, refusal: Refusal) {
        let head = ResponseHead {
            term: Term::new(2),
            index: Index::ZERO,
            events: 0,
        };
        self.answer(address, |out| {
            write_refusal(out, asked.request, head, &refusal)
        });
    }

    fn submit(&mut self, key: SessionKey, bytes: &[u8]) -> u64 {
        self.protocol
            .submit(key, ADD, u64::MAX, |out| out.extend_from_slice(bytes))
            .expect("it is taken")
            .number()
    }

    /// Everything that completed, in words.
    fn news(&mut self) -> Vec<String> {
        let mut news = Vec::new();
        while let Some(completion) = self.protocol.next_completion() {
            news.push(match completion {
                Completion::Command {
                    sequence,
                    outcome: Outcome::Done(output),
                    ..
                } => {
                    format!("{sequence} done {}", String::from_utf8_lossy(output))
                }
                Completion::Command {
                    sequence, outcome, ..
                } => format!("{sequence} {outcome:?}"),
                Completion::Pending { sequence, .. } => format!("{sequence} pending"),
                Completion::Lost { refusal, .. } => format!("lost: {refusal}"),
                Completion::Closed { .. } => "closed".to_owned(),
                Completion::Query {
                    outcome: Outcome::Done(output),
                    ..
                } => {
                    format!("answer {}", String::from_utf8_lossy(output))
                }
                Completion::Opened { .. }
                | Completion::NotOpened { .. }
                | Completion::Query { .. }
                | Completion::QueryTimedOut { .. }
                | Completion::Event { .. } => format!("{completion:?}"),
            });
        }
        news
    }
}

#[test]
fn commands_leave_at_once_and_complete_in_order_even_when_answered_out_of_order() {
    let (mut world, key) = World::with_session();
    for bytes in [b"a", b"b", b"c"] {
        world.submit(key, bytes);
    }
    let asked = world.asked("n1:1");
    assert_eq!(
        asked
            .iter()
            .map(|asked| asked.command().0)
            .collect::<Vec<_>>(),
        [1, 2, 3]
    );
    world.apply("n1:1", &asked[1]);
    assert_eq!(world.news(), [""; 0]);
    world.apply("n1:1", &asked[0]);
    assert_eq!(world.news(), ["1 done a", "2 done b"]);
    world.apply("n1:1", &asked[2]);
    assert_eq!(world.news(), ["3 done c"]);
    assert_eq!(world.protocol.seen(key), Some(Index::new(103)));
    world.submit(key, b"d");
    let (number, below, ..) = world.asked("n1:1")[0].command();
    assert_eq!((number, below), (4, 4), "what completed is acknowledged");
}

/// The connection dies with answers lost; behind the attach everything unanswered comes again, in order, with the
/// same operations, and nothing that completed.
#[test]
fn after_a_reconnect_what_is_unanswered_is_sent_again_and_says_what_was_received() {
    let (mut world, key) = World::with_session();
    for bytes in [b"a", b"b", b"c"] {
        world.submit(key, bytes);
    }
    let first = world.asked("n1:1");
    world.apply("n1:1", &first[0]);
    world.cut("n1:1");
    world.pass(1_000);
    // The members are asked in order; whichever was dialed says that n1 leads still.
    let other = world.dials.last().expect("somebody was dialed").clone();
    world.accept(&other);
    // One that misses what is done slept through its own end: it is asked again, and the session lives.
    let attach = world.only(&other, FrameKind::Attach);
    world.attach(&other, &attach, 1);
    world.pass(1_000);
    let attach = world.only(&other, FrameKind::Attach);
    world.attach(&other, &attach, 3);
    let again = world.asked(&other);
    assert_eq!(again.len(), 2);
    for (again, first) in again.iter().zip(&first[1..]) {
        let (number, below, operation, bytes) = again.command();
        let (first_number, first_below, first_operation, first_bytes) = first.command();
        assert_eq!(
            (number, operation, bytes),
            (first_number, first_operation, first_bytes)
        );
        assert_eq!((first_below, below), (1, 2));
        assert_ne!(
            again.request, first.request,
            "answers to the first sending are told apart"
        );
    }
    world.apply(&other, &again[0]);
    world.apply(&other, &again[1]);
    assert_eq!(world.news(), ["1 done a", "2 done b", "3 done c"]);
}

#[test]
fn a_duplicate_answer_completes_nothing_twice() {
    let (mut world, key) = World::with_session();
    world.submit(key, b"a");
    let asked = world.asked("n1:1");
    world.apply("n1:1", &asked[0]);
    world.apply("n1:1", &asked[0]);
    assert_eq!(world.news(), ["1 done a"]);
}

/// The old leader refuses all that is in flight; one redirect follows, straight to the leader it names, and the
/// commands behind the attach.
#[test]
fn a_leader_change_costs_one_redirect_however_much_is_in_flight() {
    let (mut world, key) = World::with_session();
    for bytes in [b"a", b"b", b"c"] {
        world.submit(key, bytes);
    }
    let asked = world.asked("n1:1");
    world.apply("n1:1", &asked[0]);
    let leader = Some(node(2));
    for asked in &asked[1..] {
        world.refuse(
            "n1:1",
            asked,
            Refusal::LeadershipLost {
                leader,
                term: Term::new(3),
            },
        );
    }
    world.accept("n2:1");
    let attach = world.only("n2:1", FrameKind::Attach);
    world.attach("n2:1", &attach, 2);
    assert_eq!(world.numbers("n2:1"), [2, 3]);
    assert_eq!(world.asked("n1:1").len(), 0);
}

/// The new leader misses a command: it names the number, and everything from there comes again, once.
#[test]
fn a_hole_is_filled_from_the_number_that_the_leader_names() {
    let (mut world, key) = World::with_session();
    for bytes in [b"a", b"b", b"c", b"d"] {
        world.submit(key, bytes);
    }
    let asked = world.asked("n1:1");
    world.apply("n1:1", &asked[0]);
    let next = Refusal::NextIs {
        sequence: SequenceNumber::new(2),
    };
    world.refuse("n1:1", &asked[2], next);
    world.refuse("n1:1", &asked[3], next);
    assert_eq!(
        world.numbers("n1:1"),
        [2, 3, 4],
        "the second refusal is of the same sending"
    );
}

#[test]
fn an_overloaded_leader_is_left_alone_for_the_time_it_asks() {
    let (mut world, key) = World::with_session();
    world.submit(key, b"a");
    world.submit(key, b"b");
    let asked = world.asked("n1:1");
    world.refuse(
        "n1:1",
        &asked[0],
        Refusal::Overloaded {
            retry_after_ms: 100,
        },
    );
    world.refuse(
        "n1:1",
        &asked[1],
        Refusal::NextIs {
            sequence: SequenceNumber::new(1),
        },
    );
    world.submit(key, b"c");
    world.pass(99);
    assert_eq!(
        world.asked("n1:1").len(),
        0,
        "not before, and not because of more commands"
    );
    world.pass(200);
    let asked = world.asked("n1:1");
    assert_eq!(asked.len(), 1, "what is refused would be sent for nothing");
    world.apply("n1:1", &asked[0]);
    assert_eq!(world.numbers("n1:1"), [2, 3]);
    assert_eq!(world.news(), ["1 done a"]);
}

#[test]
fn a_leader_that_is_not_ready_gets_everything_again() {
    let (mut world, key) = World::with_session();
    world.submit(key, b"a");
    world.submit(key, b"b");
    let asked = world.asked("n1:1");
    let not_ready = Refusal::NotReady { retry_after_ms: 20 };
    world.refuse("n1:1", &asked[0], not_ready);
    world.refuse("n1:1", &asked[1], not_ready);
    assert_eq!(world.protocol.refused_count(), 2);
    world.pass(60);
    assert_eq!(world.numbers("n1:1"), [1, 2]);
}

#[test]
fn a_deadline_reports_and_cancels_nothing() {
    let (mut world, key) = World::with_session();
    let deadline_ns = world.now_ns + 10 * MS;
    world
        .protocol
        .submit(key, ADD, deadline_ns, |out| out.push(b'a'))
        .expect("it is taken");
    let asked = world.asked("n1:1");
    assert!(world.protocol.due_ns() <= deadline_ns);
    world.pass(10);
    assert_eq!(world.news(), ["1 pending"]);
    world.pass(10);
    assert_eq!(world.news(), [""; 0], "it is reported once");
    world.apply("n1:1", &asked[0]);
    assert_eq!(world.news(), ["1 done a"]);
}

#[test]
fn a_lost_session_leaves_the_outcome_of_what_was_in_flight_unknown() {
    let (mut world, key) = World::with_session();
    world.submit(key, b"a");
    world.submit(key, b"b");
    let asked = world.asked("n1:1");
    world.apply("n1:1", &asked[0]);
    world.refuse("n1:1", &asked[1], Refusal::SessionExpired);
    assert_eq!(
        world.news(),
        ["1 done a", "2 Unknown", "lost: session expired"]
    );
    assert_eq!(
        world.protocol.submit(key, ADD, u64::MAX, |_| {}),
        Err(SubmitError::NotOpen)
    );
}

#[test]
fn a_full_window_takes_no_more_until_something_completes() {
    let (mut world, key) = World::with_session();
    for _ in 0..8 {
        world.submit(key, b"x");
    }
    assert!(!world.protocol.has_room(key));
    assert_eq!(
        world.protocol.submit(key, ADD, u64::MAX, |_| {}),
        Err(SubmitError::WindowFull)
    );
    let asked = world.asked("n1:1");
    world.apply("n1:1", &asked[1]);
    assert!(!world.protocol.has_room(key), "the oldest holds the window");
    world.apply("n1:1", &asked[0]);
    assert!(world.protocol.has_room(key));
    assert_eq!(world.submit(key, b"y"), 9);
}

#[test]
fn one_keep_alive_per_connection_carries_all_its_sessions_and_what_it_cannot_keep_moves() {
    let (mut world, key) = World::with_session();
    world.submit(key, b"a");
    let asked = world.asked("n1:1");
    world.apply("n1:1", &asked[0]);
    world.pass(1_250);
    let keep_alive = world.asked("n1:1").pop().expect("a keep-alive");
    let items: Vec<_> = wire::keep_alive(&keep_alive.body)
        .map(|item| item.expect("an item"))
        .collect();
    assert_eq!(items.len(), 1);
    assert_eq!(items[0].acknowledged_below, SequenceNumber::new(2));
    let detached = Detached {
        attachment: Attachment(4),
        code: Code::NotLeader,
        leader: Some(node(3)),
        term: Term::new(4),
    };
    world.answer("n1:1", |out| {
        write_detached(out, keep_alive.request, [detached].into_iter());
    });
    world.accept("n3:1");
    world.only("n3:1", FrameKind::Attach);
}

#[test]
fn a_session_is_closed_behind_its_last_command() {
    let (mut world, key) = World::with_session();
    world.submit(key, b"a");
    world.protocol.close_session(key);
    let asked = world.asked("n1:1");
    assert_eq!(asked.len(), 1);
    world.apply("n1:1", &asked[0]);
    let close = world.only("n1:1", FrameKind::Close);
    world.answer("n1:1", |out| {
        write_done(out, close.request, ResponseHead::default(), &[])
    });
    assert_eq!(world.news(), ["1 done a", "closed"]);
}

#[test]
fn events_come_once_and_without_gaps() {
    let (mut world, key) = World::with_session();
    for number in [1, 2, 2, 4] {
        world.answer("n1:1", |out| {
            let index = Index::new(60 + number);
            Event {
                attachment: Attachment(4),
                number,
                index,
                payload: b"e",
            }
            .write(out);
        });
    }
    let mut numbers = Vec::new();
    while let Some(completion) = world.protocol.next_completion() {
        let Completion::Event {
            session, number, ..
        } = completion
        else {
            continue;
        };
        assert_eq!(session, key);
        numbers.push(number);
    }
    assert_eq!(numbers, [1, 2]);
}

/// What is in flight is sent twice; both answers come, and one completion.
#[test]
fn commands_that_are_sent_a_second_time_complete_once() {
    let (mut world, key) = World::with_session();
    world.submit(key, b"a");
    let first = world.asked("n1:1");
    world.protocol.repeat_in_flight(key);
    let second = world.asked("n1:1");
    assert_eq!(second[0].body, first[0].body);
    world.apply("n1:1", &second[0]);
    world.apply("n1:1", &first[0]);
    assert_eq!(world.news(), ["1 done a"]);
}

#[path = "skip_tests.rs"]
mod skips;

#[path = "refusal_tests.rs"]
mod refusals;

#[path = "query_tests.rs"]
mod queries;

#[path = "link_tests.rs"]
mod links;
