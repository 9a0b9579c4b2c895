//! What goes wrong: cuts, crashes, pauses, disks that do not answer and disks that are full.

use super::world::World;
use margay_types::ReplicaNumber;

impl World {
    /// Draws this tick's faults.
    pub(super) fn fail(&mut self) {
        if self.random.chance(self.swarm.cuts) {
            self.cut_something();
        }
        if self.random.chance(self.swarm.heals) {
            self.network.heal();
            self.note("links heal".to_owned());
        }
        for number in self.numbers() {
            self.fail_member(number);
        }
    }

    /// Everything works from here on.
    pub(super) fn heal(&mut self) {
        self.swarm = self.swarm.healed();
        self.network.heal();
        self.paused.clear();
        self.stuck.clear();
        self.full.clear();
        for number in self.numbers() {
            if !self.cluster.is_up(number) {
                self.cluster.start(number);
            }
        }
        self.note("everything heals".to_owned());
    }

    pub(super) fn is_paused(&self, number: ReplicaNumber) -> bool {
        self.paused
            .get(&number)
            .is_some_and(|until| *until > self.now)
    }

    pub(super) fn is_stuck(&self, number: ReplicaNumber) -> bool {
        self.stuck
            .get(&number)
            .is_some_and(|until| *until > self.now)
    }

    /// Has its disk no room for entries?
    pub(super) fn is_full(&self, number: ReplicaNumber) -> bool {
        self.full
            .get(&number)
            .is_some_and(|until| *until > self.now)
    }

    fn cut_something(&mut self) {
        let numbers = self.numbers();
        // A leader that is cut off goes on for a while, and leaves entries that others contradict.
        let leaders = self.leaders();
        let of = if self.random.chance(500) {
            &leaders
        } else {
            &numbers
        };
        let Some(one) = self.random.pick(of) else {
            return;
        };
        // One link, or all links of one member; in one direction or in both.
        let others = if self.random.chance(500) {
            numbers.clone()
        } else {
            self.random.pick(&numbers).into_iter().collect()
        };
        let (send, receive) = match (
            self.random.chance(self.swarm.one_way),
            self.random.chance(500),
        ) {
            (false, _) => (true, true),
            (true, send) => (send, !send),
        };
        for other in others.into_iter().filter(|other| *other != one) {
            if send {
                self.network.cut(one, other);
            }
            if receive {
                self.network.cut(other, one);
            }
        }
        self.note(format!(
            "links of n{one} are cut (sends {}, hears {})",
            !send, !receive
        ));
        // Clients ask at the wrong moment.
        if leaders.contains(&one) {
            for _ in 0..self.random.between(0, 4) {
                self.propose(one);
            }
        }
    }

    fn fail_member(&mut self, number: ReplicaNumber) {
        if !self.cluster.is_up(number) {
            if self.random.chance(self.swarm.restarts) {
                self.cluster.start(number);
                self.note(format!("n{number} restarts"));
            }
            return;
        }
        if self.random.chance(self.swarm.crashes) {
            let pending = self.cluster.pending_writes(number) as u64;
            let kept = self.random.between(0, pending + 1);
            self.cluster
                .crash(number, usize::try_from(kept).expect("a queue in memory"));
            self.note(format!(
                "n{number} crashes, {kept} of {pending} pending writes survive"
            ));
        } else if self.random.chance(self.swarm.pauses) {
            let until = self.now + self.random.between(1, self.swarm.pause_max);
            self.paused.insert(number, until);
            self.note(format!("n{number} pauses until {until}"));
        } else if self.random.chance(self.swarm.stuck_disks) {
            let until = self.now + self.random.between(1, self.swarm.stuck_max);
            self.stuck.insert(number, until);
            self.note(format!("the disk of n{number} is stuck until {until}"));
        } else if self.random.chance(self.swarm.full_disks) {
            let until = self.now + self.random.between(1, self.swarm.full_max);
            self.full.insert(number, until);
            self.note(format!("the disk of n{number} is full until {until}"));
        }
    }
}
