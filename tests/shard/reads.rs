//! Questions that must not wait for what never comes.

use crate::client::{Client, GROUP, Told, formed, leader_of};
use margay_wire::client::QueryLevel;

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
