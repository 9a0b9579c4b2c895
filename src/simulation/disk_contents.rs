//! The bytes of one virtual file: what reads see, what is durable, and the writes between the two.
//!
//! ```text
//!   begin_write ──> in flight ──finish_durable──────────────────────────> durable and visible
//!                      │                                                      ^
//!                      └──finish_write──> written (visible) ──sync────────────┘
//!                                             └──fail_sync──> doomed (visible until the power cut, then gone)
//! ```
//!
//! A power cut splits everything that is not durable into sectors and gives each its own fate. A sector that stays
//! *readable* is a written one of the next life: the next sync saves it, the next power cut may not.

use crate::disk_fault::{Fate, Judge};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Range;

/// How far a write that is not durable has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    InFlight,
    Written,
    Doomed,
}

/// A write that is not durable.
#[derive(Clone, Debug)]
struct Pending {
    number: u64,
    offset: usize,
    bytes: Vec<u8>,
    stage: Stage,
}

impl Pending {
    fn range(&self) -> Range<usize> {
        self.offset..self.offset + self.bytes.len()
    }
}

/// One file, whatever its names are.
#[derive(Clone, Debug)]
pub(crate) struct Contents {
    sector_bytes: usize,
    visible: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<Pending>,
    unreadable: BTreeSet<usize>,
}

impl Contents {
    pub(crate) fn new(sector_bytes: usize) -> Self {
        Self {
            sector_bytes,
            visible: Vec::new(),
            durable: Vec::new(),
            pending: Vec::new(),
            unreadable: BTreeSet::new(),
        }
    }

    pub(crate) fn size_bytes(&self) -> usize {
        self.visible.len()
    }

    /// What a read would see, if nothing were unreadable.
    pub(crate) fn visible(&self) -> &[u8] {
        &self.visible
    }

    /// Makes the file at least this long; what is new reads as zeros.
    pub(crate) fn extend(&mut self, size_bytes: usize) {
        if self.visible.len() < size_bytes {
            self.visible.resize(size_bytes, 0);
        }
    }

    pub(crate) fn read(&self, offset: usize, into: &mut [u8]) -> io::Result<usize> {
        let end = self.visible.len().min(offset.saturating_add(into.len()));
        let Some(found) = self.visible.get(offset..end) else {
            return Ok(0);
        };
        let sectors = offset / self.sector_bytes..end.div_ceil(self.sector_bytes);
        if self.unreadable.range(sectors).next().is_some() {
            return Err(io::Error::other("unreadable sector"));
        }
        if let Some(target) = into.get_mut(..found.len()) {
            target.copy_from_slice(found);
        }
        Ok(found.len())
    }

    pub(crate) fn begin_write(&mut self, number: u64, offset: usize, bytes: Vec<u8>) {
        self.pending.push(Pending {
            number,
            offset,
            bytes,
            stage: Stage::InFlight,
        });
    }

    /// The write is in the cache: readable, not durable.
    pub(crate) fn finish_write(&mut self, number: u64) {
        let Some(at) = self
            .pending
            .iter()
            .position(|pending| pending.number == number)
        else {
            return;
        };
        let pending = &mut self.pending[at];
        pending.stage = Stage::Written;
        let (range, bytes) = (pending.range(), pending.bytes.clone());
        self.show(range, &bytes);
    }

    /// The write is durable.
    pub(crate) fn finish_durable(&mut self, number: u64) {
        let Some(at) = self
            .pending
            .iter()
            .position(|pending| pending.number == number)
        else {
            return;
        };
        let pending = self.pending.remove(at);
        self.show(pending.range(), &pending.bytes);
        self.harden(pending.range());
        self.supersede(&pending.range());
    }

    /// Sectors of earlier writes that were never made durable are gone for good where `range` was written over them.
    fn supersede(&mut self, range: &Range<usize>) {
        let (start, end, sector_bytes) = (range.start, range.end, self.sector_bytes);
        let is_left = |offset: usize, length: usize| offset + length <= start || end <= offset;
        let split = std::mem::take(&mut self.pending)
            .into_iter()
            .flat_map(|pending| {
                let whole = pending.stage == Stage::InFlight
                    || is_left(pending.offset, pending.bytes.len());
                if whole {
                    return vec![pending];
                }
                let Pending {
                    number,
                    offset,
                    bytes,
                    stage,
                } = pending;
                let sectors = bytes.chunks(sector_bytes).enumerate();
                let sectors = sectors.map(|(at, sector)| Pending {
                    number,
                    offset: offset + at * sector_bytes,
                    bytes: sector.to_vec(),
                    stage,
                });
                sectors
                    .filter(|sector| is_left(sector.offset, sector.bytes.len()))
                    .collect()
            });
        self.pending = split.collect();
    }

    pub(crate) fn sync(&mut self) {
        let (written, rest): (Vec<_>, Vec<_>) = std::mem::take(&mut self.pending)
            .into_iter()
            .partition(|pending| pending.stage == Stage::Written);
        self.pending = rest;
        for pending in written {
            self.harden(pending.range());
        }
        if self.durable.len() < self.visible.len() {
            self.durable.resize(self.visible.len(), 0);
        }
    }

    /// A sync that failed: what was written stays readable and will never be durable.
    pub(crate) fn fail_sync(&mut self) {
        for pending in &mut self.pending {
            if pending.stage == Stage::Written {
                pending.stage = Stage::Doomed;
            }
        }
    }

    /// The power goes off. Fates are asked for in the order of the writes, sector by sector, the length first.
    pub(crate) fn crash(&mut self, judge: &mut Judge) {
        let mut size = self.durable.len();
        if self.visible.len() > size {
            match judge.next_fate() {
                Fate::Kept => {
                    size = self.visible.len();
                    self.durable.resize(size, 0);
                }
                Fate::Readable => size = self.visible.len(),
                Fate::Lost => {}
            }
        }
        if self.pending.is_empty() && size == self.visible.len() {
            // All that is shown is durable: most files, most of the time.
            return;
        }
        let mut readable: BTreeMap<usize, Vec<u8>> = BTreeMap::new();
        for pending in std::mem::take(&mut self.pending) {
            for (number, sector) in pending.bytes.chunks(self.sector_bytes).enumerate() {
                let offset = pending.offset + number * self.sector_bytes;
                let fate = match pending.stage {
                    Stage::Doomed => Fate::Lost,
                    Stage::InFlight | Stage::Written => judge.next_fate(),
                };
                match fate {
                    Fate::Kept if offset + sector.len() <= self.durable.len() => {
                        readable.remove(&offset);
                        self.durable[offset..offset + sector.len()].copy_from_slice(sector);
                    }
                    Fate::Kept | Fate::Readable if offset + sector.len() <= size => {
                        readable.insert(offset, sector.to_vec());
                    }
                    Fate::Kept | Fate::Readable | Fate::Lost => {}
                }
            }
        }
        self.visible = self.durable.clone();
        self.visible.resize(size, 0);
        for (offset, bytes) in readable {
            self.show(offset..offset + bytes.len(), &bytes);
            self.pending.push(Pending {
                number: u64::MAX,
                offset,
                bytes,
                stage: Stage::Written,
            });
        }
    }

    /// How many sectors a power cut would decide about now.
    pub(crate) fn undecided_count(&self) -> usize {
        let sectors = self
            .pending
            .iter()
            .filter(|pending| pending.stage != Stage::Doomed);
        sectors
            .map(|pending| pending.bytes.len().div_ceil(self.sector_bytes))
            .sum::<usize>()
            + usize::from(self.visible.len() > self.durable.len())
    }

    /// The medium decays: one bit changes for every reader, now and later.
    pub(crate) fn flip_bit(&mut self, offset: usize, bit: u32) {
        for bytes in [&mut self.visible, &mut self.durable] {
            if let Some(byte) = bytes.get_mut(offset) {
                *byte ^= 1 << (bit % 8);
            }
        }
    }

    /// The medium holds these bytes from now on: a replaced or misdirected sector.
    pub(crate) fn overwrite(&mut self, offset: usize, bytes: &[u8]) {
        for target in [&mut self.visible, &mut self.durable] {
            if let Some(place) = target.get_mut(offset..offset + bytes.len()) {
                place.copy_from_slice(bytes);
            }
        }
    }

    /// Reads of this range fail until it is written again.
    pub(crate) fn fail_reads(&mut self, range: Range<usize>) {
        let sectors = range.start / self.sector_bytes..range.end.div_ceil(self.sector_bytes);
        self.unreadable.extend(sectors);
    }

    /// The file ends here from now on.
    pub(crate) fn cut(&mut self, size_bytes: usize) {
        self.visible.truncate(size_bytes);
        self.durable.truncate(size_bytes);
    }

    fn show(&mut self, range: Range<usize>, bytes: &[u8]) {
        self.extend(range.end);
        for sector in range.start.div_ceil(self.sector_bytes)..range.end / self.sector_bytes {
            self.unreadable.remove(&sector);
        }
        self.visible[range].copy_from_slice(bytes);
    }

    /// What is visible in `range` is durable from now on, the length that it needs included.
    fn harden(&mut self, range: Range<usize>) {
        if self.durable.len() < range.end {
            self.durable.resize(range.end, 0);
        }
        self.durable[range.clone()].copy_from_slice(&self.visible[range]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk_fault::Loss;

    fn written(fills: &[u8]) -> Contents {
        let mut contents = Contents::new(4);
        contents.extend(4 * fills.len());
        contents.sync();
        for (number, fill) in fills.iter().enumerate() {
            let id = u64::try_from(number).expect("small");
            contents.begin_write(id, number * 4, vec![*fill; 4]);
            contents.finish_write(id);
        }
        contents
    }

    #[test]
    fn a_power_cut_decides_sector_by_sector() {
        let mut contents = written(&[1, 2, 3]);
        assert_eq!(contents.undecided_count(), 3);
        contents.crash(&mut Loss::Mask(0b101).judge());
        assert_eq!(contents.visible(), &[1, 1, 1, 1, 0, 0, 0, 0, 3, 3, 3, 3]);
        assert_eq!(contents.undecided_count(), 0);
    }

    #[test]
    fn what_is_readable_is_lost_at_the_second_cut_unless_synced() {
        let mut contents = written(&[7]);
        contents.crash(&mut Loss::All(Fate::Readable).judge());
        assert_eq!(contents.visible(), &[7; 4]);
        let mut synced = contents.clone();
        synced.sync();
        synced.crash(&mut Loss::All(Fate::Lost).judge());
        assert_eq!(synced.visible(), &[7; 4]);
        contents.crash(&mut Loss::All(Fate::Lost).judge());
        assert_eq!(contents.visible(), &[0; 4]);
    }

    #[test]
    fn a_failed_sync_is_not_healed_by_the_next_one() {
        let mut contents = written(&[7]);
        contents.fail_sync();
        contents.sync();
        assert_eq!(contents.visible(), &[7; 4]);
        contents.crash(&mut Loss::All(Fate::Kept).judge());
        assert_eq!(contents.visible(), &[0; 4]);
    }

    #[test]
    fn an_older_write_that_stays_readable_never_hides_a_newer_one_that_is_kept() {
        let mut contents = Contents::new(4);
        contents.extend(4);
        contents.sync();
        contents.begin_write(1, 0, vec![1; 4]);
        contents.finish_write(1);
        contents.begin_write(2, 0, vec![2; 4]);
        contents.finish_durable(2);
        contents.sync();
        contents.crash(&mut Loss::All(Fate::Lost).judge());
        assert_eq!(contents.visible(), &[2; 4]);
    }

    #[test]
    fn a_durable_write_ends_what_was_only_readable_before_it() {
        let mut contents = written(&[1, 2]);
        contents.begin_write(9, 0, vec![8; 4]);
        contents.finish_durable(9);
        contents.crash(&mut Loss::All(Fate::Kept).judge());
        assert_eq!(contents.visible(), &[8, 8, 8, 8, 2, 2, 2, 2]);
    }

    #[test]
    fn an_unreadable_sector_is_healed_by_writing_it() {
        let mut contents = written(&[1, 2]);
        contents.fail_reads(4..8);
        assert_eq!(contents.read(0, &mut [0; 4]).ok(), Some(4));
        assert!(contents.read(0, &mut [0; 8]).is_err());
        contents.begin_write(9, 4, vec![5; 4]);
        contents.finish_write(9);
        assert_eq!(contents.read(0, &mut [0; 8]).ok(), Some(8));
    }
}
