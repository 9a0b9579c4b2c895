//! Checkpoints in the log: chunks, written at the replica's own pace, then one pointer that makes them count.
//!
//! ```text
//!   chunk 0   chunk 1   ...   chunk n-1   pointer(C, n, hashes)
//!   └── live until the next pointer of the group is covered ──┘
//! ```
//!
//! The birth of a replica is its checkpoint 0. A checkpoint that was received as a stream is written the same
//! way; its pointer says what becomes of the log that was here before.

use super::append::OwnRecord;
use super::disk::Disk;
use super::error::StorageError;
use super::group_log::NextCheckpoint;
use super::log::Log;
use super::options::{Sequence, Waiter};
use super::payload::{CheckpointPointer, ChunkHeader, Tail};
use super::record::RecordKind;
use super::resume::StoredCheckpoint;
use crate::limits;
use margay_types::{GroupId, Index, Term};

impl<D: Disk> Log<D> {
    /// Writes the next chunk of the checkpoint at `at`. The first chunk of another checkpoint gives up one that
    /// was not finished.
    ///
    /// # Errors
    /// If the log has failed, or there is no room: ask [`Log::has_room`] before.
    ///
    /// # Panics
    /// If it is not the next chunk, or larger than a chunk is.
    pub fn write_chunk(
        &mut self,
        group: GroupId,
        at: Index,
        header: ChunkHeader,
        bytes: &[u8],
    ) -> Result<Sequence, StorageError> {
        assert!(
            bytes.len() <= limits::CHECKPOINT_CHUNK_BYTES,
            "a chunk of {} bytes",
            bytes.len()
        );
        let own = OwnRecord::new(RecordKind::CheckpointChunk, group).at(Term::ZERO, at);
        let place = self.append_own(own, &[&header.encode(), bytes], Waiter::Nobody)?;
        let state = self.groups.expect_mut(group);
        let is_same =
            |next: &NextCheckpoint| next.at == at && next.stream_epoch == header.stream_epoch;
        if !state.next_checkpoint.as_ref().is_some_and(is_same) {
            let next = NextCheckpoint {
                at,
                stream_epoch: header.stream_epoch,
                chunks: Vec::new(),
            };
            if let Some(unfinished) = state.next_checkpoint.replace(next) {
                self.ledger
                    .drop_all(unfinished.chunks.iter().map(|chunk| chunk.segment));
            }
        }
        let next = state
            .next_checkpoint
            .as_mut()
            .expect("there since just now");
        assert!(
            header.number as usize == next.chunks.len(),
            "chunk {} of group {group}, although {} is next",
            header.number,
            next.chunks.len()
        );
        next.chunks.push(place);
        self.ledger.use_all([place.segment]);
        Ok(Sequence(place.sequence))
    }

    /// Writes the pointer: the checkpoint counts when it is durable, and lets go of what it stands for when it is
    /// covered. `configuration` is the index of the configuration in force at it.
    ///
    /// # Errors
    /// As for [`Log::write_chunk`].
    ///
    /// # Panics
    /// If its chunks are not all there, it is older than the one before, or tells of another floor than
    /// [`Log::floor`].
    pub fn write_pointer(
        &mut self,
        group: GroupId,
        pointer: &CheckpointPointer,
        configuration: Index,
    ) -> Result<Sequence, StorageError> {
        let state = self.groups.expect_mut(group);
        let next = state.next_checkpoint.take();
        let is_own = |next: &NextCheckpoint| {
            next.at == pointer.at.index && next.stream_epoch == pointer.stream_epoch
        };
        let chunks = next
            .filter(is_own)
            .map(|next| next.chunks)
            .unwrap_or_default();
        assert!(
            chunks.len() == pointer.chunks as usize,
            "a pointer of group {group} to {} chunks, {} are written",
            pointer.chunks,
            chunks.len()
        );
        assert!(
            pointer.at.index >= state.checkpoint_covered || pointer.first_origin > 0,
            "a pointer of group {group} back to {}",
            pointer.at.index
        );
        assert!(
            pointer.floor == state.floor || pointer.first_origin > 0,
            "a pointer of group {group} tells of the floor {:?}, which is {:?}",
            pointer.floor,
            state.floor
        );
        let own = OwnRecord::new(RecordKind::CheckpointPointer, group)
            .at(pointer.at.term, pointer.at.index);
        let place = self.append_own(own, &[&pointer.encode()], Waiter::Nobody)?;
        self.ledger.use_all([place.segment]);
        let state = self.groups.expect_mut(group);
        let stored = StoredCheckpoint {
            pointer: Some(*pointer),
            place,
            chunks,
        };
        let before = std::mem::replace(&mut state.checkpoint, stored);
        let chunks = before.chunks.iter().map(|chunk| chunk.segment);
        self.ledger
            .retire(place.sequence, chunks.chain([before.place.segment]));
        self.ledger
            .expect_pointer(place.sequence, group, pointer.at.index);
        if pointer.first_origin > 0 {
            self.install(group, pointer, configuration, place.sequence);
        }
        Ok(Sequence(place.sequence))
    }

    /// The stream's checkpoint stands for everything up to it; the rest of the log stays or goes.
    fn install(
        &mut self,
        id: GroupId,
        pointer: &CheckpointPointer,
        configuration: Index,
        sequence: u64,
    ) {
        let group = self.groups.expect_mut(id);
        let at = pointer.at;
        let gone = match pointer.tail {
            Tail::Keep => group.index.release(at.index),
            Tail::Cut => group.index.truncate(Index::ZERO),
        };
        match pointer.tail {
            Tail::Keep => group.configurations.retain(|index| *index > at.index),
            Tail::Cut => group.configurations.clear(),
        }
        group.configurations.insert(0, configuration);
        group.growing = None;
        group.floor = at;
        group.last = group.index.last().unwrap_or(at);
        self.ledger
            .retire(sequence, gone.iter().map(|item| item.segment));
    }

    /// The group's newest checkpoint, durable or not; `None` while its birth is it.
    #[must_use]
    pub fn checkpoint(&self, group: GroupId) -> Option<&CheckpointPointer> {
        self.groups.expect(group).checkpoint.pointer.as_ref()
    }
}
