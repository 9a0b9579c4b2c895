//! Why a question to a node has no answer, and what may be concluded from that.
//!
//! ```text
//!   name ──> connection ──> hello, both ways ──> request ──────> answer
//!    │           │               │                  │
//!    │           │               │                  └ OutcomeUnknown, if the request changes something
//!    │           │               └ NotMargay, OtherProtocol, OtherCluster, Refused
//!    │           └ NotReached
//!    └ NameNotResolved                                              TimedOut: anywhere, and nothing was changed
//! ```

use crate::error::Conclusion;
use margay_wire::Refusal;
use thiserror::Error;

/// Why there is no answer. `address` is the node that was asked, as whoever asked named it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum OperatorError {
    /// No address was given to ask.
    #[error("no node to ask was given")]
    NoAddress,
    /// The name has no address, or its resolver is silent. Nothing was sent. Check the spelling.
    #[error("{address}: the name does not resolve: {reason}")]
    NameNotResolved {
        /// Whom.
        address: String,
        /// What the resolver said.
        reason: String,
    },
    /// Nobody listens there, or the network has no way. Nothing was changed. Start the node, or ask another.
    #[error("{address}: not reached: {reason}")]
    NotReached {
        /// Whom.
        address: String,
        /// What the system said.
        reason: String,
    },
    /// No answer in time, and it is known that nothing was changed. Safe to repeat.
    #[error("{address}: no answer in time; nothing was changed")]
    TimedOut {
        /// Whom.
        address: String,
    },
    /// The request left and no answer came: it was carried out or not. Look, or repeat it.
    #[error("{address}: the outcome is unknown: {reason}")]
    OutcomeUnknown {
        /// Whom.
        address: String,
        /// How the answer was lost.
        reason: String,
    },
    /// What answers there does not speak Margay's protocol. Check the port.
    #[error("{address}: not Margay: {reason}")]
    NotMargay {
        /// Whom.
        address: String,
        /// By what it was recognised.
        reason: String,
    },
    /// A Margay of another time. Use the binary of the cluster's version.
    #[error("{address}: speaks protocol {protocol_min} to {protocol_max}")]
    OtherProtocol {
        /// Whom.
        address: String,
        /// The oldest version that it speaks.
        protocol_min: u16,
        /// The newest.
        protocol_max: u16,
    },
    /// The node belongs to another cluster than the one that was meant.
    #[error("{address}: belongs to another cluster")]
    OtherCluster {
        /// Whom.
        address: String,
    },
    /// The node said no, and why; nothing was changed unless the refusal says so.
    #[error("{address}: refused: {refusal}")]
    Refused {
        /// Whom.
        address: String,
        /// Why.
        refusal: Refusal,
    },
    /// The request does not fit in a frame; it was not sent.
    #[error("the request cannot be sent: {reason}")]
    TooLarge {
        /// What is too large.
        reason: String,
    },
}

impl OperatorError {
    /// What the caller may conclude.
    #[must_use]
    pub const fn conclusion(&self) -> Conclusion {
        match self {
            Self::NoAddress
            | Self::NameNotResolved { .. }
            | Self::NotReached { .. }
            | Self::TimedOut { .. }
            | Self::NotMargay { .. } => Conclusion::NotApplied,
            Self::OtherProtocol { .. }
            | Self::OtherCluster { .. }
            | Self::TooLarge { .. }
            | Self::Refused { .. } => Conclusion::Refused,
            Self::OutcomeUnknown { .. } => Conclusion::Unknown,
        }
    }

    /// The node's no, if it said one.
    #[must_use]
    pub const fn refusal(&self) -> Option<&Refusal> {
        if let Self::Refused { refusal, .. } = self {
            Some(refusal)
        } else {
            None
        }
    }

    /// May the same question to the same node be answered a moment later: because an election is under way, the
    /// node starts, or the answer was lost?
    #[must_use]
    pub const fn may_pass(&self) -> bool {
        match self {
            Self::Refused { refusal, .. } => refusal.is_transient(),
            Self::NotReached { .. } | Self::OutcomeUnknown { .. } => true,
            Self::NoAddress
            | Self::NameNotResolved { .. }
            | Self::TimedOut { .. }
            | Self::NotMargay { .. }
            | Self::OtherProtocol { .. }
            | Self::OtherCluster { .. }
            | Self::TooLarge { .. } => false,
        }
    }
}
