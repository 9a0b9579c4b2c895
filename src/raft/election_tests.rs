use super::*;
use crate::effects::Role;
use crate::message::AppendOutcome;
use crate::options::Options;
use crate::replica::Restored;
use crate::stage::*;
use crate::types::Index;
use alloc::vec;

fn granted(term: u32) -> Message {
    let response = RequestVoteResponse {
        term: Term::new(term),
        granted: true,
    };
    Message::RequestVoteResponse(response)
}

fn refused(term: u32) -> Message {
    let response = RequestVoteResponse {
        term: Term::new(term),
        granted: false,
    };
    Message::RequestVoteResponse(response)
}

fn pre_vote_response(term: u32, granted: bool) -> Message {
    Message::PreVoteResponse(PreVoteResponse {
        term: Term::new(term),
        granted,
    })
}

fn pre_vote(term: u32, last: crate::Position) -> Message {
    Message::PreVote(PreVote {
        term: Term::new(term),
        last,
    })
}

#[test]
fn a_vote_leaves_only_when_it_is_durable() {
    let mut stage = Stage::follower(voters(&[1, 2, 3]), &[1]);
    stage.step(2, request_vote(2, position(1, 1)));
    assert_eq!(stage.take_sent(), []);
    stage.write_all();
    assert_eq!(stage.take_sent(), [(2, granted(2))]);
}

#[test]
fn one_write_holds_the_new_term_and_the_vote_in_it() {
    let mut stage = Stage::follower(voters(&[1, 2, 3]), &[1]);
    stage.step(2, request_vote(2, position(1, 1)));
    let hard_state = stage.replica.hard_state();
    assert_eq!(hard_state.voted_for, Some(number(2)));
    let saves = stage.take();
    let saves: Vec<_> = saves
        .iter()
        .filter(|it| matches!(it, Effect::SaveHardState { .. }))
        .collect();
    assert_eq!(
        saves,
        [&Effect::SaveHardState {
            write: crate::WriteId(1),
            hard_state
        }]
    );
}

#[test]
fn a_vote_that_waits_for_its_write_does_not_leave_in_a_later_term() {
    let mut stage = Stage::follower(voters(&[1, 2, 3]), &[1]);
    stage.step(2, request_vote(2, position(1, 1)));
    stage.step(3, request_vote(3, position(1, 1)));
    stage.write_all();
    assert_eq!(stage.take_sent(), [(3, granted(3))]);
}

#[test]
fn a_second_candidate_of_the_same_term_gets_no_vote_but_the_first_gets_it_again() {
    let mut stage = Stage::follower(voters(&[1, 2, 3]), &[1]);
    stage.step(2, request_vote(2, position(1, 1)));
    stage.write_all();
    stage.take();
    stage.step(3, request_vote(2, position(1, 9)));
    assert_eq!(stage.take_sent(), [(3, refused(2))]);
    stage.step(2, request_vote(2, position(1, 1)));
    assert_eq!(stage.take_sent(), [(2, granted(2))]);
}

#[test]
fn a_log_that_is_behind_wins_no_vote() {
    let mut stage = Stage::follower(voters(&[1, 2, 3]), &[1, 2, 2]);
    stage.step(2, request_vote(3, position(1, 9)));
    stage.step(3, request_vote(3, position(2, 2)));
    stage.write_all();
    assert_eq!(stage.take_sent(), [(2, refused(3)), (3, refused(3))]);
}

#[test]
fn stepping_down_within_a_term_keeps_the_vote() {
    let mut stage = Stage::candidate(voters(&[1, 2, 3]), &[1]);
    stage.write_all();
    stage.take();
    stage.step(2, heartbeat(2, 0));
    assert_eq!(stage.replica.role(), Role::Follower);
    assert_eq!(stage.replica.hard_state().voted_for, Some(number(1)));
}

#[test]
fn a_candidate_asks_and_counts_its_own_vote_only_when_it_is_durable() {
    let mut stage = Stage::candidate(voters(&[1, 2, 3]), &[1]);
    let votes = stage.take_sent();
    assert!(
        !votes
            .iter()
            .any(|(_, it)| matches!(it, Message::RequestVote(_))),
        "{votes:?}"
    );
    stage.step(2, granted(2));
    assert_eq!(stage.replica.role(), Role::Candidate);
    stage.write_all();
    assert_eq!(stage.replica.role(), Role::Leader);
}

#[test]
fn nothing_is_granted_and_nobody_campaigns_right_after_the_start() {
    let mut stage = Stage::started(voters(&[1, 2, 3]), &[1]);
    stage.tick(ELECTION_TICKS - 1);
    let vote = RequestVote {
        term: Term::new(5),
        last: position(1, 1),
        transfer: true,
    };
    stage.step(2, Message::RequestVote(vote));
    assert_eq!(stage.take_sent(), []);
    assert_eq!(stage.replica.term(), Term::new(1));
    stage.step(2, pre_vote(5, position(1, 1)));
    assert_eq!(stage.take_sent(), [(2, pre_vote_response(1, false))]);
    stage.tick(1);
    stage.replica.election_ticks = 0;
    stage.step(2, Message::RequestVote(vote));
    stage.write_all();
    assert_eq!(stage.take_sent(), [(2, granted(5))]);
}

#[test]
fn a_group_of_one_leads_after_its_first_tick_and_write() {
    let mut stage = Stage::started(voters(&[1]), &[1]);
    stage.tick(1);
    assert_eq!(stage.replica.role(), Role::Candidate);
    stage.tick(100);
    assert_eq!(
        stage.replica.role(),
        Role::Candidate,
        "its vote is not durable yet"
    );
    stage.write_all();
    assert_eq!(stage.replica.role(), Role::Leader);
    assert_eq!(stage.replica.commit_index(), Index::ZERO);
    stage.write_all();
    assert_eq!(stage.replica.commit_index(), index(2));
}

#[test]
fn who_hears_a_leader_grants_nothing_unless_the_leader_asked_for_it() {
    let mut stage = Stage::follower(voters(&[1, 2, 3]), &[1]);
    stage.step(2, heartbeat(1, 0));
    stage.take();
    stage.step(3, request_vote(9, position(1, 9)));
    assert_eq!(stage.take_sent(), []);
    assert_eq!(stage.replica.term(), Term::new(1));
    stage.step(3, pre_vote(9, position(1, 9)));
    assert_eq!(stage.take_sent(), [(3, pre_vote_response(1, false))]);
    let vote = RequestVote {
        term: Term::new(9),
        last: position(1, 9),
        transfer: true,
    };
    stage.step(3, Message::RequestVote(vote));
    stage.write_all();
    assert_eq!(stage.take_sent(), [(3, granted(9))]);
}

#[test]
fn a_leader_is_not_disturbed_by_a_campaign_but_by_an_answer_of_a_greater_term() {
    let mut stage = Stage::settled_leader(voters(&[1, 2, 3]), &[1]);
    stage.step(3, request_vote(9, position(9, 9)));
    stage.step(3, pre_vote(9, position(9, 9)));
    assert!(stage.replica.is_leader());
    stage.step(3, pre_vote_response(9, true));
    assert!(stage.replica.is_leader());
    stage.step(3, refused(9));
    assert_eq!(stage.replica.role(), Role::Follower);
    assert_eq!(stage.replica.term(), Term::new(9));
}

#[test]
fn a_refused_pre_vote_teaches_a_greater_term() {
    let mut stage = Stage::follower(voters(&[1, 2, 3]), &[1]);
    stage.tick(2 * ELECTION_TICKS);
    assert_eq!(stage.replica.role(), Role::PreCandidate);
    stage.step(2, pre_vote_response(5, false));
    assert_eq!(stage.replica.term(), Term::new(5));
    stage.take();
    stage.write_all();
    stage.tick(2 * ELECTION_TICKS);
    let asked = pre_vote(6, position(1, 1));
    assert!(stage.take_sent().contains(&(2, asked)));
}

#[test]
fn a_pre_candidate_changes_no_term() {
    let mut stage = Stage::follower(voters(&[1, 2, 3]), &[1]);
    stage.tick(20 * ELECTION_TICKS);
    assert_eq!(stage.replica.term(), Term::new(1));
    assert_eq!(stage.replica.hard_state().voted_for, None);
}

#[test]
fn a_campaign_lost_ends_and_votes_of_strangers_do_not_count() {
    let mut stage = Stage::candidate(voters(&[1, 2, 3, 4, 5]), &[1]);
    stage.write_all();
    for stranger in [7, 8, 9] {
        stage.step(stranger, granted(2));
    }
    assert_eq!(stage.replica.role(), Role::Candidate);
    for voter in [2, 3, 4] {
        stage.step(voter, refused(2));
    }
    assert_eq!(stage.replica.role(), Role::Follower);
}

#[test]
fn a_vote_of_an_earlier_life_does_not_count_any_more() {
    let mut stage = Stage::candidate(voters(&[1, 2, 3, 4, 5]), &[1]);
    stage.write_all();
    stage.step(2, granted(2));
    stage.replica.on_new_life(number(2));
    stage.step(3, granted(2));
    assert_eq!(stage.replica.role(), Role::Candidate);
    stage.step(4, granted(2));
    assert_eq!(stage.replica.role(), Role::Leader);
}

#[test]
fn a_learner_does_not_campaign() {
    let mut configuration = voters(&[2, 3]);
    configuration.learners = members(&[1]);
    let mut stage = Stage::follower(configuration, &[1]);
    stage.tick(10 * ELECTION_TICKS);
    assert_eq!(stage.replica.role(), Role::Follower);
    assert_eq!(stage.take_sent(), []);
}

#[test]
fn a_leader_that_no_quorum_answers_steps_down_although_it_hears_questions() {
    let mut stage = Stage::settled_leader(voters(&[1, 2, 3]), &[1]);
    for _ in 0..2 * ELECTION_TICKS {
        stage.step(2, pre_vote(3, position(2, 2)));
        stage.tick(1);
    }
    assert_eq!(stage.replica.role(), Role::Follower);
    assert_eq!(stage.replica.term(), Term::new(2));
}

#[test]
fn a_leader_whose_own_disk_hangs_hands_over() {
    let mut stage = Stage::settled_leader(voters(&[1, 2, 3]), &[1]);
    stage.propose();
    stage.flush();
    for member in [2, 3] {
        stage.answer(member, AppendOutcome::Accepted { proven: index(3) });
    }
    assert_eq!(
        stage.replica.commit_index(),
        index(3),
        "followers commit without the leader's disk"
    );
    let mut round = 0;
    while stage.replica.is_leader() {
        stage.take();
        stage.tick(1);
        round += 1;
        if let crate::role::RoleState::Leader(leader) = &stage.replica.role {
            let newest = leader.round;
            stage.confirm(2, newest, 3);
        }
        assert!(
            round <= 2 * ELECTION_TICKS * STALLED_WRITE_ELECTIONS,
            "it still leads"
        );
    }
    let timeout_now = Message::TimeoutNow(TimeoutNow { term: Term::new(2) });
    assert_eq!(stage.take_sent(), vec![(2, timeout_now)]);
    stage.tick(10 * ELECTION_TICKS);
    assert_eq!(
        stage.replica.role(),
        Role::Follower,
        "it campaigned with a disk that hangs"
    );
}

#[test]
fn terms_that_are_used_up_do_not_panic() {
    let mut stage = Stage::follower(voters(&[1, 2, 3]), &[1]);
    stage.step(2, refused(u32::MAX));
    stage.step(2, pre_vote_response(u32::MAX, true));
    stage.write_all();
    stage.tick(10 * ELECTION_TICKS);
    assert_eq!(stage.replica.term(), Term::new(u32::MAX));
}

/// Of a thousand groups that lose their leader together, some would have two candidates, and some of those again.
#[test]
fn two_voters_never_draw_the_same_timeout() {
    for voter_count in [3, 5, 7] {
        let numbers: Vec<u16> = (1..=voter_count).collect();
        let mut drawn: Vec<(u32, u16)> = vec![];
        for number in &numbers {
            let restored = Restored {
                configurations: vec![(Index::ZERO, voters(&numbers))],
                ..Restored::default()
            };
            let seed = u64::from(*number);
            let options = Options::default();
            let number = ReplicaNumber::new(*number);
            let mut replica = Replica::new(number, options, restored, seed);
            for _ in 0..100 {
                replica.restart_election_timer();
                let ticks = replica.election_timeout_ticks;
                let (min, max) = (options.election_ticks_min, options.election_ticks_max);
                assert!((min.number()..max.number()).contains(&ticks), "{ticks}");
                drawn.push((ticks, number.number()));
            }
        }
        drawn.sort_unstable();
        drawn.dedup();
        assert!(drawn.len() > numbers.len(), "nothing is left to chance");
        for pair in drawn.windows(2) {
            assert!(pair[1].0 - pair[0].0 >= 2, "{voter_count} voters: {pair:?}");
        }
    }
}
