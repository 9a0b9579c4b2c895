//! Leaders of many groups spread evenly over nodes: from the first election on, and again when a node comes back.

use crate::client::{formed, group, leader_of};
use crate::world::World;
use margay::limits::{HOMING_PAUSE_TICKS, HOMING_TICKS};
use margay_types::GroupId;

/// With group 0 they are a multiple of the nodes.
const GROUPS: u32 = 11;
/// What each node should lead of them: group 0 is at home on the first.
const EVEN: [usize; 3] = [3, 4, 4];

/// How many groups each node leads; `None` while one is not led.
fn leads(world: &mut World) -> Option<Vec<usize>> {
    let mut leads = vec![0; world.nodes.len()];
    for id in 1..=GROUPS {
        leads[leader_of(world, GroupId::new(id))?] += 1;
    }
    Some(leads)
}

fn terms(world: &mut World) -> Vec<u32> {
    let term = |id| {
        let seen = (0..world.nodes.len()).filter_map(|place| group(world, place, GroupId::new(id)));
        seen.map(|status| status.term.number()).max().unwrap()
    };
    (1..=GROUPS).map(term).collect()
}

#[test]
fn first_leaders_are_even_over_the_nodes() {
    let mut world = formed(3, GROUPS);
    assert_eq!(leads(&mut world), Some(EVEN.to_vec()));
    assert_eq!(terms(&mut world), vec![1; 11], "nobody else campaigned");
}

/// Look at the terms, too: one for the election and one for the way home.
#[test]
fn leadership_goes_home_a_while_after_a_node_came_back() {
    let mut world = formed(3, GROUPS);
    let before = terms(&mut world);
    world.crash(1);
    world.steps(100);
    world.start(1);
    world.steps(100);
    let led = world.until("every group is led", leads);
    assert_eq!(led[1], 0, "not at once");
    let patience = usize::try_from(HOMING_TICKS).unwrap();
    world.steps(patience - 200);
    assert_eq!(leads(&mut world).unwrap()[1], 0, "not before half a minute");
    world.steps(400 + 4 * usize::try_from(HOMING_PAUSE_TICKS).unwrap());
    assert_eq!(leads(&mut world), Some(EVEN.to_vec()));
    for (id, (before, after)) in (1..).zip(before.iter().zip(terms(&mut world))) {
        assert!(after <= before + 3, "group {id}: {before} -> {after}");
    }
}

#[test]
fn leadership_does_not_go_to_a_home_that_is_cut_off() {
    let mut world = formed(3, GROUPS);
    world.isolate(1);
    let patience = usize::try_from(HOMING_TICKS).unwrap();
    world.steps(patience + 500);
    let after = terms(&mut world);
    world.steps(500);
    assert_eq!(terms(&mut world), after, "nobody was asked");
}

/// Hands over while it stops, and takes nothing back.
#[test]
fn a_node_that_stops_sends_no_group_home() {
    let mut world = formed(3, GROUPS);
    world.crash(1);
    world.steps(100);
    world.start(1);
    let patience = usize::try_from(HOMING_TICKS).unwrap();
    world.steps(patience - 100);
    for place in [0, 2] {
        world.shard(place).request_stop();
    }
    world.steps(49);
    let led = leads(&mut world).unwrap();
    assert_eq!(led[1], 11, "what a stopping node led is led elsewhere");
}
