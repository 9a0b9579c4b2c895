//! `margay status`: what every node of a cluster says of itself, put together.
//!
//! Each node tells its own state; what only the whole shows (a group that nobody leads, a node that nobody
//! reaches, how far a replica is behind) is found here.

use super::Outcome;
use super::arguments::Globals;
use super::console::{Console, table};
use super::operator_failure::{Named, operator_failure};
use super::overview::{Overview, Reason, Seen};
use crate::codes::Exit;
use clap::Args;
use margay_client::operator::{Deadline, OperatorError, ask, ask_cluster};
use margay_types::GroupId;
use margay_wire::admin::{MapRequest, Status as NodeStatus, StatusRequest};
use std::collections::BTreeMap;
use std::time::Duration;

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
        let deadline = Deadline::after(globals.timeout);
        let map = ask_cluster(&globals.addresses(), &MapRequest, deadline)
            .map_err(|error| operator_failure(error, Named::ByEndpoints))?;
        let mut seen = BTreeMap::new();
        for (asked, node) in map.nodes.iter().enumerate() {
            let share = deadline.share(map.nodes.len() - asked);
            seen.insert(node.node, see(&node.address, share));
        }
        let overview = Overview::new(&map, &seen);
        console.result(&overview, text);
        Ok(Exit::Done)
    }
}

/// Asks a node for its whole state; one that does not answer is seen as down, and why.
fn see(address: &str, deadline: Deadline) -> Seen {
    match all_pages(address, deadline) {
        Ok(status) => Seen::Up(Box::new(status)),
        Err(error) => Seen::Down(operator_failure(error, Named::ByEndpoints)),
    }
}

fn all_pages(address: &str, deadline: Deadline) -> Result<NodeStatus, OperatorError> {
    let page = |from_group| {
        let request = StatusRequest {
            from_group,
            groups_max: PAGE_GROUPS,
        };
        ask(address, &request, deadline)
    };
    let mut status = page(GroupId::SYSTEM)?;
    while let Some(from_group) = status.more_from {
        let next = page(from_group)?;
        status.groups.extend(next.groups);
        // A node that sends the same page for ever is not worth an endless loop.
        status.more_from = next.more_from.filter(|more| *more > from_group);
    }
    Ok(status)
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
    lines.extend(overview.health.iter().map(reason_line));
    lines.join("\n")
}

/// `M212 n2:7400 shard 3: the facts, for 41s`.
fn reason_line(reason: &Reason) -> String {
    let mut line = format!("M{} {}", reason.code, reason.node);
    if let Some(shard) = reason.shard {
        line += &format!(" shard {shard}");
    }
    if let Some(group) = reason.group {
        line += &format!(" group {group}");
    }
    line += &format!(": {}", reason.text);
    if let Some(since_ms) = reason.since_ms.filter(|since_ms| *since_ms > 0) {
        // Below a second nobody counts, above it nobody reads the rest.
        let since = match Duration::from_millis(since_ms) {
            short if short < Duration::from_secs(1) => short,
            long => Duration::from_secs(long.as_secs()),
        };
        line += &format!(", for {}", humantime::format_duration(since));
    }
    line
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
