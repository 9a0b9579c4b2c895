//! Shards of several nodes against each other: real logs on virtual disks, frames carried by hand, one step a tick.
//!
//! Each test is one schedule in which a promise once broke.

#![expect(
    clippy::unwrap_used,
    reason = "a test that meets what it does not expect shall fail there"
)]

mod births;
mod client;
mod exactly_once;
mod fairness;
mod formation;
mod machine;
#[cfg(feature = "mutants")]
mod mutants;
mod overload;
mod reads;
mod restarts;
mod room;
mod sessions;
mod spreading;
mod stopping;
mod world;
