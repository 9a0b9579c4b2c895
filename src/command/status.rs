//! `margay status`: what every node of a cluster says of itself, put together.
//!
//! Each node tells its own state; what only the whole shows (a group that nobody leads, a node that nobody
//! reaches, how far a replica is behind) is found here.

use super::Outcome;
use super::arguments::Globals;
use super::console::{Console, columns, table};
use super::overview::{NodeOverview, Overview};
use super::reason::rows;
use super::survey::Survey;
use crate::codes::Exit;
use clap::Args;
use margay_client::operator::Deadline;

/// Show nodes, groups and what is wrong with them
#[derive(Args, Debug)]
pub(super) struct Status {}

impl Status {
    #[expect(
        clippy::unused_self,
        reason = "a verb without options is a verb all the same"
    )]
    pub(super) fn execute(&self, console: &Console, globals: &Globals) -> Outcome {
        let survey = Survey::of(&globals.addresses(), Deadline::after(globals.timeout))?;
        console.result(&Overview::new(&survey), text);
        Ok(Exit::Done)
    }
}

/// The table, one line about groups, one line per thing that is wrong.
fn text(overview: &Overview) -> String {
    let header = [
        "NODE", "ADDRESS", "STATE", "ROLE", "SHARDS", "REPLICAS", "LEADS", "LAG", "SESSIONS",
        "HOPPED", "SPACE", "VERSION",
    ];
    let mut lines = vec![
        table(&header, overview.nodes.iter().map(node_row)),
        groups_line(overview),
    ];
    if !overview.is_healthy() {
        lines.push(columns(rows(&overview.health).into_iter()));
    }
    lines.join("\n")
}

fn node_row(node: &NodeOverview) -> Vec<String> {
    vec![
        node.node.to_string(),
        node.address.clone(),
        node.state.clone(),
        node.told(&node.role),
        node.told(node.shards),
        node.told(node.replicas),
        node.told(node.leads),
        node.told(node.lag_entries),
        node.told(node.sessions),
        node.told(hopped_share(node)),
        node.told(&node.space),
        node.told(&node.version),
    ]
}

/// The share of requests that hopped: only those of clients that do not know the map should.
fn hopped_share(node: &NodeOverview) -> String {
    let percent = (node.hopped_requests * 100).checked_div(node.requests);
    format!("{} %", percent.unwrap_or(0))
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
