//! A machine loses power while groups are born on several of its shards, and one of its writes takes long.

use margay_simulation::disk_fault::{Fault, FaultPlan};
use margay_simulation::operator::Errand;
use margay_simulation::run::{RunOptions, make_world};
use margay_simulation::trace::{Echo, Trace};
use margay_wire::admin::KeyspaceCreate;
use std::time::Duration;

/// Operations of a disk, from the first keyspace on, during which the groups of the last one come to be.
const OPERATIONS: std::ops::Range<u64> = 30..44;
/// The power goes off so many operations behind the slow one.
const BEHIND: [u64; 3] = [8, 10, 13];
const LONG: Duration = Duration::from_millis(60);
const BIRTHS_NS: u64 = 2_000_000_000;

/// One entry of group 0 creates groups on all shards.
fn wide() -> KeyspaceCreate {
    KeyspaceCreate {
        name: "wide".to_owned(),
        machine: "map".to_owned(),
        machine_version: 1,
        options: Vec::new(),
        groups: 6,
        replicas: 0,
    }
}

/// Groups are on all shards, or on none that the manifest knows of: a replica is neither lost nor born twice. The
/// record of one shard is late, so that the manifest could get ahead of it.
#[test]
fn a_power_cut_between_the_records_of_two_shards_loses_no_birth() {
    let mut cuts = 0;
    for (operation, behind) in OPERATIONS.flat_map(|at| BEHIND.map(|behind| (at, behind))) {
        let options = RunOptions {
            seed: 5,
            node_count: Some(3),
            shard_count: Some(3),
            faulty_ns: BIRTHS_NS,
            has_faults: false,
            echo: Echo::Quiet,
        };
        let mut world = make_world(&options, Trace::new(Echo::Quiet));
        world.operator.add(0, Errand::Keyspace(wide()));
        while world.offered.is_empty() {
            world.step(u64::MAX).unwrap();
        }
        let disk = world.nodes[0].disk.clone();
        let slow_at = disk.operation_count() + operation;
        disk.set_plan(FaultPlan::crash_at(slow_at + behind).with(slow_at, Fault::Slow(LONG)));
        let until_ns = world.now_ns + BIRTHS_NS;
        while world.now_ns < until_ns && world.nodes[0].life == 1 {
            world.step(until_ns).unwrap();
        }
        cuts += usize::from(world.nodes[0].life > 1);
        let settled = world.settle();
        assert_eq!(
            settled,
            Ok(()),
            "operation {operation}, power cut {behind} behind"
        );
    }
    assert!(cuts > 30, "only {cuts} power cuts came");
}
