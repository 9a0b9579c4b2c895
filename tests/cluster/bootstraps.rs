//! A bootstrap in the middle of which somebody dies: whoever repeats it with the same list gets the one cluster.
//!
//! The coordinator keeps nothing, and a node that said yes keeps the genesis: so no moment is a bad one. The moments
//! are spread over the few milliseconds in which nodes take the genesis, one after the other.

use crate::harness::{Cluster, margay, pass};
use rustix::process::{Pid, Signal, kill_process};
use std::process::{Child, Stdio};
use std::time::Duration;

/// Attempts with one list, each killed a bit later than the one before.
const ATTEMPTS: u32 = 8;

/// A bootstrap of all nodes, under way.
fn begin(cluster: &Cluster) -> Child {
    let nodes = cluster.endpoints().join(",");
    let mut bootstrap = margay(&["bootstrap", "--name", "prod", "--nodes", &nodes]);
    bootstrap.args(["--timeout", "30s"]);
    bootstrap.stdout(Stdio::null()).stderr(Stdio::null());
    bootstrap.spawn().expect("the binary was built")
}

/// Repeats the bootstrap until it has done, and gives the cluster's id.
fn repeat(cluster: &Cluster) -> String {
    let nodes = cluster.endpoints().join(",");
    let said = cluster.succeeds(&["bootstrap", "--name", "prod", "--nodes", &nodes]);
    let id = said.split_whitespace().nth(2);
    id.expect("it names the cluster").to_owned()
}

/// The cluster is one, and does what it is for.
fn demand_service(cluster: &Cluster) {
    let id = repeat(cluster);
    assert_eq!(repeat(cluster), id, "a cluster has one id");
    cluster.succeeds(&["keyspace", "create", "bench", "--machine", "bench"]);
    for group in cluster.groups() {
        cluster.leader(group);
    }
}

#[test]
fn a_bootstrap_whose_coordinator_is_killed_again_and_again_can_be_repeated() {
    let mut killed = 0;
    for step in [Duration::from_millis(1), Duration::from_millis(4)] {
        let cluster = Cluster::blank(3);
        for attempt in 0..ATTEMPTS {
            let mut coordinator = begin(&cluster);
            pass(step * attempt);
            kill_process(Pid::from_child(&coordinator), Signal::KILL)
                .expect("nobody waited for it");
            let ended = coordinator.wait().expect("it is our child");
            killed += u32::from(!ended.success());
        }
        demand_service(&cluster);
        cluster.finish();
    }
    assert!(killed > ATTEMPTS, "only {killed} attempts were interrupted");
}

#[test]
fn a_bootstrap_in_which_nodes_are_killed_can_be_repeated() {
    for (victims, delay_ms) in [(&[0][..], 3), (&[1], 8), (&[2, 0], 15), (&[0, 1, 2], 30)] {
        let mut cluster = Cluster::blank(3);
        let mut coordinator = begin(&cluster);
        pass(Duration::from_millis(delay_ms));
        for victim in victims {
            cluster.nodes[*victim].kill();
        }
        for victim in victims {
            cluster.nodes[*victim].start();
        }
        // It may get through with it, or give up: a node that died while it took the genesis leaves it unknown.
        coordinator.wait().expect("it is our child");
        demand_service(&cluster);
        cluster.finish();
    }
}
