//! Crash tests of the log on a virtual faulty disk: what was acknowledged is there, what was not is gone as a whole, and
//! damage is named. Every failure prints the seed and the crash point that repeat it.

#[path = "crash_points.rs"]
mod crash_points;
#[path = "damage.rs"]
mod damage;
#[path = "model.rs"]
mod model;
#[path = "workload.rs"]
mod workload;
#[path = "world.rs"]
mod world;
