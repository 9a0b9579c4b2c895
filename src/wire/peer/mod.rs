//! What replicas of two nodes tell each other: appends with their records, and small messages by the dozen.
//!
//! An append travels in a frame of its own, because its records leave straight out of the log's batch. Everything
//! else is small and of many groups, so one frame carries what one turn of a shard has for one peer:
//!
//! ```text
//!   PeerAppend     │ header 24 │ append head 64 │ records as they stand in the log ... │
//!   PeerMessages   │ header 24 │ head 16 │ fixed struct │ head 16 │ fixed struct │ ...
//! ```
//!
//! The connection says which nodes speak (the hello pinned both); the [`Envelope`] says which replicas.

mod append;
mod messages;

pub use append::{APPEND_HEAD_BYTES, AppendHead, append};
pub use messages::{Messages, MessagesWriter, messages};

use margay_types::{GroupId, ReplicaNumber};

/// From which replica to which, in which group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// The group of both.
    pub group: GroupId,
    /// The sender's number in it.
    pub from: ReplicaNumber,
    /// The receiver's number in it.
    pub to: ReplicaNumber,
}
