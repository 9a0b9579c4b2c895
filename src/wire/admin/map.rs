//! The map: who is where, for clients. Answered by any node from its replica of group 0; leaders are hints.

use super::Keyspace;
use crate::genesis::{Genesis, GenesisMember};
use margay_types::{ClusterId, GroupId, Incarnation, Index, NodeId, ShardId, Term};
use serde::{Deserialize, Serialize};

/// Asks for the map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MapRequest;

/// Everything that a client needs to talk to the right core of the right node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Map {
    /// The cluster.
    pub cluster: ClusterId,
    /// Index of group 0 at which this was true; a greater one is newer.
    pub version: Index,
    /// The nodes, by id.
    pub nodes: Vec<MapNode>,
    /// The keyspaces, by name.
    pub keyspaces: Vec<Keyspace>,
    /// The groups, by id; group 0 is among them.
    pub groups: Vec<MapGroup>,
}

/// Where a node is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MapNode {
    /// Its id.
    pub node: NodeId,
    /// Its data directory.
    pub incarnation: Incarnation,
    /// `host:port` of its well-known port.
    pub address: String,
    /// How many shards it runs; 0 when it has not reported yet.
    pub shards: u16,
    /// The port of each shard, in their order; empty when only the well-known one is open.
    pub shard_ports: Vec<u16>,
}

impl MapNode {
    /// The nodes that a genesis names, in the order of their ids.
    #[must_use]
    pub fn all_of(genesis: &Genesis) -> Vec<Self> {
        let node = |member: GenesisMember<'_>| Self {
            node: member.node,
            incarnation: member.genesis.incarnation,
            address: member.genesis.address.clone(),
            shards: member.genesis.shards,
            shard_ports: Vec::new(),
        };
        genesis.members().map(node).collect()
    }
}

/// Who has a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MapGroup {
    /// The group.
    pub group: GroupId,
    /// Its recovery number.
    pub incarnation: u32,
    /// The nodes of its members, in ascending order.
    pub members: Vec<NodeId>,
    /// Who leads it, as far as the answering node knows.
    pub leader: Option<LeaderHint>,
}

/// Who led a group, in which term.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaderHint {
    /// The node of the leader.
    pub node: NodeId,
    /// Its term.
    pub term: Term,
}

impl MapNode {
    /// The shard of a group on this node: its id modulo the number of shards.
    #[must_use]
    pub fn shard_of(&self, group: GroupId) -> ShardId {
        group.shard(self.shards)
    }
}

impl Map {
    /// The node with this id.
    #[must_use]
    pub fn node(&self, node: NodeId) -> Option<&MapNode> {
        let at = self
            .nodes
            .binary_search_by_key(&node, |known| known.node)
            .ok()?;
        self.nodes.get(at)
    }

    /// The group with this id.
    #[must_use]
    pub fn group(&self, group: GroupId) -> Option<&MapGroup> {
        let at = self
            .groups
            .binary_search_by_key(&group, |known| known.group)
            .ok()?;
        self.groups.get(at)
    }

    /// The keyspace with this name.
    #[must_use]
    pub fn keyspace(&self, name: &str) -> Option<&Keyspace> {
        self.keyspaces.iter().find(|known| known.name == name)
    }
}
