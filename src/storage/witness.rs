//! The witness: what became durable lately, told once more in a later batch.
//!
//! A batch that reads back damaged is either torn, and then was never acknowledged, or was durable and is
//! damaged. A later batch that chains to it and names it as durable decides: it could only be written after the
//! write before had returned. The copy of the directory tells what the damage took.
//!
//! It is a record of kind `witness` of the log itself: index is the durable sequence, time the sequence of the
//! batch that it stands in. Its payload is one item after the other:
//!
//! ```text
//!   0 sequence u64            8 recovery epoch u64
//!  16 segment number u32     20 generation u32         24 offset in the segment u32   28 length u32
//!  32 directory offset u32   36 directory length u32   40 hash of the header, 16 bytes
//!  56 copy of the directory
//! ```

use super::batch::{HeaderHash, SegmentName};
use super::record::{self, RecordError, RecordFields, RecordKind, RecordView};
use crate::limits;
use margay_types::{GroupId, Index, Term};
use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Bytes of an item before its directory.
pub const ITEM_HEADER_BYTES: usize = 56;

const _: () = assert!(size_of::<Layout>() == ITEM_HEADER_BYTES);

/// What a witness says of one durable batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WitnessItem {
    /// Which batch.
    pub sequence: u64,
    /// Its recovery epoch.
    pub recovery_epoch: u64,
    /// Where it stands.
    pub segment: SegmentName,
    /// Where in the segment.
    pub offset: u32,
    /// Its bytes: the next batch of the segment starts behind them.
    pub length: u32,
    /// Where its directory starts in it.
    pub directory_offset: u32,
    /// Names its header.
    pub hash: HeaderHash,
    /// Its directory, byte for byte.
    pub directory: Vec<u8>,
}

impl WitnessItem {
    /// Bytes that it takes in a witness.
    #[must_use]
    pub fn encoded_bytes(&self) -> usize {
        ITEM_HEADER_BYTES + self.directory.len()
    }
}

/// The bytes, as drawn above.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct Layout {
    sequence: U64,
    recovery_epoch: U64,
    number: U32,
    generation: U32,
    offset: U32,
    length: U32,
    directory_offset: U32,
    directory_length: U32,
    hash: [u8; 16],
}

/// Why a batch's witness cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WitnessError {
    /// The record is damaged.
    #[error("the witness is damaged: {0}")]
    Record(RecordError),
    /// An intact record, but not the witness of this batch.
    #[error("not the witness of this batch")]
    Foreign,
    /// Intact, but it does not say what a witness can say.
    #[error("item {0} of the witness makes no sense")]
    Item(usize),
}

/// A witness, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Witness {
    /// Every batch up to here is durable.
    pub durable_sequence: u64,
    /// The batches that became durable since the witness before, in order.
    pub items: Vec<WitnessItem>,
}

impl Witness {
    /// Bytes of the record with these items.
    #[must_use]
    pub fn record_bytes(item_bytes: usize) -> usize {
        record::record_bytes(item_bytes)
    }

    /// The record, as it stands in batch `sequence`.
    #[must_use]
    pub fn encode(&self, sequence: u64) -> Vec<u8> {
        let mut payload = Vec::new();
        for item in &self.items {
            let directory_length =
                u32::try_from(item.directory.len()).expect("a directory is at most 32 KiB");
            let layout = Layout {
                sequence: U64::new(item.sequence),
                recovery_epoch: U64::new(item.recovery_epoch),
                number: U32::new(item.segment.number),
                generation: U32::new(item.segment.generation),
                offset: U32::new(item.offset),
                length: U32::new(item.length),
                directory_offset: U32::new(item.directory_offset),
                directory_length: U32::new(directory_length),
                hash: item.hash.0,
            };
            payload.extend_from_slice(layout.as_bytes());
            payload.extend_from_slice(&item.directory);
        }
        let fields = RecordFields {
            kind: RecordKind::Witness,
            group: GroupId::LOG,
            term: Term::ZERO,
            index: Index::new(self.durable_sequence),
            time: sequence,
        };
        record::encode(&fields, &payload)
    }

    /// The witness that stands in batch `sequence`.
    ///
    /// # Errors
    /// If the record is none, of another batch, or holds nonsense.
    pub fn parse(record: &RecordView<'_>, sequence: u64) -> Result<Self, WitnessError> {
        let own = record.kind() == RecordKind::Witness
            && record.group() == GroupId::LOG
            && record.fields().time == sequence;
        if !own {
            return Err(WitnessError::Foreign);
        }
        let mut items = Vec::new();
        let mut rest = record.payload();
        while !rest.is_empty() {
            let (item, behind) = parse_item(rest).ok_or(WitnessError::Item(items.len()))?;
            items.push(item);
            rest = behind;
        }
        Ok(Self {
            durable_sequence: record.index().number(),
            items,
        })
    }
}

fn parse_item(bytes: &[u8]) -> Option<(WitnessItem, &[u8])> {
    let (layout, behind) = Layout::ref_from_prefix(bytes).ok()?;
    let length = usize::try_from(layout.directory_length.get()).ok()?;
    let (directory, rest) = behind.split_at_checked(length)?;
    let item = WitnessItem {
        sequence: layout.sequence.get(),
        recovery_epoch: layout.recovery_epoch.get(),
        segment: SegmentName {
            number: layout.number.get(),
            generation: layout.generation.get(),
        },
        offset: layout.offset.get(),
        length: layout.length.get(),
        directory_offset: layout.directory_offset.get(),
        hash: HeaderHash(layout.hash),
        directory: directory.to_vec(),
    };
    (length <= limits::DIRECTORY_BYTES_MAX).then_some((item, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn witness() -> Witness {
        let item = WitnessItem {
            sequence: 1,
            recovery_epoch: 4,
            segment: SegmentName {
                number: 2,
                generation: 3,
            },
            offset: 4096,
            length: 8192,
            directory_offset: 96,
            hash: HeaderHash([0xCD; 16]),
            directory: vec![9; 16],
        };
        let next = WitnessItem {
            sequence: 2,
            directory: vec![8; 48],
            ..item.clone()
        };
        Witness {
            durable_sequence: 2,
            items: vec![item, next],
        }
    }

    #[test]
    fn the_bytes_of_an_item_stay_as_they_were_first_written() {
        let bytes = witness().encode(7);
        let golden = [
            1, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 0, 16, 0, 0, 0,
            32, 0, 0, 96, 0, 0, 0, 16, 0, 0, 0, 0xCD, 0xCD,
        ];
        assert_eq!(bytes[32..32 + golden.len()], golden);
        assert_eq!(bytes.len(), Witness::record_bytes(56 + 16 + 56 + 48));
    }

    #[test]
    fn what_is_encoded_reads_back_in_its_own_batch_only() {
        let bytes = witness().encode(7);
        let record = RecordView::parse(&bytes).unwrap();
        assert_eq!(Witness::parse(&record, 7), Ok(witness()));
        assert_eq!(Witness::parse(&record, 8), Err(WitnessError::Foreign));
    }

    #[test]
    fn a_directory_that_leads_out_of_the_witness_is_refused() {
        let bytes = witness().encode(7);
        let whole = RecordView::parse(&bytes).unwrap();
        let cut = record::encode(whole.fields(), &whole.payload()[..60]);
        let record = RecordView::parse(&cut).unwrap();
        assert_eq!(Witness::parse(&record, 7), Err(WitnessError::Item(0)));
    }
}
