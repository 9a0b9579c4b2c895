//! What clients and operators ask for while things fail.

use super::world::World;
use crate::host::members;
use margay_raft::configuration::{Configuration, Member};
use margay_raft::{Role, Target};
use margay_types::{Index, ReplicaNumber};

/// Commands of one run: a log that catches up entry by entry must do so within the bound of the healed phase.
const PROPOSALS_MAX: u64 = 600;
/// Replicas that a group ever has, in one run.
const NUMBERS_MAX: u16 = 9;
/// Voters that a change may leave.
const VOTERS_MAX: usize = 5;

impl World {
    /// Draws this tick's requests.
    pub(super) fn ask(&mut self) {
        // Also of those who only believe to lead.
        for leader in self.leaders() {
            self.ask_leader(leader);
        }
        let numbers = self.awake();
        if self.random.chance(self.swarm.reads)
            && let Some(number) = self.random.pick(&numbers)
        {
            self.read(number);
        }
        if self.random.chance(self.swarm.reclaims)
            && let Some(number) = self.random.pick(&numbers)
        {
            self.reclaim(number);
        }
    }

    fn ask_leader(&mut self, leader: ReplicaNumber) {
        if self.random.chance(self.swarm.proposals) {
            for _ in 0..self.random.between(1, self.swarm.burst_max + 1) {
                if self.proposed < PROPOSALS_MAX {
                    self.propose(leader);
                }
            }
        }
        if self.random.chance(self.swarm.reads) {
            self.read(leader);
        }
        if self.random.chance(self.swarm.transfers) {
            let numbers = self.numbers();
            let to = self.random.pick(&numbers).unwrap_or(leader);
            let answer = self.cluster.transfer(leader, to);
            self.note(format!(
                "n{leader} is asked to hand over to n{to}: {answer:?}"
            ));
            self.settle();
        }
        if self.random.chance(self.swarm.changes) && self.cluster.role(leader) == Some(Role::Leader)
        {
            self.change(leader);
        }
    }

    fn read(&mut self, number: ReplicaNumber) {
        let read = self.cluster.read(number);
        self.note(format!("n{number} is asked for read r{}", read.0));
        self.settle();
    }

    /// Proposes the next command; says where it stands if it was taken.
    pub(super) fn propose(&mut self, leader: ReplicaNumber) -> Option<margay_raft::Position> {
        self.proposed += 1;
        let length = usize::try_from(self.random.between(0, 40)).expect("small");
        let payload = format!("{}{}", self.proposed, "+".repeat(length));
        let proposed = self.cluster.propose(leader, payload.as_bytes()).ok();
        self.settle();
        proposed
    }

    fn change(&mut self, leader: ReplicaNumber) {
        let now = self.cluster.core(leader).configuration().clone();
        let Some(target) = self.draw_target(&now) else {
            return;
        };
        let shown = format!("{target:?}");
        let expected = self.cluster.core(leader).configuration_index();
        let answer = self.cluster.change(leader, expected, target);
        self.note(format!("n{leader} is asked for {shown}: {answer:?}"));
        self.settle();
    }

    /// Other members than now: one learner more, a learner promoted, a voter demoted or removed, or a replacement.
    fn draw_target(&mut self, now: &Configuration) -> Option<Target> {
        let mut target = Target {
            voters: now.voters.clone(),
            learners: now.learners.clone(),
        };
        let (voters, learners) = (target.voters.clone(), target.learners.clone());
        let (voter, learner) = (self.random.pick(&voters), self.random.pick(&learners));
        match self.random.between(0, 6) {
            0 => target.learners.push(self.newcomer()?),
            1 => promote(&mut target, learner?),
            2 => {
                remove(&mut target, voter?);
                target.learners.push(voter?);
            }
            3 => remove(&mut target, voter?),
            4 => remove(&mut target, learner?),
            _ => {
                promote(&mut target, learner?);
                remove(&mut target, voter?);
            }
        }
        target.voters.sort();
        target.learners.sort();
        let sensible =
            (1..=VOTERS_MAX).contains(&target.voters.len()) && target.learners.len() <= 3;
        sensible.then_some(target)
    }

    /// A replica with an empty disk and a number that was never given before.
    fn newcomer(&mut self) -> Option<Member> {
        let next = self.numbers().last()?.number() + 1;
        if next > NUMBERS_MAX {
            return None;
        }
        self.cluster.add(ReplicaNumber::new(next));
        members(&[next]).first().copied()
    }

    /// Forgets a part of what a checkpoint could hold: applied, so committed, and on disk.
    fn reclaim(&mut self, number: ReplicaNumber) {
        let member = &self.cluster.members[&number];
        let floor = member.log.floor().index;
        let most = member.commit_index.min(member.core().durable_index());
        if most > floor && member.disk.pending_count() == 0 {
            let index = Index::new(self.random.between(floor.number() + 1, most.number() + 1));
            self.cluster.reclaim(number, index);
            self.note(format!("n{number} reclaims up to {index}"));
            self.settle();
        }
    }

    /// Everybody awake who believes to lead.
    pub(super) fn leaders(&self) -> Vec<ReplicaNumber> {
        let mut awake = self.awake();
        awake.retain(|number| self.cluster.role(*number) == Some(Role::Leader));
        awake
    }
}

fn promote(target: &mut Target, learner: Member) {
    target.learners.retain(|it| *it != learner);
    target.voters.push(learner);
}

fn remove(target: &mut Target, member: Member) {
    target.voters.retain(|it| *it != member);
    target.learners.retain(|it| *it != member);
}
