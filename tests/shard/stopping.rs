//! A machine that panics stops its group on its node, and nobody hangs because of it.

use crate::client::{Client, GROUP, Told, formed, group, leader_of};
use crate::machine::break_at;
use margay_wire::refusal::Refusal;

#[test]
fn whoever_waits_for_a_machine_that_stops_is_told_so() {
    let mut world = formed(1, 1);
    let mut client = Client::connect(&mut world, 0, 1);
    let session = client.open(&mut world);
    let first = client.panic(&mut world, session, 1);
    let behind = client.count(&mut world, session, (2, 1), 0);
    world.steps(50);
    for request in [first, behind] {
        let answer = client.answer(&world, request);
        assert_eq!(answer, Some(Told::Refused(Refusal::StoppedMachine)));
    }
}

#[test]
fn a_leader_that_applies_no_more_hands_over_to_one_that_does() {
    let mut world = formed(3, 1);
    let old = leader_of(&mut world, GROUP).unwrap();
    let mut client = Client::connect(&mut world, old, 1);
    let opened = client.open(&mut world);
    break_at(old);
    client.count(&mut world, opened, (1, 1), 0);
    let new = world.until("another leader", |world| {
        leader_of(world, GROUP).filter(|place| *place != old)
    });
    world.steps(20);
    let mut client = Client::connect(&mut world, new, 2);
    let request = client.send_attach(&mut world, opened.attached.session);
    let session = client.bound(&mut world, request);
    let request = client.count(&mut world, session, (1, 1), 0);
    assert_eq!(
        client.wait(&mut world, request),
        Told::Done(vec![1, 0]),
        "counted once"
    );
}

/// One of the others is dead, and has as much of the log as the one that is not.
#[test]
fn a_node_that_stops_hands_over_to_a_member_that_is_there() {
    let mut world = formed(3, 1);
    for dead in 0..3 {
        let old = world.until("a leader", |world| leader_of(world, GROUP));
        if old == dead {
            continue;
        }
        world.crash(dead);
        world.steps(40);
        world.shard(old).request_stop();
        world.steps(20);
        assert!(
            world.shard(old).is_ready_to_stop(),
            "node {old} still leads"
        );
        let term = group(&mut world, old, GROUP).unwrap().term;
        let new = world.until("a successor", |world| leader_of(world, GROUP));
        assert_eq!(group(&mut world, new, GROUP).unwrap().term, term);
        world.crash(old);
        world.start(old);
        world.start(dead);
        world.steps(100);
    }
}
