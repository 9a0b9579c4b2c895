//! The manifest of a log: which segments are alive, in use or spare.
//!
//! ```text
//!  0        4         8                16              24
//!  ┌────────┬─────────┬────────────────┬───────────────┬─────────┬─────────┬─────
//!  │ log id │ entries │ segment bytes  │ zero          │ entry 0 │ entry 1 │ ...
//!  │ u32    │ u32     │ u64            │ u64           │ 40 B    │ 40 B    │
//!  └────────┴─────────┴────────────────┴───────────────┴─────────┴─────────┴─────
//!  entry: number u32 · generation u32 · first sequence u64 · last sequence u64 · hash of the last header 16 B
//! ```
//!
//! Spares are listed before they are used, so a switch of segments writes no manifest: sequences and hash are
//! zeros while they are not known, and are filled in for full segments whenever the manifest is written next.

use super::batch::{HeaderHash, SegmentName};
use super::manifest::{MANIFEST_HEADER_BYTES, ManifestError};
use crate::limits;
use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// A log lies in a folder of the data directory with this and its id for a name.
pub const LOG_DIRECTORY_PREFIX: &str = "log-";

/// Version of the layout.
pub const FORMAT: u16 = 1;
/// Size of a copy.
pub const FILE_BYTES: usize =
    (MANIFEST_HEADER_BYTES + size_of::<HeaderLayout>() + limits::SEGMENTS_MAX * ENTRY_BYTES)
        .next_multiple_of(limits::WRITE_UNIT_BYTES);

const ENTRY_BYTES: usize = 40;
const _: () = assert!(size_of::<EntryLayout>() == ENTRY_BYTES);

/// A segment that is alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentEntry {
    /// Which file, in which of its lives.
    pub name: SegmentName,
    /// Set when the segment was full at the writing of the manifest.
    pub full: Option<FullSegment>,
}

/// What a full segment holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FullSegment {
    /// Sequence of its first batch; never 0.
    pub first_sequence: u64,
    /// Sequence of its last batch.
    pub last_sequence: u64,
    /// Names the header of its last batch.
    pub last_hash: HeaderHash,
}

/// What the manifest of a log says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogManifest {
    /// The log.
    pub log_id: u32,
    /// Size of its segments.
    pub segment_bytes: u64,
    /// Segments that are alive, spares included, by number.
    pub segments: Vec<SegmentEntry>,
}

/// The bytes, as drawn above.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct HeaderLayout {
    log_id: U32,
    entries: U32,
    segment_bytes: U64,
    zero: U64,
}

/// The bytes, as drawn above.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct EntryLayout {
    number: U32,
    generation: U32,
    first_sequence: U64,
    last_sequence: U64,
    last_hash: [u8; 16],
}

impl LogManifest {
    /// The body of its copies.
    ///
    /// # Panics
    /// If there are more segments than the files have room for.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        assert!(
            self.segments.len() <= limits::SEGMENTS_MAX,
            "more segments than a manifest holds"
        );
        let entries = u32::try_from(self.segments.len()).expect("at most SEGMENTS_MAX");
        let header = HeaderLayout {
            log_id: U32::new(self.log_id),
            entries: U32::new(entries),
            segment_bytes: U64::new(self.segment_bytes),
            zero: U64::ZERO,
        };
        let mut bytes = header.as_bytes().to_vec();
        for segment in &self.segments {
            let full = segment.full.unwrap_or(FullSegment {
                first_sequence: 0,
                last_sequence: 0,
                last_hash: HeaderHash::ZERO,
            });
            let entry = EntryLayout {
                number: U32::new(segment.name.number),
                generation: U32::new(segment.name.generation),
                first_sequence: U64::new(full.first_sequence),
                last_sequence: U64::new(full.last_sequence),
                last_hash: full.last_hash.0,
            };
            bytes.extend_from_slice(entry.as_bytes());
        }
        bytes
    }

    /// What a copy's body says.
    ///
    /// # Errors
    /// If it is not the body of a log's manifest.
    pub fn parse(body: &[u8]) -> Result<Self, ManifestError> {
        let (header, entries) =
            HeaderLayout::ref_from_prefix(body).map_err(|_| ManifestError::Body)?;
        let count = usize::try_from(header.entries.get()).map_err(|_| ManifestError::Body)?;
        if count > limits::SEGMENTS_MAX || entries.len() != count * ENTRY_BYTES {
            return Err(ManifestError::Body);
        }
        let segments = entries.chunks_exact(ENTRY_BYTES).map(parse_entry);
        let segments = segments
            .collect::<Option<Vec<_>>>()
            .ok_or(ManifestError::Body)?;
        let ordered = segments.is_sorted_by(|a, b| a.name.number < b.name.number);
        let (log_id, segment_bytes) = (header.log_id.get(), header.segment_bytes.get());
        match ordered {
            true => Ok(Self {
                log_id,
                segment_bytes,
                segments,
            }),
            false => Err(ManifestError::Body),
        }
    }
}

fn parse_entry(bytes: &[u8]) -> Option<SegmentEntry> {
    let entry = EntryLayout::ref_from_bytes(bytes).ok()?;
    let full = FullSegment {
        first_sequence: entry.first_sequence.get(),
        last_sequence: entry.last_sequence.get(),
        last_hash: HeaderHash(entry.last_hash),
    };
    Some(SegmentEntry {
        name: SegmentName {
            number: entry.number.get(),
            generation: entry.generation.get(),
        },
        full: (full.first_sequence > 0).then_some(full),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> LogManifest {
        let full = FullSegment {
            first_sequence: 5,
            last_sequence: 6,
            last_hash: HeaderHash([0xAA; 16]),
        };
        LogManifest {
            log_id: 1,
            segment_bytes: 1 << 26,
            segments: vec![
                SegmentEntry {
                    name: SegmentName {
                        number: 3,
                        generation: 4,
                    },
                    full: Some(full),
                },
                SegmentEntry {
                    name: SegmentName {
                        number: 7,
                        generation: 1,
                    },
                    full: None,
                },
            ],
        }
    }

    #[test]
    fn the_bytes_of_a_log_manifest_stay_as_they_were_first_written() {
        let mut golden = vec![
            1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        ];
        golden.extend([
            3, 0, 0, 0, 4, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0,
        ]);
        golden.extend([0xAA; 16]);
        golden.extend([7, 0, 0, 0, 1, 0, 0, 0]);
        golden.extend([0; 32]);
        assert_eq!(manifest().encode(), golden);
        assert_eq!(FILE_BYTES, 163_840 + 4096);
    }

    #[test]
    fn what_is_encoded_reads_back_and_cuts_are_refused() {
        let bytes = manifest().encode();
        assert_eq!(LogManifest::parse(&bytes), Ok(manifest()));
        for length in 0..bytes.len() {
            assert_eq!(
                LogManifest::parse(&bytes[..length]),
                Err(ManifestError::Body)
            );
        }
    }

    #[test]
    fn one_segment_listed_twice_is_refused() {
        let mut twice = manifest();
        twice.segments[1].name.number = 3;
        assert_eq!(
            LogManifest::parse(&twice.encode()),
            Err(ManifestError::Body)
        );
    }
}
