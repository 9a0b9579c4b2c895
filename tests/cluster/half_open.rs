//! A machine that vanishes without a word: whoever was connected to it notices in a bounded time, and goes on.
//!
//! Nobody sends an end of a connection here, and nobody a reset: the wire is cut, and both kernels hold on to what they
//! have until their own limits.

use crate::harness::{
    Cluster, Load, Node, PATIENCE, RawClient, Shape, Wire, demand_printed, eventually, now,
};
use margay_types::{ClientId, ShardId};
use std::fs;

/// Sockets that the process of a node has open.
fn sockets(node: &Node) -> usize {
    let names = fs::read_dir(format!("/proc/{}/fd", node.process())).expect("it runs");
    let targets = names.filter_map(|name| fs::read_link(name.ok()?.path()).ok());
    targets
        .filter(|target| target.to_string_lossy().starts_with("socket:"))
        .count()
}

/// Look at the node: its client says nothing and is asked nothing, so nothing but probes of the kernel tells.
#[test]
fn a_client_whose_machine_vanished_loses_its_place() {
    let Some(wire) = Wire::lay() else { return };
    let cluster = Cluster::blank(0);
    let mut node = cluster.stranger("n1").listening_on(wire.there());
    node.start_through(wire.inside());
    // Nobody asks it anything before, who would be counted.
    node.begin();
    demand_printed(&node, &["listening"]);
    let before = sockets(&node);
    let client = ClientId::new(*b"to be forgotten ");
    let (_client, _hello) = RawClient::connect(&node, client, ShardId::FIRST);
    assert_eq!(sockets(&node), before + 1);
    wire.cut();
    demand_printed(&node, &["M409", &wire.here().to_string()]);
    eventually("the end of a half-open connection", || {
        let open = sockets(&node);
        (open == before).then_some(()).ok_or(open)
    });
    wire.mend();
    assert!(node.stop().success());
}

/// Three nodes, of which the last one is at the other end of the wire and leads the group: others that lead are killed,
/// and come back.
fn cluster_over(wire: &Wire) -> Cluster {
    let mut cluster = Cluster::blank(0);
    for (name, host) in [
        ("n1", wire.here()),
        ("n2", wire.here()),
        ("n3", wire.there()),
    ] {
        let mut node = cluster.stranger(name).listening_on(host);
        if host == wire.there() {
            node.start_through(wire.inside());
        }
        node.start();
        cluster.nodes.push(node);
    }
    cluster.form(1, &cluster.endpoints());
    let group = cluster.groups()[0];
    let end = now() + PATIENCE;
    loop {
        let leader = cluster.leader(group);
        if leader == 2 {
            // Whoever was started last is connected to everybody, too: only then is there something to be half-open.
            cluster.succeeds(&["health", "--wait"]);
            return cluster;
        }
        assert!(now() < end, "the last node never leads");
        cluster.nodes[leader].kill();
        cluster.leader_among(group, |at| at != leader);
        cluster.nodes[leader].start();
    }
}

/// Look at the load, whose connections to a leader are half-open, and at the lines of both sides: each gives the other
/// one up, and they find each other again.
#[test]
fn a_node_whose_machine_vanished_is_given_up_by_peers_and_clients_and_found_again() {
    let Some(wire) = Wire::lay() else { return };
    let cluster = cluster_over(&wire);
    let group = cluster.groups()[0];
    let mut load = Load::start(&cluster, Shape::default());
    wire.cut();
    assert_ne!(cluster.leader_among(group, |at| at != 2), 2);
    load.advance(300);
    let last = cluster.nodes[2].address();
    for node in &cluster.nodes[..2] {
        demand_printed(node, &["M409", &last]);
        demand_printed(&cluster.nodes[2], &["M409", &node.address()]);
    }
    wire.mend();
    load.advance(300);
    load.finish();
    cluster.finish();
}
