//! The ids and numbers that every part of Margay shares: one newtype per meaning.
//!
//! `raft` and `machine` may not import each other, and yet an index is the same index in both. So the
//! words that all of them speak live here, in a `no_std` crate without behaviour of its own.
//!
//! * `number` — newtypes over integers: where something stands (`Index`, `Term`), who it is
//!   (`GroupId`, `NodeId`, `SessionId`), when it happens (`LogTime`, `Ticks`).
//! * `identity` — 128-bit identities drawn at random or hashed (`ClientId`, `ClusterId`, `Incarnation`).
//! * `random` — the seeded generator behind every draw, from election timeouts to the faults of a test.
//! * `mutant` — only with the feature `mutants`: which rule a test breaks on purpose, wherever the rule lives.

#![no_std]

#[cfg(feature = "mutants")]
extern crate std;

mod identity;
#[cfg(feature = "mutants")]
pub mod mutant;
mod number;
mod random;

pub use identity::{ClientId, ClusterId, Incarnation, ReplicaId};
pub use number::{
    GroupId, Index, LogTime, NodeId, OperationId, ProcessLife, ReplicaNumber, SequenceNumber,
    SessionId, ShardId, Term, Ticks,
};
pub use random::Random;
