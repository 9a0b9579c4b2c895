//! The record: one framed unit in a log and in an append message, the same bytes in both.
//!
//! ```text
//!  0        4          7     8        12       16               24               32
//!  ┌────────┬──────────┬─────┬────────┬────────┬────────────────┬────────────────┬─────────┬─────┐
//!  │checksum│ length   │kind │ group  │ term   │ index          │ time           │ payload │ pad │
//!  │ u32    │ u24      │ u8  │ u32    │ u32    │ u64            │ u64            │ length  │ to 8│
//!  └────────┴──────────┴─────┴────────┴────────┴────────────────┴────────────────┴─────────┴─────┘
//! ```
//!
//! * The checksum is CRC-32C over everything behind it up to the end of the payload. It leaves out where the
//!   record stands, so a follower stores what its leader sent byte for byte.
//! * `time` of an entry is its log time. A record of storage's own has no log time; there it is the sequence
//!   of the batch that the record was first written in (its *origin*), which tells it from one that an earlier
//!   generation of the segment left at the same place.
//! * `length` counts the payload only. Padding is zero when written and ignored when read.
//!
//! Bytes come from disks and networks: a [`RecordView`] is made by checking, and never by trusting.

use crate::limits;
use margay_raft::{EntryKind, EntryView, Position};
use margay_types::{GroupId, Index, LogTime, Term};
use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Bytes of a record before its payload.
pub const RECORD_HEADER_BYTES: usize = 32;
/// Records start at multiples of this.
pub const RECORD_ALIGNMENT: usize = 8;
/// The longest payload that the three length bytes can say.
pub const RECORD_PAYLOAD_BYTES_MAX: usize = (1 << 24) - 1;

/// Where a command's part count stands in its payload: session u64, sequence u64, distance u16, *parts u16*.
const PARTS_AT: usize = 18;

const _: () = assert!(size_of::<Header>() == RECORD_HEADER_BYTES);
const _: () = assert!(
    limits::RECORD_BYTES_MAX <= RECORD_PAYLOAD_BYTES_MAX,
    "the largest record must be expressible in three bytes"
);

/// What a record is for: an entry of a group's log, or one of storage's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RecordKind {
    /// An entry, by the numbers that `raft` and storage share.
    Entry(EntryKind),
    /// A replica is born: who it is and how its group starts. Its checkpoint 0.
    Created,
    /// Term and vote.
    HardState,
    /// Where a group stood when a segment began: see [`super::payload::Head`].
    Head,
    /// Entries from an index on are gone.
    Truncation,
    /// Parts of entries that were released.
    Marks,
    /// A piece of a checkpoint's stream.
    CheckpointChunk,
    /// A checkpoint is complete.
    CheckpointPointer,
    /// A group moved here from another log.
    Adopt,
    /// The replica is gone for good.
    GroupRemoved,
    /// Another record, moved to the tail with its origin.
    Copy,
    /// What became durable lately: see [`super::witness`].
    Witness,
    /// A process life begins.
    Restart,
}

impl RecordKind {
    /// The number in the header. Entries have 1..=12; those of storage start at 0x20.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Entry(kind) => kind.number(),
            Self::Created => 0x20,
            Self::HardState => 0x21,
            Self::Head => 0x22,
            Self::Truncation => 0x23,
            Self::Marks => 0x24,
            Self::CheckpointChunk => 0x25,
            Self::CheckpointPointer => 0x26,
            Self::Adopt => 0x27,
            Self::GroupRemoved => 0x28,
            Self::Copy => 0x29,
            Self::Witness => 0x2A,
            Self::Restart => 0x2B,
        }
    }

    /// What it is called, for people and for programs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Entry(kind) => entry_name(kind),
            Self::Created => "created",
            Self::HardState => "hard_state",
            Self::Head => "head",
            Self::Truncation => "truncation",
            Self::Marks => "marks",
            Self::CheckpointChunk => "checkpoint_chunk",
            Self::CheckpointPointer => "checkpoint_pointer",
            Self::Adopt => "adopt",
            Self::GroupRemoved => "group_removed",
            Self::Copy => "copy",
            Self::Witness => "witness",
            Self::Restart => "restart",
        }
    }

    /// The kind behind a number, if this version knows it.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            0x20 => Self::Created,
            0x21 => Self::HardState,
            0x22 => Self::Head,
            0x23 => Self::Truncation,
            0x24 => Self::Marks,
            0x25 => Self::CheckpointChunk,
            0x26 => Self::CheckpointPointer,
            0x27 => Self::Adopt,
            0x28 => Self::GroupRemoved,
            0x29 => Self::Copy,
            0x2A => Self::Witness,
            0x2B => Self::Restart,
            other => match EntryKind::from_number(other) {
                Some(kind) => Self::Entry(kind),
                None => return None,
            },
        })
    }
}

const fn entry_name(kind: EntryKind) -> &'static str {
    match kind {
        EntryKind::NoOp => "no_op",
        EntryKind::Configuration => "configuration",
        EntryKind::CommandPlain => "command",
        EntryKind::CommandKeeping => "command_keeping",
        EntryKind::Open => "open",
        EntryKind::Close => "close",
        EntryKind::Expire => "expire",
        EntryKind::Refresh => "refresh",
        EntryKind::Tick => "tick",
        EntryKind::Skip => "skip",
        EntryKind::Checkpoint => "checkpoint",
        EntryKind::Settings => "settings",
    }
}

/// A record without its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordFields {
    /// What it is for.
    pub kind: RecordKind,
    /// Whose it is; [`GroupId::LOG`] for the log's own.
    pub group: GroupId,
    /// Term of an entry; of other records what their kind says.
    pub term: Term,
    /// Index of an entry; of other records what their kind says.
    pub index: Index,
    /// Log time of an entry; of other records the sequence of the batch they were first written in.
    pub time: u64,
}

/// What stands before every payload, as drawn above.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct Header {
    checksum: U32,
    length: [u8; 3],
    kind: u8,
    group: U32,
    term: U32,
    index: U64,
    time: U64,
}

/// Why bytes are not a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The bytes end before the record does. Cut the message, or take the record as damaged.
    #[error("a record of {needed} bytes in {given}")]
    Short {
        /// Bytes that the record needs, as far as its header can be read.
        needed: usize,
        /// Bytes that are there.
        given: usize,
    },
    /// Not what was written. The record is lost here; others may have it.
    #[error("record checksum {stored:#010x}, computed {computed:#010x}")]
    Checksum {
        /// What the header says.
        stored: u32,
        /// What the bytes give.
        computed: u32,
    },
    /// Intact, but of a kind that a newer version made. Run that version.
    #[error("record kind {0:#04x} is not known to this version")]
    UnknownKind(u8),
}

/// The header of a record whose payload consists of `pieces`, checksum included.
///
/// # Panics
/// If the payload is longer than [`RECORD_PAYLOAD_BYTES_MAX`].
#[must_use]
pub fn header(fields: &RecordFields, pieces: &[&[u8]]) -> [u8; RECORD_HEADER_BYTES] {
    let length: usize = pieces.iter().map(|piece| piece.len()).sum();
    assert!(
        length <= RECORD_PAYLOAD_BYTES_MAX,
        "a payload of {length} bytes cannot be framed"
    );
    let [a, b, c, ..] = (length as u64).to_le_bytes();
    let mut header = Header {
        checksum: U32::ZERO,
        length: [a, b, c],
        kind: fields.kind.number(),
        group: U32::new(fields.group.number()),
        term: U32::new(fields.term.number()),
        index: U64::new(fields.index.number()),
        time: U64::new(fields.time),
    };
    let framed = crc32c::crc32c(&header.as_bytes()[4..]);
    let checksum = pieces.iter().fold(framed, |checksum, piece| {
        crc32c::crc32c_append(checksum, piece)
    });
    header.checksum = U32::new(checksum);
    let mut bytes = [0; RECORD_HEADER_BYTES];
    bytes.copy_from_slice(header.as_bytes());
    bytes
}

/// A whole record, padding included: for tests and for what is written rarely.
#[must_use]
pub fn encode(fields: &RecordFields, payload: &[u8]) -> Vec<u8> {
    let mut bytes = header(fields, &[payload]).to_vec();
    bytes.extend_from_slice(payload);
    bytes.resize(record_bytes(payload.len()), 0);
    bytes
}

/// Bytes that a record with such a payload takes, padding included.
#[must_use]
pub const fn record_bytes(payload_bytes: usize) -> usize {
    (RECORD_HEADER_BYTES + payload_bytes).next_multiple_of(RECORD_ALIGNMENT)
}

/// A checked record, lent from bytes that hold it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordView<'a> {
    fields: RecordFields,
    bytes: &'a [u8],
    payload: &'a [u8],
}

impl<'a> RecordView<'a> {
    /// The record at the start of `bytes`.
    ///
    /// # Errors
    /// If there is no whole, intact record of a known kind.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, RecordError> {
        Self::read(bytes, Self::verify)
    }

    /// The record at the start of memory that holds only records which were checked, or made, here.
    ///
    /// # Errors
    /// As for [`Self::parse`]; a wrong checksum is noticed in debug builds.
    fn parse_checked(bytes: &'a [u8]) -> Result<Self, RecordError> {
        Self::read(bytes, |header, payload| {
            debug_assert_eq!(
                Self::verify(header, payload),
                Ok(()),
                "a checked record has changed in memory"
            );
            Ok(())
        })
    }

    fn verify(header: &Header, payload: &[u8]) -> Result<(), RecordError> {
        let framed = crc32c::crc32c(&header.as_bytes()[4..]);
        let computed = crc32c::crc32c_append(framed, payload);
        let stored = header.checksum.get();
        if stored == computed {
            Ok(())
        } else {
            Err(RecordError::Checksum { stored, computed })
        }
    }

    fn read(
        bytes: &'a [u8],
        verify: impl FnOnce(&Header, &[u8]) -> Result<(), RecordError>,
    ) -> Result<Self, RecordError> {
        let short = |needed| RecordError::Short {
            needed,
            given: bytes.len(),
        };
        let (header, behind) =
            Header::ref_from_prefix(bytes).map_err(|_| short(RECORD_HEADER_BYTES))?;
        let [a, b, c] = header.length;
        let length = usize::from(a) | usize::from(b) << 8 | usize::from(c) << 16;
        let whole = bytes
            .get(..record_bytes(length))
            .ok_or(short(record_bytes(length)))?;
        let payload = behind.get(..length).ok_or(short(record_bytes(length)))?;
        verify(header, payload)?;
        let kind =
            RecordKind::from_number(header.kind).ok_or(RecordError::UnknownKind(header.kind))?;
        let fields = RecordFields {
            kind,
            group: GroupId::new(header.group.get()),
            term: Term::new(header.term.get()),
            index: Index::new(header.index.get()),
            time: header.time.get(),
        };
        Ok(Self {
            fields,
            bytes: whole,
            payload,
        })
    }

    /// All but the payload.
    #[must_use]
    pub fn fields(&self) -> &RecordFields {
        &self.fields
    }

    /// What it is for.
    #[must_use]
    pub fn kind(&self) -> RecordKind {
        self.fields.kind
    }

    /// Whose it is.
    #[must_use]
    pub fn group(&self) -> GroupId {
        self.fields.group
    }

    /// Index of an entry; of other records what their kind says.
    #[must_use]
    pub fn index(&self) -> Index {
        self.fields.index
    }

    /// Term of an entry; of other records what their kind says.
    #[must_use]
    pub fn term(&self) -> Term {
        self.fields.term
    }

    /// Term and index.
    #[must_use]
    pub fn position(&self) -> Position {
        Position {
            term: self.fields.term,
            index: self.fields.index,
        }
    }

    /// Log time of an entry. Records of storage's own have none.
    #[must_use]
    pub fn log_time(&self) -> Option<LogTime> {
        let is_entry = matches!(self.fields.kind, RecordKind::Entry(_));
        is_entry.then(|| LogTime::new(self.fields.time))
    }

    /// Header, payload and padding: what is stored and sent.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The checksum in its header.
    #[must_use]
    pub fn checksum(&self) -> u32 {
        self.bytes
            .first_chunk()
            .map_or(0, |bytes| u32::from_le_bytes(*bytes))
    }

    /// What it carries.
    #[must_use]
    pub fn payload(&self) -> &'a [u8] {
        self.payload
    }

    /// The entry as the core sees it, if this is one.
    #[must_use]
    pub fn entry(&self) -> Option<EntryView<'a>> {
        let RecordKind::Entry(kind) = self.fields.kind else {
            return None;
        };
        let size_bytes = u32::try_from(self.bytes.len()).ok()?;
        Some(EntryView {
            position: self.position(),
            kind,
            size_bytes,
            payload: self.payload,
        })
    }

    /// How many effects of the entry may live on: 0 unless it is a command that may keep its entry.
    #[must_use]
    pub fn parts(&self) -> u16 {
        if self.fields.kind != RecordKind::Entry(EntryKind::CommandKeeping) {
            return 0;
        }
        let parts = self
            .payload
            .get(PARTS_AT..)
            .and_then(|behind| behind.first_chunk());
        parts.map_or(0, |bytes| u16::from_le_bytes(*bytes))
    }
}

/// The records that stand one behind the other in `bytes`: the body of an append, a piece of a batch.
#[must_use]
pub fn records(bytes: &[u8]) -> Records<'_> {
    Records { bytes, offset: 0 }
}

/// The records of memory that the log lends: each was checked when it came from a peer or from the disk, or was made
/// here, and is not checked again.
///
/// # Panics
/// When there is something else: a mistake of ours.
pub fn lent_records(bytes: &[u8]) -> impl Iterator<Item = RecordView<'_>> {
    let mut left = bytes;
    std::iter::from_fn(move || {
        if left.is_empty() {
            return None;
        }
        let record = RecordView::parse_checked(left);
        let record = record.expect("the log lends whole records");
        left = left.get(record.bytes.len()..).unwrap_or_default();
        Some(record)
    })
}

/// Iterator of [`records`]. It ends behind the first bytes that are not a record, having said so.
#[derive(Clone, Debug)]
pub struct Records<'a> {
    bytes: &'a [u8],
    offset: usize,
}

impl Records<'_> {
    /// Where the next record starts; after an error, where the bad one does.
    #[must_use]
    pub fn offset(&self) -> usize {
        self.offset
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<RecordView<'a>, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.bytes.is_empty() {
            return None;
        }
        let record = RecordView::parse(self.bytes);
        match &record {
            Ok(record) => {
                self.offset += record.bytes.len();
                self.bytes = self.bytes.get(record.bytes.len()..).unwrap_or_default();
            }
            Err(_) => self.bytes = &[],
        }
        Some(record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn fields(kind: RecordKind) -> RecordFields {
        RecordFields {
            kind,
            group: GroupId::new(0x0403_0201),
            term: Term::new(7),
            index: Index::new(9),
            time: 0x1122_3344_5566_7788,
        }
    }

    #[test]
    fn the_bytes_of_a_record_stay_as_they_were_first_written() {
        let bytes = encode(
            &fields(RecordKind::Entry(EntryKind::CommandPlain)),
            b"margay",
        );
        let golden = [
            0x5B, 0xFE, 0xC2, 0x42, 6, 0, 0, 3, 1, 2, 3, 4, 7, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0,
            0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, b'm', b'a', b'r', b'g', b'a', b'y', 0,
            0,
        ];
        assert_eq!(bytes, golden);
    }

    #[test]
    fn what_is_encoded_reads_back() {
        let fields = fields(RecordKind::HardState);
        let bytes = encode(&fields, b"abc");
        let record = RecordView::parse(&bytes).unwrap();
        assert_eq!(*record.fields(), fields);
        assert_eq!(record.payload(), b"abc");
        assert_eq!(record.bytes(), bytes);
        assert_eq!(record.log_time(), None);
    }

    #[test]
    fn pieces_give_the_same_header_as_the_whole() {
        let fields = fields(RecordKind::Marks);
        assert_eq!(
            header(&fields, &[b"ab", b"", b"c"]),
            header(&fields, &[b"abc"])
        );
    }

    #[test]
    fn every_flipped_bit_but_those_of_the_padding_is_found() {
        let bytes = encode(&fields(RecordKind::Entry(EntryKind::Tick)), b"margay");
        for bit in 0..38 * 8 {
            let mut bad = bytes.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(RecordView::parse(&bad).is_err(), "bit {bit} went unseen");
        }
    }

    #[test]
    fn every_cut_is_found() {
        let bytes = encode(&fields(RecordKind::Entry(EntryKind::Tick)), b"margay");
        for length in 0..bytes.len() {
            let short = RecordView::parse(&bytes[..length]);
            assert!(
                matches!(short, Err(RecordError::Short { .. })),
                "{length}: {short:?}"
            );
        }
    }

    #[test]
    fn numbers_of_kinds_are_frozen_and_read_back() {
        let numbers: Vec<u8> = (0..=255)
            .filter(|number| RecordKind::from_number(*number).is_some())
            .collect();
        let expected: Vec<u8> = (1..=12).chain(0x20..=0x2B).collect();
        assert_eq!(numbers, expected);
        let kinds = numbers.iter().copied().filter_map(RecordKind::from_number);
        let names: BTreeSet<&str> = kinds.map(RecordKind::name).collect();
        assert_eq!(names.len(), numbers.len(), "two kinds have one name");
        for number in numbers {
            assert_eq!(
                RecordKind::from_number(number).map(RecordKind::number),
                Some(number)
            );
        }
    }

    #[test]
    fn records_end_with_the_first_bad_one() {
        let mut bytes = encode(&fields(RecordKind::Entry(EntryKind::NoOp)), b"");
        let good = bytes.len();
        bytes.extend_from_slice(&encode(&fields(RecordKind::Entry(EntryKind::Tick)), b"x"));
        bytes[good] ^= 1;
        let mut records = records(&bytes);
        assert!(records.next().unwrap().is_ok());
        assert!(records.next().unwrap().is_err());
        assert_eq!(records.offset(), good);
        assert!(records.next().is_none());
    }

    #[test]
    fn only_a_keeping_command_has_parts() {
        let mut payload = [0; 24];
        payload[18..20].copy_from_slice(&3u16.to_le_bytes());
        let keeping = encode(
            &fields(RecordKind::Entry(EntryKind::CommandKeeping)),
            &payload,
        );
        let plain = encode(
            &fields(RecordKind::Entry(EntryKind::CommandPlain)),
            &payload,
        );
        assert_eq!(RecordView::parse(&keeping).unwrap().parts(), 3);
        assert_eq!(RecordView::parse(&plain).unwrap().parts(), 0);
    }
}
