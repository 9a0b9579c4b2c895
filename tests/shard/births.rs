//! No replica acts before its birth is durable twice: its record in the log, and its creation in the manifest.

use crate::client::{Client, create, formed, group, keyspace, leader_of};
use crate::world::World;
use margay::storage::manifest::{ManifestCopy, ManifestKind};
use margay::storage::node_manifest::NodeManifest;
use margay_simulation::disk_fault::FaultPlan;
use margay_types::{GroupId, Index};
use margay_wire::admin::{KeyspaceCreate, KeyspaceCreated, KeyspaceRefusal};
use std::path::Path;

/// What the newest copy of a node's manifest says.
fn created_up_to(world: &World, place: usize) -> Index {
    let copy = |name| {
        let bytes = world.nodes[place]
            .disk
            .bytes(&Path::new("data").join(name))
            .unwrap();
        ManifestCopy::parse(ManifestKind::Node, &bytes).ok()
    };
    let newest = ["manifest.a", "manifest.b"]
        .into_iter()
        .filter_map(copy)
        .max_by_key(|copy| copy.counter);
    NodeManifest::parse(&newest.unwrap().body)
        .unwrap()
        .created_up_to
}

/// A keyspace of three groups is created, and the power goes off at each operation of the disk on the way.
#[test]
fn a_replica_acts_when_the_manifest_knows_of_it_wherever_the_power_went_off() {
    let ids = [1, 2, 3].map(GroupId::new);
    for crash_after in 0..24 {
        let mut world = formed(1, 0);
        let disk = world.nodes[0].disk.clone();
        disk.set_plan(FaultPlan::crash_at(disk.operation_count() + crash_after));
        let mut operator = Client::connect(&mut world, 0, 1);
        operator.send_create(&mut world, 3);
        world.steps(100);
        world.crash(0);
        world.start(0);
        world.until("the restarted node leads", |world| {
            leader_of(world, GroupId::SYSTEM)
        });
        create(&mut world, 0, 3);
        for id in ids {
            let what = format!("group {id} acts after a crash at operation {crash_after}");
            world.until(&what, |world| group(world, 0, id));
            assert!(
                created_up_to(&world, 0) > Index::ZERO,
                "{what}, and the manifest is silent"
            );
        }
    }
}

/// More births at once than the log has memory for: they come one after the other, and a power cut in between loses
/// none of them.
#[test]
fn births_that_find_no_room_wait_for_it() {
    let mut world = formed(1, 0);
    let mut operator = Client::connect(&mut world, 0, 1);
    let asked = KeyspaceCreate {
        options: vec![7; 200 << 10],
        ..keyspace(24)
    };
    operator.send_admin(&mut world, &asked);
    let born = |world: &mut World, id| group(world, 0, GroupId::new(id));
    world.until("the first is born, or more", |world| born(world, 1));
    world.crash(0);
    world.start(0);
    world.steps(50);
    for id in [1, 12, 24] {
        world.until("every one is born", |world| born(world, id));
    }
}

/// As many groups as the group count allows are more than the heads of this log's segments take.
#[test]
fn groups_that_the_log_cannot_take_are_refused() {
    let mut world = formed(1, 0);
    let mut operator = Client::connect(&mut world, 0, 1);
    let answer = operator.admin(&mut world, &keyspace(1_000));
    assert!(
        matches!(
            answer,
            KeyspaceCreated::Refused(KeyspaceRefusal::BadGroupCount { max: 500.. })
        ),
        "{answer:?}"
    );
}
