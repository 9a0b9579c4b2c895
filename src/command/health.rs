//! `margay health`: is everything well? If not, what is wrong, by code; for people at night, and for scripts.
//!
//! ```text
//!   exit 0    every node answers and names nothing, every group is led
//!   exit 10   something is wrong: each reason is a line
//!   exit 4    no endpoint could be asked, so nobody knows
//! ```
//!
//! With `--wait` it asks until all is well or the time of `--timeout` is over, and then tells what it saw last.

use super::Outcome;
use super::arguments::Globals;
use super::console::{Console, columns};
use super::overview::Overview;
use super::reason::{Reason, counted, rows};
use super::survey::Survey;
use crate::codes::{Exit, Failure};
use clap::Args;
use margay_client::operator::{Deadline, PAUSE};
use serde::Serialize;

/// Tell whether all is well, and what is not; exit 0 or 10
#[derive(Args, Debug)]
pub(super) struct Health {
    /// Wait until all is well, at most for the time of --timeout
    #[arg(long)]
    wait: bool,
}

/// The verdict, for programs.
#[derive(Serialize)]
struct Report {
    schema: u32,
    healthy: bool,
    cluster: String,
    nodes: usize,
    groups: usize,
    reasons: Vec<ReportReason>,
}

/// One reason, with what its code stands for.
#[derive(Serialize)]
struct ReportReason {
    title: &'static str,
    #[serde(flatten)]
    reason: Reason,
}

impl Health {
    pub(super) fn execute(&self, console: &Console, globals: &Globals) -> Outcome {
        let overview = self.overview(console, globals)?;
        let is_healthy = overview.is_healthy();
        console.result(&Report::new(overview), text);
        Ok(if is_healthy {
            Exit::Done
        } else {
            Exit::ConditionFalse
        })
    }

    fn overview(&self, console: &Console, globals: &Globals) -> Result<Overview, Failure> {
        let addresses = globals.addresses();
        let deadline = Deadline::after(globals.timeout);
        let mut told = usize::MAX;
        loop {
            // Of a cluster that is starting, what was seen a moment ago is soon wrong: each look has its own time.
            let look = if self.wait {
                deadline.share(LOOKS_MIN)
            } else {
                deadline
            };
            let seen = Survey::of(&addresses, look).map(|survey| Overview::new(&survey));
            let is_well = seen.as_ref().is_ok_and(Overview::is_healthy);
            if is_well || !self.wait || !deadline.pause(PAUSE) {
                return seen;
            }
            let wrong = seen.map_or(0, |overview| overview.health.len());
            if wrong != told {
                told = wrong;
                console.detail(&match wrong {
                    0 => "no node could be asked yet".to_owned(),
                    _ => format!("{} so far", counted(wrong, "reason")),
                });
            }
        }
    }
}

/// However slow the answers are, `--wait` looks so many times.
const LOOKS_MIN: usize = 4;

impl Report {
    fn new(overview: Overview) -> Self {
        Self {
            schema: 1,
            healthy: overview.is_healthy(),
            cluster: overview.cluster,
            nodes: overview.nodes.len(),
            groups: overview.groups.count,
            reasons: overview
                .health
                .into_iter()
                .map(|reason| ReportReason {
                    title: reason.title(),
                    reason,
                })
                .collect(),
        }
    }
}

fn text(report: &Report) -> String {
    if report.healthy {
        let nodes = counted(report.nodes, "node");
        let groups = counted(report.groups, "group");
        return format!("HEALTHY  {nodes}, {groups}");
    }
    let reasons: Vec<Reason> = report.reasons.iter().map(|it| it.reason.clone()).collect();
    let rows = rows(&reasons);
    let mut lines = vec![format!("UNHEALTHY  {}", counted(rows.len(), "reason"))];
    lines.push(columns(rows.into_iter()));
    lines.push("margay explain CODE   tells what a code means, and what to do".to_owned());
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::super::overview_samples::{ONE, TWO, down, group, survey, up};
    use super::*;
    use margay_wire::admin::ReplicaRole;

    fn report(follower_is_up: bool) -> Report {
        let other = if follower_is_up {
            up(TWO, vec![group(0, ReplicaRole::Follower, 5, 5)])
        } else {
            down()
        };
        let leader = up(ONE, vec![group(0, ReplicaRole::Leader, 5, 5)]);
        Report::new(Overview::new(&survey(&[0], leader, other)))
    }

    #[test]
    fn a_cluster_without_reasons_is_healthy_in_one_line() {
        assert_eq!(text(&report(true)), "HEALTHY  2 nodes, 1 group");
    }

    #[test]
    fn each_reason_is_a_line_with_its_code() {
        let text = text(&report(false));
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "UNHEALTHY  1 reason");
        assert_eq!(
            lines[1],
            "M141  the node cannot be reached  n2:7400  connection refused"
        );
    }

    #[test]
    fn programs_get_code_and_title_of_each_reason() {
        let object = serde_json::to_value(report(false)).expect("it is JSON");
        assert_eq!(object["healthy"], false);
        assert_eq!(object["reasons"][0]["code"], 141);
        assert_eq!(object["reasons"][0]["title"], "the node cannot be reached");
        assert_eq!(object["reasons"][0]["node"], "n2:7400");
    }
}
