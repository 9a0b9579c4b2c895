//! Does the simulator notice? Each rule of [`Mutant`] is broken on the seeds that found it first; somebody must
//! complain.
//!
//! Only with the feature `mutants`: `cargo test -p margay --features mutants --test mutants`. Those that no whole
//! cluster
//! shows within a few hundred seeds are found by the core's scripts and seeds, and by schedules of the shard; see
//! `tests/README.md`.

use margay_simulation::run::{RunOptions, run};
use margay_simulation::trace::{Echo, Trace};
use margay_types::mutant::{self, Mutant};
use std::panic::{AssertUnwindSafe, catch_unwind};

const FAULTY_MS: u64 = 20_000;

/// Which seed finds which.
const FOUND: [(Mutant, u64); 6] = [
    (Mutant::VoteNotDurable, 2),
    (Mutant::OldTermByCounting, 3),
    (Mutant::MatchFromLastIndex, 63),
    (Mutant::AcknowledgedBeforeWrite, 7),
    (Mutant::DuplicateExecuted, 1),
    (Mutant::TornTailKept, 2),
];

/// Runs a seed; what is wrong, in words.
fn complaint(seed: u64) -> Option<String> {
    let options = RunOptions {
        seed,
        node_count: None,
        shard_count: None,
        faulty_ns: FAULTY_MS * 1_000_000,
        has_faults: true,
        echo: Echo::Quiet,
    };
    let trace = Trace::new(options.echo);
    match catch_unwind(AssertUnwindSafe(|| run(&options, &trace))) {
        Ok(outcome) => outcome.err(),
        Err(_) => Some("a panic, see above".to_owned()),
    }
}

#[test]
fn a_broken_rule_is_noticed() {
    let mut unnoticed = Vec::new();
    for (broken, seed) in FOUND {
        mutant::choose(Some(broken));
        match complaint(seed) {
            Some(what) => println!("{}: seed {seed}: {what}", broken.name()),
            None => unnoticed.push((broken.name(), seed)),
        }
        mutant::choose(None);
        let innocent = complaint(seed);
        assert_eq!(innocent, None, "seed {seed} fails with no rule broken");
    }
    assert!(unnoticed.is_empty(), "nobody noticed {unnoticed:?}");
}
