//! Which batches are a log and where they stand, for whoever looks at it batch by batch.
//!
//! ```text
//!   headers of all batches ──chain──> Outline: one place per batch ──window──> one batch after the other, with records
//! ```
//!
//! The chain needs the header of every batch at once, and no record: so a log of any size is shown with some hundred
//! bytes of memory for each of its batches, and one segment of it. The places are those of recovery itself: what is
//! called kept, damaged, lost or cut here is just that for a node that starts.

use super::super::batch::BatchHeader;
use super::super::disk::Disk;
use super::super::error::StorageError;
use super::super::log_manifest::LogManifest;
use super::super::witness::WitnessItem;
use super::chain::{self, Chain, Extent, Link, LiveSegment};
use super::gather::{self, Detail};
use super::runs::FoundRecords;
use super::scan::{Body, FoundBatch, batch_at, read_witnessed};
use super::window::Window;
use std::path::Path;

/// What recovery makes of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is part of the log, and all of it is good.
    Kept,
    /// It is part of the log, and something in it is damaged.
    Damaged,
    /// It is part of the log, and its header or its directory is damaged. A witness may tell where it was.
    Lost,
    /// It stands behind the end of the log: never acknowledged, so a start lets go of it.
    Cut,
}

/// A batch of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BatchPlace {
    /// Which.
    pub(crate) sequence: u64,
    /// What becomes of it.
    pub(crate) fate: Fate,
    /// Where it is, unless it is lost and nothing tells.
    pub(crate) extent: Option<Extent>,
    /// What a witness tells of it, if it is lost.
    pub(crate) item: Option<WitnessItem>,
}

/// A log as it lies on the disk, without its records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outline {
    /// The segments that the manifest lists, in its order.
    pub(crate) live: Vec<LiveSegment>,
    /// The batches, in the order of the log; behind its end those that are cut.
    pub(crate) places: Vec<BatchPlace>,
    /// Sequence of the batch that comes next.
    pub(crate) next_sequence: u64,
}

/// A batch as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ReadBatch {
    /// Its header, if that is good.
    pub(crate) header: Option<BatchHeader>,
    /// Its records, by its own directory or by the copy of a witness.
    pub(crate) records: FoundRecords,
    /// Is its own directory good? Without it and without a witness only the first good records are known.
    pub(crate) directory_is_good: bool,
    /// What it tells of earlier batches.
    pub(crate) witness: WitnessState,
}

/// What a batch tells of earlier ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WitnessState {
    /// It carries no witness.
    None,
    /// It tells of so many batches.
    Good(usize),
    /// Its witness is damaged.
    Damaged,
}

impl Outline {
    /// Looks at the log that `manifest` tells of.
    ///
    /// # Errors
    /// If a segment is of a newer format. What cannot be read is no error here.
    pub(crate) async fn take<D: Disk>(
        disk: &D,
        directory: &Path,
        manifest: &LogManifest,
    ) -> Result<Self, StorageError> {
        let gathered = gather::gather(disk, directory, manifest, Detail::Headers).await?;
        let chain = chain::follow(gathered.batches, &gathered.live, 1);
        Ok(Self::of(&chain, gathered.live))
    }

    /// What a chain tells.
    pub(crate) fn of(chain: &Chain, live: Vec<LiveSegment>) -> Self {
        let cut = chain.cut.iter().map(|(sequence, extent)| BatchPlace {
            sequence: *sequence,
            fate: Fate::Cut,
            extent: Some(*extent),
            item: None,
        });
        Self {
            live,
            places: chain.links.iter().map(place_of).chain(cut).collect(),
            next_sequence: chain.tail.sequence,
        }
    }

    /// Places with one of these fates.
    pub(crate) fn with_fate(&self, fate: Fate) -> impl Iterator<Item = &BatchPlace> {
        self.places.iter().filter(move |place| place.fate == fate)
    }
}

fn place_of(link: &Link) -> BatchPlace {
    match link {
        Link::Kept(batch) => BatchPlace {
            sequence: batch.header.sequence,
            fate: if batch.is_whole {
                Fate::Kept
            } else {
                Fate::Damaged
            },
            extent: Some(batch.extent()),
            item: None,
        },
        Link::Lost { sequence, item } => BatchPlace {
            sequence: *sequence,
            fate: Fate::Lost,
            extent: item.as_ref().map(|item| Extent {
                segment: item.segment,
                offset: item.offset,
                length: item.length,
            }),
            item: item.clone(),
        },
    }
}

impl BatchPlace {
    /// Reads the batch; `None` if nothing tells where it was.
    pub(crate) async fn read<D: Disk>(&self, window: &mut Window<'_, D>) -> Option<ReadBatch> {
        let extent = self.extent?;
        let log_id = window.log_id();
        let bytes = window.bytes(&extent).await;
        let offset = usize::try_from(extent.offset).ok()?;
        let found = batch_at(bytes, offset, log_id, extent.segment)
            .filter(|found| found.header.sequence == self.sequence);
        let by_witness = self
            .item
            .as_ref()
            .and_then(|item| read_witnessed(bytes, item));
        Some(ReadBatch::new(found, by_witness))
    }
}

impl ReadBatch {
    fn new(found: Option<FoundBatch>, by_witness: Option<FoundRecords>) -> Self {
        let header = found.as_ref().map(|found| found.header);
        let witness = found.as_ref().map_or(WitnessState::None, |found| {
            match (&found.witness, found.header.witness_length) {
                (Some(witness), _) => WitnessState::Good(witness.items.len()),
                (None, 0) => WitnessState::None,
                (None, _) => WitnessState::Damaged,
            }
        });
        let (records, directory_is_good) = match found.map(|found| found.body) {
            Some(Body::Directed(records)) => (records, true),
            Some(Body::Undirected(good)) => {
                let bad = Vec::new();
                let records = by_witness.unwrap_or(FoundRecords { good, bad });
                (records, false)
            }
            None => (by_witness.unwrap_or_default(), false),
        };
        Self {
            header,
            records,
            directory_is_good,
            witness,
        }
    }
}

#[cfg(test)]
#[path = "outline_tests.rs"]
mod tests;
