//! What the whole shows that no node knows alone.

use super::*;
use crate::codes::Code;
use margay_types::{ClusterId, Incarnation, ProcessLife, ReplicaNumber, ShardId, Term};
use margay_wire::admin::{Formation, HealthReason, LeaderHint, MapGroup, MemberStatus};

const ONE: NodeId = NodeId::new(1);
const TWO: NodeId = NodeId::new(2);

fn map(groups: &[u32]) -> Map {
    let node = |node: NodeId| MapNode {
        node,
        incarnation: Incarnation::new([1; 16]),
        address: format!("n{node}:7400"),
        shards: 1,
        shard_ports: Vec::new(),
    };
    Map {
        cluster: ClusterId::new([0xab; 16]),
        version: Index::new(9),
        nodes: vec![node(ONE), node(TWO)],
        keyspaces: Vec::new(),
        groups: groups
            .iter()
            .map(|group| MapGroup {
                group: GroupId::new(*group),
                incarnation: 0,
                members: vec![ONE, TWO],
                // Hints are hearsay: only a replica that leads counts.
                leader: Some(LeaderHint {
                    node: TWO,
                    term: Term::new(1),
                }),
            })
            .collect(),
    }
}

fn group(group: u32, role: ReplicaRole, commit: u64, applied: u64) -> GroupStatus {
    GroupStatus {
        group: GroupId::new(group),
        replica: ReplicaNumber::new(1),
        keyspace: String::new(),
        shard: ShardId::new(0),
        role,
        term: Term::new(1),
        leader: None,
        commit: Index::new(commit),
        applied: Index::new(applied),
        last: Index::new(commit),
        durable: Index::new(commit),
        checkpoint: Index::ZERO,
        sessions: 0,
        members: vec![MemberStatus {
            node: ONE,
            replica: ReplicaNumber::new(1),
            member_type: MemberType::Active,
            match_index: None,
        }],
        stopped: None,
    }
}

fn down() -> Seen {
    let failure = Failure::new(Code::Unreachable)
        .with("node", "n2:7400")
        .with("reason", "connection refused");
    Seen::Down(failure)
}

fn up(groups: Vec<GroupStatus>) -> Seen {
    Seen::Up(Box::new(Status {
        version: "0.1.0".to_owned(),
        incarnation: Incarnation::new([1; 16]),
        life: ProcessLife::new(1),
        formation: Formation::Blank,
        address: "n1:7400".to_owned(),
        up_ms: 5,
        shards: Vec::new(),
        groups,
        more_from: None,
        health: Vec::new(),
    }))
}

#[test]
fn a_group_that_no_replica_leads_is_named_whatever_hints_say() {
    let seen = BTreeMap::from([
        (
            ONE,
            up(vec![
                group(0, ReplicaRole::Leader, 5, 5),
                group(1, ReplicaRole::Follower, 2, 2),
            ]),
        ),
        (TWO, down()),
    ]);
    let overview = Overview::new(&map(&[0, 1]), &seen);
    assert_eq!(overview.groups.without_leader, [1]);
    assert_eq!(overview.nodes[1].state, "down");
    let [reason] = &overview.health[..] else {
        panic!("{:?}", overview.health)
    };
    assert_eq!((reason.code, reason.node.as_str()), (141, "n2:7400"));
    assert_eq!(
        reason.text,
        "the node cannot be reached: connection refused"
    );
}

#[test]
fn lag_is_measured_against_the_greatest_commit_that_anyone_knows() {
    let seen = BTreeMap::from([
        (ONE, up(vec![group(0, ReplicaRole::Leader, 100, 100)])),
        (TWO, up(vec![group(0, ReplicaRole::Follower, 60, 40)])),
    ]);
    let overview = Overview::new(&map(&[0]), &seen);
    assert_eq!(overview.nodes[0].lag_entries, 0);
    assert_eq!(overview.nodes[1].lag_entries, 60);
    assert_eq!(overview.nodes[0].role, "voter");
}

#[test]
fn a_stopped_machine_is_named_once() {
    let stopped = || GroupStatus {
        stopped: Some("panicked".to_owned()),
        ..group(3, ReplicaRole::Leader, 1, 1)
    };
    let seen = BTreeMap::from([(ONE, up(vec![stopped()])), (TWO, up(vec![stopped()]))]);
    assert_eq!(Overview::new(&map(&[3]), &seen).groups.stopped, [3]);
}

#[test]
fn what_a_node_says_is_wrong_with_it_stands_in_the_health_of_the_whole() {
    let Seen::Up(mut status) = up(vec![]) else {
        unreachable!("it is up")
    };
    status.health.push(HealthReason {
        code: 212,
        since_ms: 41_000,
        shard: Some(ShardId::new(3)),
        group: None,
        text: "O_DSYNC p99 4.2 s".to_owned(),
    });
    let overview = Overview::new(&map(&[0]), &BTreeMap::from([(ONE, Seen::Up(status))]));
    assert_eq!(overview.nodes[0].state, "unwell");
    let object = serde_json::to_value(&overview.health[0]).expect("it is JSON");
    assert_eq!(object["code"], 212);
    assert_eq!(object["since_ms"], 41_000);
    assert_eq!(object["shard"], 3);
    assert_eq!(object["text"], "O_DSYNC p99 4.2 s");
}
