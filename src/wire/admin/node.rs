//! Who answers at an address, and how nodes become a cluster.

use margay_types::{ClusterId, Incarnation, NodeId, ProcessLife};
use serde::{Deserialize, Serialize};

/// Asks a node who it is. Any node answers, blank or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeInfoRequest;

/// Does the node belong to a cluster?
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Formation {
    /// To none yet: it listens and waits.
    Blank,
    /// To this one.
    Member {
        /// The cluster's id.
        cluster: ClusterId,
        /// The cluster's name.
        name: String,
        /// The node's id in it.
        node: NodeId,
    },
}

/// Who a node is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeInfo {
    /// Version of its binary.
    pub version: String,
    /// Its data directory.
    pub incarnation: Incarnation,
    /// Its process.
    pub life: ProcessLife,
    /// Its cluster.
    pub formation: Formation,
    /// `host:port` that it listens on, or what its cluster calls it.
    pub address: String,
    /// How many shards it runs.
    pub shards: u16,
    /// The port of each shard, in their order; empty when only the well-known one is open.
    pub shard_ports: Vec<u16>,
}

/// Forms a cluster: every node of the list gets the same genesis. Safe to repeat.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bootstrap {
    /// The canonical bytes of a [`crate::genesis::Genesis`].
    pub genesis: Vec<u8>,
}

/// What a node did with a genesis.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BootstrapAnswer {
    /// It was blank; the genesis is durable now.
    Formed,
    /// It holds this very genesis already.
    SameAttempt,
    /// It belongs to another cluster.
    OtherCluster {
        /// That cluster's id.
        cluster: ClusterId,
        /// That cluster's name.
        name: String,
    },
    /// It is not blank, although it belongs to no cluster: its directory holds what it does not know.
    NotBlank,
    /// The genesis does not name its data directory.
    NotMe {
        /// The data directory that answers at this address.
        incarnation: Incarnation,
    },
    /// The bytes are not a genesis.
    NotAGenesis {
        /// What is wrong with them.
        reason: String,
    },
}
