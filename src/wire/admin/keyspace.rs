//! Keyspaces: what users name, spread over groups.

use margay_types::{GroupId, Index};
use serde::{Deserialize, Serialize};

/// Creates a keyspace: one command on group 0, whose apply takes the next ids for its groups.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyspaceCreate {
    /// Its name, by the rules of [`crate::genesis::check_name`].
    pub name: String,
    /// The machine of its groups, as servers register it.
    pub machine: String,
    /// The version of the machine that its groups start with.
    pub machine_version: u32,
    /// The machine's options, encoded by its own codec.
    pub options: Vec<u8>,
    /// How many groups.
    pub groups: u32,
    /// How many members each of them has; 0 for all nodes.
    pub replicas: u16,
}

/// Why a keyspace was not created.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeyspaceRefusal {
    /// One of this name exists, made otherwise.
    Exists,
    /// No name, too long, or characters that names do not have.
    BadName,
    /// No server knows the machine.
    UnknownMachine,
    /// The machine does not decode its options.
    BadOptions,
    /// No group, or more than the cluster takes.
    BadGroupCount {
        /// How many it would take.
        max: u32,
    },
    /// More members than nodes, or than a group may have.
    BadReplicaCount {
        /// How many it would take.
        max: u16,
    },
}

/// What became of a creation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeyspaceCreated {
    /// It exists now; its groups come into being on their nodes at once.
    Created(Keyspace),
    /// It existed before, made by the same request.
    Existed(Keyspace),
    /// It was not created.
    Refused(KeyspaceRefusal),
}

/// A keyspace as group 0 holds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keyspace {
    /// Its name.
    pub name: String,
    /// The machine of its groups.
    pub machine: String,
    /// The version of the machine that its groups started with.
    pub machine_version: u32,
    /// Index of the entry of group 0 that created it.
    pub created: Index,
    /// Its groups, in the order that keys map to.
    pub groups: Vec<GroupId>,
}

/// Asks for all keyspaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyspaceListRequest;

/// All keyspaces.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyspaceList {
    /// Index of group 0 at which this was true.
    pub index: Index,
    /// By name.
    pub keyspaces: Vec<Keyspace>,
}
