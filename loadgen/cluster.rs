//! The cluster under load: started for the run, or joined by its endpoints; and when it is ready.
//!
//! Ready means: every group of the keyspace has a replica that leads, as that replica's own node says.
//! Nodes that were started for the run must also have filled their spare segments, so that the measured
//! time does not compete with that; a node that fills writes, and one that is done is quiet.

use crate::console::Console;
use crate::failure::{Exit, Failure};
use crate::options::Run;
use crate::processes::Processes;
use crate::stop::Stop;
use margay_client::operator::{self, OperatorError};
use margay_types::{GroupId, NodeId};
use margay_wire::admin::{
    Durability, KeyspaceCreate, KeyspaceCreated, KeyspaceRefusal, Map, ReplicaRole, Status,
    StatusRequest,
};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

/// The machine that the generator knows.
pub(crate) const MACHINE: &str = "bench";

/// Version of the machine that its groups start with.
const MACHINE_VERSION: u32 = 1;

/// Name of a cluster that lives for one run.
const CLUSTER_NAME: &str = "loadgen";

/// Most groups in one answer of a node.
const PAGE_GROUPS: u32 = 1_024;

/// The longest that one question to the cluster takes.
const ASK_TIME: Duration = Duration::from_secs(5);

/// Between two looks at something that becomes ready.
const PAUSE: Duration = Duration::from_millis(50);

/// Looks until the cluster must be ready: half a minute.
const LOOKS_MAX: usize = 600;

/// A node that gave less than this to its disk between two looks is not filling segments.
const QUIET_BYTES: u64 = 64 << 10;

/// Quiet looks in a row: half a second without a write.
const QUIET_LOOKS: usize = 10;

/// A cluster that can be driven.
#[derive(Debug)]
pub(crate) struct Cluster {
    endpoints: Vec<String>,
    processes: Option<Processes>,
    map: Map,
    keyspace: String,
    groups: Vec<GroupId>,
}

/// What the nodes say of themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct NodeFacts {
    /// Version of their binary, with the commit where it is known.
    pub(crate) version: String,
    /// Shards of the node with the most of them.
    pub(crate) shards: usize,
    /// `proven`, `unproven` or `no`.
    pub(crate) durable: Option<&'static str>,
}

impl Cluster {
    /// Starts nodes, forms one cluster of them, and makes the keyspace.
    pub(crate) fn spawn(
        mut processes: Processes,
        options: &Run,
        stop: &Stop,
    ) -> Result<Self, Failure> {
        processes.start()?;
        stop.check()?;
        processes.bootstrap(CLUSTER_NAME, ASK_TIME * 4)?;
        stop.check()?;
        let endpoints = processes.addresses();
        Self::with_keyspace(endpoints, Some(processes), options, stop)
    }

    /// Joins a cluster that runs.
    pub(crate) fn join(options: &Run, stop: &Stop) -> Result<Self, Failure> {
        Self::with_keyspace(options.endpoints.clone(), None, options, stop)
    }

    fn with_keyspace(
        endpoints: Vec<String>,
        processes: Option<Processes>,
        options: &Run,
        stop: &Stop,
    ) -> Result<Self, Failure> {
        let groups = keyspace_groups(&endpoints, options)?;
        let mut cluster = Self {
            map: ask_map(&endpoints)?,
            endpoints,
            processes,
            keyspace: options.keyspace.clone(),
            groups,
        };
        cluster.wait_for_leaders(stop)?;
        cluster.wait_for_quiet(stop)?;
        Ok(cluster)
    }

    /// Where clients begin.
    pub(crate) fn endpoints(&self) -> &[String] {
        &self.endpoints
    }

    /// The groups to drive.
    pub(crate) fn groups(&self) -> &[GroupId] {
        &self.groups
    }

    /// Who is where.
    pub(crate) const fn map(&self) -> &Map {
        &self.map
    }

    /// The nodes, when they were started for this run.
    pub(crate) const fn processes(&self) -> Option<&Processes> {
        self.processes.as_ref()
    }

    /// The addresses of a group's members.
    pub(crate) fn members(&self, group: GroupId) -> Vec<(NodeId, String)> {
        let members = self.map.group(group).map(|group| group.members.as_slice());
        let place = |node: &NodeId| Some((*node, self.map.node(*node)?.address.clone()));
        members
            .unwrap_or_default()
            .iter()
            .filter_map(place)
            .collect()
    }

    /// What the nodes that answer say of themselves.
    pub(crate) fn node_facts(&self) -> NodeFacts {
        let statuses: Vec<Status> = self.map.nodes.iter().filter_map(status_of).collect();
        let own_version = self.processes.as_ref().and_then(Processes::version);
        let told = statuses.first().map(|status| status.version.clone());
        NodeFacts {
            version: own_version.or(told).unwrap_or_default(),
            shards: statuses
                .iter()
                .map(|status| status.shards.len())
                .max()
                .unwrap_or_default(),
            durable: durable(&statuses),
        }
    }

    fn wait_for_leaders(&mut self, stop: &Stop) -> Result<(), Failure> {
        let mut missing: BTreeSet<GroupId> = self.groups.iter().copied().collect();
        for _ in 0..LOOKS_MAX {
            self.check_alive()?;
            self.map = ask_map(&self.endpoints)?;
            for (group, _) in self.leaders() {
                missing.remove(&group);
            }
            if missing.is_empty() && self.has_whole_map() {
                return Ok(());
            }
            missing = self.groups.iter().copied().collect();
            stop.pause(PAUSE)?;
        }
        Err(Failure::new(Exit::NotReached, "groups have no leader")
            .with("groups", format!("{missing:?}"))
            .remedy("margay status   shows what is wrong"))
    }

    /// Who says of itself that it leads a group.
    pub(crate) fn leaders(&self) -> BTreeMap<GroupId, NodeId> {
        let mut leaders = BTreeMap::new();
        for node in &self.map.nodes {
            for group in status_of(node).into_iter().flat_map(|status| status.groups) {
                if group.role == ReplicaRole::Leader && group.stopped.is_none() {
                    leaders.insert(group.group, node.node);
                }
            }
        }
        leaders
    }

    fn has_whole_map(&self) -> bool {
        self.groups
            .iter()
            .all(|group| self.map.group(*group).is_some())
    }

    fn wait_for_quiet(&self, stop: &Stop) -> Result<(), Failure> {
        let Some(processes) = &self.processes else {
            return Ok(());
        };
        let mut written = processes.written_bytes().unwrap_or_default();
        let mut quiet_looks = 0;
        for _ in 0..LOOKS_MAX {
            stop.pause(PAUSE)?;
            processes.check_alive()?;
            let now_written = processes.written_bytes().unwrap_or_default();
            let is_quiet = now_written.saturating_sub(written) < QUIET_BYTES;
            quiet_looks = if is_quiet { quiet_looks + 1 } else { 0 };
            written = now_written;
            if quiet_looks == QUIET_LOOKS {
                return Ok(());
            }
        }
        Err(Failure::new(
            Exit::NotReached,
            "the nodes never stopped filling spare segments",
        )
        .with("written", format!("{written} bytes")))
    }

    fn check_alive(&self) -> Result<(), Failure> {
        self.processes
            .as_ref()
            .map_or(Ok(()), Processes::check_alive)
    }

    /// Where the nodes that were started for this run keep their data.
    pub(crate) fn directory(&self) -> Option<&Path> {
        self.processes.as_ref().map(Processes::directory)
    }
}

/// The groups of the keyspace, which is made when there is none.
fn keyspace_groups(endpoints: &[String], options: &Run) -> Result<Vec<GroupId>, Failure> {
    let what = "find the keyspace";
    let list = operator::keyspace_list(endpoints, ASK_TIME)
        .map_err(|error| Failure::of_operator(what, &error))?;
    let known = list
        .keyspaces
        .into_iter()
        .find(|keyspace| keyspace.name == options.keyspace);
    let Some(known) = known else {
        return create_keyspace(endpoints, options);
    };
    if known.machine == MACHINE {
        return Ok(known.groups);
    }
    Err(
        Failure::new(Exit::Refused, "the keyspace has another machine")
            .with("keyspace", &options.keyspace)
            .with("machine", known.machine)
            .with("needed", MACHINE)
            .remedy("name another keyspace by --keyspace; one that does not exist is made"),
    )
}

fn create_keyspace(endpoints: &[String], options: &Run) -> Result<Vec<GroupId>, Failure> {
    let request = KeyspaceCreate {
        name: options.keyspace.clone(),
        machine: MACHINE.to_owned(),
        machine_version: MACHINE_VERSION,
        options: Vec::new(),
        groups: options.groups,
        replicas: 0,
    };
    match operator::keyspace_create(endpoints, &request, ASK_TIME) {
        Ok(KeyspaceCreated::Created(made) | KeyspaceCreated::Existed(made)) => Ok(made.groups),
        Ok(KeyspaceCreated::Refused(refusal)) => {
            Err(Failure::new(Exit::Refused, "the keyspace cannot be made")
                .with("keyspace", &options.keyspace)
                .with("reason", refusal_text(&refusal)))
        }
        Err(error) => Err(Failure::of_operator("make the keyspace", &error)),
    }
}

fn refusal_text(refusal: &KeyspaceRefusal) -> String {
    match refusal {
        KeyspaceRefusal::Exists => "one of this name exists, made otherwise".to_owned(),
        KeyspaceRefusal::BadName => "a name has 1 to 64 of a-z A-Z 0-9 . _ -".to_owned(),
        KeyspaceRefusal::UnknownMachine => format!("no server knows the machine `{MACHINE}`"),
        KeyspaceRefusal::BadOptions => "the machine does not decode its options".to_owned(),
        KeyspaceRefusal::BadGroupCount { max } => format!("the cluster takes 1 to {max} groups"),
        KeyspaceRefusal::BadReplicaCount { max } => format!("1 to {max} members are possible"),
    }
}

fn ask_map(endpoints: &[String]) -> Result<Map, Failure> {
    operator::map(endpoints, ASK_TIME)
        .map_err(|error| Failure::of_operator("reach the cluster", &error))
}

/// The whole state of a node; `None` when it does not answer.
fn status_of(node: &margay_wire::admin::MapNode) -> Option<Status> {
    let mut status = page(&node.address, GroupId::SYSTEM).ok()?;
    while let Some(from_group) = status.more_from {
        let next = page(&node.address, from_group).ok()?;
        status.groups.extend(next.groups);
        // A node that sends the same page for ever is not worth an endless loop.
        status.more_from = next.more_from.filter(|more| *more > from_group);
    }
    Some(status)
}

fn page(address: &str, from_group: GroupId) -> Result<Status, OperatorError> {
    let request = StatusRequest {
        from_group,
        groups_max: PAGE_GROUPS,
    };
    operator::status(address, &request, ASK_TIME)
}

/// The least that any shard of any node says of its writes; `None` when no node answered.
fn durable(statuses: &[Status]) -> Option<&'static str> {
    let shards = statuses.iter().flat_map(|status| &status.shards);
    let rank = shards.map(|shard| match shard.durability {
        Durability::Memory => 0,
        Durability::Unproven => 1,
        Durability::Proven => 2,
    });
    rank.min().map(|least| ["no", "unproven", "proven"][least])
}

/// The stage's line.
pub(crate) fn announce(console: Console, cluster: &Cluster, facts: &NodeFacts, took: Duration) {
    let nodes = cluster.map.nodes.len();
    let verb = if cluster.processes.is_some() {
        "started"
    } else {
        "joined"
    };
    let (shards, groups) = (facts.shards, cluster.groups.len());
    let s = |count: usize| if count == 1 { "" } else { "s" };
    let durable = match facts.durable {
        Some("proven" | "unproven") => "durable",
        Some(_) => "in memory",
        None => "durability unknown",
    };
    let line = format!(
        "{verb} {nodes} node{} x {shards} shard{}, 1 keyspace `{}` of {groups} group{}, machine {MACHINE}, {durable}",
        s(nodes),
        s(shards),
        cluster.keyspace,
        s(groups),
    );
    console.stage(&format!("{line:<92} [{:.1} s]", took.as_secs_f64()));
}
