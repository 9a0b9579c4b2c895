//! A seeded world in which whole clusters run without Linux.
//!
//! * `disk` — a virtual disk that crashes, tears, lies and decays; `disk_fault` says when and how.
//! * `tasks` — the executor of cold work: deterministic, without threads.

pub mod disk;
mod disk_contents;
pub mod disk_fault;
mod disk_names;
pub mod disk_random;
mod disk_state;
pub mod tasks;
