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
use crate::shard::birth::Birth;
use crate::shard::cold::ColdDone;
use crate::shard::hosted::Hosted;
use crate::shard::shard::{Shard, ShardError};
use crate::shard::sibling_births::SiblingBirths;
use crate::shard::waiters::Requester;
use crate::storage::node_manifest::NodeManifest;
use crate::storage::{Disk, Sequence, record};
use margay_machine::Host;
use margay_raft::Replica;
#[cfg(feature = "mutants")]
use margay_types::mutant::{self, Mutant};
use margay_types::{GroupId, Index, LogTime, ShardId};
use margay_wire::admin::system::Creations;
use margay_wire::genesis::Genesis;
use std::collections::{BTreeMap, VecDeque};

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
    logged: BTreeMap<GroupId, Birth>,
    /// The write of the manifest under way is for these.
    recording: BTreeMap<GroupId, Birth>,
    /// Creations of group 0 at or below it are in `logging` or further, or done.
    pub(crate) taken_up_to: Index,
    /// Not everything that group 0 created can be carried out now: the manifest must not pass it.
    pub(crate) stalled: Option<Stall>,
    /// Of `logged`, those that a sibling of shard 0 has not reported to it.
    unreported: Vec<GroupId>,
    /// What a sibling of shard 0 was told and could not carry out yet.
    pub(crate) waiting: VecDeque<Birth>,
    /// What siblings carry out, as shard 0 knows it.
    pub(crate) siblings: SiblingBirths,
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
        self.logging.contains_key(&group)
            || self.logged.contains_key(&group)
            || self.recording.contains_key(&group)
            || self.siblings.has(group)
    }

    /// Its `created` record was found, and nothing that it did: it never acted.
    pub(crate) fn on_interrupted(&mut self, birth: Birth) {
        self.interrupted.insert(birth.group, birth);
    }

    /// Group 0 created it: if its record is durable already, only the manifest is missing.
    pub(crate) fn resume(&mut self, group: GroupId) -> bool {
        let found = self.interrupted.remove(&group);
        let is_found = found.is_some();
        self.on_logged_here(found);
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
        let returned: Vec<Birth> = returned.map(|(_, (_, birth))| birth).collect();
        self.on_logged_here(returned);
    }

    /// A sibling was told of a birth whose record its log has, and cannot use: shard 0 need not wait for it.
    pub(crate) fn on_damaged_here(&mut self, group: GroupId) {
        self.unreported.push(group);
    }

    fn on_logged_here(&mut self, births: impl IntoIterator<Item = Birth>) {
        for birth in births {
            self.unreported.push(birth.group);
            self.logged.insert(birth.group, birth);
        }
    }

    /// May the manifest be written now, and up to which entry of group 0? For all whose records are durable, at once:
    /// what one entry created must be durable whole before the manifest passes that entry.
    pub(crate) fn begin_recording(&mut self) -> Option<Index> {
        let is_settled = self.logging.is_empty()
            && self.recording.is_empty()
            && self.stalled.is_none()
            && self.siblings.is_settled();
        if !is_settled {
            return None;
        }
        self.recording = std::mem::take(&mut self.logged);
        self.unreported.clear();
        let here = self.recording.values();
        let here = here.map(|birth| birth.description.created).max();
        here.max(self.siblings.begin_recording())
    }

    /// Groups of a sibling whose records are durable, and of which shard 0 does not know yet.
    pub(crate) fn take_unreported(&mut self) -> Vec<GroupId> {
        std::mem::take(&mut self.unreported)
    }

    /// The manifest is durable: these replicas of a sibling may act.
    pub(crate) fn take_logged(&mut self, groups: &[GroupId]) -> Vec<Birth> {
        let recorded = groups.iter().map(|group| self.logged.remove(group));
        recorded
            .map(|birth| birth.expect("shard 0 records what was reported to it"))
            .collect()
    }

    /// The manifest is durable: these replicas may act.
    pub(crate) fn take_recorded(&mut self) -> impl Iterator<Item = Birth> + use<> {
        std::mem::take(&mut self.recording).into_values()
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
    pub(crate) fn stall_of(&mut self, birth: &Birth) -> Option<Stall> {
        let unfit = self.unfit_for(birth);
        if unfit.is_some() {
            return unfit;
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
        let mut elsewhere = Vec::new();
        for creation in list.creations {
            let is_here = self.groups.contains_key(&creation.group)
                || self.is_damaged(creation.group)
                || self.births.has(creation.group)
                || creation.created <= self.manifest.created_up_to;
            if is_here || self.births.resume(creation.group) {
                continue;
            }
            let Some(birth) = Birth::of_creation(&creation, self.means.node) else {
                continue;
            };
            let is_elsewhere = self.home_of(birth.group) != self.facts.shard;
            self.births.stalled = match is_elsewhere {
                true => self.unfit_for(&birth),
                false => self.stall_of(&birth),
            };
            if self.births.stalled.is_some() {
                break;
            }
            match is_elsewhere {
                true => elsewhere.push(birth),
                false => self.log_birth(birth),
            }
        }
        self.tell_births(elsewhere);
        if self.births.stalled.is_none() {
            self.births.taken_up_to = applied;
            self.record_births();
        }
    }

    /// Writes the manifest once all records of births are durable.
    pub(crate) fn record_births(&mut self) {
        #[cfg(feature = "mutants")]
        self.bear_unrecorded();
        if self.facts.shard != ShardId::FIRST {
            self.report_logged();
            return;
        }
        if self.manifest_files.is_none() {
            return;
        }
        let Some(created) = self.births.begin_recording() else {
            return;
        };
        let mut manifest = self.manifest.clone();
        manifest.created_up_to = manifest.created_up_to.max(created);
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

    /// What no shard may do: whatever is durable in its log acts, whether or not the manifest knows.
    #[cfg(feature = "mutants")]
    fn bear_unrecorded(&mut self) {
        if !mutant::is(Mutant::ActsBeforeManifest) || self.founding.is_some() {
            return;
        }
        for (_, birth) in self.births.logged.clone() {
            if let Err(error) = self.bear(&birth) {
                self.fail(error);
            }
        }
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
        self.tell_recorded();
        if self.founding.take().is_some() {
            self.update_peers();
        }
        self.answer_founders();
        self.record_births();
    }

    pub(crate) fn bear(&mut self, birth: &Birth) -> Result<(), ShardError> {
        let group = birth.group;
        #[cfg(feature = "mutants")]
        if mutant::is(Mutant::ActsBeforeManifest) && self.groups.contains_key(&group) {
            return Ok(());
        }
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
