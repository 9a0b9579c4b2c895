//! The operations of group 0's machine, as plain data: what the machine applies and shards ask.
//!
//! ```text
//!   commands   1 KeyspaceCreate -> KeyspaceCreated      2 NodeReport -> ()
//!   queries    1 Creations      -> CreationList         2 Directory  -> DirectoryAnswer
//! ```

use super::{Keyspace, KeyspaceCreate, KeyspaceCreated, MapNode};
use margay_types::{GroupId, Incarnation, Index, NodeId, OperationId, ReplicaNumber};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The name under which group 0's machine is known.
pub const MACHINE: &str = "system";

/// A command of group 0's machine.
pub trait SystemCommand: Serialize + DeserializeOwned {
    /// Its stable wire id.
    const OPERATION: OperationId;
    /// What applying it answers.
    type Output: Serialize + DeserializeOwned;
}

/// A query of group 0's machine.
pub trait SystemQuery: Serialize + DeserializeOwned {
    /// Its stable wire id.
    const OPERATION: OperationId;
    /// What it answers.
    type Output: Serialize + DeserializeOwned;
}

impl SystemCommand for KeyspaceCreate {
    const OPERATION: OperationId = OperationId::new(1);
    type Output = KeyspaceCreated;
}

/// A node says where it is and what it runs, at its start and when that changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeReport {
    /// Id, data directory, address, shards and their ports.
    pub place: MapNode,
    /// Version of its binary.
    pub version: String,
    /// The machines that its binary offers, with their greatest versions, by name.
    pub machines: Vec<(String, u32)>,
}

impl SystemCommand for NodeReport {
    const OPERATION: OperationId = OperationId::new(2);
    type Output = ();
}

/// Asks for the groups that were created above an index of group 0, in creating order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Creations {
    /// What was created at or below it is done.
    pub above: Index,
}

impl SystemQuery for Creations {
    const OPERATION: OperationId = OperationId::new(1);
    type Output = CreationList;
}

/// The groups that were created above an index, by creating index and then by id.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreationList {
    /// In the order in which a node carries them out.
    pub creations: Vec<Creation>,
}

/// One group as group 0 created it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Creation {
    /// Its id, never used again.
    pub group: GroupId,
    /// Index of the entry of group 0 that created it.
    pub created: Index,
    /// Its keyspace.
    pub keyspace: String,
    /// Its machine.
    pub machine: String,
    /// The version of the machine that it starts with.
    pub machine_version: u32,
    /// The machine's options, encoded by its own codec.
    pub options: Vec<u8>,
    /// Its first members, by node: the initial configuration of all of them.
    pub members: Vec<CreationMember>,
}

/// A first member of a group; every one votes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreationMember {
    /// Its node.
    pub node: NodeId,
    /// Its number in the group.
    pub replica: ReplicaNumber,
    /// The node's data directory.
    pub incarnation: Incarnation,
}

/// Asks for nodes, keyspaces and the members of all groups: the map without leader hints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Directory;

impl SystemQuery for Directory {
    const OPERATION: OperationId = OperationId::new(2);
    type Output = DirectoryAnswer;
}

/// What group 0 knows of everything.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirectoryAnswer {
    /// The nodes, by id.
    pub nodes: Vec<MapNode>,
    /// The keyspaces, by name.
    pub keyspaces: Vec<Keyspace>,
    /// The groups, by id, without group 0, whose members are all nodes.
    pub groups: Vec<DirectoryGroup>,
}

/// Who has a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirectoryGroup {
    /// The group.
    pub group: GroupId,
    /// Its recovery number.
    pub incarnation: u32,
    /// The nodes of its members, in ascending order.
    pub members: Vec<NodeId>,
}
