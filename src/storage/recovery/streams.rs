//! Is the stream of a checkpoint the one that its pointer names?
//!
//! Each chunk has a checksum of its own; the hash in the pointer is over all of them, so it also finds a chunk that is
//! intact and stands in the wrong place. A start reads the whole stream and checks the same.

use super::super::disk::Disk;
use super::super::payload::ChunkHeader;
use super::super::record::RecordView;
use super::chain::Extent;
use super::merge::{FoundCheckpoint, Place};
use super::window::Window;
use crate::limits::WRITE_UNIT_BYTES;
use xxhash_rust::xxh3::Xxh3;

/// Reads the stream, chunk by chunk, and compares.
pub(crate) async fn is_intact<D: Disk>(
    checkpoint: &FoundCheckpoint,
    window: &mut Window<'_, D>,
) -> bool {
    let mut hash = Xxh3::new();
    for number in 0..checkpoint.pointer.chunks {
        let Some(place) = checkpoint.chunks.get(&number) else {
            return false;
        };
        let (extent, skip) = units_around(place);
        let bytes = window.bytes(&extent).await;
        let record = bytes
            .get(skip..)
            .and_then(|bytes| RecordView::parse(bytes).ok());
        match record.as_ref().and_then(ChunkHeader::parse) {
            Some((_, chunk)) => hash.update(chunk),
            None => return false,
        }
    }
    hash.digest128().to_le_bytes() == checkpoint.pointer.stream_hash
}

/// The write units that a record lies in, and where in them it starts.
fn units_around(place: &Place) -> (Extent, usize) {
    let unit = u32::try_from(WRITE_UNIT_BYTES).expect("a few kibibytes");
    let skip = place.offset % unit;
    let extent = Extent {
        segment: place.segment,
        offset: place.offset - skip,
        length: (skip + place.bytes).next_multiple_of(unit),
    };
    (extent, usize::try_from(skip).expect("less than a unit"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::batch::SegmentName;
    use crate::storage::disk::OpenMode;
    use crate::storage::log_manifest::LogManifest;
    use crate::storage::payload::{CheckpointPointer, Tail};
    use crate::storage::record::{RecordFields, RecordKind, encode};
    use crate::storage::segment::segment_path;
    use crate::storage::test_disk::{TestDisk, run};
    use crate::storage::{Block, record};
    use margay_raft::Position;
    use margay_types::{GroupId, Index, ReplicaNumber, Term};
    use std::collections::BTreeMap;
    use std::path::Path;
    use xxhash_rust::xxh3::xxh3_128;

    const SEGMENT: SegmentName = SegmentName {
        number: 1,
        generation: 1,
    };
    const CHUNKS: [&[u8]; 2] = [&[1; 5000], &[2; 300]];
    const FIRST_AT: usize = 4200;

    /// A segment with the records of both chunks, one behind the other.
    fn segment() -> Vec<u8> {
        let mut bytes = vec![0; FIRST_AT];
        for (number, chunk) in (0..).zip(CHUNKS) {
            let header = ChunkHeader {
                stream_epoch: 0,
                number,
            };
            let fields = RecordFields {
                kind: RecordKind::CheckpointChunk,
                group: GroupId::new(1),
                term: Term::ZERO,
                index: Index::new(9),
                time: 3,
            };
            bytes.extend(encode(&fields, &[&header.encode()[..], chunk].concat()));
        }
        bytes.resize(64 << 10, 0);
        bytes
    }

    fn checkpoint() -> FoundCheckpoint {
        let place = |offset: usize, chunk: &[u8]| Place {
            segment: SEGMENT,
            offset: u32::try_from(offset).unwrap(),
            bytes: u32::try_from(record::record_bytes(16 + chunk.len())).unwrap(),
            sequence: 3,
        };
        let first = place(FIRST_AT, CHUNKS[0]);
        let second = place(FIRST_AT + first.bytes as usize, CHUNKS[1]);
        let at = Position {
            term: Term::new(1),
            index: Index::new(9),
        };
        let pointer = CheckpointPointer {
            at,
            floor: at,
            stream_epoch: 0,
            first_origin: 0,
            stream_bytes: 5300,
            chunks: 2,
            replica: ReplicaNumber::new(1),
            tail: Tail::Keep,
            stream_hash: xxh3_128(&CHUNKS.concat()).to_le_bytes(),
            live_hash: [0; 16],
            effect_chain: [0; 16],
        };
        FoundCheckpoint {
            pointer,
            place: second,
            chunks: BTreeMap::from([(0, first), (1, second)]),
        }
    }

    fn judge(segment: &[u8], checkpoint: &FoundCheckpoint) -> bool {
        let (disk, directory) = (TestDisk::new(), Path::new("data/log-1"));
        let path = segment_path(directory, SEGMENT.number);
        let file = run(disk.open(&path, OpenMode::New)).unwrap();
        run(disk.write(&file, 0, Block::holding(segment).whole())).unwrap();
        let manifest = LogManifest {
            log_id: 1,
            segment_bytes: segment.len() as u64,
            segments: Vec::new(),
        };
        let mut window = Window::new(&disk, directory, &manifest);
        run(is_intact(checkpoint, &mut window))
    }

    #[test]
    fn a_stream_that_reads_back_as_it_was_written_is_intact() {
        assert!(judge(&segment(), &checkpoint()));
    }

    #[test]
    fn a_chunk_that_is_damaged_missing_or_in_the_wrong_place_is_found() {
        let mut damaged = segment();
        damaged[FIRST_AT + 100] ^= 1;
        assert!(!judge(&damaged, &checkpoint()));
        let mut missing = checkpoint();
        missing.chunks.remove(&1);
        assert!(!judge(&segment(), &missing));
        let mut swapped = checkpoint();
        let (first, second) = (swapped.chunks[&0], swapped.chunks[&1]);
        swapped.chunks = BTreeMap::from([(0, second), (1, first)]);
        assert!(!judge(&segment(), &swapped));
    }
}
