//! What is wrong with a cluster, each thing with its code.
//!
//! ```text
//!   of a node      what it says is wrong with it; or why it does not answer
//!   of a group     nobody leads it: too few voters answer, or they do not agree on one
//!   between nodes  both answer here, and the one that leads does not hear the other
//! ```

use super::group_overview::{GroupOverview, GroupState, MemberOverview};
use super::survey::Survey;
use crate::codes::Code;
use margay_types::{GroupId, NodeId, ShardId};
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// A member that its leader has not heard from for so long is cut off: leaders ask many times a second.
const CUT_OFF_MS: u64 = 2_000;

/// Groups that one line names; more are counted.
const GROUPS_NAMED_MAX: usize = 8;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Reason {
    pub(super) code: u16,
    /// The node, where it is of one.
    pub(super) node: Option<String>,
    /// For how long; null when nobody counts it.
    pub(super) since_ms: Option<u64>,
    /// The shard, where it is of one.
    pub(super) shard: Option<u16>,
    /// The group, where it is of one.
    pub(super) group: Option<u32>,
    pub(super) text: String,
}

impl Reason {
    fn new(code: Code, text: String) -> Self {
        Self {
            code: code.number(),
            node: None,
            since_ms: None,
            shard: None,
            group: None,
            text,
        }
    }

    /// What the code stands for; empty when a node of a later version gave one that this binary does not know.
    pub(super) fn title(&self) -> &'static str {
        let mut codes = Code::ALL.iter();
        let known = codes.find(|code| code.number() == self.code);
        known.map_or("", |code| code.title())
    }

    /// The facts alone, where the title stands beside them.
    fn facts(&self) -> &str {
        let title = self.title();
        match self.text.strip_prefix(title) {
            Some(rest) if !title.is_empty() => rest.trim_start_matches([':', ' ']),
            Some(_) | None => &self.text,
        }
    }
}

/// Everything that is wrong, of nodes first, then of groups.
pub(super) fn reasons(survey: &Survey, groups: &[GroupOverview<'_>]) -> Vec<Reason> {
    let mut reasons = Vec::new();
    for node in &survey.map.nodes {
        reasons.extend(of_node(survey, node.node));
    }
    reasons.extend(of_links(survey, groups));
    reasons.extend(groups.iter().filter_map(|group| of_group(survey, group)));
    reasons
}

fn of_node(survey: &Survey, node: NodeId) -> Vec<Reason> {
    let address = Some(survey.address(node));
    if let Some(failure) = survey.failure(node) {
        return vec![Reason {
            node: address,
            ..Reason::new(failure.code(), failure.summary())
        }];
    }
    let told = survey.status(node).map(|status| status.health.as_slice());
    let told = told.unwrap_or_default().iter();
    told.map(|reason| Reason {
        code: reason.code,
        node: address.clone(),
        since_ms: Some(reason.since_ms),
        shard: reason.shard.map(ShardId::number),
        group: reason.group.map(GroupId::number),
        text: reason.text.clone(),
    })
    .collect()
}

fn of_group(survey: &Survey, group: &GroupOverview<'_>) -> Option<Reason> {
    let names = |members: &mut dyn Iterator<Item = &MemberOverview<'_>>| {
        let names: Vec<String> = members.map(|it| survey.address(it.node)).collect();
        names.join(" ")
    };
    let (present, voters) = (group.voters_present().count(), group.voters().count());
    let (code, text) = match group.state {
        GroupState::NoQuorum => {
            let here = match names(&mut group.voters_present()) {
                none if none.is_empty() => "none".to_owned(),
                some => format!("{some} only"),
            };
            let missing = names(&mut group.voters().filter(|member| member.told.is_none()));
            let needed = group.quorum();
            let text = format!("needs {needed} of {voters} voters, has {here}; missing: {missing}");
            (Code::NoQuorum, text)
        }
        GroupState::NotLed => {
            let text = format!(
                "{present} of {voters} voters answer, and none leads: an election is under way, or they do not \
                 reach each other"
            );
            (Code::GroupNotLed, text)
        }
        // A stopped machine is named by its node, and a missing member, too.
        GroupState::Ok | GroupState::Degraded | GroupState::Stopped => return None,
    };
    Some(Reason {
        group: Some(group.group.number()),
        ..Reason::new(code, text)
    })
}

/// Members that answer here, and not to the leader of their group: one reason for each two nodes.
fn of_links(survey: &Survey, groups: &[GroupOverview<'_>]) -> Vec<Reason> {
    let mut cut: BTreeMap<(NodeId, NodeId), (u64, usize)> = BTreeMap::new();
    for group in groups {
        let Some(leader) = group.leader else { continue };
        let present = group.members.iter().filter(|member| member.told.is_some());
        for member in present {
            let silent_ms = member.silent_ms.unwrap_or_default();
            if silent_ms >= CUT_OFF_MS {
                let (longest_ms, count) = cut.entry((leader, member.node)).or_default();
                *longest_ms = silent_ms.max(*longest_ms);
                *count += 1;
            }
        }
    }
    cut.into_iter()
        .map(|((leader, member), (longest_ms, count))| {
            let member = survey.address(member);
            let groups = counted(count, "group");
            let text = format!("leads {groups} of which {member} takes no part, though it answers");
            Reason {
                node: Some(survey.address(leader)),
                since_ms: Some(longest_ms),
                ..Reason::new(Code::PeerUnreachable, text)
            }
        })
        .collect()
}

/// `M212`, its title, where it is, and the facts; reasons that differ in their group only are one row.
pub(super) fn rows(reasons: &[Reason]) -> Vec<Vec<String>> {
    let mut folded: Vec<(&Reason, Vec<u32>)> = Vec::new();
    for reason in reasons {
        let is_same = |(known, groups): &&mut (&Reason, Vec<u32>)| {
            let known = (known.code, &known.node, known.shard, &known.text);
            let same = known == (reason.code, &reason.node, reason.shard, &reason.text);
            same && !groups.is_empty() && reason.group.is_some()
        };
        match folded.iter_mut().rev().find(is_same) {
            Some((_, groups)) => groups.extend(reason.group),
            None => folded.push((reason, reason.group.into_iter().collect())),
        }
    }
    folded
        .iter()
        .map(|(reason, groups)| row(reason, groups))
        .collect()
}

fn row(reason: &Reason, groups: &[u32]) -> Vec<String> {
    let mut place: Vec<String> = reason.node.iter().cloned().collect();
    place.extend(reason.shard.map(|shard| format!("shard {shard}")));
    place.extend(groups_named(groups));
    let mut facts = reason.facts().to_owned();
    if let Some(since_ms) = reason.since_ms.filter(|since_ms| *since_ms > 0) {
        facts += &format!(", for {}", time(since_ms));
    }
    vec![
        format!("M{}", reason.code),
        reason.title().to_owned(),
        place.join(" "),
        facts,
    ]
}

fn groups_named(groups: &[u32]) -> Option<String> {
    let named: Vec<String> = groups
        .iter()
        .take(GROUPS_NAMED_MAX)
        .map(u32::to_string)
        .collect();
    let noun = match groups.len() {
        0 => return None,
        1 => "group",
        _ => "groups",
    };
    let mut text = format!("{noun} {}", named.join(" "));
    if groups.len() > GROUPS_NAMED_MAX {
        text += &format!(" and {} more", groups.len() - GROUPS_NAMED_MAX);
    }
    Some(text)
}

/// `1 group`, `4 groups`.
pub(super) fn counted(count: usize, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{plural}")
}

/// A time as people read it: below a second in milliseconds, above it nobody reads these.
pub(super) fn time(milliseconds: u64) -> String {
    if milliseconds < 1_000 {
        return format!("{milliseconds}ms");
    }
    let seconds = Duration::from_secs(milliseconds / 1_000);
    humantime::format_duration(seconds).to_string()
}

#[cfg(test)]
#[path = "reason_tests.rs"]
mod tests;
