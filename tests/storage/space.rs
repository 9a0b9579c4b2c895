//! Segments are freed, used anew and run out: what an earlier use left never comes back, and a full disk recovers.

use crate::model::Model;
use crate::workload::Workload;
use crate::world::{World, created, directory, found, options, try_recover};
use margay::storage::log_manifest::LogManifest;
use margay::storage::manifest::{ManifestCopy, ManifestKind};
use margay::storage::recovery::RecoveryError;
use margay_raft::{HardState, WriteId};
use margay_simulation::disk::VirtualDisk;
use margay_simulation::disk_fault::{Fate, Fault, FaultPlan, Loss};
use margay_types::{GroupId, ReplicaNumber, Term};
use std::time::Duration;

fn manifest(disk: &VirtualDisk) -> LogManifest {
    let bytes = disk.bytes(&directory().join("manifest.a")).unwrap();
    let copy = ManifestCopy::parse(ManifestKind::Log, &bytes).unwrap();
    LogManifest::parse(&copy.body).unwrap()
}

/// A log that used segments in several generations; nothing of it is under way.
fn recycled(seed: u64, plan: FaultPlan) -> Option<(VirtualDisk, Model)> {
    let mut world = World::new(seed);
    world.disk.set_capacity_bytes(1 << 20);
    world.disk.set_plan(plan);
    Workload::new(seed).run(&mut world, 1200);
    let is_covered =
        world.settle() && world.log.on_idle(Duration::from_millis(9)).is_ok() && world.settle();
    is_covered.then(|| (world.disk.crash(&Loss::All(Fate::Kept)), world.model))
}

#[test]
fn a_segment_used_anew_never_shows_its_earlier_generation() {
    let mut reused = 0;
    for seed in 0..4 {
        let (disk, model) = recycled(seed, FaultPlan::none()).unwrap();
        let names = manifest(&disk).segments.into_iter().map(|entry| entry.name);
        reused += names.filter(|name| name.generation > 1).count();
        let error = World::next(disk, model, 2).err();
        assert!(error.is_none(), "seed {seed}: {error:?}");
    }
    assert!(reused > 0, "no segment was used anew");
}

/// What stands where a lost write should be is a good batch of an earlier generation.
#[test]
fn a_lost_write_over_an_earlier_generation_is_damage() {
    let (probe, _) = recycled(3, FaultPlan::none()).unwrap();
    drop(probe);
    for at in (250..600).step_by(7) {
        let plan = FaultPlan::none().with(at, Fault::Lost);
        let Some((disk, model)) = recycled(3, plan) else {
            continue;
        };
        let recovered = try_recover(&disk, 2).unwrap();
        let checked = model.check_damaged(&found(&disk, &recovered.groups), &recovered.report);
        assert!(checked.is_ok(), "seed 3, lost write at {at}: {checked:?}");
    }
}

/// With the disk full and every segment in use, a restart still finds room, again and again.
#[test]
fn a_full_disk_recovers_and_goes_on_when_there_is_room() {
    let mut world = World::new(4);
    let used = (1 << 30) - world.disk.run(free(&world.disk));
    world.disk.set_capacity_bytes(used);
    let mut workload = Workload::new(4);
    for life in 2..8 {
        workload.run(&mut world, 150);
        assert!(
            world.log.failure().is_none(),
            "life {life}: {:?}",
            world.log.failure()
        );
        let disk = world.disk.crash(&Loss::Drawn(life));
        world = World::next(disk, world.model, life).unwrap();
    }
    world
        .disk
        .set_capacity_bytes(used + 4 * options().segment_bytes);
    workload.run(&mut world, 150);
    assert!(
        world.settle(),
        "the log does not go on: {:?}",
        world.log.failure()
    );
}

/// Hard states use the reserve up, to the last unit of the last segment. Such a log does not start on a full disk; but
/// it does as soon as there is room again.
#[test]
fn a_log_without_a_spare_starts_again_when_the_disk_has_room() {
    let mut world = World::new(4);
    let used = (1 << 30) - world.disk.run(free(&world.disk));
    world.disk.set_capacity_bytes(used);
    world
        .log
        .create_group(GROUP, &created(GROUP, ReplicaNumber::new(1)))
        .unwrap();
    let mut promised = 0;
    for term in 1.. {
        let hard_state = HardState {
            term: Term::new(term),
            voted_for: None,
        };
        let write = WriteId(u64::from(term));
        let is_written = world.log.save_hard_state(GROUP, hard_state, write).is_ok();
        if !is_written || !world.settle() {
            break;
        }
        promised = term;
    }
    let disk = world.disk.crash(&Loss::All(Fate::Kept));
    let refused = try_recover(&disk, 2).map(|recovered| recovered.report);
    assert!(
        matches!(refused, Err(RecoveryError::NoSpare { .. })),
        "{refused:?}"
    );
    disk.set_capacity_bytes(used + 4 * options().segment_bytes);
    let disk = disk.crash(&Loss::All(Fate::Kept));
    let recovered = try_recover(&disk, 3).unwrap();
    assert_eq!(recovered.groups[0].hard_state.term, Term::new(promised));
    let again = try_recover(&disk.crash(&Loss::All(Fate::Lost)), 4).unwrap();
    assert_eq!(again.groups[0].hard_state.term, Term::new(promised));
}

const GROUP: GroupId = GroupId::new(7);

async fn free(disk: &VirtualDisk) -> u64 {
    use margay::storage::Disk;
    disk.free_bytes(&directory()).await.unwrap()
}
