//! `margay status`: what every node of a cluster says of itself, put together.
//!
//! Each node tells its own state; what only the whole shows (a group that nobody leads, a node that nobody
//! reaches, how far a replica is behind) is found here.

use super::Outcome;
use super::arguments::Globals;
use super::cluster::{Cluster, refused};
use super::connection::{Effect, NoAnswer};
use super::console::{Console, table};
use super::endpoint::Endpoint;
use super::overview::{Overview, Seen};
use crate::codes::{Exit, Failure};
use clap::Args;
use margay_types::GroupId;
use margay_wire::admin::{MapRequest, Status as NodeStatus, StatusRequest};
use std::collections::BTreeMap;

/// Groups in one answer.
const PAGE_GROUPS: u32 = 1024;

/// Show nodes, groups and what is wrong with them
#[derive(Args, Debug)]
pub(super) struct Status {}

impl Status {
    #[expect(
        clippy::unused_self,
        reason = "a verb without options is a verb all the same"
    )]
    pub(super) fn execute(&self, console: &Console, globals: &Globals) -> Outcome {
        let cluster = Cluster::new(globals);
        let map = cluster.ask(&MapRequest, Effect::Reads)?;
        let mut seen = BTreeMap::new();
        for node in &map.nodes {
            seen.insert(node.node, see(&cluster, &node.address));
        }
        let overview = Overview::new(&map, &seen);
        console.result(&overview, text);
        Ok(Exit::Done)
    }
}

/// Asks a node for its whole state; one that does not answer is seen as down, and why.
fn see(cluster: &Cluster<'_>, address: &str) -> Seen {
    let endpoint: Endpoint = match address.parse() {
        Ok(endpoint) => endpoint,
        Err(reason) => return Seen::Down(reason),
    };
    match all_pages(cluster, &endpoint) {
        Ok(status) => Seen::Up(Box::new(status)),
        Err(failure) => Seen::Down(failure.code().title().to_owned()),
    }
}

fn all_pages(cluster: &Cluster<'_>, endpoint: &Endpoint) -> Result<NodeStatus, Failure> {
    let mut status = page(cluster, endpoint, GroupId::SYSTEM)?;
    while let Some(from_group) = status.more_from {
        let next = page(cluster, endpoint, from_group)?;
        status.groups.extend(next.groups);
        // A node that sends the same page for ever is not worth an endless loop.
        status.more_from = next.more_from.filter(|more| *more > from_group);
    }
    Ok(status)
}

fn page(
    cluster: &Cluster<'_>,
    endpoint: &Endpoint,
    from_group: GroupId,
) -> Result<NodeStatus, Failure> {
    let request = StatusRequest {
        from_group,
        groups_max: PAGE_GROUPS,
    };
    cluster
        .ask_node(endpoint, &request, Effect::Reads)
        .map_err(|no| match no {
            NoAnswer::Failed(failure) => failure,
            NoAnswer::Refused(refusal) => refused(endpoint, &refusal),
        })
}

/// The table, one line about groups, one line per thing that is wrong.
fn text(overview: &Overview) -> String {
    let header = [
        "NODE", "ADDRESS", "STATE", "ROLE", "SHARDS", "REPLICAS", "LEADS", "LAG", "SESSIONS",
        "SPACE", "VERSION",
    ];
    let rows = overview.nodes.iter().map(|node| {
        vec![
            node.node.to_string(),
            node.address.clone(),
            node.state.clone(),
            node.role.clone(),
            node.shards.to_string(),
            node.replicas.to_string(),
            node.leads.to_string(),
            node.lag_entries.to_string(),
            node.sessions.to_string(),
            node.space.clone(),
            node.version.clone(),
        ]
    });
    let mut lines = vec![table(&header, rows), groups_line(overview)];
    for reason in &overview.health {
        lines.push(format!("M{} {}: {}", reason.code, reason.node, reason.text));
    }
    lines.join("\n")
}

fn groups_line(overview: &Overview) -> String {
    let groups = &overview.groups;
    let led = groups.count - groups.without_leader.len();
    let mut line = format!("groups {}: {led} led", groups.count);
    if !groups.without_leader.is_empty() {
        let names: Vec<String> = groups.without_leader.iter().map(u32::to_string).collect();
        line += &format!(", {} without a leader ({})", names.len(), names.join(" "));
    }
    if !groups.stopped.is_empty() {
        let names: Vec<String> = groups.stopped.iter().map(u32::to_string).collect();
        line += &format!(
            ", {} with a stopped machine ({})",
            names.len(),
            names.join(" ")
        );
    }
    line
}
