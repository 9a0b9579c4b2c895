//! Margay: a replicated state machine server for bare-metal Linux.
//!
//! `raft` decides, `machine` computes, `storage` remembers, `shard` puts the three together for one core, `runtime` is
//! the only part of the server that touches Linux, and the simulator replaces `runtime` and nothing else.

pub mod admin;
pub mod codes;
mod command;
pub mod config;
pub mod limits;
pub mod runtime;
mod server;
mod service;
pub mod shard;
pub mod storage;

pub use server::Server;
