//! Groups of cores under every fault that a network, a disk and a process have, one seed after another.
//!
//! `cargo test -p margay-raft` runs the first few hundred seeds. `MARGAY_SEEDS=A..B` runs others:
//!
//! ```text
//! MARGAY_SEEDS=0..10000 cargo test --release -p margay-raft --test protocol simulation -- --nocapture
//! ```
//!
//! A seed that fails prints its last steps and the command that repeats it alone.

mod faults;
mod network;
mod random;
mod refill;
mod swarm;
mod workload;
mod world;

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use world::{Tally, World};

/// What runs when nobody asks for more.
const SEEDS: Range<u64> = 0..300;

fn seeds() -> Range<u64> {
    let Ok(text) = std::env::var("MARGAY_SEEDS") else {
        return SEEDS;
    };
    let parsed = text
        .split_once("..")
        .and_then(|(first, end)| Some(first.parse().ok()?..end.parse().ok()?));
    parsed.unwrap_or_else(|| panic!("MARGAY_SEEDS is A..B, not {text}"))
}

/// Runs one seed; a breach ends it with its last steps on the terminal.
fn run(seed: u64) -> Option<Tally> {
    let mut world = World::new(seed);
    let tally = catch_unwind(AssertUnwindSafe(|| world.run()));
    if tally.is_err() {
        let next = seed + 1;
        eprintln!("{world}");
        eprintln!(
            "seed {seed} failed; it alone:\n  MARGAY_SEEDS={seed}..{next} cargo test -p margay-raft \
             --test protocol simulation -- --nocapture"
        );
    }
    tally.ok()
}

#[test]
fn no_seed_breaks_a_promise_and_every_healed_group_works() {
    let (mut total, mut failed) = (Tally::default(), Vec::new());
    let seeds = seeds();
    for seed in seeds.clone() {
        match run(seed) {
            Some(tally) => total.add(tally),
            None => failed.push(seed),
        }
        assert!(
            failed.len() < 8,
            "enough seeds failed to look at: {failed:?}"
        );
    }
    println!("{} seeds: {total:?}", seeds.end - seeds.start);
    assert!(failed.is_empty(), "seeds failed: {failed:?}");
    if seeds.end - seeds.start >= 100 {
        assert!(total.is_telling(), "these seeds test nothing: {total:?}");
    }
}
