//! Margay: a replicated state machine server for bare-metal Linux.
//!
//! `raft` decides, `machine` computes, `storage` remembers.

pub mod limits;
pub mod runtime;
pub mod shard;
pub mod storage;
