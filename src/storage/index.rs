//! Where the entries of a group are: one item per batch that holds some of them.
//!
//! ```text
//!  entries  5 6 7 │ 8 9 │ 10 11 12 13 │ 14
//!  items    batch 3 batch 4  batch 6    batch 7 (open)      newest last, without a gap
//! ```
//!
//! An item names the span of its segment between its first and its last entry. Records of other groups may stand
//! between, so what is read there is picked by group and index. Within a batch that is still in memory the item
//! names its first run, and the runs are linked.
//!
//! Invariants: items follow each other without a gap; terms never fall; an item has one term.

use margay_raft::Position;
use margay_types::{Index, Term};
use std::collections::VecDeque;

/// Entries of one group, of one term, in one batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexItem {
    /// First entry.
    pub first: Index,
    /// Last entry.
    pub last: Index,
    /// Term of all of them.
    pub term: Term,
    /// The batch.
    pub sequence: u64,
    /// Number of the segment.
    pub segment: u32,
    /// Where the first starts in the segment.
    pub offset: u32,
    /// Bytes up to the end of the last.
    pub length: u32,
    /// The run that the first stands in; meaningless once the batch left memory.
    pub first_run: u32,
}

/// The items of one group.
#[derive(Clone, Debug, Default)]
pub(crate) struct GroupIndex {
    items: VecDeque<IndexItem>,
}

impl GroupIndex {
    /// The index that recovery found.
    ///
    /// # Panics
    /// If the items leave a gap.
    pub(crate) fn new(items: Vec<IndexItem>) -> Self {
        let gap = items
            .windows(2)
            .find(|pair| pair[0].last.next() != pair[1].first);
        assert!(gap.is_none(), "a gap in the index: {gap:?}");
        Self {
            items: items.into(),
        }
    }

    pub(crate) fn items(&self) -> impl Iterator<Item = &IndexItem> {
        self.items.iter()
    }

    /// First entry that it knows of.
    pub(crate) fn first(&self) -> Option<Index> {
        self.items.front().map(|item| item.first)
    }

    /// Last entry that it knows of.
    pub(crate) fn last(&self) -> Option<Position> {
        self.items.back().map(|item| Position {
            term: item.term,
            index: item.last,
        })
    }

    pub(crate) fn last_mut(&mut self) -> Option<&mut IndexItem> {
        self.items.back_mut()
    }

    /// Adds what was appended.
    pub(crate) fn push(&mut self, item: IndexItem) {
        if let Some(last) = self.items.back() {
            assert!(
                last.last.next() == item.first,
                "{:?} does not follow {:?}",
                item.first,
                last.last
            );
            assert!(
                last.term <= item.term,
                "term {:?} behind {:?}",
                item.term,
                last.term
            );
        }
        self.items.push_back(item);
    }

    /// The items that hold `first` and everything behind it, if `first` is held.
    pub(crate) fn from(&self, first: Index) -> impl Iterator<Item = &IndexItem> {
        let at = self.place_of(first);
        let held = self.items.get(at).is_some_and(|item| item.first <= first);
        self.items.range(if held { at } else { self.items.len() }..)
    }

    /// How many items end before an entry. It is looked for from the newest item on, in steps that double: nearly
    /// always it is among the last few, and the others of a thousand groups are far from any cache.
    fn place_of(&self, first: Index) -> usize {
        let ends_before = |at: usize| self.items.get(at).is_some_and(|item| item.last < first);
        let (mut low, mut high) = (0, self.items.len());
        let mut step = 1;
        while let Some(before) = high.checked_sub(step) {
            if ends_before(before) {
                low = before + 1;
                break;
            }
            (step, high) = (2 * step, before);
        }
        while low < high {
            let middle = low.midpoint(high);
            if ends_before(middle) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    /// Term of an entry that it holds.
    pub(crate) fn term(&self, index: Index) -> Option<Term> {
        self.from(index).next().map(|item| item.term)
    }

    /// Forgets the entries from `from` on; gives the items that are gone as a whole.
    pub(crate) fn truncate(&mut self, from: Index) -> Vec<IndexItem> {
        let at = self.items.partition_point(|item| item.first < from);
        let gone = self.items.split_off(at).into();
        if let Some(last) = self.items.back_mut() {
            last.last = last.last.min(from.previous());
        }
        gone
    }

    /// Forgets the entries up to `to`, as far as whole items go; gives those.
    pub(crate) fn release(&mut self, to: Index) -> Vec<IndexItem> {
        let at = self.items.partition_point(|item| item.last <= to);
        self.items.drain(..at).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(first: u64, last: u64, term: u32) -> IndexItem {
        IndexItem {
            first: Index::new(first),
            last: Index::new(last),
            term: Term::new(term),
            sequence: first,
            segment: 1,
            offset: 0,
            length: 1,
            first_run: 0,
        }
    }

    fn index() -> GroupIndex {
        GroupIndex::new(vec![item(5, 7, 1), item(8, 9, 1), item(10, 13, 2)])
    }

    #[test]
    fn what_is_held_is_found_and_nothing_else() {
        let firsts = |first| -> Vec<u64> {
            index()
                .from(Index::new(first))
                .map(|item| item.first.number())
                .collect()
        };
        assert_eq!(firsts(6), [5, 8, 10]);
        assert_eq!(firsts(10), [10]);
        assert!(firsts(4).is_empty());
        assert!(firsts(14).is_empty());
        assert_eq!(index().term(Index::new(9)), Some(Term::new(1)));
    }

    /// However far back it is, and however many there are.
    #[test]
    fn each_of_many_items_is_found() {
        for count in 0..40 {
            let items = (0..count).map(|number| item(3 * number + 1, 3 * number + 3, 1));
            let index = GroupIndex::new(items.collect());
            for wanted in 1..=3 * count {
                let found = index.from(Index::new(wanted)).next().map(|item| item.first);
                assert_eq!(found, Some(Index::new((wanted - 1) / 3 * 3 + 1)));
            }
            assert_eq!(index.from(Index::new(3 * count + 1)).next(), None);
        }
    }

    #[test]
    fn a_truncation_cuts_the_item_that_it_hits() {
        let mut index = index();
        let gone = index.truncate(Index::new(9));
        assert_eq!(gone, [item(10, 13, 2)]);
        let last = Position {
            term: Term::new(1),
            index: Index::new(8),
        };
        assert_eq!(index.last(), Some(last));
        index.push(item(9, 9, 3));
        assert_eq!(index.term(Index::new(9)), Some(Term::new(3)));
    }

    #[test]
    fn a_release_takes_whole_items_only() {
        let mut index = index();
        assert_eq!(index.release(Index::new(8)), [item(5, 7, 1)]);
        assert_eq!(index.first(), Some(Index::new(8)));
        assert_eq!(index.release(Index::new(20)).len(), 2);
        assert_eq!(index.last(), None);
    }

    #[test]
    #[should_panic(expected = "does not follow")]
    fn a_gap_is_our_own_mistake() {
        index().push(item(15, 15, 2));
    }
}
