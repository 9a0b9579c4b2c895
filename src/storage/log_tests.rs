//! Situations of one log over a disk that obeys: what is written, reported, lent, read back and freed.

use super::*;
use crate::storage::append::NewEntry;
use crate::storage::batch::{BatchView, SegmentName};
use crate::storage::block::Block;
use crate::storage::disk::OpenMode;
use crate::storage::lent::Lent;
use crate::storage::log_manifest::LogManifest;
use crate::storage::manifest::{ManifestFiles, ManifestKind};
use crate::storage::open_batch::{OpenBatch, Stamp};
use crate::storage::payload::{CheckpointPointer, ChunkHeader, Created, Tail};
use crate::storage::record::{RecordKind, RecordView, records};
use crate::storage::recovery::{Peers, RecoveryOptions, recover};
use crate::storage::resume::SpareSegment;
use crate::storage::segment::segment_path;
use crate::storage::space::Room;
use crate::storage::spares::format_log;
use crate::storage::test_disk::{TestDisk, run};
use margay_raft::{EntryKind, HardState};
use margay_types::{Incarnation, LogTime, ProcessLife, ReplicaNumber};
use std::path::Path;

const DIRECTORY: &str = "data/log-1";
const GROUP: GroupId = GroupId::new(7);
const OTHER: GroupId = GroupId::new(9);

fn options() -> LogOptions {
    LogOptions {
        segment_bytes: 128 << 10,
        ..LogOptions::small()
    }
}

/// A fresh log whose restart batch is durable at the start of segment 1.
fn fresh(disk: &TestDisk, options: LogOptions) -> Log<TestDisk> {
    let directory = Path::new(DIRECTORY);
    run(format_log(disk, directory, 1, &options)).unwrap();
    let (manifest, body) = run(ManifestFiles::open(
        disk.clone(),
        directory,
        ManifestKind::Log,
    ))
    .unwrap();
    let listed = LogManifest::parse(&body).unwrap();
    let mut spares: Vec<SpareSegment<_>> = listed
        .segments
        .iter()
        .map(|entry| {
            let path = segment_path(directory, entry.name.number);
            let file = run(disk.open(&path, OpenMode::Existing)).unwrap();
            SpareSegment {
                name: entry.name,
                file,
            }
        })
        .collect();
    let first = spares.remove(0);
    let block = Block::with_capacity(8192);
    let batch = OpenBatch::new(block, Lead::SegmentHeader, 1, 4096, 0);
    let stamp = Stamp {
        log_id: 1,
        recovery_epoch: 1,
        segment: first.name,
        offset: 4096,
        segment_bytes: options.segment_bytes,
        durable_sequence: 0,
        previous: HeaderHash::ZERO,
        length: None,
    };
    let (sealed, _) = batch.seal(&stamp, None);
    run(disk.write(&first.file, 0, sealed.write.clone())).unwrap();
    let live = LiveSegment {
        name: first.name,
        file: first.file,
        first_sequence: 1,
        last_sequence: 1,
        last_hash: sealed.item.hash,
        is_held: false,
    };
    let resume = Resume {
        log_id: 1,
        directory: directory.to_owned(),
        segment_bytes: options.segment_bytes,
        manifest,
        recovery_epoch: 1,
        restart: sealed.item,
        covered_sequence: 0,
        segments: vec![live],
        spares,
        held: Vec::new(),
        groups: Vec::new(),
    };
    Log::resume(disk.clone(), options, resume)
}

fn created() -> Created {
    Created {
        incarnation: Incarnation::new([1; 16]),
        replica: ReplicaNumber::new(1),
        recovery_number: 0,
        machine: "bench".to_owned(),
        description: vec![1, 2, 3],
    }
}

/// A log with two groups, whose births are durable.
fn with_groups(disk: &TestDisk, options: LogOptions) -> Log<TestDisk> {
    let mut log = fresh(disk, options);
    log.create_group(GROUP, &created()).unwrap();
    log.create_group(OTHER, &created()).unwrap();
    settle(&mut log, disk);
    log
}

fn append(log: &mut Log<TestDisk>, group: GroupId, payload: &[u8]) -> Index {
    append_in(log, group, 1, payload)
}

fn append_in(log: &mut Log<TestDisk>, group: GroupId, term: u32, payload: &[u8]) -> Index {
    let index = log.last(group).index.next();
    let entry = NewEntry {
        group,
        position: Position {
            term: Term::new(term),
            index,
        },
        kind: EntryKind::CommandPlain,
        log_time: LogTime::new(5),
        payload: &[payload],
    };
    let write = WriteId(u64::from(term - 1) * 1000 + index.number());
    log.append_entry(&entry, write).unwrap();
    index
}

/// Lets all writes return; gives what was reported.
fn settle(log: &mut Log<TestDisk>, disk: &TestDisk) -> Vec<(GroupId, WriteId)> {
    let mut reported = Vec::new();
    log.submit().unwrap();
    while let Some(write) = disk.take_write() {
        let written = Ok(write.bytes.len());
        reported.extend_from_slice(log.on_written(write.token, written).unwrap());
        log.submit().unwrap();
    }
    reported
}

/// Writes witnesses and heads until nothing is wanted any more.
fn rest(log: &mut Log<TestDisk>, disk: &TestDisk) {
    loop {
        log.on_idle(Duration::from_millis(10)).unwrap();
        if disk.writes_under_way() == 0 {
            break;
        }
        settle(log, disk);
    }
}

fn lent(log: &Log<TestDisk>, group: GroupId, first: u64, last: u64, bytes_max: usize) -> Vec<u64> {
    match log.entries(group, Index::new(first), Index::new(last), bytes_max) {
        Lent::Memory(entries) => entries
            .records()
            .map(|record| record.unwrap().index().number())
            .collect(),
        Lent::OnDisk => panic!("only on disk"),
        Lent::Absent => panic!("absent"),
    }
}

/// A received append of many entries is one write. When it takes several batches, only the last of them makes it
/// durable: an answer before that promises what a power cut still takes.
#[test]
fn a_write_that_spans_batches_is_reported_by_the_last_of_them() {
    let disk = TestDisk::new();
    let mut log = with_groups(&disk, options());
    let write = WriteId(1 << 20);
    append(&mut log, OTHER, b"x");
    while log.full.len() < 2 {
        let index = log.last(GROUP).index.next();
        let entry = NewEntry {
            group: GROUP,
            position: Position {
                term: Term::new(1),
                index,
            },
            kind: EntryKind::CommandPlain,
            log_time: LogTime::new(5),
            payload: &[&[7; 9000]],
        };
        log.append_entry(&entry, write).unwrap();
    }
    let mut reported = Vec::new();
    let mut batches = 0;
    log.submit().unwrap();
    while let Some(returned) = disk.take_write() {
        batches += 1;
        let written = Ok(returned.bytes.len());
        let told = log.on_written(returned.token, written).unwrap();
        reported.extend(told.iter().map(|told| (batches, *told)));
        log.submit().unwrap();
    }
    let other = (1, (OTHER, WriteId(1)));
    assert_eq!(reported, [other, (3, (GROUP, write))]);
}

#[test]
fn a_lone_append_starts_its_write_at_once_and_is_reported_when_it_returns() {
    let disk = TestDisk::new();
    let mut log = with_groups(&disk, options());
    append(&mut log, GROUP, b"alone");
    log.submit().unwrap();
    assert_eq!(disk.writes_under_way(), 1);
    let write = disk.take_write().unwrap();
    let reported = log.on_written(write.token, Ok(write.bytes.len())).unwrap();
    assert_eq!(reported, [(GROUP, WriteId(1))]);
}

#[test]
fn what_arrives_during_a_write_leaves_in_the_next_and_each_group_is_reported_once() {
    let disk = TestDisk::new();
    let mut log = with_groups(&disk, options());
    append(&mut log, GROUP, b"a");
    log.submit().unwrap();
    for _ in 0..10 {
        append(&mut log, GROUP, b"b");
        append(&mut log, OTHER, b"c");
        log.submit().unwrap();
    }
    assert_eq!(disk.writes_under_way(), 1, "one write in flight");
    let first = disk.take_write().unwrap();
    log.on_written(first.token, Ok(first.bytes.len())).unwrap();
    log.submit().unwrap();
    let second = disk.take_write().unwrap();
    let reported = log
        .on_written(second.token, Ok(second.bytes.len()))
        .unwrap();
    assert_eq!(reported, [(GROUP, WriteId(11)), (OTHER, WriteId(10))]);
    let view = BatchView::parse(&second.bytes).unwrap();
    assert_eq!(view.directory().unwrap().runs.len(), 20);
    assert_eq!(
        view.witness().unwrap().unwrap().items.len(),
        1,
        "tells of the first batch"
    );
}

#[test]
fn entries_are_lent_before_they_are_written_and_in_order_although_groups_mix() {
    let disk = TestDisk::new();
    let mut log = with_groups(&disk, options());
    for _ in 0..5 {
        append(&mut log, GROUP, b"mine");
        append(&mut log, OTHER, b"other");
    }
    assert_eq!(lent(&log, GROUP, 2, 4, 1 << 20), [2, 3, 4]);
    assert_eq!(lent(&log, OTHER, 1, 9, 1 << 20), [1, 2, 3, 4, 5]);
    settle(&mut log, &disk);
    append(&mut log, GROUP, b"mine");
    append(&mut log, GROUP, b"mine");
    assert_eq!(
        lent(&log, GROUP, 4, 7, 1 << 20),
        [4, 5, 6, 7],
        "over two batches"
    );
}

#[test]
fn lending_stops_at_the_bound_but_gives_one_entry_at_least() {
    let disk = TestDisk::new();
    let mut log = with_groups(&disk, options());
    for _ in 0..4 {
        append(&mut log, GROUP, &[0; 68]);
    }
    assert_eq!(lent(&log, GROUP, 1, 4, 0), [1]);
    assert_eq!(lent(&log, GROUP, 1, 4, 208), [1, 2]);
    assert_eq!(lent(&log, GROUP, 3, 4, 207), [3]);
}

#[test]
fn a_received_record_is_stored_byte_for_byte() {
    let disk = TestDisk::new();
    let mut leader = with_groups(&disk, options());
    append(&mut leader, GROUP, b"from the leader");
    let Lent::Memory(entries) = leader.entries(GROUP, Index::new(1), Index::new(1), 999) else {
        panic!("in memory")
    };
    let other_disk = TestDisk::new();
    let mut follower = with_groups(&other_disk, options());
    let record = entries.records().next().unwrap().unwrap();
    follower.append_received(&record, WriteId(1)).unwrap();
    let Lent::Memory(stored) = follower.entries(GROUP, Index::new(1), Index::new(1), 999) else {
        panic!("in memory")
    };
    assert_eq!(stored.pieces[0][..], entries.pieces[0][..]);
}

#[test]
fn batches_chain_within_a_segment_and_from_one_to_the_next() {
    let disk = TestDisk::new();
    let mut log = with_groups(&disk, options());
    while log.segments.len() < 3 {
        append(&mut log, GROUP, &[7; 9000]);
        settle(&mut log, &disk);
        disk.run_tasks();
    }
    let mut previous = HeaderHash::ZERO;
    let mut sequence = 0;
    for segment in &log.segments {
        let path = segment_path(Path::new(DIRECTORY), segment.live.name.number);
        let bytes = disk.contents(&path).unwrap();
        let mut at = 4096;
        while sequence < segment.live.last_sequence {
            let view = BatchView::parse(&bytes[at..]).unwrap();
            sequence += 1;
            assert_eq!(
                (view.header().sequence, view.header().previous),
                (sequence, previous)
            );
            assert!(records(view.record_bytes()).all(|record| record.is_ok()));
            previous = view.hash();
            at += view.bytes().len();
        }
    }
    assert_eq!(sequence, log.durable().0);
}

#[test]
fn every_segment_gets_a_head_of_every_group() {
    let disk = TestDisk::new();
    let mut log = with_groups(&disk, options());
    let hard_state = HardState {
        term: Term::new(1),
        voted_for: Some(ReplicaNumber::new(1)),
    };
    log.save_hard_state(OTHER, hard_state, WriteId(1)).unwrap();
    while log.segments.len() < 2 {
        append(&mut log, GROUP, &[7; 9000]);
        settle(&mut log, &disk);
    }
    let path = segment_path(Path::new(DIRECTORY), log.segments[1].live.name.number);
    let bytes = disk.contents(&path).unwrap();
    let view = BatchView::parse(&bytes[4096..]).unwrap();
    let heads: Vec<_> = records(view.record_bytes())
        .map(Result::unwrap)
        .filter_map(|record| payload::Head::parse(&record).map(|head| (record.group(), head)))
        .collect();
    assert_eq!(
        heads.iter().map(|(group, _)| *group).collect::<Vec<_>>(),
        [GROUP, OTHER]
    );
    assert_eq!(heads[1].1.hard_state, hard_state);
    assert!(log.segments[1].heads_complete.is_some());
}

#[test]
fn a_failed_and_a_short_write_are_final() {
    for result in [Err(io::ErrorKind::Other.into()), Ok(4095)] {
        let disk = TestDisk::new();
        let mut log = with_groups(&disk, options());
        append(&mut log, GROUP, b"lost");
        log.submit().unwrap();
        let write = disk.take_write().unwrap();
        let durable = log.durable();
        assert!(matches!(
            log.on_written(write.token, result),
            Err(StorageError::Write { .. })
        ));
        assert_eq!(log.durable(), durable);
        assert!(log.submit().is_err());
        assert!(
            log.save_hard_state(GROUP, HardState::default(), WriteId(9))
                .is_err()
        );
        assert!(!log.has_room(1));
    }
}

#[test]
fn completions_out_of_order_are_reported_as_a_prefix() {
    let disk = TestDisk::new();
    let mut log = with_groups(
        &disk,
        LogOptions {
            writes_in_flight: 2,
            ..options()
        },
    );
    append(&mut log, GROUP, b"first");
    log.submit().unwrap();
    append(&mut log, OTHER, b"second");
    log.submit().unwrap();
    let (first, second) = (disk.take_write().unwrap(), disk.take_write().unwrap());
    assert!(
        log.on_written(second.token, Ok(second.bytes.len()))
            .unwrap()
            .is_empty()
    );
    let reported = log.on_written(first.token, Ok(first.bytes.len())).unwrap();
    assert_eq!(reported, [(GROUP, WriteId(1)), (OTHER, WriteId(1))]);
}

#[test]
fn an_idle_log_writes_one_witness_and_then_rests() {
    let disk = TestDisk::new();
    let mut log = with_groups(&disk, options());
    append(&mut log, GROUP, b"x");
    settle(&mut log, &disk);
    let durable = log.durable();
    assert!(log.covered() < durable);
    log.on_idle(Duration::from_millis(4)).unwrap();
    assert_eq!(disk.writes_under_way(), 0, "not idle for long enough");
    log.on_idle(Duration::from_millis(5)).unwrap();
    append(&mut log, GROUP, b"y");
    log.submit().unwrap();
    assert_eq!(disk.writes_under_way(), 2, "a witness takes no slot");
    settle(&mut log, &disk);
    assert!(log.covered() >= durable);
    rest(&mut log, &disk);
    assert_eq!(disk.writes_under_way(), 0);
}

#[test]
fn full_batches_wait_for_their_slot_and_keep_their_places() {
    let disk = TestDisk::new();
    let mut log = with_groups(&disk, options());
    append(&mut log, GROUP, b"in flight");
    log.submit().unwrap();
    let mut last = Index::ZERO;
    while log.full.len() < 2 {
        last = append(&mut log, GROUP, &[1; 5000]);
    }
    let reported = settle(&mut log, &disk);
    assert_eq!(reported.last(), Some(&(GROUP, WriteId(last.number()))));
    let loaded = run(log.load(GROUP, Index::new(1), last, usize::MAX)).unwrap();
    assert_eq!(loaded.last, last);
}

#[test]
fn a_truncation_hides_what_it_cut_in_memory_and_on_disk() {
    let disk = TestDisk::new();
    let mut log = with_groups(&disk, options());
    for _ in 0..4 {
        append(&mut log, GROUP, b"old");
    }
    log.truncate(GROUP, Index::new(3), WriteId(5)).unwrap();
    assert_eq!(log.last(GROUP).index, Index::new(2));
    for _ in 0..2 {
        append_in(&mut log, GROUP, 2, b"new");
    }
    assert_eq!(log.term(GROUP, Index::new(2)), Some(Term::new(1)));
    assert_eq!(log.term(GROUP, Index::new(3)), Some(Term::new(2)));
    let terms = |bytes: &[u8]| -> Vec<u32> {
        records(bytes)
            .map(|record| record.unwrap().term().number())
            .collect()
    };
    let Lent::Memory(entries) = log.entries(GROUP, Index::new(1), Index::new(4), 9999) else {
        panic!("in memory")
    };
    let lent: Vec<u8> = entries
        .pieces
        .iter()
        .flat_map(|piece| piece.to_vec())
        .collect();
    assert_eq!(terms(&lent), [1, 1, 2, 2]);
    settle(&mut log, &disk);
    let loaded = run(log.load(GROUP, Index::new(1), Index::new(4), 9999)).unwrap();
    assert_eq!(loaded.bytes, lent, "the disk says the same");
}

#[test]
fn old_batches_leave_memory_and_are_read_from_disk() {
    let disk = TestDisk::new();
    let options = LogOptions {
        retained_bytes: 16 << 10,
        ..options()
    };
    let mut log = with_groups(&disk, options);
    for _ in 0..8 {
        append(&mut log, GROUP, &[3; 3000]);
        append(&mut log, OTHER, &[4; 3000]);
        settle(&mut log, &disk);
    }
    let (first, last) = (Index::new(1), Index::new(8));
    assert!(matches!(
        log.entries(GROUP, first, last, 1 << 20),
        Lent::OnDisk
    ));
    assert_eq!(lent(&log, GROUP, 8, 8, 1 << 20), [8]);
    let loaded = run(log.load(GROUP, first, last, 1 << 20)).unwrap();
    let indexes: Vec<u64> = records(&loaded.bytes)
        .map(|record| record.unwrap().index().number())
        .collect();
    assert_eq!(indexes, [1, 2, 3, 4, 5, 6, 7, 8]);
    let bounded = run(log.load(GROUP, first, last, 7000)).unwrap();
    assert_eq!(bounded.last, Index::new(2));
    assert!(matches!(
        run(log.load(GROUP, Index::new(9), Index::new(9), 1)),
        Err(StorageError::Absent { .. })
    ));
}

/// As a leader that took one command after the other: each stands in a batch of its own.
fn many_small_batches(disk: &TestDisk) -> Log<TestDisk> {
    let options = LogOptions {
        retained_bytes: 16 << 10,
        ..options()
    };
    let mut log = with_groups(disk, options);
    for _ in 0..32 {
        append(&mut log, GROUP, &[3; 100]);
        settle(&mut log, disk);
    }
    log
}

#[test]
fn neighbouring_batches_are_read_at_once() {
    let disk = TestDisk::new();
    let log = many_small_batches(&disk);
    let before = disk.reads.get();
    let loaded = run(log.load(GROUP, Index::new(1), Index::new(32), 1 << 20)).unwrap();
    assert_eq!(loaded.last, Index::new(32));
    assert_eq!(disk.reads.get() - before, log.used_segments());
}

/// A sector between two of them is gone: it belongs to another group.
#[test]
fn what_cannot_be_read_with_its_neighbours_is_read_alone() {
    let disk = TestDisk::new();
    let mut log = with_groups(&disk, options());
    for group in [GROUP, OTHER, GROUP] {
        append(&mut log, group, &[3; 100]);
        settle(&mut log, &disk);
    }
    let other = log.groups.expect(OTHER).index.items().last().unwrap();
    disk.unreadable.set(Some(u64::from(other.offset)));
    let loaded = run(log.load(GROUP, Index::new(1), Index::new(2), 1 << 20)).unwrap();
    assert_eq!(loaded.last, Index::new(2));
    let lost = run(log.load(OTHER, Index::new(1), Index::new(1), 1 << 20));
    assert!(lost.is_err(), "{lost:?}");
}

#[test]
fn a_damaged_record_is_named_when_it_is_read() {
    let disk = TestDisk::new();
    let mut log = with_groups(&disk, options());
    append(&mut log, GROUP, b"good");
    let bad = append(&mut log, GROUP, &[0x5A; 100]);
    settle(&mut log, &disk);
    let path = segment_path(Path::new(DIRECTORY), 1);
    let bytes = disk.contents(&path).unwrap();
    let at = bytes
        .windows(100)
        .position(|window| window == [0x5A; 100])
        .unwrap();
    let file = run(disk.open(&path, OpenMode::Existing)).unwrap();
    run(disk.write(&file, at as u64, Block::holding(b"x").whole())).unwrap();
    let loaded = run(log.load(GROUP, Index::new(1), bad, 9999));
    assert!(
        matches!(loaded, Err(StorageError::Record { group: GROUP, index, .. }) if index == bad)
    );
}

#[path = "log_space_tests.rs"]
mod space;
