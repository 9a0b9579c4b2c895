//! Nodes with several shards, and not all with as many: every group lives on the right one, before and after kills.

use crate::harness::{Cluster, Load, Node, RawClient, Shape, margay, text};
use margay_types::{ClientId, SequenceNumber, ShardId};
use margay_wire::client::{self, Answer, Attached, KeepAlive, KeepAliveItem};
use std::collections::BTreeSet;

/// Two nodes alike, and one that is not: every pair of shards that shares a group has a connection.
const SHARDS: [usize; 3] = [2, 3, 2];
const GROUPS: u32 = 5;
const CLIENT: ClientId = ClientId::new([9; 16]);

/// Requests of a node, and how many of them came in through another shard.
fn hops(node: &Node) -> (u64, u64) {
    let status = node.status().expect("it answers");
    let shards = status.shards.iter();
    shards.fold((0, 0), |(requests, hopped), shard| {
        (requests + shard.requests, hopped + shard.hopped_requests)
    })
}

#[test]
fn nodes_with_different_numbers_of_shards_serve_through_kills_and_clients_do_not_hop() {
    let mut cluster = Cluster::with_groups_on(GROUPS, &SHARDS);
    let mut load = Load::start(&cluster, Shape::default());
    load.advance(500);
    for place in 0..SHARDS.len() {
        cluster.nodes[place].kill();
        load.advance(100);
        cluster.nodes[place].start();
        load.advance(100);
    }
    load.advance(500);
    load.finish();
    for (node, shards) in cluster.nodes.iter().zip(SHARDS) {
        let status = node.status().expect("it answers");
        assert_eq!(status.shards.len(), shards);
        assert_eq!(status.health, []);
        for group in &status.groups {
            let count = u16::try_from(shards).expect("few");
            assert_eq!(group.shard, group.group.shard(count), "{}", node.address());
        }
        // Operators connect without a shard's name; the load knows the map.
        let (requests, hopped) = hops(node);
        assert!(hopped * 10 < requests, "{hopped} of {requests} hopped");
    }
    cluster.finish();
}

#[test]
fn a_connection_that_names_no_shard_reaches_all_groups_by_one_hop() {
    let cluster = Cluster::with_groups_on(GROUPS, &SHARDS);
    let groups = cluster.groups();
    for (place, node) in cluster.nodes.iter().enumerate() {
        let led = groups
            .iter()
            .filter(|group| cluster.leader(**group) == place);
        let (mut client, hello) = RawClient::connect(node, CLIENT, ShardId::ANY);
        assert_eq!(
            hello.from_shard,
            ShardId::FIRST,
            "the well-known port is its"
        );
        let sessions: Vec<Attached> = led.map(|group| client.open(*group)).collect();
        for sequence in 1..=3 {
            for session in &sessions {
                client.append(session, sequence);
            }
        }
        let items = sessions.iter().map(|session| KeepAliveItem {
            attachment: session.attachment,
            acknowledged_below: SequenceNumber::new(4),
            events_received: 0,
        });
        let count = u32::try_from(SHARDS[place]).expect("few");
        let givers = sessions.iter().map(|it| it.attachment.0 % count);
        let givers: BTreeSet<u32> = givers.collect();
        let nobody_detached = |answer: Answer<'_>| match answer {
            Answer::Done(output) => assert_eq!(client::detached(output).count(), 0),
            Answer::Refused(refusal) => panic!("{refusal:?}"),
        };
        if givers.is_empty() {
            continue;
        }
        // Each shard answers for what it gave out.
        client.ask(
            |out, request| KeepAlive::write(out, request, items),
            nobody_detached,
        );
        for _ in 1..givers.len() {
            client.answer(&nobody_detached);
        }
        let elsewhere = givers.iter().any(|shard| *shard != 0);
        assert!(!elsewhere || hops(node).1 > 0, "hops are counted");
    }
    cluster.finish();
}

#[test]
fn the_well_known_port_hands_a_connection_to_the_shard_that_it_names() {
    let cluster = Cluster::with_groups_on(GROUPS, &SHARDS);
    let node = &cluster.nodes[1];
    for shard in (0..3).map(ShardId::new) {
        let (_client, hello) = RawClient::connect(node, CLIENT, shard);
        assert_eq!((hello.from_shard, hello.refusal), (shard, None));
        assert_eq!(hello.shard_count, 3);
    }
    let (_client, hello) = RawClient::connect(node, CLIENT, ShardId::new(3));
    assert_eq!(hello.refusal, Some(margay_wire::Code::UnknownShard));
    cluster.finish();
}

#[test]
fn a_start_with_another_number_of_shards_is_refused_and_changes_nothing() {
    let mut cluster = Cluster::with_groups_on(GROUPS, &SHARDS);
    cluster.nodes[1].stop();
    for cores in ["anywhere:1", "anywhere:2", "anywhere:4"] {
        let data = text(cluster.nodes[1].data());
        let mut run = margay(&["run", "--data", data, "--cores", cores]);
        let ended = run.output().expect("the binary was built");
        let printed = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(3), "{printed}");
        assert!(printed.contains("M127"), "{printed}");
        assert!(printed.contains("anywhere:3"), "{printed}");
    }
    cluster.nodes[1].start();
    cluster.finish();
}
