//! What the core knows of the log: where each term begins, and the sizes of the newest entries.
//!
//! ```text
//!         floor                    tail_first        last_index
//!           │                          │                 │
//!   gone    │ term 3  │ term 4         │     │ term 7    │
//!   ────────┼─────────┴────────────────┼─────┴───────────┤
//!           └── term runs: one per term ─────────────────┘
//!                                      └── sizes ────────┘
//! ```
//!
//! A run costs the same for one entry as for a million, so the whole log above the floor has its terms in memory. Sizes
//! are kept for the tail only: what followers in step need is there, and older entries are sent without knowing
//! sizes, one request at a time.
//!
//! Invariants:
//! * Runs ascend in index and in term; none starts at or below the floor or behind the last entry.
//! * The tail ends at the last entry and never reaches down to the floor.

use crate::entry::Position;
use crate::types::{Index, Term};
use alloc::collections::VecDeque;
use alloc::vec::Vec;

/// Entries from `first` on have this term, up to the next run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TermRun {
    /// First entry of the run.
    pub first: Index,
    /// Term of its entries.
    pub term: Term,
}

/// What the core knows of the log: positions, terms and sizes, and no bytes.
#[derive(Clone, Debug)]
pub(crate) struct Log {
    floor: Position,
    runs: VecDeque<TermRun>,
    last_index: Index,
    sizes: VecDeque<u32>,
    tail_entries_max: usize,
}

impl Log {
    /// The log that recovery found; the sizes of its entries are not known.
    pub(crate) fn new(
        floor: Position,
        runs: Vec<TermRun>,
        last_index: Index,
        tail_entries_max: usize,
    ) -> Self {
        let log = Self {
            floor,
            runs: runs.into(),
            last_index,
            sizes: VecDeque::new(),
            tail_entries_max,
        };
        log.check();
        log
    }

    pub(crate) fn last_index(&self) -> Index {
        self.last_index
    }

    pub(crate) fn last_position(&self) -> Position {
        let term = self.runs.back().map_or(self.floor.term, |run| run.term);
        Position {
            term,
            index: self.last_index,
        }
    }

    /// The position before the first entry held.
    pub(crate) fn floor(&self) -> Position {
        self.floor
    }

    /// First entry whose size is known.
    pub(crate) fn tail_first(&self) -> Index {
        Index::new(self.last_index.number() + 1 - self.sizes.len() as u64)
    }

    /// Term of the entry, or of the floor; `None` below it and behind the last entry.
    pub(crate) fn term_at(&self, index: Index) -> Option<Term> {
        if index > self.last_index || index < self.floor.index {
            return None;
        }
        if index == self.floor.index {
            return Some(self.floor.term);
        }
        match self.runs.back() {
            Some(newest) if newest.first <= index => Some(newest.term),
            _ => {
                let behind = self.runs.partition_point(|run| run.first <= index);
                self.runs.get(behind.checked_sub(1)?).map(|run| run.term)
            }
        }
    }

    /// The entry's position, if it is held or is the floor.
    pub(crate) fn position_at(&self, index: Index) -> Option<Position> {
        self.term_at(index).map(|term| Position { term, index })
    }

    /// The highest position not behind `other` in index and not in a greater term: where this log and one that holds
    /// `other` may still agree. Both sides use it, so a conflict costs one round trip per term, not per entry.
    pub(crate) fn agreeable(&self, other: Position) -> Position {
        let mut index = other.index.min(self.last_index);
        for run in self
            .runs
            .iter()
            .rev()
            .filter(|run| run.first <= other.index)
        {
            if run.term <= other.term {
                return Position {
                    term: run.term,
                    index,
                };
            }
            index = run.first.previous();
        }
        self.floor
    }

    /// An entry joins at the end.
    pub(crate) fn append(&mut self, term: Term, size_bytes: u32) -> Position {
        let last = self.last_position();
        assert!(
            term >= last.term,
            "an entry of term {term} cannot follow {last:?}"
        );
        let index = last.index.next();
        if term > last.term || self.runs.is_empty() {
            self.runs.push_back(TermRun { first: index, term });
        }
        self.last_index = index;
        if self.sizes.len() >= self.tail_entries_max {
            self.sizes.pop_front();
        }
        self.sizes.push_back(size_bytes);
        Position { term, index }
    }

    /// Entries at and behind `from` are gone.
    pub(crate) fn truncate(&mut self, from: Index) {
        assert!(
            from > self.floor.index,
            "{from} is not above the floor {:?}",
            self.floor
        );
        assert!(
            from <= self.last_index,
            "{from} is behind the last entry {}",
            self.last_index
        );
        let tail_first = self.tail_first();
        self.last_index = from.previous();
        while self.runs.back().is_some_and(|run| run.first >= from) {
            self.runs.pop_back();
        }
        let kept = usize::try_from(from.number().saturating_sub(tail_first.number()))
            .expect("a tail is in memory");
        self.sizes.truncate(kept);
    }

    /// Entries up to `floor` may be gone. A floor that does not rise changes nothing.
    pub(crate) fn raise_floor(&mut self, floor: Position) {
        if floor.index <= self.floor.index {
            return;
        }
        assert_eq!(
            self.term_at(floor.index),
            Some(floor.term),
            "the floor {floor:?} is no entry"
        );
        while self
            .runs
            .get(1)
            .is_some_and(|second| second.first <= floor.index.next())
        {
            self.runs.pop_front();
        }
        if floor.index == self.last_index {
            self.runs.clear();
        } else if let Some(oldest) = self.runs.front_mut() {
            oldest.first = oldest.first.max(floor.index.next());
        }
        self.floor = floor;
        while self.tail_first() <= floor.index && self.sizes.pop_front().is_some() {}
        self.check();
    }

    /// Which entries from `first` on fit into one request, and their bytes: at least one, else up to `bytes_max`.
    /// `None` when nothing is there, or when sizes are not known.
    pub(crate) fn take_up_to(&self, first: Index, bytes_max: u64) -> Option<(Index, u64)> {
        let skipped = first.number().checked_sub(self.tail_first().number())?;
        let mut sizes = self
            .sizes
            .range(usize::try_from(skipped).ok()?.min(self.sizes.len())..);
        let mut bytes = u64::from(*sizes.next()?);
        let mut last = first;
        for &size in sizes {
            if bytes + u64::from(size) > bytes_max {
                break;
            }
            bytes += u64::from(size);
            last = last.next();
        }
        Some((last, bytes))
    }

    /// See the invariants in this file's header.
    pub(crate) fn check(&self) {
        assert!(
            self.floor.index <= self.last_index,
            "the floor is behind the last entry: {self:?}"
        );
        assert!(
            self.runs
                .iter()
                .is_sorted_by(|a, b| a.first < b.first && a.term < b.term),
            "runs do not ascend: {:?}",
            self.runs
        );
        assert_eq!(
            self.runs.front().map(|run| run.first),
            (self.floor.index < self.last_index).then(|| self.floor.index.next()),
            "the first run does not start above the floor {:?}",
            self.floor
        );
        assert!(
            self.runs
                .back()
                .is_none_or(|run| run.first <= self.last_index),
            "a run starts behind the last entry {}",
            self.last_index
        );
        assert!(
            self.tail_first() > self.floor.index,
            "the tail reaches down to the floor"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn position(term: u32, index: u64) -> Position {
        Position {
            term: Term::new(term),
            index: Index::new(index),
        }
    }

    /// Terms of the entries from 1 on; each has 10 bytes.
    fn log(terms: &[u32]) -> Log {
        let mut log = Log::new(Position::ZERO, vec![], Index::ZERO, 4);
        for &term in terms {
            log.append(Term::new(term), 10);
        }
        log
    }

    #[test]
    fn terms_are_found_in_runs() {
        let log = log(&[1, 1, 3, 3, 3, 7]);
        let found: Vec<u32> = (0..=6)
            .map(|i| log.term_at(Index::new(i)).unwrap().number())
            .collect();
        assert_eq!(found, [0, 1, 1, 3, 3, 3, 7]);
        assert_eq!(log.term_at(Index::new(7)), None);
    }

    #[test]
    fn truncation_takes_terms_and_sizes_with_it() {
        let mut log = log(&[1, 1, 3, 3, 3, 7]);
        log.truncate(Index::new(4));
        assert_eq!(log.last_position(), position(3, 3));
        assert_eq!(
            log.take_up_to(Index::new(3), 100),
            Some((Index::new(3), 10))
        );
        log.truncate(Index::new(3));
        assert_eq!(log.last_position(), position(1, 2));
        assert_eq!(log.tail_first(), Index::new(3));
        log.check();
    }

    #[test]
    fn where_logs_may_agree_skips_whole_terms() {
        let log = log(&[1, 1, 3, 3, 3, 7]);
        assert_eq!(log.agreeable(position(7, 9)), position(7, 6));
        assert_eq!(log.agreeable(position(6, 9)), position(3, 5));
        assert_eq!(log.agreeable(position(2, 5)), position(1, 2));
        assert_eq!(log.agreeable(position(3, 4)), position(3, 4));
        assert_eq!(log.agreeable(position(0, 4)), Position::ZERO);
    }

    #[test]
    fn a_floor_forgets_terms_below_it_but_knows_its_own() {
        let mut log = log(&[1, 1, 3, 3, 3, 7]);
        log.raise_floor(position(3, 4));
        assert_eq!(log.term_at(Index::new(3)), None);
        assert_eq!(log.term_at(Index::new(4)), Some(Term::new(3)));
        assert_eq!(log.term_at(Index::new(5)), Some(Term::new(3)));
        log.raise_floor(position(3, 5));
        log.raise_floor(position(7, 6));
        assert_eq!(log.last_position(), position(7, 6));
        assert_eq!(log.append(Term::new(7), 1), position(7, 7));
        assert_eq!(log.term_at(Index::new(7)), Some(Term::new(7)));
    }

    #[test]
    fn a_request_takes_what_fits_and_at_least_one() {
        let log = log(&[1, 1, 3, 3, 3, 7]);
        assert_eq!(log.tail_first(), Index::new(3));
        assert_eq!(log.take_up_to(Index::new(2), 100), None);
        assert_eq!(log.take_up_to(Index::new(3), 5), Some((Index::new(3), 10)));
        assert_eq!(log.take_up_to(Index::new(3), 25), Some((Index::new(4), 20)));
        assert_eq!(
            log.take_up_to(Index::new(3), 500),
            Some((Index::new(6), 40))
        );
        assert_eq!(log.take_up_to(Index::new(7), 500), None);
    }
}
