//! A shard: finds the group that an event is for, steps it, and ends the turn in the one legal order.
//!
//! ```text
//!   begin_turn   one time for all events of the turn; results of cold work
//!   on_*         frames, completed writes: each steps one group, and its effects are executed at once
//!   end_turn     0 ticks, told to whom they are due
//!                1 appends to followers              2 the open batch is submitted
//!                3 committed entries are applied, answers go out
//!                4 what that made possible: 1 and 2 again, and messages gathered for peers go out
//! ```

use crate::limits::{SHARD_APPLY_BYTES_PER_TURN, STOP_TICKS};
use crate::shard::agenda::Agenda;
use crate::shard::alarms::Alarms;
use crate::shard::attachments::Attachments;
use crate::shard::births::Births;
use crate::shard::cold::{ColdDone, ColdInbox, LoadFor, Loads};
use crate::shard::exit::Exit;
use crate::shard::hosted::Hosted;
use crate::shard::log_clock::Observed;
use crate::shard::means::Means;
use crate::shard::peers::Peers;
use crate::shard::responses::Responses;
use crate::shard::restore::{DamagedGroup, Found};
use crate::shard::siblings::{Siblings, Word};
use crate::shard::surveys::Surveys;
use crate::shard::upkeep::Upkeep;
use crate::shard::{Clock, Seams};
use crate::storage::manifest::ManifestFiles;
use crate::storage::node_manifest::NodeManifest;
use crate::storage::{Disk, Log, StorageError, WriteToken};
use margay_machine::{Answers, HostError, Registry};
use margay_raft::Options;
use margay_types::{ClusterId, GroupId, Incarnation, NodeId, ProcessLife, ShardId};
use margay_wire::admin::system::Directory;
use margay_wire::admin::{Durability, IoSettings, MapNode};
use margay_wire::genesis::Genesis;
use margay_wire::refusal::Refusal;
use std::collections::BTreeMap;
use std::io;

/// What a node knows of itself before it belongs to a cluster.
#[derive(Clone, Debug)]
pub struct NodeFacts {
    /// Its data directory.
    pub incarnation: Incarnation,
    /// Its process.
    pub life: ProcessLife,
    /// `host:port` that it listens on.
    pub address: String,
    /// Version of its binary.
    pub version: String,
    /// Are durable writes known to be durable?
    pub durability: Durability,
    /// How it writes.
    pub io: IoSettings,
    /// Timeouts and windows of its replicas.
    pub raft: Options,
    /// For so many ticks a leader that is not its group's home leads before it hands over.
    pub homing_ticks: u64,
    /// Differs between all lives of all nodes: seeds election timeouts.
    pub seed: u64,
    /// This shard.
    pub shard: ShardId,
    /// Shards of the node.
    pub shard_count: u16,
    /// The port of each.
    pub shard_ports: Vec<u16>,
}

/// What recovery leaves to a shard.
pub struct Restored<D: Disk> {
    /// The log, ready to be written.
    pub log: Log<D>,
    /// The replicas in it.
    pub found: Found,
    /// The node's manifest, as it says now.
    pub manifest: NodeManifest,
    /// Its files: shard 0 has them.
    pub manifest_files: Option<ManifestFiles<D>>,
}

/// Why a shard cannot go on. Its process ends.
#[derive(Debug, thiserror::Error)]
pub enum ShardError {
    /// The log, or the node's manifest, failed: nothing that was promised is lost, nothing more may be promised.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A replica cannot be rebuilt: the binary lacks its machine, or its checkpoint is damaged. Run the binary that the
    /// group was created with.
    #[error("group {group} cannot be rebuilt: {error:?}")]
    Host {
        /// Which group.
        group: GroupId,
        /// Why.
        error: HostError,
    },
    /// A `created` record makes no sense to this version.
    #[error("the birth of group {group} cannot be read by this version")]
    Birth {
        /// Which group.
        group: GroupId,
    },
}

/// All replicas of one core.
pub struct Shard<S: Seams> {
    pub(crate) facts: NodeFacts,
    pub(crate) registry: Registry,
    pub(crate) manifest: NodeManifest,
    pub(crate) manifest_files: Option<ManifestFiles<S::Disk>>,
    /// Each in a box: so the way to one of thousands leads through few lines of memory.
    pub(crate) groups: BTreeMap<GroupId, Box<Hosted>>,
    /// Replicas whose damage must be repaired first: they take no part in anything.
    pub(crate) damaged: Vec<DamagedGroup>,
    pub(crate) means: Means<S>,
    pub(crate) births: Births,
    pub(crate) siblings: Siblings,
    pub(crate) surveys: Surveys,
    /// The genesis whose birth is under way.
    pub(crate) founding: Option<Genesis>,
    pub(crate) started_ns: u64,
    pub(crate) turns: u64,
    pub(crate) requests: u64,
    /// The last group of which it was asked whether it should go home.
    pub(crate) looked_at: GroupId,
    /// Ticks of this turn that nobody was told of yet.
    pub(crate) ticks_to_tell: u64,
    pub(crate) stop_by_ticks: Option<u64>,
    failed: Option<ShardError>,
}

impl<S: Seams> Shard<S> {
    /// A shard with the replicas that recovery found. Those that this binary cannot run take no part, and its
    /// status names them.
    pub fn new(
        facts: NodeFacts,
        registry: Registry,
        restored: Restored<S::Disk>,
        outbox: S::Outbox,
        clock: S::Clock,
    ) -> Self {
        let now_ns = clock.now_ns();
        let means = Means {
            node: restored.manifest.node,
            log: restored.log,
            outbox: Exit::new(outbox, facts.shard),
            clock,
            now_ns,
            observed: Observed::new(now_ns),
            alarms: Alarms::new(u64::from(facts.raft.heartbeat_ticks.number())),
            homing_ticks: facts.homing_ticks,
            upkeep: Upkeep::default(),
            peers: Peers::default(),
            attachments: Attachments::new(facts.shard, facts.shard_count),
            responses: Responses::default(),
            cold: ColdInbox::default(),
            loads: Loads::default(),
            effects: Vec::new(),
            answers: Answers::new(),
            agenda: Agenda::default(),
            apply_bytes_left: SHARD_APPLY_BYTES_PER_TURN,
            failure: None,
        };
        let created_up_to = restored.manifest.created_up_to;
        let mut shard = Self {
            facts,
            registry,
            manifest: restored.manifest,
            manifest_files: restored.manifest_files,
            groups: BTreeMap::new(),
            damaged: restored.found.damaged,
            means,
            births: Births::after(created_up_to),
            siblings: Siblings::default(),
            surveys: Surveys::default(),
            founding: None,
            started_ns: now_ns,
            turns: 0,
            requests: 0,
            looked_at: GroupId::SYSTEM,
            ticks_to_tell: 0,
            stop_by_ticks: None,
            failed: None,
        };
        for group in restored.found.whole {
            shard.revive(group);
        }
        shard.tell_siblings(|| Word::Ready);
        shard.adopt_founding();
        shard.update_peers();
        shard.carry_out_creations();
        shard
    }

    /// A group, and the means that all groups share.
    pub(crate) fn group(
        &mut self,
        group: GroupId,
    ) -> Result<(&mut Hosted, &mut Means<S>), Refusal> {
        if self.manifest.cluster.is_zero() {
            return Err(Refusal::NotFormed);
        }
        let hosted = self.groups.get_mut(&group).ok_or(Refusal::UnknownGroup)?;
        hosted.catch_up(&mut self.means);
        Ok((&mut **hosted, &mut self.means))
    }

    /// Group 0, and the means that all groups share.
    pub(crate) fn system(&mut self) -> Result<(&mut Hosted, &mut Means<S>), Refusal> {
        self.group(GroupId::SYSTEM)
    }

    /// The turn begins: its events happen now.
    pub fn begin_turn(&mut self) {
        self.turns += 1;
        self.means.now_ns = self.means.clock.now_ns().max(self.means.now_ns);
        self.means.observed.observe(self.means.now_ns);
        self.means.apply_bytes_left = SHARD_APPLY_BYTES_PER_TURN;
        while self.means.apply_bytes_left > 0
            && let Some(done) = self.means.cold.take()
        {
            self.on_cold_done(done);
        }
        // What comes from disk has a share of its own, or it would starve what is in memory.
        self.means.apply_bytes_left = SHARD_APPLY_BYTES_PER_TURN;
    }

    fn on_cold_done(&mut self, done: ColdDone<S::Disk>) {
        match done {
            ColdDone::Loaded {
                group,
                purpose,
                result,
            } => {
                self.give_load_place();
                let Some(hosted) = self.groups.get_mut(&group) else {
                    return;
                };
                match (purpose, result) {
                    (LoadFor::Apply, Ok(records)) => {
                        hosted.on_committed_loaded(&mut self.means, &records.bytes);
                    }
                    (LoadFor::Append { to, append }, Ok(records)) => {
                        hosted.on_append_loaded(&mut self.means, to, append, &records);
                    }
                    (LoadFor::Apply, Err(error)) => hosted.on_unreadable(&mut self.means, &error),
                    (LoadFor::Append { .. }, Err(_)) => {}
                }
            }
            ColdDone::Recorded {
                files,
                manifest,
                result,
            } => {
                self.manifest_files = Some(files);
                match result {
                    Ok(()) => self.on_births_recorded(manifest),
                    Err(error) => self.fail(error.into()),
                }
            }
        }
    }

    /// A write of the log returned.
    pub fn on_written(&mut self, token: WriteToken, result: io::Result<usize>) {
        let durable = match self.means.log.on_written(token, result) {
            Ok(durable) => durable.to_vec(),
            Err(error) => {
                self.fail(error.into());
                return;
            }
        };
        for (group, write) in durable {
            if let Some(hosted) = self.groups.get_mut(&group) {
                hosted.on_written(&mut self.means, write);
            }
        }
        self.births.on_durable(self.means.log.durable());
        self.record_births();
    }

    /// The turn ends: what its events made possible leaves, in the one legal order.
    pub fn end_turn(&mut self) {
        if self.failed.is_some() {
            return;
        }
        self.tell_ticks();
        if let Some(error) = self.means.failure.take() {
            // What was refused is not in the log: nothing of this turn may be sent or applied.
            self.fail(error.into());
            return;
        }
        self.flush_groups();
        self.submit();
        let is_system_served = self.apply_groups();
        if self.births.stalled().is_some() || is_system_served {
            self.carry_out_creations();
        }
        self.flush_groups();
        self.submit();
        self.tell_taken();
        self.means.flush_peers();
        if let Some(error) = self.means.failure.take() {
            self.fail(error.into());
        }
    }

    /// Lets machines apply, up to what a turn allows. Groups for which nothing is left come first in the next turn,
    /// before those that have had a share and want more: nobody starves, and nobody's heartbeats wait for long. Gives
    /// whether group 0 had its share.
    fn apply_groups(&mut self) -> bool {
        let to_apply = self.means.agenda.take_to_apply();
        let mut served = 0;
        for group in &to_apply {
            if self.means.apply_bytes_left == 0 {
                break;
            }
            served += 1;
            if let Some(hosted) = self.groups.get_mut(group) {
                hosted.take_apply();
                hosted.apply_committed(&mut self.means);
                hosted.write_checkpoint(&mut self.means);
                hosted.arrange_upkeep(&mut self.means);
            }
        }
        let (served, left) = to_apply.split_at(served);
        self.means.agenda.put_first(left);
        served.contains(&GroupId::SYSTEM)
    }

    fn submit(&mut self) {
        let submitted = self.means.log.submit();
        self.means.note(submitted);
    }

    /// Sends what the turn made possible. After a write that the log refused nothing is sent: the entry is not there.
    fn flush_groups(&mut self) {
        if self.means.failure.is_some() {
            return;
        }
        for group in self.means.agenda.take_to_send() {
            if let Some(hosted) = self.groups.get_mut(&group) {
                hosted.take_send();
                hosted.flush(&mut self.means);
            }
        }
    }

    /// Is there more to do although nothing new has come, so that another turn should follow at once?
    pub fn has_more(&self) -> bool {
        !self.means.agenda.is_empty() || !self.means.cold.is_empty()
    }

    /// The process is asked to end: hand over what is led, and take no new leadership.
    pub fn request_stop(&mut self) {
        let until = self.means.alarms.tick() + STOP_TICKS;
        self.stop_by_ticks.get_or_insert(until);
        self.hand_over_all();
    }

    /// Has everything been handed over, or was it tried long enough?
    pub fn is_ready_to_stop(&self) -> bool {
        let Some(until) = self.stop_by_ticks else {
            return false;
        };
        let is_shared_leader = |hosted: &Hosted| {
            hosted.replica.is_leader() && hosted.replica.configuration().voters.len() > 1
        };
        self.means.alarms.tick() >= until
            || !self.groups.values().any(|hosted| is_shared_leader(hosted))
    }

    /// Why this shard cannot go on, once.
    pub fn take_failure(&mut self) -> Option<ShardError> {
        self.failed.take()
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.failed.is_some() || self.means.failure.is_some()
    }

    pub(crate) fn fail(&mut self, error: ShardError) {
        self.failed.get_or_insert(error);
    }

    /// Shard 0 learns from group 0 which nodes there are, and tells its siblings, who they are part of.
    pub(crate) fn update_peers(&mut self) {
        let nodes = match self.ask_system(&Directory) {
            Ok(directory) => directory.nodes,
            Err(_) => match self.genesis_of_damaged() {
                Some(genesis) => MapNode::all_of(&genesis),
                None => return,
            },
        };
        let manifest = self.manifest.clone();
        self.tell_siblings(|| Word::Membership {
            manifest: Box::new(manifest.clone()),
            nodes: nodes.clone(),
        });
        self.set_nodes(nodes);
    }

    /// A damaged group 0 says nothing; the genesis, which it was born with, still names the nodes. Its repair is
    /// nothing that the other groups could wait for.
    fn genesis_of_damaged(&self) -> Option<Genesis> {
        let mut damaged = self.damaged.iter();
        let system = damaged.find(|damaged| damaged.group == GroupId::SYSTEM)?;
        Genesis::decode(system.genesis.as_ref()?).ok()
    }

    /// The cluster that this node belongs to, and its number there: what its hellos say.
    pub fn membership(&self) -> Option<(ClusterId, NodeId)> {
        (!self.manifest.cluster.is_zero()).then_some((self.manifest.cluster, self.manifest.node))
    }
}
