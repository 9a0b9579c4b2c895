//! Which of the batches that were found are the log, and where damage begins or the log simply ends.
//!
//! The walk goes from sequence to sequence, wherever the batches stand:
//!
//! ```text
//!   at sequence s, behind the header with hash h, in epoch e
//!     a batch s that chains to h, of epoch >= e  ── whole ────────────────> keep it, s + 1
//!        (of several, the greatest epoch)        ── damaged, s covered ───> keep what is good, s + 1
//!                                                ── damaged, uncovered ──> torn: cut here
//!     none ── s covered, segments were freed ────> go on at the next segment's own start
//!          ── s covered ─────────────────────────> lost: step over it, by a witness if one knows it
//!          ── uncovered ─────────────────────────> the log ends here
//! ```
//!
//! *Covered* means: it was durable. A later batch of the same life or a later one proves it by the durable sequence
//! in its header, or because it could not have left while `s` was still in flight; the manifest proves it for the
//! last batch of a full segment.
//!
//! A batch is *dead* when a later life already wrote at or before its sequence: epochs never fall along the log, so
//! remains behind a cut never come back, whichever way the restart batch before them was damaged.

use super::super::batch::{HeaderHash, SegmentName};
use super::super::log_manifest::{FullSegment, SegmentEntry};
use super::super::segment::SegmentHeader;
use super::super::witness::WitnessItem;
use super::scan::{Body, FoundBatch};
use crate::limits::WITNESSED_BATCHES_MAX;
#[cfg(feature = "mutants")]
use margay_types::mutant::{self, Mutant};
use std::collections::BTreeMap;

/// A segment of the manifest's live set, as the manifest and the segment itself show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LiveSegment {
    /// What the manifest says.
    pub(crate) entry: SegmentEntry,
    /// Its header, if that is good and of this very segment and generation.
    pub(crate) header: Option<SegmentHeader>,
    /// What the file looks like.
    pub(crate) look: Look,
}

/// What the file of a live segment looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// Something of this generation stands in it.
    Written,
    /// It reads as a spare does: blank, or with the header of an earlier generation.
    Spare,
    /// Its header is neither, and nothing else is there: the first write was torn, or all that it held is gone.
    Torn,
    /// It cannot be read in parts, and the rest shows no batch.
    Unreadable,
    /// It is missing or short. A segment is listed only once all of it is there, so what it held is lost.
    Missing,
}

impl LiveSegment {
    /// Could it have held batches that are gone without a trace?
    pub(crate) fn is_suspect(&self) -> bool {
        match self.look {
            Look::Torn | Look::Unreadable | Look::Missing => {
                self.entry.full.is_none() && self.header.is_none()
            }
            Look::Written | Look::Spare => false,
        }
    }

    /// Sequence of its first batch, and what that chains to, as far as they are known.
    fn start(&self) -> Option<(u64, Option<HeaderHash>)> {
        let header = self
            .header
            .map(|header| (header.first_sequence, Some(header.previous)));
        let full = self.entry.full.map(|full| full.first_sequence);
        match (full, header) {
            (Some(first), Some((by_header, previous))) if first == by_header => {
                Some((first, previous))
            }
            (Some(first), _) => Some((first, None)),
            (None, header) => header,
        }
    }
}

/// Batches that can be under way at once, with the idle witness: none further on leaves before the first is durable.
pub(crate) const WINDOW: u64 = WITNESSED_BATCHES_MAX as u64;

/// One batch of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Link {
    /// It is there. Some of its records may be damaged.
    Kept(FoundBatch),
    /// It was durable and cannot be read, but for what a witness kept of it.
    Lost {
        /// Which.
        sequence: u64,
        /// Its place, header hash and directory, if a witness is left.
        item: Option<WitnessItem>,
    },
}

impl Link {
    /// Which batch.
    pub(crate) fn sequence(&self) -> u64 {
        match self {
            Self::Kept(batch) => batch.header.sequence,
            Self::Lost { sequence, .. } => *sequence,
        }
    }

    /// The batch, if it is there.
    pub(crate) fn kept(&self) -> Option<&FoundBatch> {
        match self {
            Self::Kept(batch) => Some(batch),
            Self::Lost { .. } => None,
        }
    }
}

/// Where the log goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tail {
    /// The next batch's sequence.
    pub(crate) sequence: u64,
    /// What it chains to. Unknown when the last batch was lost for good.
    pub(crate) previous: Option<HeaderHash>,
    /// Behind which place; `None` when nothing is kept, or the place of the last batch is not known.
    pub(crate) place: Option<(SegmentName, u32)>,
}

/// The log as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Chain {
    /// Its batches, in order.
    pub(crate) links: Vec<Link>,
    /// Where it goes on.
    pub(crate) tail: Tail,
    /// Batches of the last life that were cut as not acknowledged: sequence and place of each.
    pub(crate) cut: Vec<(u64, Extent)>,
    /// Greatest epoch of all batches seen, kept or not.
    pub(crate) epoch_max: u64,
}

/// The bytes of a batch in its segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    /// The file.
    pub(crate) segment: SegmentName,
    /// Where the batch's header stands.
    pub(crate) offset: u32,
    /// How many bytes, padding included.
    pub(crate) length: u32,
}

/// Follows the log through everything that was found, from sequence `first` if the manifest knows no better.
pub(crate) fn follow(found: Vec<FoundBatch>, live: &[LiveSegment], first: u64) -> Chain {
    Walk::new(found, live, first).run()
}

/// A batch as a later one tells of it.
struct Told {
    epoch: u64,
    carrier: u64,
    item: WitnessItem,
}

/// The walk along the batches, from the oldest to the end of the log.
struct Walk<'a> {
    batches: BTreeMap<u64, Vec<FoundBatch>>,
    told: BTreeMap<u64, Vec<Told>>,
    epoch_starts: BTreeMap<u64, u64>,
    live: &'a [LiveSegment],
    links: Vec<Link>,
    tail: Tail,
    epoch: u64,
    epoch_max: u64,
}

impl<'a> Walk<'a> {
    fn new(found: Vec<FoundBatch>, live: &'a [LiveSegment], first: u64) -> Self {
        let mut batches: BTreeMap<u64, Vec<FoundBatch>> = BTreeMap::new();
        let mut epoch_starts: BTreeMap<u64, u64> = BTreeMap::new();
        let mut told: BTreeMap<u64, Vec<Told>> = BTreeMap::new();
        for mut batch in found {
            let (epoch, sequence) = (batch.header.recovery_epoch, batch.header.sequence);
            for item in batch
                .witness
                .take()
                .into_iter()
                .flat_map(|witness| witness.items)
            {
                let tellers = told.entry(item.sequence).or_default();
                tellers.push(Told {
                    epoch,
                    carrier: sequence,
                    item,
                });
            }
            let start = epoch_starts.entry(epoch).or_insert(sequence);
            *start = sequence.min(*start);
            batches.entry(sequence).or_default().push(batch);
        }
        let oldest = live
            .iter()
            .filter_map(LiveSegment::start)
            .min_by_key(|(first, _)| *first);
        let headless = batches
            .keys()
            .next()
            .copied()
            .map(|sequence| (sequence, None));
        let (sequence, previous) = match (oldest, headless) {
            (Some(oldest), Some(headless)) if headless.0 < oldest.0 => headless,
            (Some(oldest), _) => oldest,
            (None, headless) => headless.unwrap_or((first, Some(HeaderHash::ZERO))),
        };
        let epoch_max = epoch_starts.keys().next_back().copied().unwrap_or(0);
        let tail = Tail {
            sequence,
            previous,
            place: None,
        };
        Self {
            batches,
            told,
            epoch_starts,
            live,
            links: Vec::new(),
            tail,
            epoch: 0,
            epoch_max,
        }
    }

    fn run(mut self) -> Chain {
        while self.step() {}
        let cut = self
            .batches
            .range(self.tail.sequence..)
            .flat_map(|(_, batches)| batches);
        let cut = cut
            .filter(|batch| batch.header.recovery_epoch >= self.epoch)
            .map(|batch| (batch.header.sequence, batch.extent()))
            .collect();
        Chain {
            links: self.links,
            tail: self.tail,
            cut,
            epoch_max: self.epoch_max,
        }
    }

    /// Takes one batch; false at the end of the log.
    fn step(&mut self) -> bool {
        let sequence = self.tail.sequence;
        match self.take_best(sequence) {
            Some(batch) if batch.is_whole => self.keep(batch),
            Some(batch) if self.is_covered(sequence) => self.keep_damaged(batch),
            None if self.is_covered(sequence) => match self.freed_until(sequence) {
                Some((next, previous)) => {
                    (self.tail.sequence, self.tail.previous) = (next, previous);
                }
                None => self.lose(sequence),
            },
            #[cfg(feature = "mutants")]
            Some(torn) if mutant::is(Mutant::TornTailKept) => self.keep_damaged(torn),
            Some(torn) => {
                self.batches.entry(sequence).or_default().push(torn);
                return false;
            }
            None => return false,
        }
        true
    }

    /// The batch that continues the log at `sequence`: chained, alive, of the greatest epoch.
    fn take_best(&mut self, sequence: u64) -> Option<FoundBatch> {
        let witnessed = self.witnessed_hash(sequence);
        let (previous, epoch) = (self.tail.previous, self.epoch);
        let candidates = self.batches.get(&sequence)?;
        let fits = |batch: &FoundBatch| {
            batch.header.recovery_epoch >= epoch
                && previous.is_none_or(|previous| previous == batch.header.previous)
                && witnessed.is_none_or(|hash| hash == batch.hash)
                && !self.is_dead(batch)
        };
        let best = candidates
            .iter()
            .enumerate()
            .filter(|(_, batch)| fits(batch));
        let (at, _) = best.max_by_key(|(_, batch)| (batch.header.recovery_epoch, batch.hash))?;
        Some(self.batches.get_mut(&sequence)?.swap_remove(at))
    }

    fn is_dead(&self, batch: &FoundBatch) -> bool {
        self.is_overwritten(batch.header.recovery_epoch, batch.header.sequence)
    }

    /// Did a later life write at or before this sequence?
    fn is_overwritten(&self, epoch: u64, sequence: u64) -> bool {
        let later = self.epoch_starts.range(epoch + 1..);
        later
            .map(|(_, start)| *start)
            .any(|start| start <= sequence)
    }

    /// Batches behind `sequence` that belong to the log's present or a later life.
    fn evidence(&self, sequence: u64) -> impl Iterator<Item = &FoundBatch> {
        let later = self
            .batches
            .range(sequence + 1..)
            .flat_map(|(_, batches)| batches);
        later.filter(|batch| batch.header.recovery_epoch >= self.epoch && !self.is_dead(batch))
    }

    fn is_covered(&self, sequence: u64) -> bool {
        self.full().any(|full| full.last_sequence >= sequence)
            || self.evidence(sequence).any(|batch| {
                let sent_behind = batch.header.sequence.saturating_sub(WINDOW);
                batch.header.durable_sequence.max(sent_behind) >= sequence
            })
    }

    fn full(&self) -> impl Iterator<Item = FullSegment> {
        self.live.iter().filter_map(|segment| segment.entry.full)
    }

    /// What the batch's header must be, if something later tells.
    fn witnessed_hash(&self, sequence: u64) -> Option<HeaderHash> {
        let by_manifest = self.full().find(|full| full.last_sequence == sequence);
        let by_manifest = by_manifest.map(|full| full.last_hash);
        by_manifest.or_else(|| self.witness_item(sequence).map(|item| item.hash))
    }

    /// What the latest witness tells of the batch.
    fn witness_item(&self, sequence: u64) -> Option<&WitnessItem> {
        let told = self.told.get(&sequence)?.iter().filter(|told| {
            let Told { epoch, carrier, .. } = told;
            *epoch >= self.epoch && *carrier > sequence && !self.is_overwritten(*epoch, *carrier)
        });
        told.max_by_key(|told| (told.epoch, told.carrier))
            .map(|told| &told.item)
    }

    /// Where the log goes on, when the segments with `sequence` were freed: the manifest knows the last batch before
    /// them, and every other live segment is accounted for.
    fn freed_until(&self, sequence: u64) -> Option<(u64, Option<HeaderHash>)> {
        let is_behind_full = self.full().any(|full| full.last_sequence + 1 == sequence);
        let is_listed = self
            .full()
            .any(|full| (full.first_sequence..=full.last_sequence).contains(&sequence));
        if !is_behind_full || is_listed || self.live.iter().any(LiveSegment::is_suspect) {
            return None;
        }
        let starts = || self.live.iter().filter_map(LiveSegment::start);
        let behind = starts().filter(|(first, _)| *first > sequence);
        let next = behind.min_by_key(|(first, _)| *first)?;
        let mut between = self.batches.range(sequence..next.0);
        let is_gone = starts().all(|(first, _)| first != sequence)
            && between.all(|(_, batches)| batches.iter().all(|batch| self.is_dead(batch)));
        is_gone.then_some(next)
    }

    fn keep(&mut self, batch: FoundBatch) {
        self.epoch = batch.header.recovery_epoch;
        self.tail = Tail {
            sequence: batch.header.sequence + 1,
            previous: Some(batch.hash),
            place: Some((batch.header.segment, batch.end())),
        };
        self.links.push(Link::Kept(batch));
    }

    /// A batch without a directory of its own is read by the witness's, if there is one.
    fn keep_damaged(&mut self, batch: FoundBatch) {
        let item = match &batch.body {
            Body::Directed(_) => None,
            Body::Undirected(_) => self.witness_item(batch.header.sequence).cloned(),
        };
        self.keep(batch);
        if let Some(item) = item {
            self.links.pop();
            self.links.push(Link::Lost {
                sequence: item.sequence,
                item: Some(item),
            });
        }
    }

    fn lose(&mut self, sequence: u64) {
        let item = self.witness_item(sequence).cloned();
        self.epoch = item.as_ref().map_or(self.epoch, |item| item.recovery_epoch);
        self.tail = Tail {
            sequence: sequence + 1,
            previous: item.as_ref().map(|item| item.hash),
            place: item
                .as_ref()
                .map(|item| (item.segment, item.offset + item.length)),
        };
        self.links.push(Link::Lost { sequence, item });
    }
}

#[cfg(test)]
#[path = "chain_tests.rs"]
mod tests;
