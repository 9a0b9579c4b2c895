//! What one segment holds: every batch in it whose header is good, whatever the log thinks of it.
//!
//! A scan believes nothing but checksums. Remains of earlier lives and generations, batches that were torn and
//! batches behind a damaged one are all found, because each is sought at every write unit that no good batch
//! covers. Which of them are the log is decided later, over all segments at once (`chain`), so the order in which
//! segments are scanned cannot matter.

use super::super::batch::{BATCH_HEADER_BYTES, BatchHeader, BatchView, HeaderHash, SegmentName};
use super::super::directory::Directory;
use super::super::witness::{Witness, WitnessItem};
use super::chain::Extent;
use super::runs::{FoundRecord, FoundRecords, read_prefix, read_runs};
use crate::limits;

/// How much of a batch's body is good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Body {
    /// The directory says what should be there.
    Directed(FoundRecords),
    /// The directory is damaged; these are the good records before the first bad one.
    Undirected(Vec<FoundRecord>),
}

/// A batch with a good header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FoundBatch {
    /// Its header.
    pub(crate) header: BatchHeader,
    /// What the next one chains to.
    pub(crate) hash: HeaderHash,
    /// What it tells of earlier ones; `None` if it carries no witness or a damaged one.
    pub(crate) witness: Option<Witness>,
    /// Is everything in it good?
    pub(crate) is_whole: bool,
    /// What should be in it, if its directory is good.
    pub(crate) directory: Option<Directory>,
    /// Its records.
    pub(crate) body: Body,
}

impl FoundBatch {
    /// Where the next batch of the segment starts.
    pub(crate) fn end(&self) -> u32 {
        self.header.offset + self.header.length
    }

    /// Where it stands.
    pub(crate) fn extent(&self) -> Extent {
        Extent {
            segment: self.header.segment,
            offset: self.header.offset,
            length: self.header.length,
        }
    }

    /// The same batch without what its records say: enough to tell whether it is part of the log.
    pub(crate) fn without_records(self) -> Self {
        let body = match self.body {
            Body::Directed(_) => Body::Directed(FoundRecords::default()),
            Body::Undirected(_) => Body::Undirected(Vec::new()),
        };
        Self {
            body,
            directory: None,
            ..self
        }
    }
}

/// All batches with a good header at a write unit of `segment`, of which `bytes` is the whole file, one after the
/// other. Unreadable parts are zeros in `bytes`.
pub(crate) fn scan(
    bytes: &[u8],
    log_id: u32,
    segment: SegmentName,
) -> impl Iterator<Item = FoundBatch> {
    let mut at = limits::WRITE_UNIT_BYTES;
    let next = move || {
        let rest = bytes.get(at..);
        let rest = rest.filter(|rest| rest.len() >= BATCH_HEADER_BYTES)?;
        let batch = batch_at(rest, at, log_id, segment);
        at += match &batch {
            Some(batch) if batch.is_whole => batch.header.length as usize,
            Some(_) | None => limits::WRITE_UNIT_BYTES,
        };
        Some(batch)
    };
    std::iter::from_fn(next).flatten()
}

/// The batch at the start of `bytes`, if its header is good and names this very place.
pub(crate) fn batch_at(
    bytes: &[u8],
    at: usize,
    log_id: u32,
    segment: SegmentName,
) -> Option<FoundBatch> {
    let view = BatchView::parse(bytes).ok()?;
    let header = *view.header();
    let is_here = header.log_id == log_id
        && header.segment == segment
        && usize::try_from(header.offset).ok() == Some(at);
    if !is_here {
        return None;
    }
    let (witness, witness_is_good) = match view.witness() {
        Ok(witness) => (witness, true),
        Err(_) => (None, false),
    };
    let directory = view.directory().ok();
    let (body, body_is_good) = match &directory {
        Some(directory) => {
            let records = read_runs(view.bytes(), directory);
            let is_good = records.bad.is_empty();
            (Body::Directed(records), is_good)
        }
        None => {
            let end = header.directory_offset as usize;
            (
                Body::Undirected(read_prefix(view.bytes(), BATCH_HEADER_BYTES, end)),
                false,
            )
        }
    };
    let is_whole = witness_is_good && body_is_good;
    Some(FoundBatch {
        header,
        hash: view.hash(),
        witness,
        is_whole,
        directory,
        body,
    })
}

/// The records of a covered batch that is damaged itself, along the directory that a witness kept.
pub(crate) fn read_witnessed(batch: &[u8], item: &WitnessItem) -> Option<FoundRecords> {
    let directory = Directory::parse(&item.directory, item.sequence).ok()?;
    Some(read_runs(batch, &directory))
}
