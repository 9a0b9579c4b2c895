//! Which of this replica's writes are durable, and how far its log is.
//!
//! Writes go into one log in order, so one number says it all: durable up to a [`WriteId`]. What that means for the
//! log needs care, because an entry may be overwritten while its write is under way:
//!
//! ```text
//!   write 10  entry 5 of term 2 ──────────────────────────> returns late
//!   write 11        truncate from 5 (durable index back to 4)      │
//!   write 12              entry 5 of term 3                        v
//!                                           must not count for entry 5 of term 3
//! ```
//!
//! So a truncation clips what is pending: write 10 names no entry any more, and only write 12 makes 5 durable.
//!
//! Invariants:
//! * Pending entry writes ascend without gaps, in writes and in entries, from the durable index to the last entry.
//! * A run of several writes has one entry per write; so the hot path keeps one run, however many proposals.

use crate::effects::WriteId;
use crate::types::Index;
use alloc::collections::VecDeque;

/// For so many of its longest election timeouts a leader waits for its own disk before it hands over.
pub const STALLED_WRITE_ELECTIONS: u32 = 2;

/// Writes of entries that did not return yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct EntryWrites {
    first_write: WriteId,
    last_write: WriteId,
    first: Index,
    last: Index,
}

impl EntryWrites {
    /// The last entry of these that is durable once `durable` is; the one before the first if none.
    fn durable_up_to(&self, durable: WriteId) -> Index {
        if durable >= self.last_write {
            return self.last;
        }
        match durable.0.checked_sub(self.first_write.0) {
            Some(writes) => self.first.plus(writes),
            None => self.first.previous(),
        }
    }
}

/// What was given to the disk, and how far it came back.
#[derive(Clone, Debug)]
pub(crate) struct Durability {
    issued: WriteId,
    durable: WriteId,
    durable_index: Index,
    pending: VecDeque<EntryWrites>,
    stalled_ticks: u32,
}

impl Durability {
    /// Everything that recovery found is durable.
    pub(crate) fn new(last_index: Index) -> Self {
        Self {
            issued: WriteId(0),
            durable: WriteId(0),
            durable_index: last_index,
            pending: VecDeque::new(),
            stalled_ticks: 0,
        }
    }

    /// Highest index up to which every entry is on this disk.
    pub(crate) fn durable_index(&self) -> Index {
        self.durable_index
    }

    pub(crate) fn is_durable(&self, write: WriteId) -> bool {
        write <= self.durable
    }

    /// The latest write that left.
    pub(crate) fn issued(&self) -> WriteId {
        self.issued
    }

    /// For how long nothing returned although something is under way.
    pub(crate) fn stalled_ticks(&self) -> u32 {
        self.stalled_ticks
    }

    /// A write without entries.
    pub(crate) fn issue(&mut self) -> WriteId {
        self.issued.0 += 1;
        self.issued
    }

    /// A write of entries.
    pub(crate) fn issue_entries(&mut self, first: Index, last: Index) -> WriteId {
        assert!(first <= last, "a write of no entries: {first} to {last}");
        let expected = self
            .pending
            .back()
            .map_or(self.durable_index, |run| run.last)
            .next();
        assert_eq!(first, expected, "entry writes leave a gap");
        let write = self.issue();
        match self.pending.back_mut() {
            Some(run) if first == last && run.takes(write) => {
                run.last_write = write;
                run.last = last;
            }
            _ => self.pending.push_back(EntryWrites {
                first_write: write,
                last_write: write,
                first,
                last,
            }),
        }
        write
    }

    /// Entries at and behind `from` are gone; late returns of their writes count for nothing.
    pub(crate) fn truncate(&mut self, from: Index) -> WriteId {
        self.durable_index = self.durable_index.min(from.previous());
        while self.pending.back().is_some_and(|run| run.first >= from) {
            self.pending.pop_back();
        }
        if let Some(run) = self.pending.back_mut().filter(|run| run.last >= from) {
            if run.first_write != run.last_write {
                run.last_write = WriteId(run.first_write.0 + from.previous().since(run.first));
            }
            run.last = from.previous();
        }
        self.issue()
    }

    /// `write` and all before it are durable.
    pub(crate) fn on_written(&mut self, write: WriteId) {
        assert!(
            write <= self.issued,
            "{write:?} returned, but {:?} is the latest",
            self.issued
        );
        if write <= self.durable {
            return;
        }
        self.durable = write;
        self.stalled_ticks = 0;
        while let Some(run) = self.pending.front_mut() {
            self.durable_index = self.durable_index.max(run.durable_up_to(write));
            if run.last_write > write {
                if run.first_write <= write {
                    run.first = self.durable_index.next();
                    run.first_write = WriteId(write.0 + 1);
                }
                break;
            }
            self.pending.pop_front();
        }
    }

    /// Is something under way?
    pub(crate) fn is_waiting(&self) -> bool {
        self.durable < self.issued
    }

    /// So many ticks passed.
    pub(crate) fn count_ticks(&mut self, ticks: u32) {
        if self.is_waiting() {
            self.stalled_ticks = self.stalled_ticks.saturating_add(ticks);
        } else {
            self.stalled_ticks = 0;
        }
    }

    /// See the invariants in this file's header.
    pub(crate) fn check(&self, last_index: Index) {
        let mut expected = self.durable_index.next();
        for run in &self.pending {
            assert_eq!(run.first, expected, "pending entries have a gap");
            assert!(
                run.first_write > self.durable,
                "{run:?} is pending, but durable"
            );
            expected = run.last.next();
        }
        assert_eq!(
            expected,
            last_index.next(),
            "durable and pending do not end at the last entry"
        );
    }
}

impl EntryWrites {
    /// Is `write` the next of a run with one entry per write?
    fn takes(&self, write: WriteId) -> bool {
        let writes = self.last_write.0 - self.first_write.0;
        self.last_write.0 + 1 == write.0 && self.last.since(self.first) == writes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(number: u64) -> Index {
        Index::new(number)
    }

    #[test]
    fn single_entries_share_one_run() {
        let mut durability = Durability::new(index(3));
        for i in 4..=9 {
            durability.issue_entries(index(i), index(i));
        }
        assert_eq!(durability.pending.len(), 1);
        durability.on_written(WriteId(2));
        assert_eq!(durability.durable_index(), index(5));
        durability.issue_entries(index(10), index(10));
        assert_eq!(durability.pending.len(), 1);
        durability.on_written(WriteId(7));
        assert_eq!(durability.durable_index(), index(10));
        durability.check(index(10));
    }

    #[test]
    fn a_write_of_many_entries_counts_when_it_returns() {
        let mut durability = Durability::new(index(0));
        let hard_state = durability.issue();
        let many = durability.issue_entries(index(1), index(5));
        let more = durability.issue_entries(index(6), index(6));
        durability.on_written(hard_state);
        assert_eq!(durability.durable_index(), index(0));
        durability.on_written(many);
        assert_eq!(durability.durable_index(), index(5));
        durability.on_written(more);
        assert_eq!(durability.durable_index(), index(6));
    }

    #[test]
    fn a_late_return_of_an_overwritten_entry_does_not_count() {
        let mut durability = Durability::new(index(4));
        let overwritten = durability.issue_entries(index(5), index(5));
        let truncation = durability.truncate(index(5));
        let new = durability.issue_entries(index(5), index(5));
        durability.on_written(overwritten);
        assert_eq!(durability.durable_index(), index(4));
        durability.on_written(truncation);
        assert_eq!(durability.durable_index(), index(4));
        durability.on_written(new);
        assert_eq!(durability.durable_index(), index(5));
        durability.check(index(5));
    }

    #[test]
    fn a_truncation_clips_a_pending_write_of_many() {
        let mut durability = Durability::new(index(4));
        let many = durability.issue_entries(index(5), index(9));
        durability.truncate(index(7));
        durability.check(index(6));
        let new = durability.issue_entries(index(7), index(7));
        durability.on_written(many);
        assert_eq!(durability.durable_index(), index(6));
        durability.on_written(new);
        assert_eq!(durability.durable_index(), index(7));
    }

    #[test]
    fn a_truncation_clips_a_pending_run_and_the_durable_index() {
        let mut durability = Durability::new(index(0));
        for i in 1..=6 {
            durability.issue_entries(index(i), index(i));
        }
        durability.on_written(WriteId(2));
        durability.truncate(index(5));
        durability.check(index(4));
        durability.on_written(WriteId(6));
        assert_eq!(durability.durable_index(), index(4));
        durability.truncate(index(2));
        assert_eq!(durability.durable_index(), index(1));
        durability.check(index(1));
    }

    #[test]
    fn a_disk_that_returns_nothing_is_noticed() {
        let mut durability = Durability::new(index(0));
        durability.count_ticks(1);
        assert_eq!(durability.stalled_ticks(), 0);
        durability.issue();
        durability.count_ticks(1);
        durability.count_ticks(1);
        assert_eq!(durability.stalled_ticks(), 2);
    }
}
