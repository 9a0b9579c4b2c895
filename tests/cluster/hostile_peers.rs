//! Connections that say that they are one of us, and are not: of another version, another cluster, another node.
//!
//! Each is told why in the answer to its hello, the log of the node says who it was and what both sides are, and the
//! cluster goes on.

use crate::harness::{Cluster, Load, Node, Shape, demand_hangup, demand_printed, now};
use margay_client::operator;
use margay_types::{ClusterId, Incarnation, ProcessLife, ShardId};
use margay_wire::admin::{Formation, NodeInfo};
use margay_wire::hello::{HELLO_BYTES, Hello, HelloKind};
use margay_wire::{Code, FrameKind, frame};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(30);

fn connect(node: &Node) -> TcpStream {
    let socket = TcpStream::connect(node.address()).expect("it listens");
    socket.set_read_timeout(Some(TIMEOUT)).expect("a timeout");
    socket
}

fn info(node: &Node) -> NodeInfo {
    operator::node_info(&node.address(), TIMEOUT).expect("it answers")
}

fn cluster_of(node: &Node) -> ClusterId {
    match info(node).formation {
        Formation::Member { cluster, .. } => cluster,
        Formation::Blank => panic!("{} is blank", node.address()),
    }
}

/// The hello by which node `from` would dial node `to`.
fn dialing_hello(from: &Node, to: &Node) -> Hello {
    Hello {
        sender: info(from).incarnation,
        receiver: info(to).incarnation,
        life: ProcessLife::new(7),
        from_shard: ShardId::FIRST,
        to_shard: ShardId::FIRST,
        shard_count: 1,
        ..Hello::of_client(HelloKind::Peer, cluster_of(from))
    }
}

/// What a hello is answered with, and the connection.
fn say(node: &Node, hello: &[u8]) -> (TcpStream, Hello) {
    let mut socket = connect(node);
    socket.write_all(hello).expect("it reads");
    let mut answer = [0; HELLO_BYTES];
    socket.read_exact(&mut answer).expect("it answers");
    (socket, Hello::decode(&answer).expect("its hello"))
}

/// Who an impostor says it is, what it is answered with, and what the log has to say of it.
fn impostors(good: Hello, other: &NodeInfo) -> Vec<(Hello, Code, Vec<String>)> {
    let cluster = ClusterId::new([7; 16]);
    let stranger = Incarnation::new([9; 16]);
    let later = Hello {
        protocol_min: 8,
        protocol_max: 9,
        ..good
    };
    let elsewhere = Hello { cluster, ..good };
    let blank = Hello {
        cluster: ClusterId::ZERO,
        ..good
    };
    let unknown = Hello {
        sender: stranger,
        ..good
    };
    let lost = Hello {
        receiver: other.incarnation,
        ..good
    };
    let text = |words: &[&str]| words.iter().map(ToString::to_string).collect();
    vec![
        (
            later,
            Code::VersionRefused,
            text(&["it speaks 8 to 9, this node 1 to 1"]),
        ),
        (
            elsewhere,
            Code::OtherCluster,
            text(&[
                "another cluster",
                &cluster.to_string(),
                &good.cluster.to_string(),
            ]),
        ),
        (blank, Code::OtherCluster, text(&["it is of none"])),
        (
            unknown,
            Code::UnknownPeer,
            text(&["unknown peer", &stranger.to_string()]),
        ),
        (
            lost,
            Code::OtherNode,
            text(&["another node", &other.incarnation.to_string()]),
        ),
    ]
}

#[test]
fn whoever_passes_for_a_peer_is_refused_with_the_reason_and_named_with_both_sides() {
    let cluster = Cluster::with_groups(1);
    let mut load = Load::start(&cluster, Shape::default());
    let (from, to) = (&cluster.nodes[1], &cluster.nodes[0]);
    let good = dialing_hello(from, to);
    for (hello, code, words) in impostors(good, &info(&cluster.nodes[2])) {
        let (socket, answer) = say(to, &hello.encode());
        assert_eq!(answer.refusal, Some(code), "{hello:?}");
        // The answer says who refuses, so that the other side can tell, too.
        assert_eq!(
            (answer.sender, answer.cluster),
            (good.receiver, good.cluster)
        );
        demand_hangup(socket);
        let mut found = vec!["M402", "127.0.0.1"];
        found.extend(words.iter().map(String::as_str));
        // At most one line a second of a kind is told: the next one has to wait for its turn.
        say_until_printed(to, &hello, &found);
    }
    load.advance(100);
    load.finish();
    cluster.finish();
}

fn say_until_printed(node: &Node, hello: &Hello, words: &[&str]) {
    let end = now() + TIMEOUT;
    let is_printed = || {
        let printed = node.printed();
        let mut lines = printed.lines();
        lines.any(|line| words.iter().all(|word| line.contains(word)))
    };
    while !is_printed() {
        assert!(now() < end, "{words:?} is missing: {}", node.printed());
        let (socket, _) = say(node, &hello.encode());
        demand_hangup(socket);
    }
}

/// What a later version changes in its hello is not known, its checksum included: that it is Margay's is.
#[test]
fn a_hello_of_a_later_version_is_not_taken_for_a_stranger() {
    let cluster = Cluster::blank(1);
    let node = &cluster.nodes[0];
    let mut later = Hello::of_client(HelloKind::Client, ClusterId::ZERO).encode();
    later[6..8].copy_from_slice(&[0, 2]);
    let (socket, answer) = say(node, &later);
    assert_eq!(answer.refusal, Some(Code::VersionRefused));
    demand_hangup(socket);
    demand_printed(node, &["M402", "127.0.0.1", "version 2"]);
    assert!(!node.printed().contains("M401"), "{}", node.printed());
}

/// A peer that was let in and then sends what no peer sends is hung up on; the true one takes its place again.
#[test]
fn a_peer_that_sends_nonsense_is_hung_up_on_and_the_true_one_is_heard_again() {
    let cluster = Cluster::with_groups(1);
    let mut load = Load::start(&cluster, Shape::default());
    // The node of the smaller number dials, so the true one comes back by itself.
    let (from, to) = (&cluster.nodes[0], &cluster.nodes[2]);
    let hello = dialing_hello(from, to);
    for _ in 0..3 {
        let (mut socket, answer) = say(to, &hello.encode());
        assert_eq!(answer.refusal, None, "it has the right names");
        let mut broken = frame::header(FrameKind::PeerMessages, 1, 0).to_vec();
        broken[9] ^= 1;
        // The true one may have taken the place before.
        let _ = socket.write_all(&broken);
        demand_hangup(socket);
        load.advance(50);
    }
    demand_printed(to, &["M404", "127.0.0.1"]);
    load.finish();
    cluster.finish();
}

/// One byte now and then keeps no place: the time for a hello runs from the connection's start.
#[test]
fn a_hello_that_trickles_in_is_not_waited_for() {
    let cluster = Cluster::blank(1);
    let node = &cluster.nodes[0];
    let hello = Hello::of_client(HelloKind::Client, ClusterId::ZERO).encode();
    let mut socket = connect(node);
    let pause = Duration::from_millis(100);
    socket.set_read_timeout(Some(pause)).expect("a timeout");
    let begin = now();
    let sent = hello.iter().take_while(|byte| {
        let is_sent = socket.write_all(&[**byte]).is_ok();
        // The pause between two bytes is the wait for an answer.
        let read = socket.read(&mut [0; 1]);
        let is_open = read.is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
        is_sent && is_open
    });
    assert!(
        sent.count() < HELLO_BYTES,
        "it waited {:?}",
        begin.elapsed()
    );
    demand_printed(node, &["M403", "127.0.0.1"]);
    node.status().expect("others are served");
}
