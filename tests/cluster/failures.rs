//! Nodes die, one and all, while clients write: nothing acknowledged is lost, nothing is done twice, and nobody has
//! to do anything.

use crate::harness::{Cluster, Load, Shape, eventually, now, pass};
use std::fs;
use std::time::Duration;

#[test]
fn a_killed_leader_costs_no_command_and_no_manual_step() {
    let mut cluster = Cluster::with_groups(2);
    let mut load = Load::start(&cluster, Shape::default());
    load.advance(200);
    let group = cluster.groups()[0];
    let killed = cluster.leader(group);
    cluster.nodes[killed].kill();
    load.advance(200);
    let next = cluster.leader(group);
    assert_ne!(next, killed);
    cluster.nodes[killed].start();
    load.advance(200);
    load.finish();
    cluster.finish();
}

#[test]
fn nodes_that_die_again_and_again_cost_no_command() {
    const TIME: Duration = Duration::from_secs(20);
    const LIFE: Duration = Duration::from_secs(2);
    let mut cluster = Cluster::with_groups(2);
    let mut load = Load::start(&cluster, Shape::default());
    let end = now() + TIME;
    // A permutation that visits every node, and the same one several times in a row.
    for victim in [0, 2, 1, 1, 0, 2, 2, 1, 0, 0].into_iter().cycle() {
        if now() >= end {
            break;
        }
        cluster.nodes[victim].kill();
        pass(LIFE / 2);
        cluster.nodes[victim].start();
        pass(LIFE / 2);
        load.advance(1);
    }
    load.advance(200);
    load.finish();
    cluster.finish();
}

/// Look at the rings of a node, as the kernel tells of them: what they hold on to outlives the process as long as its
/// writes do, and it is by the lock of the directory that the next life waits for them.
#[test]
fn every_ring_that_writes_holds_on_to_the_lock_of_the_directory() {
    const SHARDS: usize = 2;
    let cluster = Cluster::blank_with_shards(&[SHARDS]);
    let node = &cluster.nodes[0];
    let lock = node.data().join("lock");
    let lock = lock.to_str().expect("a path of this test");
    let holding = || {
        let rings = fs::read_dir(format!("/proc/{}/fdinfo", node.process()));
        // A descriptor that was closed meanwhile is no ring.
        let told = rings
            .expect("it runs")
            .filter_map(|ring| fs::read_to_string(ring.ok()?.path()).ok());
        told.filter(|told| told.contains("UserFiles:") && told.contains(lock))
            .count()
    };
    // The node is called ready when its first shard is; the others make their rings meanwhile.
    eventually("each ring holds on to the lock", || match holding() {
        SHARDS => Ok(()),
        other => Err(other),
    });
}

/// No pause between death and start: the kernel still has the port, the files and perhaps writes of the life before.
#[test]
fn a_node_that_is_killed_can_be_started_at_once() {
    let mut cluster = Cluster::with_groups(2);
    let mut load = Load::start(&cluster, Shape::default());
    for _ in 0..12 {
        load.advance(20);
        cluster.nodes[1].kill();
        cluster.nodes[1].start();
    }
    load.advance(200);
    load.finish();
    cluster.finish();
}

#[test]
fn all_nodes_killed_at_once_come_back_with_everything() {
    let mut cluster = Cluster::with_groups(2);
    let mut load = Load::start(&cluster, Shape::default());
    load.advance(400);
    for node in &mut cluster.nodes {
        node.kill();
    }
    for node in &mut cluster.nodes {
        node.start();
    }
    load.advance(400);
    load.finish();
    cluster.finish();
}

#[test]
fn a_node_told_to_stop_ends_well_and_comes_back() {
    let mut cluster = Cluster::with_groups(2);
    let mut load = Load::start(&cluster, Shape::default());
    for at in 0..cluster.nodes.len() {
        load.advance(100);
        let ended = cluster.nodes[at].stop();
        assert_eq!(ended.code(), Some(0), "{ended}");
        load.advance(100);
        cluster.nodes[at].start();
    }
    load.finish();
    cluster.finish();
}
