//! What is wrong on this shard, in words that name group, range and member.

use crate::codes::Code;
use crate::shard::Seams;
use crate::shard::births::Stall;
use crate::shard::hosted::Hosted;
use crate::shard::shard::Shard;
use crate::storage::Room;
use margay_types::{GroupId, Index, ShardId};
use margay_wire::admin::HealthReason;
use margay_wire::admin::system::Creations;
use std::collections::BTreeSet;

impl<S: Seams> Shard<S> {
    /// Everything that is wrong here; empty when nothing is.
    pub(crate) fn health(&mut self) -> Vec<HealthReason> {
        let mut reasons: Vec<HealthReason> = Vec::new();
        let own = self.facts.shard;
        for damaged in &self.damaged {
            reasons.push(reason(
                own,
                Code::DamagedReplica,
                Some(damaged.group),
                damaged.reason.clone(),
            ));
        }
        for (group, hosted) in &self.groups {
            if let Some(stopped) = &hosted.stopped {
                let text = format!(
                    "entry {}: {:?} {}",
                    stopped.index, stopped.reason, stopped.message
                );
                reasons.push(reason(own, Code::StoppedMachine, Some(*group), text));
            }
        }
        if let Some(Stall::Machine { group, machine }) = self.births.stalled() {
            let text = format!(
                "this binary has no machine `{machine}`, or not with these options; what was created \
                 behind it waits, too"
            );
            reasons.push(reason(own, Code::UnfitBinary, Some(*group), text));
        }
        reasons.extend(self.little_space());
        reasons
    }

    /// Why the log has no room: who holds its oldest segment, and which member keeps them from letting go. While a
    /// group is damaged nothing is freed, whatever the others need.
    fn little_space(&self) -> Option<HealthReason> {
        let mark = match self.means.log.room() {
            Room::Free => return None,
            Room::Soft => "ordinary commands are refused",
            Room::Hard => "appends are refused",
            Room::Reserve => "the reserve is in use",
        };
        let holders = self.means.log.oldest_holders();
        let damaged = self.damaged.iter().map(|damaged| damaged.group);
        let damaged = damaged
            .take(HOLDERS_NAMED_MAX)
            .map(|group| format!("group {group}, which is damaged"));
        let holding = holders.iter().take(HOLDERS_NAMED_MAX).map(|group| {
            match self.groups.get(group).and_then(|hosted| laggard(hosted)) {
                Some(member) => format!("group {group} waits for {member}"),
                None => format!("group {group}"),
            }
        });
        let holding: Vec<String> = damaged.chain(holding).collect();
        let used = self.means.log.used_bytes() >> 20;
        let text = format!(
            "{mark}; {used} MiB of log in use; the oldest segment is held by {}",
            holding.join(", ")
        );
        Some(reason(self.facts.shard, Code::LittleSpace, None, text))
    }

    /// Is a replica of this group in the log, and takes no part in anything?
    pub(crate) fn is_damaged(&self, group: GroupId) -> bool {
        self.damaged.iter().any(|damaged| damaged.group == group)
    }

    /// Every group that this shard has a replica of: whole, damaged, or being born.
    pub(crate) fn known_groups(&self) -> Vec<GroupId> {
        let damaged = self.damaged.iter().map(|damaged| damaged.group);
        let whole = self.groups.keys().copied();
        whole.chain(damaged).collect()
    }

    /// Groups that group 0 says live on this node, and that no log of the shards in `answered` knows of.
    pub(crate) fn lost_replicas(
        &mut self,
        known: &BTreeSet<GroupId>,
        answered: &BTreeSet<ShardId>,
    ) -> Vec<HealthReason> {
        let Ok(list) = self.ask_system(&Creations { above: Index::ZERO }) else {
            return Vec::new();
        };
        let node = self.means.node;
        let created_up_to = self.manifest.created_up_to;
        let missing = list.creations.into_iter().filter(|creation| {
            creation.created <= created_up_to
                && creation.members.iter().any(|member| member.node == node)
                && answered.contains(&self.home_of(creation.group))
                && !known.contains(&creation.group)
                && !self.births.has(creation.group)
        });
        missing
            .map(|creation| {
                let text = "its records are lost; replace the member".to_owned();
                let shard = creation.group.shard(self.facts.shard_count);
                reason(shard, Code::LostReplica, Some(creation.group), text)
            })
            .collect()
    }
}

/// A text names so many holders of the oldest segment.
const HOLDERS_NAMED_MAX: usize = 4;

/// One thing that is wrong on a shard.
pub(crate) fn reason(
    shard: ShardId,
    code: Code,
    group: Option<GroupId>,
    text: String,
) -> HealthReason {
    HealthReason {
        code: code.number(),
        since_ms: 0,
        shard: Some(shard),
        group,
        text,
    }
}

/// The member that has the least of the log, when this replica leads and so knows.
fn laggard(hosted: &Hosted) -> Option<String> {
    let least = hosted
        .replica
        .progress()
        .min_by_key(|member| member.match_index)?;
    let node = hosted.node_of(least.number)?;
    let behind = hosted.replica.last_index().since(least.match_index);
    (behind > 0).then(|| format!("node {node}, {behind} entries behind"))
}
