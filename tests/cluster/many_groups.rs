//! A thousand groups on three nodes: all are led, evenly, and a restart of one node or of all costs few terms.
//!
//! How long things take is printed, not demanded: a test run shares its machine.

use crate::harness::{Cluster, Node, eventually, now};
use margay_types::{GroupId, Term};
use margay_wire::admin::ReplicaRole;
use std::collections::BTreeMap;

const GROUPS: usize = 1_000;
/// With group 0.
const REPLICAS: usize = GROUPS + 1;

/// Who leads what.
struct View {
    terms: BTreeMap<GroupId, Term>,
    leads: Vec<usize>,
}

/// Waits until every group has a leader in the greatest term that any node knows of.
fn all_led(cluster: &Cluster, what: &str) -> View {
    let began = now();
    let view = eventually("a leader of every group", || look(cluster));
    let View { terms, leads } = &view;
    let greatest = terms.values().max();
    eprintln!(
        "{what}: all led after {:?}, {leads:?}, greatest term {greatest:?}",
        began.elapsed()
    );
    view
}

fn look(cluster: &Cluster) -> Result<View, String> {
    let mut terms: BTreeMap<GroupId, Term> = BTreeMap::new();
    let mut leaders: BTreeMap<GroupId, (Term, usize)> = BTreeMap::new();
    for (at, node) in cluster.nodes.iter().enumerate() {
        let replicas = node.replicas()?;
        if replicas.len() < REPLICAS {
            return Err(format!("{} replicas on {}", replicas.len(), node.address()));
        }
        for replica in replicas {
            let term = terms.entry(replica.group).or_default();
            *term = (*term).max(replica.term);
            if replica.role == ReplicaRole::Leader {
                let leader = leaders.entry(replica.group).or_default();
                *leader = (*leader).max((replica.term, at));
            }
        }
    }
    let mut leads = vec![0; cluster.nodes.len()];
    for (group, term) in &terms {
        match leaders.get(group) {
            Some((led, at)) if led == term => leads[*at] += 1,
            Some(_) | None => return Err(format!("nobody leads {group} in {term}")),
        }
    }
    Ok(View { terms, leads })
}

/// No term may have grown by more.
fn demand_growth(before: &View, after: &View, most: u32) {
    let mut growths: BTreeMap<u32, usize> = BTreeMap::new();
    for (group, term) in &after.terms {
        let growth = term.number() - before.terms[group].number();
        *growths.entry(growth).or_default() += 1;
    }
    eprintln!("terms grew by: {growths:?}");
    let greatest = growths.keys().max().copied().unwrap_or(0);
    assert!(greatest <= most, "a term grew by {greatest}: {growths:?}");
}

#[test]
fn a_thousand_groups_survive_the_restart_of_one_node_and_of_all() {
    let mut cluster = Cluster::blank(3);
    let nodes = cluster.endpoints().join(",");
    cluster.succeeds(&["bootstrap", "--name", "prod", "--nodes", &nodes]);
    let groups = GROUPS.to_string();
    let machine = ["--machine", "map", "--groups", &groups];
    cluster.succeeds(&[&["keyspace", "create", "many"][..], &machine].concat());
    let created = all_led(&cluster, "created");
    // By the homes of the groups it is a third each; a machine that is busy with other tests may miss many.
    let least = created.leads.iter().min().copied().unwrap_or(0);
    assert!(least >= GROUPS / 8, "{:?}", created.leads);

    cluster.nodes[1].kill();
    cluster.nodes[1].start();
    let one = all_led(&cluster, "one node killed and started");
    demand_growth(&created, &one, 2);

    cluster.nodes.iter_mut().for_each(Node::kill);
    cluster.nodes.iter_mut().for_each(Node::start);
    let all = all_led(&cluster, "all nodes killed and started");
    demand_growth(&one, &all, 3);

    for node in &mut cluster.nodes {
        let ended = node.stop();
        assert!(ended.success(), "{} ended {ended}", node.address());
    }
}
