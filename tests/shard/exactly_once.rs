//! A command is applied once, and whoever asks for its output is answered, whatever was refused before.

use crate::client::{Client, GROUP, Told, formed, leader_of};
use margay_wire::client::QueryLevel;
use margay_wire::refusal::Refusal;

/// The commands are admitted by their window, and the log takes them; when they are applied, the session's cache has
/// no room for the last ones. Their numbers are free again: the client acknowledges, and sends them again.
#[test]
fn a_command_that_was_refused_when_it_was_applied_can_be_sent_again() {
    let mut world = formed(1, 1);
    let mut client = Client::connect(&mut world, 0, 1);
    let session = client.open(&mut world);
    let requests: Vec<u64> = (1..=80)
        .map(|sequence| client.count(&mut world, session, (sequence, 1), 60 << 10))
        .collect();
    let answers: Vec<Told> = requests
        .into_iter()
        .map(|request| client.wait(&mut world, request))
        .collect();
    let refused = answers
        .iter()
        .position(|told| *told == Told::Refused(Refusal::WindowFull))
        .expect("the cache is full");
    let sequence = refused as u64 + 1;
    for again in sequence..=80 {
        let request = client.count(&mut world, session, (again, again), 0);
        world.steps(20);
        let answer = client.answer(&world, request);
        assert!(
            matches!(answer, Some(Told::Done(_))),
            "command {again}: {answer:?}"
        );
    }
}

/// A leader that slept through its own end has applied entries of its term, and knows nothing of what its successor
/// did. It must not call a session unknown that begins behind what it has applied.
#[test]
fn a_leader_that_was_succeeded_calls_no_session_unknown() {
    let mut world = formed(3, 1);
    let old = leader_of(&mut world, GROUP).unwrap();
    world.node(old).is_paused = true;
    world.isolate(old);
    world.steps(150);
    let new = world.until("a successor", |world| leader_of(world, GROUP));
    let mut client = Client::connect(&mut world, new, 1);
    let session = client.open(&mut world).attached.session;
    world.node(old).is_paused = false;
    let mut client = Client::connect(&mut world, old, 2);
    let request = client.send_attach(&mut world, session);
    let answer = client.wait(&mut world, request);
    assert!(
        matches!(
            answer,
            Told::Refused(Refusal::NotReady { .. } | Refusal::NotLeader { .. })
        ),
        "{answer:?}"
    );
}

/// A follower holds commands that it has not applied, more than its memory keeps, when it becomes leader. It counts
/// them before it takes more, and a command of the old leader's that is sent again is answered, not applied twice.
#[test]
fn a_leader_whose_tail_is_on_disk_counts_it_before_it_takes_commands() {
    let mut world = formed(3, 1);
    let old = leader_of(&mut world, GROUP).unwrap();
    let (new, away) = ((old + 1) % 3, (old + 2) % 3);
    let mut client = Client::connect(&mut world, old, 1);
    let opened = client.open(&mut world);
    world.steps(20);
    world.isolate(away);
    world.node(new).holds_writes = true;
    for sequence in 1..=5 {
        client.count_large(&mut world, opened, sequence, 200 << 10);
    }
    world.steps(10);
    world.isolate(old);
    world.node(new).holds_writes = false;
    world.cuts.clear();
    world.isolate(old);
    world.until("the follower with the tail leads", |world| {
        leader_of(world, GROUP).filter(|place| *place == new)
    });
    let mut client = Client::connect(&mut world, new, 2);
    let session = world.until("the session can be attached", |world| {
        let request = client.send_attach(world, opened.attached.session);
        matches!(client.wait(world, request), Told::Done(_)).then(|| client.bound(world, request))
    });
    assert_eq!(session.attached.next.number(), 6);
    for (sequence, counted) in [(5, 5), (6, 6)] {
        let request = client.count(&mut world, session, (sequence, 1), 0);
        assert_eq!(
            client.wait(&mut world, request),
            Told::Done(vec![counted, 0])
        );
    }
}

/// Nobody who waits at a leader that has lost the others waits for ever.
#[test]
fn a_leader_that_loses_the_others_says_so_to_those_who_wait() {
    let mut world = formed(3, 1);
    let old = leader_of(&mut world, GROUP).unwrap();
    let mut client = Client::connect(&mut world, old, 1);
    let session = client.open(&mut world);
    world.isolate(old);
    let first = client.count(&mut world, session, (1, 1), 0);
    world.steps(2);
    let again = client.count(&mut world, session, (1, 1), 0);
    let read = client.query(&mut world, QueryLevel::Linearizable);
    let close = {
        world.steps(1);
        client.close_again_and_again(&mut world, session, 1);
        client.last()
    };
    world.steps(130);
    for request in [first, again, close] {
        let answer = client.answer(&world, request);
        assert!(
            matches!(answer, Some(Told::Refused(Refusal::LeadershipLost { .. }))),
            "{answer:?}"
        );
    }
    assert!(client.answer(&world, read).is_some());
}
