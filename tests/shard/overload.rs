//! More is asked than can be done: what has no room is refused at the door, and told when to come again.

use crate::client::{Client, GROUP, Session, Told, formed, group, leader_of};
use crate::world::World;
use margay::limits::{
    COMMAND_BYTES_MAX, OVERLOADED_RETRY_MS, OVERLOADED_RETRY_MS_MAX, PROPOSAL_MS_MAX, WAITERS_MAX,
    WAITING_READ_BYTES_MAX, WAITING_READ_MS, WAITING_READS_MAX,
};
use margay_machine::{Limits, OUTPUT_OVERHEAD_BYTES};
use margay_types::Index;
use margay_wire::client::{Query, QueryLevel};
use margay_wire::refusal::Refusal;

/// Ticks are 10 ms.
const TICKS_PER_PROPOSAL_MAX: usize = (PROPOSAL_MS_MAX / 10) as usize;

fn is_overloaded(told: &Told) -> bool {
    matches!(
        told,
        Told::Refused(Refusal::Overloaded { retry_after_ms })
            if (OVERLOADED_RETRY_MS..=OVERLOADED_RETRY_MS_MAX).contains(retry_after_ms)
    )
}

/// Three nodes, and a session at the leader.
fn led() -> (World, Client, Session) {
    let mut world = formed(3, 1);
    let leader = leader_of(&mut world, GROUP).unwrap();
    let mut client = Client::connect(&mut world, leader, 1);
    let session = client.open(&mut world);
    (world, client, session)
}

/// The disks of the others take so long that nothing commits.
fn hold_others(world: &mut World, leader: usize, holds_writes: bool) {
    for place in (0..3).filter(|place| *place != leader) {
        world.node(place).holds_writes = holds_writes;
    }
}

/// Look at the log: what would not fit into the session's cache in the worst case is not in it. When the outputs turn
/// out to be small, there is room again, without a word of the client.
#[test]
fn outputs_under_way_count_against_the_cache_before_anything_is_written() {
    let (mut world, mut client, session) = led();
    let leader = client.place;
    hold_others(&mut world, leader, true);
    let before = group(&mut world, leader, GROUP).unwrap().last;
    let largest = u64::from(Limits::default().output_bytes_max) + OUTPUT_OVERHEAD_BYTES;
    let fitting = Limits::default().session_cache_bytes_max / largest;
    let mut requests = Vec::new();
    for sequence in 1..=fitting + 1 {
        requests.push(client.count(&mut world, session, (sequence, 1), 0));
    }
    let (beyond, fitted) = requests.split_last().unwrap();
    assert_eq!(
        client.wait(&mut world, *beyond),
        Told::Refused(Refusal::WindowFull)
    );
    let after = group(&mut world, leader, GROUP).unwrap().last;
    assert_eq!(after.since(before), fitting, "nothing more was written");
    hold_others(&mut world, leader, false);
    for request in fitted {
        let answer = client.wait(&mut world, *request);
        assert!(matches!(answer, Told::Done(_)), "{answer:?}");
    }
    let request = client.count(&mut world, session, (fitting + 1, 1), 0);
    let answer = client.wait(&mut world, request);
    assert!(matches!(answer, Told::Done(_)), "{answer:?}");
}

/// Look at the log: what would not fit into the group's cache in the worst case is not in it, though each session has
/// room. When the outputs turn out to be small, there is room again.
#[test]
fn outputs_of_all_sessions_under_way_count_against_the_cache_of_the_group() {
    let (mut world, mut client, _) = led();
    let leader = client.place;
    let limits = Limits::default();
    let largest = u64::from(limits.output_bytes_max) + OUTPUT_OVERHEAD_BYTES;
    let (of_group, of_session) = (
        limits.group_cache_bytes_max / largest,
        limits.session_cache_bytes_max / largest,
    );
    let sessions = client.open_many(&mut world, u8::try_from(of_group / of_session + 1).unwrap());
    hold_others(&mut world, leader, true);
    let before = group(&mut world, leader, GROUP).unwrap().last;
    let mut requests = Vec::new();
    for sequence in 1..=of_session {
        for session in &sessions {
            requests.push(client.count(&mut world, *session, (sequence, 1), 0));
        }
    }
    let beyond = requests.last().unwrap();
    let answer = client.wait(&mut world, *beyond);
    assert!(is_overloaded(&answer), "{answer:?}");
    let after = group(&mut world, leader, GROUP).unwrap().last;
    assert_eq!(after.since(before), of_group, "nothing more was written");
    hold_others(&mut world, leader, false);
    let answer = client.wait(&mut world, requests[0]);
    assert!(matches!(answer, Told::Done(_)), "{answer:?}");
    let last = *sessions.last().unwrap();
    let request = client.count(&mut world, last, (of_session, 1), 0);
    let answer = client.wait(&mut world, request);
    assert!(matches!(answer, Told::Done(_)), "{answer:?}");
}

/// The cache of the group is full of what others have under way. A command that lets go of more than it may need makes
/// room, so it is let in.
#[test]
fn a_full_group_lets_in_what_makes_room() {
    let (mut world, mut client, session) = led();
    let leader = client.place;
    let limits = Limits::default();
    let largest = u64::from(limits.output_bytes_max) + OUTPUT_OVERHEAD_BYTES;
    let of_session = limits.session_cache_bytes_max / largest;
    // An output is its count and so many bytes.
    let answer_bytes = limits.output_bytes_max - 16;
    for sequence in 1..of_session {
        let request = client.count(&mut world, session, (sequence, 1), answer_bytes);
        let answer = client.wait(&mut world, request);
        assert!(matches!(answer, Told::Done(_)), "{answer:?}");
    }
    let others = limits.group_cache_bytes_max / largest / of_session + 1;
    let others = client.open_many(&mut world, u8::try_from(others + 1).unwrap());
    hold_others(&mut world, leader, true);
    for sequence in 1..=of_session {
        for other in others.iter().filter(|other| !other.is(&session)) {
            client.count(&mut world, *other, (sequence, 1), 0);
        }
    }
    let keeping = client.count(&mut world, session, (of_session, 1), 0);
    let answer = client.wait(&mut world, keeping);
    assert!(is_overloaded(&answer), "{answer:?}");
    let freeing = client.count(&mut world, session, (of_session, of_session), 0);
    world.steps(2);
    assert_eq!(client.answer(&world, freeing), None, "it is under way");
    hold_others(&mut world, leader, false);
    let answer = client.wait(&mut world, freeing);
    assert!(matches!(answer, Told::Done(_)), "{answer:?}");
}

/// A client that says with its next command that it needs none of the outputs before has room at once.
#[test]
fn a_command_that_lets_go_of_outputs_has_their_room() {
    let (mut world, mut client, session) = led();
    let largest = u64::from(Limits::default().output_bytes_max);
    // An output is its count and so many bytes.
    let answer_bytes = u32::try_from(largest).unwrap() - 16;
    let mut sequence = 0;
    let full = loop {
        sequence += 1;
        let request = client.count(&mut world, session, (sequence, 1), answer_bytes);
        match client.wait(&mut world, request) {
            Told::Done(_) => {}
            Told::Refused(refusal) => break refusal,
        }
    };
    assert_eq!(full, Refusal::WindowFull, "at command {sequence}");
    let request = client.count(&mut world, session, (sequence, sequence), answer_bytes);
    let answer = client.wait(&mut world, request);
    assert!(matches!(answer, Told::Done(_)), "{answer:?}");
}

/// The disks of a quorum hang: a leader takes commands as long as those before are young, then nothing more. It goes
/// on when the disks do.
#[test]
fn a_leader_that_is_behind_takes_nothing_that_would_wait_too_long() {
    let (mut world, mut client, session) = led();
    let leader = client.place;
    hold_others(&mut world, leader, true);
    let first = client.count(&mut world, session, (1, 1), 0);
    world.steps(TICKS_PER_PROPOSAL_MAX + 2);
    let second = client.count(&mut world, session, (2, 1), 0);
    let answer = client.wait(&mut world, second);
    assert!(is_overloaded(&answer), "{answer:?}");
    assert_eq!(client.answer(&world, first), None, "it waits");
    let again = client.query(&mut world, QueryLevel::Causal);
    let read = client.wait(&mut world, again);
    assert!(matches!(read, Told::Done(_)), "reading goes on: {read:?}");
    hold_others(&mut world, leader, false);
    client.wait(&mut world, first);
    let second = client.count(&mut world, session, (2, 1), 0);
    let answer = client.wait(&mut world, second);
    assert!(matches!(answer, Told::Done(_)), "{answer:?}");
}

/// A client repeats one command without end while it is under way: so many may wait for it, and no more.
#[test]
fn repeating_without_end_finds_an_end() {
    let (mut world, mut client, session) = led();
    let leader = client.place;
    hold_others(&mut world, leader, true);
    let first = client.count(&mut world, session, (1, 1), 0);
    let mut last = first;
    for _ in 0..=WAITERS_MAX {
        last = client.count(&mut world, session, (1, 1), 0);
    }
    let answer = client.wait(&mut world, last);
    assert!(is_overloaded(&answer), "{answer:?}");
    hold_others(&mut world, leader, false);
    let answer = client.wait(&mut world, first + 1);
    assert!(matches!(answer, Told::Done(_)), "{answer:?}");
}

/// The others have no turns, so that no read can be confirmed; then they have.
#[test]
fn reads_that_wait_are_bounded() {
    let (mut world, mut client, _) = led();
    let leader = client.place;
    let others = (0..3).filter(|place| *place != leader);
    others.for_each(|place| world.node(place).is_paused = true);
    let mut last = 0;
    for _ in 0..=WAITING_READS_MAX {
        last = client.query(&mut world, QueryLevel::Linearizable);
    }
    let answer = client.wait(&mut world, last);
    assert!(is_overloaded(&answer), "{answer:?}");
    let others = (0..3).filter(|place| *place != leader);
    others.for_each(|place| world.node(place).is_paused = false);
    let answer = client.wait(&mut world, last - 1);
    assert!(matches!(answer, Told::Done(_)), "{answer:?}");
}

/// Few reads, but large ones: they are bounded in bytes, too.
#[test]
fn what_waiting_reads_ask_is_bounded_in_bytes() {
    let (mut world, mut client, _) = led();
    let leader = client.place;
    let others = (0..3).filter(|place| *place != leader);
    others.for_each(|place| world.node(place).is_paused = true);
    let payload = vec![0; COMMAND_BYTES_MAX];
    let level = QueryLevel::Linearizable;
    let mut last = 0;
    for _ in 0..=WAITING_READ_BYTES_MAX / payload.len() {
        let question = client.question(level, &payload);
        last = client.ask(&mut world, &question);
    }
    let answer = client.wait(&mut world, last);
    assert!(is_overloaded(&answer), "{answer:?}");
    assert_eq!(client.answer(&world, last - 1), None, "it waits");
    let others = (0..3).filter(|place| *place != leader);
    others.for_each(|place| world.node(place).is_paused = false);
    client.wait(&mut world, last - 1);
    let again = client.query(&mut world, level);
    let answer = client.wait(&mut world, again);
    assert!(matches!(answer, Told::Done(_)), "{answer:?}");
}

/// A client has seen what this node has not, and will not have in time.
#[test]
fn a_read_waits_so_long_and_no_longer() {
    let (mut world, mut client, _) = led();
    let query = Query {
        seen: Index::new(1_000),
        ..client.question(QueryLevel::Causal, &[])
    };
    let request = client.ask(&mut world, &query);
    let ticks = usize::try_from(WAITING_READ_MS / 10).unwrap();
    world.steps(ticks - 10);
    assert_eq!(client.answer(&world, request), None, "it waits");
    world.steps(30);
    assert!(matches!(
        client.answer(&world, request),
        Some(Told::Refused(Refusal::NotReady { .. }))
    ));
}
