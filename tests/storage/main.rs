//! Crash tests of the log on a virtual faulty disk: what was acknowledged is there, what was not is gone as a whole,
//! and damage is named. Every failure prints the seed and the crash point that repeat it.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on says so by panicking"
)]

#[path = "crash_points.rs"]
mod crash_points;
#[path = "damage.rs"]
mod damage;
#[path = "model.rs"]
mod model;
#[cfg(feature = "mutants")]
#[path = "mutants.rs"]
mod mutants;
#[path = "space.rs"]
mod space;
#[path = "workload.rs"]
mod workload;
#[path = "world.rs"]
mod world;
