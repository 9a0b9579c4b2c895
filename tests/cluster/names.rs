//! Peers that are known by name, and names that stop to resolve while nodes run.
//!
//! The nodes have a table of names of their own, `/etc/hosts` in a mount name space; a test writes into it.

use crate::harness::{
    Cluster, Load, Node, Shape, after, demand_printed, eventually, name_spaces, pass, replica, text,
};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The name that all nodes have, and what it means: it resolves for the clients of a test, too.
const NAME: &str = "localhost";

/// The names that nodes can look up.
struct Names {
    hosts: PathBuf,
    order: PathBuf,
}

impl Names {
    fn new(directory: &Path) -> Self {
        let names = Self {
            hosts: directory.join("hosts"),
            order: directory.join("nsswitch"),
        };
        // Nothing but the table is asked.
        fs::write(&names.order, "hosts: files\n").expect("it is ours");
        names.resolve();
        names
    }

    fn resolve(&self) {
        fs::write(&self.hosts, format!("127.0.0.1 {NAME}\n")).expect("it is ours");
    }

    fn forget(&self) {
        fs::write(&self.hosts, "# nothing\n").expect("it is ours");
    }

    /// The words in front of a program that has these names and no others.
    fn words(&self) -> Option<Vec<String>> {
        let mut words = name_spaces(&["--mount"])?;
        let mounts = format!(
            "mount --bind \"$0\" /etc/hosts && mount --bind {} /etc/nsswitch.conf",
            text(&self.order)
        );
        words.extend(after(&mounts, text(&self.hosts)));
        Some(words)
    }
}

fn by_name(node: &Node) -> String {
    let address = node.address();
    let (_, port) = address.rsplit_once(':').expect("it has a port");
    format!("{NAME}:{port}")
}

/// Three nodes, formed by their names, in the order of their numbers: of two the first dials.
fn cluster_by_names() -> Option<(Cluster, Names)> {
    let mut cluster = Cluster::blank(0);
    let names = Names::new(cluster.directory());
    for name in ["n1", "n2", "n3"] {
        let mut node = cluster.stranger(name);
        node.start_through(names.words()?);
        node.start();
        cluster.nodes.push(node);
    }
    let addresses: Vec<String> = cluster.nodes.iter().map(by_name).collect();
    cluster.form(1, &addresses);
    let incarnation = |node: &Node| node.status().expect("it answers").incarnation;
    cluster.nodes.sort_by_key(incarnation);
    Some((cluster, names))
}

/// Lines of a node that name a code and a place.
fn lines(node: &Node, words: [&str; 2]) -> usize {
    let printed = node.printed();
    let lines = printed.lines();
    lines
        .filter(|line| words.iter().all(|word| line.contains(word)))
        .count()
}

/// Look at the lines, one for each peer and absence, and at the node that comes back: it is found where it was.
#[test]
fn a_peer_whose_name_does_not_resolve_any_more_is_told_once_and_found_where_it_was() {
    let Some((mut cluster, names)) = cluster_by_names() else {
        return;
    };
    let mut load = Load::start(&cluster, Shape::default());
    names.forget();
    cluster.nodes[2].kill();
    let (address, name) = (cluster.nodes[2].address(), by_name(&cluster.nodes[2]));
    for node in &cluster.nodes[..2] {
        demand_printed(node, &["M410", &name, &address]);
    }
    // It is dialed again and again meanwhile.
    pass(Duration::from_secs(4));
    load.advance(300);
    for node in &cluster.nodes[..2] {
        assert_eq!(lines(node, ["M410", &name]), 1, "{}", node.printed());
    }
    cluster.nodes[2].start();
    for node in &cluster.nodes[..2] {
        demand_printed(node, &["reached again", &name]);
    }
    load.advance(300);
    load.finish();
    cluster.finish();
}

/// Look at the first node, which has to dial both others and has never reached them in this life.
#[test]
fn a_node_that_starts_without_names_says_so_and_finds_its_peers_when_they_resolve() {
    let Some((mut cluster, names)) = cluster_by_names() else {
        return;
    };
    let mut load = Load::start(&cluster, Shape::default());
    names.forget();
    cluster.nodes[0].kill();
    cluster.nodes[0].start();
    for other in &cluster.nodes[1..] {
        demand_printed(&cluster.nodes[0], &["M410", &by_name(other), "until"]);
    }
    load.advance(300);
    names.resolve();
    let group = cluster.groups()[0];
    eventually("the first node hears a leader", || {
        let found = replica(&cluster.nodes[0], group)?;
        found.leader.map(|_| ()).ok_or(format!("{found:?}"))
    });
    load.advance(100);
    load.finish();
    cluster.finish();
}
