//! Time, in ticks: what is due when, and many ticks at once.
//!
//! Nearly all ticks of nearly all groups only count. So that a host with thousands of groups need not visit each of
//! them a hundred times a second, a replica tells in how many ticks it will do more than count, and counts several
//! at once:
//!
//! ```text
//!   ticks      1  2  3  4  5  6  7  8
//!              c  c  c  c  c  !              ticks_until_due() = 6
//!              └── advance(5) ──┘            the same as five times `tick`: nothing but counters moved
//!                             └─ advance(1)  the sixth acts
//! ```
//!
//! Invariants:
//! * `advance(n)` is `tick` n times, whatever n is.
//! * Between two inputs `ticks_until_due` only falls, by one per tick. An input may move it either way.

use crate::effects::Effect;
use crate::quorum;
use crate::replica::Replica;
use crate::role::{Leader, RoleState};
use crate::types::ReplicaNumber;
use alloc::vec::Vec;

impl Replica {
    /// One tick of the shard's clock passed.
    pub fn tick(&mut self, effects: &mut Vec<Effect>) {
        self.count_ticks(1);
        match self.role {
            RoleState::Leader(_) => self.act_as_leader(effects),
            RoleState::Follower(_) | RoleState::PreCandidate(_) | RoleState::Candidate(_) => {
                self.act_as_elector(effects);
            }
        }
        self.settle(effects);
    }

    /// So many ticks passed since the last input: the same as `tick` so many times, and cheaper.
    pub fn advance(&mut self, ticks: u32, effects: &mut Vec<Effect>) {
        let mut left = ticks;
        while left > 0 {
            let quiet = left.min(self.ticks_until_due() - 1);
            if quiet > 0 {
                self.count_ticks(quiet);
                left -= quiet;
            }
            if left > 0 {
                self.tick(effects);
                left -= 1;
            }
        }
    }

    /// The next tick but so many may do more than count, if no input comes before: 1 is the very next.
    #[must_use]
    pub fn ticks_until_due(&self) -> u32 {
        let due = match &self.role {
            RoleState::Leader(leader) => self.leader_due(leader),
            RoleState::Follower(follower) => {
                let patience_ticks = self.options.election_ticks_max.number();
                let oldest = follower.asked.oldest_ticks();
                let reads = oldest.map(|waited| patience_ticks.saturating_sub(waited));
                self.election_due().min(reads.unwrap_or(u32::MAX))
            }
            RoleState::PreCandidate(_) | RoleState::Candidate(_) => self.election_due(),
        };
        due.max(1)
    }

    /// Sends the next heartbeat earlier than it is due, if this replica leads and has not just sent one: a host gathers
    /// those of many groups into one frame.
    pub fn beat(&mut self, effects: &mut Vec<Effect>) {
        if let RoleState::Leader(leader) = &self.role
            && leader.heartbeat_ticks > 0
        {
            self.send_heartbeats(effects);
            self.settle(effects);
        }
    }

    /// Everything that counts ticks, and nothing else.
    fn count_ticks(&mut self, ticks: u32) {
        self.age_ticks = self.age_ticks.saturating_add(ticks);
        self.heard_ticks = self.heard_ticks.saturating_add(ticks);
        self.durability.count_ticks(ticks);
        let repeat_ticks = self.options.heartbeat_ticks.number();
        match &mut self.role {
            RoleState::Leader(leader) => {
                for (_, progress) in &mut leader.members {
                    progress.count_ticks(ticks, repeat_ticks);
                }
                leader.heartbeat_ticks = leader.heartbeat_ticks.saturating_add(ticks);
                leader.transfer = leader.transfer.and_then(|transfer| transfer.after(ticks));
            }
            RoleState::Follower(follower) => {
                follower.asked.count_ticks(ticks);
                self.election_ticks = self.election_ticks.saturating_add(ticks);
            }
            RoleState::PreCandidate(_) | RoleState::Candidate(_) => {
                self.election_ticks = self.election_ticks.saturating_add(ticks);
            }
        }
    }

    /// A tick of a leader was counted.
    fn act_as_leader(&mut self, effects: &mut Vec<Effect>) {
        let RoleState::Leader(leader) = &self.role else {
            return;
        };
        let is_heartbeat_due = leader.heartbeat_ticks >= self.options.heartbeat_ticks.number();
        if self.quorum_ticks(leader) == 0 {
            return self.become_follower(self.hard_state.term, effects);
        }
        if self.is_disk_stalled() {
            return self.hand_over(effects);
        }
        if is_heartbeat_due {
            self.send_heartbeats(effects);
        }
    }

    /// A tick of a replica that does not lead was counted.
    fn act_as_elector(&mut self, effects: &mut Vec<Effect>) {
        self.expire_asked_reads(effects);
        let alone = self.is_alone();
        let waits_for_own_vote = matches!(self.role, RoleState::Candidate(_));
        if alone && !waits_for_own_vote && self.can_campaign() {
            self.become_pre_candidate(effects);
            return;
        }
        if self.election_ticks < self.election_timeout_ticks {
            return;
        }
        if self.can_campaign() && !(alone && waits_for_own_vote) {
            self.become_pre_candidate(effects);
        } else if self.leader().is_some() {
            self.become_follower(self.hard_state.term, effects);
            self.restart_election_timer();
        } else {
            self.restart_election_timer();
        }
    }

    /// A heartbeat, the loss of the quorum, the patience with the own disk, the end of a transfer.
    fn leader_due(&self, leader: &Leader) -> u32 {
        let repeat_ticks = self.options.heartbeat_ticks.number();
        let heartbeat = repeat_ticks.saturating_sub(leader.heartbeat_ticks);
        let disk = if self.durability.is_waiting() {
            let stalled_ticks = self.durability.stalled_ticks();
            self.stall_ticks().saturating_sub(stalled_ticks)
        } else {
            u32::MAX
        };
        let transfer = leader.transfer.as_ref();
        let transfer = transfer.map_or(u32::MAX, |transfer| transfer.left_ticks());
        heartbeat
            .min(self.quorum_ticks(leader))
            .min(disk)
            .min(transfer)
    }

    /// An election, or the end of the patience with a leader.
    fn election_due(&self) -> u32 {
        let waits_for_own_vote = matches!(self.role, RoleState::Candidate(_));
        if self.is_alone() && !waits_for_own_vote && self.can_campaign() {
            return 1;
        }
        self.election_timeout_ticks
            .saturating_sub(self.election_ticks)
    }

    /// In how many ticks a leader gives up for want of a quorum, if nobody answers until then; 0 when it must now, and
    /// a lower bound when that is further away than a heartbeat. It waits for an election timeout, and only answers
    /// count: a leader that hears questions but no answers is not heard itself.
    fn quorum_ticks(&self, leader: &Leader) -> u32 {
        let patience_ticks = self.options.election_ticks_min.number();
        let all = leader.members.iter();
        let all = all.map(|(_, member)| patience_ticks.saturating_sub(member.silent_ticks()));
        let first = all.min().unwrap_or(u32::MAX);
        if first >= self.options.heartbeat_ticks.number() {
            // Nobody is missed: no need to count.
            return first;
        }
        let left_ticks = |number: ReplicaNumber| match leader.progress(number) {
            Some(member) => u64::from(patience_ticks.saturating_sub(member.silent_ticks())),
            None => u64::from(u32::MAX),
        };
        let left_ticks = quorum::reached(self.configuration(), left_ticks);
        u32::try_from(left_ticks).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
#[path = "ticking_tests.rs"]
mod tests;
