//! `margay inspect manifest`: who the node is and which files count, by the manifests alone. No log is read.

use super::super::Outcome;
use super::super::arguments::Globals;
use super::super::console::Console;
use super::Place;
use super::data_directory::{DataDirectory, LogDirectory};
use super::manifest_view::{
    CopiesView, SegmentView, counted, or_dash, segment_table, size, unusable,
};
use crate::codes::Exit;
use crate::storage::node_manifest::NodeManifest;
use clap::Args;
use serde::Serialize;

/// Show who the node is, and which segments its logs have
#[derive(Args, Debug)]
pub(super) struct Manifest {
    #[command(flatten)]
    place: Place,
}

/// All manifests of a directory.
#[derive(Serialize)]
struct Report {
    schema: u32,
    directory: String,
    manifest: CopiesView,
    /// Nothing when neither copy can be used.
    node: Option<NodeView>,
    logs: Vec<LogView>,
    unlisted_logs: Vec<u32>,
}

/// What the node's manifest says; what a node that is part of no cluster does not have is left out.
#[derive(Serialize)]
struct NodeView {
    incarnation: String,
    cluster: Option<String>,
    cluster_name: Option<String>,
    node: Option<u16>,
    founders: u16,
    shard_count: u16,
    placement_epoch: u64,
    process_life: Option<String>,
    honoured_election_ticks: u32,
    created_up_to: u64,
}

/// A log and its manifest.
#[derive(Serialize)]
struct LogView {
    log: u32,
    directory: String,
    placement_epoch: Option<u64>,
    manifest: CopiesView,
    segment_bytes: Option<u64>,
    segments: Vec<SegmentView>,
}

impl Manifest {
    pub(super) fn execute(&self, console: &Console, globals: &Globals) -> Outcome {
        let found = self.place.open(console, globals)?;
        found.demand_unused()?;
        let report = Report {
            schema: 1,
            directory: found.path.display().to_string(),
            manifest: CopiesView::of(&found.node),
            node: found.node.said.as_ref().ok().map(NodeView::of),
            logs: found.logs.iter().map(LogView::of).collect(),
            unlisted_logs: found.unlisted.clone(),
        };
        console.result(&report, |report| text(&found, report));
        Ok(complain(console, &found))
    }
}

/// Names the manifests that tell nothing: nobody goes on without them.
fn complain(console: &Console, found: &DataDirectory) -> Exit {
    let node = found.node.said.as_ref().err();
    let node = node.map(|error| unusable(&found.path, None, *error));
    let logs = found.logs.iter().filter_map(|log| {
        let error = log.manifest.said.as_ref().err()?;
        Some(unusable(&log.path, Some(log.id), *error))
    });
    let mut exit = Exit::Done;
    for failure in node.into_iter().chain(logs) {
        console.fail(&failure);
        exit = Exit::ConditionFalse;
    }
    exit
}

impl NodeView {
    fn of(node: &NodeManifest) -> Self {
        let is_member = !node.cluster.is_zero();
        let life = node.process_life.number();
        Self {
            incarnation: node.incarnation.to_string(),
            cluster: is_member.then(|| node.cluster.to_string()),
            cluster_name: is_member.then(|| node.cluster_name.clone()),
            node: is_member.then(|| node.node.number()),
            founders: node.founders,
            shard_count: node.shard_count,
            placement_epoch: node.placement_epoch,
            process_life: (life > 0).then(|| format!("{life:016x}")),
            honoured_election_ticks: node.honoured_election.number(),
            created_up_to: node.created_up_to.number(),
        }
    }

    fn lines(&self) -> Vec<String> {
        let cluster = match (&self.cluster_name, &self.cluster) {
            (Some(name), Some(id)) => format!("{name} {id}"),
            (Some(_) | None, None) | (None, Some(_)) => {
                "none yet: waits for a bootstrap".to_owned()
            }
        };
        let founders = usize::from(self.founders);
        let node = match self.node {
            Some(node) => format!("{node}, formed of {}", counted(founders, "node", "nodes")),
            None => "has no number yet".to_owned(),
        };
        let life = match &self.process_life {
            Some(life) => life.clone(),
            None => "it was never started".to_owned(),
        };
        let timeout = match self.honoured_election_ticks {
            0 => "none was told to others".to_owned(),
            ticks => format!("{ticks} ticks were told to others"),
        };
        [
            ("cluster", cluster),
            ("node", node),
            ("node incarnation", self.incarnation.clone()),
            (
                "shards",
                format!("{}, placement {}", self.shard_count, self.placement_epoch),
            ),
            ("last process life", life),
            ("election timeout", timeout),
            (
                "groups",
                format!("created up to entry {} of group 0", self.created_up_to),
            ),
        ]
        .into_iter()
        .map(|(key, value)| format!("{key:<18} {value}"))
        .collect()
    }
}

impl LogView {
    fn of(log: &LogDirectory) -> Self {
        let manifest = log.manifest.said.as_ref().ok();
        let segments = manifest.map(|manifest| &manifest.segments[..]);
        let segments = segments.unwrap_or_default();
        Self {
            log: log.id,
            directory: log.path.display().to_string(),
            placement_epoch: log.placement_epoch,
            manifest: CopiesView::of(&log.manifest),
            segment_bytes: manifest.map(|manifest| manifest.segment_bytes),
            segments: segments.iter().map(SegmentView::listed).collect(),
        }
    }

    fn text(&self) -> String {
        let segments = match self.segment_bytes {
            Some(bytes) => format!(
                "{} of {}",
                counted(self.segments.len(), "segment", "segments"),
                size(bytes)
            ),
            None => "nobody knows its segments".to_owned(),
        };
        let mut lines = vec![
            format!(
                "log {}   {}   placement {}   {segments}",
                self.log,
                self.directory,
                or_dash(self.placement_epoch)
            ),
            self.manifest.table(),
        ];
        if !self.segments.is_empty() {
            lines.push(segment_table(&self.segments));
        }
        lines.join("\n")
    }
}

fn text(found: &DataDirectory, report: &Report) -> String {
    let mut parts = vec![format!("{}\n{}", found.title(), report.manifest.table())];
    parts.extend(report.node.as_ref().map(|node| node.lines().join("\n")));
    parts.extend(report.logs.iter().map(LogView::text));
    parts.extend(found.notes());
    parts.join("\n\n")
}
