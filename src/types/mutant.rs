//! Rules that a test breaks on purpose, one at a time, to see whether it is noticed.
//!
//! Only with the feature `mutants`, which no default turns on: without it neither this file nor any place that asks it
//! is compiled. Each variant is asked at the one place of its rule:
//!
//! ```text
//!   #[cfg(feature = "mutants")]
//!   if mutant::is(Mutant::TornTailKept) { .. what a wrong implementation would do .. }
//! ```
//!
//! The choice is the process's: `MARGAY_MUTANT=torn-tail-kept` breaks a rule in whatever was built with the
//! feature, the
//! server and every test; `--mutant` of the simulator and tests with several runs choose for themselves.

use core::sync::atomic::{AtomicU8, Ordering};
use std::env;

/// A broken rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// A vote leaves before it is durable.
    VoteNotDurable,
    /// An entry of an earlier term is committed by counting its copies.
    OldTermByCounting,
    /// A leader takes a follower's last index for what matches its own log.
    MatchFromLastIndex,
    /// A follower acknowledges entries before they are durable.
    AcknowledgedBeforeWrite,
    /// A command that is sent again is executed again.
    DuplicateExecuted,
    /// A new leader takes a session's next number from the applied table alone, whatever its unapplied tail holds.
    NextFromTableAlone,
    /// Recovery keeps a batch that was torn at the end of the log.
    TornTailKept,
    /// A read is confirmed by a round that started before it.
    ReadByEarlierRound,
}

impl Mutant {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::VoteNotDurable,
        Self::OldTermByCounting,
        Self::MatchFromLastIndex,
        Self::AcknowledgedBeforeWrite,
        Self::DuplicateExecuted,
        Self::NextFromTableAlone,
        Self::TornTailKept,
        Self::ReadByEarlierRound,
    ];

    /// Its name on command lines.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::VoteNotDurable => "vote-not-durable",
            Self::OldTermByCounting => "old-term-by-counting",
            Self::MatchFromLastIndex => "match-from-last-index",
            Self::AcknowledgedBeforeWrite => "acknowledged-before-write",
            Self::DuplicateExecuted => "duplicate-executed",
            Self::NextFromTableAlone => "next-from-table-alone",
            Self::TornTailKept => "torn-tail-kept",
            Self::ReadByEarlierRound => "read-by-earlier-round",
        }
    }

    /// The one of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mutant| mutant.name() == name)
    }
}

/// The environment was not asked yet.
const UNASKED: u8 = u8::MAX;
/// No rule is broken.
const NONE: u8 = u8::MAX - 1;

static CHOSEN: AtomicU8 = AtomicU8::new(UNASKED);

/// Breaks this rule from now on, or none.
pub fn choose(mutant: Option<Mutant>) {
    let number = mutant.map_or(NONE, |mutant| mutant as u8);
    CHOSEN.store(number, Ordering::Relaxed);
}

/// Is this rule broken?
///
/// # Panics
/// When `MARGAY_MUTANT` is no mutant's name: a run that breaks nothing by mistake would prove nothing.
#[must_use]
pub fn is(mutant: Mutant) -> bool {
    if CHOSEN.load(Ordering::Relaxed) == UNASKED {
        choose(from_environment());
    }
    CHOSEN.load(Ordering::Relaxed) == mutant as u8
}

fn from_environment() -> Option<Mutant> {
    let name = env::var("MARGAY_MUTANT").ok()?;
    let mutant = Mutant::named(&name);
    assert!(
        mutant.is_some(),
        "MARGAY_MUTANT is {name}; mutants are {:?}",
        Mutant::ALL.map(Mutant::name)
    );
    mutant
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mutant_is_found_by_its_name() {
        for mutant in Mutant::ALL {
            assert_eq!(Mutant::named(mutant.name()), Some(mutant));
        }
        assert_eq!(Mutant::named("none"), None);
    }
}
