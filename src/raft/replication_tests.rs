use super::*;
use crate::effects::Role;
use crate::message::AppendOutcome;
use crate::progress::MemberProgress;
use crate::replica::ProposeError;
use crate::stage::*;
use crate::types::Term;
use alloc::vec;

fn progress_of(stage: &Stage, member: u16) -> MemberProgress {
    stage
        .replica
        .progress()
        .find(|it| it.number == number(member))
        .unwrap()
}

/// Previous, last and whether it may be shortened, of the appends to member 2.
fn ranges_to_2(stage: &mut Stage) -> Vec<(u64, u64, bool)> {
    stage.flush();
    let appends = stage.take_appends().into_iter().filter(|(to, _)| *to == 2);
    appends
        .map(|(_, it)| (it.previous.index.number(), it.last.number(), it.may_shorten))
        .collect()
}

#[test]
fn a_leader_starts_with_a_no_op_and_asks_each_member_where_logs_agree() {
    let mut stage = Stage::candidate(voters(&[1, 2, 3]), &[1, 1]);
    stage.write_all();
    stage.take();
    let vote = crate::message::RequestVoteResponse {
        term: Term::new(2),
        granted: true,
    };
    stage.step(2, Message::RequestVoteResponse(vote));
    let no_op = Effect::StoreOwn {
        write: crate::WriteId(2),
        position: position(2, 3),
        kind: EntryKind::NoOp,
        payload: vec![],
    };
    assert!(stage.take().contains(&no_op));
    stage.flush();
    let appends = stage.take_appends();
    assert_eq!(appends.len(), 2);
    assert!(
        appends
            .iter()
            .all(|(_, it)| it.previous == position(1, 2) && it.last == index(3))
    );
}

#[test]
fn the_own_disk_is_one_vote_and_followers_may_commit_first() {
    let mut stage = Stage::settled_leader(voters(&[1, 2, 3]), &[1]);
    let write = stage.propose();
    stage.flush();
    stage.prove(2, 3);
    assert_eq!(
        stage.replica.commit_index(),
        index(2),
        "one follower is no quorum"
    );
    stage.prove(3, 3);
    assert_eq!(stage.replica.commit_index(), index(3));
    assert_eq!(stage.replica.durable_index(), index(2));
    stage.propose();
    stage.flush();
    stage.prove(2, 4);
    stage.written(write);
    assert_eq!(
        stage.replica.commit_index(),
        index(3),
        "the write of entry 4 did not return"
    );
    stage.write_all();
    assert_eq!(stage.replica.commit_index(), index(4));
}

#[test]
fn entries_of_earlier_terms_commit_only_with_one_of_the_own_term() {
    let mut stage = Stage::leader(voters(&[1, 2, 3, 4, 5]), &[1, 2]);
    for member in [2, 3] {
        stage.prove(member, 2);
    }
    assert_eq!(
        stage.replica.commit_index(),
        Index::ZERO,
        "figure 3.7 of the thesis"
    );
    for member in [2, 3] {
        stage.prove(member, 3);
    }
    assert_eq!(stage.replica.commit_index(), index(3));
}

#[test]
fn a_joint_configuration_commits_with_both_halves() {
    let mut joint = voters(&[1, 4, 5]);
    joint.outgoing_voters = members(&[1, 2, 3]);
    let mut stage = Stage::leader(joint, &[1]);
    stage.prove(4, 2);
    stage.prove(5, 2);
    assert_eq!(stage.replica.commit_index(), Index::ZERO);
    stage.prove(3, 2);
    assert_eq!(stage.replica.commit_index(), index(2));
}

#[test]
fn appends_leave_in_requests_of_bounded_size_up_to_the_window() {
    let mut stage = Stage::settled_leader(voters(&[1, 2, 3]), &[1]);
    stage.replica.options.window.messages_max = 2;
    for _ in 0..4 {
        stage.propose();
    }
    // 40 bytes each, 100 in a request.
    assert_eq!(ranges_to_2(&mut stage), [(2, 4, false), (4, 6, false)]);
    stage.propose();
    assert_eq!(ranges_to_2(&mut stage), [], "two requests are under way");
    stage.prove(2, 4);
    assert_eq!(ranges_to_2(&mut stage), [(6, 7, false)]);
}

#[test]
fn a_commit_alone_sends_nothing() {
    let mut stage = Stage::settled_leader(voters(&[1, 2, 3]), &[1]);
    stage.propose();
    stage.flush();
    stage.write_all();
    stage.take();
    stage.prove(2, 3);
    stage.flush();
    assert_eq!(stage.take(), [Effect::Commit { index: index(3) }]);
}

#[test]
fn entries_of_unknown_size_go_one_request_at_a_time_and_the_answer_says_how_far() {
    let mut stage = Stage::leader(voters(&[1, 2, 3]), &[1, 1, 1, 1, 1, 1]);
    let refused = AppendOutcome::Refused {
        previous: index(6),
        hint: position(1, 1),
    };
    stage.take();
    stage.answer(2, refused);
    assert_eq!(ranges_to_2(&mut stage), [(1, 7, true)]);
    stage.propose();
    assert_eq!(ranges_to_2(&mut stage), []);
    stage.prove(2, 3);
    assert_eq!(ranges_to_2(&mut stage), [(3, 8, true)]);
    stage.prove(2, 6);
    assert_eq!(ranges_to_2(&mut stage), [(6, 8, false)]);
}

#[test]
fn conflicts_skip_whole_terms() {
    let mut stage = Stage::leader(voters(&[1, 2, 3]), &[1, 1, 4, 4, 4]);
    stage.take();
    let refused = AppendOutcome::Refused {
        previous: index(5),
        hint: position(3, 5),
    };
    stage.answer(2, refused);
    stage.flush();
    let appends = stage.take_appends();
    assert_eq!(appends[0].1.previous, position(1, 2));
}

#[test]
fn a_member_that_needs_what_is_gone_waits_for_its_refill() {
    let mut stage = Stage::settled_leader(voters(&[1, 2, 3]), &[1, 1, 1]);
    stage.replica.on_log_floor(position(1, 3));
    stage.replica.on_new_life(number(2));
    let refused = AppendOutcome::Refused {
        previous: index(4),
        hint: Position::ZERO,
    };
    assert_eq!(ranges_to_2(&mut stage), [(4, 4, false)]);
    stage.answer(2, refused);
    assert_eq!(ranges_to_2(&mut stage), []);
    assert_eq!(progress_of(&stage, 2).way, Way::Stream);
    stage.confirm(2, Round(0), 3);
    assert_eq!(ranges_to_2(&mut stage), [(3, 4, false)]);
}

#[test]
fn a_lost_append_is_sent_again() {
    let mut stage = Stage::settled_leader(voters(&[1, 2, 3]), &[1]);
    stage.propose();
    assert_eq!(ranges_to_2(&mut stage), [(2, 3, false)]);
    stage.tick(LOSS_HEARTBEATS * HEARTBEAT_TICKS);
    stage.confirm(2, Round(1), 2);
    assert_eq!(ranges_to_2(&mut stage), [(2, 3, false)]);
}

#[test]
fn a_lost_answer_is_asked_for_again_without_the_entries() {
    let mut stage = Stage::settled_leader(voters(&[1, 2, 3]), &[1]);
    stage.propose();
    assert_eq!(ranges_to_2(&mut stage), [(2, 3, false)]);
    stage.tick(LOSS_HEARTBEATS * HEARTBEAT_TICKS);
    stage.confirm(2, Round(1), 3);
    assert_eq!(ranges_to_2(&mut stage), [(3, 3, false)]);
    stage.prove(2, 3);
    assert_eq!(progress_of(&stage, 2).way, Way::Replicate);
}

#[test]
fn an_absent_member_is_probed_at_heartbeat_pace_without_entries() {
    let mut stage = Stage::settled_leader(voters(&[1, 2, 3]), &[1]);
    stage.replica.on_new_life(number(2));
    let mut probes = vec![];
    for _ in 0..3 * ELECTION_TICKS {
        let round = match &stage.replica.role {
            RoleState::Leader(leader) => leader.round,
            RoleState::Follower(_) | RoleState::PreCandidate(_) | RoleState::Candidate(_) => {
                unreachable!("member 3 answers")
            }
        };
        stage.confirm(3, round, 2);
        stage.tick(1);
        stage.propose();
        probes.extend(ranges_to_2(&mut stage));
    }
    assert!(
        probes.len() <= (3 * ELECTION_TICKS / HEARTBEAT_TICKS) as usize + 1,
        "{probes:?}"
    );
    assert_eq!(probes.last(), Some(&(2, 2, false)));
}

#[test]
fn a_heartbeat_goes_to_every_member_at_its_pace_with_a_new_round() {
    let mut stage = Stage::settled_leader(voters(&[1, 2, 3]), &[1]);
    stage.tick(2 * HEARTBEAT_TICKS);
    let sent = stage.take_sent();
    let rounds_to = |member: u16| -> Vec<u64> {
        let round = |sent: &(u16, Message)| match sent {
            (to, Message::Heartbeat(it)) if *to == member => Some(it.round.0),
            (_, _) => None,
        };
        sent.iter().filter_map(round).collect()
    };
    assert_eq!(rounds_to(2), [1, 2]);
    assert_eq!(rounds_to(3), [1, 2]);
}

#[test]
fn what_is_durable_everywhere_is_stable_and_never_goes_back() {
    let mut configuration = voters(&[1, 2]);
    configuration.learners = members(&[3]);
    let mut stage = Stage::leader(configuration, &[1]);
    stage.prove(2, 2);
    assert_eq!(stage.replica.commit_index(), index(2));
    assert_eq!(stage.replica.stable_index(), Index::ZERO, "learners count");
    stage.prove(3, 1);
    assert_eq!(stage.replica.stable_index(), index(1));
    stage.replica.on_new_life(number(3));
    stage.prove(2, 2);
    assert_eq!(stage.replica.stable_index(), index(1));
}

#[test]
fn answers_that_no_member_can_give_change_nothing() {
    let mut stage = Stage::settled_leader(voters(&[1, 2, 3]), &[1]);
    stage.propose();
    stage.flush();
    let before = progress_of(&stage, 2);
    stage.prove(2, 99);
    stage.prove(9, 3);
    stage.confirm(2, Round(99), 3);
    let absurd = Index::new(u64::MAX);
    stage.answer(2, AppendOutcome::Accepted { proven: absurd });
    stage.confirm(2, Round(0), u64::MAX);
    assert_eq!(progress_of(&stage, 2), before);
    let hint = Position {
        term: Term::new(u32::MAX),
        index: absurd,
    };
    stage.answer(
        2,
        AppendOutcome::Refused {
            previous: absurd,
            hint,
        },
    );
    stage.answer(
        2,
        AppendOutcome::Refused {
            previous: absurd,
            hint,
        },
    );
    assert_eq!(stage.replica.role(), Role::Leader);
}

#[test]
fn who_does_not_lead_takes_no_proposal_and_says_who_does() {
    let mut stage = Stage::follower(voters(&[1, 2, 3]), &[1]);
    let refusal = |leader| Err(ProposeError::NotLeader { leader });
    assert_eq!(
        stage.replica.propose(EntryKind::CommandPlain, 1),
        refusal(None)
    );
    stage.step(2, heartbeat(1, 0));
    assert_eq!(
        stage.replica.propose(EntryKind::CommandPlain, 1),
        refusal(Some(number(2)))
    );
}
