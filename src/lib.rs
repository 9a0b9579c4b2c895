//! Margay: a replicated state machine server for bare-metal Linux.

pub mod codes;
mod command;
pub mod config;
mod server;

pub use server::Server;
