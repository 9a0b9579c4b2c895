//! The batch: what one durable write makes durable, all of it or nothing.
//!
//! ```text
//!  0        96                                                              multiple of the write unit
//!  ┌────────┬─────────────────────────────────┬───────────┬─────────┬─────────┐
//!  │ header │ records                         │ directory │ witness │ padding │
//!  └────────┴─────────────────────────────────┴───────────┴─────────┴─────────┘
//!  header:
//!   0 magic "MBAT"      4 checksum u32     8 format u16     10 zero u16       12 log id u32
//!  16 recovery epoch u64                  24 sequence u64
//!  32 segment number u32  36 generation u32   40 offset in the segment u32    44 length u32
//!  48 directory offset u32  52 directory length u32  56 witness offset u32    60 witness length u32
//!  64 durable sequence u64                72 directory checksum u32           76 witness checksum u32
//!  80 hash of the header before, 16 bytes
//! ```
//!
//! * The checksum is CRC-32C over the header behind it. Batches chain by the hash of the header before; what
//!   does not chain is no part of the log.
//! * Sequences count up by one inside a log. `durable sequence` is the greatest that this log knew to be durable,
//!   with everything before it, when the batch left: every batch up to there is *covered* by this one.
//! * All offsets but that in the segment count from the start of the batch. The witness is a record of its own
//!   kind; a batch without one has offset, length and checksum 0.
//! * The header repeats the checksums of directory and witness: a torn write may leave those of a batch that
//!   stood at the same place in an earlier life.

use super::block::is_blank;
use super::directory::{Directory, DirectoryError};
use super::record::{RECORD_ALIGNMENT, RecordView};
use super::witness::{Witness, WitnessError};
use crate::limits;
use xxhash_rust::xxh3::xxh3_128;
use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Bytes of a batch's header; its first record starts there.
pub const BATCH_HEADER_BYTES: usize = 96;
/// Version of the layout of batches, directories, witnesses and records.
pub const BATCH_FORMAT: u16 = 1;

const MAGIC: [u8; 4] = *b"MBAT";
const _: () = assert!(size_of::<Layout>() == BATCH_HEADER_BYTES);
const _: () = assert!(BATCH_HEADER_BYTES.is_multiple_of(RECORD_ALIGNMENT));

/// Names a header: the 128-bit hash of its bytes. The first batch of a log chains to zeros.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HeaderHash(pub [u8; 16]);

impl HeaderHash {
    /// What the first batch of a log chains to.
    pub const ZERO: Self = Self([0; 16]);

    /// The hash of an encoded header.
    #[must_use]
    pub fn of(header: &[u8; BATCH_HEADER_BYTES]) -> Self {
        Self(xxh3_128(header).to_le_bytes())
    }
}

/// A place in a log that may be named in a format: which segment, in which of its lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentName {
    /// The file.
    pub number: u32,
    /// How often it was used anew; from 1.
    pub generation: u32,
}

/// The header of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchHeader {
    /// The log it belongs to.
    pub log_id: u32,
    /// Greater than that of every batch of an earlier process life.
    pub recovery_epoch: u64,
    /// Its number.
    pub sequence: u64,
    /// Where it was written.
    pub segment: SegmentName,
    /// Where in the segment.
    pub offset: u32,
    /// Bytes up to its end, padding included.
    pub length: u32,
    /// Where its directory starts, which is where its records end.
    pub directory_offset: u32,
    /// Bytes of the directory.
    pub directory_length: u32,
    /// Where its witness starts; 0 without one.
    pub witness_offset: u32,
    /// Bytes of the witness record; 0 without one.
    pub witness_length: u32,
    /// Everything up to this batch was durable when this one left.
    pub durable_sequence: u64,
    /// The directory's checksum.
    pub directory_checksum: u32,
    /// The checksum of the witness record; 0 without one.
    pub witness_checksum: u32,
    /// The header it chains to.
    pub previous: HeaderHash,
}

/// The bytes, as drawn above.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct Layout {
    magic: [u8; 4],
    checksum: U32,
    format: U16,
    zero: U16,
    log_id: U32,
    recovery_epoch: U64,
    sequence: U64,
    number: U32,
    generation: U32,
    offset: U32,
    length: U32,
    directory_offset: U32,
    directory_length: U32,
    witness_offset: U32,
    witness_length: U32,
    durable_sequence: U64,
    directory_checksum: U32,
    witness_checksum: U32,
    previous: [u8; 16],
}

/// Why bytes are not a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// Never written since the segment was filled: a normal end, unless something covers it.
    #[error("blank")]
    Blank,
    /// The bytes end before the header does.
    #[error("{0} bytes are no header")]
    Short(usize),
    /// Something else stands there.
    #[error("not the start of a batch")]
    Magic,
    /// Not what was written.
    #[error("header checksum {stored:#010x}, computed {computed:#010x}")]
    Checksum {
        /// What stands there.
        stored: u32,
        /// What the bytes give.
        computed: u32,
    },
    /// Written by a newer version: run that one.
    #[error("batch format {found}, this version reads up to {BATCH_FORMAT}")]
    Newer {
        /// Its format.
        found: u16,
    },
    /// Intact, but its offsets lead out of it.
    #[error("the offsets in the header make no sense")]
    Offsets,
}

impl BatchHeader {
    /// Its bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; BATCH_HEADER_BYTES] {
        assert!(
            self.offsets_are_sensible(),
            "a header that would not be read back: {self:?}"
        );
        let mut layout = Layout {
            magic: MAGIC,
            checksum: U32::ZERO,
            format: U16::new(BATCH_FORMAT),
            zero: U16::ZERO,
            log_id: U32::new(self.log_id),
            recovery_epoch: U64::new(self.recovery_epoch),
            sequence: U64::new(self.sequence),
            number: U32::new(self.segment.number),
            generation: U32::new(self.segment.generation),
            offset: U32::new(self.offset),
            length: U32::new(self.length),
            directory_offset: U32::new(self.directory_offset),
            directory_length: U32::new(self.directory_length),
            witness_offset: U32::new(self.witness_offset),
            witness_length: U32::new(self.witness_length),
            durable_sequence: U64::new(self.durable_sequence),
            directory_checksum: U32::new(self.directory_checksum),
            witness_checksum: U32::new(self.witness_checksum),
            previous: self.previous.0,
        };
        layout.checksum = U32::new(crc32c::crc32c(&layout.as_bytes()[8..]));
        let mut bytes = [0; BATCH_HEADER_BYTES];
        bytes.copy_from_slice(layout.as_bytes());
        bytes
    }

    /// The header at the start of `bytes`.
    ///
    /// # Errors
    /// If there is no intact header that this version understands.
    pub fn parse(bytes: &[u8]) -> Result<(Self, HeaderHash), BatchError> {
        let bytes: &[u8; BATCH_HEADER_BYTES] =
            bytes.first_chunk().ok_or(BatchError::Short(bytes.len()))?;
        let layout = Layout::ref_from_bytes(bytes).map_err(|_| BatchError::Short(bytes.len()))?;
        if layout.magic != MAGIC {
            return Err(if is_blank(bytes) {
                BatchError::Blank
            } else {
                BatchError::Magic
            });
        }
        let stored = layout.checksum.get();
        let computed = crc32c::crc32c(&bytes[8..]);
        if stored != computed {
            return Err(BatchError::Checksum { stored, computed });
        }
        if layout.format.get() > BATCH_FORMAT {
            return Err(BatchError::Newer {
                found: layout.format.get(),
            });
        }
        let header = Self::from_layout(layout);
        if !header.offsets_are_sensible() {
            return Err(BatchError::Offsets);
        }
        Ok((header, HeaderHash::of(bytes)))
    }

    fn from_layout(layout: &Layout) -> Self {
        Self {
            log_id: layout.log_id.get(),
            recovery_epoch: layout.recovery_epoch.get(),
            sequence: layout.sequence.get(),
            segment: SegmentName {
                number: layout.number.get(),
                generation: layout.generation.get(),
            },
            offset: layout.offset.get(),
            length: layout.length.get(),
            directory_offset: layout.directory_offset.get(),
            directory_length: layout.directory_length.get(),
            witness_offset: layout.witness_offset.get(),
            witness_length: layout.witness_length.get(),
            durable_sequence: layout.durable_sequence.get(),
            directory_checksum: layout.directory_checksum.get(),
            witness_checksum: layout.witness_checksum.get(),
            previous: HeaderHash(layout.previous),
        }
    }

    /// Header, records, directory, witness and end follow each other.
    fn offsets_are_sensible(&self) -> bool {
        let directory_end = u64::from(self.directory_offset) + u64::from(self.directory_length);
        let witness_end = u64::from(self.witness_offset) + u64::from(self.witness_length);
        let witness_fits = match self.witness_length {
            0 => self.witness_offset == 0,
            _ => u64::from(self.witness_offset) == directory_end,
        };
        self.directory_offset as usize >= BATCH_HEADER_BYTES
            && self.directory_length as usize <= limits::DIRECTORY_BYTES_MAX
            && witness_fits
            && witness_end.max(directory_end) <= u64::from(self.length)
            && self.length as usize <= limits::BATCH_BYTES_MAX
            && (self.directory_offset as usize).is_multiple_of(RECORD_ALIGNMENT)
            && (self.length as usize).is_multiple_of(limits::WRITE_UNIT_BYTES)
            && self.durable_sequence < self.sequence
    }
}

/// A batch with a good header, lent from bytes that hold all of it.
#[derive(Clone, Copy, Debug)]
pub struct BatchView<'a> {
    header: BatchHeader,
    hash: HeaderHash,
    bytes: &'a [u8],
}

impl<'a> BatchView<'a> {
    /// The batch at the start of `bytes`. Only its header is checked here: records, directory and witness are
    /// damaged one by one, and each says so itself.
    ///
    /// # Errors
    /// If the header is bad, or `bytes` end before the batch.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, BatchError> {
        let (header, hash) = BatchHeader::parse(bytes)?;
        let whole = bytes
            .get(..header.length as usize)
            .ok_or(BatchError::Short(bytes.len()))?;
        Ok(Self {
            header,
            hash,
            bytes: whole,
        })
    }

    /// Its header.
    #[must_use]
    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// What the next batch chains to.
    #[must_use]
    pub fn hash(&self) -> HeaderHash {
        self.hash
    }

    /// The bytes between header and directory.
    #[must_use]
    pub fn record_bytes(&self) -> &'a [u8] {
        let end = self.header.directory_offset as usize;
        self.bytes.get(BATCH_HEADER_BYTES..end).unwrap_or_default()
    }

    /// All of it, from the first byte of the header.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Its directory.
    ///
    /// # Errors
    /// If that is damaged; a later batch's witness may have a copy.
    pub fn directory(&self) -> Result<Directory, DirectoryError> {
        let start = self.header.directory_offset as usize;
        let end = start + self.header.directory_length as usize;
        let bytes = self.bytes.get(start..end).unwrap_or_default();
        let directory = Directory::parse(bytes, self.header.sequence)?;
        match directory.checksum == self.header.directory_checksum {
            true => Ok(directory),
            false => Err(DirectoryError::Checksum {
                stored: directory.checksum,
                computed: self.header.directory_checksum,
            }),
        }
    }

    /// Its witness, if it carries one.
    ///
    /// # Errors
    /// If that is damaged.
    pub fn witness(&self) -> Result<Option<Witness>, WitnessError> {
        if self.header.witness_length == 0 {
            return Ok(None);
        }
        let start = self.header.witness_offset as usize;
        let end = start + self.header.witness_length as usize;
        let bytes = self.bytes.get(start..end).unwrap_or_default();
        let record = RecordView::parse(bytes).map_err(WitnessError::Record)?;
        if record.checksum() != self.header.witness_checksum {
            return Err(WitnessError::Foreign);
        }
        Witness::parse(&record, self.header.sequence).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> BatchHeader {
        BatchHeader {
            log_id: 3,
            recovery_epoch: 4,
            sequence: 5,
            segment: SegmentName {
                number: 6,
                generation: 7,
            },
            offset: 4096,
            length: 8192,
            directory_offset: 4000,
            directory_length: 48,
            witness_offset: 4048,
            witness_length: 80,
            durable_sequence: 4,
            directory_checksum: 0x0403_0201,
            witness_checksum: 9,
            previous: HeaderHash([0xAB; 16]),
        }
    }

    #[test]
    fn the_bytes_of_a_header_stay_as_they_were_first_written() {
        let bytes = header().encode();
        let golden: [u8; 88] = [
            1, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 6, 0, 0, 0, 7,
            0, 0, 0, 0, 16, 0, 0, 0, 32, 0, 0, 0xA0, 15, 0, 0, 48, 0, 0, 0, 0xD0, 15, 0, 0, 80, 0,
            0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 9, 0, 0, 0, 0xAB, 0xAB, 0xAB, 0xAB, 0xAB,
            0xAB, 0xAB, 0xAB, 0xAB, 0xAB, 0xAB, 0xAB, 0xAB, 0xAB, 0xAB, 0xAB,
        ];
        assert_eq!(bytes[8..], golden);
        assert_eq!(bytes[..4], *b"MBAT");
        assert_eq!(bytes[4..8], crc32c::crc32c(&golden).to_le_bytes());
    }

    #[test]
    fn what_is_encoded_reads_back_with_its_hash() {
        let bytes = header().encode();
        assert_eq!(
            BatchHeader::parse(&bytes),
            Ok((header(), HeaderHash::of(&bytes)))
        );
    }

    #[test]
    fn every_flipped_bit_is_found() {
        let bytes = header().encode();
        for bit in 0..bytes.len() * 8 {
            let mut bad = bytes;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(BatchHeader::parse(&bad).is_err(), "bit {bit} went unseen");
        }
    }

    #[test]
    fn blank_is_not_damage() {
        assert_eq!(BatchHeader::parse(&[0; 4096]), Err(BatchError::Blank));
        assert_eq!(BatchHeader::parse(&[1; 4096]), Err(BatchError::Magic));
    }

    #[test]
    fn a_newer_format_is_named_as_such() {
        let mut bytes = header().encode();
        bytes[8] = 2;
        let checksum = crc32c::crc32c(&bytes[8..]);
        bytes[4..8].copy_from_slice(&checksum.to_le_bytes());
        assert_eq!(
            BatchHeader::parse(&bytes),
            Err(BatchError::Newer { found: 2 })
        );
    }
}
