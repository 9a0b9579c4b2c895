use super::*;
use crate::effects::Role;
use crate::entry::EntryKind;
use crate::membership::{ChangeError, Target};
use crate::replica::ProposeError;
use crate::stage::*;
use crate::types::{Index, Term};

fn timeout_now(term: u32) -> Message {
    Message::TimeoutNow(TimeoutNow {
        term: Term::new(term),
    })
}

fn transfer(stage: &mut Stage, to: u16) -> Result<(), TransferError> {
    stage.replica.transfer(number(to), &mut stage.effects)
}

#[test]
fn the_transferee_is_caught_up_before_it_is_asked() {
    let mut stage = Stage::settled_leader(voters(&[1, 2, 3]), &[1]);
    stage.propose();
    stage.flush();
    stage.take();
    transfer(&mut stage, 2).unwrap();
    stage.prove(3, 3);
    assert_eq!(stage.take_sent(), []);
    stage.prove(2, 3);
    assert_eq!(stage.take_sent(), [(2, timeout_now(2))]);
    stage.prove(2, 3);
    assert_eq!(stage.take_sent(), [], "it is asked once");
}

#[test]
fn nothing_is_proposed_meanwhile_and_everything_again_after_an_election_timeout() {
    let mut stage = Stage::settled_leader(voters(&[1, 2, 3]), &[1]);
    transfer(&mut stage, 2).unwrap();
    let refused = stage.replica.propose(EntryKind::CommandPlain, 40);
    assert_eq!(refused, Err(ProposeError::Transferring));
    let refused = stage
        .replica
        .change_members(Index::ZERO, Target::default(), &mut stage.effects);
    assert_eq!(refused, Err(ChangeError::Transferring));
    assert_eq!(transfer(&mut stage, 3), Err(TransferError::UnderWay));
    for round in 1.. {
        if !stage.replica.is_transferring() {
            break;
        }
        stage.tick(1);
        stage.confirm(3, crate::Round(round / u64::from(HEARTBEAT_TICKS)), 2);
        assert!(
            round <= u64::from(ELECTION_TICKS),
            "the transfer does not end"
        );
    }
    stage.propose();
}

#[test]
fn only_voters_are_handed_leadership() {
    let mut configuration = voters(&[1, 2]);
    configuration.learners = members(&[3]);
    let mut stage = Stage::settled_leader(configuration, &[1]);
    assert_eq!(transfer(&mut stage, 3), Err(TransferError::NotVoter));
    assert_eq!(transfer(&mut stage, 9), Err(TransferError::NotVoter));
    assert_eq!(transfer(&mut stage, 1), Err(TransferError::Leads));
    let mut follower = Stage::follower(voters(&[1, 2]), &[1]);
    assert_eq!(
        transfer(&mut follower, 2),
        Err(TransferError::NotLeader { leader: None })
    );
}

#[test]
fn who_is_asked_by_its_leader_campaigns_at_once_and_says_so() {
    let mut stage = Stage::follower(voters(&[1, 2, 3]), &[1]);
    stage.step(3, timeout_now(1));
    assert_eq!(stage.replica.role(), Role::Follower, "nobody leads");
    stage.step(2, heartbeat(1, 0));
    stage.step(3, timeout_now(1));
    assert_eq!(stage.replica.role(), Role::Follower, "3 does not lead");
    stage.step(2, timeout_now(1));
    assert_eq!(stage.replica.role(), Role::Candidate);
    stage.take();
    stage.write_all();
    let sent = stage.take_sent();
    assert!(
        matches!(sent.as_slice(), [(2, Message::RequestVote(it)), (3, _)] if it.transfer),
        "{sent:?}"
    );
}

#[test]
fn who_has_just_started_does_not_campaign_even_when_asked() {
    let mut stage = Stage::started(voters(&[1, 2, 3]), &[1]);
    stage.step(2, heartbeat(1, 0));
    stage.step(2, timeout_now(1));
    assert_eq!(stage.replica.role(), Role::Follower);
}
