//! The Raft core seen from outside: protocol scripts and a seeded simulation, over one host.

mod host;
mod ledger;
mod scripts;
mod simulation;
mod stage;
