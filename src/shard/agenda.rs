//! What the end of a turn looks at: the groups that may send, and those whose machines may go on.
//!
//! ```text
//!   input                                            sends   applies
//!   a command is appended                              x
//!   an acknowledgement, or a returned write                       when it commits something
//!   an append of the leader                                       when it commits something
//!   a role or a configuration changes                  x          x
//!   entries came from disk, a piece of a checkpoint               x
//! ```
//!
//! Most heartbeats, acknowledgements and returned writes leave nothing to do. With a thousand groups each look at one
//! is a look at cold memory, so no group is looked at without need: a command of a group of its own costs two looks
//! at its leader and one at each follower.

use crate::shard::Seams;
use crate::shard::hosted::Hosted;
use crate::shard::means::Means;
use margay_raft::Effect;
use margay_types::GroupId;

/// The groups of a shard that have something to do, each once per list, in the order in which they got there.
#[derive(Debug, Default)]
pub(crate) struct Agenda {
    to_send: Vec<GroupId>,
    to_apply: Vec<GroupId>,
}

/// In which of the lists a group stands.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct OnAgenda {
    sends: bool,
    applies: bool,
}

impl OnAgenda {
    /// Does it stand among those that may send?
    pub(crate) const fn sends(self) -> bool {
        self.sends
    }

    /// Does it stand among those whose machines may go on?
    pub(crate) const fn applies(self) -> bool {
        self.applies
    }
}

impl Agenda {
    /// Does any group have something to do?
    pub(crate) fn is_empty(&self) -> bool {
        self.to_send.is_empty() && self.to_apply.is_empty()
    }

    /// Groups that may send, and groups whose machines may go on.
    pub(crate) fn counts(&self) -> (usize, usize) {
        (self.to_send.len(), self.to_apply.len())
    }

    /// The groups that may send; each is told by [`Hosted::take_send`] that it is looked at.
    pub(crate) fn take_to_send(&mut self) -> Vec<GroupId> {
        std::mem::take(&mut self.to_send)
    }

    /// The groups whose machines may go on; each is told by [`Hosted::take_apply`] that it is looked at.
    pub(crate) fn take_to_apply(&mut self) -> Vec<GroupId> {
        std::mem::take(&mut self.to_apply)
    }

    /// Groups that were not looked at come first in the next turn, before those that have had a share and want more.
    pub(crate) fn put_first(&mut self, left: &[GroupId]) {
        self.to_apply.splice(..0, left.iter().copied());
    }
}

impl Hosted {
    /// The end of the turn looks at it, for sends and for its machine.
    pub(crate) fn touch<S: Seams>(&mut self, means: &mut Means<S>) {
        self.will_send(means);
        self.will_apply(means);
    }

    /// The core may have something to send.
    pub(crate) fn will_send<S: Seams>(&mut self, means: &mut Means<S>) {
        if !self.on_agenda.sends {
            self.on_agenda.sends = true;
            means.agenda.to_send.push(self.group());
        }
    }

    /// The machine may apply, or questions be answered, or a checkpoint go on.
    pub(crate) fn will_apply<S: Seams>(&mut self, means: &mut Means<S>) {
        if !self.on_agenda.applies {
            self.on_agenda.applies = true;
            means.agenda.to_apply.push(self.group());
        }
    }

    /// What it has to send is looked at now; what happens from here on is for the next look.
    pub(crate) fn take_send(&mut self) {
        self.on_agenda.sends = false;
    }

    /// Its machine is looked at now.
    pub(crate) fn take_apply(&mut self) {
        self.on_agenda.applies = false;
    }

    /// Puts the group where the effects of an input want it. Gives whether it may send.
    pub(crate) fn enter_agenda<S: Seams>(
        &mut self,
        means: &mut Means<S>,
        effects: &[Effect],
    ) -> bool {
        let (mut sends, mut applies) = (self.replica.has_to_flush(), false);
        for effect in effects {
            match effect {
                Effect::Send { .. }
                | Effect::SendAppend { .. }
                | Effect::SaveHardState { .. }
                | Effect::Truncate { .. }
                | Effect::Store { .. }
                | Effect::StoreOwn { .. } => {}
                Effect::Commit { .. } | Effect::ReadReady { .. } | Effect::ReadRefused { .. } => {
                    applies = true;
                }
                Effect::RoleChanged { .. } | Effect::ConfigurationChanged { .. } => {
                    (sends, applies) = (true, true);
                }
            }
        }
        if sends {
            self.will_send(means);
        }
        if applies {
            self.will_apply(means);
        }
        sends
    }
}
