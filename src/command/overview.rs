//! The state of a cluster, put together from what its nodes say.

use crate::codes::Failure;
use margay_types::{GroupId, Index, NodeId, ShardId};
use margay_wire::admin::{GroupStatus, Map, MapNode, MemberType, ReplicaRole, SpaceMark, Status};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// A node, from here.
#[derive(Clone, Debug)]
pub(super) enum Seen {
    /// It answers.
    Up(Box<Status>),
    /// It does not, and why.
    Down(Failure),
}

/// The whole, as programs read it.
#[derive(Debug, Serialize)]
pub(super) struct Overview {
    pub(super) schema: u32,
    pub(super) cluster: String,
    pub(super) nodes: Vec<NodeOverview>,
    pub(super) groups: GroupsOverview,
    pub(super) health: Vec<Reason>,
}

/// One node.
#[derive(Debug, Serialize)]
pub(super) struct NodeOverview {
    pub(super) node: u16,
    pub(super) address: String,
    /// `ok`, `unwell` when it names reasons, or `down`.
    pub(super) state: String,
    /// What it is to group 0: `voter`, `passive`, `reserve`, or empty when unknown.
    pub(super) role: String,
    pub(super) shards: usize,
    pub(super) replicas: u32,
    pub(super) leads: u32,
    /// Entries that its replicas have not applied, although some node knows them to be committed.
    pub(super) lag_entries: u64,
    pub(super) sessions: u32,
    /// The fullest of its logs: `free`, `soft`, `hard`, or empty when unknown.
    pub(super) space: String,
    pub(super) up_ms: u64,
    pub(super) version: String,
}

/// All groups.
#[derive(Debug, Serialize)]
pub(super) struct GroupsOverview {
    pub(super) count: usize,
    /// Groups that no node leads.
    pub(super) without_leader: Vec<u32>,
    /// Groups with a replica whose machine stopped.
    pub(super) stopped: Vec<u32>,
}

/// One thing that is wrong.
#[derive(Debug, Serialize)]
pub(super) struct Reason {
    pub(super) code: u16,
    pub(super) node: String,
    /// For how long; null when nobody counts it.
    pub(super) since_ms: Option<u64>,
    /// The shard, where it is of one.
    pub(super) shard: Option<u16>,
    /// The group, where it is of one.
    pub(super) group: Option<u32>,
    pub(super) text: String,
}

impl Overview {
    /// Puts together what was seen of the nodes of a map.
    pub(super) fn new(map: &Map, seen: &BTreeMap<NodeId, Seen>) -> Self {
        let committed = committed(seen);
        let nodes = map.nodes.iter().map(|node| match seen.get(&node.node) {
            Some(Seen::Up(status)) => node_up(node, status, &committed),
            Some(Seen::Down(_)) | None => node_down(node),
        });
        Self {
            schema: 1,
            cluster: map.cluster.to_string(),
            nodes: nodes.collect(),
            groups: groups(map, seen),
            health: health(map, seen),
        }
    }
}

fn statuses(seen: &BTreeMap<NodeId, Seen>) -> impl Iterator<Item = &Status> {
    seen.values().filter_map(|seen| match seen {
        Seen::Up(status) => Some(&**status),
        Seen::Down(_) => None,
    })
}

/// The greatest commit index of each group that any node knows.
fn committed(seen: &BTreeMap<NodeId, Seen>) -> BTreeMap<GroupId, Index> {
    let mut committed: BTreeMap<GroupId, Index> = BTreeMap::new();
    for group in statuses(seen).flat_map(|status| &status.groups) {
        let greatest = committed.entry(group.group).or_default();
        *greatest = group.commit.max(*greatest);
    }
    committed
}

fn node_up(node: &MapNode, status: &Status, committed: &BTreeMap<GroupId, Index>) -> NodeOverview {
    let lag = |group: &GroupStatus| {
        let commit = committed.get(&group.group).copied().unwrap_or_default();
        commit.since(group.applied)
    };
    let space = status.shards.iter().map(|shard| shard.space).max();
    let state = if status.health.is_empty() {
        "ok"
    } else {
        "unwell"
    };
    NodeOverview {
        node: node.node.number(),
        address: node.address.clone(),
        state: state.to_owned(),
        role: role(node.node, status).to_owned(),
        shards: status.shards.len(),
        replicas: status.shards.iter().map(|shard| shard.replicas).sum(),
        leads: status.shards.iter().map(|shard| shard.leads).sum(),
        lag_entries: status.groups.iter().map(lag).sum(),
        sessions: status.shards.iter().map(|shard| shard.sessions).sum(),
        space: space.map_or("", space_word).to_owned(),
        up_ms: status.up_ms,
        version: status.version.clone(),
    }
}

fn node_down(node: &MapNode) -> NodeOverview {
    NodeOverview {
        node: node.node.number(),
        address: node.address.clone(),
        state: "down".to_owned(),
        role: String::new(),
        shards: usize::from(node.shards),
        replicas: 0,
        leads: 0,
        lag_entries: 0,
        sessions: 0,
        space: String::new(),
        up_ms: 0,
        version: String::new(),
    }
}

/// What a node is to group 0, by its own replica.
fn role(node: NodeId, status: &Status) -> &'static str {
    let system = status
        .groups
        .iter()
        .find(|group| group.group == GroupId::SYSTEM);
    let member = system.and_then(|group| group.members.iter().find(|member| member.node == node));
    match member.map(|member| member.member_type) {
        Some(MemberType::Active) => "voter",
        Some(MemberType::Passive) => "passive",
        Some(MemberType::Reserve) => "reserve",
        None => "",
    }
}

const fn space_word(space: SpaceMark) -> &'static str {
    match space {
        SpaceMark::Free => "free",
        SpaceMark::Soft => "soft",
        SpaceMark::Hard => "hard",
    }
}

fn groups(map: &Map, seen: &BTreeMap<NodeId, Seen>) -> GroupsOverview {
    let mut led = BTreeSet::new();
    let mut stopped = BTreeSet::new();
    for group in statuses(seen).flat_map(|status| &status.groups) {
        if group.role == ReplicaRole::Leader {
            led.insert(group.group);
        }
        if group.stopped.is_some() {
            stopped.insert(group.group.number());
        }
    }
    let all = map.groups.iter().map(|group| group.group);
    let without_leader = all.filter(|group| !led.contains(group));
    GroupsOverview {
        count: map.groups.len(),
        without_leader: without_leader.map(GroupId::number).collect(),
        stopped: stopped.into_iter().collect(),
    }
}

fn health(map: &Map, seen: &BTreeMap<NodeId, Seen>) -> Vec<Reason> {
    let mut reasons = Vec::new();
    for node in &map.nodes {
        match seen.get(&node.node) {
            Some(Seen::Up(status)) => reasons.extend(status.health.iter().map(|reason| Reason {
                code: reason.code,
                node: node.address.clone(),
                since_ms: Some(reason.since_ms),
                shard: reason.shard.map(ShardId::number),
                group: reason.group.map(GroupId::number),
                text: reason.text.clone(),
            })),
            Some(Seen::Down(failure)) => reasons.push(Reason {
                code: failure.code().number(),
                node: node.address.clone(),
                since_ms: None,
                shard: None,
                group: None,
                text: failure.summary(),
            }),
            None => {}
        }
    }
    reasons
}

#[cfg(test)]
#[path = "overview_tests.rs"]
mod tests;
