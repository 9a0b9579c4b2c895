//! Sessions end when their client is silent, on time and without other traffic, and not before.

use crate::client::{Client, GROUP, formed, group, leader_of};

/// Nothing happens in the group but what its leader does by itself.
#[test]
fn a_lone_session_ends_on_time_when_its_client_is_silent() {
    for nodes in [1, 3] {
        let mut world = formed(nodes, 1);
        let leader = leader_of(&mut world, GROUP).unwrap();
        let mut client = Client::connect(&mut world, leader, 1);
        let request = client.send_open(&mut world, 2_000);
        client.bound(&mut world, request);
        world.steps(190);
        let sessions = |world: &mut _| group(world, leader, GROUP).unwrap().sessions;
        assert_eq!(sessions(&mut world), 1, "of {nodes} nodes");
        world.steps(30);
        assert_eq!(sessions(&mut world), 0, "of {nodes} nodes");
    }
}

/// The client is heard from every half a second, but its leader changes all the time.
#[test]
fn a_session_that_is_heard_from_outlives_its_leaders() {
    let mut world = formed(3, 1);
    let leader = leader_of(&mut world, GROUP).unwrap();
    let mut client = Client::connect(&mut world, leader, 1);
    let request = client.send_open(&mut world, 2_000);
    let mut session = client.bound(&mut world, request);
    for round in 0..12 {
        for _ in 0..5 {
            client.keep_alive(&mut world, session);
            world.steps(50);
        }
        let old = client.place;
        world.crash(old);
        world.start(old);
        let new = world.until("a leader", |world| leader_of(world, GROUP));
        world.steps(20);
        client = Client::connect(&mut world, new, 10 + round);
        let request = client.send_attach(&mut world, session.attached.session);
        session = client.bound(&mut world, request);
    }
}

const YEAR_NS: u64 = 365 * 24 * 3_600 * 1_000_000_000;

/// Look at the session and the leader: between two turns of one node a year passes by its clock, as after a sleep of
/// its machine. It is no log time, and no reason for an election; what time passes afterwards counts as before.
#[test]
fn a_clock_that_jumps_by_a_year_ends_no_session_and_no_reign() {
    for is_leaders in [true, false] {
        let mut world = formed(3, 1);
        let leader = leader_of(&mut world, GROUP).unwrap();
        let mut client = Client::connect(&mut world, leader, 1);
        let request = client.send_open(&mut world, 2_000);
        client.bound(&mut world, request);
        let term = group(&mut world, leader, GROUP).unwrap().term;
        let jumps = if is_leaders { leader } else { (leader + 1) % 3 };
        world.node(jumps).ahead_ns = YEAR_NS;
        world.steps(150);
        let found = group(&mut world, leader, GROUP).unwrap();
        assert_eq!((found.sessions, found.term), (1, term));
        assert_eq!(leader_of(&mut world, GROUP), Some(leader));
        world.steps(70);
        let left = group(&mut world, leader, GROUP).unwrap().sessions;
        assert_eq!(left, 0, "it is silent for two seconds of log time");
    }
}
