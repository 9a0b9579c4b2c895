//! What operators are told while nodes come and go: health, nodes, groups.

use crate::harness::{Cluster, Load, Shape, eventually, margay, text};
use serde_json::Value;
use std::process::Output;

fn json(cluster: &Cluster, arguments: &[&str]) -> Value {
    let printed = cluster.succeeds(&[arguments, &["-o", "json"]].concat());
    serde_json::from_str(&printed).expect("JSON")
}

fn printed(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_healthy_cluster_says_so_and_each_verb_shows_it() {
    let cluster = Cluster::with_groups(2);
    let healthy = cluster.succeeds(&["health", "--wait"]);
    assert_eq!(healthy.trim_end(), "HEALTHY  3 nodes, 3 groups");
    let nodes = json(&cluster, &["node", "list"]);
    for node in nodes["nodes"].as_array().expect("a list") {
        assert_eq!(
            (&node["state"], &node["replicas"]),
            (&"ok".into(), &3.into())
        );
    }
    let groups = json(&cluster, &["group", "list", "--keyspace", "bench"]);
    let numbers: Vec<&Value> = groups["groups"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|group| &group["group"])
        .collect();
    assert_eq!(numbers, [1, 2]);
    assert_eq!(groups["groups"][0]["voters_present"], 3);
    cluster.finish();
}

/// Look at the leader's view of the others, which no other node has.
#[test]
fn a_group_is_shown_with_what_its_leader_knows_and_replicas_that_agree() {
    let cluster = Cluster::with_groups(1);
    let mut load = Load::start(&cluster, Shape::default());
    load.advance(100);
    load.finish();
    let group = cluster.groups()[0];
    cluster.demand_agreement(group);
    let number = group.to_string();
    let shown = json(&cluster, &["group", "show", &number]);
    assert_eq!(shown["chains_agree"], true, "{shown}");
    assert_eq!(shown["state"], "ok");
    let leader = &shown["leader"];
    for member in shown["members"].as_array().expect("a list") {
        assert_eq!(member["match_index"], member["last"], "{shown}");
        assert_eq!(member["chain"], shown["members"][0]["chain"]);
        let is_leader = member["node"] == *leader;
        assert_eq!(
            member["role"],
            if is_leader { "leader" } else { "follower" }
        );
        assert_eq!(member["silent_ms"].is_null(), is_leader);
    }
    cluster.finish();
}

/// Look at nodes that have not as many shards: whichever shard a group lives on, it is found.
#[test]
fn every_group_is_shown_whatever_shard_it_lives_on() {
    let cluster = Cluster::with_groups_on(4, &[2, 3, 2]);
    cluster.succeeds(&["health", "--wait"]);
    for group in 0..=4 {
        let shown = json(&cluster, &["group", "show", &group.to_string()]);
        assert_eq!(shown["state"], "ok", "{shown}");
        for member in shown["members"].as_array().expect("a list") {
            assert!(
                member["applied"].is_u64() && member["chain"].is_string(),
                "{shown}"
            );
        }
    }
    let nodes = json(&cluster, &["node", "list"]);
    let shards = nodes["nodes"].as_array().expect("a list").iter();
    let count: u64 = shards.filter_map(|node| node["shards"].as_u64()).sum();
    assert_eq!(count, 7, "{nodes}");
    cluster.finish();
}

#[test]
fn a_node_that_is_gone_is_named_and_a_quorum_that_is_gone_too() {
    let mut cluster = Cluster::with_groups(1);
    let gone = cluster.nodes[2].address();
    cluster.nodes[2].kill();
    let one_gone = eventually("only the node that is gone", || {
        let output = cluster.operator(&["health"]);
        let is_it = output.status.code() == Some(10) && !printed(&output).contains("M304");
        is_it.then(|| printed(&output)).ok_or(output)
    });
    assert!(
        one_gone.starts_with("UNHEALTHY  1 reason\nM141 "),
        "{one_gone}"
    );
    assert!(one_gone.contains(&gone), "{one_gone}");
    let nodes = json(&cluster, &["node", "list"]);
    let down = nodes["nodes"].as_array().expect("a list").iter();
    let down: Vec<&Value> = down.filter(|node| node["state"] == "down").collect();
    assert_eq!(down.len(), 1);
    assert_eq!(down[0]["address"], gone);

    cluster.nodes[1].kill();
    let two_gone = eventually("a group without a quorum", || {
        let output = cluster.operator(&["health"]);
        let is_it = output.status.code() == Some(10) && printed(&output).contains("groups 0 1");
        is_it.then(|| printed(&output)).ok_or(output)
    });
    let only = format!("has {} only", cluster.nodes[0].address());
    assert!(
        two_gone.contains("M305") && two_gone.contains(&only),
        "{two_gone}"
    );
    let groups = json(&cluster, &["group", "list"]);
    assert_eq!(groups["groups"][1]["state"], "no-quorum", "{groups}");

    cluster.nodes[1].start();
    cluster.nodes[2].start();
    let healthy = cluster.succeeds(&["health", "--wait"]);
    assert!(healthy.starts_with("HEALTHY"), "{healthy}");
    cluster.finish();
}

/// Look at the code: the node answers nobody, which is not the same as being gone.
#[test]
fn a_node_that_stands_still_does_not_take_the_turn_of_the_others() {
    let cluster = Cluster::with_groups(1);
    cluster.nodes[1].freeze();
    let frozen = cluster.nodes[1].address();
    // Asked in another order, the frozen one would be the first that is asked for the map.
    let mut ask = margay(&["health", "-e", &cluster.nodes[0].address()]);
    let output = ask
        .args(["--timeout", "3s"])
        .output()
        .expect("the binary was built");
    assert_eq!(output.status.code(), Some(10), "{output:?}");
    let told = printed(&output);
    assert!(told.contains("M142") && told.contains(&frozen), "{told}");
    cluster.nodes[1].thaw();
    cluster.succeeds(&["health", "--wait"]);
    cluster.finish();
}

/// Look at who is asked: a node whose replica of group 0 is a moment behind knows nothing of the new groups.
#[test]
fn what_was_just_created_is_missed_and_shown_whichever_node_is_asked() {
    let cluster = Cluster::with_groups(1);
    for round in 0..4 {
        let name = format!("round-{round}");
        cluster.succeeds(&["keyspace", "create", &name, "--machine", "map"]);
        for endpoint in cluster.endpoints() {
            let list = ["group", "list", "--keyspace", &name, "-e", &endpoint];
            let listed = margay(&list).output();
            let listed = listed.expect("the binary was built");
            assert_eq!(listed.status.code(), Some(0), "{listed:?}");
        }
    }
    cluster.succeeds(&["health", "--wait"]);
    cluster.finish();
}

#[test]
fn what_does_not_exist_is_refused_with_what_does() {
    let cluster = Cluster::with_groups(1);
    for (arguments, words) in [
        (&["group", "show", "99"][..], "0 to 1"),
        (&["group", "list", "--keyspace", "bank"], "bench"),
    ] {
        let refused = cluster.operator(arguments);
        assert_eq!(refused.status.code(), Some(5), "{refused:?}");
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(said.contains("M152") && said.contains(words), "{said}");
    }
    cluster.finish();
}

/// Look at the address: another node answers there, and is not taken for the one that the cluster knows.
#[test]
fn a_blank_node_at_the_address_of_a_member_is_no_member() {
    let mut cluster = Cluster::with_groups(1);
    let data = cluster.nodes[2].data().to_owned();
    cluster.nodes[2].kill();
    let aside = data.with_extension("aside");
    std::fs::rename(&data, &aside).expect("it is ours");
    let format = ["format", "--data", text(&data)];
    let formatted = margay(&format).output();
    assert!(formatted.expect("the binary was built").status.success());
    cluster.nodes[2].start();
    let told = eventually("health that names it", || {
        let output = cluster.operator(&["health"]);
        let is_it = printed(&output).contains("M154");
        is_it.then(|| printed(&output)).ok_or(output)
    });
    assert!(told.contains(&cluster.nodes[2].address()), "{told}");
    cluster.nodes[2].kill();
    std::fs::remove_dir_all(&data).expect("it is ours");
    std::fs::rename(&aside, &data).expect("it is ours");
    cluster.nodes[2].start();
    cluster.succeeds(&["health", "--wait"]);
    cluster.finish();
}
