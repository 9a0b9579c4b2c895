//! The machine of group 0: nodes, keyspaces and the groups that were created, in one replicated place.
//!
//! ```text
//!   genesis (options) ──> nodes
//!   KeyspaceCreate    ──> keyspace ──> n groups with the next n ids, each with its first members
//!                                          │
//!   Creations { above } <──────────────────┘   what a node carries out, in creating order
//! ```
//!
//! Invariants:
//! * Group ids are counted and never used again.
//! * What was created at an index says so for ever: a node that carried out everything up to an index of group 0
//!   creates nothing at or below it, ever.

use crate::limits::{GROUPS_PER_KEYSPACE_MAX, GROUPS_PER_NODE_MAX, REPLICAS_DEFAULT};
use margay_machine::{
    Answer, Apply, Commit, Context, Decode, DecodeError, Encode, Machine, Never, Residual, View,
    operations, shared,
};
use margay_types::{GroupId, NodeId, ReplicaNumber};
use margay_wire::admin::system::{
    Creation, CreationList, CreationMember, Creations, Directory, DirectoryAnswer, DirectoryGroup,
};
use margay_wire::admin::{
    Keyspace, KeyspaceCreate, KeyspaceCreated, KeyspaceList, KeyspaceListRequest, KeyspaceRefusal,
    MapNode,
};
use margay_wire::genesis::{Genesis, check_name};
use serde::{Deserialize, Serialize};

/// The options of group 0: the cluster's genesis. The default stands for no cluster at all, and exists because every
/// machine must have default options.
#[derive(Clone, Debug, Default)]
pub struct Founding(Option<Genesis>);

impl Decode<'_> for Founding {
    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        Genesis::decode(bytes)
            .map(|genesis| Self(Some(genesis)))
            .map_err(|_| DecodeError)
    }
}

impl Encode for Founding {
    fn encode(&self, out: &mut Vec<u8>) {
        if let Some(genesis) = &self.0 {
            out.extend_from_slice(&genesis.encode());
        }
    }
}

/// Group 0's state.
pub struct System {
    nodes: Vec<MapNode>,
    keyspaces: shared::Map<String, Keyspace>,
    /// By group id, which is also the order of creation.
    groups: shared::Map<u32, Creation>,
}

operations! { System {
    command 1 KeyspaceCreate;
    query 1 Creations;
    query 2 Directory;
    query 3 KeyspaceListRequest;
    residual
} }

/// What a checkpoint of group 0 holds; the nodes come from the genesis.
#[derive(Clone, Serialize, Deserialize)]
pub struct FrozenSystem {
    keyspaces: Vec<Keyspace>,
    groups: Vec<Creation>,
}

impl Machine for System {
    type Options = Founding;
    type Event = Never;

    fn new(options: Founding) -> Self {
        Self {
            nodes: options.0.iter().flat_map(MapNode::all_of).collect(),
            keyspaces: shared::Map::new(),
            groups: shared::Map::new(),
        }
    }
}

impl System {
    fn groups_max(&self) -> u32 {
        let used = u32::try_from(self.groups.len()).unwrap_or(u32::MAX);
        let node_max = u32::try_from(GROUPS_PER_NODE_MAX).unwrap_or(u32::MAX);
        node_max
            .saturating_sub(used + 1)
            .min(GROUPS_PER_KEYSPACE_MAX)
    }

    fn check(&self, wanted: &KeyspaceCreate, replicas: u16) -> Result<(), KeyspaceRefusal> {
        if check_name("keyspace name", &wanted.name).is_err() {
            return Err(KeyspaceRefusal::BadName);
        }
        let max = self.groups_max();
        if wanted.groups == 0 || wanted.groups > max {
            return Err(KeyspaceRefusal::BadGroupCount { max });
        }
        let max = u16::try_from(self.nodes.len()).unwrap_or(u16::MAX);
        if replicas == 0 || replicas > max {
            return Err(KeyspaceRefusal::BadReplicaCount { max });
        }
        Ok(())
    }

    /// The members of a group: consecutive nodes, starting with another one for each group, so that replicas spread.
    fn members(&self, group: GroupId, replicas: u16) -> Vec<CreationMember> {
        let first = group.number() as usize;
        let mut members: Vec<CreationMember> = (0..usize::from(replicas))
            .filter_map(|offset| self.nodes.get((first + offset) % self.nodes.len()))
            .map(|node| CreationMember {
                node: node.node,
                replica: ReplicaNumber::new(0),
                incarnation: node.incarnation,
            })
            .collect();
        members.sort_by_key(|member| member.node);
        for (number, member) in (1_u16..).zip(&mut members) {
            member.replica = ReplicaNumber::new(number);
        }
        members
    }

    /// The first id that no group has: group 0 is this one.
    fn next_group(&self) -> u32 {
        self.groups.iter().last().map_or(1, |(last, _)| last + 1)
    }

    fn group_of(creation: &Creation) -> DirectoryGroup {
        let members: Vec<NodeId> = creation.members.iter().map(|member| member.node).collect();
        DirectoryGroup {
            group: creation.group,
            incarnation: 0,
            members,
        }
    }
}

impl Apply<KeyspaceCreate> for System {
    type Output = KeyspaceCreated;
    /// A keyspace's answer lists its groups: up to five bytes each, and the names.
    const OUTPUT_BYTES_MAX: usize = 16 << 10;

    fn apply(&mut self, commit: Commit<KeyspaceCreate>, _: &mut Context<Self>) -> KeyspaceCreated {
        let wanted = commit.command;
        if let Some(known) = self.keyspaces.get(&wanted.name) {
            let is_same = known.machine == wanted.machine
                && known.groups.len() as u64 == u64::from(wanted.groups);
            return if is_same {
                KeyspaceCreated::Existed(known.clone())
            } else {
                KeyspaceCreated::Refused(KeyspaceRefusal::Exists)
            };
        }
        let nodes = u16::try_from(self.nodes.len()).unwrap_or(u16::MAX);
        let replicas = if wanted.replicas == 0 {
            REPLICAS_DEFAULT.min(nodes)
        } else {
            wanted.replicas
        };
        if let Err(refusal) = self.check(&wanted, replicas) {
            return KeyspaceCreated::Refused(refusal);
        }
        let first = self.next_group();
        let groups: Vec<GroupId> = (first..first + wanted.groups).map(GroupId::new).collect();
        for group in &groups {
            let creation = Creation {
                group: *group,
                created: commit.index,
                keyspace: wanted.name.clone(),
                machine: wanted.machine.clone(),
                machine_version: wanted.machine_version,
                options: wanted.options.clone(),
                members: self.members(*group, replicas),
            };
            self.groups.insert(group.number(), creation);
        }
        let keyspace = Keyspace {
            name: wanted.name,
            machine: wanted.machine,
            machine_version: wanted.machine_version,
            created: commit.index,
            groups,
        };
        self.keyspaces
            .insert(keyspace.name.clone(), keyspace.clone());
        KeyspaceCreated::Created(keyspace)
    }
}

impl Answer<Creations> for System {
    type Output<'a> = CreationList;

    fn answer(&self, query: Creations, _: &View) -> CreationList {
        let creations = self.groups.iter().map(|(_, creation)| creation);
        let above = creations.filter(|creation| creation.created > query.above);
        CreationList {
            creations: above.cloned().collect(),
        }
    }
}

impl Answer<Directory> for System {
    type Output<'a> = DirectoryAnswer;

    fn answer(&self, _: Directory, _: &View) -> DirectoryAnswer {
        DirectoryAnswer {
            nodes: self.nodes.clone(),
            keyspaces: self
                .keyspaces
                .iter()
                .map(|(_, keyspace)| keyspace.clone())
                .collect(),
            groups: self
                .groups
                .iter()
                .map(|(_, creation)| Self::group_of(creation))
                .collect(),
        }
    }
}

impl Answer<KeyspaceListRequest> for System {
    type Output<'a> = KeyspaceList;

    fn answer(&self, _: KeyspaceListRequest, view: &View) -> KeyspaceList {
        let keyspaces = self
            .keyspaces
            .iter()
            .map(|(_, keyspace)| keyspace.clone())
            .collect();
        KeyspaceList {
            index: view.index,
            keyspaces,
        }
    }
}

impl Residual for System {
    type Frozen = FrozenSystem;

    fn freeze(&self) -> FrozenSystem {
        FrozenSystem {
            keyspaces: self
                .keyspaces
                .iter()
                .map(|(_, keyspace)| keyspace.clone())
                .collect(),
            groups: self
                .groups
                .iter()
                .map(|(_, creation)| creation.clone())
                .collect(),
        }
    }

    fn restore(options: Founding, frozen: FrozenSystem) -> Self {
        let mut system = Self::new(options);
        for keyspace in frozen.keyspaces {
            system.keyspaces.insert(keyspace.name.clone(), keyspace);
        }
        for creation in frozen.groups {
            system.groups.insert(creation.group.number(), creation);
        }
        system
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use margay_types::Index;

    #[test]
    fn a_keyspace_takes_so_many_groups_and_all_together_as_many_as_a_node_may_have() {
        let mut system = System::new(Founding::default());
        assert_eq!(system.groups_max(), GROUPS_PER_KEYSPACE_MAX);
        let node_max = u32::try_from(GROUPS_PER_NODE_MAX).unwrap();
        // Group 0 is one of them.
        let creation = Creation {
            group: GroupId::new(1),
            created: Index::ZERO,
            keyspace: String::new(),
            machine: String::new(),
            machine_version: 0,
            options: Vec::new(),
            members: Vec::new(),
        };
        for number in 1..node_max - 1 {
            system.groups.insert(number, creation.clone());
        }
        assert_eq!(system.groups_max(), 1);
        system.groups.insert(node_max - 1, creation);
        assert_eq!(system.groups_max(), 0);
    }
}
