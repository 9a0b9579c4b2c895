//! The smallest checkpoint: the state at an index as chunks in the log, so that the entries below it may go.
//!
//! ```text
//!   leader appends `Checkpoint` ─ applied at C ─> frozen ─> encoded ─> chunk 0 .. n-1, one per turn ─> pointer
//!                                                                                                       │ covered
//!                                entries up to min(C, stable index) leave the index <───────────────────┘
//! ```
//!
//! The stream is the birth of the group, the members in force at C, and the machine's host part. All replicas take
//! their checkpoints at the same indexes, because the entry is in the log; a replica that still writes an earlier one
//! skips it. Only one whose log takes no entries any more cannot wait for that one, and takes a checkpoint by itself.
//!
//! Until refills exist nothing goes that some member does not have durably.

use crate::limits::{CHECKPOINT_CHUNK_BYTES, CHECKPOINT_TRIGGER_BYTES, CHECKPOINT_TRIGGER_FACTOR};
use crate::shard::Seams;
use crate::shard::birth::Description;
use crate::shard::hosted::Hosted;
use crate::shard::means::Means;
use crate::storage::payload::{CHUNK_HEADER_BYTES, CheckpointPointer, ChunkHeader, Created, Tail};
use crate::storage::{Room, record};
use margay_raft::{Configuration, EntryKind, Position};
use margay_types::{Incarnation, Index, ReplicaNumber};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128;

/// Version of [`Stream`].
const FORMAT: u16 = 1;

/// What stands in the stream before the machine's host part. The log may not hold the birth any more when the stream is
/// read, so everything that the birth said is here.
#[derive(Debug, Serialize, Deserialize)]
struct Preamble {
    format: u16,
    incarnation: Incarnation,
    replica: ReplicaNumber,
    recovery_number: u32,
    machine: String,
    description: Description,
    configuration_index: Index,
    configuration: Vec<u8>,
}

/// A checkpoint's stream, taken apart.
pub(crate) struct Stream {
    /// Who the replica is.
    pub(crate) created: Created,
    /// How its group began.
    pub(crate) description: Description,
    /// The members in force, and where they were agreed.
    pub(crate) configuration: (Index, Configuration),
    /// The machine's host part.
    pub(crate) host: Vec<u8>,
}

impl Stream {
    /// Reads a stream; `None` when it is of another version, or damaged.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (preamble, host) = postcard::take_from_bytes::<Preamble>(bytes).ok()?;
        if preamble.format != FORMAT {
            return None;
        }
        let configuration = Configuration::decode(&preamble.configuration).ok()?;
        let created = Created {
            incarnation: preamble.incarnation,
            replica: preamble.replica,
            recovery_number: preamble.recovery_number,
            machine: preamble.machine,
            description: preamble.description.encode(),
        };
        Some(Self {
            created,
            description: preamble.description,
            configuration: (preamble.configuration_index, configuration),
            host: host.to_vec(),
        })
    }
}

/// A checkpoint on its way into the log.
#[derive(Debug)]
struct Writing {
    at: Position,
    effect_chain: [u8; 16],
    configuration: Index,
    stream: Vec<u8>,
    chunks_written: usize,
}

impl Writing {
    fn chunk_count(&self) -> usize {
        self.stream.len().div_ceil(CHECKPOINT_CHUNK_BYTES)
    }
}

/// The checkpoints of one replica.
#[derive(Debug, Default)]
pub(crate) struct Checkpoints {
    writing: Option<Writing>,
    /// Index and size of the newest one that is complete.
    newest: Index,
    newest_bytes: u64,
}

impl Checkpoints {
    /// The newest checkpoint whose pointer is in the log.
    pub(crate) fn index(&self) -> Index {
        self.newest
    }

    /// The replica was rebuilt from this one; `ZERO` when from its birth.
    pub(crate) fn on_restored(&mut self, newest: Index, bytes: u64) {
        self.newest = newest;
        self.newest_bytes = bytes;
    }

    /// So many bytes of entries are worth a checkpoint.
    fn trigger_bytes(&self) -> u64 {
        CHECKPOINT_TRIGGER_BYTES.max(self.newest_bytes * CHECKPOINT_TRIGGER_FACTOR)
    }
}

impl Hosted {
    /// Is a checkpoint under way?
    pub(crate) fn is_writing_checkpoint(&self) -> bool {
        self.checkpoints.writing.is_some()
    }

    /// Does a checkpoint stand for entries that were not let go of yet?
    pub(crate) fn holds_covered_entries(&self) -> bool {
        self.checkpoints.newest > self.replica.log_floor().index
    }

    /// Should a leader propose a checkpoint? When the log grew enough, or because this group holds back room: then even
    /// one that says nothing new, because the one before stands where the room is.
    pub(crate) fn wants_checkpoint(&self, holds_room: bool) -> bool {
        let is_due = self.bytes_since_checkpoint >= self.checkpoints.trigger_bytes();
        self.checkpoints.writing.is_none() && (holds_room || is_due)
    }

    /// Proposes a checkpoint, if this replica leads and nothing else of its housekeeping is under way.
    pub(crate) fn propose_checkpoint<S: Seams>(&mut self, means: &mut Means<S>) {
        let applied = self.host.applied_index();
        let is_free = self
            .reign
            .as_ref()
            .is_some_and(|reign| reign.housekeeping <= applied);
        if is_free && self.has_applied_own_term() && self.stopped.is_none() {
            self.append_housekeeping(means, EntryKind::Checkpoint, &[]);
        }
    }

    /// A follower whose log this group keeps from freeing room asks its leader for a checkpoint: the leader's own log
    /// may be that of another shard, or of a node with fewer groups, and have all the room there is. One that is
    /// behind, or whose machine stopped, has had checkpoints proposed and not taken them: more would not help.
    pub(crate) fn ask_for_checkpoint(&mut self, holds_room: bool) {
        let is_current = self.host.applied_index() == self.replica.commit_index();
        let would_take_it = is_current && self.stopped.is_none() && !self.is_writing_checkpoint();
        self.replica
            .set_wants_checkpoint(holds_room && would_take_it);
    }

    /// This group keeps a log that takes no entries any more from freeing room: the entry that would ask for a
    /// checkpoint cannot be taken either, and the reserve is there to take the checkpoint without it.
    pub(crate) fn checkpoint_by_itself<S: Seams>(&mut self, means: &mut Means<S>) {
        let is_stuck = means.log.room() >= Room::Hard;
        let has_applied = self.host.applied_index() > Index::ZERO;
        if is_stuck && has_applied && self.stopped.is_none() && !self.is_writing_checkpoint() {
            self.begin_checkpoint(Position {
                term: self.host.term(),
                index: self.host.applied_index(),
            });
            self.touch(means);
        }
    }

    /// The entry that asks for a checkpoint was applied: the state is taken as it is here.
    pub(crate) fn begin_checkpoint(&mut self, at: Position) {
        self.bytes_since_checkpoint = 0;
        if self.checkpoints.writing.is_some() {
            return;
        }
        let Ok(frozen) = self.host.freeze() else {
            return;
        };
        let (configuration_index, configuration) = &self.applied_configuration;
        let configuration_index = *configuration_index;
        let mut encoded = Vec::new();
        configuration.encode(&mut encoded);
        let created = &self.identity.created;
        let preamble = Preamble {
            format: FORMAT,
            incarnation: created.incarnation,
            replica: created.replica,
            recovery_number: created.recovery_number,
            machine: created.machine.clone(),
            description: self.identity.description.clone(),
            configuration_index,
            configuration: encoded,
        };
        let mut stream = postcard::to_allocvec(&preamble).expect("plain data encodes");
        frozen.encode(&mut stream);
        self.checkpoints.writing = Some(Writing {
            at,
            effect_chain: self.host.chain(),
            configuration: configuration_index,
            stream,
            chunks_written: 0,
        });
    }

    /// A checkpoint that found no room for its next piece tries again.
    pub(crate) fn go_on_with_checkpoint<S: Seams>(&mut self, means: &mut Means<S>) {
        if self.checkpoints.writing.is_some() {
            self.will_apply(means);
        }
    }

    /// Writes one more piece of the checkpoint under way, if the log has room for it.
    pub(crate) fn write_checkpoint<S: Seams>(&mut self, means: &mut Means<S>) {
        let group = self.group();
        let Some(writing) = &mut self.checkpoints.writing else {
            return;
        };
        let bytes_max = record::record_bytes(CHUNK_HEADER_BYTES + CHECKPOINT_CHUNK_BYTES);
        if !means.log.has_room_for_upkeep(bytes_max) {
            return;
        }
        let number = writing.chunks_written;
        if number < writing.chunk_count() {
            let start = number * CHECKPOINT_CHUNK_BYTES;
            let end = writing.stream.len().min(start + CHECKPOINT_CHUNK_BYTES);
            let header = ChunkHeader {
                stream_epoch: 0,
                number: u32::try_from(number).expect("a stream has far fewer chunks"),
            };
            let chunk = writing.stream.get(start..end).expect("within the stream");
            let written = means
                .log
                .write_chunk(group, writing.at.index, header, chunk);
            writing.chunks_written += 1;
            means.note(written);
            self.will_apply(means);
            return;
        }
        // While the pointer before this one is the newest, it alone tells the term at its own index.
        self.release_entries(means);
        self.write_pointer(means);
    }

    /// Completes the checkpoint whose chunks are all in the log.
    fn write_pointer<S: Seams>(&mut self, means: &mut Means<S>) {
        let group = self.group();
        let Some(writing) = self.checkpoints.writing.take() else {
            return;
        };
        let pointer = CheckpointPointer {
            at: writing.at,
            floor: means.log.floor(group),
            stream_epoch: 0,
            first_origin: 0,
            stream_bytes: writing.stream.len() as u64,
            chunks: u32::try_from(writing.chunks_written).expect("a stream has far fewer chunks"),
            replica: self.identity.created.replica,
            tail: Tail::Keep,
            stream_hash: xxh3_128(&writing.stream).to_le_bytes(),
            live_hash: [0; 16],
            effect_chain: writing.effect_chain,
        };
        let written = means
            .log
            .write_pointer(group, &pointer, writing.configuration);
        means.note(written);
        self.checkpoints.newest = writing.at.index;
        self.checkpoints.newest_bytes = writing.stream.len() as u64;
    }

    /// Lets go of entries that a covered checkpoint stands for and that every member has durably.
    pub(crate) fn release_entries<S: Seams>(&mut self, means: &mut Means<S>) {
        let group = self.group();
        let covered = means.log.checkpoint_covered(group);
        let to = covered
            .min(self.replica.stable_index())
            .min(self.host.applied_index());
        let floor = self.replica.log_floor();
        if to <= floor.index {
            return;
        }
        let released = means.log.release(group, to);
        if let Some(term) = self.replica.term_at(released) {
            self.replica.on_log_floor(Position {
                term,
                index: released,
            });
        }
    }
}
