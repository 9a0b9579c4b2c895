//! A batch that still takes records, and what becomes of it when it is sealed.
//!
//! Records may be lent from it at once. Header, directory and witness come last, when it is known how the batch
//! before ended and what became durable meanwhile:
//!
//! ```text
//!  ┌ segment header ┐┌ header ┐┌ record ┐┌ record ┐ ...      open: the first two are a hole
//!  ┌ segment header ┐┌ header ┐┌ record ┐┌ record ┐┌ directory ┐┌ witness ┐┌ padding ┐   sealed
//! ```
//!
//! It always keeps room for its directory and for the witness that it may have to carry, so that sealing
//! cannot fail. Recovery builds its restart batch with the same steps.

use super::batch::{BATCH_HEADER_BYTES, BatchHeader, HeaderHash, SegmentName};
use super::block::{Block, Slice};
use super::directory::{self, RUN_BYTES, RUNS_MAX, Run};
use super::record::{self, RecordFields, RecordView};
use super::segment::SegmentHeader;
use super::witness::{Witness, WitnessItem};
use crate::limits::{SEGMENT_HEADER_BYTES, WRITE_UNIT_BYTES};

/// No run of the same item follows in the batch.
pub(crate) const NO_RUN: u32 = u32::MAX;

/// Does the header of its segment leave with a batch?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lead {
    /// It is the first batch of its segment.
    SegmentHeader,
    /// There is one before it in the segment.
    Nothing,
}

impl Lead {
    /// Bytes before the batch's own header.
    #[must_use]
    pub const fn bytes(self) -> usize {
        match self {
            Self::SegmentHeader => SEGMENT_HEADER_BYTES,
            Self::Nothing => 0,
        }
    }
}

/// What is known only when a batch is sealed.
#[derive(Clone, Copy, Debug)]
pub struct Stamp {
    /// The log.
    pub log_id: u32,
    /// Epoch of this process life.
    pub recovery_epoch: u64,
    /// Where the batch goes.
    pub segment: SegmentName,
    /// Where in the segment the batch's header goes.
    pub offset: u32,
    /// Size of the segment; for its header.
    pub segment_bytes: u64,
    /// Everything up to here is durable.
    pub durable_sequence: u64,
    /// The header before.
    pub previous: HeaderHash,
    /// Bytes that the batch must take, when the place of the next one was promised already.
    pub length: Option<usize>,
}

/// A batch with everything in its place.
#[derive(Clone, Debug)]
pub struct SealedBatch {
    /// What is written, in one write; it starts with the segment's header if that leads.
    pub write: Slice,
    /// Where in the segment that write starts.
    pub write_offset: u64,
    /// The batch alone.
    pub bytes: Slice,
    /// What a later witness says of it; its hash is what the next batch chains to.
    pub item: WitnessItem,
    /// What stands where in it.
    pub runs: Vec<Run>,
    /// For every run the next one of the same item of the index.
    pub(crate) next_runs: Vec<u32>,
}

/// Where a record went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Placed {
    /// From the start of the batch.
    pub(crate) offset: u32,
    /// Bytes of the record.
    pub(crate) bytes: u32,
    /// The run that it belongs to.
    pub(crate) run: u32,
}

/// A batch that takes records.
#[derive(Debug)]
pub struct OpenBatch {
    block: Block,
    lead: Lead,
    /// Place of the batch's header in the block.
    start: usize,
    sequence: u64,
    /// Bytes that the batch may take at most, everything included.
    bytes_max: usize,
    witness_bytes_max: usize,
    runs_max: usize,
    runs: Vec<Run>,
    next_runs: Vec<u32>,
}

impl OpenBatch {
    /// A batch at the end of `block`, which takes at most `bytes_max` without its lead, and keeps room for a
    /// witness of `witness_bytes_max`.
    ///
    /// # Panics
    /// If the block has less room than that.
    #[must_use]
    pub fn new(
        mut block: Block,
        lead: Lead,
        sequence: u64,
        bytes_max: usize,
        witness_bytes_max: usize,
    ) -> Self {
        assert!(sequence > 0, "sequences start at 1");
        assert!(
            block.written_bytes().is_multiple_of(WRITE_UNIT_BYTES),
            "direct writes start at a write unit"
        );
        assert!(
            lead.bytes() + bytes_max <= block.room_bytes(),
            "a batch of {bytes_max} bytes in a room of {}",
            block.room_bytes()
        );
        let hole = block.reserve(lead.bytes() + BATCH_HEADER_BYTES);
        let start = hole + lead.bytes();
        Self {
            block,
            lead,
            start,
            sequence,
            bytes_max,
            witness_bytes_max,
            runs_max: RUNS_MAX,
            runs: Vec::new(),
            next_runs: Vec::new(),
        }
    }

    /// The same batch, closed by a smaller directory than the format allows.
    #[must_use]
    pub(crate) fn with_runs_max(self, runs_max: usize) -> Self {
        assert!(
            (1..=RUNS_MAX).contains(&runs_max),
            "a directory of {runs_max} runs"
        );
        Self { runs_max, ..self }
    }

    /// Bytes of a batch with one record, its witness included, as it is written.
    #[must_use]
    pub fn least_bytes(record_bytes: usize, witness_bytes: usize) -> usize {
        let directory = directory::directory_bytes(1);
        (BATCH_HEADER_BYTES + record_bytes + directory + witness_bytes)
            .next_multiple_of(WRITE_UNIT_BYTES)
    }

    /// Its number.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// What stands where in it so far.
    #[must_use]
    pub fn runs(&self) -> &[Run] {
        &self.runs
    }

    pub(crate) fn next_runs(&self) -> &[u32] {
        &self.next_runs
    }

    /// Does it hold no record yet?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// Bytes of records so far.
    #[must_use]
    pub fn records_bytes(&self) -> usize {
        self.block.written_bytes() - self.start - BATCH_HEADER_BYTES
    }

    /// Could a record of so many bytes, padding included, still go into it?
    #[must_use]
    pub fn has_room(&self, record_bytes: usize) -> bool {
        self.runs.len() < self.runs_max && self.bytes_with(record_bytes, 1) <= self.bytes_max
    }

    /// Could a record go into it, and another of `kept_bytes` after it? 0 keeps room for none.
    pub(crate) fn has_room_beside(&self, record_bytes: usize, kept_bytes: usize) -> bool {
        let runs = if kept_bytes == 0 { 1 } else { 2 };
        self.runs.len() + runs <= self.runs_max
            && self.bytes_with(record_bytes + kept_bytes, runs) <= self.bytes_max
    }

    /// Bytes that it takes when it is sealed now with the largest witness.
    #[must_use]
    pub fn closed_bytes(&self) -> usize {
        self.bytes_with(0, 0)
    }

    /// Is it its directory that takes no more?
    pub(crate) fn is_directory_full(&self) -> bool {
        self.runs.len() >= self.runs_max
    }

    /// It takes no more records: gives away the memory that it does not need.
    pub(crate) fn split_rest(&mut self) -> Block {
        let end = self.start + self.closed_bytes();
        self.block.split_off(end)
    }

    /// Bytes of its directory, if it is sealed now.
    #[must_use]
    pub fn directory_bytes(&self) -> usize {
        directory::directory_bytes(self.runs.len())
    }

    fn bytes_with(&self, record_bytes: usize, runs: usize) -> usize {
        let records = self.block.written_bytes() - self.start + record_bytes;
        let behind = self.directory_bytes() + runs * RUN_BYTES + self.witness_bytes_max;
        (records + behind).next_multiple_of(WRITE_UNIT_BYTES)
    }

    /// Appends a record whose payload consists of `pieces`, each copied once.
    ///
    /// # Panics
    /// If there is no room.
    pub fn append(&mut self, fields: &RecordFields, pieces: &[&[u8]]) {
        self.append_pieces(fields, pieces);
    }

    pub(crate) fn append_pieces(&mut self, fields: &RecordFields, pieces: &[&[u8]]) -> Placed {
        let payload: usize = pieces.iter().map(|piece| piece.len()).sum();
        let bytes = record::record_bytes(payload);
        assert!(
            self.has_room(bytes),
            "a record of {bytes} bytes does not fit any more"
        );
        let at = self.block.append(&record::header(fields, pieces));
        for piece in pieces {
            self.block.append(piece);
        }
        self.block
            .append_zeros(at + bytes - self.block.written_bytes());
        self.place(fields, at, bytes)
    }

    /// Appends a record that somebody else framed, byte for byte.
    pub(crate) fn append_framed(&mut self, record: &RecordView<'_>) -> Placed {
        let bytes = record.bytes().len();
        assert!(
            self.has_room(bytes),
            "a record of {bytes} bytes does not fit any more"
        );
        let at = self.block.append(record.bytes());
        self.place(record.fields(), at, bytes)
    }

    fn place(&mut self, fields: &RecordFields, at: usize, bytes: usize) -> Placed {
        let narrow = |number: usize| u32::try_from(number).expect("a batch is at most 2 MiB");
        let (offset, bytes) = (narrow(at - self.start), narrow(bytes));
        let run = Run::of(fields, offset, bytes);
        let extended = self.runs.last_mut().is_some_and(|last| last.extend(&run));
        if !extended {
            self.runs.push(run);
            self.next_runs.push(NO_RUN);
        }
        Placed {
            offset,
            bytes,
            run: narrow(self.runs.len() - 1),
        }
    }

    /// Run `later` goes on where run `earlier` of the same item of the index ended.
    pub(crate) fn link_runs(&mut self, earlier: u32, later: u32) {
        let link = self
            .next_runs
            .get_mut(earlier as usize)
            .expect("a run of this batch");
        *link = later;
    }

    /// Lends the bytes between two places of the batch.
    pub(crate) fn lend(&self, offset: u32, bytes: u32) -> Slice {
        let start = self.start + offset as usize;
        self.block.slice(start..start + bytes as usize)
    }

    /// Puts header, directory and witness in their places. Gives the block back with what is left of it.
    ///
    /// # Panics
    /// If the batch gets longer than it may.
    #[must_use]
    pub fn seal(mut self, stamp: &Stamp, witness: Option<&Witness>) -> (SealedBatch, Block) {
        let directory_at = self.block.written_bytes() - self.start;
        let mut directory = Vec::with_capacity(self.directory_bytes());
        let directory_checksum = directory::encode(self.sequence, &self.runs, &mut directory);
        self.block.append(&directory);
        let witness_at = self.block.written_bytes() - self.start;
        let witness = witness
            .map(|witness| witness.encode(self.sequence))
            .unwrap_or_default();
        self.block.append(&witness);
        let unpadded = self.block.written_bytes() - self.start;
        let length = stamp
            .length
            .unwrap_or(unpadded.next_multiple_of(WRITE_UNIT_BYTES));
        assert!(
            unpadded <= length,
            "{unpadded} bytes in a batch of {length}"
        );
        assert!(
            length <= self.bytes_max,
            "a batch of {length} bytes, {} allowed",
            self.bytes_max
        );
        self.block.append_zeros(length - unpadded);
        let narrow = |number: usize| u32::try_from(number).expect("a batch is at most 2 MiB");
        let header = BatchHeader {
            log_id: stamp.log_id,
            recovery_epoch: stamp.recovery_epoch,
            sequence: self.sequence,
            segment: stamp.segment,
            offset: stamp.offset,
            length: narrow(length),
            directory_offset: narrow(directory_at),
            directory_length: narrow(directory.len()),
            witness_offset: if witness.is_empty() {
                0
            } else {
                narrow(witness_at)
            },
            witness_length: narrow(witness.len()),
            durable_sequence: stamp.durable_sequence,
            directory_checksum,
            witness_checksum: witness
                .first_chunk()
                .map_or(0, |bytes| u32::from_le_bytes(*bytes)),
            previous: stamp.previous,
        };
        let sealed = self.fill(stamp, &header, directory);
        (sealed, self.block)
    }

    fn fill(&mut self, stamp: &Stamp, header: &BatchHeader, directory: Vec<u8>) -> SealedBatch {
        let mut hole = match self.lead {
            Lead::Nothing => Vec::new(),
            Lead::SegmentHeader => SegmentHeader {
                log_id: stamp.log_id,
                name: stamp.segment,
                size_bytes: stamp.segment_bytes,
                first_sequence: self.sequence,
                recovery_epoch: stamp.recovery_epoch,
                previous: stamp.previous,
            }
            .encode(),
        };
        let encoded = header.encode();
        hole.extend_from_slice(&encoded);
        self.block.fill(&hole);
        let end = self.block.written_bytes();
        SealedBatch {
            write: self.block.slice(self.start - self.lead.bytes()..end),
            write_offset: u64::from(stamp.offset) - self.lead.bytes() as u64,
            bytes: self.block.slice(self.start..end),
            item: WitnessItem {
                sequence: self.sequence,
                recovery_epoch: stamp.recovery_epoch,
                segment: stamp.segment,
                offset: stamp.offset,
                length: header.length,
                directory_offset: header.directory_offset,
                hash: HeaderHash::of(&encoded),
                directory,
            },
            runs: std::mem::take(&mut self.runs),
            next_runs: std::mem::take(&mut self.next_runs),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::batch::BatchView;
    use crate::storage::record::RecordKind;
    use margay_raft::EntryKind;
    use margay_types::{GroupId, Index, Term};

    fn fields(group: u32, index: u64) -> RecordFields {
        RecordFields {
            kind: RecordKind::Entry(EntryKind::CommandPlain),
            group: GroupId::new(group),
            term: Term::new(1),
            index: Index::new(index),
            time: 0,
        }
    }

    fn stamp(offset: u32) -> Stamp {
        Stamp {
            log_id: 1,
            recovery_epoch: 2,
            segment: SegmentName {
                number: 3,
                generation: 4,
            },
            offset,
            segment_bytes: 1 << 20,
            durable_sequence: 6,
            previous: HeaderHash([5; 16]),
            length: None,
        }
    }

    fn open(lead: Lead) -> OpenBatch {
        OpenBatch::new(Block::with_capacity(64 << 10), lead, 7, 32 << 10, 1024)
    }

    #[test]
    fn a_sealed_batch_reads_back_with_its_records_and_runs() {
        let mut batch = open(Lead::SegmentHeader);
        batch.append(&fields(1, 1), &[b"ab", b"c"]);
        batch.append(&fields(1, 2), &[b"d"]);
        batch.append(&fields(2, 1), &[]);
        let (sealed, rest) = batch.seal(&stamp(4096), None);
        assert_eq!((sealed.write.len(), sealed.write_offset), (8192, 0));
        assert_eq!(rest.written_bytes(), 8192);
        assert!(SegmentHeader::parse(&sealed.write).is_ok());
        let view = BatchView::parse(&sealed.bytes).unwrap();
        assert_eq!(view.hash(), sealed.item.hash);
        let runs = view.directory().unwrap().runs;
        assert_eq!(runs.iter().map(|run| run.count).collect::<Vec<_>>(), [2, 1]);
        let indexes: Vec<u64> = record::records(view.record_bytes())
            .map(|record| record.unwrap().index().number())
            .collect();
        assert_eq!(indexes, [1, 2, 1]);
        assert_eq!(view.witness(), Ok(None));
    }

    #[test]
    fn a_batch_keeps_room_for_directory_and_witness() {
        let mut batch = open(Lead::Nothing);
        let payload = [0; 100];
        let mut index = 1;
        while batch.has_room(record::record_bytes(payload.len())) {
            batch.append(&fields(index % 3, u64::from(index)), &[&payload]);
            index += 1;
        }
        let item = WitnessItem {
            sequence: 6,
            recovery_epoch: 2,
            segment: SegmentName {
                number: 3,
                generation: 4,
            },
            offset: 0,
            length: 4096,
            directory_offset: 96,
            hash: HeaderHash::ZERO,
            directory: vec![0; 1024 - 32 - 56],
        };
        let witness = Witness {
            durable_sequence: 6,
            items: vec![item],
        };
        let (sealed, _) = batch.seal(&stamp(8192), Some(&witness));
        assert!(sealed.bytes.len() <= 32 << 10);
        let view = BatchView::parse(&sealed.bytes).unwrap();
        assert_eq!(view.witness(), Ok(Some(witness)));
    }

    #[test]
    fn a_full_directory_closes_the_batch() {
        let block = Block::with_capacity(1 << 20);
        let mut batch = OpenBatch::new(block, Lead::Nothing, 7, 1 << 20, 0);
        let mut count = 0;
        while batch.has_room(record::record_bytes(0)) {
            batch.append(&fields(count % 2, u64::from(count)), &[]);
            count += 1;
        }
        assert_eq!(count as usize, RUNS_MAX);
    }

    #[test]
    fn no_view_of_a_damaged_batch_panics_and_headers_bind_what_they_name() {
        let mut batch = open(Lead::Nothing);
        for index in 1..20 {
            batch.append(&fields(index % 2, u64::from(index)), &[&[0xA5; 40]]);
        }
        let witness = Witness {
            durable_sequence: 6,
            items: Vec::new(),
        };
        let (sealed, _) = batch.seal(&stamp(8192), Some(&witness));
        let good = sealed.bytes.to_vec();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0xFF;
            let Ok(view) = BatchView::parse(&bad) else {
                assert!(at < BATCH_HEADER_BYTES, "byte {at} is not of the header");
                continue;
            };
            let is_whole = view.directory().is_ok() && view.witness().is_ok();
            let (directory, end) = {
                let header = view.header();
                (
                    header.directory_offset,
                    header.witness_offset + header.witness_length,
                )
            };
            let is_named = (directory as usize..end as usize).contains(&at);
            assert_eq!(is_whole, !is_named, "byte {at}");
            let _ = record::records(view.record_bytes()).count();
        }
    }

    #[test]
    fn records_are_lent_before_the_batch_is_sealed() {
        let mut batch = open(Lead::Nothing);
        let placed = batch.append_pieces(&fields(1, 1), &[b"abc"]);
        let lent = batch.lend(placed.offset, placed.bytes);
        let before = lent.to_vec();
        let _ = batch.seal(&stamp(8192), None);
        assert_eq!(RecordView::parse(&lent).unwrap().payload(), b"abc");
        assert_eq!(lent[..], before);
    }
}
