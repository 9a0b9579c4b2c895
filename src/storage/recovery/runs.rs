//! What is left of a batch's records, run by run, when some of them may be damaged.
//!
//! A run says how many records stand between two offsets, with which indexes. So a bad record is not the end of
//! what can be read: the next good one is sought at multiples of eight, and believed only if from there on index
//! follows index up to the run's last record, exactly at the run's end:
//!
//! ```text
//!   run   first 5, count 6        ┌ bad ┐
//!         │  5  │  6  │  7  │xxxxxxxxxx│  9  │ 10  │
//!                           ^ expected 8  ^ sought; counts, for 9, 10 end the run: only 8 is damaged
//! ```
//!
//! Without a directory only the good records before the first bad one can be named.

use super::super::directory::{Directory, Run, RunClass};
use super::super::payload::{CheckpointPointer, ChunkHeader, Created, Head, parse_hard_state};
use super::super::record::{RECORD_ALIGNMENT, RecordFields, RecordKind, RecordView, records};
use margay_raft::{EntryKind, HardState};
use margay_types::{GroupId, Index, Term};

/// A good record, as far as recovery itself must understand it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FoundRecord {
    /// All but the payload.
    pub(crate) fields: RecordFields,
    /// Where it starts, from the start of the batch.
    pub(crate) offset: u32,
    /// Bytes with header and padding.
    pub(crate) bytes: u32,
    /// What it says.
    pub(crate) content: Content,
}

/// What a record says to recovery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// An entry; its payload is none of recovery's business.
    Entry(EntryKind),
    /// An entry that changes the members, with its payload.
    Configuration(Vec<u8>),
    /// A replica is born.
    Created(Created),
    /// Term and vote.
    HardState(HardState),
    /// Where the group stood.
    Head(Head),
    /// Entries from the record's index on are gone.
    Truncation,
    /// A piece of the checkpoint at the record's index.
    Chunk(ChunkHeader),
    /// A checkpoint is complete.
    Pointer(CheckpointPointer),
    /// The replica is gone.
    Removed,
    /// Nothing that recovery acts on: marks, restarts, witnesses.
    Other,
}

impl Content {
    /// What the record says; `None` if it is intact and yet makes no sense.
    fn of(record: &RecordView<'_>) -> Option<Self> {
        Some(match record.kind() {
            RecordKind::Entry(EntryKind::Configuration) => {
                Self::Configuration(record.payload().to_vec())
            }
            RecordKind::Entry(kind) => Self::Entry(kind),
            RecordKind::Created => Self::Created(Created::parse(record)?),
            RecordKind::HardState => Self::HardState(parse_hard_state(record)?),
            RecordKind::Head => Self::Head(Head::parse(record)?),
            RecordKind::Truncation => Self::Truncation,
            RecordKind::CheckpointChunk => Self::Chunk(ChunkHeader::parse(record)?.0),
            RecordKind::CheckpointPointer => Self::Pointer(CheckpointPointer::parse(record)?),
            RecordKind::GroupRemoved => Self::Removed,
            RecordKind::Marks
            | RecordKind::Adopt
            | RecordKind::Copy
            | RecordKind::Witness
            | RecordKind::Restart => Self::Other,
        })
    }
}

/// Records that a directory names and that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BadRecords {
    /// Whose they are.
    pub(crate) group: GroupId,
    /// Their term.
    pub(crate) term: Term,
    /// Index of the first.
    pub(crate) first: Index,
    /// Index of the last.
    pub(crate) last: Index,
    /// What was lost with them.
    pub(crate) class: RunClass,
    /// Where the first of them should be, from the start of the batch.
    pub(crate) offset: u32,
}

/// The records of one batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FoundRecords {
    /// In order of offsets.
    pub(crate) good: Vec<FoundRecord>,
    /// In order of offsets.
    pub(crate) bad: Vec<BadRecords>,
}

/// Reads the records of a batch along its directory. `batch` starts at the batch's header.
pub(crate) fn read_runs(batch: &[u8], directory: &Directory) -> FoundRecords {
    let mut found = FoundRecords::default();
    for run in &directory.runs {
        read_run(batch, run, directory.sequence, &mut found);
    }
    found
}

/// The good records from `offset` on, up to the first bad one: all that can be said without a directory.
pub(crate) fn read_prefix(batch: &[u8], offset: usize, end: usize) -> Vec<FoundRecord> {
    let mut at = offset;
    let mut good = Vec::new();
    for record in records(batch.get(offset..end).unwrap_or_default()).map_while(Result::ok) {
        let Some(record_found) = found(&record, at) else {
            break;
        };
        good.push(record_found);
        at += record.bytes().len();
    }
    good
}

fn read_run(batch: &[u8], run: &Run, sequence: u64, into: &mut FoundRecords) {
    let (Ok(start), Ok(end)) = (usize::try_from(run.offset), usize::try_from(run.end())) else {
        return;
    };
    let bytes = batch.get(start..end).unwrap_or_default();
    let last = run.first.number() + u64::from(run.count) - 1;
    let (mut at, mut index) = (0, run.first.number());
    while index <= last {
        let Some(record) = bytes
            .get(at..)
            .and_then(|bytes| belonging(bytes, run, index))
        else {
            break;
        };
        if !run.class.is_entries() && record.fields().time != sequence {
            // Intact, but of a batch that stood here in an earlier life.
            break;
        }
        let Some(good) = found(&record, start + at) else {
            break;
        };
        into.good.push(good);
        at += record.bytes().len();
        index += 1;
    }
    if index > last && at == bytes.len() {
        return;
    }
    let suffix = resume(bytes, run, at, index);
    let bad_last = suffix
        .first()
        .map_or(last, |record| record.fields.index.number() - 1);
    into.bad.push(BadRecords {
        group: run.group,
        term: run.term,
        first: Index::new(index.min(last)),
        last: Index::new(bad_last.max(index.min(last))),
        class: run.class,
        offset: run
            .offset
            .saturating_add(u32::try_from(at).unwrap_or(u32::MAX)),
    });
    into.good
        .extend(suffix.into_iter().map(|record| FoundRecord {
            offset: record.offset.saturating_add(run.offset),
            ..record
        }));
}

/// The records behind the bad one at `at`, if they end the run exactly; offsets count from the run's start.
fn resume(bytes: &[u8], run: &Run, at: usize, expected: u64) -> Vec<FoundRecord> {
    let candidates = (at + RECORD_ALIGNMENT..bytes.len()).step_by(RECORD_ALIGNMENT);
    let mut chains = candidates.filter_map(|start| chain_to_end(bytes, run, start, expected));
    chains.next().unwrap_or_default()
}

fn chain_to_end(bytes: &[u8], run: &Run, start: usize, expected: u64) -> Option<Vec<FoundRecord>> {
    if !run.class.is_entries() {
        return None;
    }
    let last = run.first.number() + u64::from(run.count) - 1;
    let first = RecordView::parse(bytes.get(start..)?)
        .ok()?
        .index()
        .number();
    if first <= expected || first > last {
        return None;
    }
    let mut at = start;
    let mut chain = Vec::new();
    for index in first..=last {
        let record = belonging(bytes.get(at..)?, run, index)?;
        chain.push(found(&record, at)?);
        at += record.bytes().len();
    }
    (at == bytes.len()).then_some(chain)
}

/// The record at the start of `bytes`, if it is the one of this run with this index.
fn belonging<'a>(bytes: &'a [u8], run: &Run, index: u64) -> Option<RecordView<'a>> {
    let record = RecordView::parse(bytes).ok()?;
    let fits = record.group() == run.group
        && record.term() == run.term
        && record.index().number() == index
        && RunClass::of(record.kind()) == run.class;
    fits.then_some(record)
}

fn found(record: &RecordView<'_>, offset: usize) -> Option<FoundRecord> {
    Some(FoundRecord {
        fields: *record.fields(),
        offset: u32::try_from(offset).ok()?,
        bytes: u32::try_from(record.bytes().len()).ok()?,
        content: Content::of(record)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::directory;
    use crate::storage::record::encode;

    /// A batch of six entries, 5..=10, with its directory; each record is 40 bytes.
    fn batch() -> (Vec<u8>, Directory) {
        let mut bytes = vec![0; 96];
        for index in 5..=10 {
            let fields = RecordFields {
                kind: RecordKind::Entry(EntryKind::CommandPlain),
                group: GroupId::new(3),
                term: Term::new(2),
                index: Index::new(index),
                time: 0,
            };
            bytes.extend(encode(&fields, &[7; 8]));
        }
        let run = Run {
            group: GroupId::new(3),
            term: Term::new(2),
            first: Index::new(5),
            count: 6,
            offset: 96,
            bytes: 240,
            class: RunClass::Plain,
        };
        let mut encoded = Vec::new();
        directory::encode(1, &[run], &mut encoded);
        (bytes, Directory::parse(&encoded, 1).unwrap())
    }

    fn indexes(found: &FoundRecords) -> Vec<u64> {
        found
            .good
            .iter()
            .map(|record| record.fields.index.number())
            .collect()
    }

    fn bad(found: &FoundRecords) -> Vec<(u64, u64)> {
        found
            .bad
            .iter()
            .map(|bad| (bad.first.number(), bad.last.number()))
            .collect()
    }

    #[test]
    fn a_whole_run_is_read() {
        let (bytes, directory) = batch();
        let found = read_runs(&bytes, &directory);
        assert_eq!(indexes(&found), vec![5, 6, 7, 8, 9, 10]);
        assert_eq!(bad(&found), vec![]);
        assert_eq!(found.good[5].offset, 96 + 5 * 40);
    }

    #[test]
    fn one_bad_record_takes_no_other_with_it() {
        for victim in 0..6 {
            let (mut bytes, directory) = batch();
            bytes[96 + 40 * victim + 35] ^= 1;
            let found = read_runs(&bytes, &directory);
            let index = 5 + victim as u64;
            let expected: Vec<u64> = (5..=10).filter(|at| *at != index).collect();
            assert_eq!(indexes(&found), expected);
            assert_eq!(bad(&found), vec![(index, index)]);
        }
    }

    #[test]
    fn between_two_bad_records_nothing_is_believed() {
        let (mut bytes, directory) = batch();
        bytes[96 + 40 + 35] ^= 1;
        bytes[96 + 3 * 40 + 35] ^= 1;
        let found = read_runs(&bytes, &directory);
        assert_eq!(indexes(&found), vec![5, 9, 10]);
        assert_eq!(bad(&found), vec![(6, 8)]);
    }

    #[test]
    fn without_a_directory_the_good_start_is_all_there_is() {
        let (mut bytes, _) = batch();
        bytes[96 + 80 + 35] ^= 1;
        assert_eq!(read_prefix(&bytes, 96, bytes.len()).len(), 2);
    }
}
