//! Written batches that are kept in memory, so that followers and machines are served without a read.
//!
//! Batches leave in order of their age, once they are durable and the bound is passed. What was lent from one
//! stays readable: the lent slices hold its block.

use super::block::Slice;
use super::directory::Run;
use super::index::IndexItem;
use super::open_batch::{NO_RUN, OpenBatch, SealedBatch};
use margay_types::Index;
use std::collections::VecDeque;

/// A batch that was sealed.
#[derive(Debug)]
struct KeptBatch {
    sequence: u64,
    bytes: Slice,
    runs: Vec<Run>,
    next_runs: Vec<u32>,
}

/// The newest sealed batches, without a gap.
#[derive(Debug, Default)]
pub(crate) struct BatchMemory {
    batches: VecDeque<KeptBatch>,
    kept_bytes: usize,
}

impl BatchMemory {
    /// Takes a batch that was submitted.
    pub(crate) fn push(&mut self, sealed: &mut SealedBatch) {
        self.kept_bytes += sealed.bytes.len();
        self.batches.push_back(KeptBatch {
            sequence: sealed.item.sequence,
            bytes: sealed.bytes.clone(),
            runs: std::mem::take(&mut sealed.runs),
            next_runs: std::mem::take(&mut sealed.next_runs),
        });
    }

    /// Bytes of all batches.
    pub(crate) fn kept_bytes(&self) -> usize {
        self.kept_bytes
    }

    /// Forgets the oldest batch, if its write has returned; says whether it did.
    pub(crate) fn forget_oldest(&mut self, durable: u64) -> bool {
        let Some(oldest) = self.batches.pop_front_if(|batch| batch.sequence <= durable) else {
            return false;
        };
        self.kept_bytes -= oldest.bytes.len();
        true
    }

    /// The batch, as something to lend from.
    pub(crate) fn lender(&self, sequence: u64) -> Option<Lender<'_>> {
        let at = self
            .batches
            .binary_search_by_key(&sequence, |batch| batch.sequence)
            .ok()?;
        let batch = self.batches.get(at)?;
        let bytes = Bytes::Sealed(&batch.bytes);
        Some(Lender {
            runs: &batch.runs,
            next_runs: &batch.next_runs,
            bytes,
        })
    }
}

/// Where the bytes of a batch are lent from.
#[derive(Clone, Copy, Debug)]
enum Bytes<'a> {
    Sealed(&'a Slice),
    Open(&'a OpenBatch),
}

impl Bytes<'_> {
    fn lend(&self, offset: u32, bytes: u32) -> Slice {
        match self {
            Self::Sealed(slice) => slice.part(offset as usize..offset as usize + bytes as usize),
            Self::Open(batch) => batch.lend(offset, bytes),
        }
    }
}

/// A batch in memory, sealed or open.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lender<'a> {
    runs: &'a [Run],
    next_runs: &'a [u32],
    bytes: Bytes<'a>,
}

impl<'a> Lender<'a> {
    /// A batch that still takes records.
    pub(crate) fn open(batch: &'a OpenBatch) -> Self {
        Self {
            runs: batch.runs(),
            next_runs: batch.next_runs(),
            bytes: Bytes::Open(batch),
        }
    }

    /// Adds the entries of an item from `first` to `last` to what is lent, as far as the room there goes; says
    /// whether there may be more.
    pub(crate) fn lend(
        &self,
        item: &IndexItem,
        wanted: (Index, Index),
        lent: &mut Entries,
    ) -> bool {
        let (first, last) = (wanted.0.max(item.first), wanted.1.min(item.last));
        let mut at = item.first_run;
        while at != NO_RUN {
            let Some(run) = self.runs.get(at as usize) else {
                unreachable!("run {at} of a batch with {}", self.runs.len())
            };
            if run.first > last {
                break;
            }
            if run.last() >= first {
                let whole = self.bytes.lend(run.offset, run.bytes);
                let skipped = first.since(run.first);
                let count = last.min(run.last()).since(run.first.plus(skipped)) + 1;
                if !lent.take(&whole, run.first, skipped, count) {
                    return false;
                }
            }
            at = self.next_runs.get(at as usize).copied().unwrap_or(NO_RUN);
        }
        lent.last < wanted.1
    }
}

/// Entries of a group, lent from memory: records in index order.
#[derive(Clone, Debug)]
pub struct Entries {
    /// Their records, one behind the other; each piece holds whole records.
    pub pieces: Vec<Slice>,
    /// Bytes of all pieces.
    pub bytes: usize,
    /// The last entry lent.
    pub last: Index,
    bytes_max: usize,
}

impl Entries {
    pub(crate) fn new(before: Index, bytes_max: usize) -> Self {
        Self {
            pieces: Vec::new(),
            bytes: 0,
            last: before,
            bytes_max,
        }
    }

    /// Their records, in order.
    pub fn records(
        &self,
    ) -> impl Iterator<Item = Result<super::record::RecordView<'_>, super::record::RecordError>>
    {
        self.pieces
            .iter()
            .flat_map(|piece| super::record::records(piece))
    }

    /// Takes `count` records of a run that starts with entry `run_first`, from number `skipped` on. The first
    /// one is taken whatever its size: an entry never waits for ever. Says whether all were taken.
    fn take(&mut self, run: &Slice, run_first: Index, skipped: u64, count: u64) -> bool {
        let start = (0..skipped).fold(0, |at, _| at + size_at(run, at));
        let mut end = start;
        for number in 0..count {
            let size = size_at(run, end);
            let taken = self.bytes + (end - start);
            if taken > 0 && taken + size > self.bytes_max {
                self.add(run, start..end);
                return false;
            }
            end += size;
            self.last = run_first.plus(skipped + number);
        }
        self.add(run, start..end);
        true
    }

    fn add(&mut self, run: &Slice, range: std::ops::Range<usize>) {
        if !range.is_empty() {
            self.bytes += range.len();
            self.pieces.push(run.part(range));
        }
    }
}

/// Bytes of the record at a place of our own memory.
fn size_at(run: &Slice, at: usize) -> usize {
    let length = run
        .get(at + 4..at + 7)
        .expect("a run consists of whole records");
    let length = length
        .iter()
        .rev()
        .fold(0, |sum, byte| sum << 8 | usize::from(*byte));
    super::record::record_bytes(length)
}
