//! Every place where a log does not hold what was written there, for whoever has to find it on the disk.
//!
//! Recovery asks what a *group* lost; here stands where. A flaw need not hurt any group: a witness that is damaged
//! tells of batches that are whole, and what is below a checkpoint is not needed. What was never acknowledged (a cut
//! tail, the torn first write of a segment) is no flaw.

use super::super::batch::SegmentName;
use super::super::disk::Disk;
use super::chain::{LiveSegment, Look};
use super::outline::{BatchPlace, Fate, Outline, ReadBatch, WitnessState};
use super::runs::BadRecords;
use super::window::Window;
use std::collections::BTreeSet;

/// What is damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FlawKind {
    /// A segment is missing or short.
    SegmentMissing,
    /// A segment cannot be read.
    SegmentUnreadable,
    /// The header of a segment that holds batches.
    SegmentHeader,
    /// A batch is gone, and no witness tells what it held.
    BatchGone,
    /// The header of a batch. A witness tells of its records.
    BatchHeader,
    /// The directory of a batch.
    Directory,
    /// Records.
    Records(BadRecords),
    /// The witness of a batch. The batches that it tells of are not touched by it.
    Witness,
}

/// A damaged place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Flaw {
    /// What is damaged.
    pub(crate) kind: FlawKind,
    /// The batch, unless it is a segment as a whole.
    pub(crate) sequence: Option<u64>,
    /// Segment and offset in it; unknown of a batch that is gone.
    pub(crate) at: Option<(SegmentName, u32)>,
}

/// All flaws of a log: those of segments first, then in the order of its batches.
pub(crate) async fn flaws<D: Disk>(outline: &Outline, window: &mut Window<'_, D>) -> Vec<Flaw> {
    let holding: BTreeSet<SegmentName> = outline
        .places
        .iter()
        .filter(|place| place.fate != Fate::Cut)
        .filter_map(|place| Some(place.extent?.segment))
        .collect();
    let segments = outline.live.iter();
    let mut flaws: Vec<Flaw> = segments
        .filter_map(|segment| flaw_of_segment(segment, holding.contains(&segment.entry.name)))
        .collect();
    for place in &outline.places {
        match place.fate {
            Fate::Kept | Fate::Cut => {}
            Fate::Damaged | Fate::Lost => {
                let read = place.read(window).await;
                flaws.extend(flaws_of_batch(place, read));
            }
        }
    }
    flaws
}

fn flaw_of_segment(segment: &LiveSegment, holds_batches: bool) -> Option<Flaw> {
    let kind = match segment.look {
        Look::Missing => FlawKind::SegmentMissing,
        Look::Unreadable => FlawKind::SegmentUnreadable,
        Look::Torn if segment.entry.full.is_some() => FlawKind::SegmentHeader,
        Look::Written if segment.header.is_none() && holds_batches => FlawKind::SegmentHeader,
        Look::Written | Look::Spare | Look::Torn => return None,
    };
    Some(Flaw {
        kind,
        sequence: None,
        at: Some((segment.entry.name, 0)),
    })
}

fn flaws_of_batch(place: &BatchPlace, read: Option<ReadBatch>) -> Vec<Flaw> {
    let flaw = |kind, offset: u32| Flaw {
        kind,
        sequence: Some(place.sequence),
        at: place
            .extent
            .map(|extent| (extent.segment, extent.offset.saturating_add(offset))),
    };
    let Some(read) = read else {
        return vec![flaw(FlawKind::BatchGone, 0)];
    };
    let mut flaws = Vec::new();
    match read.header {
        None => flaws.push(flaw(FlawKind::BatchHeader, 0)),
        Some(header) if !read.directory_is_good => {
            flaws.push(flaw(FlawKind::Directory, header.directory_offset));
        }
        Some(_) => {}
    }
    let bad = read.records.bad.iter();
    flaws.extend(bad.map(|bad| flaw(FlawKind::Records(*bad), bad.offset)));
    if let (WitnessState::Damaged, Some(header)) = (read.witness, read.header) {
        flaws.push(flaw(FlawKind::Witness, header.witness_offset));
    }
    flaws
}
