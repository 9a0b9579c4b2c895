//! Does the simulator notice? Each rule of [`Mutant`] is broken on the seed that found it first; somebody must complain.
//!
//! Only with the feature `mutants`: `cargo test -p margay --features mutants --test mutants`. The seeds stand in
//! `noticed.txt`, which the simulator writes: `--find` tries seeds in order, short runs before long ones. Rules that no
//! whole cluster shows are guarded elsewhere, as `tests/README.md` says.

use margay_simulation::finder::{Noticed, complaint};
use margay_types::mutant::Mutant;
use std::collections::BTreeSet;

/// Written by the simulator.
const NOTICED: &str = include_str!("noticed.txt");

/// What no seed shows, and who notices.
const ELSEWHERE: [(Mutant, &str); 1] = [(Mutant::EarlierLifeUnnoticed, "tests/raft/scripts")];

fn noticed() -> Vec<Noticed> {
    NOTICED.lines().filter_map(Noticed::of_line).collect()
}

#[test]
fn a_broken_rule_is_noticed() {
    let mut unnoticed = Vec::new();
    for Noticed {
        mutant,
        seed,
        faulty_ms,
        ..
    } in noticed()
    {
        match complaint(Some(mutant), seed, faulty_ms) {
            Some(what) => println!("{}: seed {seed}: {what}", mutant.name()),
            None => unnoticed.push((mutant.name(), seed, faulty_ms)),
        }
    }
    assert!(unnoticed.is_empty(), "nobody noticed {unnoticed:?}");
}

#[test]
fn nobody_complains_of_these_seeds_when_no_rule_is_broken() {
    let runs: BTreeSet<(u64, u64)> = noticed().iter().map(|it| (it.faulty_ms, it.seed)).collect();
    for (faulty_ms, seed) in runs {
        assert_eq!(complaint(None, seed, faulty_ms), None, "seed {seed}");
    }
}

#[test]
fn every_rule_has_somebody_who_notices() {
    let seeds = noticed();
    for mutant in Mutant::ALL {
        let by_seed = seeds.iter().any(|it| it.mutant == mutant);
        let elsewhere = ELSEWHERE.iter().any(|(it, _)| *it == mutant);
        assert!(by_seed || elsewhere, "nobody notices {}", mutant.name());
    }
}
