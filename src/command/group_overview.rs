//! A group as all of its members together show it.
//!
//! ```text
//!   replica that leads, else the best informed ──> who the members are, who of them votes
//!   each member's own node ─────────────────────> what it has; nothing when it does not answer
//!   voters that answer against voters needed ───> state
//! ```
//!
//! Only a replica that leads is believed to lead: who leads by the word of others is hearsay.

use super::survey::Survey;
use margay_types::{GroupId, Index, NodeId, ReplicaNumber, Term};
use margay_wire::admin::{GroupStatus, Keyspace, MapGroup, MemberStatus, MemberType, ReplicaRole};
use serde::Serialize;
use std::collections::BTreeMap;

/// What runs group 0, in lists of groups.
const SYSTEM_MACHINE: &str = "system";

/// A group, from here.
#[derive(Debug)]
pub(super) struct GroupOverview<'a> {
    pub(super) group: GroupId,
    /// Empty for group 0.
    pub(super) keyspace: &'a str,
    pub(super) machine: &'a str,
    pub(super) state: GroupState,
    /// The node whose replica leads; `None` when no replica says so.
    pub(super) leader: Option<NodeId>,
    /// The greatest that any replica knows.
    pub(super) term: Term,
    /// The greatest that any replica knows.
    pub(super) commit: Index,
    pub(super) sessions: u32,
    /// By node.
    pub(super) members: Vec<MemberOverview<'a>>,
}

/// How a group is, the best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum GroupState {
    /// Somebody leads, and all members take part.
    Ok,
    /// Somebody leads, and a member takes no part.
    Degraded,
    /// A quorum answers, and nobody leads.
    NotLed,
    /// The machine of a replica stopped.
    Stopped,
    /// Nobody leads, and fewer voters answer than are needed.
    NoQuorum,
}

/// A member, from here.
#[derive(Debug)]
pub(super) struct MemberOverview<'a> {
    pub(super) node: NodeId,
    /// Its number; `None` when nobody told the configuration.
    pub(super) replica: Option<ReplicaNumber>,
    pub(super) member_type: MemberType,
    /// What its own node says of it; `None` when that does not answer, or has no such replica.
    pub(super) told: Option<&'a GroupStatus>,
    /// What the leader knows to be durable there.
    pub(super) match_index: Option<Index>,
    /// How long the leader has not heard from it.
    pub(super) silent_ms: Option<u64>,
    /// Committed entries, as far as anybody knows, that it has not applied.
    pub(super) lag_entries: Option<u64>,
}

/// What the nodes that answer say of one group.
type Told<'a> = Vec<(NodeId, &'a GroupStatus)>;

impl<'a> GroupOverview<'a> {
    /// All groups of a cluster, by id.
    pub(super) fn all(survey: &'a Survey) -> Vec<Self> {
        let mut told: BTreeMap<GroupId, Told<'a>> = BTreeMap::new();
        for (node, status) in survey.up() {
            for group in &status.groups {
                told.entry(group.group)
                    .or_default()
                    .push((node.node, group));
            }
        }
        let mut keyspaces: BTreeMap<GroupId, &'a Keyspace> = BTreeMap::new();
        for keyspace in &survey.map.keyspaces {
            keyspaces.extend(keyspace.groups.iter().map(|group| (*group, keyspace)));
        }
        let groups = survey.map.groups.iter();
        groups
            .map(|group| {
                let told = told.remove(&group.group).unwrap_or_default();
                Self::new(group, keyspaces.get(&group.group).copied(), &told)
            })
            .collect()
    }

    fn new(group: &'a MapGroup, keyspace: Option<&'a Keyspace>, told: &Told<'a>) -> Self {
        let leads = |(_, replica): &&(NodeId, &GroupStatus)| replica.role == ReplicaRole::Leader;
        let leader = told.iter().filter(leads).max_by_key(|(_, it)| it.term);
        let best = leader.or_else(|| told.iter().max_by_key(|(_, it)| (it.term, it.commit)));
        let commit = told.iter().map(|(_, it)| it.commit).max();
        let commit = commit.unwrap_or_default();
        let mut members = match best {
            Some((_, best)) => members_by(best, told),
            None => members_by_map(group),
        };
        for member in &mut members {
            member.lag_entries = member.told.map(|it| commit.since(it.applied));
        }
        members.sort_by_key(|member| member.node);
        let mut overview = Self {
            group: group.group,
            keyspace: keyspace.map_or("", |keyspace| keyspace.name.as_str()),
            machine: match keyspace {
                Some(keyspace) => &keyspace.machine,
                None if group.group == GroupId::SYSTEM => SYSTEM_MACHINE,
                None => "",
            },
            state: GroupState::Ok,
            leader: leader.map(|(node, _)| *node),
            term: told.iter().map(|(_, it)| it.term).max().unwrap_or_default(),
            commit,
            sessions: best.map_or(0, |(_, it)| it.sessions),
            members,
        };
        overview.state = overview.state();
        overview
    }

    fn state(&self) -> GroupState {
        let is_led = self.leader.is_some();
        if !is_led && self.voters_present().count() < self.quorum() {
            GroupState::NoQuorum
        } else if self.has_stopped_replica() {
            GroupState::Stopped
        } else if !is_led {
            GroupState::NotLed
        } else if self.members.iter().any(|member| member.told.is_none()) {
            GroupState::Degraded
        } else {
            GroupState::Ok
        }
    }

    /// Its voters.
    pub(super) fn voters(&self) -> impl Iterator<Item = &MemberOverview<'a>> {
        self.members
            .iter()
            .filter(|member| member.member_type == MemberType::Active)
    }

    /// The voters whose nodes answer and have their replica.
    pub(super) fn voters_present(&self) -> impl Iterator<Item = &MemberOverview<'a>> {
        self.voters().filter(|member| member.told.is_some())
    }

    /// How many voters it needs.
    pub(super) fn quorum(&self) -> usize {
        self.voters().count() / 2 + 1
    }

    /// Has a machine stopped?
    pub(super) fn has_stopped_replica(&self) -> bool {
        let mut told = self.members.iter().filter_map(|member| member.told);
        told.any(|replica| replica.stopped.is_some())
    }
}

impl GroupState {
    /// In a word.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Degraded => "degraded",
            Self::NotLed => "not-led",
            Self::Stopped => "stopped",
            Self::NoQuorum => "no-quorum",
        }
    }
}

/// The members by the configuration that a replica knows.
fn members_by<'a>(best: &GroupStatus, told: &Told<'a>) -> Vec<MemberOverview<'a>> {
    let member = |member: &MemberStatus| {
        let own = told.iter().find(|(node, _)| *node == member.node);
        MemberOverview {
            node: member.node,
            replica: Some(member.replica),
            member_type: member.member_type,
            told: own.map(|(_, own)| *own),
            match_index: member.match_index,
            silent_ms: member.silent_ms,
            lag_entries: None,
        }
    };
    best.members.iter().map(member).collect()
}

/// The members by the map alone, when no node tells anything of the group: a group begins with voters.
fn members_by_map<'a>(group: &MapGroup) -> Vec<MemberOverview<'a>> {
    let member = |node: &NodeId| MemberOverview {
        node: *node,
        replica: None,
        member_type: MemberType::Active,
        told: None,
        match_index: None,
        silent_ms: None,
        lag_entries: None,
    };
    group.members.iter().map(member).collect()
}

/// What every report about a group begins with, for programs.
#[derive(Debug, Serialize)]
pub(super) struct GroupSummary {
    pub(super) group: u32,
    /// Empty for group 0.
    pub(super) keyspace: String,
    pub(super) machine: String,
    pub(super) state: &'static str,
    pub(super) leader: Option<u16>,
    pub(super) leader_address: Option<String>,
    pub(super) term: u32,
    pub(super) commit: u64,
    pub(super) sessions: u32,
}

impl GroupSummary {
    /// The summary of a group that was seen.
    pub(super) fn new(survey: &Survey, group: &GroupOverview<'_>) -> Self {
        Self {
            group: group.group.number(),
            keyspace: group.keyspace.to_owned(),
            machine: group.machine.to_owned(),
            state: group.state.word(),
            leader: group.leader.map(NodeId::number),
            leader_address: group.leader.map(|node| survey.address(node)),
            term: group.term.number(),
            commit: group.commit.number(),
            sessions: group.sessions,
        }
    }
}

#[cfg(test)]
#[path = "group_overview_tests.rs"]
mod tests;
