//! What went wrong, and what the caller can conclude.

use margay_types::GroupId;
use margay_wire::Refusal;
use thiserror::Error;

/// Why a command was not even taken; it has no number and was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SubmitError {
    /// As much is in flight as may be: submit again after a completion.
    #[error("the session has as much in flight as it may")]
    WindowFull,
    /// As much waits in the driver as may, see its limits: submit again after a completion.
    #[error("as much waits to be sent as may")]
    QueueFull,
    /// The session is not open yet, is closing, or was lost.
    #[error("the session is not open")]
    NotOpen,
    /// No group takes it.
    #[error("a command of {bytes} bytes; at most {bytes_max} are allowed")]
    TooLarge {
        /// Its payload.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
}

/// Why a call has no result. The command line's exit codes follow [`ClientError::conclusion`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ClientError {
    /// Nobody answered at any of the addresses; nothing was sent. Check the addresses, or wait.
    #[error("not reached: {addresses}: {reason}")]
    NotReached {
        /// Which addresses were tried.
        addresses: String,
        /// What the last of them said.
        reason: String,
    },
    /// Time ran out before the request could have an effect. Safe to repeat.
    #[error("timed out; nothing was changed")]
    TimedOut,
    /// The cluster said no; nothing was changed.
    #[error("refused: {0}")]
    Refused(Refusal),
    /// No keyspace, or no group, of this name.
    #[error("no keyspace {0:?}")]
    NoKeyspace(String),
    /// The map has no such group.
    #[error("no group {0}")]
    NoGroup(GroupId),
    /// Applied, but its output cannot be had.
    #[error("applied, but without an output: {0}")]
    NoOutput(Refusal),
    /// Sent, and not answered in time. A session resolves it later; without one nobody does.
    #[error("outcome unknown: {0}")]
    OutcomeUnknown(String),
    /// The submission was not taken.
    #[error(transparent)]
    Submit(#[from] SubmitError),
    /// The server speaks another language: versions that do not fit.
    #[error("the answer does not decode: {0}")]
    BadAnswer(String),
}

/// What is known when a call has no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conclusion {
    /// Not reached, or timed out, and known not applied (exit code 4).
    NotApplied,
    /// Refused by the cluster, for a reason that repeating does not change (exit code 5).
    Refused,
    /// It may or may not have been applied (exit code 6).
    Unknown,
}

impl ClientError {
    /// What the caller may conclude.
    #[must_use]
    pub const fn conclusion(&self) -> Conclusion {
        match self {
            Self::NotReached { .. } | Self::TimedOut => Conclusion::NotApplied,
            Self::Refused(_)
            | Self::NoKeyspace(_)
            | Self::NoGroup(_)
            | Self::NoOutput(_)
            | Self::Submit(_) => Conclusion::Refused,
            Self::OutcomeUnknown(_) | Self::BadAnswer(_) => Conclusion::Unknown,
        }
    }
}
