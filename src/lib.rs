//! Margay: a replicated state machine server for bare-metal Linux.
//!
//! `raft` decides, `machine` computes, `storage` remembers.

pub mod codes;
mod command;
pub mod config;
pub mod limits;
pub mod runtime;
mod server;
pub mod shard;
pub mod storage;

pub use server::Server;
