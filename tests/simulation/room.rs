//! A log that one hot group fills is cleaned although the others in it are led where there is room.

use margay_simulation::run::{RunOptions, make_world};
use margay_simulation::trace::{Echo, Trace};
use margay_types::{GroupId, Index};

const BUSY_NS: u64 = 6_000_000_000;

/// Nodes of this seed have one, three and one shard, and much is written to one group. Group 0 is led on the node where
/// it has a log of its own, which is never short of room; its followers share theirs with the hot group.
#[test]
fn an_idle_group_that_is_led_elsewhere_lets_go_of_the_log_of_a_hot_one() {
    let options = RunOptions {
        seed: 1339,
        node_count: None,
        shard_count: None,
        faulty_ns: BUSY_NS,
        has_faults: false,
        echo: Echo::Quiet,
    };
    let mut world = make_world(&options, Trace::new(Echo::Quiet));
    let shards: Vec<u16> = world.nodes.iter().map(|node| node.shard_count).collect();
    assert_eq!(shards, [1, 3, 1], "the seed tells another story");
    while world.now_ns < BUSY_NS {
        world.step(BUSY_NS).unwrap();
    }
    for node in [&world.nodes[0], &world.nodes[2]] {
        let mut replicas = node.replicas();
        let system = replicas.find(|view| view.group == GroupId::SYSTEM).unwrap();
        let floor = system.replica.log_floor().index;
        assert!(
            floor > Index::ZERO,
            "node {} keeps group 0 whole",
            node.place
        );
    }
    assert_eq!(world.settle(), Ok(()));
}
