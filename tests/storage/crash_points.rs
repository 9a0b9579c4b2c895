//! The power goes off at every operation of a workload, and at every operation of the recovery after it. Nothing
//! acknowledged is lost, nothing dead comes back, and the next power cut takes nothing more.

use crate::workload::Workload;
use crate::world::{World, directory, formatted, recovery_options, try_recover};
use margay::storage::recovery::recover;
use margay_simulation::disk::VirtualDisk;
use margay_simulation::disk_fault::{Fate, FaultPlan, Loss};

const SEED: u64 = 20_26;
const STEPS: usize = 400;

/// The workload up to the power cut at operation `at` of its first life; `None` if it ends before.
fn crashed_at(seed: u64, at: u64) -> Option<World> {
    let mut world = World::new(seed);
    world
        .disk
        .set_plan(FaultPlan::crash_at(world.disk.operation_count() + at));
    Workload::new(seed).run(&mut world, STEPS);
    world.disk.is_crashed().then_some(world)
}

fn operation_count(seed: u64) -> u64 {
    let mut world = World::new(seed);
    let before = world.disk.operation_count();
    Workload::new(seed).run(&mut world, STEPS);
    assert!(
        world.log.failure().is_none(),
        "seed {seed}: {:?}",
        world.log.failure()
    );
    world.disk.operation_count() - before
}

fn losses(at: u64) -> Vec<Loss> {
    let fate = match at % 3 {
        0 => Fate::Kept,
        1 => Fate::Lost,
        _ => Fate::Readable,
    };
    vec![
        Loss::All(fate),
        Loss::Drawn(at * 2),
        Loss::Drawn(at * 2 + 1),
    ]
}

/// Recovers, works on, cuts the power once more, and recovers again.
fn goes_on(disk: VirtualDisk, world: &World, seed: u64, loss: &Loss) -> Result<(), String> {
    let mut second = World::next(disk, world.model.clone(), 2)?;
    Workload::new(seed + 1).run(&mut second, 12);
    let third = second.disk.crash(loss);
    let mut third = World::next(third, second.model, 3)?;
    if !third.settle() {
        return Err(String::from("the third life cannot write"));
    }
    World::next(third.disk.crash(&Loss::All(Fate::Lost)), third.model, 4)?;
    Ok(())
}

#[test]
fn a_power_cut_at_any_operation_loses_nothing_acknowledged() {
    let count = operation_count(SEED);
    assert!(
        count > 100,
        "a workload of {count} operations proves little"
    );
    for at in 0..count {
        let world = crashed_at(SEED, at).expect("the same seed makes the same operations");
        for loss in losses(at) {
            let disk = world.disk.fork().crash(&loss);
            let result = goes_on(disk, &world, SEED + at, &Loss::All(Fate::Lost));
            assert!(
                result.is_ok(),
                "seed {SEED}, crash at {at}, {loss:?}: {result:?}"
            );
        }
    }
}

/// Torn writes: with few undecided sectors every subset of them is tried.
#[test]
fn every_subset_of_sectors_of_an_unacknowledged_write_is_survived() {
    let count = operation_count(SEED);
    let mut tried = 0;
    for at in (0..count).step_by(3) {
        let world = crashed_at(SEED, at).expect("the same seed makes the same operations");
        let undecided = world.disk.undecided_count();
        if undecided == 0 || undecided > 63 {
            continue;
        }
        let subsets = 1_u64 << undecided.min(5);
        for subset in 0..subsets {
            // The low bits in full, the others by a pattern that changes with them.
            let mask = subset | subset.wrapping_mul(0x9E37_79B9_7F4A_7C15) << 5;
            let disk = world.disk.fork().crash(&Loss::Mask(mask));
            let result = World::next(disk, world.model.clone(), 2);
            let error = result.err();
            assert!(
                error.is_none(),
                "seed {SEED}, crash at {at}, mask {mask:#x}: {error:?}"
            );
            tried += 1;
        }
    }
    assert!(tried > 200, "{tried} subsets prove little");
}

/// Invariant 7: what an interrupted recovery leaves is recovered as if it had not been.
#[test]
fn a_power_cut_at_any_operation_of_recovery_changes_nothing() {
    let count = operation_count(SEED);
    for at in (0..count).step_by(29) {
        let world = crashed_at(SEED, at).expect("the same seed makes the same operations");
        let crashed = world.disk.crash(&Loss::Drawn(at));
        let whole = crashed.fork();
        try_recover(&whole, 2).unwrap();
        let operations = whole.operation_count();
        for within in 0..operations {
            let disk = crashed.fork();
            disk.set_plan(FaultPlan::crash_at(within));
            let options = recovery_options(2);
            let interrupted = disk.run(recover(disk.clone(), &directory(), &options));
            assert!(
                disk.is_crashed() || interrupted.is_ok(),
                "crash at {at}, then {within}"
            );
            for loss in [
                Loss::All(Fate::Lost),
                Loss::All(Fate::Kept),
                Loss::Drawn(within),
            ] {
                let again = disk.fork().crash(&loss);
                let error = World::next(again, world.model.clone(), 3).err();
                assert!(
                    error.is_none(),
                    "seed {SEED}, crash at {at}, in recovery at {within}, {loss:?}: {error:?}"
                );
            }
        }
    }
}

/// Many seeds, few points each: other mixes of the workload.
#[test]
fn power_cuts_at_drawn_operations_of_many_workloads_lose_nothing() {
    for seed in 0..40 {
        let count = operation_count(seed);
        let at = (seed * 37) % count.max(1);
        let Some(world) = crashed_at(seed, at) else {
            continue;
        };
        for draw in 0..3 {
            let loss = Loss::Drawn(seed * 8 + draw);
            let disk = world.disk.fork().crash(&loss);
            let result = goes_on(disk, &world, seed + 1000, &Loss::Drawn(seed + draw));
            assert!(
                result.is_ok(),
                "seed {seed}, crash at {at}, {loss:?}: {result:?}"
            );
        }
    }
}

#[test]
fn a_fresh_log_survives_a_power_cut_before_its_first_batch() {
    let disk = formatted(1);
    for life in 1..8 {
        let recovered = try_recover(&disk, life);
        assert!(recovered.is_ok(), "life {life}: {:?}", recovered.err());
    }
}
