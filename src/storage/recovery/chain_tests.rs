use super::*;
use crate::storage::batch::BatchHeader;
use crate::storage::recovery::runs::FoundRecords;
use crate::storage::witness::Witness;
use proptest::prelude::*;

const SEGMENT: SegmentName = SegmentName {
    number: 1,
    generation: 1,
};

fn hash(sequence: u64, epoch: u64) -> HeaderHash {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&sequence.to_le_bytes());
    bytes[8..].copy_from_slice(&epoch.to_le_bytes());
    HeaderHash(bytes)
}

fn batch(sequence: u64, epoch: u64, previous: HeaderHash) -> FoundBatch {
    let header = BatchHeader {
        log_id: 1,
        recovery_epoch: epoch,
        sequence,
        segment: SEGMENT,
        offset: u32::try_from(4096 * sequence).unwrap(),
        length: 4096,
        directory_offset: 96,
        directory_length: 16,
        witness_offset: 0,
        witness_length: 0,
        durable_sequence: sequence - 1,
        directory_checksum: 0,
        witness_checksum: 0,
        previous,
    };
    FoundBatch {
        header,
        hash: hash(sequence, epoch),
        witness: None,
        is_whole: true,
        directory: None,
        body: Body::Directed(FoundRecords::default()),
    }
}

/// Batches `first..=last` of one life that chain to `previous`; each knows that all before it are durable.
fn life(first: u64, last: u64, epoch: u64, mut previous: HeaderHash) -> Vec<FoundBatch> {
    let chained = (first..=last).map(|sequence| {
        let batch = batch(sequence, epoch, previous);
        previous = batch.hash;
        batch
    });
    chained.collect()
}

fn follow_all(found: Vec<FoundBatch>) -> Chain {
    follow(found, &[], 1)
}

fn kept(chain: &Chain) -> Vec<(u64, u64)> {
    let kept = chain.links.iter().filter_map(|link| match link {
        Link::Kept(batch) => Some((batch.header.sequence, batch.header.recovery_epoch)),
        Link::Lost { .. } => None,
    });
    kept.collect()
}

fn lost(chain: &Chain) -> Vec<u64> {
    let lost = chain.links.iter().filter_map(|link| match link {
        Link::Kept(_) => None,
        Link::Lost { sequence, .. } => Some(*sequence),
    });
    lost.collect()
}

#[test]
fn a_whole_log_is_kept_to_its_end() {
    let chain = follow_all(life(1, 4, 1, HeaderHash::ZERO));
    assert_eq!(kept(&chain), vec![(1, 1), (2, 1), (3, 1), (4, 1)]);
    assert_eq!(chain.tail.sequence, 5);
    assert_eq!(chain.tail.place, Some((SEGMENT, 5 * 4096)));
}

#[test]
fn an_uncovered_bad_batch_and_all_behind_it_are_cut() {
    let mut found = life(1, 6, 1, HeaderHash::ZERO);
    for batch in &mut found {
        // Four writes in flight: nothing behind 2 was known to be durable.
        batch.header.durable_sequence = batch.header.durable_sequence.min(2);
    }
    found[2].is_whole = false;
    let chain = follow_all(found);
    assert_eq!(kept(&chain), vec![(1, 1), (2, 1)]);
    assert_eq!(chain.cut.len(), 4);
    assert!(lost(&chain).is_empty());
}

#[test]
fn a_bad_batch_that_a_later_one_covers_is_damage() {
    let mut found = life(1, 4, 1, HeaderHash::ZERO);
    found[1].is_whole = false;
    let chain = follow_all(found.clone());
    assert_eq!(kept(&chain).len(), 4);
    found.remove(1);
    let chain = follow_all(found);
    assert_eq!(lost(&chain), vec![2]);
    assert_eq!(kept(&chain), vec![(1, 1), (3, 1), (4, 1)]);
}

#[test]
fn a_batch_beyond_the_window_proves_that_the_bad_one_was_durable() {
    let mut found = life(1, 8, 1, HeaderHash::ZERO);
    for batch in &mut found {
        batch.header.durable_sequence = 0;
    }
    let mut torn = found.clone();
    torn.truncate(6);
    torn.remove(1);
    assert!(lost(&follow_all(torn)).is_empty());
    found.truncate(7);
    found.remove(1);
    assert_eq!(lost(&follow_all(found)), vec![2]);
}

#[test]
fn remains_of_an_earlier_life_never_come_back() {
    let mut found = life(1, 5, 1, HeaderHash::ZERO);
    found.extend(life(3, 4, 2, hash(2, 1)));
    let chain = follow_all(found.clone());
    assert_eq!(kept(&chain), vec![(1, 1), (2, 1), (3, 2), (4, 2)]);
    // The restart batch of life 2 is damaged: what it cut stays cut.
    found.retain(|batch| batch.hash != hash(3, 2));
    let mut carrier = found.pop().unwrap();
    carrier.witness = Some(Witness {
        durable_sequence: 3,
        items: vec![WitnessItem {
            sequence: 3,
            recovery_epoch: 2,
            segment: SEGMENT,
            offset: 3 * 4096,
            length: 4096,
            directory_offset: 96,
            hash: hash(3, 2),
            directory: Vec::new(),
        }],
    });
    found.push(carrier);
    let chain = follow_all(found);
    assert_eq!(kept(&chain), vec![(1, 1), (2, 1), (4, 2)]);
    assert_eq!(lost(&chain), vec![3]);
}

#[test]
fn a_full_segment_that_lost_its_end_has_lost_acknowledged_batches() {
    let full = FullSegment {
        first_sequence: 1,
        last_sequence: 4,
        last_hash: hash(4, 1),
    };
    let live = LiveSegment {
        entry: SegmentEntry {
            name: SEGMENT,
            full: Some(full),
        },
        header: None,
        look: Look::Written,
    };
    let chain = follow(life(1, 3, 1, HeaderHash::ZERO), &[live], 1);
    assert_eq!(lost(&chain), vec![4]);
}

#[test]
fn freed_segments_leave_no_damage_behind() {
    let full = |first_sequence, last_sequence| FullSegment {
        first_sequence,
        last_sequence,
        last_hash: hash(last_sequence, 1),
    };
    let segment = |number, full| LiveSegment {
        entry: SegmentEntry {
            name: SegmentName {
                number,
                generation: 1,
            },
            full: Some(full),
        },
        header: None,
        look: Look::Written,
    };
    let mut found = life(3, 9, 1, hash(2, 1));
    found.retain(|batch| batch.header.sequence != 5 && batch.header.sequence != 6);
    let live = [segment(2, full(3, 4)), segment(4, full(7, 8))];
    let chain = follow(found.clone(), &live, 1);
    assert!(lost(&chain).is_empty());
    assert_eq!(kept(&chain).len(), 5);
    let suspect = LiveSegment {
        entry: SegmentEntry {
            name: SegmentName {
                number: 5,
                generation: 1,
            },
            full: None,
        },
        header: None,
        look: Look::Torn,
    };
    let chain = follow(found, &[live.to_vec(), vec![suspect]].concat(), 1);
    assert_eq!(lost(&chain), vec![5, 6]);
}

/// The segment behind the last full one lost its first batch: what follows in it shows that it was not freed.
#[test]
fn a_lost_first_batch_is_not_taken_for_a_freed_segment() {
    let full = FullSegment {
        first_sequence: 1,
        last_sequence: 2,
        last_hash: hash(2, 1),
    };
    let segment = |number, full, first_sequence| LiveSegment {
        entry: SegmentEntry {
            name: SegmentName {
                number,
                generation: 1,
            },
            full,
        },
        header: Some(SegmentHeader {
            log_id: 1,
            name: SegmentName {
                number,
                generation: 1,
            },
            size_bytes: 1 << 16,
            first_sequence,
            recovery_epoch: 1,
            previous: hash(first_sequence - 1, 1),
        }),
        look: Look::Written,
    };
    let mut found = life(1, 8, 1, HeaderHash::ZERO);
    found.remove(2);
    let mut first = segment(1, Some(full), 1);
    first.header = None;
    let live = [first, segment(2, None, 3), segment(3, None, 6)];
    let chain = follow(found, &live, 1);
    assert_eq!(lost(&chain), vec![3]);
    assert_eq!(kept(&chain).len(), 7);
}

#[test]
fn an_empty_log_starts_at_its_first_sequence() {
    let chain = follow_all(Vec::new());
    assert_eq!(chain.links, vec![]);
    let tail = Tail {
        sequence: 1,
        previous: Some(HeaderHash::ZERO),
        place: None,
    };
    assert_eq!(chain.tail, tail);
}

proptest! {
    /// Segments are scanned in any order (invariant 7), over two lives with holes and damage.
    #[test]
    fn the_order_of_scanning_does_not_matter(
        found in prop::collection::vec((1u64..14, 0u8..4), 14).prop_map(|choices| {
            let mut found = life(1, 9, 1, HeaderHash::ZERO);
            found.extend(life(7, 12, 2, hash(6, 1)));
            for (batch, (durable, damage)) in found.iter_mut().zip(choices) {
                let before = batch.header.sequence - 1;
                batch.header.durable_sequence = before.min(durable);
                batch.is_whole = damage > 0;
            }
            found
        }).prop_flat_map(|found| (Just(found.clone()), Just(found).prop_shuffle()))
    ) {
        let (ordered, shuffled) = found;
        prop_assert_eq!(follow_all(ordered), follow_all(shuffled));
    }
}
