//! Payloads of the records that are storage's own: fixed layouts, little endian, read by checking.
//!
//! Which numbers stand in the header (`term`, `index`) and which in the payload:
//!
//! ```text
//!  kind               header term   header index     payload
//!  created            recovery no.  0                replica number u16 · zero u16 · name length u32 · incarnation 16
//!                                                     · name · description (the shard's)
//!  hard state         term          0                voted for u16 (0: nobody) · zero u16 · zero u32
//!  head               hard term     last index       see [`Head`]
//!  truncation         term          first gone       nothing
//!  marks              0             greatest `released by`   items: index u64 · released by u64 · part u16 · zero 6
//!  checkpoint chunk   0             C                stream epoch u64 · number u32 · zero u32 · bytes
//!  checkpoint pointer term at C     C                see [`CheckpointPointer`]
//!  group removed      0             0                nothing
//!  restart            0             last kept batch  its header's hash 16 · process life u64 · recovery epoch u64
//! ```
//!
//! `time` of all of them is the sequence of the batch that they were first written in.

use super::batch::HeaderHash;
use super::record::{RecordKind, RecordView};
use margay_raft::{HardState, Position};
use margay_types::{Incarnation, Index, ProcessLife, ReplicaNumber, Term};
use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

fn number(replica: Option<ReplicaNumber>) -> U16 {
    U16::new(replica.map_or(0, ReplicaNumber::number))
}

fn replica(number: U16) -> Option<ReplicaNumber> {
    (number.get() != 0).then(|| ReplicaNumber::new(number.get()))
}

/// A replica is born: checkpoint 0 of its group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Created {
    /// The data directory that it is born in.
    pub incarnation: Incarnation,
    /// Its number in its group.
    pub replica: ReplicaNumber,
    /// Counts forced recoveries of the group: group id and this are the group's incarnation.
    pub recovery_number: u32,
    /// Which machine.
    pub machine: String,
    /// Version, options and initial configuration, as the shard writes them; storage only keeps them.
    pub description: Vec<u8>,
}

/// The bytes, as drawn above.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct CreatedLayout {
    replica: U16,
    zero: U16,
    machine_length: U32,
    incarnation: [u8; 16],
}

impl Created {
    /// Its payload. The recovery number goes into the header's term.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let length = u32::try_from(self.machine.len()).expect("the name of a machine is short");
        let layout = CreatedLayout {
            replica: U16::new(self.replica.number()),
            zero: U16::ZERO,
            machine_length: U32::new(length),
            incarnation: self.incarnation.bytes(),
        };
        [
            layout.as_bytes(),
            self.machine.as_bytes(),
            &self.description,
        ]
        .concat()
    }

    /// What a record says, if it is one of this kind and makes sense.
    #[must_use]
    pub fn parse(record: &RecordView<'_>) -> Option<Self> {
        if record.kind() != RecordKind::Created {
            return None;
        }
        let (layout, behind) = CreatedLayout::ref_from_prefix(record.payload()).ok()?;
        let length = usize::try_from(layout.machine_length.get()).ok()?;
        let (machine, description) = behind.split_at_checked(length)?;
        Some(Self {
            incarnation: Incarnation::new(layout.incarnation),
            replica: replica(layout.replica)?,
            recovery_number: record.term().number(),
            machine: std::str::from_utf8(machine).ok()?.to_owned(),
            description: description.to_vec(),
        })
    }
}

/// The bytes, as drawn above.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct HardStateLayout {
    voted_for: U16,
    zero: U16,
    zero_too: U32,
}

/// The payload of a hard state. The term stands in the header.
#[must_use]
pub fn encode_hard_state(hard_state: &HardState) -> [u8; 8] {
    let layout = HardStateLayout {
        voted_for: number(hard_state.voted_for),
        zero: U16::ZERO,
        zero_too: U32::ZERO,
    };
    zerocopy::transmute!(layout)
}

/// The hard state in a record, if it is one of this kind and makes sense.
#[must_use]
pub fn parse_hard_state(record: &RecordView<'_>) -> Option<HardState> {
    let layout = HardStateLayout::ref_from_bytes(record.payload()).ok()?;
    let own = record.kind() == RecordKind::HardState;
    own.then(|| HardState {
        term: record.term(),
        voted_for: replica(layout.voted_for),
    })
}

/// Where a group stood when it was told again for a new segment: so that no hard state is older than two.
///
/// ```text
///   0 incarnation 16   16 replica u16   18 voted for u16   20 last term u32
///  24 checkpoint u64   32 stream epoch u64   40 configuration index u64   48 recovery number u32   52 zero u32
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The data directory of the replica.
    pub incarnation: Incarnation,
    /// Its number in its group.
    pub replica: ReplicaNumber,
    /// The recovery number of its group.
    pub recovery_number: u32,
    /// Term and vote.
    pub hard_state: HardState,
    /// Its last entry.
    pub last: Position,
    /// Index of its checkpoint; 0 for `created`.
    pub checkpoint: Index,
    /// Stream epoch of that.
    pub stream_epoch: u64,
    /// Index of the configuration in force.
    pub configuration: Index,
}

/// The bytes, as drawn above.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct HeadLayout {
    incarnation: [u8; 16],
    replica: U16,
    voted_for: U16,
    last_term: U32,
    checkpoint: U64,
    stream_epoch: U64,
    configuration: U64,
    recovery_number: U32,
    zero: U32,
}

/// Bytes of the payload of a head.
pub const HEAD_BYTES: usize = 56;
const _: () = assert!(size_of::<HeadLayout>() == HEAD_BYTES);

impl Head {
    /// Its payload. Hard term and last index go into the header.
    #[must_use]
    pub fn encode(&self) -> [u8; HEAD_BYTES] {
        let layout = HeadLayout {
            incarnation: self.incarnation.bytes(),
            replica: U16::new(self.replica.number()),
            voted_for: number(self.hard_state.voted_for),
            last_term: U32::new(self.last.term.number()),
            checkpoint: U64::new(self.checkpoint.number()),
            stream_epoch: U64::new(self.stream_epoch),
            configuration: U64::new(self.configuration.number()),
            recovery_number: U32::new(self.recovery_number),
            zero: U32::ZERO,
        };
        zerocopy::transmute!(layout)
    }

    /// What a record says, if it is one of this kind and makes sense.
    #[must_use]
    pub fn parse(record: &RecordView<'_>) -> Option<Self> {
        let layout = HeadLayout::ref_from_bytes(record.payload()).ok()?;
        if record.kind() != RecordKind::Head {
            return None;
        }
        Some(Self {
            incarnation: Incarnation::new(layout.incarnation),
            replica: replica(layout.replica)?,
            recovery_number: layout.recovery_number.get(),
            hard_state: HardState {
                term: record.term(),
                voted_for: replica(layout.voted_for),
            },
            last: Position {
                term: Term::new(layout.last_term.get()),
                index: record.index(),
            },
            checkpoint: Index::new(layout.checkpoint.get()),
            stream_epoch: layout.stream_epoch.get(),
            configuration: Index::new(layout.configuration.get()),
        })
    }
}

/// One release: a part of an entry, and the entry that let go of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    /// The entry.
    pub index: Index,
    /// Which of its parts.
    pub part: u16,
    /// The entry at which it was released.
    pub released_by: Index,
}

/// The bytes, as drawn above.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct MarkLayout {
    index: U64,
    released_by: U64,
    part: U16,
    zero: [u8; 6],
}

/// The payload of a record of marks.
#[must_use]
pub fn encode_marks(marks: &[Mark]) -> Vec<u8> {
    let layouts = marks.iter().map(|mark| MarkLayout {
        index: U64::new(mark.index.number()),
        released_by: U64::new(mark.released_by.number()),
        part: U16::new(mark.part),
        zero: [0; 6],
    });
    layouts
        .flat_map(|layout| layout.as_bytes().to_vec())
        .collect()
}

/// The marks in a record, if it is one of this kind and makes sense.
#[must_use]
pub fn parse_marks(record: &RecordView<'_>) -> Option<Vec<Mark>> {
    let layouts = <[MarkLayout]>::ref_from_bytes(record.payload()).ok()?;
    let own = record.kind() == RecordKind::Marks;
    own.then(|| {
        let marks = layouts.iter().map(|layout| Mark {
            index: Index::new(layout.index.get()),
            part: layout.part.get(),
            released_by: Index::new(layout.released_by.get()),
        });
        marks.collect()
    })
}

/// Bytes of a [`ChunkHeader`].
pub const CHUNK_HEADER_BYTES: usize = 16;
const _: () = assert!(size_of::<ChunkLayout>() == CHUNK_HEADER_BYTES);

/// What stands before the bytes of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkHeader {
    /// Counts refills of the replica; 0 for checkpoints of its own.
    pub stream_epoch: u64,
    /// Number of the chunk in its stream.
    pub number: u32,
}

/// The bytes, as drawn above.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct ChunkLayout {
    stream_epoch: U64,
    number: U32,
    zero: U32,
}

impl ChunkHeader {
    /// The payload before the chunk's bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; CHUNK_HEADER_BYTES] {
        let layout = ChunkLayout {
            stream_epoch: U64::new(self.stream_epoch),
            number: U32::new(self.number),
            zero: U32::ZERO,
        };
        zerocopy::transmute!(layout)
    }

    /// Header and bytes of the chunk in a record, if it is one.
    #[must_use]
    pub fn parse<'a>(record: &RecordView<'a>) -> Option<(Self, &'a [u8])> {
        let (layout, bytes) = ChunkLayout::ref_from_prefix(record.payload()).ok()?;
        let own = record.kind() == RecordKind::CheckpointChunk;
        let header = Self {
            stream_epoch: layout.stream_epoch.get(),
            number: layout.number.get(),
        };
        own.then_some((header, bytes))
    }
}

/// What happens to the entries behind a stream's checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tail {
    /// They belong to the log that the stream came from.
    Keep,
    /// They are gone.
    Cut,
}

/// A checkpoint is complete: everything before its index may go, as far as its owner lets it.
///
/// ```text
///   0 stream epoch u64    8 first origin u64   16 stream bytes u64   24 chunks u32   28 replica u16
///  30 tail u8 (0 keep, 1 cut)   31 zero u8     32 stream hash 16     48 live hash 16 64 effect chain 16
///  80 floor index u64   88 floor term u32   92 zero u32
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckpointPointer {
    /// The entry that it is the state at.
    pub at: Position,
    /// How far entries were let go of when it was written. A member may end exactly there, and the checkpoint that
    /// told this position is replaced by this one.
    pub floor: Position,
    /// Counts refills of the replica; 0 for checkpoints of its own.
    pub stream_epoch: u64,
    /// For a stream: entries up to `at` with a smaller origin are dead. 0 for a checkpoint of its own.
    pub first_origin: u64,
    /// Bytes of the stream.
    pub stream_bytes: u64,
    /// Chunks of the stream.
    pub chunks: u32,
    /// The replica that it belongs to.
    pub replica: ReplicaNumber,
    /// What happens to the entries behind.
    pub tail: Tail,
    /// 128-bit hash of the stream.
    pub stream_hash: [u8; 16],
    /// Commutative hash of the live entries.
    pub live_hash: [u8; 16],
    /// The effect chain at this index.
    pub effect_chain: [u8; 16],
}

/// The bytes, as drawn above.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct PointerLayout {
    stream_epoch: U64,
    first_origin: U64,
    stream_bytes: U64,
    chunks: U32,
    replica: U16,
    tail: u8,
    zero: u8,
    stream_hash: [u8; 16],
    live_hash: [u8; 16],
    effect_chain: [u8; 16],
    floor_index: U64,
    floor_term: U32,
    zero_too: U32,
}

/// Bytes of the payload of a pointer.
pub const POINTER_BYTES: usize = 96;
const _: () = assert!(size_of::<PointerLayout>() == POINTER_BYTES);

impl CheckpointPointer {
    /// Its payload. The position goes into the header.
    #[must_use]
    pub fn encode(&self) -> [u8; POINTER_BYTES] {
        let layout = PointerLayout {
            stream_epoch: U64::new(self.stream_epoch),
            first_origin: U64::new(self.first_origin),
            stream_bytes: U64::new(self.stream_bytes),
            chunks: U32::new(self.chunks),
            replica: U16::new(self.replica.number()),
            tail: match self.tail {
                Tail::Keep => 0,
                Tail::Cut => 1,
            },
            zero: 0,
            stream_hash: self.stream_hash,
            live_hash: self.live_hash,
            effect_chain: self.effect_chain,
            floor_index: U64::new(self.floor.index.number()),
            floor_term: U32::new(self.floor.term.number()),
            zero_too: U32::ZERO,
        };
        zerocopy::transmute!(layout)
    }

    /// What a record says, if it is one of this kind and makes sense.
    #[must_use]
    pub fn parse(record: &RecordView<'_>) -> Option<Self> {
        let layout = PointerLayout::ref_from_bytes(record.payload()).ok()?;
        if record.kind() != RecordKind::CheckpointPointer {
            return None;
        }
        let tail = match layout.tail {
            0 => Tail::Keep,
            1 => Tail::Cut,
            _ => return None,
        };
        Some(Self {
            at: record.position(),
            floor: Position {
                term: Term::new(layout.floor_term.get()),
                index: Index::new(layout.floor_index.get()),
            },
            stream_epoch: layout.stream_epoch.get(),
            first_origin: layout.first_origin.get(),
            stream_bytes: layout.stream_bytes.get(),
            chunks: layout.chunks.get(),
            replica: replica(layout.replica)?,
            tail,
            stream_hash: layout.stream_hash,
            live_hash: layout.live_hash,
            effect_chain: layout.effect_chain,
        })
    }
}

/// A process life begins: the first batch that it makes durable says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restart {
    /// The last batch of the lives before that counts; 0 when there is none.
    pub last_kept: u64,
    /// Names its header.
    pub last_hash: HeaderHash,
    /// Drawn at the start of the process.
    pub process_life: ProcessLife,
    /// The epoch of all batches of this life.
    pub recovery_epoch: u64,
}

/// The bytes, as drawn above.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct RestartLayout {
    last_hash: [u8; 16],
    process_life: U64,
    recovery_epoch: U64,
}

impl Restart {
    /// Its payload. The last kept sequence goes into the header.
    #[must_use]
    pub fn encode(&self) -> [u8; 32] {
        let layout = RestartLayout {
            last_hash: self.last_hash.0,
            process_life: U64::new(self.process_life.number()),
            recovery_epoch: U64::new(self.recovery_epoch),
        };
        zerocopy::transmute!(layout)
    }

    /// What a record says, if it is one of this kind and makes sense.
    #[must_use]
    pub fn parse(record: &RecordView<'_>) -> Option<Self> {
        let layout = RestartLayout::ref_from_bytes(record.payload()).ok()?;
        let own = record.kind() == RecordKind::Restart;
        own.then(|| Self {
            last_kept: record.index().number(),
            last_hash: HeaderHash(layout.last_hash),
            process_life: ProcessLife::new(layout.process_life.get()),
            recovery_epoch: layout.recovery_epoch.get(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::record::{self, RecordFields};
    use margay_types::GroupId;

    fn record(kind: RecordKind, term: u32, index: u64, payload: &[u8]) -> Vec<u8> {
        let fields = RecordFields {
            kind,
            group: GroupId::new(1),
            term: Term::new(term),
            index: Index::new(index),
            time: 9,
        };
        record::encode(&fields, payload)
    }

    fn pointer() -> CheckpointPointer {
        CheckpointPointer {
            at: Position {
                term: Term::new(3),
                index: Index::new(4),
            },
            floor: Position {
                term: Term::new(1),
                index: Index::new(2),
            },
            stream_epoch: 5,
            first_origin: 6,
            stream_bytes: 7,
            chunks: 8,
            replica: ReplicaNumber::new(9),
            tail: Tail::Cut,
            stream_hash: [0xAA; 16],
            live_hash: [0xBB; 16],
            effect_chain: [0xCC; 16],
        }
    }

    fn head() -> Head {
        Head {
            incarnation: Incarnation::new([0xDD; 16]),
            replica: ReplicaNumber::new(2),
            recovery_number: 1,
            hard_state: HardState {
                term: Term::new(3),
                voted_for: Some(ReplicaNumber::new(4)),
            },
            last: Position {
                term: Term::new(2),
                index: Index::new(5),
            },
            checkpoint: Index::new(6),
            stream_epoch: 7,
            configuration: Index::new(8),
        }
    }

    #[test]
    fn the_bytes_of_a_pointer_and_a_head_stay_as_they_were_first_written() {
        let mut golden = vec![
            5, 0, 0, 0, 0, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0,
        ];
        golden.extend([8, 0, 0, 0, 9, 0, 1, 0]);
        golden.extend([[0xAA; 16], [0xBB; 16], [0xCC; 16]].concat());
        golden.extend([2, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(pointer().encode()[..], golden);
        let mut golden = vec![0xDD; 16];
        golden.extend([
            2, 0, 4, 0, 2, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0,
        ]);
        golden.extend([8, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(head().encode()[..], golden);
    }

    #[test]
    fn the_bytes_of_small_payloads_stay_as_they_were_first_written() {
        let hard_state = HardState {
            term: Term::new(1),
            voted_for: Some(ReplicaNumber::new(2)),
        };
        assert_eq!(encode_hard_state(&hard_state), [2, 0, 0, 0, 0, 0, 0, 0]);
        let mark = Mark {
            index: Index::new(1),
            part: 2,
            released_by: Index::new(3),
        };
        let golden = [
            1, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0,
        ];
        assert_eq!(encode_marks(&[mark]), golden);
        let chunk = ChunkHeader {
            stream_epoch: 1,
            number: 2,
        };
        assert_eq!(
            chunk.encode(),
            [1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0]
        );
        let restart = Restart {
            last_kept: 1,
            last_hash: HeaderHash([0xEE; 16]),
            process_life: ProcessLife::new(2),
            recovery_epoch: 3,
        };
        let mut golden = vec![0xEE; 16];
        golden.extend([2, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(restart.encode()[..], golden);
        let bytes = record(RecordKind::Restart, 0, 1, &golden);
        assert_eq!(
            Restart::parse(&RecordView::parse(&bytes).unwrap()),
            Some(restart)
        );
    }

    #[test]
    fn what_is_encoded_reads_back() {
        let bytes = record(RecordKind::CheckpointPointer, 3, 4, &pointer().encode());
        let view = RecordView::parse(&bytes).unwrap();
        assert_eq!(CheckpointPointer::parse(&view), Some(pointer()));
        assert_eq!(Head::parse(&view), None, "of another kind");
        let bytes = record(RecordKind::Head, 3, 5, &head().encode());
        assert_eq!(
            Head::parse(&RecordView::parse(&bytes).unwrap()),
            Some(head())
        );
        let marks = [Mark {
            index: Index::new(1),
            part: 2,
            released_by: Index::new(3),
        }; 2];
        let bytes = record(RecordKind::Marks, 0, 3, &encode_marks(&marks));
        assert_eq!(
            parse_marks(&RecordView::parse(&bytes).unwrap()),
            Some(marks.to_vec())
        );
    }

    #[test]
    fn a_birth_reads_back_and_its_cuts_are_refused() {
        let created = Created {
            incarnation: Incarnation::new([1; 16]),
            replica: ReplicaNumber::new(2),
            recovery_number: 0,
            machine: "bench".to_owned(),
            description: vec![3, 4],
        };
        let payload = created.encode();
        let bytes = record(RecordKind::Created, 0, 0, &payload);
        assert_eq!(
            Created::parse(&RecordView::parse(&bytes).unwrap()),
            Some(created)
        );
        for length in 0..29 {
            let bytes = record(RecordKind::Created, 0, 0, &payload[..length]);
            assert_eq!(
                Created::parse(&RecordView::parse(&bytes).unwrap()),
                None,
                "{length}"
            );
        }
    }

    #[test]
    fn nobody_is_replica_zero() {
        let bytes = record(RecordKind::HardState, 7, 0, &[0; 8]);
        let hard_state = parse_hard_state(&RecordView::parse(&bytes).unwrap());
        assert_eq!(
            hard_state,
            Some(HardState {
                term: Term::new(7),
                voted_for: None
            })
        );
    }
}
