//! What a batch holds, in few bytes: so that a damaged record has a name.
//!
//! The directory stands behind the records, because these are already being sent while the batch fills. Each
//! run names records that stand next to each other; a copy of the whole goes into a later batch's witness.
//!
//! ```text
//!  0        4        8                16
//!  ┌────────┬────────┬────────────────┬───────┬───────┬─────
//!  │checksum│ runs   │ batch sequence │ run 0 │ run 1 │ ...
//!  │ u32    │ u32    │ u64            │ 32 B  │ 32 B  │
//!  └────────┴────────┴────────────────┴───────┴───────┴─────
//!  run:
//!  0        4        8                16       20       24       28       32
//!  ┌────────┬────────┬────────────────┬────────┬────────┬────────┬────────┐
//!  │ group  │ term   │ first index    │ count  │ offset │ bytes  │ class  │
//!  │ u32    │ u32    │ u64            │ u32    │ u32    │ u32    │ u32    │
//!  └────────┴────────┴────────────────┴────────┴────────┴────────┴────────┘
//! ```
//!
//! * `offset` of a run's first record counts from the start of the batch; runs follow each other without a gap,
//!   from the end of the batch's header to its directory.
//! * A run of entries has consecutive indexes of one group, term and class. Every other record is a run of its
//!   own, with the header's term and index.
//! * The checksum covers everything behind it; the batch's header repeats it, so that no directory of an earlier
//!   generation passes for this one's.

use super::record::{RecordFields, RecordKind};
use crate::limits;
use margay_raft::EntryKind;
use margay_types::{GroupId, Index, Term};
use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Bytes of a directory before its runs.
pub const DIRECTORY_HEADER_BYTES: usize = 16;
/// Bytes of one run.
pub const RUN_BYTES: usize = 32;
/// Runs in a full directory.
pub const RUNS_MAX: usize = (limits::DIRECTORY_BYTES_MAX - DIRECTORY_HEADER_BYTES) / RUN_BYTES;

const _: () = assert!(size_of::<RunLayout>() == RUN_BYTES);
const _: () = assert!(size_of::<HeaderLayout>() == DIRECTORY_HEADER_BYTES);

/// What is lost when a record of the run is: this decides what its group may still do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u32)]
pub enum RunClass {
    /// Entries that are not needed once applied.
    Plain = 0,
    /// A configuration: without it the quorum is unknown.
    Configuration = 1,
    /// Commands whose entries may live on.
    Keeping = 2,
    /// A hard state, alone, with a birth or in a head: without it a promise may be forgotten.
    HardState = 3,
    /// A truncation or a removal: without it the dead come back.
    Truncation = 4,
    /// Anything else of storage's own.
    Other = 5,
}

impl RunClass {
    /// The class of a record.
    #[must_use]
    pub const fn of(kind: RecordKind) -> Self {
        match kind {
            RecordKind::Entry(EntryKind::Configuration) => Self::Configuration,
            RecordKind::Entry(EntryKind::CommandKeeping) => Self::Keeping,
            RecordKind::Entry(
                EntryKind::NoOp
                | EntryKind::CommandPlain
                | EntryKind::Open
                | EntryKind::Close
                | EntryKind::Expire
                | EntryKind::Refresh
                | EntryKind::Tick
                | EntryKind::Skip
                | EntryKind::Checkpoint
                | EntryKind::Settings,
            ) => Self::Plain,
            RecordKind::Created | RecordKind::HardState | RecordKind::Head | RecordKind::Adopt => {
                Self::HardState
            }
            RecordKind::Truncation | RecordKind::GroupRemoved => Self::Truncation,
            RecordKind::Marks
            | RecordKind::CheckpointChunk
            | RecordKind::CheckpointPointer
            | RecordKind::Copy
            | RecordKind::Witness
            | RecordKind::Restart => Self::Other,
        }
    }

    /// Does the run consist of entries?
    #[must_use]
    pub const fn is_entries(self) -> bool {
        match self {
            Self::Plain | Self::Configuration | Self::Keeping => true,
            Self::HardState | Self::Truncation | Self::Other => false,
        }
    }

    /// What it is called, for people and for programs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Configuration => "configuration",
            Self::Keeping => "keeping",
            Self::HardState => "hard_state",
            Self::Truncation => "truncation",
            Self::Other => "other",
        }
    }

    /// The number in a run.
    #[must_use]
    pub const fn number(self) -> u32 {
        self as u32
    }

    /// The class behind a number.
    #[must_use]
    pub const fn from_number(number: u32) -> Option<Self> {
        Some(match number {
            0 => Self::Plain,
            1 => Self::Configuration,
            2 => Self::Keeping,
            3 => Self::HardState,
            4 => Self::Truncation,
            5 => Self::Other,
            _ => return None,
        })
    }
}

/// Records of one group that stand next to each other in a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Whose they are.
    pub group: GroupId,
    /// Their term.
    pub term: Term,
    /// Index of the first.
    pub first: Index,
    /// How many; at least 1.
    pub count: u32,
    /// Where the first starts, from the start of the batch.
    pub offset: u32,
    /// Bytes of all of them.
    pub bytes: u32,
    /// What they are.
    pub class: RunClass,
}

impl Run {
    /// A run of one record that starts at `offset`.
    #[must_use]
    pub fn of(fields: &RecordFields, offset: u32, bytes: u32) -> Self {
        Self {
            group: fields.group,
            term: fields.term,
            first: fields.index,
            count: 1,
            offset,
            bytes,
            class: RunClass::of(fields.kind),
        }
    }

    /// Index of its last record.
    #[must_use]
    pub const fn last(&self) -> Index {
        self.first.plus(self.count as u64 - 1)
    }

    /// Where its last record ends, from the start of the batch.
    #[must_use]
    pub const fn end(&self) -> u64 {
        self.offset as u64 + self.bytes as u64
    }

    /// Takes the record that follows, if it belongs to the run; says whether it did.
    pub fn extend(&mut self, next: &Run) -> bool {
        let follows = self.class.is_entries()
            && self.class == next.class
            && self.group == next.group
            && self.term == next.term
            && self.last().next() == next.first
            && self.end() == u64::from(next.offset);
        if follows {
            self.count += next.count;
            self.bytes += next.bytes;
        }
        follows
    }
}

/// The bytes, as drawn above.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct RunLayout {
    group: U32,
    term: U32,
    first: U64,
    count: U32,
    offset: U32,
    bytes: U32,
    class: U32,
}

/// The bytes, as drawn above.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct HeaderLayout {
    checksum: U32,
    runs: U32,
    sequence: U64,
}

/// Why bytes are not the directory of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DirectoryError {
    /// It says to be longer than the bytes, or than a directory may be.
    #[error("a directory of {runs} runs in {given} bytes")]
    Length {
        /// Runs it says to have.
        runs: u32,
        /// Bytes that are there.
        given: usize,
    },
    /// Not what was written: take the copy of a witness.
    #[error("directory checksum {stored:#010x}, computed {computed:#010x}")]
    Checksum {
        /// What stands there.
        stored: u32,
        /// What the bytes give.
        computed: u32,
    },
    /// Intact, but of another batch.
    #[error("the directory belongs to batch {found}")]
    Sequence {
        /// Whose it is.
        found: u64,
    },
    /// Intact, but it does not say what a directory can say: made by a newer version or by a mistake.
    #[error("run {0} of the directory makes no sense")]
    Run(usize),
}

/// Bytes of a directory with so many runs.
#[must_use]
pub const fn directory_bytes(runs: usize) -> usize {
    DIRECTORY_HEADER_BYTES + runs * RUN_BYTES
}

/// Appends the directory of batch `sequence` to `out`; gives its checksum.
///
/// # Panics
/// If there are more runs than a directory may have.
pub fn encode(sequence: u64, runs: &[Run], out: &mut Vec<u8>) -> u32 {
    assert!(
        runs.len() <= RUNS_MAX,
        "{} runs in one directory",
        runs.len()
    );
    let start = out.len();
    let count = u32::try_from(runs.len()).expect("at most RUNS_MAX");
    let header = HeaderLayout {
        checksum: U32::ZERO,
        runs: U32::new(count),
        sequence: U64::new(sequence),
    };
    out.extend_from_slice(header.as_bytes());
    for run in runs {
        let layout = RunLayout {
            group: U32::new(run.group.number()),
            term: U32::new(run.term.number()),
            first: U64::new(run.first.number()),
            count: U32::new(run.count),
            offset: U32::new(run.offset),
            bytes: U32::new(run.bytes),
            class: U32::new(run.class.number()),
        };
        out.extend_from_slice(layout.as_bytes());
    }
    let checksum = crc32c::crc32c(&out[start + 4..]);
    out[start..start + 4].copy_from_slice(&checksum.to_le_bytes());
    checksum
}

/// A directory, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directory {
    /// The batch it belongs to.
    pub sequence: u64,
    /// Its checksum, as the batch's header repeats it.
    pub checksum: u32,
    /// What the batch holds, in order of offsets.
    pub runs: Vec<Run>,
}

impl Directory {
    /// The directory of batch `sequence` at the start of `bytes`.
    ///
    /// # Errors
    /// If it is damaged, of another batch, or none.
    pub fn parse(bytes: &[u8], sequence: u64) -> Result<Self, DirectoryError> {
        let length = |runs| DirectoryError::Length {
            runs,
            given: bytes.len(),
        };
        let (header, _) = HeaderLayout::ref_from_prefix(bytes).map_err(|_| length(0))?;
        let count = header.runs.get();
        let runs = usize::try_from(count).ok().filter(|runs| *runs <= RUNS_MAX);
        let runs = runs.ok_or(length(count))?;
        let whole = bytes.get(..directory_bytes(runs)).ok_or(length(count))?;
        let stored = header.checksum.get();
        let computed = crc32c::crc32c(&whole[4..]);
        if stored != computed {
            return Err(DirectoryError::Checksum { stored, computed });
        }
        if header.sequence.get() != sequence {
            return Err(DirectoryError::Sequence {
                found: header.sequence.get(),
            });
        }
        let runs = whole[DIRECTORY_HEADER_BYTES..]
            .chunks_exact(RUN_BYTES)
            .enumerate();
        let runs = runs.map(|(number, bytes)| parse_run(bytes).ok_or(DirectoryError::Run(number)));
        Ok(Self {
            sequence,
            checksum: stored,
            runs: runs.collect::<Result<_, _>>()?,
        })
    }

    /// Where the records that it names end, from the start of the batch.
    #[must_use]
    pub fn records_end(&self) -> Option<u64> {
        self.runs.last().map(Run::end)
    }
}

fn parse_run(bytes: &[u8]) -> Option<Run> {
    let layout = RunLayout::ref_from_bytes(bytes).ok()?;
    let class = RunClass::from_number(layout.class.get())?;
    let (first, count) = (layout.first.get(), layout.count.get());
    let sensible = count > 0 && first.checked_add(u64::from(count)).is_some();
    sensible.then(|| Run {
        group: GroupId::new(layout.group.get()),
        term: Term::new(layout.term.get()),
        first: Index::new(first),
        count,
        offset: layout.offset.get(),
        bytes: layout.bytes.get(),
        class,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(first: u64, count: u32, offset: u32, bytes: u32) -> Run {
        Run {
            group: GroupId::new(5),
            term: Term::new(2),
            first: Index::new(first),
            count,
            offset,
            bytes,
            class: RunClass::Plain,
        }
    }

    #[test]
    fn the_bytes_of_a_directory_stay_as_they_were_first_written() {
        let mut bytes = Vec::new();
        let checksum = encode(0x0807_0605_0403_0201, &[run(9, 3, 96, 120)], &mut bytes);
        let golden = [
            1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 5, 0, 0, 0, 2, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 3,
            0, 0, 0, 96, 0, 0, 0, 120, 0, 0, 0, 0, 0, 0, 0,
        ];
        assert_eq!(bytes[4..], golden);
        assert_eq!(bytes[..4], checksum.to_le_bytes());
        assert_eq!(checksum, crc32c::crc32c(&golden));
    }

    #[test]
    fn what_is_encoded_reads_back() {
        let runs = [run(1, 3, 96, 120), run(9, 1, 216, 40)];
        let mut bytes = Vec::new();
        let checksum = encode(77, &runs, &mut bytes);
        let directory = Directory::parse(&bytes, 77).unwrap();
        assert_eq!(
            (directory.checksum, &directory.runs[..]),
            (checksum, &runs[..])
        );
        assert_eq!(directory.records_end(), Some(256));
    }

    #[test]
    fn the_directory_of_another_batch_is_refused() {
        let mut bytes = Vec::new();
        encode(77, &[], &mut bytes);
        assert_eq!(
            Directory::parse(&bytes, 78),
            Err(DirectoryError::Sequence { found: 77 })
        );
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_found() {
        let mut bytes = Vec::new();
        encode(77, &[run(1, 3, 96, 120)], &mut bytes);
        for bit in 0..bytes.len() * 8 {
            let mut bad = bytes.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(Directory::parse(&bad, 77).is_err(), "bit {bit} went unseen");
        }
        for length in 0..bytes.len() {
            assert!(
                Directory::parse(&bytes[..length], 77).is_err(),
                "cut at {length}"
            );
        }
    }

    #[test]
    fn a_run_takes_what_follows_in_index_term_class_and_place() {
        let mut whole = run(1, 3, 96, 120);
        assert!(whole.extend(&run(4, 1, 216, 40)));
        assert_eq!(whole, run(1, 4, 96, 160));
        assert!(!whole.extend(&run(6, 1, 256, 40)), "an index is missing");
        assert!(
            !whole.extend(&run(5, 1, 296, 40)),
            "another group's record is between"
        );
        let other_term = Run {
            term: Term::new(3),
            ..run(5, 1, 256, 40)
        };
        assert!(!whole.extend(&other_term));
        let keeping = Run {
            class: RunClass::Keeping,
            ..run(5, 1, 256, 40)
        };
        assert!(!whole.extend(&keeping));
    }

    #[test]
    fn hard_states_never_share_a_run() {
        let mut first = Run {
            class: RunClass::HardState,
            ..run(1, 1, 96, 40)
        };
        assert!(!first.extend(&Run {
            class: RunClass::HardState,
            ..run(2, 1, 136, 40)
        }));
    }
}
