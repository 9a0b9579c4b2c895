//! What is said when the other side is not there, or is not Margay.

use super::margay;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::thread;

/// A port that nobody listens on: it was free a moment ago, and the kernel gives it to nobody else soon.
fn closed_port() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("any free port");
    listener.local_addr().expect("it listens")
}

/// Somebody who answers the first connection with `bytes` and hangs up.
fn stranger(bytes: &'static [u8]) -> (SocketAddr, thread::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("any free port");
    let address = listener.local_addr().expect("it listens");
    let answering = thread::spawn(move || {
        let (mut socket, _) = listener.accept().expect("somebody connects");
        let mut hello = [0; 96];
        socket.read_exact(&mut hello).expect("a hello comes first");
        assert!(hello.starts_with(b"MARGAY\0\x01"));
        socket.write_all(bytes).expect("it is read");
    });
    (address, answering)
}

#[test]
fn a_node_that_is_not_there_is_named() {
    let address = closed_port().to_string();
    margay(&["status", "-e", &address]).fails_with(4, &["M141", &address]);
    for verb in [
        &["health"][..],
        &["node", "list"],
        &["group", "list"],
        &["group", "show", "1"],
    ] {
        margay(&[verb, &["-e", &address]].concat()).fails_with(4, &["M141", &address]);
    }
    let create = ["keyspace", "create", "a", "--machine", "kv", "-e", &address];
    margay(&create).fails_with(4, &["M141", &address]);
}

#[test]
fn a_name_without_an_address_is_named() {
    let run = margay(&["status", "-e", "no-such-node.invalid:7400"]);
    run.fails_with(4, &["M140", "no-such-node.invalid:7400"]);
}

#[test]
fn somebody_who_is_not_margay_is_recognised() {
    let page = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n\
        .........................................................";
    for bytes in [&page[..], b"SSH-2.0-OpenSSH_9.9\r\n"] {
        let (address, answering) = stranger(bytes);
        let address = address.to_string();
        margay(&["status", "-e", &address]).fails_with(4, &["M144", &address]);
        answering.join().expect("the stranger saw a hello");
    }
}

#[test]
fn silence_ends_with_the_timeout() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("any free port");
    let address = listener.local_addr().expect("it listens").to_string();
    let run = margay(&["status", "-e", &address, "--timeout", "100ms"]);
    run.fails_with(4, &["M142", &address]);
}

#[test]
fn a_bootstrap_names_the_node_that_it_cannot_reach() {
    let address = closed_port().to_string();
    let nodes = [
        "bootstrap",
        "--name",
        "prod",
        "--nodes",
        &address,
        "--timeout",
        "100ms",
    ];
    margay(&nodes).fails_with(4, &["M141", &address, "--nodes"]);
}

#[test]
fn a_bootstrap_with_a_name_twice_is_usage() {
    let nodes = "127.0.0.1:7400,127.0.0.1:7401,127.0.0.1";
    let run = margay(&["bootstrap", "--name", "prod", "--nodes", nodes]);
    run.fails_with(2, &["M151", "127.0.0.1:7400"]);
}

#[test]
fn waiting_for_health_ends_with_the_timeout_and_says_why_nobody_knows() {
    let address = closed_port().to_string();
    let run = margay(&["health", "--wait", "-e", &address, "--timeout", "200ms"]);
    run.fails_with(4, &["M141", &address]);
}
