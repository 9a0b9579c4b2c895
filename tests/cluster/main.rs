//! Real nodes on loopback: processes, sockets, disks, and kills.
//!
//! * `harness` — nodes as processes, and a load that proves exactly-once by the outputs.
//! * `formation` — a cluster comes to be, and serves.
//! * `dev` — a cluster in the foreground, from one command.
//! * `operators` — what operators are told while nodes come and go.
//! * `failures` — nodes are killed and stopped under load.
//! * `clocks` — clocks that tell another time after a restart.
//! * `half_open` — machines that vanish without a word.
//! * `many_groups` — a thousand groups, and restarts.
//! * `bootstraps` — bootstraps in the middle of which somebody dies.
//! * `descriptors` — processes that may open few files.
//! * `directories` — data directories that are taken away, or refuse.
//! * `names` — peers whose names do not resolve.
//! * `other_sessions` — clients that speak for the sessions of others.
//! * `pauses` — a leader whose time stands still for a while.
//! * `full_disk` — a node on a disk that has no room left.
//! * `hostile_peers` — connections that pass for one of us.
//! * `open_loop` — the load generator at a given rate.
//! * `shards` — nodes with several cores each.
//! * `space` — much data, small segments, checkpoints.
//! * `refusals` — hosts that are not fit, and operators who err.
//! * `inspect` — the files of nodes that do not run, whole and damaged.
//! * `sandbox` — a process without io_uring.
//! * `starts` — starts that are interrupted.
//! * `strangers` — bytes that are not ours.

mod harness;

mod bootstraps;
mod clocks;
mod descriptors;
mod dev;
mod directories;
mod failures;
mod formation;
mod full_disk;
mod half_open;
mod hostile_peers;
mod inspect;
mod many_groups;
mod names;
mod open_loop;
mod operators;
mod other_sessions;
mod pauses;
mod refusals;
mod sandbox;
mod shards;
mod space;
mod starts;
mod strangers;
