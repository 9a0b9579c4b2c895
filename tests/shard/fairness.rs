//! A group with much to do takes its share of a turn and no more: others are served, and heartbeats leave.

use crate::client::{Client, Session, Told, formed, leader_of};
use crate::world::{Turn, World};
use margay::limits::APPLY_BYTES_PER_TURN;
use margay_types::GroupId;

/// Groups at home on one node: three with much to do, and one with little.
const HOT: [GroupId; 3] = [GroupId::new(1), GroupId::new(3), GroupId::new(8)];
const OTHER: GroupId = GroupId::new(9);
const COMMAND_BYTES: usize = 60 << 10;
/// Commands of that size that one group may apply in one turn.
const SHARE: u64 = (APPLY_BYTES_PER_TURN / COMMAND_BYTES + 1) as u64;

/// A client with a session in a group, at the node that leads it.
fn client_of(world: &mut World, group: GroupId, number: u64) -> (Client, Session) {
    let place = world.until("a leader", |world| leader_of(world, group));
    let mut client = Client::connect(world, place, number);
    client.group = group;
    let session = client.open(world);
    (client, session)
}

fn watch_a_step(world: &mut World, place: usize) -> Vec<Turn> {
    world.node(place).watched = Some(Vec::new());
    world.step();
    world.node(place).watched.take().unwrap()
}

/// The others do not answer until all is appended: then everything is committed in one turn.
fn hold_back(world: &mut World, leader: usize) {
    for place in (0..3).filter(|place| *place != leader) {
        world.node(place).holds_writes = true;
    }
}

/// What is committed by the next step of the leader, turn by turn.
fn commit_at_once(world: &mut World, leader: usize) -> Vec<Turn> {
    for place in 0..3 {
        world.node(place).holds_writes = false;
    }
    world.step();
    watch_a_step(world, leader)
}

/// More is committed in one turn than all groups may apply in two.
#[test]
fn groups_with_much_to_apply_starve_no_other() {
    let mut world = formed(3, 9);
    let mut hot = HOT.map(|group| client_of(&mut world, group, u64::from(group.number())));
    let (mut other, session) = client_of(&mut world, OTHER, 9);
    let leader = other.place;
    hold_back(&mut world, leader);
    for sequence in 1..=12 {
        for (client, session) in &mut hot {
            assert_eq!(client.place, leader, "they have one home");
            client.count_large(&mut world, *session, sequence, COMMAND_BYTES);
        }
    }
    let asked = other.count(&mut world, session, (1, 1), 0);
    world.steps(5);
    let turns = commit_at_once(&mut world, leader);
    assert_eq!(other.answer(&world, asked), Some(Told::Done(vec![1, 0])));
    let backlog = HOT.iter().filter(|group| turns[0].is_behind(**group));
    assert_eq!(backlog.count(), 3, "not much to apply: {turns:?}");
    let applied = |turn: &Turn, group| turn.groups[&group].0;
    for group in HOT.into_iter().chain([OTHER]) {
        for pair in turns.windows(2) {
            let share = applied(&pair[1], group).since(applied(&pair[0], group));
            assert!(share <= SHARE, "{group} took {share}: {turns:?}");
        }
        for three in turns.windows(3) {
            let waits = three.iter().all(|turn| turn.is_behind(group));
            let moves = applied(&three[2], group) > applied(&three[0], group);
            assert!(moves || !waits, "{group} starves: {turns:?}");
        }
        assert!(
            !turns.last().unwrap().is_behind(group),
            "{group} is not done"
        );
    }
}

/// Look at the turn in which a backlog becomes known: it ends with the backlog there, and heartbeats on their way.
#[test]
fn heartbeats_leave_before_a_backlog_is_applied() {
    let mut world = formed(3, 1);
    let (mut hot, hot_session) = client_of(&mut world, HOT[0], 1);
    let leader = hot.place;
    let mut sequence = 1;
    let mut beats_with_backlog = 0;
    for phase in 0..8 {
        hold_back(&mut world, leader);
        for _ in 0..16 {
            hot.count_large(&mut world, hot_session, sequence, COMMAND_BYTES);
            sequence += 1;
        }
        world.steps(2 + phase);
        let turns = commit_at_once(&mut world, leader);
        let first = &turns[0];
        assert!(first.is_behind(HOT[0]), "phase {phase}: {turns:?}");
        beats_with_backlog += usize::from(first.peer_bytes > 0);
        assert!(!turns.last().unwrap().is_behind(HOT[0]), "phase {phase}");
        world.steps(20);
    }
    assert!(
        beats_with_backlog > 0,
        "no heartbeat left with a backlog behind it"
    );
}
