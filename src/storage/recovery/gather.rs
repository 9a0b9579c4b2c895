//! Reads all live segments of a log and puts what they hold before the walk.

use super::super::disk::Disk;
use super::super::error::StorageError;
use super::super::log_manifest::{LogManifest, SegmentEntry};
use super::super::segment::SegmentHeader;
use super::super::witness::WitnessItem;
use super::chain::{Chain, Link, LiveSegment, Look};
use super::merge::{Fact, Facts, Origin, Place};
use super::read::read_segment;
use super::runs::{FoundRecord, FoundRecords};
use super::scan::{Body, FoundBatch, read_witnessed, scan};
use crate::limits::SEGMENT_HEADER_BYTES;
use std::path::Path;

/// What the live segments of a log hold.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gathered {
    /// All batches with a good header, in no order that matters.
    pub(crate) batches: Vec<FoundBatch>,
    /// The segments, in the order of the manifest.
    pub(crate) live: Vec<LiveSegment>,
}

/// How much of a batch is kept in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Detail {
    /// Everything but payloads.
    Records,
    /// What tells whether it is part of the log.
    Headers,
}

/// Reads and scans every segment that the manifest lists.
///
/// # Errors
/// If a segment is of a newer format, or is refused to us. What cannot be read is no error here: what is missing
/// decides.
pub(crate) async fn gather<D: Disk>(
    disk: &D,
    directory: &Path,
    manifest: &LogManifest,
    detail: Detail,
) -> Result<Gathered, StorageError> {
    let mut gathered = Gathered::default();
    for entry in &manifest.segments {
        let number = entry.name.number;
        let segment = read_segment(disk, directory, number, manifest.segment_bytes).await?;
        let header = segment.header(manifest.log_id, entry.name)?;
        let found = scan(&segment.bytes, manifest.log_id, entry.name)
            .filter(|batch| is_of_this_use(batch, header.as_ref()));
        let mut batches: Vec<FoundBatch> = match detail {
            Detail::Records => found.collect(),
            Detail::Headers => found.map(FoundBatch::without_records).collect(),
        };
        if let Some(first) = batches.first_mut() {
            judge_first(first, entry, header.as_ref());
        }
        let is_written = !batches.is_empty() || header.is_some();
        let look = match (segment.is_there, segment.is_readable, is_written) {
            (false, _, _) => Look::Missing,
            (true, _, true) => Look::Written,
            (true, false, false) => Look::Unreadable,
            (true, true, false) if segment.reads_as_spare(entry.name) => Look::Spare,
            (true, true, false) => Look::Torn,
        };
        gathered.batches.append(&mut batches);
        gathered.live.push(LiveSegment {
            entry: *entry,
            header,
            look,
        });
    }
    Ok(gathered)
}

/// Remains of an earlier use in the same generation stand behind a header that says where this use began.
fn is_of_this_use(batch: &FoundBatch, header: Option<&SegmentHeader>) -> bool {
    header.is_none_or(|header| {
        batch.header.sequence >= header.first_sequence
            && batch.header.recovery_epoch >= header.recovery_epoch
    })
}

/// The header of a segment leaves in one write with the first batch: without it that write was torn, or the header
/// is damaged; coverage tells.
fn judge_first(first: &mut FoundBatch, entry: &SegmentEntry, header: Option<&SegmentHeader>) {
    let is_first = usize::try_from(first.header.offset) == Ok(SEGMENT_HEADER_BYTES);
    let belongs = header.is_some_and(|header| {
        header.first_sequence == first.header.sequence
            && header.recovery_epoch == first.header.recovery_epoch
            && header.previous == first.header.previous
    });
    if is_first && !belongs && entry.full.is_none() {
        first.is_whole = false;
    }
}

/// What the batches of the log say, and what was lost without a name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Told {
    /// What they say.
    pub(crate) facts: Facts,
    /// Sequences of batches of which something was lost that nobody can name.
    pub(crate) unnamed: Vec<u64>,
    /// How many batches are damaged or lost.
    pub(crate) damaged_count: usize,
}

/// Goes through the log. Batches that only a witness knows are read once more, along its directory.
///
/// # Errors
/// If a segment is refused to us.
pub(crate) async fn tell<D: Disk>(
    disk: &D,
    directory: &Path,
    manifest: &LogManifest,
    chain: &Chain,
) -> Result<Told, StorageError> {
    let mut told = Told::default();
    for link in &chain.links {
        match link {
            Link::Kept(batch) => tell_batch(&mut told, batch),
            Link::Lost { sequence, item } => {
                told.damaged_count += 1;
                let records = match item {
                    Some(item) => reread(disk, directory, manifest, item).await?,
                    None => None,
                };
                match (item, records) {
                    (Some(item), Some(records)) => tell_lost(&mut told.facts, item, records),
                    _ => told.unnamed.push(*sequence),
                }
            }
        }
    }
    Ok(told)
}

async fn reread<D: Disk>(
    disk: &D,
    directory: &Path,
    manifest: &LogManifest,
    item: &WitnessItem,
) -> Result<Option<FoundRecords>, StorageError> {
    let number = item.segment.number;
    let segment = read_segment(disk, directory, number, manifest.segment_bytes).await?;
    let place = || {
        let start = usize::try_from(item.offset).ok()?;
        Some(start..start.checked_add(usize::try_from(item.length).ok()?)?)
    };
    let bytes = place().and_then(|place| segment.bytes.get(place));
    Ok(read_witnessed(bytes.unwrap_or_default(), item))
}

fn tell_batch(told: &mut Told, batch: &FoundBatch) {
    let header = &batch.header;
    let place = Place {
        segment: header.segment,
        offset: header.offset,
        bytes: 0,
        sequence: header.sequence,
    };
    match &batch.body {
        Body::Directed(records) => {
            told.damaged_count += usize::from(!records.bad.is_empty());
            tell_records(&mut told.facts, place, records.clone());
        }
        Body::Undirected(good) => {
            told.damaged_count += 1;
            told.unnamed.push(header.sequence);
            let records = FoundRecords {
                good: good.clone(),
                bad: Vec::new(),
            };
            tell_records(&mut told.facts, place, records);
        }
    }
}

fn tell_lost(facts: &mut Facts, item: &WitnessItem, records: FoundRecords) {
    let place = Place {
        segment: item.segment,
        offset: item.offset,
        bytes: 0,
        sequence: item.sequence,
    };
    tell_records(facts, place, records);
}

/// `batch` is the place of the batch's header.
fn tell_records(facts: &mut Facts, batch: Place, records: FoundRecords) {
    let sequence = batch.sequence;
    for record in records.good {
        let FoundRecord {
            fields,
            offset,
            bytes,
            ..
        } = record;
        let origin = Origin { sequence, offset };
        let place = Place {
            offset: batch.offset.saturating_add(offset),
            bytes,
            ..batch
        };
        facts.tell(fields.group, origin, Fact::Record(record, place));
    }
    for bad in records.bad {
        let origin = Origin {
            sequence,
            offset: bad.offset,
        };
        facts.tell(bad.group, origin, Fact::Bad(bad));
    }
}
