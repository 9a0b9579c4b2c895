//! Which configuration is in force, and how a leader changes it (joint consensus, thesis 4.3).
//!
//! ```text
//!   change_members ──> joint entry ──committed by both halves──> final entry ──committed──> done
//!                      (in force at append)                      (in force at append)        a leader that is
//!                                                                                            no voter steps down
//! ```
//!
//! A change of learners alone needs no joint entry: nobody's vote is touched.
//!
//! Invariants:
//! * A configuration is in force from its append on and goes back with its entry.
//! * One change at a time, and none before the term's first entry is committed: else two leaders' changes could
//!   pass each other by without a common voter.

use crate::configuration::{Configuration, ConfigurationError, Member};
use crate::effects::Effect;
use crate::entry::EntryKind;
use crate::replica::{Proposed, Replica, write_not_leader};
use crate::role::RoleState;
use crate::types::{Index, ReplicaNumber};
use alloc::vec::Vec;
use core::fmt;

/// The members as they shall be; each list sorted by number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// Who shall vote.
    pub voters: Vec<Member>,
    /// Who shall receive entries without a vote.
    pub learners: Vec<Member>,
}

/// Why no change of members was begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeError {
    /// Ask the leader.
    NotLeader {
        /// Who leads, as far as it is known.
        leader: Option<ReplicaNumber>,
    },
    /// The configuration is another one than the caller expected: look again.
    Changed {
        /// Index of the one in force.
        configuration: Index,
    },
    /// Another change is not finished: wait.
    UnderWay,
    /// Nothing was committed in this term yet: wait.
    TooEarly,
    /// Leadership is being handed over; ask again soon.
    Transferring,
    /// The members are so already.
    Unchanged,
    /// These members are no configuration.
    Invalid(ConfigurationError),
}

impl fmt::Display for ChangeError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotLeader { leader } => write_not_leader(formatter, *leader),
            Self::Changed { configuration } => {
                write!(
                    formatter,
                    "the members changed meanwhile, at index {configuration}"
                )
            }
            Self::UnderWay => write!(formatter, "another change of members is under way"),
            Self::TooEarly => write!(formatter, "the leader has not committed in its term yet"),
            Self::Transferring => write!(formatter, "leadership is being handed over"),
            Self::Unchanged => write!(formatter, "the members are so already"),
            Self::Invalid(error) => write!(formatter, "the members are not valid: {error}"),
        }
    }
}

impl core::error::Error for ChangeError {}

/// The configuration in force among those kept.
pub(crate) fn in_force(configurations: &[(Index, Configuration)]) -> &Configuration {
    &configurations
        .last()
        .expect("one configuration is always kept")
        .1
}

impl Replica {
    /// The configuration in force.
    #[must_use]
    pub fn configuration(&self) -> &Configuration {
        in_force(&self.configurations)
    }

    /// Index of the entry that the configuration in force stands in; `ZERO` for one that no entry holds.
    #[must_use]
    pub fn configuration_index(&self) -> Index {
        self.configurations
            .last()
            .map_or(Index::ZERO, |(index, _)| *index)
    }

    /// The newest configuration that is known to be committed.
    ///
    /// # Panics
    /// Never: one is always kept.
    #[must_use]
    pub fn committed_configuration(&self) -> &Configuration {
        &self
            .configurations
            .first()
            .expect("one configuration is always kept")
            .1
    }

    /// Begins a change of members. `expected` is the index of the configuration that the caller looked at. The
    /// change is done when the final configuration is committed; the leader appends that one itself.
    ///
    /// # Errors
    /// When the change may not begin now, or not like this. Nothing was appended.
    pub fn change_members(
        &mut self,
        expected: Index,
        target: Target,
        effects: &mut Vec<Effect>,
    ) -> Result<Proposed, ChangeError> {
        let leader = self.leader();
        let RoleState::Leader(leading) = &self.role else {
            return Err(ChangeError::NotLeader { leader });
        };
        if leading.transfer.is_some() {
            return Err(ChangeError::Transferring);
        }
        let configuration = self.configuration_index();
        if expected != configuration {
            return Err(ChangeError::Changed { configuration });
        }
        if configuration > self.commit_index || self.configuration().is_joint() {
            return Err(ChangeError::UnderWay);
        }
        if !self.has_committed_in_term() {
            return Err(ChangeError::TooEarly);
        }
        let next = self.configuration_towards(target)?;
        Ok(self.append_configuration(next, effects))
    }

    fn configuration_towards(&self, target: Target) -> Result<Configuration, ChangeError> {
        let current = self.configuration();
        let Target { voters, learners } = target;
        if voters == current.voters && learners == current.learners {
            return Err(ChangeError::Unchanged);
        }
        let moves = |member: &Member| {
            current
                .node_of(member.number)
                .is_some_and(|node| node != member.node)
        };
        if voters.iter().chain(&learners).any(moves) {
            return Err(ChangeError::Invalid(ConfigurationError::Contradiction));
        }
        let outgoing_voters = if voters == current.voters {
            Vec::new()
        } else {
            current.voters.clone()
        };
        let next = Configuration {
            voters,
            outgoing_voters,
            learners,
        };
        next.check().map(|()| next).map_err(ChangeError::Invalid)
    }

    fn append_configuration(
        &mut self,
        configuration: Configuration,
        effects: &mut Vec<Effect>,
    ) -> Proposed {
        let mut payload = Vec::new();
        configuration.encode(&mut payload);
        let proposed = self.append_own(EntryKind::Configuration, payload, effects);
        self.enter_configuration(proposed.position.index, configuration, effects);
        proposed
    }

    /// A configuration entry was appended: it is in force.
    pub(crate) fn enter_configuration(
        &mut self,
        index: Index,
        configuration: Configuration,
        effects: &mut Vec<Effect>,
    ) {
        assert!(
            index > self.configuration_index(),
            "configurations ascend: {index} is not newer"
        );
        if let RoleState::Leader(leader) = &mut self.role {
            leader.follow_configuration(&configuration, self.number, self.log.last_index());
        }
        self.configurations.push((index, configuration));
        self.note_whether_alone();
        effects.push(Effect::ConfigurationChanged { index });
    }

    /// Entries at and behind `from` are gone; the configuration before them is in force again.
    pub(crate) fn roll_back_configurations(&mut self, from: Index, effects: &mut Vec<Effect>) {
        let kept = self
            .configurations
            .partition_point(|(index, _)| *index < from);
        assert!(
            kept > 0,
            "a truncation from {from} takes the committed configuration"
        );
        if kept < self.configurations.len() {
            self.configurations.truncate(kept);
            self.note_whether_alone();
            effects.push(Effect::ConfigurationChanged {
                index: self.configuration_index(),
            });
        }
    }

    /// Of the committed configurations only the newest is needed.
    pub(crate) fn forget_old_configurations(&mut self) {
        let commit_index = self.commit_index;
        let committed = self
            .configurations
            .partition_point(|(index, _)| *index <= commit_index);
        if committed < 2 {
            return;
        }
        self.configurations.drain(..committed - 1);
        self.note_whether_alone();
        assert!(
            !self.configurations.is_empty(),
            "one configuration is always kept"
        );
    }

    /// The configurations changed.
    pub(crate) fn note_whether_alone(&mut self) {
        let is_only = self.configurations.len() == 1;
        self.alone = is_only && self.configuration().is_only_voter(self.number);
    }

    /// Does this replica vote, or would it if the newest configurations went back? While the entry that removes it
    /// is not committed, it may be the only one whose log can win; its own vote does not count (thesis 4.2.2).
    pub(crate) fn may_be_needed(&self) -> bool {
        self.configurations
            .iter()
            .any(|(_, configuration)| configuration.is_voter(self.number))
    }

    /// The next step of a change, when the last one is committed.
    pub(crate) fn go_on_with_change(&mut self, effects: &mut Vec<Effect>) {
        if self.configuration_index() > self.commit_index || !self.has_committed_in_term() {
            return;
        }
        if self.configuration().is_joint() {
            let last = self.configuration().without_outgoing();
            self.append_configuration(last, effects);
        } else if !self.configuration().is_voter(self.number) {
            self.hand_over(effects);
        }
    }
}

#[cfg(test)]
#[path = "membership_tests.rs"]
mod tests;
