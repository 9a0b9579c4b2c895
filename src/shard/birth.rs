//! What a replica is born with: its `created` record, from the genesis or from what group 0 created.

use crate::shard::hosted::Identity;
use crate::storage::payload::Created;
use margay_machine::Limits;
use margay_raft::{Configuration, Member};
use margay_types::{GroupId, Incarnation, Index, NodeId, ReplicaNumber};
use margay_wire::admin::system::Creation;
use margay_wire::genesis::Genesis;
use serde::{Deserialize, Serialize};

/// Version of [`Description`].
const FORMAT: u16 = 1;

/// What a `created` record says beyond what storage reads: postcard-encoded into its description.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Description {
    format: u16,
    /// The entry of group 0 that created it; 0 for group 0.
    pub(crate) created: Index,
    /// The keyspace; empty for group 0.
    pub(crate) keyspace: String,
    /// The machine's version that the group starts with.
    pub(crate) machine_version: u32,
    /// The machine's options.
    pub(crate) options: Vec<u8>,
    /// The initial configuration, in the core's encoding.
    configuration: Vec<u8>,
}

impl Description {
    /// Reads a description; `None` when the bytes are of another version, or damaged.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        postcard::from_bytes::<Self>(bytes)
            .ok()
            .filter(|known| known.format == FORMAT)
    }

    /// The configuration that all first members start from.
    pub(crate) fn configuration(&self) -> Option<Configuration> {
        Configuration::decode(&self.configuration).ok()
    }

    /// The bytes of the description.
    pub(crate) fn encode(&self) -> Vec<u8> {
        postcard::to_allocvec(self).expect("plain data with known lengths encodes")
    }
}

/// A replica on its way into life.
#[derive(Clone, Debug)]
pub(crate) struct Birth {
    /// Its group.
    pub(crate) group: GroupId,
    /// The record that makes it known.
    pub(crate) created: Created,
    /// What the record's description says.
    pub(crate) description: Description,
}

impl Birth {
    /// This node's replica of group 0, if the genesis names this data directory.
    pub(crate) fn of_genesis(genesis: &Genesis, incarnation: Incarnation) -> Option<Self> {
        let own = genesis.member(incarnation)?;
        let description = Description {
            format: FORMAT,
            created: Index::ZERO,
            keyspace: String::new(),
            machine_version: 1,
            options: genesis.encode(),
            configuration: configuration_of(
                genesis
                    .members()
                    .map(|member| (member.replica, member.node)),
            ),
        };
        let machine = margay_wire::admin::system::MACHINE;
        Some(Self::new(
            GroupId::SYSTEM,
            own.replica,
            incarnation,
            machine,
            description,
        ))
    }

    /// This node's replica of a created group, if it is a member.
    pub(crate) fn of_creation(creation: &Creation, node: NodeId) -> Option<Self> {
        let own = creation.members.iter().find(|member| member.node == node)?;
        let members = creation.members.iter();
        let members = members.map(|member| (member.replica, member.node));
        let description = Description {
            format: FORMAT,
            created: creation.created,
            keyspace: creation.keyspace.clone(),
            machine_version: creation.machine_version,
            options: creation.options.clone(),
            configuration: configuration_of(members),
        };
        let number = own.replica;
        Some(Self::new(
            creation.group,
            number,
            own.incarnation,
            &creation.machine,
            description,
        ))
    }

    fn new(
        group: GroupId,
        replica: ReplicaNumber,
        incarnation: Incarnation,
        machine: &str,
        description: Description,
    ) -> Self {
        let created = Created {
            incarnation,
            replica,
            recovery_number: 0,
            machine: machine.to_owned(),
            description: description.encode(),
        };
        Self {
            group,
            created,
            description,
        }
    }

    /// What the replica is called by.
    pub(crate) fn identity(&self) -> Identity {
        Identity {
            group: self.group,
            created: self.created.clone(),
            description: self.description.clone(),
        }
    }

    /// The limits that every group starts with.
    pub(crate) fn limits() -> Limits {
        Limits::default()
    }
}

/// The bytes of a configuration in which all of these vote.
fn configuration_of(members: impl Iterator<Item = (ReplicaNumber, NodeId)>) -> Vec<u8> {
    let configuration = Configuration {
        voters: members
            .map(|(number, node)| Member { number, node })
            .collect(),
        ..Configuration::default()
    };
    let mut bytes = Vec::new();
    configuration.encode(&mut bytes);
    bytes
}
