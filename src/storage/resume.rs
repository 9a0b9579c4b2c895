//! What recovery hands over: everything that a [`super::log::Log`] must know to go on where an earlier life ended.
//!
//! The restart batch is durable before; it is the last batch of `segments`.

use super::batch::{HeaderHash, SegmentName};
use super::disk::Disk;
use super::index::IndexItem;
use super::log_manifest::SegmentEntry;
use super::manifest::ManifestFiles;
use super::payload::CheckpointPointer;
use super::witness::WitnessItem;
use margay_raft::{HardState, Position};
use margay_types::{GroupId, Incarnation, Index, ReplicaNumber};
use std::path::PathBuf;

/// A segment that holds batches.
#[derive(Clone, Debug)]
pub struct LiveSegment<F> {
    /// Which file, in which of its lives.
    pub name: SegmentName,
    /// The file.
    pub file: F,
    /// Sequence of its first batch.
    pub first_sequence: u64,
    /// Its last batch that counts.
    pub last_sequence: u64,
    /// Names the header of that.
    pub last_hash: HeaderHash,
    /// Something in it belongs to a damaged group, which is not among the groups resumed: it is not freed in this
    /// life, and neither are later ones, because segments go in order.
    pub is_held: bool,
}

/// A segment that is filled and listed in the manifest, and holds nothing.
#[derive(Clone, Debug)]
pub struct SpareSegment<F> {
    /// Which file, and the life that it would be used in.
    pub name: SegmentName,
    /// The file.
    pub file: F,
}

/// A place in a segment where one record stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordPlace {
    /// Number of the segment.
    pub segment: u32,
    /// Where it starts in the segment.
    pub offset: u32,
    /// Bytes of it, padding included.
    pub length: u32,
    /// The batch that it stands in.
    pub sequence: u64,
}

/// The newest checkpoint of a replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredCheckpoint {
    /// What its pointer says; `None` while the birth is the checkpoint.
    pub pointer: Option<CheckpointPointer>,
    /// Where the pointer stands, or the birth.
    pub place: RecordPlace,
    /// Where its chunks stand, by number.
    pub chunks: Vec<RecordPlace>,
}

/// Who a replica is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplicaIdentity {
    /// The data directory that it lives in.
    pub incarnation: Incarnation,
    /// Its number in its group.
    pub replica: ReplicaNumber,
    /// The recovery number of its group.
    pub recovery_number: u32,
}

/// A replica as recovery found it.
#[derive(Clone, Debug)]
pub struct ResumedGroup {
    /// Its group.
    pub group: GroupId,
    /// Who it is.
    pub identity: ReplicaIdentity,
    /// Term and vote.
    pub hard_state: HardState,
    /// Last entry; that of the checkpoint when there is none behind it.
    pub last: Position,
    /// Entries above it are held, and its own term is known.
    pub floor: Position,
    /// Indexes of the configurations in its log, in order, from the one in force at the checkpoint on.
    pub configurations: Vec<Index>,
    /// Its newest checkpoint.
    pub checkpoint: StoredCheckpoint,
    /// Where its entries are, without a gap.
    pub items: Vec<IndexItem>,
}

/// Everything that a log resumes from.
#[derive(Debug)]
pub struct Resume<D: Disk> {
    /// The log.
    pub log_id: u32,
    /// Its folder.
    pub directory: PathBuf,
    /// Size of its segments.
    pub segment_bytes: u64,
    /// Its manifest, as it was opened.
    pub manifest: ManifestFiles<D>,
    /// Epoch of this life.
    pub recovery_epoch: u64,
    /// The restart batch, as a witness would tell of it.
    pub restart: WitnessItem,
    /// Everything up to here is covered by a durable batch: with the restart batch's witness, everything before it.
    pub covered_sequence: u64,
    /// Segments in order of use; the restart batch is the last of the last.
    pub segments: Vec<LiveSegment<D::File>>,
    /// Segments that can be used next.
    pub spares: Vec<SpareSegment<D::File>>,
    /// Segments that lost everything: listed in the manifest as they are, never used, freed or reused in this life.
    pub held: Vec<SegmentEntry>,
    /// The replicas that live in this log, by group.
    pub groups: Vec<ResumedGroup>,
}
