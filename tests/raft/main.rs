//! The Raft core seen from outside: protocol scripts and a seeded simulation, over one host.

mod host;
mod ledger;
#[cfg(feature = "mutants")]
mod mutants;
mod scripts;
mod simulation;
mod stage;
