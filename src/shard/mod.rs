//! All replicas of one core: puts `raft`, `machine` and `storage` together, turn by turn.
//!
//! ```text
//!      frames, ticks, completed writes                    one turn
//!                   │
//!   ┌───────────────v─────────────────────────────────────────────────────────┐
//!   │ shard         finds the group, and steps it                              │
//!   │  ┌─────────────────────────── hosted (one per group) ────────────────┐   │
//!   │  │ proposals  queries  sessions      who may append, who may read    │   │
//!   │  │ driver     executes raft's effects in the one legal order         │   │
//!   │  │ applying   committed entries -> machine -> answers                │   │
//!   │  │ reign      what only a leader knows   checkpoints   births        │   │
//!   │  └────────────────────────────────────────────────────────────────────┘  │
//!   │ means         what all groups share: log, outbox, clock, peers            │
//!   └──────┬─────────────────────────┬──────────────────────────┬──────────────┘
//!          v                         v                          v
//!     storage::Log                Outbox                      Clock
//! ```
//!
//! The end of a turn sends appends to followers, then submits the open batch, then lets answers leave. Nothing here
//! waits, and nothing reads a clock but through the seam.
//!
//! Not done: changes of members, refills from a checkpoint (until then no entry goes that some member lacks), the
//! repair of damaged replicas (they are named in `status`), and answering reads by lease.

mod admission;
mod agenda;
mod alarms;
mod applying;
mod attachments;
mod birth;
mod births;
pub mod boot;
mod checkpoints;
mod clients;
pub mod clock;
mod cold;
mod crossing;
mod driver;
mod exit;
mod health;
mod homing;
mod hosted;
mod inspection;
mod invariants;
mod log_clock;
mod means;
mod members;
#[cfg(all(test, feature = "mutants"))]
mod mutant_tests;
mod operators;
pub mod outbox;
mod peers;
mod proposals;
mod queries;
mod reign;
mod responses;
pub mod restore;
mod revival;
mod sequencing;
mod sessions;
#[expect(
    clippy::module_inception,
    reason = "the glossary's name of the thing that this folder is"
)]
mod shard;
mod sibling_births;
pub mod siblings;
mod status;
mod surveys;
mod ticks;
mod upkeep;
mod waiters;

pub use boot::{BootError, BootPlace, Node, boot, prepare};
pub use clock::Clock;
pub use inspection::ReplicaView;
pub use outbox::{ConnectionId, Outbox, PeerAddress, PeerId};
pub use restore::{DamagedGroup, Found, FoundGroup, RestoreError};
pub use shard::{NodeFacts, Restored, Shard, ShardError};
pub use siblings::SiblingMessage;

use crate::storage::Disk;

/// The three worlds outside of a shard, in one parameter: production has one set, the simulator another.
pub trait Seams: 'static {
    /// Where the log lies.
    type Disk: Disk;
    /// Where frames leave.
    type Outbox: Outbox;
    /// What tells time.
    type Clock: Clock;
}
