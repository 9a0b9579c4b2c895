//! Nodes whose clocks tell different times, and other ones after a restart: no promise rests on what a clock says, only
//! on what it counts while a process runs.
//!
//! A name space of time moves the clocks that count from the start of the machine; no process may see another wall
//! clock than the machine's, and `tests/tidy` keeps the server from looking at it.

use crate::harness::{Cluster, Load, Shape, name_spaces, replica};
use margay_types::{GroupId, Term};

const DAY_SECONDS: u64 = 24 * 3_600;
const YEAR_SECONDS: u64 = 365 * DAY_SECONDS;

/// Words in front of a program that put its clocks ahead of the machine's.
fn ahead_by(seconds: u64) -> Option<Vec<String>> {
    let seconds = seconds.to_string();
    name_spaces(&["--time", "--boottime", &seconds, "--monotonic", &seconds])
}

/// Kills a node and starts it with another clock, while the others go on.
fn restart(cluster: &mut Cluster, load: &mut Load, at: usize, before: Vec<String>) {
    cluster.nodes[at].kill();
    load.advance(100);
    cluster.nodes[at].start_through(before);
    cluster.nodes[at].start();
    load.advance(100);
}

fn term(cluster: &Cluster, group: GroupId) -> Term {
    let leader = cluster.leader(group);
    replica(&cluster.nodes[leader], group)
        .expect("it leads")
        .term
}

/// Look at the load, whose sessions end within minutes of log time: leaders come to be whose clocks are a year ahead
/// and a year behind what they said in the life before, and nobody's session ends, nothing is lost or done twice.
#[test]
fn leaders_whose_clocks_are_a_year_ahead_or_behind_end_no_session() {
    let (Some(year), Some(day)) = (ahead_by(YEAR_SECONDS), ahead_by(DAY_SECONDS)) else {
        return;
    };
    let mut cluster = Cluster::with_groups(1);
    let group = cluster.groups()[0];
    let mut load = Load::start(&cluster, Shape::default());
    // Whoever leads is the next: after three of them a leader has a clock of another time than before.
    let mut led_by_other_clocks = 0;
    let mut is_moved = [false; 3];
    for before in [&year, &day, &year, &Vec::new(), &day, &Vec::new()] {
        let leader = cluster.leader(group);
        led_by_other_clocks += usize::from(is_moved[leader]);
        is_moved[leader] = true;
        restart(&mut cluster, &mut load, leader, before.clone());
    }
    assert!(led_by_other_clocks >= 3, "of six leaders three were moved");
    load.finish();
    cluster.finish();
}

/// Look at the term: a follower that comes back with another clock waits for its leader as long as any other.
#[test]
fn a_follower_whose_clock_is_another_one_calls_no_election() {
    let Some(year) = ahead_by(YEAR_SECONDS) else {
        return;
    };
    let mut cluster = Cluster::with_groups(1);
    let group = cluster.groups()[0];
    let mut load = Load::start(&cluster, Shape::default());
    let before = term(&cluster, group);
    for words in [year, Vec::new()] {
        let follower = (cluster.leader(group) + 1) % 3;
        restart(&mut cluster, &mut load, follower, words);
    }
    load.advance(500);
    let after = term(&cluster, group);
    // A busy machine may delay heartbeats now and then; a clock that counts would call one election after the other.
    let elections = after.number() - before.number();
    assert!(elections <= 2, "{elections} elections: {before} to {after}");
    load.finish();
    cluster.finish();
}
