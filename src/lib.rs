//! Margay: a replicated state machine server for bare-metal Linux.

pub mod codes;
pub mod config;
