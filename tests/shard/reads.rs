//! Questions that must not wait for what never comes.

use crate::client::{Client, GROUP, Told, formed, group, leader_of};
use margay_wire::client::QueryLevel;
use margay_wire::refusal::Refusal;

#[test]
fn a_confirmed_read_of_an_idle_group_is_answered_at_once() {
    let mut world = formed(3, 1);
    let leader = leader_of(&mut world, GROUP).unwrap();
    world.steps(50);
    for place in [leader, (leader + 1) % 3] {
        let mut client = Client::connect(&mut world, place, 1);
        let request = client.query(&mut world, QueryLevel::Linearizable);
        world.steps(20);
        let answer = client.answer(&world, request);
        assert_eq!(answer, Some(Told::Done(vec![0])), "at node {place}");
    }
}

/// The session expired, and the connection does not know it.
#[test]
fn a_read_ends_with_its_session() {
    let mut world = formed(1, 1);
    let mut client = Client::connect(&mut world, 0, 1);
    let request = client.send_open(&mut world, 1_000);
    let attachment = client.bound(&mut world, request).attached.attachment;
    world.until("the session has expired", |world| {
        (group(world, 0, GROUP)?.sessions == 0).then_some(())
    });
    for level in [QueryLevel::Causal, QueryLevel::Linearizable] {
        let request = client.query_of(&mut world, level, attachment);
        let answer = client.wait(&mut world, request);
        assert_eq!(answer, Told::Refused(Refusal::SessionExpired));
    }
}
