//! The Raft core: inputs change state and add effects; nothing else happens here.
//!
//! `no_std`, so that clocks, threads and randomness cannot even be named. A [`Replica`] is one node's
//! member of one group. Its host (a shard, a script, the simulator) gives it messages, ticks, proposals
//! and the news that writes are durable, and executes the [`Effect`]s in the order in which they stand.
//!
//! ```text
//!   messages ──┐                                 ┌──> writes   (hard state, truncation, entries)
//!   ticks ─────┤      ┌───────────────────┐      ├──> sends    (never before what they promise is durable)
//!   proposals ─┼────> │      Replica      │ ───> ┼──> commit moves
//!   reads ─────┤      └───────────────────┘      ├──> reads may be served
//!   written ───┘                                 └──> role and configuration changes
//! ```
//!
//! The core never holds the bytes of an entry: it works with index, term, kind and size, and names ranges
//! that the host keeps. Only configuration entries are read here, because they take effect at append.
//!
//! What a host owes the core:
//! * It executes the effects of one input before it gives the next, and calls `flush` once per turn.
//! * It writes in the order of the write ids, the record of a proposal included, and reports no write early.
//! * It calls `on_new_life` before the first message of a peer's new process, and drops what the old one sent.
//! * It restores a commit index only from what is on its disk.
//!
//! Not done here: leases (answers carry what they need), refills of members below the log floor (such a member is
//! seen as [`Way::Stream`]), and when a learner may become a voter (the host looks at its progress).

#![no_std]

extern crate alloc;

pub mod effects;
pub mod entry;
pub mod message;
pub mod options;
pub mod types;

pub mod configuration;
pub mod log;
pub mod replica;
mod status;

mod election;
mod following;
pub mod membership;
pub mod progress;
pub mod reads;
mod replication;
mod role;
mod ticking;
pub mod transfer;

pub mod durability;
mod invariants;
mod quorum;

pub use configuration::{Configuration, ConfigurationError, Member};
pub use effects::{Effect, ReadId, ReadRefusal, Role, WriteId};
pub use entry::{EntryKind, EntryView, HardState, Position};
pub use log::TermRun;
pub use membership::{ChangeError, Target};
pub use message::{AppendEntries, Message, Round};
pub use options::Options;
pub use progress::{MemberProgress, Way};
pub use replica::{Applies, ProposeError, Proposed, Replica, Restored};
pub use transfer::TransferError;

#[cfg(test)]
mod group_tests;
#[cfg(test)]
mod hostile_tests;
#[cfg(test)]
mod stage;
