//! A server for the tests of the drivers: real sockets, one session in memory, and manners to be chosen.

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
    self as wire, Attached, Attachment, ResponseHead, write_attached, write_detached, write_done,
    write_refusal,
};
use margay_wire::hello::{HELLO_BYTES, Hello};
use margay_wire::{Frame, FrameKind, Refusal, Splitter};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The group of the keyspace `hits`.
pub(crate) const GROUP: GroupId = GroupId::new(1);
/// Longer than any test takes.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(20);
const COMMAND_HEADER: usize = margay_machine::COMMAND_HEADER_BYTES;

/// Commands that a session may have in flight.
pub(crate) const WINDOW: u32 = 64;

/// What the server does with commands and queries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Applies and answers them.
    #[default]
    Kind,
    /// Neither applies nor answers them. A connection on which commands were lost ends once the manner is kind.
    Deaf,
    /// Neither that, nor does it give its map.
    Mute,
}

/// What the server remembers over connections.
#[derive(Default)]
pub(crate) struct Memory {
    /// Where it listens; `serve_from` says it.
    pub(crate) address: String,
    /// The sum that commands add to.
    pub(crate) sum: i64,
    /// Commands applied.
    pub(crate) applied: u64,
    /// What they added, in order.
    pub(crate) added: Vec<i64>,
    /// Commands received, repetitions included.
    pub(crate) received: u64,
    /// Sessions closed.
    pub(crate) closed: u64,
    /// Connections to end right after this many commands were applied, their answers unsent.
    pub(crate) cut_after: Option<u64>,
    pub(crate) manner: Manner,
}

/// Starts a server; its address.
pub(crate) fn serve(cut_after: Option<u64>) -> String {
    let memory = Memory {
        cut_after,
        ..Memory::default()
    };
    serve_from(memory).0
}

/// Starts a server that begins with this memory; its address, and the memory.
pub(crate) fn serve_from(mut memory: Memory) -> (String, Arc<Mutex<Memory>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    memory.address.clone_from(&address);
    let memory = Arc::new(Mutex::new(memory));
    let shared = Arc::clone(&memory);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let memory = Arc::clone(&memory);
            // A client that goes away is no failure of the test.
            std::thread::spawn(move || stream.and_then(|stream| talk(stream, &memory)));
        }
    });
    (address, shared)
}

fn talk(mut stream: TcpStream, memory: &Mutex<Memory>) -> std::io::Result<()> {
    let mut hello = [0; HELLO_BYTES];
    stream.read_exact(&mut hello)?;
    let hello = Hello::decode(&hello).expect("clients speak our version");
    stream.write_all(&hello.answer(hello, None).encode())?;
    let mut splitter = Splitter::default();
    let mut buffer = vec![0; 64 << 10];
    let mut has_lost_some = false;
    loop {
        let count = stream.read(&mut buffer)?;
        if count == 0 {
            return Ok(());
        }
        let mut out = Vec::new();
        let mut memory = memory.lock().expect("no server thread panics");
        let received = memory.received;
        if has_lost_some && memory.manner == Manner::Kind {
            return Ok(());
        }
        for frame in splitter.split(&buffer[..count]) {
            answer(frame.expect("clients send frames"), &mut memory, &mut out);
        }
        has_lost_some |= memory.manner != Manner::Kind && memory.received > received;
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
    if frame.kind == FrameKind::Map && memory.manner == Manner::Mute {
        // Whoever waits for it goes on to wait.
    } else if frame.kind == FrameKind::Map {
        admin::write_answer::<MapRequest>(out, request, head, &map(memory)).expect("it fits");
    } else if matches!(frame.kind, FrameKind::Open | FrameKind::Attach) {
        let attached = Attached {
            session: SessionId::new(7),
            next: SequenceNumber::new(memory.applied + 1),
            attachment: Attachment(0),
            incarnation: 0,
            window: WINDOW,
        };
        write_attached(out, request, head, &attached);
    } else if frame.kind == FrameKind::Command {
        memory.received += 1;
        if memory.manner != Manner::Kind {
            return;
        }
        apply(frame, memory, out, head);
    } else if frame.kind == FrameKind::Query {
        if memory.manner != Manner::Kind {
            return;
        }
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
        memory.closed += 1;
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
        memory.added.push(add.by);
    }
    let mut bytes = Vec::new();
    margay_machine::Encode::encode(&memory.sum, &mut bytes);
    write_done(out, frame.request, head, &bytes);
}

/// The one keyspace.
pub(crate) fn keyspace() -> Keyspace {
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

/// Adds to the sum, and gives it.
#[derive(serde::Serialize, serde::Deserialize)]
pub(crate) struct Add {
    pub(crate) by: i64,
}

/// Asks for the sum.
#[derive(serde::Serialize, serde::Deserialize)]
pub(crate) struct Get;

/// The machine that the server pretends to have.
pub(crate) struct Counter {
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

/// A port that nobody listens on: bound, and let go.
pub(crate) fn dead_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").to_string()
}
