//! Every group has a home: the member that leads it when nothing stands against that, so that the leaders of many
//! groups spread evenly over nodes.
//!
//! * The home is decided by the group's id and its voters alone, so all members name the same one.
//! * In the first election of a group's life the home campaigns first (`Replica::prefer`).
//! * Later elections are won by whoever comes first. A leader that is not at home hands leadership over once nothing
//!   has moved for a while:
//!
//! ```text
//!   reign begins, or home restarts        patience is over        a shard sends one group home at a time
//!        ├───────────── 30 s ──────────────────┤ · · · · · · · · · ├ transfer
//!        └─ it comes back soon: the next patience is twice as long, and so on
//! ```
//!
//! It costs a group a moment without proposals, and a term. So it never happens while the node stops, while members
//! change, or to a home that is behind, silent or does not apply.

use crate::limits::{HOMING_DOUBLINGS_MAX, HOMING_LOOKS, HOMING_PAUSE_TICKS, HOMING_SILENCE_TICKS};
use crate::shard::Seams;
use crate::shard::hosted::Hosted;
use crate::shard::means::Means;
use crate::shard::shard::Shard;
use margay_raft::{Member, Way};
use margay_types::{GroupId, ReplicaNumber};
use std::ops::Bound;

/// How long a replica has led away from home, and how patient it has become.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Stay {
    since_tick: u64,
    doublings: u32,
    /// When it last gave leadership away.
    given_tick: Option<u64>,
}

impl Stay {
    /// A reign begins. Leadership that comes back soon after it was given away was not wanted there.
    pub(crate) fn begin(&mut self, tick: u64, patience_ticks: u64) {
        let soon = 2 * self.wait_ticks(patience_ticks);
        if self.given_tick.is_none_or(|given| tick - given > soon) {
            self.doublings = 0;
        }
        self.since_tick = tick;
    }

    /// The home must prove itself anew.
    pub(crate) fn restart(&mut self, tick: u64) {
        self.since_tick = tick;
    }

    /// Leadership is given away, or was not taken: until it is seen which, the patience is longer.
    fn give(&mut self, tick: u64) {
        self.since_tick = tick;
        self.given_tick = Some(tick);
        self.doublings = (self.doublings + 1).min(HOMING_DOUBLINGS_MAX);
    }

    fn wait_ticks(&self, patience_ticks: u64) -> u64 {
        patience_ticks << self.doublings
    }

    fn is_over(&self, tick: u64, patience_ticks: u64) -> bool {
        tick - self.since_tick >= self.wait_ticks(patience_ticks)
    }
}

/// The home of a group among its voters: the sum of the digits of its id, in a system with as many digits as voters. So
/// homes stay even when the voters themselves were chosen by the id.
fn home_among(group: GroupId, voters: &[Member]) -> Option<ReplicaNumber> {
    let base = voters.len();
    let mut rest = usize::try_from(group.number()).expect("32 bits fit");
    let mut sum = 0;
    while base > 1 && rest > 0 {
        sum += rest % base;
        rest /= base;
    }
    voters
        .get(sum.checked_rem(base)?)
        .map(|member| member.number)
}

impl Hosted {
    /// Who leads when nothing stands against it; nobody in a group that was told of no voters yet.
    pub(crate) fn home(&self) -> Option<ReplicaNumber> {
        home_among(self.group(), &self.replica.configuration().voters)
    }

    /// Hands leadership to the group's home, if this replica has led it long enough and the home is fit.
    fn go_home<S: Seams>(&mut self, means: &mut Means<S>) -> bool {
        let tick = means.alarms.tick();
        let is_due = self.reign.is_some() && self.stay.is_over(tick, means.homing_ticks);
        let Some(home) = self.home().filter(|home| *home != self.replica.number()) else {
            return false;
        };
        if !is_due || !self.is_settled() {
            return false;
        }
        self.catch_up(means);
        let member = self.replica.progress().find(|member| member.number == home);
        let Some(member) = member else { return false };
        if member.silent.number() >= HOMING_SILENCE_TICKS || !member.applies {
            self.stay.restart(tick);
            return false;
        }
        let is_close =
            member.way == Way::Replicate && member.match_index >= self.replica.commit_index();
        if !is_close {
            return false;
        }
        self.stay.give(tick);
        let mut effects = std::mem::take(&mut means.effects);
        let begun = self.replica.transfer(home, &mut effects);
        self.execute(means, effects, &[]);
        self.touch(means);
        begun.is_ok()
    }

    /// Does nothing else go on in this group that moves leaders or members?
    fn is_settled(&self) -> bool {
        self.has_applied_own_term()
            && self.stopped.is_none()
            && !self.replica.is_transferring()
            && !self.replica.configuration().is_joint()
            && self.replica.configuration_index() <= self.replica.commit_index()
    }
}

impl<S: Seams> Shard<S> {
    /// Every now and then one group that is led here goes home.
    pub(crate) fn send_one_home(&mut self) {
        if !self.means.alarms.tick().is_multiple_of(HOMING_PAUSE_TICKS) {
            return;
        }
        let behind = (Bound::Excluded(self.looked_at), Bound::Unbounded);
        let next = self.groups.range(behind);
        let next = next.chain(self.groups.range(..=self.looked_at));
        let next: Vec<GroupId> = next.take(HOMING_LOOKS).map(|(group, _)| *group).collect();
        for group in next {
            self.looked_at = group;
            if let Some(hosted) = self.groups.get_mut(&group)
                && hosted.go_home(&mut self.means)
            {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use margay_types::NodeId;

    fn voters(nodes: impl Iterator<Item = u16>) -> Vec<Member> {
        let mut nodes: Vec<u16> = nodes.collect();
        nodes.sort_unstable();
        let member = |(number, node)| Member {
            number: ReplicaNumber::new(number),
            node: NodeId::new(node),
        };
        (1..).zip(nodes).map(member).collect()
    }

    /// Members are chosen as group 0 chooses them: consecutive nodes, beginning with another one for each group.
    #[test]
    fn homes_are_even_over_the_nodes() {
        for (node_count, replicas) in [(3, 3), (4, 3), (5, 3), (5, 5), (6, 3), (9, 3), (2, 1)] {
            let mut homes = vec![0_u32; node_count];
            for group in 1..=1_000_u16 {
                let count = u16::try_from(node_count).unwrap();
                let members = voters((0..replicas).map(|place| (group + place) % count));
                let home = home_among(GroupId::new(u32::from(group)), &members).unwrap();
                let member = members.iter().find(|member| member.number == home).unwrap();
                homes[usize::from(member.node.number())] += 1;
            }
            let (least, most) = (homes.iter().min().unwrap(), homes.iter().max().unwrap());
            let is_everywhere = usize::from(replicas) == node_count;
            let bound = if is_everywhere { 2 } else { most / 4 };
            assert!(
                most - least <= bound,
                "{node_count} nodes, {replicas} replicas: {homes:?}"
            );
        }
    }

    #[test]
    fn a_group_without_voters_has_no_home() {
        assert_eq!(home_among(GroupId::new(7), &[]), None);
    }

    #[test]
    fn patience_doubles_each_time_that_leadership_comes_back_soon() {
        let mut stay = Stay::default();
        stay.begin(0, 100);
        assert!(!stay.is_over(99, 100));
        assert!(stay.is_over(100, 100));
        stay.give(100);
        stay.begin(150, 100);
        assert!(!stay.is_over(349, 100));
        assert!(stay.is_over(350, 100));
        stay.give(350);
        stay.begin(360, 100);
        assert!(!stay.is_over(759, 100));
        stay.give(760);
        stay.begin(760 + 1_601, 100);
        assert!(stay.is_over(760 + 1_701, 100), "it stayed away for long");
    }

    #[test]
    fn a_transfer_that_is_not_taken_makes_patient_too() {
        let mut stay = Stay::default();
        stay.begin(0, 100);
        for _ in 0..20 {
            stay.give(0);
        }
        let longest = 100 << HOMING_DOUBLINGS_MAX;
        assert!(!stay.is_over(longest - 1, 100));
        assert!(stay.is_over(longest, 100));
    }
}
