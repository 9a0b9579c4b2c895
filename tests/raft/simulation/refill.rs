//! Refills of members that need what is below the leader's log floor.

use super::world::World;
use margay_raft::Way;
use margay_types::ReplicaNumber;

/// A refill takes a while: so likely is it to be done in a tick, in thousandths.
const REFILLS: u64 = 100;

impl World {
    pub(super) fn refill(&mut self) {
        for leader in self.leaders() {
            for number in self.waiting_for_refill(leader) {
                if self.random.chance(REFILLS) {
                    self.cluster.refill(number, leader);
                    self.tally.refills += 1;
                    self.note(format!("n{number} is refilled by n{leader}"));
                    self.settle();
                }
            }
        }
    }

    /// Those who can be reached and are still behind the floor.
    fn waiting_for_refill(&self, leader: ReplicaNumber) -> Vec<ReplicaNumber> {
        let floor = self.cluster.core(leader).log_floor();
        let streams = self
            .cluster
            .core(leader)
            .progress()
            .filter(|it| it.way == Way::Stream);
        let mut numbers: Vec<ReplicaNumber> = streams.map(|it| it.number).collect();
        numbers.retain(|number| {
            self.cluster.is_up(*number)
                && !self.is_paused(*number)
                && !self.network.is_cut(leader, *number)
                && self.cluster.members[number].commit_index < floor.index
                // It learnt the term from the leader before it took anything from it.
                && self.cluster.members[number].disk.hard_state().term >= floor.term
        });
        numbers
    }
}
