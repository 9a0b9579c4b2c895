//! Handing leadership over (thesis 3.10).
//!
//! ```text
//!   leader                                transferee                      others
//!     │ transfer: no proposals any more       │                              │
//!     │ ── appends, until it has everything ─>│                              │
//!     │ ── TimeoutNow ───────────────────────>│ ── RequestVote (transfer) ──>│  stickiness does not bind
//!     │ <───────────── greater term ──────────│ <────────── votes ───────────│
//! ```
//!
//! When it takes longer than an election timeout, the leader goes on as before.

use crate::effects::Effect;
use crate::message::{Message, TimeoutNow};
use crate::replica::{Replica, write_not_leader};
use crate::role::RoleState;
use crate::types::ReplicaNumber;
use alloc::vec::Vec;
use core::fmt;

/// Leadership on its way to another member.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Transfer {
    to: ReplicaNumber,
    left_ticks: u32,
    is_asked: bool,
}

impl Transfer {
    /// In how many ticks it is given up.
    pub(crate) fn left_ticks(&self) -> u32 {
        self.left_ticks
    }

    /// So many ticks passed. After an election timeout nothing is left of it: the leader leads on.
    pub(crate) fn after(self, ticks: u32) -> Option<Self> {
        let left_ticks = self.left_ticks.saturating_sub(ticks);
        (left_ticks > 0).then_some(Self { left_ticks, ..self })
    }
}

/// Why leadership is not handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransferError {
    /// Ask the leader.
    NotLeader {
        /// Who leads, as far as it is known.
        leader: Option<ReplicaNumber>,
    },
    /// It leads already.
    Leads,
    /// It does not vote, or will not after the change under way.
    NotVoter,
    /// Another transfer is under way; it ends within an election timeout.
    UnderWay,
}

impl fmt::Display for TransferError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotLeader { leader } => write_not_leader(formatter, *leader),
            Self::Leads => write!(formatter, "the replica leads already"),
            Self::NotVoter => write!(formatter, "the replica does not vote"),
            Self::UnderWay => write!(formatter, "leadership is being handed over already"),
        }
    }
}

impl core::error::Error for TransferError {}

impl Replica {
    /// Begins to hand leadership to `to`. The end of it is seen as a `RoleChanged`, or as proposals being taken again.
    ///
    /// # Errors
    /// When it cannot begin.
    pub fn transfer(
        &mut self,
        to: ReplicaNumber,
        effects: &mut Vec<Effect>,
    ) -> Result<(), TransferError> {
        let known = self.leader();
        let is_voter = self
            .configuration()
            .voters
            .iter()
            .any(|voter| voter.number == to);
        let left_ticks = self.options.election_ticks_min.number();
        let RoleState::Leader(leader) = &mut self.role else {
            return Err(TransferError::NotLeader { leader: known });
        };
        if to == self.number {
            return Err(TransferError::Leads);
        }
        if !is_voter {
            return Err(TransferError::NotVoter);
        }
        if leader.transfer.is_some() {
            return Err(TransferError::UnderWay);
        }
        leader.transfer = Some(Transfer {
            to,
            left_ticks,
            is_asked: false,
        });
        self.go_on_with_transfer(to, effects);
        self.settle(effects);
        Ok(())
    }

    /// Is leadership on its way to another member?
    #[must_use]
    pub fn is_transferring(&self) -> bool {
        match &self.role {
            RoleState::Leader(leader) => leader.transfer.is_some(),
            RoleState::Follower(_) | RoleState::PreCandidate(_) | RoleState::Candidate(_) => false,
        }
    }

    /// Asks the transferee to campaign as soon as it has the whole log.
    pub(crate) fn go_on_with_transfer(&mut self, from: ReplicaNumber, effects: &mut Vec<Effect>) {
        let message = Message::TimeoutNow(TimeoutNow {
            term: self.hard_state.term,
        });
        let last_index = self.log.last_index();
        let RoleState::Leader(leader) = &mut self.role else {
            return;
        };
        let has_all = leader
            .progress(from)
            .is_some_and(|progress| progress.match_index() == last_index);
        if let Some(transfer) = &mut leader.transfer
            && transfer.to == from
            && !transfer.is_asked
            && has_all
        {
            transfer.is_asked = true;
            self.send(from, message, effects);
        }
    }

    /// Gives leadership up at once, and asks a voter that has the whole log, if one does, to campaign.
    pub(crate) fn hand_over(&mut self, effects: &mut Vec<Effect>) {
        let message = Message::TimeoutNow(TimeoutNow {
            term: self.hard_state.term,
        });
        let last_index = self.log.last_index();
        let RoleState::Leader(leader) = &self.role else {
            return;
        };
        let best = self
            .configuration()
            .voters
            .iter()
            .filter_map(|voter| Some((leader.progress(voter.number)?, voter.number)))
            .find(|(progress, _)| progress.match_index() == last_index)
            .map(|(_, number)| number);
        if let Some(best) = best {
            self.send(best, message, effects);
        }
        self.become_follower(self.hard_state.term, effects);
    }
}

#[cfg(test)]
#[path = "transfer_tests.rs"]
mod tests;
