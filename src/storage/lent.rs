//! Entries lent from memory: what is sent to followers and given to machines on the hot path.

use super::batch_memory::{Entries, Lender};
use super::disk::Disk;
use super::index::IndexItem;
use super::log::Log;
use margay_types::{GroupId, Index};

/// What the log has of the entries that were asked for.
#[derive(Clone, Debug)]
pub enum Lent {
    /// They are in memory: as many from the first on as are wanted.
    Memory(Entries),
    /// The first has to be read: see [`Log::load`].
    OnDisk,
    /// The first is not here: it was released, or never appended.
    Absent,
}

impl<D: Disk> Log<D> {
    /// Lends the entries of a group from `first` to `last`, as many as `bytes_max` allows, but at least one. They
    /// may not be durable yet.
    #[must_use]
    pub fn entries(&self, group: GroupId, first: Index, last: Index, bytes_max: usize) -> Lent {
        assert!(
            first <= last,
            "entries from {first} to {last} of group {group}"
        );
        let mut entries = Entries::new(first.previous(), bytes_max);
        let mut items = self.groups.expect(group).index.from(first).peekable();
        let Some(oldest) = items.peek() else {
            return Lent::Absent;
        };
        if self.lender(oldest).is_none() {
            return Lent::OnDisk;
        }
        for item in items {
            let Some(lender) = self.lender(item) else {
                break;
            };
            if !lender.lend(item, (first, last), &mut entries) {
                break;
            }
        }
        assert!(
            entries.last >= first,
            "entry {first} of group {group} is in no run of its batch"
        );
        Lent::Memory(entries)
    }

    /// The batch of an item, if it is in memory.
    fn lender(&self, item: &IndexItem) -> Option<Lender<'_>> {
        if let Some(lender) = self.memory.lender(item.sequence) {
            return Some(lender);
        }
        let mut waiting = self.full.iter().chain(&self.open);
        let batch = waiting.find(|placed| placed.batch.sequence() == item.sequence)?;
        Some(Lender::open(&batch.batch))
    }
}
