//! A seeded world in which whole clusters run without Linux.
//!
//! ```text
//!   run ── world ── nodes      a real shard each, on a virtual disk, clock and outbox
//!             ├──── network    connections with faults     ├── clients   the real protocol, a workload
//!             ├──── faults     drawn per seed              ├── operator  forms the cluster
//!             └──── history, checkers                      what must be true
//! ```
//!
//! * `disk` — a virtual disk that crashes, tears, lies and decays; `disk_fault` says when and how.
//! * `tasks` — the executor of cold work: deterministic, without threads.

pub mod booting;
pub mod checkers;
pub mod clients;
pub mod disk;
mod disk_contents;
pub mod disk_fault;
mod disk_names;
mod disk_state;
pub mod faults;
#[cfg(feature = "mutants")]
pub mod finder;
pub mod history;
mod injection;
mod mailboxes;
pub mod network;
mod news;
pub mod node;
pub mod operator;
pub mod run;
pub mod seams;
pub mod sockets;
pub mod tasks;
pub mod trace;
pub mod workload;
pub mod world;
