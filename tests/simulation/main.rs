//! A hundred seeds of the whole product, each of them short; `margay-simulation` runs more, and longer ones.

mod births;
mod room;

use margay_simulation::run::{Report, RunOptions, run};
use margay_simulation::trace::{Echo, Trace};
use std::panic::{AssertUnwindSafe, catch_unwind};

const FAULTY_MS: u64 = 2_000;

fn options(seed: u64) -> RunOptions {
    RunOptions {
        seed,
        node_count: None,
        shard_count: None,
        faulty_ns: FAULTY_MS * 1_000_000,
        has_faults: true,
        echo: Echo::Quiet,
    }
}

/// Runs a seed; a failure names the command that repeats it, and shows what happened last.
fn run_seed(seed: u64) -> Result<Report, String> {
    let trace = Trace::new(Echo::Quiet);
    let outcome = catch_unwind(AssertUnwindSafe(|| run(&options(seed), &trace)));
    let what = match outcome {
        Ok(Ok(report)) => return Ok(report),
        Ok(Err(what)) => what,
        Err(_) => "a panic, see above".to_owned(),
    };
    Err(format!(
        "{}\n{what}\nrepeat: cargo run --release -p margay-simulation -- --seeds {seed} --faulty-ms \
         {FAULTY_MS} --trace",
        trace.last_lines(60).join("\n")
    ))
}

/// Promises hold under faults, and everything ends well once they are over.
#[test]
fn a_hundred_seeds_keep_every_promise() {
    let (mut failures, mut commands) = (Vec::new(), 0);
    for seed in 1..=100 {
        match run_seed(seed) {
            Ok(report) => commands += report.commands,
            Err(failure) => failures.push(failure),
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
    assert!(
        commands > 5_000,
        "only {commands} commands were done: the seeds prove little"
    );
}

/// One number repeats a run, event by event.
#[test]
fn equal_seeds_are_equal_runs() {
    for seed in [3, 11] {
        let [one, other] = [run_seed(seed), run_seed(seed)].map(|report| report.unwrap());
        assert_eq!(one.fingerprint, other.fingerprint);
        assert_eq!(one.entries, other.entries);
    }
}
