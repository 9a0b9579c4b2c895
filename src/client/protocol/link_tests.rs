//! Scripts about connections: which address is tried, how long, and when one is given up.

use super::*;

/// A server that takes everything and says nothing is given up, and the session goes elsewhere.
#[test]
fn a_silent_connection_is_given_up() {
    let (mut world, key) = World::with_session();
    world.submit(key, b"a");
    let silent = world.at("n1:1");
    for _ in 0..30 {
        world.pass(100);
    }
    assert_eq!(world.protocol.next_hangup(), Some(silent));
    assert!(
        world
            .dials
            .iter()
            .any(|dialed| dialed == "n2:1" || dialed == "n3:1")
    );
    assert!(
        world
            .protocol
            .last_failure()
            .is_some_and(|text| text.contains("no answer"))
    );
}

#[test]
fn endpoints_are_tried_in_turn_with_growing_pauses() {
    let mut world = World::new();
    world.protocol.open_session(GROUP);
    world.refuse_dial("e1:1");
    for _ in 0..6 {
        world.pass(600);
        let last = world.dials.last().expect("somebody was dialed").clone();
        if world.connections.contains_key(&last) {
            world.refuse_dial(&last);
        }
    }
    assert!(world.dials.iter().any(|dialed| dialed == "e2:1"));
    assert!(world.dials.len() <= 8, "no storm: {:?}", world.dials);
}

/// The followers of a dead leader go on naming it for an election timeout. The session asks the members instead of
/// waiting for it to come back.
#[test]
fn a_hint_to_a_dead_leader_is_not_waited_for() {
    let (mut world, key) = World::with_session();
    world.submit(key, b"a");
    world.cut("n1:1");
    let stale = Refusal::NotLeader {
        leader: Some(node(1)),
        term: Term::new(2),
    };
    let first = world.dials.last().expect("a dial").clone();
    world.accept(&first);
    let attach = world.only(&first, FrameKind::Attach);
    world.refuse(&first, &attach, stale);
    let second = if first == "n2:1" { "n3:1" } else { "n2:1" };
    for _ in 0..20 {
        world.pass(10);
        if world.connections.contains_key("n1:1") {
            world.refuse_dial("n1:1");
        }
    }
    world.accept(second);
    let attach = world.only(second, FrameKind::Attach);
    world.attach(second, &attach, 1);
    assert_eq!(world.numbers(second), [1]);
}

/// A host that swallows packets: the dial is given up, and forgotten before the driver has even seen it.
#[test]
fn a_dial_that_never_ends_is_given_up() {
    let mut world = World::new();
    world.protocol.open_session(GROUP);
    let first = world.at("e1:1");
    for _ in 0..25 {
        world.pass(100);
    }
    assert_eq!(world.protocol.next_hangup(), Some(first));
    world.at("e2:1");
}

/// The first node is blank and says so; the map comes from the second.
#[test]
fn a_node_without_a_map_is_not_asked_for_ever() {
    let mut world = World::new();
    world.protocol.open_session(GROUP);
    world.accept("e1:1");
    let asked = world.only("e1:1", FrameKind::Map);
    world.refuse("e1:1", &asked, Refusal::NotFormed);
    world.pass(500);
    world.accept("e2:1");
    // The two connections take turns.
    for _ in 0..2 {
        for asked in &world.asked("e1:1") {
            world.refuse("e1:1", asked, Refusal::NotFormed);
        }
        world.pass(500);
    }
    world.give_map("e2:1", Some(1));
    world.accept("n1:1");
    world.only("n1:1", FrameKind::Open);
}

#[test]
fn bytes_that_are_no_frames_end_the_connection() {
    let (mut world, _) = World::with_session();
    let connection = world.at("n1:1");
    world.answer("n1:1", |out| out.extend_from_slice(&[0xff; 40]));
    assert_eq!(world.protocol.next_hangup(), Some(connection));
}
