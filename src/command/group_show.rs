//! `margay group show`: one group, member by member: what its own node says of it, what the leader knows of it, and
//! whether all computed the same.

use super::Outcome;
use super::arguments::Globals;
use super::console::{Console, columns, table};
use super::effect_chains::{Chains, Verdict};
use super::group_overview::{GroupOverview, GroupSummary, MemberOverview};
use super::overview::{UNTOLD, member_word};
use super::reason::{Reason, counted, reasons, rows, time};
use super::survey::Survey;
use crate::codes::{Code, Exit, Failure};
use clap::Args;
use margay_client::operator::Deadline;
use margay_types::GroupId;
use margay_wire::admin::{GroupStatus, Map, ReplicaRole};
use serde::Serialize;

/// Show one group: its members, how far each is, and whether they agree
#[derive(Args, Debug)]
pub(super) struct Show {
    /// The group's number, as `group list` shows it
    #[arg(value_name = "N")]
    group: u32,
}

/// A group, for programs.
#[derive(Debug, Serialize)]
struct Report {
    schema: u32,
    cluster: String,
    #[serde(flatten)]
    summary: GroupSummary,
    members: Vec<Member>,
    /// Do the members' effect chains agree? Null when they have no index in common now.
    chains_agree: Option<bool>,
    /// Where that was seen.
    chains_index: Option<u64>,
    reasons: Vec<Reason>,
}

/// One member; what its own node says is null when that does not answer or has no such replica.
#[derive(Debug, Serialize)]
struct Member {
    replica: Option<u16>,
    node: u16,
    address: String,
    member_type: &'static str,
    /// `down` when its node does not answer, `missing` when that has no such replica.
    role: &'static str,
    term: Option<u32>,
    commit: Option<u64>,
    applied: Option<u64>,
    lag_entries: Option<u64>,
    last: Option<u64>,
    durable: Option<u64>,
    /// What the leader knows to be durable there.
    match_index: Option<u64>,
    checkpoint: Option<u64>,
    /// How long the leader has not heard from it.
    silent_ms: Option<u64>,
    chain_index: Option<u64>,
    chain: Option<String>,
    /// Why its machine stopped.
    stopped: Option<String>,
}

impl Show {
    pub(super) fn execute(&self, console: &Console, globals: &Globals) -> Outcome {
        let deadline = Deadline::after(globals.timeout);
        let group = GroupId::new(self.group);
        let survey = Survey::of_group(&globals.addresses(), group, deadline)?;
        if survey.map.group(group).is_none() {
            return Err(no_group(group, &survey.map));
        }
        let chains = Chains::of(&survey, group, deadline);
        console.result(&Report::new(&survey, group, &chains), text);
        Ok(Exit::Done)
    }
}

fn no_group(group: GroupId, map: &Map) -> Failure {
    let last = map.groups.last().map_or(GroupId::SYSTEM, |last| last.group);
    Failure::new(Code::Refused)
        .with("group", group)
        .with("reason", "there is no such group")
        .with("groups", format!("0 to {last}"))
        .remedy("margay group list   shows all, with their keyspaces")
}

impl Report {
    /// # Panics
    /// When the map has no such group: whoever asks has looked.
    fn new(survey: &Survey, group: GroupId, chains: &Chains) -> Self {
        let groups = GroupOverview::all(survey);
        let found = groups.iter().find(|known| known.group == group);
        let found = found.expect("the group is in the map");
        let members = found.members.iter();
        let members = members.map(|member| Member::new(survey, found, member, chains));
        let (chains_agree, chains_index) = match chains.verdict() {
            Verdict::Agree { index } => (Some(true), Some(index.number())),
            Verdict::Differ { index } => (Some(false), Some(index.number())),
            Verdict::NotCompared => (None, None),
        };
        Self {
            schema: 1,
            cluster: survey.map.cluster.to_string(),
            summary: GroupSummary::new(survey, found),
            members: members.collect(),
            chains_agree,
            chains_index,
            reasons: reasons_of(survey, found),
        }
    }
}

/// What is wrong with the group, or with a node that has a member of it.
fn reasons_of(survey: &Survey, group: &GroupOverview<'_>) -> Vec<Reason> {
    let nodes = group.members.iter().map(|it| survey.address(it.node));
    let nodes: Vec<String> = nodes.collect();
    let is_of_it = |reason: &Reason| match (&reason.group, &reason.node) {
        (Some(number), _) => *number == group.group.number(),
        (None, Some(node)) => nodes.contains(node),
        (None, None) => false,
    };
    let mut reasons = reasons(survey, std::slice::from_ref(group));
    reasons.retain(is_of_it);
    reasons
}

impl Member {
    fn new(
        survey: &Survey,
        group: &GroupOverview<'_>,
        member: &MemberOverview<'_>,
        chains: &Chains,
    ) -> Self {
        let told = member.told;
        let is_leader = group.leader == Some(member.node);
        // A leader counts itself by what is durable on its own disk.
        let own = told.filter(|_| is_leader).map(|own| own.durable);
        let chain = chains.applied(member.node);
        Self {
            replica: member.replica.map(|replica| replica.number()),
            node: member.node.number(),
            address: survey.address(member.node),
            member_type: member_word(member.member_type),
            role: match told {
                Some(told) => role_word(told.role),
                None if survey.status(member.node).is_some() => "missing",
                None => "down",
            },
            term: told.map(|told| told.term.number()),
            commit: told.map(|told| told.commit.number()),
            applied: told.map(|told| told.applied.number()),
            lag_entries: member.lag_entries,
            last: told.map(|told| told.last.number()),
            durable: told.map(|told| told.durable.number()),
            match_index: member.match_index.or(own).map(|index| index.number()),
            checkpoint: told.map(|told| told.checkpoint.number()),
            silent_ms: member.silent_ms,
            chain_index: chain.map(|link| link.index.number()),
            chain: chain.map(|link| hexadecimal(&link.hash)),
            stopped: told.and_then(|told: &GroupStatus| told.stopped.clone()),
        }
    }
}

const fn role_word(role: ReplicaRole) -> &'static str {
    match role {
        ReplicaRole::Inactive => "inactive",
        ReplicaRole::Passive => "passive",
        ReplicaRole::Follower => "follower",
        ReplicaRole::PreCandidate => "pre-candidate",
        ReplicaRole::Candidate => "candidate",
        ReplicaRole::Leader => "leader",
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn text(report: &Report) -> String {
    let header = [
        "REPLICA",
        "NODE",
        "ADDRESS",
        "TYPE",
        "ROLE",
        "TERM",
        "LAST",
        "MATCH",
        "COMMIT",
        "APPLIED",
        "CHECKPOINT",
        "HEARD",
        "CHAIN",
    ];
    let mut lines = vec![
        headline(&report.summary),
        table(&header, report.members.iter().map(row)),
        chains_line(report),
    ];
    for member in &report.members {
        if let Some(stopped) = &member.stopped {
            lines.push(format!("stopped on {}  {stopped}", member.address));
        }
    }
    if !report.reasons.is_empty() {
        lines.push(columns(rows(&report.reasons).into_iter()));
    }
    lines.join("\n")
}

fn headline(report: &GroupSummary) -> String {
    let mut parts = vec![format!("group {}", report.group)];
    if !report.keyspace.is_empty() {
        parts.push(format!("keyspace {}", report.keyspace));
    }
    if !report.machine.is_empty() {
        parts.push(format!("machine {}", report.machine));
    }
    parts.push(format!("state {}", report.state));
    parts.push(match &report.leader_address {
        Some(address) => format!("leader {address}"),
        None => "nobody leads".to_owned(),
    });
    parts.push(format!("term {}", report.term));
    parts.push(format!("commit {}", report.commit));
    parts.push(counted(report.sessions as usize, "session"));
    parts.join("   ")
}

fn row(member: &Member) -> Vec<String> {
    fn told<T: ToString>(value: Option<T>) -> String {
        value.map_or(UNTOLD.to_owned(), |value| value.to_string())
    }
    let chain = member.chain.as_ref().and_then(|hash| hash.get(..8));
    vec![
        told(member.replica),
        member.node.to_string(),
        member.address.clone(),
        member.member_type.to_owned(),
        member.role.to_owned(),
        told(member.term),
        told(member.last),
        told(member.match_index),
        told(member.commit),
        told(member.applied),
        told(member.checkpoint),
        told(
            member
                .silent_ms
                .map(|silent| format!("{} ago", time(silent))),
        ),
        told(
            chain
                .zip(member.chain_index)
                .map(|(hash, index)| format!("{hash}.. at {index}")),
        ),
    ]
}

fn chains_line(report: &Report) -> String {
    let told = report
        .members
        .iter()
        .filter(|it| it.chain.is_some())
        .count();
    let of = format!("{told} of {}", counted(report.members.len(), "replica"));
    match (report.chains_agree, report.chains_index) {
        (Some(true), Some(index)) => format!("effect chains of {of} agree at index {index}"),
        (Some(false), Some(index)) => format!(
            "{} {}: effect chains differ at index {index}; do not write on",
            Code::ReplicaDiverged,
            Code::ReplicaDiverged.title()
        ),
        _ if told < 2 => format!("effect chains of {of}: nothing to compare"),
        _ => format!("effect chains of {of}: no index in common now, ask again"),
    }
}

#[cfg(test)]
#[path = "group_show_tests.rs"]
mod tests;
