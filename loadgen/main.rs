//! The load generator: drives a cluster, checks every answer, and shows how long they took.
//!
//! ```text
//!   run ──> cluster     spawned (processes), or joined by its endpoints; ready when every group has a leader
//!            │
//!           worker      one thread, one epoll: sessions in a closed loop, or in an open one
//!            │  ├─ workload    what is issued, by seed
//!            │  ├─ pacer       when, in an open loop; and how late the generator itself was
//!            │  ├─ accounts    what each client has outstanding
//!            │  ├─ check       chain, totals, repeats: what every answer must be
//!            │  └─ histogram   how long it took
//!           agreement   do all replicas have one effect chain?
//!            │
//!           report      text by stages, `run.json`
//!
//!   floor ──> what the disk and the network take by themselves
//! ```
//!
//! It computes from what it issued what every answer must be, so a lost, doubled or swapped command is
//! found by the answer that it spoils.

mod options;
mod run;

mod accounts;
mod agreement;
mod chain;
mod check;
mod cluster;
mod console;
mod directory;
mod facts;
mod failure;
mod floor;
mod histogram;
mod interval_log;
mod issue;
mod lateness;
mod load;
mod pacer;
mod processes;
mod rate;
mod repeat;
mod repeat_link;
mod report;
mod report_text;
mod schedule;
mod stop;
mod totals;
mod usage;
mod worker;
mod workload;

use clap::Parser;
use failure::Failure;
use options::{Arguments, Verb};
use std::process::ExitCode;

/// Buffers of commands come and go on one thread: what this allocator is best at.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match &arguments.verb {
        Verb::Run(options) => {
            options.demand_sense();
            run::run(options)
        }
        Verb::Floor(options) => floor::execute(options),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => give_up(&failure),
    }
}

fn give_up(failure: &Failure) -> ExitCode {
    console::complain(failure);
    ExitCode::from(failure.exit().number())
}
