use super::*;
use crate::stage::*;
use crate::types::Term;
use alloc::vec;

fn ready(read: u64, at: u64) -> Effect {
    Effect::ReadReady {
        read: ReadId(read),
        index: index(at),
    }
}

fn answers(effects: Vec<Effect>) -> Vec<Effect> {
    let is_answer =
        |it: &Effect| matches!(it, Effect::ReadReady { .. } | Effect::ReadRefused { .. });
    effects.into_iter().filter(is_answer).collect()
}

fn question(term: u32, request: u64) -> Message {
    Message::ReadIndex(ReadIndex {
        term: Term::new(term),
        request,
    })
}

fn answer(term: u32, request: u64, index: Option<Index>) -> Message {
    Message::ReadIndexResponse(ReadIndexResponse {
        term: Term::new(term),
        request,
        index,
    })
}

fn read(stage: &mut Stage, read: u64) {
    stage.replica.read(ReadId(read), &mut stage.effects);
}

#[test]
fn a_read_is_confirmed_by_a_round_that_started_after_it() {
    let mut stage = Stage::settled_leader(voters(&[1, 2, 3]), &[1]);
    stage.tick(HEARTBEAT_TICKS);
    read(&mut stage, 1);
    stage.flush();
    stage.confirm(2, Round(1), 2);
    assert_eq!(answers(stage.take()), [], "round 1 started before the read");
    stage.confirm(2, Round(2), 2);
    assert_eq!(answers(stage.take()), [ready(1, 2)]);
}

#[test]
fn reads_that_wait_share_the_next_round() {
    let mut stage = Stage::settled_leader(voters(&[1, 2, 3]), &[1]);
    read(&mut stage, 1);
    stage.flush();
    read(&mut stage, 2);
    read(&mut stage, 3);
    stage.flush();
    stage.confirm(2, Round(1), 2);
    assert_eq!(answers(stage.take()), [ready(1, 2)]);
    stage.flush();
    stage.confirm(3, Round(1), 2);
    stage.confirm(2, Round(1), 2);
    stage.confirm(2, Round(9), 2);
    assert_eq!(
        answers(stage.take()),
        [],
        "late, repeated and invented answers confirm no newer read"
    );
    stage.confirm(3, Round(2), 2);
    assert_eq!(answers(stage.take()), [ready(2, 2), ready(3, 2)]);
}

#[test]
fn a_round_rides_on_an_append_as_well() {
    let mut stage = Stage::settled_leader(voters(&[1, 2, 3]), &[1]);
    read(&mut stage, 1);
    stage.flush();
    let response = crate::message::AppendResponse {
        term: stage.replica.term(),
        outcome: crate::message::AppendOutcome::Accepted { proven: index(2) },
        round: Round(1),
        honoured: crate::types::Ticks::new(ELECTION_TICKS),
        applies: true,
    };
    let invented = crate::message::AppendResponse {
        round: Round(2),
        ..response
    };
    stage.step(2, Message::AppendResponse(invented));
    assert_eq!(answers(stage.take()), [], "no such round was started");
    stage.step(3, Message::AppendResponse(response));
    assert_eq!(answers(stage.take()), [ready(1, 2)]);
}

#[test]
fn no_read_before_an_entry_of_the_own_term_is_committed() {
    let mut stage = Stage::leader(voters(&[1, 2, 3]), &[1]);
    read(&mut stage, 1);
    stage.flush();
    stage.tick(HEARTBEAT_TICKS);
    stage.confirm(2, Round(1), 1);
    stage.confirm(3, Round(1), 1);
    assert_eq!(answers(stage.take()), []);
    stage.prove(2, 2);
    stage.flush();
    stage.confirm(2, Round(2), 2);
    assert_eq!(answers(stage.take()), [ready(1, 2)]);
}

#[test]
fn a_group_of_one_confirms_by_itself() {
    let mut stage = Stage::settled_leader(voters(&[1]), &[1]);
    read(&mut stage, 1);
    stage.flush();
    assert_eq!(answers(stage.take()), [ready(1, 2)]);
}

#[test]
fn a_joint_configuration_confirms_with_both_halves() {
    let mut stage = Stage::settled_leader(voters(&[1, 2, 3]), &[1]);
    let target = crate::Target {
        voters: members(&[1, 4, 5]),
        learners: vec![],
    };
    stage
        .replica
        .change_members(Index::ZERO, target, &mut stage.effects)
        .unwrap();
    read(&mut stage, 1);
    stage.flush();
    stage.take();
    stage.confirm(4, Round(1), 0);
    assert_eq!(answers(stage.take()), []);
    stage.confirm(2, Round(1), 2);
    assert_eq!(answers(stage.take()), [ready(1, 2)]);
}

#[test]
fn reads_are_refused_when_leadership_ends() {
    let mut stage = Stage::settled_leader(voters(&[1, 2, 3]), &[1]);
    read(&mut stage, 1);
    stage.flush();
    read(&mut stage, 2);
    stage.step(3, question(2, 7));
    stage.step(2, heartbeat(3, 0));
    let lost = |it| Effect::ReadRefused {
        read: ReadId(it),
        reason: ReadRefusal::LeadershipLost,
    };
    assert_eq!(answers(stage.take()), [lost(1), lost(2)]);
    stage.write_all();
    assert!(stage.take_sent().contains(&(3, answer(3, 7, None))));
}

#[test]
fn a_follower_asks_its_leader_and_serves_what_it_says() {
    let mut stage = Stage::follower(voters(&[1, 2, 3]), &[1, 1]);
    stage.on_append(2, append(1, position(1, 2), 2, 0), &[]);
    stage.take();
    read(&mut stage, 1);
    assert_eq!(stage.take_sent(), [(2, question(1, 1))]);
    stage.step(3, answer(1, 1, Some(index(9))));
    stage.step(2, answer(1, 8, Some(index(9))));
    assert_eq!(
        answers(stage.take()),
        [],
        "another sender, another question"
    );
    stage.step(2, answer(1, 1, Some(index(5))));
    assert_eq!(
        stage.replica.commit_index(),
        index(2),
        "no further than what is proven"
    );
    assert_eq!(answers(stage.take()), [ready(1, 5)]);
    stage.step(2, answer(1, 1, Some(index(6))));
    assert_eq!(answers(stage.take()), [], "an answer counts once");
}

#[test]
fn a_question_whose_answer_is_lost_is_refused_in_time() {
    let mut stage = Stage::follower(voters(&[1, 2, 3]), &[1]);
    stage.step(2, heartbeat(1, 0));
    read(&mut stage, 1);
    stage.take();
    for _ in 0..2 * ELECTION_TICKS {
        stage.step(2, heartbeat(1, 0));
        stage.tick(1);
    }
    let reason = ReadRefusal::LeadershipLost;
    assert_eq!(
        answers(stage.take()),
        vec![Effect::ReadRefused {
            read: ReadId(1),
            reason
        }]
    );
}

#[test]
fn without_a_leader_a_read_is_refused_at_once() {
    let mut stage = Stage::follower(voters(&[1, 2, 3]), &[1]);
    read(&mut stage, 1);
    let reason = ReadRefusal::NoLeader;
    assert_eq!(
        answers(stage.take()),
        [Effect::ReadRefused {
            read: ReadId(1),
            reason
        }]
    );
    stage.step(3, question(1, 4));
    assert_eq!(stage.take_sent(), [(3, answer(1, 4, None))]);
}

#[test]
fn a_question_of_an_earlier_life_is_not_answered_into_the_next() {
    let mut stage = Stage::settled_leader(voters(&[1, 2, 3]), &[1]);
    stage.step(3, question(2, 1));
    stage.replica.on_new_life(number(3));
    stage.flush();
    stage.confirm(2, Round(1), 2);
    let is_answer = |(_, it): &(u16, Message)| matches!(it, Message::ReadIndexResponse(_));
    assert!(!stage.take_sent().iter().any(is_answer));
}

#[test]
fn more_reads_than_a_leader_keeps_are_refused_whoever_asks() {
    let mut stage = Stage::settled_leader(voters(&[1, 2, 3]), &[1]);
    let most = READS_WAITING_MAX as u64;
    (1..=most).for_each(|number| read(&mut stage, number));
    assert_eq!(answers(stage.take()), []);
    read(&mut stage, most + 1);
    let refused = refused(ReadId(most + 1), ReadRefusal::LeadershipLost);
    assert_eq!(answers(stage.take()), [refused]);
    stage.step(2, question(2, 7));
    assert_eq!(stage.take_sent(), [(2, answer(2, 7, None))]);
}

#[test]
fn more_reads_than_a_follower_keeps_are_refused() {
    let mut stage = Stage::follower(voters(&[1, 2, 3]), &[1, 1]);
    stage.on_append(2, append(1, position(1, 2), 2, 0), &[]);
    let most = READS_WAITING_MAX as u64;
    (1..=most).for_each(|number| read(&mut stage, number));
    assert_eq!(answers(stage.take()), []);
    read(&mut stage, most + 1);
    let refused = refused(ReadId(most + 1), ReadRefusal::LeadershipLost);
    assert_eq!(stage.take(), [refused], "and the leader is not asked");
}
