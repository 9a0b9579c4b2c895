//! The ids and numbers that every part of Margay shares: one newtype per meaning.
//!
//! `raft` and `machine` may not import each other, and yet an index is the same index in both. So the
//! words that all of them speak live here, in a `no_std` crate that contains no behaviour at all.
//!
//! * `number` — newtypes over integers: where something stands (`Index`, `Term`), who it is
//!   (`GroupId`, `NodeId`, `SessionId`), when it happens (`LogTime`, `Ticks`).
//! * `identity` — 128-bit identities drawn at random or hashed (`ClientId`, `ClusterId`, `Incarnation`).
//! * `mutant` — only with the feature `mutants`: which rule a test breaks on purpose, wherever the rule lives.

#![no_std]

#[cfg(feature = "mutants")]
extern crate std;

mod identity;
#[cfg(feature = "mutants")]
pub mod mutant;
mod number;

pub use identity::{ClientId, ClusterId, Incarnation, ReplicaId};
pub use number::{
    GroupId, Index, LogTime, NodeId, OperationId, ProcessLife, ReplicaNumber, SequenceNumber,
    SessionId, ShardId, Term, Ticks,
};
