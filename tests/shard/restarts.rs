//! What a node held comes back after every power cut, from checkpoints whose births and entries are long freed.

use crate::client::{Client, GROUP, Session, Told, formed, group, keyspace, leader_of};
use crate::world::World;
use margay::codes::Code;
use margay::limits::LOADS_MAX;
use margay_simulation::disk_fault::FaultPlan;
use margay_types::GroupId;
use margay_wire::admin::{KeyspaceCreate, StatusRequest};
use margay_wire::client::QueryLevel;

/// The session's next binding at the node, whatever has to be waited for.
fn attach(world: &mut World, client: &mut Client, session: Session) -> Session {
    for _ in 0..100 {
        let request = client.send_attach(world, session.attached.session);
        if let Told::Done(_) = client.wait(world, request) {
            return client.bound(world, request);
        }
        world.steps(10);
    }
    panic!("the session cannot be attached");
}

/// The power goes off again and again while one group fills segments and another idles; each time at another operation
/// of the disk, and what was under way is lost.
#[test]
fn every_command_is_there_once_after_power_cuts_in_the_middle_of_checkpoints() {
    let mut world = formed(1, 2);
    let mut client = Client::connect(&mut world, 0, 1);
    client.group = GroupId::new(2);
    let mut session = client.open(&mut world);
    let mut sequence = 1;
    for round in 0..16_u64 {
        let disk = world.nodes[0].disk.clone();
        let at = disk.operation_count() + 40 + round * 7 % 50;
        disk.set_plan(FaultPlan::crash_at(at));
        while world.nodes[0].shard.is_some() {
            let request = client.count_large(&mut world, session, sequence, 200 << 10);
            world.steps(3);
            if let Some(Told::Done(output)) = client.answer(&world, request) {
                let counted = postcard::from_bytes::<(u64, Vec<u8>)>(&output).unwrap().0;
                assert_eq!(counted, sequence, "in round {round}");
                sequence += 1;
            }
        }
        world.crash(0);
        world.start(0);
        world.until("the restarted node leads", |world| {
            leader_of(world, GROUP).and_then(|_| leader_of(world, GroupId::new(2)))
        });
        client = Client::connect(&mut world, 0, 10 + round);
        client.group = GroupId::new(2);
        session = attach(&mut world, &mut client, session);
        let next = session.attached.next.number();
        assert!(
            next == sequence || next == sequence + 1,
            "{next} is next, {sequence} was not answered"
        );
        sequence = next;
    }
    let request = client.query(&mut world, QueryLevel::Linearizable);
    let total = client.wait(&mut world, request);
    let total = match total {
        Told::Done(output) => postcard::from_bytes::<u64>(&output).unwrap(),
        Told::Refused(refusal) => panic!("refused: {refusal:?}"),
    };
    assert_eq!(total, sequence - 1);
}

/// More groups than may read at a time have something to apply when their node starts: each has its turn.
#[test]
fn groups_that_wait_to_read_what_they_must_apply_all_have_their_turn() {
    let groups = u32::try_from(LOADS_MAX + 8).unwrap();
    let mut world = formed(1, groups);
    for number in 1..=groups {
        let mut client = Client::connect(&mut world, 0, u64::from(number));
        client.group = GroupId::new(number);
        let session = client.open(&mut world);
        let request = client.count(&mut world, session, (1, 1), 0);
        assert!(matches!(client.wait(&mut world, request), Told::Done(_)));
    }
    world.crash(0);
    world.start(0);
    for number in 1..=groups {
        let mut client = Client::connect(&mut world, 0, 3_000 + u64::from(number));
        client.group = GroupId::new(number);
        world.until("a leader", |world| leader_of(world, client.group));
        let request = client.query(&mut world, QueryLevel::Linearizable);
        let counted = client.wait(&mut world, request);
        assert_eq!(counted, Told::Done(postcard::to_allocvec(&1_u64).unwrap()));
    }
}

/// Another version was run for a while, and went. What it left is refused by name; it takes no sibling down, not even
/// where there is no other copy of anything.
#[test]
fn a_replica_that_this_version_cannot_read_is_named_and_the_others_go_on() {
    let foreign = GroupId::new(77);
    let mut world = formed(1, 2);
    let mut client = Client::connect(&mut world, 0, 1);
    let session = client.open(&mut world);
    let request = client.count(&mut world, session, (1, 1), 0);
    assert!(matches!(client.wait(&mut world, request), Told::Done(_)));
    world.crash(0);
    world.node(0).write_unreadable(foreign);
    for life in 0..2 {
        world.start(0);
        for group in [GroupId::SYSTEM, GROUP, GroupId::new(2)] {
            world.until("a leader", |world| leader_of(world, group));
        }
        let mut client = Client::connect(&mut world, 0, 10 + life);
        let request = client.query(&mut world, QueryLevel::Linearizable);
        let counted = client.wait(&mut world, request);
        assert_eq!(counted, Told::Done(postcard::to_allocvec(&1_u64).unwrap()));
        let asked = StatusRequest {
            from_group: GroupId::SYSTEM,
            groups_max: 1,
        };
        let health = client.admin(&mut world, &asked).health;
        let [reason] = &health[..] else {
            panic!("one thing is wrong: {health:?}");
        };
        assert_eq!(
            (reason.code, reason.group),
            (Code::DamagedReplica.number(), Some(foreign))
        );
        let text = "the birth of group 77 cannot be read by this version";
        assert_eq!(reason.text, text);
        world.crash(0);
    }
}

/// Its birth was under way when another version took over: group 0 tells of it later, and what is there stays.
#[test]
fn a_replica_that_cannot_be_read_is_not_born_a_second_time() {
    let (foreign, beside) = (GroupId::new(2), GroupId::new(3));
    let mut world = formed(1, 1);
    world.crash(0);
    world.node(0).write_unreadable(foreign);
    world.start(0);
    world.until("a leader", |world| leader_of(world, GroupId::SYSTEM));
    let mut operator = Client::connect(&mut world, 0, 1);
    let asked = KeyspaceCreate {
        name: "others".to_owned(),
        ..keyspace(2)
    };
    operator.send_admin(&mut world, &asked);
    world.until("the other is born", |world| leader_of(world, beside));
    assert_eq!(group(&mut world, 0, foreign), None);
}

/// Three nodes; one after the other loses its power while commands come, and every one of them is counted once.
#[test]
fn every_command_is_there_once_when_nodes_restart_in_turn() {
    let mut world = formed(3, 2);
    let mut session = None;
    let mut sequence = 1;
    for round in 0..12_usize {
        let leader = world.until("a leader", |world| leader_of(world, GroupId::new(2)));
        let mut client = Client::connect(&mut world, leader, 100 + round as u64);
        client.group = GroupId::new(2);
        let bound = match session {
            None => client.open(&mut world),
            Some(known) => attach(&mut world, &mut client, known),
        };
        session = Some(bound);
        let next = bound.attached.next.number();
        assert!(
            next >= sequence,
            "{next} is next, {sequence} was not answered"
        );
        sequence = next;
        for _ in 0..8 {
            let request = client.count_large(&mut world, bound, sequence, 200 << 10);
            let Told::Done(output) = client.wait(&mut world, request) else {
                panic!("command {sequence} was refused in round {round}");
            };
            let counted = postcard::from_bytes::<(u64, Vec<u8>)>(&output).unwrap().0;
            assert_eq!(counted, sequence, "in round {round}");
            sequence += 1;
        }
        client.count_large(&mut world, bound, sequence, 100);
        world.steps(round % 4);
        let victim = (leader + round % 3) % 3;
        world.crash(victim);
        world.steps(30 * (round % 3));
        world.start(victim);
        world.steps(100);
    }
}
