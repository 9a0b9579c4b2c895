//! `margay group`: the groups of a cluster, all in a list or one with its members.
//!
//! Not done: moving, promoting and rebalancing, which need members that change.

use super::Outcome;
use super::argument_value;
use super::arguments::Globals;
use super::console::{Console, table};
use super::group_overview::{GroupOverview, GroupSummary};
use super::group_show::Show;
use super::overview::UNTOLD;
use super::survey::Survey;
use crate::codes::{Code, Exit, Failure};
use clap::{Args, Subcommand};
use margay_client::operator::Deadline;
use margay_wire::admin::Map;
use serde::Serialize;

/// Groups: one log and one machine each
#[derive(Args, Debug)]
pub(super) struct Group {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    List(List),
    Show(Show),
}

/// List groups: who leads them, and how they are
#[derive(Args, Debug)]
struct List {
    /// Only the groups of this keyspace
    #[arg(long, value_name = "NAME", value_parser = argument_value::name)]
    keyspace: Option<String>,
}

/// Groups, for programs.
#[derive(Serialize)]
struct Report {
    schema: u32,
    cluster: String,
    groups: Vec<ReportGroup>,
}

/// One group.
#[derive(Serialize)]
struct ReportGroup {
    #[serde(flatten)]
    summary: GroupSummary,
    /// Of the member that is behind the most.
    lag_entries: u64,
    voters: usize,
    voters_present: usize,
    members: Vec<u16>,
}

impl Group {
    pub(super) fn execute(&self, console: &Console, globals: &Globals) -> Outcome {
        match &self.verb {
            Verb::List(list) => list.execute(console, globals),
            Verb::Show(show) => show.execute(console, globals),
        }
    }
}

impl List {
    fn execute(&self, console: &Console, globals: &Globals) -> Outcome {
        let survey = Survey::of(&globals.addresses(), Deadline::after(globals.timeout))?;
        console.result(&self.report(&survey)?, text);
        Ok(Exit::Done)
    }

    fn report(&self, survey: &Survey) -> Result<Report, Failure> {
        if let Some(keyspace) = &self.keyspace
            && survey.map.keyspace(keyspace).is_none()
        {
            return Err(no_keyspace(keyspace, &survey.map));
        }
        let is_meant = |group: &GroupOverview<'_>| match &self.keyspace {
            Some(keyspace) => group.keyspace == keyspace,
            None => true,
        };
        let groups = GroupOverview::all(survey);
        let meant = groups.iter().filter(|group| is_meant(group));
        Ok(Report {
            schema: 1,
            cluster: survey.map.cluster.to_string(),
            groups: meant.map(|group| ReportGroup::new(survey, group)).collect(),
        })
    }
}

impl ReportGroup {
    fn new(survey: &Survey, group: &GroupOverview<'_>) -> Self {
        let members = group.members.iter();
        let lags = members.clone().filter_map(|member| member.lag_entries);
        Self {
            summary: GroupSummary::new(survey, group),
            lag_entries: lags.max().unwrap_or_default(),
            voters: group.voters().count(),
            voters_present: group.voters_present().count(),
            members: members.map(|member| member.node.number()).collect(),
        }
    }
}

fn no_keyspace(keyspace: &str, map: &Map) -> Failure {
    let failure = Failure::new(Code::Refused)
        .with("keyspace", keyspace)
        .with("reason", "there is no such keyspace");
    let names: Vec<&str> = map.keyspaces.iter().map(|it| it.name.as_str()).collect();
    match names.as_slice() {
        [] => failure.remedy("margay keyspace create NAME --machine MACHINE   makes one"),
        names => failure.remedy(format!("name one of: {}", names.join(" "))),
    }
}

fn text(report: &Report) -> String {
    let header = [
        "GROUP", "KEYSPACE", "MACHINE", "STATE", "LEADER", "TERM", "COMMIT", "LAG", "VOTERS",
        "SESSIONS",
    ];
    table(&header, report.groups.iter().map(row))
}

fn row(group: &ReportGroup) -> Vec<String> {
    let summary = &group.summary;
    let told = |text: &str| if text.is_empty() { UNTOLD } else { text }.to_owned();
    vec![
        summary.group.to_string(),
        told(&summary.keyspace),
        told(&summary.machine),
        summary.state.to_owned(),
        told(summary.leader_address.as_deref().unwrap_or_default()),
        summary.term.to_string(),
        summary.commit.to_string(),
        group.lag_entries.to_string(),
        format!("{} of {}", group.voters_present, group.voters),
        summary.sessions.to_string(),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::overview_samples::{ONE, TWO, group, keyspace, survey, up};
    use super::*;
    use margay_wire::admin::ReplicaRole;

    fn sample() -> Survey {
        let groups = |role, applied| vec![group(0, role, 9, 9), group(1, role, 7, applied)];
        let mut survey = survey(
            &[0, 1],
            up(ONE, groups(ReplicaRole::Leader, 7)),
            up(TWO, groups(ReplicaRole::Follower, 4)),
        );
        survey.map.keyspaces.push(keyspace("orders", &[1]));
        survey
    }

    fn listed(keyspace: Option<&str>) -> Result<Report, Failure> {
        let keyspace = keyspace.map(str::to_owned);
        List { keyspace }.report(&sample())
    }

    #[test]
    fn a_group_is_listed_with_its_leader_and_the_lag_of_its_slowest_member() {
        let text = text(&listed(None).expect("all"));
        let rows: Vec<Vec<&str>> = text
            .lines()
            .map(|line| line.split_whitespace().collect())
            .collect();
        assert_eq!(rows[1][..5], ["0", "-", "system", "ok", "n1:7400"]);
        assert_eq!(
            rows[2],
            [
                "1", "orders", "map", "ok", "n1:7400", "1", "7", "3", "2", "of", "2", "0"
            ]
        );
    }

    #[test]
    fn a_keyspace_has_its_groups_only() {
        let report = listed(Some("orders")).expect("it exists");
        let groups: Vec<u32> = report.groups.iter().map(|it| it.summary.group).collect();
        assert_eq!(groups, [1]);
    }

    #[test]
    fn a_keyspace_that_does_not_exist_is_answered_with_those_that_do() {
        let Err(failure) = listed(Some("order")) else {
            panic!("there is none")
        };
        assert_eq!(failure.exit(), Exit::Refused);
        assert!(
            failure.to_string().contains("name one of: orders"),
            "{failure}"
        );
    }
}
