//! What holds between any two inputs; called by tests and simulators after every step.

use crate::replica::Replica;
use crate::role::{Leader, RoleState};

impl Replica {
    /// Checks this replica against itself.
    ///
    /// # Panics
    /// When it contradicts itself: a mistake of ours.
    pub fn check(&self) {
        self.log.check();
        self.durability.check(self.log.last_index());
        self.check_indexes();
        self.check_configurations();
        self.check_held();
        match &self.role {
            RoleState::Leader(leader) => self.check_leader(leader),
            RoleState::Follower(follower) => assert!(
                follower.proven <= self.log.last_index(),
                "agreement at {} is proven without an entry",
                follower.proven
            ),
            RoleState::PreCandidate(_) | RoleState::Candidate(_) => {
                assert!(
                    self.may_be_needed(),
                    "a replica campaigns that never had a vote"
                );
            }
        }
    }

    fn check_indexes(&self) {
        let last_index = self.log.last_index();
        assert!(
            self.log.floor().index <= self.commit_index,
            "the floor is above the commit index"
        );
        assert!(
            self.commit_index <= last_index,
            "commit {} > last {last_index}",
            self.commit_index
        );
        assert!(
            self.stable_index <= last_index,
            "stable {} > last {last_index}",
            self.stable_index
        );
        assert!(
            self.log.last_position().term <= self.hard_state.term,
            "an entry is of a greater term than {}",
            self.hard_state.term
        );
    }

    fn check_configurations(&self) {
        let is_only = self.configurations.len() == 1;
        assert_eq!(
            self.alone,
            is_only && self.configuration().is_only_voter(self.number),
            "whether others vote was not noted"
        );
        let indexes = || self.configurations.iter().map(|(index, _)| *index);
        assert!(
            indexes().is_sorted_by(|a, b| a < b),
            "configurations do not ascend"
        );
        assert!(
            indexes()
                .next()
                .is_some_and(|first| first <= self.commit_index),
            "no committed configuration is kept"
        );
        assert!(
            indexes()
                .skip(1)
                .all(|index| index > self.commit_index && index <= self.last_index()),
            "configurations are kept that are committed or gone"
        );
    }

    fn check_held(&self) {
        assert!(
            self.held.iter().is_sorted_by_key(|held| held.write),
            "messages wait out of the order of their writes"
        );
        assert!(
            self.held
                .iter()
                .all(|held| !self.durability.is_durable(held.write)),
            "a message waits for a write that is durable"
        );
    }

    fn check_leader(&self, leader: &Leader) {
        let last_index = self.log.last_index();
        assert!(
            self.is_hard_state_durable(),
            "a leader's term is not durable"
        );
        let first = self.log.term_at(leader.term_start);
        assert!(
            first == Some(self.hard_state.term) || leader.term_start < self.log.floor().index,
            "a leader's first entry {} is of term {first:?}",
            leader.term_start
        );
        for (number, progress) in &leader.members {
            progress.check();
            assert!(
                progress.match_index() <= last_index,
                "member {number} proved more than the leader has"
            );
            assert!(
                self.configuration().is_member(*number),
                "{number} is no member"
            );
        }
    }
}
