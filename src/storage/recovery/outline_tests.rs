use super::*;
use crate::storage::append::NewEntry;
use crate::storage::batch::SegmentName;
use crate::storage::disk::OpenMode;
use crate::storage::log::Log;
use crate::storage::manifest::{ManifestFiles, ManifestKind};
use crate::storage::options::LogOptions;
use crate::storage::payload::Created;
use crate::storage::recovery::findings::find;
use crate::storage::recovery::flaws::{Flaw, FlawKind, flaws};
use crate::storage::recovery::{GroupStatus, Peers, RecoveryOptions, recover};
use crate::storage::segment::segment_path;
use crate::storage::spares::format_log;
use crate::storage::test_disk::{TestDisk, run};
use crate::storage::{Block, record};
use margay_raft::{EntryKind, Position, WriteId};
use margay_types::{GroupId, Incarnation, Index, LogTime, ProcessLife, ReplicaNumber, Term};
use std::time::Duration;

const GROUP: GroupId = GroupId::new(7);

fn directory() -> &'static Path {
    Path::new("data/log-1")
}

fn settle(log: &mut Log<TestDisk>, disk: &TestDisk) {
    log.submit().unwrap();
    while let Some(write) = disk.take_write() {
        log.on_written(write.token, Ok(write.bytes.len())).unwrap();
        log.submit().unwrap();
    }
    log.tend();
    disk.run_tasks();
}

/// A log with one group of so many entries, each in a batch of its own, over several segments.
fn written(entries: u64) -> TestDisk {
    let disk = TestDisk::new();
    let options = LogOptions::small();
    run(format_log(&disk, directory(), 1, &options)).unwrap();
    let recovery = RecoveryOptions {
        log: options,
        process_life: ProcessLife::new(1),
        peers: Peers::Some,
    };
    let mut log = run(recover(disk.clone(), directory(), &recovery))
        .unwrap()
        .log;
    let created = Created {
        incarnation: Incarnation::new([1; 16]),
        replica: ReplicaNumber::new(1),
        recovery_number: 0,
        machine: "bench".to_owned(),
        description: vec![1, 2, 3],
    };
    log.create_group(GROUP, &created).unwrap();
    for index in 1..=entries {
        let entry = NewEntry {
            group: GROUP,
            position: Position {
                term: Term::new(1),
                index: Index::new(index),
            },
            kind: EntryKind::CommandPlain,
            log_time: LogTime::new(5),
            payload: &[&[7; 9000]],
        };
        log.append_entry(&entry, WriteId(index)).unwrap();
        settle(&mut log, &disk);
    }
    log.on_idle(Duration::from_millis(10)).unwrap();
    settle(&mut log, &disk);
    disk
}

fn manifest(disk: &TestDisk) -> LogManifest {
    let opened = ManifestFiles::open(disk.clone(), directory(), ManifestKind::Log);
    LogManifest::parse(&run(opened).unwrap().1).unwrap()
}

fn outline(disk: &TestDisk) -> Outline {
    run(Outline::take(disk, directory(), &manifest(disk))).unwrap()
}

fn read(disk: &TestDisk, place: &BatchPlace) -> Option<ReadBatch> {
    let manifest = manifest(disk);
    run(place.read(&mut Window::new(disk, directory(), &manifest)))
}

fn all_flaws(disk: &TestDisk) -> Vec<Flaw> {
    let manifest = manifest(disk);
    let mut window = Window::new(disk, directory(), &manifest);
    run(flaws(&outline(disk), &mut window))
}

fn status(disk: &TestDisk) -> GroupStatus {
    let found = run(find(disk, directory(), &manifest(disk))).unwrap();
    found.groups[0].status.clone()
}

/// Flips a bit of one byte.
fn flip(disk: &TestDisk, segment: SegmentName, at: u32) {
    let path = segment_path(directory(), segment.number);
    let mut bytes = disk.contents(&path).unwrap();
    bytes[at as usize] ^= 1;
    let file = run(disk.open(&path, OpenMode::Existing)).unwrap();
    run(disk.write(&file, 0, Block::holding(&bytes).whole())).unwrap();
}

/// The place of the batch with an entry, and where in it the record starts.
fn place_of_entry(disk: &TestDisk, index: u64) -> (BatchPlace, u32) {
    let found = outline(disk).places.into_iter().find_map(|place| {
        let read = read(disk, &place)?;
        let mut records = read.records.good.iter();
        let record = records.find(|record| {
            let is_entry = matches!(record.fields.kind, record::RecordKind::Entry(_));
            is_entry && record.fields.index == Index::new(index)
        });
        let offset = record?.offset;
        Some((place, offset))
    });
    found.expect("it was written")
}

#[test]
fn batches_come_in_the_order_of_the_log_whatever_segment_they_stand_in() {
    let disk = written(60);
    let outline = outline(&disk);
    let sequences: Vec<u64> = outline.places.iter().map(|place| place.sequence).collect();
    let expected: Vec<u64> = (1..outline.next_sequence).collect();
    assert_eq!(sequences, expected);
    let segments = outline.places.iter().filter_map(|place| place.extent);
    let mut segments: Vec<u32> = segments.map(|extent| extent.segment.number).collect();
    segments.dedup();
    assert!(segments.len() > 2, "{segments:?}");
    assert!(outline.places.iter().all(|place| place.fate == Fate::Kept));
    assert_eq!(all_flaws(&disk), []);
}

/// Epochs never fall along a log: so what a life left behind a cut never comes back behind what a later one wrote.
#[test]
fn every_life_of_a_log_has_an_epoch_of_its_own() {
    let disk = written(2);
    for life in 2..=3 {
        let recovery = RecoveryOptions {
            log: LogOptions::small(),
            process_life: ProcessLife::new(life),
            peers: Peers::Some,
        };
        run(recover(disk.clone(), directory(), &recovery)).unwrap();
    }
    let places = outline(&disk).places;
    let headers = places
        .iter()
        .filter_map(|place| read(&disk, place)?.header)
        .map(|header| header.recovery_epoch);
    let mut epochs: Vec<u64> = headers.collect();
    epochs.dedup();
    assert_eq!(epochs, [1, 2, 3]);
}

#[test]
fn what_is_read_batch_by_batch_is_what_recovery_finds() {
    let disk = written(60);
    let findings = run(find(&disk, directory(), &manifest(&disk))).unwrap();
    let outline = outline(&disk);
    assert_eq!(Outline::of(&findings.chain, findings.live.clone()), outline);
    let manifest = manifest(&disk);
    let mut window = Window::new(&disk, directory(), &manifest);
    for (place, link) in outline.places.iter().zip(&findings.chain.links) {
        let read = run(place.read(&mut window)).unwrap();
        let kept = link.kept().unwrap();
        assert_eq!(read.header, Some(kept.header));
        assert_eq!(Body::Directed(read.records), kept.body);
        assert!(read.directory_is_good);
    }
}

#[test]
fn a_damaged_record_is_named_with_its_place() {
    let disk = written(20);
    let (place, offset) = place_of_entry(&disk, 9);
    let extent = place.extent.unwrap();
    flip(&disk, extent.segment, extent.offset + offset + 100);
    let found = all_flaws(&disk);
    let [
        Flaw {
            kind: FlawKind::Records(bad),
            sequence,
            at,
        },
    ] = found[..]
    else {
        panic!("{found:?}");
    };
    assert_eq!(
        (bad.group, bad.first, bad.last),
        (GROUP, Index::new(9), Index::new(9))
    );
    assert_eq!(sequence, Some(place.sequence));
    assert_eq!(at, Some((extent.segment, extent.offset + offset)));
    assert!(matches!(status(&disk), GroupStatus::Damaged { .. }));
}

#[test]
fn a_damaged_header_or_directory_is_read_along_its_witness() {
    let disk = written(20);
    let (place, _) = place_of_entry(&disk, 9);
    let (extent, whole) = (place.extent.unwrap(), read(&disk, &place).unwrap());
    let directory_offset = whole.header.unwrap().directory_offset;
    for (at, kind) in [
        (0, FlawKind::BatchHeader),
        (directory_offset + 20, FlawKind::Directory),
    ] {
        let disk = written(20);
        flip(&disk, extent.segment, extent.offset + at);
        let found = all_flaws(&disk);
        let kinds: Vec<FlawKind> = found.iter().map(|flaw| flaw.kind).collect();
        assert_eq!(kinds, [kind], "at {at}");
        let outline = outline(&disk);
        let lost = outline.with_fate(Fate::Lost).next().unwrap();
        assert_eq!(read(&disk, lost).unwrap().records, whole.records);
        assert_eq!(status(&disk), GroupStatus::Serves);
    }
}

#[test]
fn a_damaged_witness_hurts_nobody_and_is_named() {
    let disk = written(20);
    let (place, _) = place_of_entry(&disk, 9);
    let extent = place.extent.unwrap();
    let witness_offset = read(&disk, &place).unwrap().header.unwrap().witness_offset;
    assert!(witness_offset > 0, "it tells of the batch before");
    flip(&disk, extent.segment, extent.offset + witness_offset + 40);
    let found = all_flaws(&disk);
    let [flaw] = found[..] else {
        panic!("{found:?}");
    };
    assert_eq!(flaw.kind, FlawKind::Witness);
    assert_eq!(status(&disk), GroupStatus::Serves);
}

/// The newest batch was covered by none, so nobody was told of it: no damage.
#[test]
fn a_torn_end_is_cut_and_no_flaw() {
    let disk = written(20);
    let before = outline(&disk);
    let last = before.places.last().unwrap();
    let extent = last.extent.unwrap();
    let witness_offset = read(&disk, last).unwrap().header.unwrap().witness_offset;
    flip(&disk, extent.segment, extent.offset + witness_offset + 40);
    let after = outline(&disk);
    assert_eq!(after.next_sequence, before.next_sequence - 1);
    let cut: Vec<u64> = after.with_fate(Fate::Cut).map(|it| it.sequence).collect();
    assert_eq!(cut, [last.sequence]);
    assert_eq!(all_flaws(&disk), []);
}

#[test]
fn a_missing_segment_is_named_and_its_batches_are_gone() {
    let disk = written(60);
    let first = outline(&disk).places[0].extent.unwrap().segment;
    run(disk.remove(&segment_path(directory(), first.number))).unwrap();
    let found = all_flaws(&disk);
    assert_eq!(found[0].kind, FlawKind::SegmentMissing);
    assert_eq!(found[0].at, Some((first, 0)));
}
