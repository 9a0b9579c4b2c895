//! Which writes are under way, what is durable, and what a witness still has to tell.
//!
//! A synchronous write costs nearly the same for one record as for a thousand, so few are under way, and what
//! arrives meanwhile forms the next batch. No timer, no window:
//!
//! ```text
//!     appends   a b c   d e f g   h
//!     writes    [ a ]   [b c]  [d e f g] ...     one write in flight; the next takes what waited
//! ```
//!
//! Invariants:
//! * Writes start in order of their sequence; completions may come in any order.
//! * Durable is a contiguous prefix: nothing behind a write that has not returned is reported.
//! * A batch is *covered* when a durable batch names it as durable. Only then may something rest on it that
//!   takes away the means to repair it.
//! * A failed or short write is final.

use super::witness::{Witness, WitnessItem};
use crate::limits::WITNESSED_BATCHES_MAX;
use margay_raft::WriteId;
use margay_types::GroupId;
#[cfg(feature = "mutants")]
use margay_types::mutant::{self, Mutant};
use std::collections::VecDeque;

/// Does a write need a witness of its own, and a slot?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WriteKind {
    /// It carries records.
    Ordinary,
    /// It carries nothing but a witness, because the shard is idle.
    IdleWitness,
}

/// A write under way.
#[derive(Debug)]
struct Write {
    kind: WriteKind,
    item: WitnessItem,
    names_durable: u64,
    groups: Vec<(GroupId, WriteId)>,
    has_returned: bool,
}

/// A batch whose write has returned, with all before it.
#[derive(Debug)]
pub(crate) struct Durable {
    /// Whose writes are durable now.
    pub(crate) groups: Vec<(GroupId, WriteId)>,
}

/// The writes of a log.
#[derive(Debug)]
pub(crate) struct GroupCommit {
    writes_max: usize,
    under_way: VecDeque<Write>,
    durable: u64,
    covered: u64,
    /// Durable batches that no submitted witness tells of yet.
    untold: Vec<(WriteKind, WitnessItem)>,
}

impl GroupCommit {
    /// After a restart: the restart batch is durable, and tells of everything before it.
    pub(crate) fn new(writes_max: usize, restart: WitnessItem, covered: u64) -> Self {
        Self {
            writes_max,
            under_way: VecDeque::new(),
            durable: restart.sequence,
            covered,
            untold: vec![(WriteKind::Ordinary, restart)],
        }
    }

    /// Everything up to here is durable.
    pub(crate) fn durable(&self) -> u64 {
        self.durable
    }

    /// Everything up to here is durable, and a durable batch says so.
    pub(crate) fn covered(&self) -> u64 {
        self.covered
    }

    /// May a batch with records be written now?
    pub(crate) fn has_slot(&self) -> bool {
        let ordinary = self
            .under_way
            .iter()
            .filter(|write| write.kind == WriteKind::Ordinary);
        ordinary.count() < self.writes_max
    }

    /// Is any write under way?
    pub(crate) fn is_writing(&self) -> bool {
        !self.under_way.is_empty()
    }

    /// Is a batch with records durable that no witness tells of?
    pub(crate) fn wants_witness(&self) -> bool {
        self.untold
            .iter()
            .any(|(kind, _)| *kind == WriteKind::Ordinary)
    }

    /// Most bytes of items that a batch may have to carry which is submitted behind all that are under way.
    pub(crate) fn witness_bytes_max(&self) -> usize {
        let untold = self.untold.iter().map(|(_, item)| item.encoded_bytes());
        let under_way = self
            .under_way
            .iter()
            .map(|write| write.item.encoded_bytes());
        untold.chain(under_way).sum()
    }

    /// The witness for the batch that is submitted now.
    pub(crate) fn take_witness(&mut self) -> Option<Witness> {
        let items: Vec<WitnessItem> = self.untold.drain(..).map(|(_, item)| item).collect();
        assert!(
            items.len() <= WITNESSED_BATCHES_MAX,
            "{} batches became durable between two",
            items.len()
        );
        let durable_sequence = self.durable;
        (!items.is_empty()).then_some(Witness {
            durable_sequence,
            items,
        })
    }

    /// A write has started.
    pub(crate) fn on_submitted(
        &mut self,
        kind: WriteKind,
        item: WitnessItem,
        groups: Vec<(GroupId, WriteId)>,
    ) {
        let newest = self
            .under_way
            .back()
            .map_or(self.durable, |write| write.item.sequence);
        assert!(
            item.sequence > newest,
            "batch {} written behind {newest}",
            item.sequence
        );
        let names_durable = self.durable;
        self.under_way.push_back(Write {
            kind,
            item,
            names_durable,
            groups,
            has_returned: false,
        });
    }

    /// What is known of a write under way: its batch as a later witness will tell it.
    pub(crate) fn under_way(&self, sequence: u64) -> Option<&WitnessItem> {
        let mut items = self.under_way.iter().map(|write| &write.item);
        items.find(|item| item.sequence == sequence)
    }

    /// A write returned well. Gives the batches that are durable now, in order.
    ///
    /// # Panics
    /// If no such write is under way.
    pub(crate) fn on_returned(&mut self, sequence: u64) -> Vec<Durable> {
        let mut writes = self.under_way.iter_mut();
        let write = writes.find(|write| write.item.sequence == sequence && !write.has_returned);
        let write = write.unwrap_or_else(|| panic!("batch {sequence} is not under way"));
        write.has_returned = true;
        let mut durable = Vec::new();
        #[cfg(feature = "mutants")]
        if mutant::is(Mutant::DurableOutOfOrder) {
            let groups = std::mem::take(&mut write.groups);
            durable.push(Durable { groups });
        }
        while self
            .under_way
            .front()
            .is_some_and(|write| write.has_returned)
        {
            let Some(write) = self.under_way.pop_front() else {
                break;
            };
            self.durable = write.item.sequence;
            self.covered = self.covered.max(write.names_durable);
            self.untold.push((write.kind, write.item));
            durable.push(Durable {
                groups: write.groups,
            });
        }
        assert!(self.covered < self.durable, "a batch cannot cover itself");
        durable
    }
}

#[cfg(test)]
mod tests {
    use super::super::batch::{HeaderHash, SegmentName};
    use super::*;

    fn item(sequence: u64) -> WitnessItem {
        WitnessItem {
            sequence,
            recovery_epoch: 1,
            segment: SegmentName {
                number: 1,
                generation: 1,
            },
            offset: 4096,
            length: 4096,
            directory_offset: 96,
            hash: HeaderHash::ZERO,
            directory: vec![0; 16],
        }
    }

    fn submit(commit: &mut GroupCommit, sequence: u64) {
        let group = GroupId::new(u32::try_from(sequence).unwrap());
        let groups = vec![(group, WriteId(sequence))];
        commit.on_submitted(WriteKind::Ordinary, item(sequence), groups);
    }

    #[test]
    fn durable_is_a_contiguous_prefix_whatever_the_order_of_completions() {
        let mut commit = GroupCommit::new(2, item(1), 0);
        submit(&mut commit, 2);
        submit(&mut commit, 3);
        assert!(!commit.has_slot());
        assert!(commit.on_returned(3).is_empty());
        assert_eq!(commit.durable(), 1);
        let durable = commit.on_returned(2);
        let groups: Vec<_> = durable
            .into_iter()
            .flat_map(|durable| durable.groups)
            .collect();
        let numbers: Vec<u64> = groups.iter().map(|(_, write)| write.0).collect();
        assert_eq!(numbers, [2, 3]);
        assert_eq!(commit.durable(), 3);
    }

    #[test]
    fn a_batch_is_covered_by_the_next_durable_one_that_names_it() {
        let mut commit = GroupCommit::new(1, item(1), 0);
        assert!(commit.take_witness().is_some());
        submit(&mut commit, 2);
        commit.on_returned(2);
        assert_eq!(commit.covered(), 1);
        let witness = commit.take_witness().unwrap();
        assert_eq!((witness.durable_sequence, witness.items.len()), (2, 1));
        assert_eq!(commit.covered(), 1, "the witness is not durable yet");
        submit(&mut commit, 3);
        commit.on_returned(3);
        assert_eq!(commit.covered(), 2);
    }

    #[test]
    fn an_idle_witness_takes_no_slot_and_wants_no_witness() {
        let mut commit = GroupCommit::new(1, item(1), 0);
        commit.take_witness();
        commit.on_submitted(WriteKind::IdleWitness, item(2), Vec::new());
        assert!(commit.has_slot());
        commit.on_returned(2);
        assert!(!commit.wants_witness());
        assert_eq!(commit.covered(), 1);
    }

    #[test]
    #[should_panic(expected = "is not under way")]
    fn a_completion_that_nobody_waits_for_is_our_own_mistake() {
        GroupCommit::new(1, item(1), 0).on_returned(7);
    }
}
