//! A segment: one file of fixed size, written once from front to back, then freed as a whole and used anew.
//!
//! ```text
//!  0              4096
//!  ┌──────────────┬─────────┬─────────┬───────┬─────────────────────────┐
//!  │ header       │ batch   │ batch   │  ...  │ what the file held before│
//!  └──────────────┴─────────┴─────────┴───────┴─────────────────────────┘
//!  header:
//!   0 magic "MARGAYSG"  8 checksum u32    12 format u16   14 zero u16
//!  16 log id u32       20 number u32      24 generation u32  28 zero u32
//!  32 size in bytes u64                   40 first sequence u64
//!  48 recovery epoch u64                  56 hash that the first batch chains to, 16 bytes
//!  72 zero up to 4096
//! ```
//!
//! The header leaves in the same write as the first batch, so a segment without a header holds nothing. Its
//! checksum covers everything behind it.

use super::batch::{HeaderHash, SegmentName};
use super::block::is_blank;
use crate::limits::SEGMENT_HEADER_BYTES;
use std::path::{Path, PathBuf};
use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Version of the layout of a segment's header.
pub const SEGMENT_FORMAT: u16 = 1;

const MAGIC: [u8; 8] = *b"MARGAYSG";
const CHECKED_FROM: usize = 12;

/// The header of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentHeader {
    /// The log it belongs to.
    pub log_id: u32,
    /// Which file, in which of its lives.
    pub name: SegmentName,
    /// Size of the file.
    pub size_bytes: u64,
    /// Sequence of its first batch.
    pub first_sequence: u64,
    /// Recovery epoch of its first batch.
    pub recovery_epoch: u64,
    /// What its first batch chains to.
    pub previous: HeaderHash,
}

/// The bytes, as drawn above.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct Layout {
    magic: [u8; 8],
    checksum: U32,
    format: U16,
    zero: U16,
    log_id: U32,
    number: U32,
    generation: U32,
    zero_too: U32,
    size_bytes: U64,
    first_sequence: U64,
    recovery_epoch: U64,
    previous: [u8; 16],
}

/// Why bytes are not the header of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SegmentError {
    /// Never written: a spare, or a segment whose first write was torn.
    #[error("blank")]
    Blank,
    /// Fewer bytes than a header has.
    #[error("{0} bytes are no header")]
    Short(usize),
    /// Something else stands there.
    #[error("not a segment")]
    Magic,
    /// Not what was written.
    #[error("segment checksum {stored:#010x}, computed {computed:#010x}")]
    Checksum {
        /// What stands there.
        stored: u32,
        /// What the bytes give.
        computed: u32,
    },
    /// Written by a newer version: run that one.
    #[error("segment format {found}, this version reads up to {SEGMENT_FORMAT}")]
    Newer {
        /// Its format.
        found: u16,
    },
}

impl SegmentHeader {
    /// Its bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let layout = Layout {
            magic: MAGIC,
            checksum: U32::ZERO,
            format: U16::new(SEGMENT_FORMAT),
            zero: U16::ZERO,
            log_id: U32::new(self.log_id),
            number: U32::new(self.name.number),
            generation: U32::new(self.name.generation),
            zero_too: U32::ZERO,
            size_bytes: U64::new(self.size_bytes),
            first_sequence: U64::new(self.first_sequence),
            recovery_epoch: U64::new(self.recovery_epoch),
            previous: self.previous.0,
        };
        let mut bytes = layout.as_bytes().to_vec();
        bytes.resize(SEGMENT_HEADER_BYTES, 0);
        let checksum = crc32c::crc32c(&bytes[CHECKED_FROM..]);
        bytes[8..CHECKED_FROM].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// The header at the start of `bytes`.
    ///
    /// # Errors
    /// If there is no intact header that this version understands.
    pub fn parse(bytes: &[u8]) -> Result<Self, SegmentError> {
        let short = SegmentError::Short(bytes.len());
        let bytes: &[u8; SEGMENT_HEADER_BYTES] = bytes.first_chunk().ok_or(short)?;
        let (layout, _) = Layout::ref_from_prefix(bytes).map_err(|_| short)?;
        if layout.magic != MAGIC {
            return Err(if is_blank(bytes) {
                SegmentError::Blank
            } else {
                SegmentError::Magic
            });
        }
        let stored = layout.checksum.get();
        let computed = crc32c::crc32c(&bytes[CHECKED_FROM..]);
        if stored != computed {
            return Err(SegmentError::Checksum { stored, computed });
        }
        if layout.format.get() > SEGMENT_FORMAT {
            return Err(SegmentError::Newer {
                found: layout.format.get(),
            });
        }
        Ok(Self {
            log_id: layout.log_id.get(),
            name: SegmentName {
                number: layout.number.get(),
                generation: layout.generation.get(),
            },
            size_bytes: layout.size_bytes.get(),
            first_sequence: layout.first_sequence.get(),
            recovery_epoch: layout.recovery_epoch.get(),
            previous: HeaderHash(layout.previous),
        })
    }
}

/// Where segment `number` of a log lies.
#[must_use]
pub fn segment_path(log_directory: &Path, number: u32) -> PathBuf {
    log_directory.join(format!("{number:08}.segment"))
}

/// Where log `log_id` of a node lies.
#[must_use]
pub fn log_directory(data: &Path, log_id: u32) -> PathBuf {
    data.join(format!("log-{log_id}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> SegmentHeader {
        SegmentHeader {
            log_id: 1,
            name: SegmentName {
                number: 2,
                generation: 3,
            },
            size_bytes: 1 << 26,
            first_sequence: 5,
            recovery_epoch: 6,
            previous: HeaderHash([0xEF; 16]),
        }
    }

    #[test]
    fn the_bytes_of_a_header_stay_as_they_were_first_written() {
        let bytes = header().encode();
        let golden = [
            1, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 5,
            0, 0, 0, 0, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0, 0xEF, 0xEF,
        ];
        assert_eq!(bytes.len(), 4096);
        assert_eq!(bytes[..8], *b"MARGAYSG");
        assert_eq!(bytes[12..12 + golden.len()], golden);
        assert_eq!(bytes[8..12], crc32c::crc32c(&bytes[12..]).to_le_bytes());
        assert!(bytes[72..].iter().all(|byte| *byte == 0));
    }

    #[test]
    fn what_is_encoded_reads_back() {
        assert_eq!(SegmentHeader::parse(&header().encode()), Ok(header()));
    }

    #[test]
    fn damage_blank_and_newer_are_told_apart() {
        let mut bytes = header().encode();
        bytes[4000] = 1;
        assert!(matches!(
            SegmentHeader::parse(&bytes),
            Err(SegmentError::Checksum { .. })
        ));
        assert_eq!(SegmentHeader::parse(&[0; 4096]), Err(SegmentError::Blank));
        let mut newer = header().encode();
        newer[12] = 2;
        let checksum = crc32c::crc32c(&newer[12..]);
        newer[8..12].copy_from_slice(&checksum.to_le_bytes());
        assert_eq!(
            SegmentHeader::parse(&newer),
            Err(SegmentError::Newer { found: 2 })
        );
    }

    #[test]
    fn names_of_files_are_frozen() {
        let directory = log_directory(Path::new("data"), 4);
        assert_eq!(
            segment_path(&directory, 12),
            Path::new("data/log-4/00000012.segment")
        );
    }
}
