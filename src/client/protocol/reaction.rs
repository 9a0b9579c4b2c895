//! What a refused command means for its session: one rule, in one table.

use margay_types::SequenceNumber;
use margay_wire::Refusal;

/// What a session does about a refusal of one of its commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reaction {
    /// Wait, then send again from this command on.
    Wait,
    /// Send again from this number on.
    Repeat(SequenceNumber),
    /// No group takes it: completes so, and its number is skipped.
    Skip,
    /// It is decided: completes so.
    Complete,
    /// Look for the leader, or for the session's end.
    Move,
}

impl Reaction {
    pub(crate) const fn to(refusal: &Refusal) -> Self {
        match refusal {
            Refusal::NotReady { .. }
            | Refusal::Overloaded { .. }
            | Refusal::NoSpace { .. }
            | Refusal::WindowFull
            | Refusal::StoppedMachine => Self::Wait,
            Refusal::NextIs { sequence } => Self::Repeat(*sequence),
            Refusal::CommandTooLarge { .. } | Refusal::BadOperation | Refusal::BadRequest => {
                Self::Skip
            }
            Refusal::OutputGone | Refusal::Skipped | Refusal::OutputTooLarge => Self::Complete,
            Refusal::NotLeader { .. }
            | Refusal::LeadershipLost { .. }
            | Refusal::UnknownGroup
            | Refusal::UnknownAttachment
            | Refusal::AttemptTooLow
            | Refusal::TooManySessions
            | Refusal::NotFormed
            | Refusal::NotFound
            | Refusal::UnknownSession
            | Refusal::SessionExpired
            | Refusal::SessionReplaced
            | Refusal::SessionClosed
            | Refusal::VersionRefused
            | Refusal::OtherCluster
            | Refusal::OtherNode
            | Refusal::UnknownPeer
            | Refusal::UnknownShard
            | Refusal::TooManyConnections
            | Refusal::FrameTooSmall => Self::Move,
        }
    }
}
