//! Does the simulator notice? Each rule of [`Mutant`] is broken on the seed that found it first; somebody must
//! complain.
//!
//! Only with the feature `mutants`: `cargo test -p margay --features mutants --test mutants`. The seeds stand in
//! `noticed.txt`, which the simulator writes: `--find` tries seeds in order, short runs before long ones. Rules that no
//! whole cluster shows are guarded elsewhere, as `tests/README.md` says.

use margay_simulation::finder::{Noticed, complaint};
use margay_types::mutant::Mutant;
use std::collections::BTreeSet;

/// Written by the simulator.
const NOTICED: &str = include_str!("noticed.txt");

/// Who else notices, in a process of its own: these may do without a seed.
const ELSEWHERE: [(&str, &[Mutant]); 6] = [
    (
        "tests/raft/mutants.rs",
        &[
            Mutant::VoteNotDurable,
            Mutant::VoteForShorterLog,
            Mutant::TwoVotesInOneTerm,
            Mutant::AppendWithoutCheck,
            Mutant::StaleAppendTruncates,
            Mutant::CommitPastProof,
            Mutant::QuorumOfHalf,
            Mutant::OldTermByCounting,
            Mutant::MatchFromLastIndex,
            Mutant::AcknowledgedBeforeWrite,
            Mutant::EarlierLifeUnnoticed,
            Mutant::ReadByEarlierRound,
            Mutant::ReadBeforeOwnTerm,
            Mutant::FollowerReadsOwnCommit,
        ],
    ),
    (
        "src/machine/tests/exactly_once.rs",
        &[
            Mutant::DuplicateExecuted,
            Mutant::OutputsDroppedEarly,
            Mutant::ExpiresAlthoughHeard,
            Mutant::NewTermRefreshesNobody,
        ],
    ),
    (
        "tests/shard/mutants.rs",
        &[Mutant::NextFromTableAlone, Mutant::KeepAlivesUnwritten],
    ),
    (
        "src/shard/mutant_tests.rs",
        &[
            Mutant::SpanningWriteEarly,
            Mutant::DurableOutOfOrder,
            Mutant::ReleasedUncovered,
            Mutant::FloorForgotten,
            Mutant::EpochNotRaised,
            Mutant::ManifestBeforeSiblings,
        ],
    ),
    ("tests/storage/mutants.rs", &[Mutant::RestartUnsynced]),
    ("src/client/mutant_tests.rs", &[Mutant::OlderMapTaken]),
];

fn noticed() -> Vec<Noticed> {
    NOTICED.lines().filter_map(Noticed::of_line).collect()
}

/// One test, because the choice of a rule is the process's.
#[test]
fn a_broken_rule_is_noticed_and_nobody_complains_without_one() {
    let runs: BTreeSet<(u64, u64)> = noticed().iter().map(|it| (it.faulty_ms, it.seed)).collect();
    for (faulty_ms, seed) in runs {
        let innocent = complaint(None, seed, faulty_ms);
        assert_eq!(innocent, None, "seed {seed} fails with no rule broken");
    }
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
    assert!(
        unnoticed.is_empty(),
        "nobody noticed {unnoticed:?}; if the world has changed, find the seeds anew: see tests/README.md"
    );
}

#[test]
fn every_rule_has_somebody_who_notices() {
    let seeds = noticed();
    for mutant in Mutant::ALL {
        let by_seed = seeds.iter().any(|it| it.mutant == mutant);
        let elsewhere = ELSEWHERE.iter().any(|(_, them)| them.contains(&mutant));
        assert!(by_seed || elsewhere, "nobody notices {}", mutant.name());
    }
}
