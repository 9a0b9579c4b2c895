//! Small clusters as a survey may find them, for the tests of what is put together from it.

use super::survey::{Seen, Survey};
use crate::codes::{Code, Failure};
use margay_types::{
    ClusterId, GroupId, Incarnation, Index, NodeId, ProcessLife, ReplicaNumber, ShardId, Term,
};
use margay_wire::admin::{
    Formation, GroupStatus, Keyspace, LeaderHint, Map, MapGroup, MapNode, MemberStatus, MemberType,
    ReplicaRole, Status,
};
use std::collections::BTreeMap;

pub(super) const ONE: NodeId = NodeId::new(1);
pub(super) const TWO: NodeId = NodeId::new(2);
const CLUSTER: ClusterId = ClusterId::new([0xab; 16]);

/// Two nodes, and these groups on both.
pub(super) fn map(groups: &[u32]) -> Map {
    let node = |node: NodeId| MapNode {
        node,
        incarnation: Incarnation::new([1; 16]),
        address: format!("n{node}:7400"),
        shards: 1,
        shard_ports: Vec::new(),
    };
    Map {
        cluster: CLUSTER,
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

/// A keyspace with the machine `map`.
pub(super) fn keyspace(name: &str, groups: &[u32]) -> Keyspace {
    Keyspace {
        name: name.to_owned(),
        machine: "map".to_owned(),
        machine_version: 1,
        created: Index::new(3),
        groups: groups.iter().copied().map(GroupId::new).collect(),
    }
}

/// A replica with both nodes as voters.
pub(super) fn group(group: u32, role: ReplicaRole, commit: u64, applied: u64) -> GroupStatus {
    let member = |node: NodeId| MemberStatus {
        node,
        replica: ReplicaNumber::new(node.number()),
        member_type: MemberType::Active,
        match_index: None,
        silent_ms: None,
    };
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
        members: vec![member(ONE), member(TWO)],
        stopped: None,
    }
}

/// A node that answers and has these replicas.
pub(super) fn up(node: NodeId, groups: Vec<GroupStatus>) -> Seen {
    Seen::Up(Box::new(Status {
        version: "0.1.0".to_owned(),
        incarnation: Incarnation::new([1; 16]),
        life: ProcessLife::new(1),
        formation: Formation::Member {
            cluster: CLUSTER,
            name: "prod".to_owned(),
            node,
        },
        address: format!("n{node}:7400"),
        up_ms: 5,
        shards: Vec::new(),
        groups,
        more_from: None,
        health: Vec::new(),
    }))
}

/// Node 2, not there.
pub(super) fn down() -> Seen {
    let failure = Failure::new(Code::Unreachable)
        .with("node", "n2:7400")
        .with("reason", "connection refused");
    Seen::Down(failure)
}

/// Two nodes with these groups, as they were seen.
pub(super) fn survey(groups: &[u32], one: Seen, two: Seen) -> Survey {
    Survey {
        map: map(groups),
        seen: BTreeMap::from([(ONE, one), (TWO, two)]),
    }
}
