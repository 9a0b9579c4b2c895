//! The drivers over real sockets, against a server that keeps one session in memory.

use crate::blocking::Client;
use crate::error::{ClientError, Conclusion};
use crate::operator::{self, OperatorError};
use crate::options::Options;
use crate::typed::Session;
use margay_machine::{Apply, Commit, Context, Machine, Never, View, operations};
use margay_types::{
    ClusterId, GroupId, Incarnation, Index, NodeId, OperationId, ProcessLife, SequenceNumber,
    SessionId, Term,
};
use margay_wire::admin::{
    self, Formation, Keyspace, KeyspaceCreate, KeyspaceCreated, LeaderHint, Map, MapGroup, MapNode,
    MapRequest, NodeInfo, NodeInfoRequest,
};
use margay_wire::client::{
    self as wire, Attached, Attachment, QueryLevel, ResponseHead, write_attached, write_detached,
    write_done, write_refusal,
};
use margay_wire::hello::{HELLO_BYTES, Hello};
use margay_wire::{Frame, FrameKind, Refusal, Splitter};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const GROUP: GroupId = GroupId::new(1);
const TIMEOUT: Duration = Duration::from_secs(20);
const COMMAND_HEADER: usize = margay_machine::COMMAND_HEADER_BYTES;

/// What the server remembers over connections.
#[derive(Default)]
struct Memory {
    address: String,
    /// The sum that commands add to.
    sum: i64,
    /// Commands applied.
    applied: u64,
    /// Connections to end right after this many commands were applied, their answers unsent.
    cut_after: Option<u64>,
}

fn serve(cut_after: Option<u64>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    let memory = Memory {
        address: address.clone(),
        cut_after,
        ..Memory::default()
    };
    let memory = Arc::new(Mutex::new(memory));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let memory = Arc::clone(&memory);
            // A client that goes away is no failure of the test.
            std::thread::spawn(move || stream.and_then(|stream| talk(stream, &memory)));
        }
    });
    address
}

fn talk(mut stream: TcpStream, memory: &Mutex<Memory>) -> std::io::Result<()> {
    let mut hello = [0; HELLO_BYTES];
    stream.read_exact(&mut hello)?;
    let hello = Hello::decode(&hello).expect("clients speak our version");
    stream.write_all(&hello.answer(hello, None).encode())?;
    let mut splitter = Splitter::default();
    let mut buffer = vec![0; 64 << 10];
    loop {
        let count = stream.read(&mut buffer)?;
        if count == 0 {
            return Ok(());
        }
        let mut out = Vec::new();
        let mut memory = memory.lock().expect("no server thread panics");
        for frame in splitter.split(&buffer[..count]) {
            answer(frame.expect("clients send frames"), &mut memory, &mut out);
        }
        if memory
            .cut_after
            .is_some_and(|after| memory.applied >= after)
        {
            memory.cut_after = None;
            return Ok(());
        }
        drop(memory);
        stream.write_all(&out)?;
    }
}

fn answer(frame: Frame<'_>, memory: &mut Memory, out: &mut Vec<u8>) {
    let head = ResponseHead {
        term: Term::new(1),
        index: Index::new(9),
        events: 0,
    };
    let request = frame.request;
    if frame.kind == FrameKind::Map {
        admin::write_answer::<MapRequest>(out, request, head, &map(memory)).expect("it fits");
    } else if matches!(frame.kind, FrameKind::Open | FrameKind::Attach) {
        let attached = Attached {
            session: SessionId::new(7),
            next: SequenceNumber::new(memory.applied + 1),
            attachment: Attachment(0),
            incarnation: 0,
            window: 64,
        };
        write_attached(out, request, head, &attached);
    } else if frame.kind == FrameKind::Command {
        apply(frame, memory, out, head);
    } else if frame.kind == FrameKind::Query {
        let mut bytes = Vec::new();
        margay_machine::Encode::encode(&memory.sum, &mut bytes);
        write_done(out, request, head, &bytes);
    } else if frame.kind == FrameKind::KeepAlive {
        write_detached(out, request, core::iter::empty());
    } else if frame.kind == FrameKind::NodeInfo {
        admin::write_answer::<NodeInfoRequest>(out, request, head, &info(memory)).expect("it fits");
    } else if frame.kind == FrameKind::KeyspaceCreate {
        let answer = KeyspaceCreated::Existed(keyspace());
        admin::write_answer::<KeyspaceCreate>(out, request, head, &answer).expect("it fits");
    } else if frame.kind == FrameKind::Close {
        write_done(out, request, head, &[]);
    } else {
        write_refusal(out, request, head, &Refusal::BadRequest);
    }
}

/// Adds what the command says, once per number.
fn apply(frame: Frame<'_>, memory: &mut Memory, out: &mut Vec<u8>, head: ResponseHead) {
    let command = wire::command(frame.body).expect("a command");
    let view = margay_machine::CommandView::decode(command.payload).expect("a payload");
    assert_eq!(command.payload.len() - view.bytes.len(), COMMAND_HEADER);
    if view.operation != OperationId::new(1) {
        write_refusal(out, frame.request, head, &Refusal::OutputGone);
        return;
    }
    let add: Add = margay_machine::Decode::decode(view.bytes).expect("an operation");
    if view.sequence.number() > memory.applied {
        assert_eq!(
            view.sequence.number(),
            memory.applied + 1,
            "in order, without holes"
        );
        memory.applied += 1;
        memory.sum += add.by;
    }
    let mut bytes = Vec::new();
    margay_machine::Encode::encode(&memory.sum, &mut bytes);
    write_done(out, frame.request, head, &bytes);
}

fn keyspace() -> Keyspace {
    Keyspace {
        name: "hits".to_owned(),
        machine: "counter".to_owned(),
        machine_version: 1,
        created: Index::new(3),
        groups: vec![GROUP],
    }
}

fn map(memory: &Memory) -> Map {
    Map {
        cluster: ClusterId::ZERO,
        version: Index::new(4),
        nodes: vec![MapNode {
            node: NodeId::new(1),
            incarnation: Incarnation::new([1; 16]),
            address: memory.address.clone(),
            shards: 1,
            shard_ports: vec![],
        }],
        keyspaces: vec![keyspace()],
        groups: vec![MapGroup {
            group: GROUP,
            incarnation: 0,
            members: vec![NodeId::new(1)],
            leader: Some(LeaderHint {
                node: NodeId::new(1),
                term: Term::new(1),
            }),
        }],
    }
}

fn info(memory: &Memory) -> NodeInfo {
    NodeInfo {
        version: "0.1.0".to_owned(),
        incarnation: Incarnation::new([1; 16]),
        life: ProcessLife::new(1),
        formation: Formation::Blank,
        address: memory.address.clone(),
        shards: 1,
        shard_ports: vec![],
    }
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Add {
    by: i64,
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Get;

struct Counter {
    value: i64,
}

operations! { Counter { command 1 Add; query 1 Get; stateless } }

impl Machine for Counter {
    type Options = ();
    type Event = Never;
    fn new((): ()) -> Self {
        Self { value: 0 }
    }
}

impl Apply<Add> for Counter {
    type Output = i64;
    fn apply(&mut self, commit: Commit<Add>, _: &mut Context<Self>) -> i64 {
        self.value += commit.command.by;
        self.value
    }
}

impl margay_machine::Answer<Get> for Counter {
    type Output<'a> = i64;
    fn answer(&self, _: Get, _: &View) -> i64 {
        self.value
    }
}

fn connect(address: &str) -> Client {
    Client::connect(&[address.to_owned()], Options::default(), TIMEOUT).expect("a client")
}

/// A port that nobody listens on: bound, and let go.
fn dead_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").to_string()
}

#[test]
fn a_typed_call_gives_the_output_of_its_command() {
    let mut client = connect(&serve(None));
    let session = Session::<Counter>::open(&mut client, "hits").expect("a session");
    assert_eq!(session.call(&mut client, &Add { by: 3 }), Ok(3));
    assert_eq!(session.call(&mut client, &Add { by: 4 }), Ok(7));
    let answered = session
        .ask(&mut client, &Get, QueryLevel::Linearizable)
        .expect("an answer");
    assert_eq!(answered.value(), Ok(7));
    assert_eq!(answered.index(), Index::new(9));
    assert_eq!(session.close(&mut client), Ok(()));
}

/// The server applies the second command and dies before it answers: the call comes back with the first output.
#[test]
fn a_connection_cut_before_the_answer_costs_no_second_execution() {
    let mut client = connect(&serve(Some(2)));
    let session = Session::<Counter>::open(&mut client, "hits").expect("a session");
    assert_eq!(session.call(&mut client, &Add { by: 3 }), Ok(3));
    assert_eq!(session.call(&mut client, &Add { by: 4 }), Ok(7));
    assert_eq!(session.call(&mut client, &Add { by: 1 }), Ok(8));
}

#[test]
fn an_output_that_is_gone_is_an_error_that_says_so() {
    let mut client = connect(&serve(None));
    let key = client.open(GROUP).expect("a session");
    let result = client.command(key, OperationId::new(9), &[]);
    assert_eq!(result, Err(ClientError::NoOutput(Refusal::OutputGone)));
}

#[test]
fn a_keyspace_that_does_not_exist_is_named() {
    let mut client = connect(&serve(None));
    assert_eq!(client.groups("hits"), Ok(vec![GROUP]));
    assert_eq!(
        client.groups("nope"),
        Err(ClientError::NoKeyspace("nope".to_owned()))
    );
}

#[test]
fn the_second_address_is_used_when_nobody_listens_on_the_first() {
    let endpoints = [dead_address(), serve(None)];
    let client = Client::connect(&endpoints, Options::default(), TIMEOUT).expect("a client");
    assert_eq!(client.map().nodes.len(), 1);
}

#[test]
fn nobody_listening_is_not_reached() {
    let address = dead_address();
    let short = Duration::from_millis(50);
    let error = Client::connect(std::slice::from_ref(&address), Options::default(), short).err();
    let conclusion = error.as_ref().map(ClientError::conclusion);
    assert_eq!(conclusion, Some(Conclusion::NotApplied), "{error:?}");
    let error = operator::node_info(&address, short).expect_err("nobody listens");
    assert!(
        matches!(error, OperatorError::NotReached { .. }),
        "{error:?}"
    );
}

#[test]
fn operators_ask_nodes_and_leaders() {
    let address = serve(None);
    let info = operator::node_info(&address, TIMEOUT).expect("an answer");
    assert_eq!(info.formation, Formation::Blank);
    let asked = KeyspaceCreate {
        name: "hits".to_owned(),
        machine: "counter".to_owned(),
        machine_version: 1,
        options: vec![],
        groups: 1,
        replicas: 0,
    };
    let endpoints = [dead_address(), address.clone()];
    let created = operator::keyspace_create(&endpoints, &asked, TIMEOUT);
    assert_eq!(created, Ok(KeyspaceCreated::Existed(keyspace())));
    let refused = operator::chain(&address, GROUP, TIMEOUT);
    let refusal = refused.as_ref().err().and_then(OperatorError::refusal);
    assert_eq!(refusal, Some(&Refusal::BadRequest));
    assert_eq!(
        refused.map_err(|error| error.conclusion()),
        Err(Conclusion::Refused)
    );
}

/// A request that changes something was sent, and the connection ended without an answer.
#[test]
fn a_change_without_an_answer_has_an_unknown_outcome() {
    let address = serve(Some(0));
    let request = admin::Bootstrap { genesis: vec![] };
    let error = operator::bootstrap(&address, &request, TIMEOUT).expect_err("no answer");
    assert_eq!(error.conclusion(), Conclusion::Unknown, "{error:?}");
}
