//! A cluster comes to be, and does what it is for.

use crate::harness::{Cluster, KEYSPACE, Load, Shape, margay, replica};
use margay_client::Options;
use margay_client::blocking::Client;
use margay_client::typed::Session;
use margay_resources::bench::{Append, Bench, Mine, next_hash};
use margay_wire::client::QueryLevel;
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(60);

#[test]
fn three_nodes_form_a_cluster_and_a_keyspace_made_at_run_time_serves() {
    let cluster = Cluster::with_groups(2);
    let mut client = Client::connect(&cluster.endpoints(), Options::default(), TIMEOUT)
        .expect("the cluster serves");
    for group in cluster.groups() {
        let session = Session::<Bench>::open_in(&mut client, group).expect("it opens");
        let mut hash = 0;
        for number in 1..=10_u64 {
            let payload = [number.to_le_bytes(), [7; 8]].concat();
            hash = next_hash(hash, &payload);
            let command = Append { payload: &payload };
            let output = session.call(&mut client, &command).expect("it is applied");
            assert_eq!((output.count.get(), output.hash.get()), (number, hash));
        }
        let answered = session.ask(&mut client, &Mine {}, QueryLevel::Linearizable);
        let answered = answered.expect("it is answered");
        let tally = answered.value().expect("a tally");
        assert_eq!((tally.count.get(), tally.hash.get()), (10, hash));
        session.close(&mut client).expect("it closes");
    }
    let list = cluster.succeeds(&["keyspace", "list"]);
    assert!(list.contains(KEYSPACE), "{list}");
    cluster.finish();
}

/// Whichever node is asked, the list has what was created just before: a follower may not have applied it yet.
#[test]
fn a_keyspace_is_listed_by_every_node_as_soon_as_it_is_created() {
    let cluster = Cluster::with_groups(1);
    for round in 0..5 {
        let name = format!("round-{round}");
        cluster.succeeds(&["keyspace", "create", &name, "--machine", "map"]);
        for endpoint in cluster.endpoints() {
            let mut list = margay(&["keyspace", "list", "-e", &endpoint]);
            let listed = list.output().expect("the binary was built");
            let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
            assert!(listed.contains(&name), "{endpoint}: {listed}");
        }
    }
    cluster.finish();
}

#[test]
fn many_sessions_write_at_once_and_every_output_is_right() {
    let cluster = Cluster::with_groups(2);
    let shape = Shape {
        sessions_per_group: 16,
        in_flight: 8,
        ..Shape::default()
    };
    let mut load = Load::start(&cluster, shape);
    load.advance(2_000);
    load.finish();
    for group in cluster.groups() {
        cluster.demand_agreement(group);
        let replica = replica(&cluster.nodes[0], group).expect("it answers");
        assert_eq!(replica.sessions, 0, "the load closed its sessions");
    }
    cluster.finish();
}
