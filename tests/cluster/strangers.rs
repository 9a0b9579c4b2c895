//! Bytes that are not ours, or not for us: the sender is turned away, everybody else is served.

use crate::harness::{Cluster, Load, Node, Shape, demand_hangup, demand_printed};
use margay_client::blocking::Client;
use margay_client::{ClientError, Options, SubmitError};
use margay_machine::Command;
use margay_resources::bench::{Append, Bench};
use margay_types::ClusterId;
use margay_wire::client::{self, Answer};
use margay_wire::hello::{HELLO_BYTES, Hello, HelloKind};
use margay_wire::{Code, FRAME_BYTES_MAX, FrameKind, Refusal, Splitter, frame};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(30);

fn connect(node: &Node) -> TcpStream {
    let socket = TcpStream::connect(node.address()).expect("it listens");
    socket.set_read_timeout(Some(TIMEOUT)).expect("a timeout");
    socket
}

/// Says hello for this cluster, and takes the answer.
fn greet(socket: &mut TcpStream, cluster: ClusterId) -> Hello {
    let hello = Hello::of_client(HelloKind::Client, cluster);
    socket.write_all(&hello.encode()).expect("it reads");
    let mut answer = [0; HELLO_BYTES];
    socket.read_exact(&mut answer).expect("it answers");
    Hello::decode(&answer).expect("its hello")
}

#[test]
fn strangers_are_turned_away_and_named_while_clients_are_served() {
    let cluster = Cluster::with_groups(1);
    let mut load = Load::start(&cluster, Shape::default());
    let node = &cluster.nodes[0];
    let noise: Vec<u8> = (0..4096_u32).map(|at| (at * 31 % 251) as u8).collect();
    let pages: [&[u8]; 3] = [
        b"GET / HTTP/1.1\r\nHost: margay\r\nUser-Agent: somebody who is curious\r\n\
          Accept: */*\r\n\r\n..............",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 a client hello of TLS, cut off somewhere in the \
          middle of nothing at all, no matter where",
        &noise,
    ];
    for bytes in pages {
        let mut socket = connect(node);
        socket.write_all(bytes).expect("it accepts");
        demand_hangup(socket);
    }
    demand_printed(node, &["M401", "127.0.0.1"]);
    load.advance(50);
    load.finish();
    cluster.finish();
}

#[test]
fn a_connection_that_says_nothing_is_closed() {
    let cluster = Cluster::blank(1);
    demand_hangup(connect(&cluster.nodes[0]));
    demand_printed(&cluster.nodes[0], &["M403", "127.0.0.1"]);
}

#[test]
fn a_frame_that_is_too_long_or_broken_ends_its_connection_only() {
    let cluster = Cluster::with_groups(1);
    let mut load = Load::start(&cluster, Shape::default());
    let node = &cluster.nodes[0];
    let length = u32::try_from(FRAME_BYTES_MAX + 1)
        .expect("it fits")
        .to_le_bytes();
    let mut long = frame::header(FrameKind::Map, 1, 0).to_vec();
    long[..4].copy_from_slice(&length);
    let mut broken = frame::header(FrameKind::Map, 1, 0).to_vec();
    broken[9] ^= 1;
    for bytes in [long, broken] {
        let mut socket = connect(node);
        assert_eq!(greet(&mut socket, ClusterId::ZERO).refusal, None);
        socket.write_all(&bytes).expect("it reads");
        demand_hangup(socket);
    }
    demand_printed(node, &["M404", "127.0.0.1"]);
    load.advance(50);
    load.finish();
    cluster.finish();
}

#[test]
fn a_client_of_another_cluster_is_refused_by_name() {
    let cluster = Cluster::with_groups(1);
    let mut socket = connect(&cluster.nodes[0]);
    let answer = greet(&mut socket, ClusterId::new([7; 16]));
    assert_eq!(answer.refusal, Some(Code::OtherCluster));
    demand_hangup(socket);
    demand_printed(&cluster.nodes[0], &["M402", "another cluster"]);
    cluster.finish();
}

#[test]
fn a_command_that_is_too_large_is_refused_and_the_session_goes_on() {
    let cluster = Cluster::with_groups(1);
    let group = cluster.groups()[0];
    let operation = <Append<'_> as Command<Bench>>::OPERATION;
    let endpoints = cluster.endpoints();
    let mut client =
        Client::connect(&endpoints, Options::default(), TIMEOUT).expect("the cluster serves");
    let session = client.open(group).expect("it opens");
    // The client knows the limit.
    let large = vec![0; 2 << 20];
    let refused = client.command(session, operation, &large);
    let is_known = matches!(
        refused,
        Err(ClientError::Submit(SubmitError::TooLarge { bytes, .. })) if bytes >= large.len()
    );
    assert!(is_known, "{refused:?}");
    client
        .command(session, operation, &[0; 8])
        .expect("the session goes on");

    // A client that does not know it is told.
    let options = Options {
        command_bytes_max: 2 << 20,
        ..Options::default()
    };
    let mut client = Client::connect(&endpoints, options, TIMEOUT).expect("the cluster serves");
    let session = client.open(group).expect("it opens");
    let slightly = vec![0; (1 << 20) + 100];
    let refused = client.command(session, operation, &slightly);
    let is_told = matches!(
        refused,
        Err(ClientError::Refused(Refusal::CommandTooLarge { bytes_max })) if bytes_max == 1 << 20
    );
    assert!(is_told, "{refused:?}");
    client
        .command(session, operation, &[0; 8])
        .expect("the session goes on");
    cluster.finish();
}

#[test]
fn a_request_that_makes_no_sense_is_answered_with_a_refusal() {
    let cluster = Cluster::with_groups(1);
    let mut socket = connect(&cluster.nodes[0]);
    greet(&mut socket, ClusterId::ZERO);
    socket
        .write_all(&frame::header(FrameKind::Open, 5, 0))
        .expect("it reads");
    let mut splitter = Splitter::default();
    let mut bytes = [0; 4096];
    let count = socket.read(&mut bytes).expect("it answers");
    let frame = splitter
        .split(&bytes[..count])
        .next()
        .expect("a frame")
        .expect("a good one");
    assert_eq!((frame.kind, frame.request), (FrameKind::Response, 5));
    let response = client::response(frame.body).expect("it decodes");
    assert_eq!(response.answer, Answer::Refused(Refusal::BadRequest));
    cluster.finish();
}
