//! One replica with everything that its process holds, and what outlives the process.

use super::disk::Disk;
use super::event::{Members, role_name};
use super::log::{At, Log, Record};
use super::twin::Twin;
use margay_raft::configuration::Configuration;
use margay_raft::{EntryKind, Options, Position, ReadId, Replica, Restored, Role, TermRun};
use margay_types::{Index, ReplicaNumber, Term};
use std::collections::BTreeMap;
use std::fmt;

/// A replica, running or crashed.
pub(crate) struct Member {
    pub(crate) number: ReplicaNumber,
    /// Counts the starts of its process, from 1; 0 before the first.
    pub(crate) life: u64,
    pub(crate) disk: Disk,
    /// All that is written, durable or not; as on disk when a life begins.
    pub(crate) log: Log,
    /// `None` while the process is down.
    pub(crate) replica: Option<Replica>,
    /// The same core, told of ticks late.
    pub(crate) twin: Option<Twin>,
    /// What the core reported last.
    pub(crate) role: Role,
    pub(crate) commit_index: Index,
    /// Ticks of this life, and the one at which a leader of its term was last heard.
    pub(crate) ticks: u64,
    pub(crate) leader_heard: Option<u64>,
    /// The term in which a leader wanted it to campaign.
    pub(crate) asked_to_lead: Option<Term>,
    /// The lives of others that its connections are with.
    pub(crate) lives: BTreeMap<ReplicaNumber, u64>,
    /// Is there room for entries of a leader?
    pub(crate) has_room: bool,
    /// Reads that wait, each with the index that was committed when it was asked.
    pub(crate) reads: BTreeMap<ReadId, Index>,
    /// Configurations at and below the log floor: they are in the checkpoint.
    checkpointed: Vec<(Index, Configuration)>,
    /// Those of the entries in the log, kept as entries come and go.
    in_log: Vec<(Index, Configuration)>,
}

/// One line on where it stands.
impl fmt::Display for Member {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.number;
        let Some(core) = &self.replica else {
            return write!(
                formatter,
                "n{number} down, disk ends at {}",
                At(self.disk.log().last())
            );
        };
        write!(
            formatter,
            "n{number} {} @{} commit={} durable={} last={} {}",
            role_name(core.role()),
            core.term(),
            core.commit_index(),
            core.durable_index(),
            At(core.last_position()),
            Members(core.configuration()),
        )
    }
}

impl Member {
    /// A replica that was never started, with the configuration that its group was created with.
    pub(crate) fn new(number: ReplicaNumber, created: Configuration) -> Self {
        Self {
            number,
            life: 0,
            disk: Disk::default(),
            log: Log::default(),
            replica: None,
            twin: None,
            role: Role::Follower,
            commit_index: Index::ZERO,
            has_room: true,
            ticks: 0,
            leader_heard: None,
            asked_to_lead: None,
            lives: BTreeMap::new(),
            reads: BTreeMap::new(),
            checkpointed: vec![(Index::ZERO, created)],
            in_log: Vec::new(),
        }
    }

    /// The next life begins, with nothing but what is on disk.
    pub(crate) fn start(&mut self, options: Options, seed: u64) {
        assert!(self.replica.is_none(), "n{} runs already", self.number);
        self.life += 1;
        self.log = self.disk.log().clone();
        self.in_log = self
            .log
            .records()
            .iter()
            .filter_map(configuration_in)
            .collect();
        self.role = Role::Follower;
        self.ticks = 0;
        self.leader_heard = None;
        self.asked_to_lead = None;
        self.lives.clear();
        self.reads.clear();
        let restored = self.restored();
        self.commit_index = restored.commit_index;
        let seed = seed ^ (u64::from(self.number.number()) << 32) ^ self.life;
        let replica = Replica::new(self.number, options, restored, seed);
        self.twin = Some(Twin::new(&replica));
        self.replica = Some(replica);
    }

    /// The process dies: `kept` writes under way reach the disk all the same.
    pub(crate) fn crash(&mut self, kept: usize) {
        self.replica = None;
        self.twin = None;
        self.disk.crash(kept);
    }

    /// The core of a process that runs.
    pub(crate) fn core(&self) -> &Replica {
        self.replica
            .as_ref()
            .expect("the script names a replica that runs")
    }

    /// The core of a process that runs, and its twin.
    pub(crate) fn cores_mut(&mut self) -> (&mut Replica, &mut Twin) {
        let cores = self.replica.as_mut().zip(self.twin.as_mut());
        cores.expect("only a replica that runs takes inputs")
    }

    /// For how many more ticks it must not vote, having heard a leader or just having started.
    pub(crate) fn sticky_ticks(&self, timeout_ticks: u32) -> u64 {
        let since = self.ticks - self.leader_heard.unwrap_or(0);
        u64::from(timeout_ticks).saturating_sub(since)
    }

    /// The configuration in force by what stands in the log, or in the checkpoint below it.
    pub(crate) fn configuration(&self) -> &Configuration {
        let newest = self.in_log.last().or(self.checkpointed.last());
        &newest.expect("the creating one is always there").1
    }

    /// An entry joins the log.
    pub(crate) fn append(&mut self, record: Record) {
        self.in_log.extend(configuration_in(&record));
        self.log.push(record);
    }

    /// Entries at and behind `from` go, and the configurations in them.
    pub(crate) fn truncate(&mut self, from: Index) {
        self.in_log.retain(|(index, _)| *index < from);
        self.log.truncate(from);
    }

    /// The log up to `index` is in a checkpoint and goes.
    pub(crate) fn reclaim(&mut self, index: Index) {
        self.checkpointed = self.configurations_up_to(index);
        self.in_log.retain(|(at, _)| *at > index);
        self.log.reclaim(index);
        self.disk.reclaim(index);
    }

    /// Configurations that a checkpoint at `index` must hold.
    pub(crate) fn configurations_up_to(&self, index: Index) -> Vec<(Index, Configuration)> {
        let all = self.checkpointed.iter().chain(&self.in_log);
        all.filter(|(at, _)| *at <= index).cloned().collect()
    }

    /// A checkpoint of another replica arrived while no process runs here.
    pub(crate) fn install(&mut self, floor: Position, configurations: Vec<(Index, Configuration)>) {
        assert!(
            self.replica.is_none(),
            "a checkpoint is installed beside the old state"
        );
        if self.disk.log().position(floor.index) == Some(floor) {
            self.disk.reclaim(floor.index);
        } else {
            self.disk.install(floor);
        }
        self.checkpointed = configurations;
    }

    fn restored(&self) -> Restored {
        let log = self.disk.log();
        let term_runs = log.term_firsts().into_iter();
        let commit_index = log.floor().index;
        let mut configurations = self.configurations_up_to(log.last().index);
        let newest_committed = configurations.partition_point(|(index, _)| *index <= commit_index);
        configurations.drain(..newest_committed.saturating_sub(1));
        Restored {
            hard_state: self.disk.hard_state(),
            floor: log.floor(),
            term_runs: term_runs
                .map(|(first, term)| TermRun { first, term })
                .collect(),
            last_index: log.last().index,
            commit_index,
            configurations,
        }
    }
}

fn configuration_in(record: &Record) -> Option<(Index, Configuration)> {
    let is_one = record.kind == EntryKind::Configuration;
    let decode = || Configuration::decode(&record.payload).expect("the core encoded it");
    is_one.then(|| (record.position.index, decode()))
}
