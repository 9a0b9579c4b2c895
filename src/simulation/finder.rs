//! Which seed notices which broken rule.
//!
//! Seeds are tried in order, short runs before long ones, until somebody complains. What is found depends on every draw
//! of the world, so it is found anew when the world changes, and kept as lines that a test repeats:
//!
//! ```text
//!   vote-not-durable 7 2000 two votes in term 3 of group 5
//!          │         │  │    └ what was said
//!          │         │  └ milliseconds in which anything may fail
//!          │         └ seed
//!          └ rule; with a `#` in front of it nobody noticed
//! ```

use crate::run::{RunOptions, run};
use crate::trace::{Echo, Trace};
use margay_types::mutant::{self, Mutant};
use std::any::Any;
use std::fmt;
use std::ops::RangeInclusive;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Longest text of a complaint in a line.
const COMPLAINT_CHARS_MAX: usize = 140;

/// A run in which a broken rule was noticed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Noticed {
    /// The rule.
    pub mutant: Mutant,
    /// The seed.
    pub seed: u64,
    /// How long anything may fail.
    pub faulty_ms: u64,
    /// What was said.
    pub complaint: String,
}

impl fmt::Display for Noticed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            mutant,
            seed,
            faulty_ms,
            complaint,
        } = self;
        let complaint = complaint.replace('\n', " ");
        let complaint: String = complaint.chars().take(COMPLAINT_CHARS_MAX).collect();
        write!(
            formatter,
            "{} {seed} {faulty_ms} {complaint}",
            mutant.name()
        )
    }
}

impl Noticed {
    /// Reads a line; `None` when it is blank, or a remark.
    ///
    /// # Panics
    /// When it is neither and no such line.
    #[must_use]
    pub fn of_line(line: &str) -> Option<Self> {
        if line.is_empty() || line.starts_with('#') {
            return None;
        }
        let mut words = line.splitn(4, ' ');
        let mut word = || words.next().unwrap_or_default();
        let (name, seed, faulty_ms) = (word(), word().parse(), word().parse());
        let (Some(mutant), Ok(seed), Ok(faulty_ms)) = (Mutant::named(name), seed, faulty_ms) else {
            panic!("`{line}` names no rule, seed and length");
        };
        Some(Self {
            mutant,
            seed,
            faulty_ms,
            complaint: word().to_owned(),
        })
    }
}

/// Runs a seed with a rule broken, or none; says what is wrong, in words.
#[must_use]
pub fn complaint(broken: Option<Mutant>, seed: u64, faulty_ms: u64) -> Option<String> {
    let options = RunOptions {
        seed,
        node_count: None,
        shard_count: None,
        faulty_ns: faulty_ms * 1_000_000,
        has_faults: true,
        echo: Echo::Quiet,
    };
    let trace = Trace::new(options.echo);
    mutant::choose(broken);
    let outcome = catch_unwind(AssertUnwindSafe(|| run(&options, &trace)));
    mutant::choose(None);
    match outcome {
        Ok(outcome) => outcome.err(),
        Err(panic) => Some(format!("a panic: {}", said(panic.as_ref()))),
    }
}

/// The first seed that notices, in runs of each length in turn.
#[must_use]
pub fn find(broken: Mutant, lengths: &[(u64, RangeInclusive<u64>)]) -> Option<Noticed> {
    let runs = lengths
        .iter()
        .flat_map(|(faulty_ms, seeds)| seeds.clone().map(|seed| (seed, *faulty_ms)));
    runs.into_iter().find_map(|(seed, faulty_ms)| {
        complaint(Some(broken), seed, faulty_ms).map(|complaint| Noticed {
            mutant: broken,
            seed,
            faulty_ms,
            complaint,
        })
    })
}

fn said(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("without words")
}
