//! Three nodes on this machine, formed into a cluster by the command line.
//!
//! Clusters of one test run take turns: three processes and a load are all that a small machine can run in time.

use super::node::{Node, margay, text};
use super::waiting::eventually;
use margay_client::operator;
use margay_types::{GroupId, Index};
use margay_wire::admin::{Chain, GroupStatus, ReplicaRole};
use std::path::Path;
use std::process::Output;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tempfile::TempDir;

/// How long one question to a node may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
/// Small segments, so that a test sees many of them.
const SETTINGS: [&str; 1] = ["log.segment_bytes=8388608"];
/// What `bench` keyspaces are called here.
pub(crate) const KEYSPACE: &str = "bench";

static TURN: Mutex<()> = Mutex::new(());

/// Waits until no other cluster of this run is there.
pub(super) fn take_turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Nodes, and the directory that all of theirs lie in.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) nodes: Vec<Node>,
    directory: TempDir,
    _turn: MutexGuard<'static, ()>,
}

impl Cluster {
    /// Nodes that run and belong to nothing.
    pub(crate) fn blank(count: usize) -> Self {
        Self::blank_with_shards(&vec![1; count])
    }

    /// Nodes that run with so many shards each, and belong to nothing.
    pub(crate) fn blank_with_shards(shards: &[usize]) -> Self {
        let turn = take_turn();
        let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"));
        let directory = directory.expect("the build folder is writable");
        let nodes = (1..).zip(shards).map(|(number, shards)| {
            let name = format!("n{number}");
            let node = Node::format(directory.path(), &name, &SETTINGS);
            let mut node = node.with_shards(*shards);
            node.start();
            node
        });
        Self {
            nodes: nodes.collect(),
            directory,
            _turn: turn,
        }
    }

    /// Three nodes, formed, with a keyspace of so many `bench` groups that have leaders.
    pub(crate) fn with_groups(groups: u32) -> Self {
        Self::with_groups_on(groups, &[1, 1, 1])
    }

    /// The same on nodes with so many shards each.
    pub(crate) fn with_groups_on(groups: u32, shards: &[usize]) -> Self {
        let cluster = Self::blank_with_shards(shards);
        cluster.form(groups, &cluster.endpoints());
        cluster
    }

    /// Forms a cluster of the nodes, which call each other by these addresses, with a keyspace of so many `bench`
    /// groups that have leaders.
    pub(crate) fn form(&self, groups: u32, addresses: &[String]) {
        let nodes = addresses.join(",");
        self.succeeds(&["bootstrap", "--name", "prod", "--nodes", &nodes]);
        let count = groups.to_string();
        self.succeeds(&[
            "keyspace",
            "create",
            KEYSPACE,
            "--machine",
            "bench",
            "--groups",
            &count,
        ]);
        for group in self.groups() {
            self.leader(group);
        }
    }

    /// A directory for whatever else a test needs.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// All addresses.
    pub(crate) fn endpoints(&self) -> Vec<String> {
        self.nodes.iter().map(Node::address).collect()
    }

    /// Runs an operator's command against the nodes.
    pub(crate) fn operator(&self, arguments: &[&str]) -> Output {
        let endpoints = self.endpoints().join(",");
        let mut command = margay(arguments);
        command.args(["-e", &endpoints, "--timeout", "30s"]);
        command.output().expect("the binary was built")
    }

    /// Runs an operator's command that must succeed, and gives what it printed.
    pub(crate) fn succeeds(&self, arguments: &[&str]) -> String {
        let output = self.operator(arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).expect("it prints text")
    }

    /// The groups of the keyspace.
    pub(crate) fn groups(&self) -> Vec<GroupId> {
        eventually("the groups of the keyspace", || {
            let map = operator::map(&self.endpoints(), ANSWER_TIMEOUT);
            let map = map.map_err(|error| error.to_string())?;
            let keyspace = map.keyspace(KEYSPACE).ok_or("no keyspace")?;
            Ok::<_, String>(keyspace.groups.clone())
        })
    }

    /// Which node leads a group: of several that say so, the one of the greatest term. Waits until one does.
    pub(crate) fn leader(&self, group: GroupId) -> usize {
        self.leader_among(group, |_| true)
    }

    /// Which of some nodes leads a group.
    pub(crate) fn leader_among(&self, group: GroupId, asked: impl Fn(usize) -> bool) -> usize {
        eventually("a leader", || {
            let leaders = self.nodes.iter().enumerate().filter_map(|(at, node)| {
                let is_asked = node.is_running() && asked(at);
                let replica = is_asked.then(|| replica(node, group))?.ok()?;
                (replica.role == ReplicaRole::Leader).then_some((replica.term, at))
            });
            leaders.max().map(|(_, at)| at).ok_or("nobody leads")
        })
    }

    /// Waits until all replicas of a group have applied the same entries, and demands that they computed the same.
    pub(crate) fn demand_agreement(&self, group: GroupId) {
        let chains: Vec<Chain> = eventually("replicas at one index", || {
            let chains: Result<Vec<Chain>, _> = self
                .nodes
                .iter()
                .map(|node| operator::chain(&node.address(), group, ANSWER_TIMEOUT))
                .collect();
            let chains = chains.map_err(|error| error.to_string())?;
            let indexes: Vec<Index> = chains.iter().map(|chain| chain.applied.index).collect();
            let is_one = indexes.windows(2).all(|pair| pair[0] == pair[1]);
            let is_begun = indexes.iter().all(|index| *index > Index::ZERO);
            (is_one && is_begun)
                .then_some(chains)
                .ok_or(format!("{indexes:?}"))
        });
        for pair in chains.windows(2) {
            assert_eq!(
                pair[0], pair[1],
                "replicas of {group} computed different things"
            );
        }
    }

    /// Demands that the replicas of all groups agree, and that every node ends well.
    pub(crate) fn finish(mut self) {
        for group in self.groups() {
            self.demand_agreement(group);
        }
        for node in &mut self.nodes {
            let ended = node.stop();
            assert!(ended.success(), "{} ended {ended}", node.address());
        }
    }

    /// A node on a directory beside the cluster that was formatted before; it does not run yet.
    pub(crate) fn existing(&self, name: &str, shards: usize) -> Node {
        Node::on(self.directory(), name, &SETTINGS).with_shards(shards)
    }

    /// A blank node beside the cluster, which does not run yet.
    pub(crate) fn stranger(&self, name: &str) -> Node {
        Node::format(self.directory(), name, &SETTINGS)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("data of the nodes: {}", text(self.directory()));
            self.nodes.iter().for_each(Node::show);
        }
    }
}

/// A node's replica of a group.
pub(crate) fn replica(node: &Node, group: GroupId) -> Result<GroupStatus, String> {
    let status = node.status()?;
    let mut groups = status.groups.into_iter();
    groups
        .find(|found| found.group == group)
        .ok_or_else(|| format!("{} has no replica of {group}", node.address()))
}
