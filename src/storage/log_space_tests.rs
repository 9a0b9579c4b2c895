//! Situations of one log in which room is made, short, or used again: checkpoints, segments, marks, memory.

use super::*;

fn pointer(log: &Log<TestDisk>, group: GroupId, chunks: u32) -> CheckpointPointer {
    CheckpointPointer {
        at: log.last(group),
        floor: log.floor(group),
        stream_epoch: 0,
        first_origin: 0,
        stream_bytes: 3,
        chunks,
        replica: ReplicaNumber::new(1),
        tail: Tail::Keep,
        stream_hash: [0; 16],
        live_hash: [0; 16],
        effect_chain: [0; 16],
    }
}

/// The log after a restart, and how far recovery finds entries of [`GROUP`] gone.
fn restarted(disk: &TestDisk, life: u64) -> (Log<TestDisk>, Position) {
    let options = RecoveryOptions {
        log: options(),
        process_life: ProcessLife::new(life),
        peers: Peers::Some,
    };
    let recovered = run(recover(disk.clone(), Path::new(DIRECTORY), &options)).unwrap();
    let mut groups = recovered.groups.iter();
    let found = groups.find(|group| group.group == GROUP).unwrap();
    let floor = found.floor;
    (recovered.log, floor)
}

fn checkpoint(log: &mut Log<TestDisk>, group: GroupId) {
    let at = log.last(group).index;
    let header = ChunkHeader {
        stream_epoch: 0,
        number: 0,
    };
    log.write_chunk(group, at, header, b"abc").unwrap();
    let pointer = pointer(log, group, 1);
    log.write_pointer(group, &pointer, Index::ZERO).unwrap();
}

#[test]
fn a_checkpoint_lets_entries_go_only_when_it_is_covered() {
    let disk = TestDisk::new();
    let mut log = with_groups(&disk, options());
    append(&mut log, GROUP, b"x");
    checkpoint(&mut log, GROUP);
    settle(&mut log, &disk);
    assert_eq!(
        log.release(GROUP, Index::new(1)),
        Index::ZERO,
        "durable, not covered"
    );
    rest(&mut log, &disk);
    assert_eq!(log.release(GROUP, Index::new(1)), Index::new(1));
    assert_eq!(log.first(GROUP), None);
    assert_eq!(log.last(GROUP).index, Index::new(1));
    assert_eq!(run(log.load_chunk(GROUP, 0)).unwrap(), b"abc");
    assert!(run(log.load_chunk(GROUP, 1)).is_err());
    append(&mut log, GROUP, b"behind");
    assert_eq!(lent(&log, GROUP, 2, 2, 99), [2]);
}

/// A member may end exactly at the floor: a leader that does not know the term there cannot go on with it.
#[test]
fn the_term_at_the_floor_is_known_after_every_restart() {
    let disk = TestDisk::new();
    let mut log = with_groups(&disk, options());
    while log.segments.len() < 2 {
        append_in(&mut log, GROUP, 1, &[7; 9000]);
        settle(&mut log, &disk);
    }
    let at = Position {
        term: Term::new(1),
        index: log.last(GROUP).index.previous(),
    };
    let of_the_first_segment = CheckpointPointer {
        at,
        ..pointer(&log, GROUP, 0)
    };
    log.write_pointer(GROUP, &of_the_first_segment, Index::ZERO)
        .unwrap();
    settle(&mut log, &disk);
    rest(&mut log, &disk);
    assert_eq!(log.release(GROUP, at.index), at.index);
    append_in(&mut log, GROUP, 2, b"x");
    append_in(&mut log, GROUP, 2, b"y");
    checkpoint(&mut log, GROUP);
    checkpoint(&mut log, OTHER);
    settle(&mut log, &disk);
    rest(&mut log, &disk);
    log.tend();
    assert_eq!(log.segments.len(), 1, "the first is gone");
    disk.run_tasks();
    drop(log);
    let (log, found) = restarted(&disk, 2);
    assert_eq!(found, at, "the checkpoint that told it is replaced");
    assert_eq!(log.floor(GROUP), at);
    drop(log);
    let (mut log, found) = restarted(&disk, 3);
    assert_eq!(found, at);
    let higher = Position {
        term: Term::new(2),
        index: log.last(GROUP).index.previous(),
    };
    assert_eq!(log.release(GROUP, higher.index), higher.index);
    assert_eq!(log.first(GROUP), Some(higher.index), "only the entry tells");
    checkpoint(&mut log, GROUP);
    settle(&mut log, &disk);
    rest(&mut log, &disk);
    assert_eq!(log.floor(GROUP), higher);
}

#[test]
fn the_oldest_segment_goes_when_nobody_needs_it_and_comes_back_under_a_new_generation() {
    let disk = TestDisk::new();
    let mut log = with_groups(&disk, options());
    while log.segments.len() < 2 {
        append(&mut log, GROUP, &[7; 9000]);
        settle(&mut log, &disk);
    }
    assert_eq!(log.oldest_holders(), [GROUP, OTHER], "births and entries");
    checkpoint(&mut log, GROUP);
    settle(&mut log, &disk);
    rest(&mut log, &disk);
    let last = log.last(GROUP).index;
    log.release(GROUP, last);
    log.tend();
    assert_eq!(log.oldest_holders(), [OTHER]);
    checkpoint(&mut log, OTHER);
    settle(&mut log, &disk);
    rest(&mut log, &disk);
    log.tend();
    assert_eq!(log.segments.len(), 1);
    disk.run_tasks();
    let (_, body) = run(ManifestFiles::open(
        disk.clone(),
        Path::new(DIRECTORY),
        ManifestKind::Log,
    ))
    .unwrap();
    let listed = LogManifest::parse(&body).unwrap();
    assert_eq!(
        listed.segments[0].name,
        SegmentName {
            number: 1,
            generation: 2
        }
    );
    assert_eq!(listed.segments[0].full, None);
}

/// Segments go as a whole, and a checkpoint that frees none takes room from the one that will.
#[test]
fn a_checkpoint_helps_when_it_stands_for_all_that_the_oldest_segment_holds() {
    let disk = TestDisk::new();
    let mut log = with_groups(&disk, options());
    let mut last_of_oldest = Index::ZERO;
    while log.segments.len() < 2 {
        last_of_oldest = log.last(GROUP).index;
        append(&mut log, GROUP, &[7; 9000]);
        settle(&mut log, &disk);
    }
    let helped = |log: &Log<TestDisk>, applied: Index| {
        let of = |group| if group == GROUP { applied } else { Index::ZERO };
        log.oldest_holders_for_checkpoint(of)
    };
    assert_eq!(helped(&log, last_of_oldest), [GROUP, OTHER]);
    assert_eq!(helped(&log, last_of_oldest.previous()), [OTHER]);
    checkpoint(&mut log, GROUP);
    settle(&mut log, &disk);
    rest(&mut log, &disk);
    assert_eq!(log.oldest_holders(), [GROUP, OTHER], "others may lack it");
    assert_eq!(helped(&log, log.last(GROUP).index), [OTHER]);
}

#[test]
fn a_read_under_way_keeps_its_segment() {
    let disk = TestDisk::new();
    let mut log = with_groups(&disk, options());
    while log.segments.len() < 2 {
        append(&mut log, GROUP, &[7; 9000]);
        settle(&mut log, &disk);
    }
    let read = log.load(GROUP, Index::new(1), Index::new(1), 1);
    checkpoint(&mut log, GROUP);
    checkpoint(&mut log, OTHER);
    settle(&mut log, &disk);
    rest(&mut log, &disk);
    let last = log.last(GROUP).index;
    log.release(GROUP, last);
    log.tend();
    disk.run_tasks();
    assert_eq!(run(read).unwrap().last, Index::new(1));
    let ready = log.spares.state().borrow().ready_count();
    log.tend();
    disk.run_tasks();
    assert_eq!(log.spares.state().borrow().ready_count(), ready.max(3));
    assert!(log.segments.len() == 1);
}

/// A removal in a later segment keeps a group of an earlier one dead: as long as a read keeps the earlier one alive,
/// the later one must not be used anew either.
#[test]
fn segments_are_used_anew_in_the_order_of_the_log_even_when_a_read_keeps_the_oldest() {
    let disk = TestDisk::new();
    let mut log = with_groups(&disk, options());
    while log.segments.len() < 2 {
        append(&mut log, GROUP, &[7; 9000]);
        settle(&mut log, &disk);
    }
    let read = log.load(GROUP, Index::new(1), Index::new(1), 1);
    log.remove_group(GROUP).unwrap();
    while log.segments.len() < 3 {
        append(&mut log, OTHER, &[7; 9000]);
        settle(&mut log, &disk);
    }
    checkpoint(&mut log, OTHER);
    settle(&mut log, &disk);
    rest(&mut log, &disk);
    let last = log.last(OTHER).index;
    log.release(OTHER, last);
    log.tend();
    assert_eq!(log.segments.len(), 1, "nobody needs the first two");
    disk.run_tasks();
    let options = RecoveryOptions {
        log: options(),
        process_life: ProcessLife::new(2),
        peers: Peers::Some,
    };
    let recovered = run(recover(disk.clone(), Path::new(DIRECTORY), &options)).unwrap();
    let groups = recovered.groups.iter().map(|group| group.group);
    assert_eq!(
        groups.collect::<Vec<_>>(),
        [OTHER],
        "the removed group is back"
    );
    drop(read);
    log.tend();
    disk.run_tasks();
    assert!(log.spares.state().borrow().ready_count() >= 3);
}

#[test]
fn a_full_disk_passes_the_marks_one_by_one_and_hard_states_still_go() {
    let disk = TestDisk::new();
    let mut log = with_groups(&disk, options());
    disk.free.set(0);
    let mut marks = vec![log.room()];
    while log.has_room(9100) {
        append(&mut log, GROUP, &[7; 9000]);
        settle(&mut log, &disk);
        log.tend();
        disk.run_tasks();
        marks.push(log.room());
    }
    marks.dedup();
    assert_eq!(marks, [Room::Free, Room::Soft, Room::Hard]);
    let hard_state = HardState {
        term: Term::new(4),
        voted_for: None,
    };
    log.save_hard_state(GROUP, hard_state, WriteId(1 << 20))
        .unwrap();
    assert_eq!(settle(&mut log, &disk), [(GROUP, WriteId(1 << 20))]);
    disk.free.set(u64::MAX);
    log.tend();
    disk.run_tasks();
    assert_eq!(log.room(), Room::Free);
    assert!(log.has_room(9100));
}

/// The disk has room, and its owner may not have it.
#[test]
fn a_used_up_quota_is_a_full_disk_and_no_failure() {
    let disk = TestDisk::new();
    let mut log = with_groups(&disk, options());
    disk.quota_is_used_up.set(true);
    while log.has_room(9100) {
        append(&mut log, GROUP, &[7; 9000]);
        settle(&mut log, &disk);
        log.tend();
        disk.run_tasks();
    }
    assert_eq!(log.room(), Room::Hard);
    log.submit().unwrap();
    disk.quota_is_used_up.set(false);
    log.tend();
    disk.run_tasks();
    assert_eq!(log.room(), Room::Free);
}

#[test]
fn memory_is_bounded_when_writes_do_not_return() {
    let disk = TestDisk::new();
    let options = LogOptions {
        segment_bytes: 4 << 20,
        ..options()
    };
    let mut log = with_groups(&disk, options);
    let mut appended = 0;
    while log.has_room(9100) {
        append(&mut log, GROUP, &[7; 9000]);
        log.submit().unwrap();
        appended += 9000;
    }
    assert!(appended < options.pool_bytes);
    log.save_hard_state(GROUP, HardState::default(), WriteId(1 << 20))
        .unwrap();
    settle(&mut log, &disk);
    assert!(
        log.has_room(9100),
        "everything was written, so memory is free again"
    );
}

/// Nobody asks for room for a hard state or a no-op: a storm of elections while writes stand still must not end a log
/// whose memory was given to proposals.
#[test]
fn memory_for_elections_of_all_groups_is_kept_back() {
    let disk = TestDisk::new();
    let options = LogOptions {
        segment_bytes: 8 << 20,
        ..options()
    };
    let mut log = fresh(&disk, options);
    let groups: Vec<GroupId> = (1..=100).map(GroupId::new).collect();
    for group in &groups {
        log.create_group(*group, &created()).unwrap();
    }
    settle(&mut log, &disk);
    let first = groups[0];
    while log.has_room(9100) {
        append(&mut log, first, &[7; 9000]);
        log.submit().unwrap();
    }
    for term in 2..=7 {
        for group in &groups[1..] {
            let hard_state = HardState {
                term: Term::new(term),
                voted_for: None,
            };
            let write = WriteId(u64::from(term) * 1000);
            log.save_hard_state(*group, hard_state, write).unwrap();
        }
    }
    for group in &groups[1..] {
        append_in(&mut log, *group, 8, b"");
    }
    let reported = settle(&mut log, &disk);
    let reported: Vec<GroupId> = reported.into_iter().map(|(group, _)| group).collect();
    assert!(groups.iter().all(|group| reported.contains(group)));
    assert!(log.failure().is_none() && log.has_room(9100));
}

/// Under a load that fills every batch before its write can start, heads are told nevertheless: else no segment could
/// ever go.
#[test]
fn full_batches_carry_heads_too() {
    let disk = TestDisk::new();
    let mut log = with_groups(&disk, options());
    while log.segments.len() < 4 {
        while log.full.is_empty() {
            append(&mut log, GROUP, &[7; 9000]);
        }
        log.submit().unwrap();
        let write = disk.take_write().unwrap();
        log.on_written(write.token, Ok(write.bytes.len())).unwrap();
        disk.run_tasks();
    }
    let complete = log.segments.iter().filter(|it| it.heads_complete.is_some());
    assert!(complete.count() >= 2, "{log:?}");
}

#[test]
fn a_stream_that_cuts_replaces_the_log_that_was_here() {
    let disk = TestDisk::new();
    let mut log = with_groups(&disk, options());
    for _ in 0..3 {
        append(&mut log, GROUP, b"old");
    }
    let at = Position {
        term: Term::new(5),
        index: Index::new(100),
    };
    let header = ChunkHeader {
        stream_epoch: 1,
        number: 0,
    };
    log.write_chunk(GROUP, at.index, header, b"state").unwrap();
    let stream = CheckpointPointer {
        at,
        stream_epoch: 1,
        first_origin: 2,
        tail: Tail::Cut,
        ..pointer(&log, GROUP, 1)
    };
    log.write_pointer(GROUP, &stream, Index::new(90)).unwrap();
    assert_eq!(log.last(GROUP), at);
    assert!(matches!(
        log.entries(GROUP, Index::new(2), Index::new(2), 1),
        Lent::Absent
    ));
    append_in(&mut log, GROUP, 5, b"new");
    settle(&mut log, &disk);
    assert_eq!(lent(&log, GROUP, 101, 101, 99), [101]);
    assert_eq!(
        log.groups.expect(GROUP).head().configuration,
        Index::new(90)
    );
}

#[test]
fn a_removed_group_needs_nothing_once_that_is_covered() {
    let disk = TestDisk::new();
    let mut log = with_groups(&disk, options());
    append(&mut log, GROUP, b"x");
    assert_eq!(run(log.load_created(OTHER)).unwrap(), created());
    log.remove_group(GROUP).unwrap();
    settle(&mut log, &disk);
    assert_eq!(log.oldest_holders(), [OTHER]);
}

#[test]
fn storage_s_own_records_carry_the_sequence_of_their_batch() {
    let disk = TestDisk::new();
    let mut log = with_groups(&disk, options());
    let sequence = log
        .save_hard_state(GROUP, HardState::default(), WriteId(1))
        .unwrap();
    log.submit().unwrap();
    let write = disk.take_write().unwrap();
    let view = BatchView::parse(&write.bytes).unwrap();
    let record = RecordView::parse(view.record_bytes()).unwrap();
    assert_eq!(
        (record.kind(), record.fields().time),
        (RecordKind::HardState, sequence.0)
    );
}

#[test]
fn a_storm_of_hard_states_fills_many_batches_and_all_are_reported() {
    let disk = TestDisk::new();
    let options = LogOptions {
        segment_bytes: 4 << 20,
        ..options()
    };
    let mut log = fresh(&disk, options);
    let groups: Vec<GroupId> = (1..=500).map(GroupId::new).collect();
    for group in &groups {
        log.create_group(*group, &created()).unwrap();
    }
    settle(&mut log, &disk);
    append(&mut log, groups[0], b"in flight");
    log.submit().unwrap();
    for group in &groups {
        log.save_hard_state(*group, HardState::default(), WriteId(1 << 20))
            .unwrap();
    }
    assert!(log.full.len() > limits::WITNESSED_BATCHES_MAX);
    let reported = settle(&mut log, &disk);
    let reported = reported
        .iter()
        .filter(|(_, write)| *write == WriteId(1 << 20));
    assert_eq!(
        reported.map(|(group, _)| *group).collect::<Vec<_>>(),
        groups
    );
}

#[test]
fn the_manifest_tells_of_a_full_segment_only_when_its_last_batch_is_durable() {
    let disk = TestDisk::new();
    let mut log = with_groups(
        &disk,
        LogOptions {
            writes_in_flight: 2,
            ..options()
        },
    );
    while log.segments.len() < 2 {
        append(&mut log, GROUP, &[7; 9000]);
        log.submit().unwrap();
        while log.segments.len() < 2 && disk.writes_under_way() > 1 {
            let write = disk.take_write().unwrap();
            log.on_written(write.token, Ok(write.bytes.len())).unwrap();
        }
    }
    assert!(
        !log.segments[0].is_noted_full,
        "its last batch is under way"
    );
    settle(&mut log, &disk);
    assert!(log.segments[0].is_noted_full);
}

#[test]
fn a_group_born_again_owes_nothing_to_the_checkpoints_of_the_one_before() {
    let disk = TestDisk::new();
    let mut log = with_groups(&disk, options());
    append(&mut log, GROUP, b"x");
    checkpoint(&mut log, GROUP);
    log.remove_group(GROUP).unwrap();
    log.create_group(GROUP, &created()).unwrap();
    settle(&mut log, &disk);
    rest(&mut log, &disk);
    assert_eq!(log.checkpoint_covered(GROUP), Index::ZERO);
}

/// What `has_room` promises is kept, whatever the sizes and whenever writes return; and what is held reads back.
#[test]
fn an_append_that_was_asked_for_never_fails_and_reads_back() {
    for seed in 1..=6_u64 {
        let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mut draw = |bound: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % bound
        };
        let disk = TestDisk::new();
        let writes_in_flight = usize::try_from(1 + seed % 4).unwrap();
        let options = LogOptions {
            writes_in_flight,
            segments_max: 6,
            ..options()
        };
        let mut log = with_groups(&disk, options);
        let mut refusals = 0;
        for step in 0..3000_u64 {
            let group = if draw(3) == 0 { OTHER } else { GROUP };
            let bound = if draw(4) == 0 { 16 << 10 } else { 300 };
            let length = draw(bound);
            let payload = vec![step.to_le_bytes()[0]; usize::try_from(length).unwrap()];
            if log.has_room(record::record_bytes(payload.len())) {
                append(&mut log, group, &payload);
            } else {
                refusals += 1;
                settle(&mut log, &disk);
                for holder in log.oldest_holders() {
                    if log.has_room_for_upkeep(4096) {
                        checkpoint(&mut log, holder);
                    }
                }
                settle(&mut log, &disk);
                rest(&mut log, &disk);
                for holder in [GROUP, OTHER] {
                    let last = log.last(holder).index;
                    log.release(holder, last);
                }
                log.tend();
            }
            match draw(8) {
                0 => drop(settle(&mut log, &disk)),
                1 | 2 => log.submit().unwrap(),
                3 => disk.run_tasks(),
                _ => {}
            }
        }
        assert!(refusals > 0, "seed {seed} never ran out of room");
        settle(&mut log, &disk);
        for group in [GROUP, OTHER] {
            let Some(first) = log.first(group) else {
                continue;
            };
            let last = log.last(group).index;
            let loaded = run(log.load(group, first, last, usize::MAX)).unwrap();
            let count = records(&loaded.bytes).map(Result::unwrap).count() as u64;
            assert_eq!(
                (loaded.last, count),
                (last, last.since(first) + 1),
                "seed {seed}"
            );
        }
    }
}
