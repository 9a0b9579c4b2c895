//! What goes wrong on a virtual disk, and when: planned per operation, drawn from a seed or chosen by a test.
//!
//! Operations of one life are counted from 0. A [`FaultPlan`] says which of them fail and how; a [`Loss`] says
//! what a power cut leaves of the writes that were not durable.

use margay_types::Random;
use std::collections::BTreeMap;
use std::time::Duration;

/// What happens to one operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The power goes off while it is under way; every later operation of this life fails.
    Crash,
    /// It fails with an I/O error. A sync that fails leaves what it should have made durable readable, and never
    /// makes it durable: the kernel marks such pages clean.
    Error,
    /// A write is refused because the disk is full.
    Full,
    /// A write stops after this many bytes and says so.
    Short(usize),
    /// A write reports success and reaches nothing.
    Lost,
    /// A write reports success and reaches the place this many bytes further on.
    Misdirected(u64),
    /// It takes this much longer.
    Slow(Duration),
}

/// Which operations of a life go wrong.
#[derive(Clone, Debug, Default)]
pub struct FaultPlan {
    faults: BTreeMap<u64, Fault>,
}

impl FaultPlan {
    /// Nothing goes wrong.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// The power goes off at operation `at`.
    #[must_use]
    pub fn crash_at(at: u64) -> Self {
        Self::none().with(at, Fault::Crash)
    }

    /// Adds one fault at operation `at`.
    #[must_use]
    pub fn with(mut self, at: u64, fault: Fault) -> Self {
        self.faults.insert(at, fault);
        self
    }

    /// The fault of operation `at`, if it has one.
    #[must_use]
    pub fn fault(&self, at: u64) -> Option<Fault> {
        self.faults.get(&at).copied()
    }
}

/// What a power cut makes of one sector of a write that was not durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It was on the disk already.
    Kept,
    /// The old bytes are still there.
    Lost,
    /// The next life reads the new bytes, yet they are not durable: without a sync they may be gone after the next
    /// power cut.
    Readable,
}

/// The fates of all sectors, names and lengths that were not durable at a power cut, in the order of their writes.
#[derive(Clone, Debug)]
pub enum Loss {
    /// All of them have the same fate.
    All(Fate),
    /// Sector k of the list is kept iff bit k is set; those past 63 follow bit 63.
    Mask(u64),
    /// Each is drawn from this seed.
    Drawn(u64),
}

impl Loss {
    pub(crate) fn judge(&self) -> Judge {
        Judge {
            loss: self.clone(),
            at: 0,
            random: Random::new(self.seed()),
        }
    }

    fn seed(&self) -> u64 {
        match self {
            Self::All(_) | Self::Mask(_) => 0,
            Self::Drawn(seed) => *seed,
        }
    }
}

/// Hands out fates one after another.
#[derive(Debug)]
pub(crate) struct Judge {
    loss: Loss,
    at: u32,
    random: Random,
}

impl Judge {
    pub(crate) fn next_fate(&mut self) -> Fate {
        let at = self.at.min(63);
        self.at = self.at.saturating_add(1);
        match self.loss {
            Loss::All(fate) => fate,
            Loss::Mask(mask) if mask >> at & 1 == 1 => Fate::Kept,
            Loss::Mask(_) => Fate::Lost,
            Loss::Drawn(_) => match self.random.below(3) {
                0 => Fate::Kept,
                1 => Fate::Lost,
                _ => Fate::Readable,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_names_the_sectors_that_are_kept() {
        let mut judge = Loss::Mask(0b101).judge();
        let fates: Vec<Fate> = (0..4).map(|_| judge.next_fate()).collect();
        assert_eq!(fates, vec![Fate::Kept, Fate::Lost, Fate::Kept, Fate::Lost]);
    }

    #[test]
    fn drawn_fates_are_repeated_by_their_seed() {
        let draw = |seed| {
            let mut judge = Loss::Drawn(seed).judge();
            (0..32).map(|_| judge.next_fate()).collect::<Vec<_>>()
        };
        assert_eq!(draw(9), draw(9));
        for fate in [Fate::Kept, Fate::Lost, Fate::Readable] {
            assert!(draw(9).contains(&fate), "{fate:?} never drawn");
        }
    }
}
