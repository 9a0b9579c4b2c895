//! A disk on which writes stand in a queue until somebody says that they came back.
//!
//! Writes come back in any order; what is durable is the contiguous prefix of those that did, as in a
//! write-ahead log. A crash keeps what is durable and, as real disks do, any number of the writes behind
//! it that nobody has been told of.

use super::log::{Log, Record};
use margay_raft::{HardState, Position, WriteId};
use margay_types::Index;
use std::collections::VecDeque;

/// What a write changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    HardState(HardState),
    Truncate(Index),
    Append(Vec<Record>),
}

#[derive(Clone, Debug)]
struct Pending {
    id: WriteId,
    change: Change,
    is_back: bool,
}

/// What one replica has on disk, and what is on its way there.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk {
    hard_state: HardState,
    log: Log,
    pending: VecDeque<Pending>,
}

impl Disk {
    pub(crate) fn hard_state(&self) -> HardState {
        self.hard_state
    }

    pub(crate) fn log(&self) -> &Log {
        &self.log
    }

    pub(crate) fn pending_count(&self) -> usize {
        self.pending.len()
    }

    pub(crate) fn submit(&mut self, id: WriteId, change: Change) {
        if let Some(last) = self.pending.back() {
            assert!(
                id >= last.id,
                "write {id:?} handed over behind {:?}",
                last.id
            );
        }
        self.pending.push_back(Pending {
            id,
            change,
            is_back: false,
        });
    }

    /// The write at this place of the queue has come back.
    pub(crate) fn return_write(&mut self, place: usize) {
        if let Some(pending) = self.pending.get_mut(place) {
            pending.is_back = true;
        }
    }

    /// Takes in the contiguous prefix of what has come back; says up to which write all is durable now.
    pub(crate) fn settle(&mut self) -> Option<WriteId> {
        let mut settled = None;
        while let Some(pending) = self.pending.pop_front_if(|pending| pending.is_back) {
            self.apply(pending.change);
            // A write of several records is durable when its last one is.
            if self
                .pending
                .front()
                .is_none_or(|next| next.id != pending.id)
            {
                settled = Some(pending.id);
            }
        }
        settled
    }

    /// Power is lost: `kept` writes that nobody was told of survive, the others are gone.
    pub(crate) fn crash(&mut self, kept: usize) {
        for pending in std::mem::take(&mut self.pending).into_iter().take(kept) {
            self.apply(pending.change);
        }
    }

    /// Reclaiming is no write of the core: it happens at once, behind everything that is durable.
    pub(crate) fn reclaim(&mut self, index: Index) {
        self.log.reclaim(index);
    }

    /// A stream was installed: one pointer record, so all or nothing.
    pub(crate) fn install(&mut self, floor: Position) {
        self.log.reset(floor);
    }

    fn apply(&mut self, change: Change) {
        match change {
            Change::HardState(hard_state) => self.hard_state = hard_state,
            Change::Truncate(from) => self.log.truncate(from),
            Change::Append(records) => records.into_iter().for_each(|it| self.log.push(it)),
        }
    }
}
