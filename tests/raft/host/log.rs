//! A replica's entries with their payloads, in memory.
//!
//! The host keeps two of these per replica: what it has been told to write, and what of that has reached
//! the disk. A crash makes the second the first.

use margay_raft::{EntryKind, EntryView, Position};
use margay_types::{Index, Term};
use std::fmt;

/// One entry as it stands in a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) position: Position,
    pub(crate) kind: EntryKind,
    pub(crate) payload: Vec<u8>,
}

/// Bytes of a record's header: what sizes count beside the payload.
const HEADER_BYTES: usize = 32;

impl Record {
    pub(crate) fn size_bytes(&self) -> u32 {
        u32::try_from(HEADER_BYTES + self.payload.len()).expect("payloads of tests are small")
    }

    pub(crate) fn view(&self) -> EntryView<'_> {
        EntryView {
            position: self.position,
            kind: self.kind,
            size_bytes: self.size_bytes(),
            payload: &self.payload,
        }
    }
}

/// `index@term`, the way in which scripts name entries.
pub(crate) struct At(pub(crate) Position);

impl fmt::Display for At {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}@{}", self.0.index, self.0.term)
    }
}

/// Entries behind a floor, without a gap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Log {
    floor: Position,
    records: Vec<Record>,
}

impl Log {
    /// The highest position that is gone.
    pub(crate) fn floor(&self) -> Position {
        self.floor
    }

    pub(crate) fn records(&self) -> &[Record] {
        &self.records
    }

    pub(crate) fn last(&self) -> Position {
        self.records
            .last()
            .map_or(self.floor, |record| record.position)
    }

    pub(crate) fn record(&self, index: Index) -> Option<&Record> {
        let offset = index.number().checked_sub(self.floor.index.number() + 1)?;
        self.records.get(usize::try_from(offset).ok()?)
    }

    /// The position at an index, also that of the floor.
    pub(crate) fn position(&self, index: Index) -> Option<Position> {
        if index == self.floor.index {
            return Some(self.floor);
        }
        self.record(index).map(|record| record.position)
    }

    pub(crate) fn push(&mut self, record: Record) {
        let (last, next) = (self.last(), record.position);
        assert_eq!(
            next.index,
            last.index.next(),
            "{} stored behind {}",
            At(next),
            At(last)
        );
        assert!(
            next.term >= last.term,
            "{} stored behind {}",
            At(next),
            At(last)
        );
        self.records.push(record);
    }

    /// Drops the entries at and behind `from`.
    pub(crate) fn truncate(&mut self, from: Index) {
        assert!(
            from > self.floor.index,
            "truncation from {from} at or below the log floor"
        );
        self.records.retain(|record| record.position.index < from);
    }

    /// Forgets the entries up to and with `index`.
    pub(crate) fn reclaim(&mut self, index: Index) {
        let floor = self
            .position(index)
            .expect("only what is here is reclaimed");
        self.records.retain(|record| record.position.index > index);
        self.floor = floor;
    }

    /// Everything here is replaced by a state that covers the log up to `floor`.
    pub(crate) fn reset(&mut self, floor: Position) {
        *self = Self {
            floor,
            records: Vec::new(),
        };
    }

    /// The entries in `[first, last]`.
    pub(crate) fn range(&self, first: Index, last: Index) -> Vec<Record> {
        let within = |record: &&Record| (first..=last).contains(&record.position.index);
        self.records.iter().filter(within).cloned().collect()
    }

    /// First index of every term that has an entry here.
    pub(crate) fn term_firsts(&self) -> Vec<(Index, Term)> {
        let mut firsts: Vec<(Index, Term)> = Vec::new();
        for record in &self.records {
            if firsts
                .last()
                .is_none_or(|(_, term)| *term != record.position.term)
            {
                firsts.push((record.position.index, record.position.term));
            }
        }
        firsts
    }
}
