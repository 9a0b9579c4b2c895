//! Few descriptors: connections take what is theirs, and never what files and peers need.

use crate::harness::{Cluster, Load, Node, Shape, demand_printed, eventually};
use margay_types::ClusterId;
use margay_wire::Code;
use margay_wire::hello::{HELLO_BYTES, Hello, HelloKind};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(30);
/// A bit more than a node of one shard needs.
const DESCRIPTORS: usize = 600;
/// Silent connections that a flood keeps open: more than there are places.
const FLOOD: usize = 450;

/// Words in front of a program that take its descriptors from it.
fn with_descriptors(count: usize) -> Vec<String> {
    vec!["prlimit".to_owned(), format!("--nofile={count}:{count}")]
}

/// A client that said hello, and what it was told.
fn client(node: &Node) -> (TcpStream, Option<Code>) {
    let mut socket = TcpStream::connect(node.address()).expect("it listens");
    socket.set_read_timeout(Some(TIMEOUT)).expect("a timeout");
    let hello = Hello::of_client(HelloKind::Client, ClusterId::ZERO);
    socket.write_all(&hello.encode()).expect("it reads");
    let mut answer = [0; HELLO_BYTES];
    socket.read_exact(&mut answer).expect("it answers");
    let answer = Hello::decode(&answer).expect("its hello");
    (socket, answer.refusal)
}

/// Takes all places that a node has for clients.
fn take_all_places(node: &Node) -> Vec<TcpStream> {
    let mut held = Vec::new();
    loop {
        let (socket, refusal) = client(node);
        if refusal.is_some() {
            assert_eq!(refusal, Some(Code::TooManyConnections));
            return held;
        }
        held.push(socket);
        assert!(held.len() < DESCRIPTORS, "nobody is refused");
    }
}

/// Connections that say nothing, and as many new ones as are hung up on.
struct Flood {
    is_stopped: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Flood {
    fn start(node: &Node) -> Self {
        let is_stopped = Arc::new(AtomicBool::new(false));
        let (stopped, address) = (Arc::clone(&is_stopped), node.address());
        let thread = std::thread::spawn(move || {
            let mut open = Vec::new();
            while !stopped.load(Ordering::Relaxed) {
                open.retain(is_open);
                for _ in 0..FLOOD - open.len() {
                    open.extend(silent(&address));
                }
            }
        });
        Self { is_stopped, thread }
    }

    fn finish(self) {
        self.is_stopped.store(true, Ordering::Relaxed);
        self.thread.join().expect("it only connects");
    }
}

fn silent(address: &str) -> Option<TcpStream> {
    let socket = TcpStream::connect(address).ok()?;
    socket.set_nonblocking(true).ok()?;
    Some(socket)
}

fn is_open(socket: &TcpStream) -> bool {
    let looked = socket.peek(&mut [0; 1]);
    looked.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
}

#[test]
fn a_process_with_too_few_descriptors_is_told_how_many_it_needs() {
    let cluster = Cluster::blank(0);
    let mut node = cluster.stranger("n1");
    node.start_through(with_descriptors(500));
    node.begin();
    let ended = node.wait();
    let printed = node.printed();
    assert_eq!(ended.code(), Some(3), "{printed}");
    for word in ["M104", "500", "528", "ulimit -n"] {
        assert!(printed.contains(word), "{word} is missing: {printed}");
    }
}

/// Look at the end: the log has switched segments, a peer was let in through the flood, and nothing failed.
#[test]
fn clients_and_silent_strangers_take_no_descriptor_from_files_and_peers() {
    let mut cluster = Cluster::with_groups(1);
    for node in &mut cluster.nodes {
        assert!(node.stop().success());
        node.start_through(with_descriptors(DESCRIPTORS));
        node.start();
    }
    let large = Shape {
        command_bytes: 64 << 10,
        ..Shape::default()
    };
    let mut load = Load::start(&cluster, large);
    let flooded = &cluster.nodes[1];
    let held = take_all_places(flooded);
    assert!(held.len() > 10, "{} clients found a place", held.len());
    flooded
        .status()
        .expect("an operator finds a place all the same");
    let flood = Flood::start(flooded);
    demand_printed(flooded, &["M406", "clients at most"]);
    // Twelve segments of eight mebibytes, of which only a few may stay.
    load.advance(1_600);
    // Without the third node the first, which has to dial the flooded one, is needed.
    cluster.nodes[2].kill();
    cluster.nodes[0].kill();
    cluster.nodes[0].start();
    load.advance(100);
    flood.finish();
    drop(held);
    cluster.nodes[2].start();
    load.advance(100);
    eventually("a place for a client", || {
        let (_socket, refusal) = client(&cluster.nodes[1]);
        refusal.map_or(Ok(()), Err)
    });
    load.finish();
    for node in &cluster.nodes {
        let printed = node.printed();
        for word in ["M201", "M408"] {
            assert!(!printed.contains(word), "{printed}");
        }
    }
    cluster.finish();
}
