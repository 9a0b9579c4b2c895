use super::*;
use crate::effects::{ReadId, Role};
use crate::message::Message;
use crate::stage::{
    ELECTION_TICKS, HEARTBEAT_TICKS, Stage, heartbeat, members, number, request_vote, voters,
};
use alloc::format;
use alloc::vec;
use margay_types::Random;

/// Replicas in every role, with everything under way that counts ticks.
fn stages() -> Vec<Stage> {
    let mut heard = Stage::follower(voters(&[1, 2, 3]), &[1]);
    heard.step(2, heartbeat(1, 0));
    let mut reading = Stage::follower(voters(&[1, 2, 3]), &[1]);
    reading.step(2, heartbeat(1, 0));
    reading.replica.read(ReadId(1), &mut reading.effects);
    let mut learner = voters(&[2, 3]);
    learner.learners = members(&[1]);
    let mut transferring = Stage::settled_leader(voters(&[1, 2, 3]), &[1]);
    transferring
        .replica
        .transfer(number(2), &mut transferring.effects)
        .unwrap();
    let mut waiting = Stage::settled_leader(voters(&[1, 2, 3]), &[1]);
    waiting.propose();
    waiting.flush();
    vec![
        Stage::started(voters(&[1, 2, 3]), &[]),
        Stage::started(voters(&[1]), &[1]),
        Stage::started(learner, &[1]),
        heard,
        reading,
        Stage::candidate(voters(&[1, 2, 3]), &[1]),
        Stage::leader(voters(&[1, 2, 3]), &[1]),
        Stage::settled_leader(voters(&[1, 2, 3, 4, 5]), &[1]),
        transferring,
        waiting,
    ]
}

#[test]
fn many_ticks_at_once_are_the_same_as_one_by_one() {
    for seed in 0..20 {
        let mut random = Random::new(seed);
        for (at, mut stage) in stages().into_iter().enumerate() {
            stage.take();
            let mut other = stage.replica.clone();
            let mut effects = vec![];
            for _ in 0..40 {
                let ticks = random.between(0, 2 * ELECTION_TICKS);
                stage.tick(ticks);
                other.advance(ticks, &mut effects);
                assert_eq!(stage.effects, effects, "stage {at}, seed {seed}");
                assert_eq!(
                    format!("{:?}", stage.replica),
                    format!("{other:?}"),
                    "stage {at}, seed {seed}"
                );
            }
        }
    }
}

#[test]
fn a_tick_that_is_not_due_only_counts() {
    for (at, mut stage) in stages().into_iter().enumerate() {
        for _ in 0..30 * ELECTION_TICKS {
            let quiet = stage.replica.ticks_until_due() - 1;
            let role = stage.replica.role();
            stage.take();
            stage.tick(quiet);
            assert_eq!(stage.effects, [], "stage {at}, {role:?}");
            assert_eq!(stage.replica.role(), role, "stage {at}");
            stage.tick(1);
        }
    }
}

#[test]
fn an_idle_leader_is_due_at_its_next_heartbeat() {
    let mut stage = Stage::settled_leader(voters(&[1, 2, 3]), &[1]);
    let left = stage.replica.ticks_until_due();
    assert!(left <= HEARTBEAT_TICKS);
    stage.tick(left);
    assert_eq!(stage.take_sent().len(), 2);
    assert_eq!(stage.replica.ticks_until_due(), HEARTBEAT_TICKS);
}

#[test]
fn a_follower_that_hears_its_leader_is_due_an_election_timeout_later() {
    let mut stage = Stage::follower(voters(&[1, 2, 3]), &[1]);
    stage.tick(3);
    stage.step(2, heartbeat(1, 0));
    assert!(stage.replica.ticks_until_due() >= ELECTION_TICKS);
}

/// Look at the rounds: an early heartbeat is one like any other, and the next is due an interval later.
#[test]
fn an_early_heartbeat_takes_the_place_of_the_next() {
    let mut stage = Stage::settled_leader(voters(&[1, 2, 3]), &[1]);
    let left = stage.replica.ticks_until_due();
    stage.tick(left);
    stage.take();
    stage.replica.beat(&mut stage.effects);
    assert_eq!(stage.take(), [], "it has just sent one");
    stage.tick(1);
    stage.replica.beat(&mut stage.effects);
    let sent = stage.take_sent();
    assert!(matches!(
        sent[..],
        [(2, Message::Heartbeat(_)), (3, Message::Heartbeat(_))]
    ));
    assert_eq!(stage.replica.ticks_until_due(), HEARTBEAT_TICKS);
}

#[test]
fn who_does_not_lead_sends_no_early_heartbeat() {
    let mut stage = Stage::follower(voters(&[1, 2, 3]), &[1]);
    stage.step(2, request_vote(2, stage.replica.last_position()));
    stage.take();
    stage.replica.beat(&mut stage.effects);
    assert_eq!(stage.take(), []);
    assert_eq!(stage.replica.role(), Role::Follower);
}
