//! Replicas are born: from the genesis, or from what group 0 created.
//!
//! ```text
//!   creation ──> `created` record durable ──> index in the node's manifest ──> first message of the replica
//!                (a batch of the log)         (a cold write)
//! ```
//!
//! In this order, so that no replica is ever born twice: entries of group 0 at or below the index in the manifest
//! create nothing, and a creation whose `created` record is in a log is done. Several creations share one write of the
//! manifest.

use crate::shard::Seams;
use crate::shard::cold::ColdDone;
use crate::shard::hosted::{Hosted, Identity};
use crate::shard::shard::{Shard, ShardError};
use crate::shard::waiters::Requester;
use crate::storage::node_manifest::NodeManifest;
use crate::storage::payload::Created;
use crate::storage::{Disk, Sequence, record};
use margay_machine::{Host, Limits};
use margay_raft::{Configuration, Member, Replica};
use margay_types::{GroupId, Incarnation, Index, LogTime, NodeId};
use margay_wire::admin::system::{Creation, Creations};
use margay_wire::genesis::Genesis;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

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
        let voters = genesis
            .members()
            .map(|member| Member {
                number: member.replica,
                node: member.node,
            })
            .collect();
        let description = Description {
            format: FORMAT,
            created: Index::ZERO,
            keyspace: String::new(),
            machine_version: 1,
            options: genesis.encode(),
            configuration: encoded(voters),
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
        let voters = creation
            .members
            .iter()
            .map(|member| Member {
                number: member.replica,
                node: member.node,
            })
            .collect();
        let description = Description {
            format: FORMAT,
            created: creation.created,
            keyspace: creation.keyspace.clone(),
            machine_version: creation.machine_version,
            options: creation.options.clone(),
            configuration: encoded(voters),
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
        replica: margay_types::ReplicaNumber,
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

fn encoded(voters: Vec<Member>) -> Vec<u8> {
    let configuration = Configuration {
        voters,
        ..Configuration::default()
    };
    let mut bytes = Vec::new();
    configuration.encode(&mut bytes);
    bytes
}

/// Why creations wait.
#[derive(Clone, Debug)]
pub(crate) enum Stall {
    /// The log has no room for the record.
    Room,
    /// This binary cannot run the group: it needs another one. What was created behind waits, too.
    Machine {
        /// The group.
        group: GroupId,
        /// The machine that is missing, or does not take the options.
        machine: String,
    },
}

/// Births under way, in the order of their steps.
#[derive(Debug, Default)]
pub(crate) struct Births {
    /// Their `created` records were found in the log, and the manifest does not know of them: an earlier life ended
    /// between the two. They go on once group 0 has said again what was created with them.
    interrupted: BTreeMap<GroupId, Birth>,
    /// Their `created` records are in batches that are not durable yet.
    logging: BTreeMap<GroupId, (Sequence, Birth)>,
    /// Durable in the log; the manifest does not say so yet.
    logged: Vec<Birth>,
    /// The write of the manifest under way is for these.
    recording: Vec<Birth>,
    /// Creations of group 0 at or below it are in `logging` or further, or done.
    pub(crate) taken_up_to: Index,
    /// Not everything that group 0 created can be carried out now: the manifest must not pass it.
    stalled: Option<Stall>,
    /// Whoever waits for the end of the formation.
    pub(crate) founders: Vec<Requester>,
}

impl Births {
    /// Everything that group 0 created up to here was carried out in earlier lives.
    pub(crate) fn after(created_up_to: Index) -> Self {
        Self {
            taken_up_to: created_up_to,
            ..Self::default()
        }
    }

    /// Why creations wait, if they do.
    pub(crate) fn stalled(&self) -> Option<&Stall> {
        self.stalled.as_ref()
    }

    /// Is a record of this group under way?
    pub(crate) fn has(&self, group: GroupId) -> bool {
        let is_it = |birth: &Birth| birth.group == group;
        self.logging.contains_key(&group)
            || self.logged.iter().any(is_it)
            || self.recording.iter().any(is_it)
    }

    /// Its `created` record was found, and nothing that it did: it never acted.
    pub(crate) fn on_interrupted(&mut self, birth: Birth) {
        self.interrupted.insert(birth.group, birth);
    }

    /// Group 0 created it: if its record is durable already, only the manifest is missing.
    fn resume(&mut self, group: GroupId) -> bool {
        let found = self.interrupted.remove(&group);
        let is_found = found.is_some();
        self.logged.extend(found);
        is_found
    }

    /// Its `created` record went into the batch of this sequence.
    pub(crate) fn on_logging(&mut self, sequence: Sequence, birth: Birth) {
        self.logging.insert(birth.group, (sequence, birth));
    }

    /// Everything up to this batch is durable.
    pub(crate) fn on_durable(&mut self, durable: Sequence) {
        let returned = self
            .logging
            .extract_if(.., |_, (sequence, _)| *sequence <= durable);
        self.logged.extend(returned.map(|(_, (_, birth))| birth));
    }

    /// May the manifest be written now, and for which births? All whose records are durable, at once: what one entry of
    /// group 0 created must be durable whole before the manifest passes that entry.
    pub(crate) fn begin_recording(&mut self) -> &[Birth] {
        if self.logging.is_empty() && self.recording.is_empty() && self.stalled.is_none() {
            self.recording = std::mem::take(&mut self.logged);
            &self.recording
        } else {
            &[]
        }
    }

    /// The manifest is durable: these replicas may act.
    pub(crate) fn take_recorded(&mut self) -> Vec<Birth> {
        std::mem::take(&mut self.recording)
    }
}

impl<S: Seams> Shard<S> {
    /// Gives a birth's record to the log.
    pub(crate) fn log_birth(&mut self, birth: Birth) {
        match self.means.log.create_group(birth.group, &birth.created) {
            Ok(sequence) => self.births.on_logging(sequence, birth),
            Err(error) => self.fail(error.into()),
        }
    }

    /// Why a birth cannot be carried out now.
    fn stall_of(&mut self, birth: &Birth) -> Option<Stall> {
        let (machine, options) = (&birth.created.machine, &birth.description.options);
        if self.registry.takes_options(machine, options) != Ok(true) {
            return Some(Stall::Machine {
                group: birth.group,
                machine: machine.clone(),
            });
        }
        let bytes = record::record_bytes(birth.created.encode().len());
        let log = &mut self.means.log;
        let has_room = log.group_count() < log.groups_max() && log.has_room(bytes);
        (!has_room).then_some(Stall::Room)
    }

    /// Carries out what group 0 created above what was taken already, if this node is a member. What cannot be
    /// carried out now is tried again, with what was created beside it, in a later turn.
    pub(crate) fn carry_out_creations(&mut self) {
        let Some(system) = self.groups.get(&GroupId::SYSTEM) else {
            return;
        };
        let applied = system.host.applied_index();
        if applied <= self.births.taken_up_to {
            return;
        }
        let above = self.births.taken_up_to;
        let Ok(list) = self.ask_system(&Creations { above }) else {
            return;
        };
        self.births.stalled = None;
        for creation in list.creations {
            let is_here = self.groups.contains_key(&creation.group)
                || self.births.has(creation.group)
                || creation.created <= self.manifest.created_up_to;
            if is_here || self.births.resume(creation.group) {
                continue;
            }
            let Some(birth) = Birth::of_creation(&creation, self.means.node) else {
                continue;
            };
            self.births.stalled = self.stall_of(&birth);
            if self.births.stalled.is_some() {
                return;
            }
            self.log_birth(birth);
        }
        self.births.taken_up_to = applied;
        self.record_births();
    }

    /// Writes the manifest once all records of births are durable.
    pub(crate) fn record_births(&mut self) {
        if self.manifest_files.is_none() {
            return;
        }
        let births = self.births.begin_recording();
        if births.is_empty() {
            return;
        }
        let mut manifest = self.manifest.clone();
        for birth in births {
            manifest.created_up_to = manifest.created_up_to.max(birth.description.created);
        }
        if let Some(genesis) = &self.founding
            && let Some(member) = genesis.member(self.facts.incarnation)
        {
            manifest.cluster = genesis.cluster_id();
            manifest.cluster_name = genesis.name().to_owned();
            manifest.node = member.node;
            manifest.founders =
                u16::try_from(genesis.nodes().len()).expect("a genesis names few nodes");
        }
        let Some(mut files) = self.manifest_files.take() else {
            return;
        };
        let inbox = self.means.cold.clone();
        self.means.log.disk().clone().spawn(Box::pin(async move {
            let result = files.replace(manifest.encode()).await;
            inbox.push(ColdDone::Recorded {
                files,
                manifest,
                result,
            });
        }));
    }

    /// The manifest is durable: the newly born may act.
    pub(crate) fn on_births_recorded(&mut self, manifest: NodeManifest) {
        self.means.node = manifest.node;
        self.manifest = manifest;
        for birth in self.births.take_recorded() {
            if let Err(error) = self.bear(&birth) {
                self.fail(error);
            }
        }
        if self.founding.take().is_some() {
            self.update_peers();
        }
        self.answer_founders();
        self.record_births();
    }

    fn bear(&mut self, birth: &Birth) -> Result<(), ShardError> {
        let group = birth.group;
        let configuration = birth
            .description
            .configuration()
            .ok_or(ShardError::Birth { group })?;
        let host = Host::new(
            &self.registry,
            &birth.created.machine,
            &birth.description.options,
            Birth::limits(),
        )
        .map_err(|error| ShardError::Host { group, error })?;
        let restored = margay_raft::Restored {
            configurations: vec![(Index::ZERO, configuration.clone())],
            ..margay_raft::Restored::default()
        };
        let replica = Replica::new(
            birth.created.replica,
            self.facts.raft,
            restored,
            self.seed_of(group),
        );
        let hosted = Hosted::new(
            birth.identity(),
            replica,
            host,
            (Index::ZERO, configuration),
            LogTime::ZERO,
        );
        self.adopt(hosted);
        Ok(())
    }

    /// A genesis that became durable in an earlier life, before the manifest said so.
    pub(crate) fn adopt_founding(&mut self) {
        if !self.manifest.cluster.is_zero() {
            return;
        }
        let Some(system) = self.groups.remove(&GroupId::SYSTEM) else {
            return;
        };
        let options = &system.identity.description.options;
        let Ok(genesis) = Genesis::decode(options) else {
            return;
        };
        if let Some(birth) = Birth::of_genesis(&genesis, self.facts.incarnation) {
            self.founding = Some(genesis);
            let durable = self.means.log.durable();
            self.births.on_logging(durable, birth);
            self.births.on_durable(durable);
            self.record_births();
        }
    }
}
