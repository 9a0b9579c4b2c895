//! Bytes that were durable change, vanish or land elsewhere: whoever lost something is named, with range and reason,
//! and whoever serves lost nothing. Damage is never taken for a torn tail.

use crate::model::Model;
use crate::workload::Workload;
use crate::world::{World, created, directory, found, recovery_options, try_recover};
use margay::storage::recovery::{GroupStatus, Peers, RecoveryError, recover};
use margay::storage::segment::segment_path;
use margay::storage::{NewEntry, StorageError};
use margay_raft::{EntryKind, Position, WriteId};
use margay_simulation::disk::VirtualDisk;
use margay_simulation::disk_fault::{Fate, Fault, FaultPlan, Loss};
use margay_types::{GroupId, Index, LogTime, Random, ReplicaNumber, Term};
use std::path::PathBuf;
use std::time::Duration;

/// A log after a workload, all of it acknowledged and covered, the power off.
fn covered(seed: u64, plan: FaultPlan) -> Option<(VirtualDisk, Model)> {
    let mut world = World::new(seed);
    world.disk.set_plan(plan);
    Workload::new(seed).run(&mut world, 160);
    let is_settled = world.settle();
    let is_covered =
        is_settled && world.log.on_idle(Duration::from_millis(9)).is_ok() && world.settle();
    let disk = world.disk.crash(&Loss::All(Fate::Kept));
    is_covered.then_some((disk, world.model))
}

fn segments(disk: &VirtualDisk) -> Vec<PathBuf> {
    let paths = (1..32).map(|number| segment_path(&directory(), number));
    paths.filter(|path| disk.bytes(path).is_ok()).collect()
}

/// A group that the model does not know.
const BESIDE: GroupId = GroupId::new(50);

/// Recovers and checks; gives how many groups are named as damaged.
fn check(disk: &VirtualDisk, model: &Model) -> Result<usize, String> {
    let recovered = try_recover(disk, 9).map_err(|error| format!("recovery: {error}"))?;
    let mut found = found(disk, &recovered.groups);
    found.retain(|found| found.group != BESIDE);
    model.check_damaged(&found, &recovered.report)
}

#[test]
fn a_flipped_bit_is_named_and_never_cut() {
    let mut named = 0;
    for seed in 0..3 {
        let (disk, model) = covered(seed, FaultPlan::none()).unwrap();
        let paths = segments(&disk);
        let mut random = Random::new(seed);
        for draw in 0..150 {
            let path = &paths[usize::try_from(random.below(paths.len() as u64)).unwrap()];
            let at = random.below(disk.bytes(path).unwrap().len() as u64);
            let bit = u32::try_from(random.below(8)).unwrap();
            let damaged = disk.fork();
            damaged.flip_bit(path, at, bit).unwrap();
            let result = check(&damaged, &model);
            assert!(
                result.is_ok(),
                "seed {seed}, draw {draw}, {path:?} {at}.{bit}: {result:?}"
            );
            named += result.unwrap_or_default();
        }
    }
    assert!(named > 20, "only {named} groups were ever damaged");
}

#[test]
fn unreadable_sectors_are_damage_of_what_they_held_and_nothing_else() {
    let mut named = 0;
    for seed in [0, 1, 24] {
        let (disk, model) = covered(seed, FaultPlan::none()).unwrap();
        for path in segments(&disk) {
            let size = disk.bytes(&path).unwrap().len() as u64;
            for at in (0..size).step_by(4096) {
                let damaged = disk.fork();
                damaged.fail_reads(&path, at..at + 4096).unwrap();
                let result = check(&damaged, &model);
                assert!(result.is_ok(), "seed {seed}, {path:?} at {at}: {result:?}");
                named += result.unwrap_or_default();
            }
        }
    }
    assert!(named > 20, "only {named} groups were ever damaged");
}

#[test]
fn a_lost_segment_is_named() {
    for seed in [0, 1, 2, 4, 5, 21] {
        let (disk, model) = covered(seed, FaultPlan::none()).unwrap();
        for path in segments(&disk) {
            let damaged = disk.fork();
            damaged.lose_file(&path).unwrap();
            let result = check(&damaged, &model);
            assert!(result.is_ok(), "seed {seed}, without {path:?}: {result:?}");
            let damaged = disk.fork();
            damaged.cut(&path, 20_480).unwrap();
            let result = check(&damaged, &model);
            assert!(result.is_ok(), "seed {seed}, {path:?} cut: {result:?}");
        }
    }
}

/// A write that reported success and is not there, or is somewhere else.
#[test]
fn lost_and_misdirected_writes_are_named() {
    for at in (60..160).step_by(2) {
        for fault in [
            Fault::Lost,
            Fault::Misdirected(8192),
            Fault::Misdirected(24_576),
        ] {
            let plan = FaultPlan::none().with(at, fault);
            let Some((disk, model)) = covered(5, plan) else {
                continue;
            };
            let result = check(&disk, &model);
            assert!(result.is_ok(), "seed 5, {fault:?} at {at}: {result:?}");
        }
    }
}

/// A life beside the damage: a new group fills segments, heads of the healthy groups are written, spares are made.
fn work_beside(disk: &VirtualDisk) {
    let mut log = try_recover(disk, 10).unwrap().log;
    log.create_group(BESIDE, &created(BESIDE, ReplicaNumber::new(999)))
        .unwrap();
    for index in 1..=80 {
        let entry = NewEntry {
            group: BESIDE,
            position: Position {
                term: Term::new(1),
                index: Index::new(index),
            },
            kind: EntryKind::CommandPlain,
            log_time: LogTime::ZERO,
            payload: &[&[7; 2000]],
        };
        log.append_entry(&entry, WriteId(index)).unwrap();
        log.submit().unwrap();
        log.tend();
        disk.turn();
        disk.advance(disk.now() + Duration::from_millis(3));
        for completion in disk.take_completions() {
            log.on_written(completion.token, completion.result).unwrap();
        }
    }
}

/// What goes on beside a damaged group must not make the next recovery believe that nothing was lost.
#[test]
fn damage_stays_named_in_the_lives_that_follow() {
    let mut named = 0;
    for seed in 0..4 {
        let (disk, model) = covered(seed, FaultPlan::none()).unwrap();
        for path in segments(&disk) {
            let size = disk.bytes(&path).unwrap().len() as u64;
            for damage in 0..=size / 4096 {
                let damaged = disk.fork();
                match damage * 4096 {
                    all if all == size => damaged.lose_file(&path).unwrap(),
                    at => damaged.fail_reads(&path, at..at + 4096).unwrap(),
                }
                let first = check(&damaged.fork(), &model);
                work_beside(&damaged);
                let again = damaged.crash(&Loss::All(Fate::Lost));
                let second = check(&again, &model);
                assert_eq!(first, second, "seed {seed}, {path:?}, damage {damage}");
                named += second.unwrap_or_default();
            }
        }
    }
    assert!(named > 0, "nothing was ever damaged");
}

#[test]
fn a_cluster_of_one_refuses_damage_and_names_it() {
    let (disk, model) = covered(1, FaultPlan::none()).unwrap();
    let damaged = segments(&disk).into_iter().find_map(|path| {
        let damaged = disk.fork();
        damaged.fail_reads(&path, 8192..12_288).unwrap();
        check(&damaged.fork(), &model)
            .is_ok_and(|named| named > 0)
            .then_some(damaged)
    });
    let damaged = damaged.expect("some segment holds something at its third block");
    let options = margay::storage::recovery::RecoveryOptions {
        peers: Peers::None,
        ..recovery_options(2)
    };
    let refused = damaged.run(recover(damaged.clone(), &directory(), &options));
    let error = refused.map(|recovered| recovered.report).unwrap_err();
    let RecoveryError::AloneAndDamaged { groups, .. } = &error else {
        panic!("another error: {error}");
    };
    assert!(
        groups
            .iter()
            .all(|(_, status)| *status != GroupStatus::Serves)
    );
    assert!(error.to_string().contains("group "), "{error}");
    // Whole, it starts.
    let whole = disk.run(recover(disk.clone(), &directory(), &options));
    assert!(whole.is_ok());
}

#[test]
fn one_damaged_manifest_is_written_again_and_two_refuse() {
    let (disk, model) = covered(2, FaultPlan::none()).unwrap();
    let copies = ["manifest.a", "manifest.b"].map(|name| directory().join(name));
    for copy in &copies {
        let damaged = disk.fork();
        damaged.flip_bit(copy, 40, 3).unwrap();
        assert_eq!(check(&damaged, &model), Ok(0));
        let (a, b) = (
            damaged.bytes(&copies[0]).unwrap(),
            damaged.bytes(&copies[1]).unwrap(),
        );
        assert!(a == b, "the damaged copy was not written again");
    }
    for copy in &copies {
        disk.overwrite(copy, 0, &[0x55; 64]).unwrap();
    }
    let refused = try_recover(&disk, 2)
        .map(|recovered| recovered.report)
        .unwrap_err();
    let is_manifest = matches!(
        refused,
        RecoveryError::Storage(StorageError::Manifest { .. })
    );
    assert!(is_manifest, "another error: {refused}");
}

#[test]
fn a_failed_write_ends_the_life_and_loses_nothing_acknowledged() {
    for at in 60..140 {
        for fault in [
            Fault::Error,
            Fault::Full,
            Fault::Short(512),
            Fault::Short(4096),
        ] {
            let mut world = World::new(3);
            world.disk.set_plan(FaultPlan::none().with(at, fault));
            Workload::new(3).run(&mut world, 160);
            let disk = world.disk.crash(&Loss::Drawn(at));
            let error = World::next(disk, world.model, 2).err();
            assert!(error.is_none(), "seed 3, {fault:?} at {at}: {error:?}");
        }
    }
}
