//! `margay node`: the nodes of a cluster.
//!
//! Not done: joining, leaving, draining and replacing, which need members that change.

use super::Outcome;
use super::arguments::Globals;
use super::console::{Console, table};
use super::overview::{NodeOverview, Overview, UNTOLD};
use super::reason::{Reason, time};
use super::survey::Survey;
use crate::codes::Exit;
use clap::{Args, Subcommand};
use margay_client::operator::Deadline;
use serde::Serialize;

/// Nodes of the cluster
#[derive(Args, Debug)]
pub(super) struct Node {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    List(List),
}

/// List all nodes, whether they answer, and what they do
#[derive(Args, Debug)]
struct List {}

/// All nodes, for programs.
#[derive(Serialize)]
struct Report {
    schema: u32,
    cluster: String,
    nodes: Vec<ReportNode>,
}

/// One node.
#[derive(Serialize)]
struct ReportNode {
    #[serde(flatten)]
    node: NodeOverview,
    reasons: Vec<Reason>,
}

impl Node {
    pub(super) fn execute(&self, console: &Console, globals: &Globals) -> Outcome {
        match &self.verb {
            Verb::List(list) => list.execute(console, globals),
        }
    }
}

impl List {
    #[expect(
        clippy::unused_self,
        reason = "a verb without options is a verb all the same"
    )]
    fn execute(&self, console: &Console, globals: &Globals) -> Outcome {
        let survey = Survey::of(&globals.addresses(), Deadline::after(globals.timeout))?;
        console.result(&Report::new(Overview::new(&survey)), text);
        Ok(Exit::Done)
    }
}

impl Report {
    fn new(overview: Overview) -> Self {
        let health = overview.health;
        let reasons_of = |address: &str| {
            let of_it = health
                .iter()
                .filter(|reason| reason.node.as_deref() == Some(address));
            of_it.cloned().collect()
        };
        let nodes = overview.nodes.into_iter().map(|node| ReportNode {
            reasons: reasons_of(&node.address),
            node,
        });
        Self {
            schema: 1,
            cluster: overview.cluster,
            nodes: nodes.collect(),
        }
    }
}

fn text(report: &Report) -> String {
    let header = [
        "NODE", "ADDRESS", "STATE", "SHARDS", "REPLICAS", "LEADS", "SPACE", "UP", "VERSION",
        "REASONS",
    ];
    table(&header, report.nodes.iter().map(row))
}

fn row(listed: &ReportNode) -> Vec<String> {
    let node = &listed.node;
    vec![
        node.node.to_string(),
        node.address.clone(),
        node.state.clone(),
        node.told(node.shards),
        node.told(node.replicas),
        node.told(node.leads),
        node.told(&node.space),
        node.told(time(node.up_ms)),
        node.told(&node.version),
        reasons(&listed.reasons),
    ]
}

/// Why a node does not answer, or the codes of what it says is wrong: `margay health` has their texts.
fn reasons(reasons: &[Reason]) -> String {
    if let [only] = reasons {
        return format!("M{} {}", only.code, only.text);
    }
    let mut codes: Vec<String> = reasons.iter().map(|it| format!("M{}", it.code)).collect();
    codes.dedup();
    if codes.is_empty() {
        return UNTOLD.to_owned();
    }
    codes.join(" ")
}

#[cfg(test)]
mod tests {
    use super::super::overview_samples::{ONE, down, group, survey, up};
    use super::*;
    use margay_wire::admin::ReplicaRole;

    #[test]
    fn a_node_that_does_not_answer_has_a_reason_and_no_numbers() {
        let leader = up(ONE, vec![group(0, ReplicaRole::Leader, 5, 5)]);
        let report = Report::new(Overview::new(&survey(&[0], leader, down())));
        let text = text(&report);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[1].starts_with("1     n1:7400  ok"), "{text}");
        let words: Vec<&str> = lines[2].split_whitespace().collect();
        assert_eq!(
            words[..9],
            ["2", "n2:7400", "down", "-", "-", "-", "-", "-", "-"]
        );
        assert!(lines[2].ends_with("M141 the node cannot be reached: connection refused"));
        let object = serde_json::to_value(&report).expect("it is JSON");
        assert_eq!(object["nodes"][0]["leads"], 0, "the sample has no shards");
        assert_eq!(object["nodes"][1]["reasons"][0]["code"], 141);
    }
}
