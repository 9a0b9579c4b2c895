//! The state of a cluster, put together from what its nodes say.

use super::group_overview::{GroupOverview, GroupState};
use super::reason::{Reason, reasons};
use super::survey::Survey;
use margay_types::{GroupId, NodeId};
use margay_wire::admin::{MapNode, MemberType, SpaceMark, Status};
use serde::Serialize;
use std::collections::BTreeMap;

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
    /// Requests of clients and operators since its process started.
    pub(super) requests: u64,
    /// Those of them that came in through another shard than theirs: clients that do not know the map.
    pub(super) hopped_requests: u64,
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
    /// Those of them that cannot have one, because too few of their voters answer.
    pub(super) without_quorum: Vec<u32>,
    /// Groups with a replica whose machine stopped.
    pub(super) stopped: Vec<u32>,
}

impl Overview {
    /// Puts together what was seen.
    pub(super) fn new(survey: &Survey) -> Self {
        let groups = GroupOverview::all(survey);
        let mut lag: BTreeMap<NodeId, u64> = BTreeMap::new();
        for member in groups.iter().flat_map(|group| &group.members) {
            *lag.entry(member.node).or_default() += member.lag_entries.unwrap_or_default();
        }
        let node = |node: &MapNode| match survey.status(node.node) {
            Some(status) => {
                let lag_entries = lag.get(&node.node).copied().unwrap_or_default();
                node_up(node, status, lag_entries)
            }
            None => node_down(node),
        };
        Self {
            schema: 1,
            cluster: survey.map.cluster.to_string(),
            nodes: survey.map.nodes.iter().map(node).collect(),
            groups: GroupsOverview::new(&groups),
            health: reasons(survey, &groups),
        }
    }

    /// Is nothing wrong?
    pub(super) fn is_healthy(&self) -> bool {
        self.health.is_empty()
    }
}

impl NodeOverview {
    /// Does it answer?
    pub(super) fn is_up(&self) -> bool {
        self.state != DOWN
    }

    /// A number that only a node that answers can tell.
    pub(super) fn told(&self, value: impl ToString) -> String {
        if self.is_up() {
            value.to_string()
        } else {
            UNTOLD.to_owned()
        }
    }
}

/// The state of a node that does not answer.
const DOWN: &str = "down";

/// What a table shows in place of what nobody told.
pub(super) const UNTOLD: &str = "-";

impl GroupsOverview {
    fn new(groups: &[GroupOverview]) -> Self {
        let numbers = |is_meant: &dyn Fn(&GroupOverview) -> bool| {
            let meant = groups.iter().filter(|group| is_meant(group));
            meant.map(|group| group.group.number()).collect()
        };
        Self {
            count: groups.len(),
            without_leader: numbers(&|group| group.leader.is_none()),
            without_quorum: numbers(&|group| group.state == GroupState::NoQuorum),
            stopped: numbers(&|group| group.has_stopped_replica()),
        }
    }
}

fn node_up(node: &MapNode, status: &Status, lag_entries: u64) -> NodeOverview {
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
        lag_entries,
        sessions: status.shards.iter().map(|shard| shard.sessions).sum(),
        requests: status.shards.iter().map(|shard| shard.requests).sum(),
        hopped_requests: status
            .shards
            .iter()
            .map(|shard| shard.hopped_requests)
            .sum(),
        space: space.map_or("", space_word).to_owned(),
        up_ms: status.up_ms,
        version: status.version.clone(),
    }
}

fn node_down(node: &MapNode) -> NodeOverview {
    NodeOverview {
        node: node.node.number(),
        address: node.address.clone(),
        state: DOWN.to_owned(),
        role: String::new(),
        shards: usize::from(node.shards),
        replicas: 0,
        leads: 0,
        lag_entries: 0,
        sessions: 0,
        requests: 0,
        hopped_requests: 0,
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
    member.map_or("", |member| member_word(member.member_type))
}

/// What a member is to its group, in a word.
pub(super) const fn member_word(member: MemberType) -> &'static str {
    match member {
        MemberType::Active => "voter",
        MemberType::Passive => "passive",
        MemberType::Reserve => "reserve",
    }
}

const fn space_word(space: SpaceMark) -> &'static str {
    match space {
        SpaceMark::Free => "free",
        SpaceMark::Soft => "soft",
        SpaceMark::Hard => "hard",
    }
}

#[cfg(test)]
#[path = "overview_tests.rs"]
mod tests;
