//! No replica acts before its birth is durable twice: its record in the log, and its creation in the manifest.

use crate::client::{Client, GROUP, create, formed, group};
use crate::world::World;
use margay::storage::manifest::{ManifestCopy, ManifestKind};
use margay::storage::node_manifest::NodeManifest;
use margay_simulation::disk_fault::FaultPlan;
use margay_types::Index;
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

#[test]
fn a_replica_acts_when_the_manifest_knows_of_it_wherever_the_power_went_off() {
    for crash_after in 0..24 {
        let mut world = formed(1, 0);
        let count = world.nodes[0].disk.operation_count();
        world.nodes[0]
            .disk
            .set_plan(FaultPlan::crash_at(count + crash_after));
        let mut operator = Client::connect(&mut world, 0, 1);
        operator.send_create(&mut world, 1);
        world.steps(100);
        world.crash(0);
        world.start(0);
        world.until("the restarted node leads", |world| {
            crate::client::leader_of(world, margay_types::GroupId::SYSTEM)
        });
        world.steps(20);
        if group(&mut world, 0, GROUP).is_none() {
            create(&mut world, 0, 1);
            world.steps(50);
        }
        let status = group(&mut world, 0, GROUP).expect("the group was born");
        assert!(
            created_up_to(&world, 0) > Index::ZERO,
            "replica {} acts after a crash at operation {crash_after}, and the manifest is silent",
            status.replica
        );
    }
}
