//! A whole runtime in this process: real rings, sockets on loopback, and a core that echoes.
//!
//! Nothing sleeps: each test waits for bytes, for the end of a connection, or for an event of the core.

use super::*;
use crate::codes;
use crate::runtime::driven::Identity;
use crate::runtime::limits::{OPERATORS_RESERVED, PEERS_RESERVED};
use crate::runtime::listener;
use crate::shard::{ConnectionId, Outbox, PeerAddress, PeerId, SiblingMessage};
use crate::storage::{Block, Disk, OpenMode, Pool, WriteToken};
use margay_types::{ClusterId, Incarnation, NodeId, ProcessLife};
use margay_wire::client::Answer;
use margay_wire::frame::FrameWriter;
use margay_wire::hello::HELLO_BYTES;
use margay_wire::{Code, Frame, FrameKind, Hello, HelloKind, Refusal, Splitter};
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::task::Poll;

const CLUSTER: ClusterId = ClusterId::new([7; 16]);
/// Far above anything that a test waits for; a test that reaches it has failed.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Debug, PartialEq, Eq)]
enum Event {
    ClientClosed,
    PeerUp(PeerId, ProcessLife),
    PeerFrame(PeerId, Vec<u8>),
    PeerDown(PeerId),
    Written(WriteToken, usize),
}

/// Sends every frame back; then `Close` ends the connection and `Status` the core. `Bootstrap` makes it panic.
struct Echo {
    node: u16,
    outbox: RingOutbox,
    events: Sender<Event>,
    is_stopped: bool,
    failure: Option<codes::Code>,
}

impl Echo {
    fn answer(&mut self, connection: ConnectionId, frame: &Frame<'_>) {
        let mut out = Vec::new();
        let mut writer = FrameWriter::begin(&mut out, FrameKind::Response, frame.request);
        writer.body().extend_from_slice(frame.body);
        writer.finish();
        self.outbox.send_client(connection, &out);
    }

    fn tell(&self, event: Event) {
        // A test that has seen enough has dropped its end.
        let _ = self.events.send(event);
    }
}

fn incarnation(node: u16) -> Incarnation {
    Incarnation::new([u8::try_from(node).unwrap(); 16])
}

fn peer(node: u16) -> PeerId {
    PeerId {
        node: NodeId::new(node),
        shard: ShardId::new(0),
    }
}

impl Core for Echo {
    fn identity(&self) -> Identity {
        Identity {
            cluster: CLUSTER,
            node: NodeId::new(self.node),
            incarnation: incarnation(self.node),
            life: ProcessLife::new(u64::from(self.node)),
            shard: ShardId::new(0),
            shard_count: 1,
        }
    }

    fn begin_turn(&mut self) {}

    fn on_tick(&mut self) {}

    fn on_client_open(&mut self, _connection: ConnectionId, _hello: &Hello) {}

    fn on_client_frame(&mut self, connection: ConnectionId, frame: Frame<'_>) {
        assert!(frame.kind != FrameKind::Bootstrap, "asked to panic");
        self.answer(connection, &frame);
        if frame.kind == FrameKind::Close {
            self.outbox.close(connection);
        }
        self.is_stopped |= frame.kind == FrameKind::Status;
    }

    fn on_client_closed(&mut self, _connection: ConnectionId) {
        self.tell(Event::ClientClosed);
    }

    fn on_peer_up(&mut self, peer: PeerId, life: ProcessLife) {
        self.tell(Event::PeerUp(peer, life));
    }

    fn on_peer_frame(&mut self, peer: PeerId, frame: Frame<'_>) {
        self.tell(Event::PeerFrame(peer, frame.body.to_vec()));
    }

    fn on_peer_down(&mut self, peer: PeerId) {
        self.tell(Event::PeerDown(peer));
    }

    fn on_sibling_message(&mut self, _from: ShardId, _message: SiblingMessage) {}

    fn on_written(&mut self, token: WriteToken, result: io::Result<usize>) {
        self.tell(Event::Written(token, result.unwrap()));
    }

    fn end_turn(&mut self) {}

    fn has_more(&self) -> bool {
        false
    }

    fn request_stop(&mut self) {
        self.is_stopped = true;
    }

    fn is_stopped(&self) -> bool {
        self.is_stopped
    }

    fn failure(&self) -> Option<codes::Code> {
        self.failure
    }
}

fn first_core() -> usize {
    crate::runtime::allowed_cores()[0]
}

fn config() -> ExecutorConfig {
    ExecutorConfig::new(
        vec![ShardPlacement::Anywhere],
        SocketAddr::from(([127, 0, 0, 1], 0)),
    )
}

/// A server under test, stopped at the end.
struct Server {
    executor: Option<Executor<Echo>>,
    events: Receiver<Event>,
}

impl Server {
    fn start(node: u16, config: ExecutorConfig) -> Self {
        Self::with_core(node, config, async |_| {})
    }

    fn with_core<P>(node: u16, config: ExecutorConfig, prepare: P) -> Self
    where
        P: AsyncFn(&CoreSeams) + Clone + Send + 'static,
    {
        let (sender, events) = channel();
        let make = move |seams: CoreSeams| {
            let (sender, prepare) = (sender.clone(), prepare.clone());
            async move {
                prepare(&seams).await;
                Ok(Echo {
                    node,
                    outbox: seams.outbox,
                    events: sender,
                    is_stopped: false,
                    failure: None,
                })
            }
        };
        Self {
            executor: Some(Executor::start(config, None, make).unwrap()),
            events,
        }
    }

    fn executor(&self) -> &Executor<Echo> {
        self.executor.as_ref().unwrap()
    }

    fn address(&self) -> SocketAddr {
        self.executor().addresses()[0]
    }

    fn event(&self) -> Event {
        self.events.recv_timeout(PATIENCE).unwrap()
    }

    fn visit(&self, visit: impl FnOnce(&mut Echo) + Send + 'static) {
        assert!(
            self.executor()
                .shards()
                .visit(ShardId::new(0), Box::new(visit))
        );
    }

    fn stop(&mut self) -> Result<Exit, RuntimeError> {
        self.executor().shards().stop();
        self.executor.take().unwrap().wait()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.executor.is_some() && !std::thread::panicking() {
            assert_eq!(self.stop().unwrap().failure, None);
        }
    }
}

struct Client {
    socket: TcpStream,
    splitter: Splitter,
}

impl Client {
    /// Connects without a hello.
    fn stranger(address: SocketAddr) -> Self {
        let socket = TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.set_nodelay(true).unwrap();
        Self {
            socket,
            splitter: Splitter::default(),
        }
    }

    fn greet(&mut self, hello: &Hello) -> Hello {
        self.socket.write_all(&hello.encode()).unwrap();
        let mut answer = [0; HELLO_BYTES];
        self.socket.read_exact(&mut answer).unwrap();
        Hello::decode(&answer).unwrap()
    }

    fn connect(address: SocketAddr) -> Self {
        let mut client = Self::stranger(address);
        let answer = client.greet(&Hello::of_client(HelloKind::Client, CLUSTER));
        assert_eq!(answer.refusal, None);
        client
    }

    fn send(&mut self, kind: FrameKind, request: u64, body: &[u8]) {
        self.socket.write_all(&frame(kind, request, body)).unwrap();
    }

    /// Reads `count` answers: request and length of each.
    fn answers(&mut self, count: usize) -> Vec<(u64, usize)> {
        let mut got = Vec::new();
        let mut buffer = [0; 65_536];
        while got.len() < count {
            let read = match self.socket.read(&mut buffer) {
                Ok(read) => read,
                // The kernel takes the probe's ring apart on this thread.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => panic!("{error}"),
            };
            assert!(
                read > 0,
                "the server closed after {} of {count} answers",
                got.len()
            );
            for frame in self.splitter.split(&buffer[..read]) {
                let frame = frame.unwrap();
                got.push((frame.request, frame.body.len()));
            }
        }
        got
    }

    /// Waits for the end of the connection; gives the bytes that came before.
    fn end(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        match self.socket.read_to_end(&mut bytes) {
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::ConnectionReset, "{error}"),
        }
        bytes
    }
}

fn frame(kind: FrameKind, request: u64, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut writer = FrameWriter::begin(&mut out, kind, request);
    writer.body().extend_from_slice(body);
    writer.finish();
    out
}

#[test]
fn frames_in_odd_pieces_come_back_whole_and_in_order() {
    let server = Server::start(1, config());
    let mut client = Client::stranger(server.address());
    let mut bytes = Hello::of_client(HelloKind::Client, CLUSTER)
        .encode()
        .to_vec();
    let sizes = [0, 1, 100, 70_000, 3, 1 << 20];
    for (request, size) in (0..).zip(sizes) {
        bytes.extend(frame(FrameKind::Command, request, &vec![9; size]));
    }
    let mut pieces = [1, 95, 7, 24, 1000, 16_384, 65_537].into_iter().cycle();
    let mut writer = client.socket.try_clone().unwrap();
    let sender = std::thread::spawn(move || {
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let (piece, behind) = rest.split_at(pieces.next().unwrap().min(rest.len()));
            writer.write_all(piece).unwrap();
            rest = behind;
        }
    });
    let mut answer = [0; HELLO_BYTES];
    client.socket.read_exact(&mut answer).unwrap();
    let answers = client.answers(sizes.len());
    sender.join().unwrap();
    assert_eq!(answers, (0..).zip(sizes).collect::<Vec<_>>());
}

/// Two receive buffers of 64 bytes for fifty connections: the kernel runs out of them all the time, and every
/// receive must be armed again.
#[test]
fn a_tiny_buffer_ring_loses_nothing() {
    let config = ExecutorConfig {
        receive_buffers: ReceiveBufferSizes {
            count: 2,
            buffer_bytes: 64,
        },
        ..config()
    };
    let server = Server::start(1, config);
    let mut clients: Vec<Client> = (0..50).map(|_| Client::connect(server.address())).collect();
    for client in &mut clients {
        for request in 0..5 {
            client.send(FrameKind::Command, request, &[1; 500]);
        }
    }
    for client in &mut clients {
        let answers = client.answers(5);
        assert_eq!(
            answers,
            (0..5).map(|request| (request, 500)).collect::<Vec<_>>()
        );
    }
}

/// The other shards wait for something that is made on the first, whose loop cannot begin.
#[test]
fn a_core_whose_ring_cannot_be_made_leaves_nobody_waiting() {
    let config = ExecutorConfig {
        shards: vec![ShardPlacement::Anywhere; 2],
        receive_buffers: ReceiveBufferSizes {
            count: 3,
            buffer_bytes: 64,
        },
        ..config()
    };
    let (made, awaited) = channel::<()>();
    let (made, awaited) = (Mutex::new(Some(made)), Mutex::new(awaited));
    let both = Arc::new((made, awaited));
    let executor = Executor::<Echo>::start(config, None, move |seams| {
        let (made, awaited) = &*both;
        let made = match seams.shard {
            ShardId::FIRST => made.lock().unwrap().take(),
            _ => {
                let _ = awaited.lock().unwrap().recv();
                None
            }
        };
        async move {
            std::future::pending::<()>().await;
            drop(made);
            unreachable!("no loop runs it")
        }
    })
    .unwrap();
    let (tell, told) = channel();
    std::thread::spawn(move || tell.send(executor.wait().map(|_| ())));
    let ended = told.recv_timeout(PATIENCE).expect("nobody waits for ever");
    assert!(
        matches!(ended, Err(RuntimeError::Panicked { shard: 0, .. })),
        "{ended:?}"
    );
}

#[test]
fn a_client_that_does_not_read_is_closed_and_others_are_served() {
    let config = ExecutorConfig {
        client_backlog_bytes_max: 2 << 20,
        ..config()
    };
    let server = Server::start(1, config);
    let mut deaf = Client::connect(server.address());
    let body = vec![0; 1 << 20];
    // The kernel's buffers take some; then the backlog fills, and the server closes.
    while deaf
        .socket
        .write_all(&frame(FrameKind::Command, 0, &body))
        .is_ok()
    {}
    assert_eq!(server.event(), Event::ClientClosed);
    let mut other = Client::connect(server.address());
    other.send(FrameKind::Command, 1, b"still there?");
    assert_eq!(other.answers(1), [(1, 12)]);
}

#[test]
fn bytes_that_are_not_ours_end_the_connection() {
    let server = Server::start(1, config());
    let mut stranger = Client::stranger(server.address());
    let request = b"GET / HTTP/1.1\r\nHost: localhost\r\n\
        User-Agent: something long enough for a hello, and more\r\n\r\n";
    stranger.socket.write_all(request).unwrap();
    stranger.socket.write_all(request).unwrap();
    assert_eq!(stranger.end(), b"");
}

#[test]
fn a_hello_that_does_not_come_in_time_ends_the_connection() {
    let config = ExecutorConfig {
        handshake_timeout: Duration::from_millis(50),
        ..config()
    };
    let server = Server::start(1, config);
    let mut slow = Client::stranger(server.address());
    slow.socket.write_all(b"MARGAY").unwrap();
    assert_eq!(slow.end(), b"");
    let mut silent = Client::stranger(server.address());
    assert_eq!(silent.end(), b"");
    // Whoever has said hello may be silent for as long as it likes.
    let mut client = Client::connect(server.address());
    assert_eq!(Client::stranger(server.address()).end(), b"");
    client.send(FrameKind::Command, 1, b"");
    assert_eq!(client.answers(1), [(1, 0)]);
}

#[test]
fn a_hello_for_another_cluster_is_refused_with_the_code() {
    let server = Server::start(1, config());
    let mut client = Client::stranger(server.address());
    let answer = client.greet(&Hello::of_client(
        HelloKind::Client,
        ClusterId::new([8; 16]),
    ));
    assert_eq!(answer.refusal, Some(Code::OtherCluster));
    assert_eq!(answer.sender, incarnation(1));
    assert_eq!(client.end(), b"");
}

#[test]
fn a_full_server_refuses_clients_with_the_code() {
    let server = Server::start(
        1,
        ExecutorConfig {
            clients_max: 1,
            ..config()
        },
    );
    let first = Client::connect(server.address());
    let mut second = Client::stranger(server.address());
    let answer = second.greet(&Hello::of_client(HelloKind::Client, CLUSTER));
    assert_eq!(answer.refusal, Some(Code::TooManyConnections));
    drop(first);
    assert_eq!(server.event(), Event::ClientClosed);
    Client::connect(server.address());
}

#[test]
fn an_operator_finds_a_place_where_clients_find_none() {
    let config = ExecutorConfig {
        clients_max: 1,
        ..config()
    };
    let server = Server::start(1, config);
    let _client = Client::connect(server.address());
    let operator = Hello::of_client(HelloKind::Admin, CLUSTER);
    let mut operators: Vec<Client> = Vec::new();
    for _ in 0..OPERATORS_RESERVED {
        operators.push(Client::stranger(server.address()));
        let answer = operators.last_mut().unwrap().greet(&operator);
        assert_eq!(answer.refusal, None);
    }
    let answer = Client::stranger(server.address()).greet(&operator);
    assert_eq!(answer.refusal, Some(Code::TooManyConnections));
}

/// Nobody's time is over here: without a rule of its own the newcomer, which may be a peer, would be hung up on.
#[test]
fn a_newcomer_takes_the_place_of_whoever_has_been_silent_longest() {
    let config = ExecutorConfig {
        clients_max: 1,
        handshake_timeout: 10 * PATIENCE,
        ..config()
    };
    let server = Server::start(1, config);
    let mut client = Client::connect(server.address());
    let stranger = || Client::stranger(server.address());
    let mut silent: Vec<Client> = (0..PEERS_RESERVED).map(|_| stranger()).collect();
    let operator = Hello::of_client(HelloKind::Admin, CLUSTER);
    let mut newcomers = Vec::new();
    for oldest in silent.iter_mut().take(2) {
        newcomers.push(stranger());
        let answer = newcomers.last_mut().unwrap().greet(&operator);
        assert_eq!(answer.refusal, None);
        assert_eq!(oldest.end(), b"");
    }
    client.send(FrameKind::Command, 1, b"");
    assert_eq!(client.answers(1), [(1, 0)]);
    let answer = silent.last_mut().unwrap().greet(&operator);
    assert_eq!(answer.refusal, None, "it was not silent longest");
}

#[test]
fn a_broken_frame_is_refused_with_the_code_and_ends_the_connection() {
    let server = Server::start(1, config());
    let mut client = Client::connect(server.address());
    client.socket.write_all(&[0xff; 24]).unwrap();
    let bytes = client.end();
    let mut splitter = Splitter::default();
    let frame = splitter.split(&bytes).next().unwrap().unwrap();
    let response = margay_wire::client::response(frame.body).unwrap();
    assert_eq!(response.answer, Answer::Refused(Refusal::BadRequest));
    assert_eq!(server.event(), Event::ClientClosed);
}

#[test]
fn a_connection_closes_after_its_last_answer() {
    let server = Server::start(1, config());
    let mut client = Client::connect(server.address());
    client.send(FrameKind::Command, 1, &[1; 100_000]);
    client.send(FrameKind::Close, 2, b"bye");
    assert_eq!(client.answers(2), [(1, 100_000), (2, 3)]);
    assert_eq!(client.end(), b"");
}

#[test]
fn a_core_that_stops_by_itself_ends_the_process_with_its_code() {
    let mut server = Server::start(1, config());
    server.visit(|core| core.failure = Some(codes::Code::LogDeviceFailed));
    let mut client = Client::connect(server.address());
    client.send(FrameKind::Status, 1, b"");
    assert_eq!(client.answers(1), [(1, 0)]);
    assert_eq!(client.end(), b"");
    assert_eq!(
        server.executor.take().unwrap().wait().unwrap(),
        Exit {
            failure: Some(codes::Code::LogDeviceFailed)
        }
    );
}

#[test]
fn a_stop_under_load_lets_what_was_answered_leave() {
    let mut server = Server::start(1, config());
    let mut client = Client::connect(server.address());
    for request in 0..100 {
        client.send(FrameKind::Command, request, &[1; 10_000]);
    }
    client.answers(100);
    server.visit(|core| core.request_stop());
    assert_eq!(server.stop().unwrap().failure, None);
    assert_eq!(client.end(), b"");
}

#[test]
fn a_core_that_panics_is_an_error_and_hangs_nobody() {
    let mut server = Server::start(1, config());
    let mut client = Client::connect(server.address());
    client.send(FrameKind::Bootstrap, 1, b"");
    let error = server.executor.take().unwrap().wait().unwrap_err();
    let RuntimeError::Panicked { shard: 0, message } = error else {
        panic!("{error}");
    };
    assert_eq!(message, "asked to panic");
    client.end();
}

#[test]
fn a_core_that_cannot_be_made_ends_the_start() {
    let make = async |_seams: CoreSeams| -> Result<Echo, RuntimeError> {
        Err(RuntimeError::Core {
            message: "the log does not recover".to_owned(),
            code: codes::Code::IdentityDamaged,
        })
    };
    let error = Executor::start(config(), None, make)
        .unwrap()
        .wait()
        .unwrap_err();
    assert_eq!(error.code(), codes::Code::IdentityDamaged);
}

/// What recovery waits for is cancelled, and nobody calls that a failure.
#[test]
fn a_stop_during_recovery_ends_it() {
    let (sender, recovering) = channel();
    let mut server = Server::with_core(1, config(), async move |seams: &CoreSeams| {
        sender.send(()).unwrap();
        seams.disk.pause(Duration::from_secs(3600)).await;
        let list = seams.disk.list(std::path::Path::new(".")).await;
        assert_eq!(list.unwrap_err().raw_os_error(), Some(libc::ECANCELED));
    });
    recovering.recv_timeout(PATIENCE).unwrap();
    assert_eq!(server.stop().unwrap(), Exit { failure: None });
}

#[test]
fn a_port_in_use_is_refused_before_anything_starts() {
    let held = listener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let listen = listener::local_address(&held).unwrap();
    let make = async |_seams: CoreSeams| -> Result<Echo, RuntimeError> { unreachable!() };
    let config = ExecutorConfig { listen, ..config() };
    let Err(error) = Executor::start(config, None, make) else {
        panic!("a second server started on {listen}");
    };
    assert!(matches!(error, RuntimeError::PortInUse { .. }), "{error}");
}

#[test]
fn two_shards_listen_on_ports_of_their_own_and_stop_together() {
    let shards = vec![ShardPlacement::Core(first_core()), ShardPlacement::Anywhere];
    let mut server = Server::start(1, ExecutorConfig { shards, ..config() });
    let addresses = server.executor().addresses().to_vec();
    assert_ne!(addresses[0], addresses[1]);
    for address in addresses {
        let mut client = Client::connect(address);
        client.send(FrameKind::Command, 1, b"x");
        assert_eq!(client.answers(1), [(1, 1)]);
    }
    let mut client = Client::connect(server.executor().addresses()[1]);
    client.send(FrameKind::Status, 1, b"");
    assert_eq!(
        server.executor.take().unwrap().wait().unwrap().failure,
        None
    );
}

#[path = "executor_peer_tests.rs"]
mod peers;

#[path = "executor_disk_tests.rs"]
mod disk;
