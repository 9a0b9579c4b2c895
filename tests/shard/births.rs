//! No replica acts before its birth is durable twice: its record in the log, and its creation in the manifest.

use crate::client::{Client, create, formed, group, leader_of};
use crate::world::World;
use margay::storage::manifest::{ManifestCopy, ManifestKind};
use margay::storage::node_manifest::NodeManifest;
use margay_simulation::disk_fault::FaultPlan;
use margay_types::{GroupId, Index};
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
