//! The state of a shard, and of its node: what `status` and `health` show.
//!
//! Replicas come in pages, because a node may have many; a page of the node is put together of those of its shards, and
//! no replica is passed over.

use crate::limits::{GROUPS_PER_STATUS_MAX, TICK_NS};
use crate::shard::hosted::Hosted;
use crate::shard::shard::Shard;
use crate::shard::surveys::StatusPart;
use crate::shard::{Clock, Seams};
use crate::storage::Room;
use margay_raft::Role;
use margay_types::Ticks;
use margay_wire::admin::{
    GroupStatus, HealthReason, MemberStatus, MemberType, ReplicaRole, ShardStatus, SpaceMark,
    Status, StatusRequest,
};

impl<S: Seams> Shard<S> {
    /// The state of this shard, with a page of its replicas.
    pub(crate) fn status_part(&mut self, asked: &StatusRequest) -> StatusPart {
        let count_max = page_size(asked);
        let mut page = self.groups.range(asked.from_group..);
        let groups: Vec<GroupStatus> = page
            .by_ref()
            .take(count_max)
            .map(|(_, hosted)| self.group_status(hosted))
            .collect();
        StatusPart {
            groups,
            more_from: page.next().map(|(group, _)| *group),
            shard: self.shard_status(),
            health: self.health(),
            known: self.known_groups(),
        }
    }

    /// The state of the node, from those of its shards.
    pub(crate) fn merge_status(
        &mut self,
        asked: &StatusRequest,
        parts: Vec<StatusPart>,
        silent: Vec<HealthReason>,
    ) -> Status {
        let known = parts.iter().flat_map(|part| part.known.iter().copied());
        let answered = parts.iter().map(|part| part.shard.shard).collect();
        let lost = self.lost_replicas(&known.collect(), &answered);
        // No replica is passed over: what a shard has behind its page is on the next one.
        let mut more_from = parts.iter().filter_map(|part| part.more_from).min();
        let (mut shards, mut groups, mut health) = (Vec::new(), Vec::new(), silent);
        for part in parts {
            shards.push(part.shard);
            groups.extend(part.groups);
            health.extend(part.health);
        }
        health.extend(lost);
        groups.sort_by_key(|status| status.group);
        groups.retain(|status| more_from.is_none_or(|next| status.group < next));
        if let Some(next) = groups.get(page_size(asked)) {
            more_from = Some(next.group);
            groups.truncate(page_size(asked));
        }
        let up_ns = self.means.clock.now_ns().saturating_sub(self.started_ns);
        Status {
            version: self.facts.version.clone(),
            incarnation: self.facts.incarnation,
            life: self.facts.life,
            formation: self.formation(),
            address: self.facts.address.clone(),
            up_ms: up_ns / 1_000_000,
            shards,
            groups,
            more_from,
            health,
        }
    }

    fn shard_status(&self) -> ShardStatus {
        let leads = self
            .groups
            .values()
            .filter(|hosted| hosted.replica.is_leader());
        let (mut led, mut sessions) = (0_u32, 0_usize);
        for hosted in leads {
            led += 1;
            sessions += hosted.host.session_count();
        }
        ShardStatus {
            shard: self.facts.shard,
            replicas: u32::try_from(self.groups.len()).unwrap_or(u32::MAX),
            leads: led,
            sessions: u32::try_from(sessions).unwrap_or(u32::MAX),
            connections: u32::try_from(self.means.attachments.connection_count())
                .unwrap_or(u32::MAX),
            hopped_requests: self.siblings.hopped_requests,
            requests: self.requests,
            turns: self.turns,
            space: match self.means.log.room() {
                Room::Free => SpaceMark::Free,
                Room::Soft => SpaceMark::Soft,
                Room::Hard | Room::Reserve => SpaceMark::Hard,
            },
            durability: self.facts.durability,
            io: self.facts.io.clone(),
        }
    }

    fn group_status(&self, hosted: &Hosted) -> GroupStatus {
        let replica = &hosted.replica;
        let configuration = replica.configuration();
        let is_voter = configuration.is_voter(replica.number());
        let members = configuration.members().map(|member| {
            let known = replica
                .progress()
                .find(|progress| progress.number == member.number);
            MemberStatus {
                node: member.node,
                replica: member.number,
                member_type: if configuration.is_voter(member.number) {
                    MemberType::Active
                } else {
                    MemberType::Passive
                },
                match_index: known.map(|progress| progress.match_index),
                silent_ms: known.map(|progress| milliseconds(progress.silent)),
            }
        });
        GroupStatus {
            group: hosted.group(),
            replica: replica.number(),
            keyspace: hosted.identity.description.keyspace.clone(),
            shard: self.facts.shard,
            role: if hosted.stopped.is_some() {
                ReplicaRole::Inactive
            } else {
                role(replica.role(), is_voter)
            },
            term: replica.term(),
            leader: hosted.leader_node(),
            commit: replica.commit_index(),
            applied: hosted.host.applied_index(),
            last: replica.last_index(),
            durable: replica.durable_index(),
            checkpoint: hosted.checkpoints.index(),
            sessions: u32::try_from(hosted.host.session_count()).unwrap_or(u32::MAX),
            members: members.collect(),
            stopped: hosted.stopped.as_ref().map(|stopped| {
                format!(
                    "{:?} at index {}: {}",
                    stopped.reason, stopped.index, stopped.message
                )
            }),
        }
    }
}

/// Groups on one page.
fn page_size(asked: &StatusRequest) -> usize {
    let wanted = usize::try_from(asked.groups_max).unwrap_or(usize::MAX);
    wanted.min(GROUPS_PER_STATUS_MAX)
}

fn milliseconds(ticks: Ticks) -> u64 {
    u64::from(ticks.number()) * (TICK_NS / 1_000_000)
}

fn role(role: Role, is_voter: bool) -> ReplicaRole {
    match role {
        Role::Follower if is_voter => ReplicaRole::Follower,
        Role::Follower => ReplicaRole::Passive,
        Role::PreCandidate => ReplicaRole::PreCandidate,
        Role::Candidate => ReplicaRole::Candidate,
        Role::Leader => ReplicaRole::Leader,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use margay_types::GroupId;

    #[test]
    fn a_page_has_so_many_groups_whatever_is_asked() {
        let asked = |groups_max| StatusRequest {
            from_group: GroupId::SYSTEM,
            groups_max,
        };
        assert_eq!(page_size(&asked(3)), 3);
        assert_eq!(page_size(&asked(u32::MAX)), GROUPS_PER_STATUS_MAX);
    }
}
