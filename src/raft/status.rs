//! What a host, a script or a status page may look at; nothing here changes anything.

use crate::effects::Role;
use crate::entry::{HardState, Position};
use crate::progress::MemberProgress;
use crate::replica::Replica;
use crate::role::RoleState;
use crate::types::{Index, ReplicaNumber, Term};

impl Replica {
    /// Its number in the group.
    #[must_use]
    pub fn number(&self) -> ReplicaNumber {
        self.number
    }

    /// Its role.
    #[must_use]
    pub fn role(&self) -> Role {
        self.role.name()
    }

    /// Does it lead?
    #[must_use]
    pub fn is_leader(&self) -> bool {
        self.role() == Role::Leader
    }

    /// The latest term that it knows.
    #[must_use]
    pub fn term(&self) -> Term {
        self.hard_state.term
    }

    /// Term and vote.
    #[must_use]
    pub fn hard_state(&self) -> HardState {
        self.hard_state
    }

    /// Who leads, as far as it is known.
    #[must_use]
    pub fn leader(&self) -> Option<ReplicaNumber> {
        match &self.role {
            RoleState::Leader(_) => Some(self.number),
            RoleState::Follower(follower) => follower.leader,
            RoleState::PreCandidate(_) | RoleState::Candidate(_) => None,
        }
    }

    /// Highest index known to be committed.
    #[must_use]
    pub fn commit_index(&self) -> Index {
        self.commit_index
    }

    /// Highest index up to which every entry is on this disk.
    #[must_use]
    pub fn durable_index(&self) -> Index {
        self.durability.durable_index()
    }

    /// The last entry, durable or not.
    #[must_use]
    pub fn last_index(&self) -> Index {
        self.log.last_index()
    }

    /// The last entry with its term.
    #[must_use]
    pub fn last_position(&self) -> Position {
        self.log.last_position()
    }

    /// The position before the first entry that may be sent.
    #[must_use]
    pub fn log_floor(&self) -> Position {
        self.log.floor()
    }

    /// Up to here entries are durable on every member that is waited for; as told by the leaders so far.
    #[must_use]
    pub fn stable_index(&self) -> Index {
        self.stable_index
    }

    /// Term of an entry; `None` below the floor and behind the last entry.
    #[must_use]
    pub fn term_at(&self, index: Index) -> Option<Term> {
        self.log.term_at(index)
    }

    /// How each other member stands; empty unless this replica leads.
    pub fn progress(&self) -> impl Iterator<Item = MemberProgress> + '_ {
        let members = match &self.role {
            RoleState::Leader(leader) => leader.members.as_slice(),
            RoleState::Follower(_) | RoleState::PreCandidate(_) | RoleState::Candidate(_) => &[],
        };
        members
            .iter()
            .map(|(number, progress)| progress.status(*number))
    }
}
