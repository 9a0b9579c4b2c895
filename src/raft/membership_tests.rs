use super::*;
use crate::effects::Role;
use crate::stage::*;

fn target(voters: &[u16], learners: &[u16]) -> Target {
    Target {
        voters: members(voters),
        learners: members(learners),
    }
}

fn change(stage: &mut Stage, target: Target) -> Result<Proposed, ChangeError> {
    let expected = stage.replica.configuration_index();
    stage
        .replica
        .change_members(expected, target, &mut stage.effects)
}

#[test]
fn voters_change_through_a_joint_configuration_and_the_leader_ends_it() {
    let mut stage = Stage::settled_leader(voters(&[1, 2, 3]), &[1]);
    let joint = change(&mut stage, target(&[1, 2, 4], &[])).unwrap();
    assert_eq!(joint.position, position(2, 3));
    assert!(
        stage.replica.configuration().is_joint(),
        "in force at append"
    );
    stage.write_all();
    stage.prove(3, 3);
    assert_eq!(
        stage.replica.commit_index(),
        index(2),
        "the incoming half has no majority"
    );
    stage.prove(2, 3);
    assert_eq!(stage.replica.commit_index(), index(3));
    assert_eq!(stage.replica.configuration(), &voters(&[1, 2, 4]));
    assert_eq!(stage.replica.configuration_index(), index(4));
    assert_eq!(
        change(&mut stage, target(&[1], &[])),
        Err(ChangeError::UnderWay)
    );
    stage.write_all();
    stage.prove(2, 4);
    assert_eq!(stage.replica.committed_configuration(), &voters(&[1, 2, 4]));
    assert!(change(&mut stage, target(&[1, 2], &[])).is_ok());
}

#[test]
fn learners_change_without_a_joint_configuration() {
    let mut stage = Stage::settled_leader(voters(&[1, 2, 3]), &[1]);
    change(&mut stage, target(&[1, 2, 3], &[4])).unwrap();
    assert!(!stage.replica.configuration().is_joint());
    assert!(stage.replica.progress().any(|it| it.number == number(4)));
}

#[test]
fn no_change_before_the_first_entry_of_the_term_is_committed() {
    let mut stage = Stage::leader(voters(&[1, 2, 3]), &[1]);
    assert_eq!(
        change(&mut stage, target(&[1, 2], &[])),
        Err(ChangeError::TooEarly)
    );
}

#[test]
fn a_change_is_for_the_configuration_that_the_caller_saw() {
    let mut stage = Stage::settled_leader(voters(&[1, 2, 3]), &[1]);
    let refused = stage
        .replica
        .change_members(index(9), target(&[1], &[]), &mut stage.effects);
    assert_eq!(
        refused,
        Err(ChangeError::Changed {
            configuration: Index::ZERO
        })
    );
}

#[test]
fn members_that_are_no_configuration_are_refused() {
    let mut stage = Stage::settled_leader(voters(&[1, 2, 3]), &[1]);
    assert_eq!(
        change(&mut stage, target(&[1, 2, 3], &[])),
        Err(ChangeError::Unchanged)
    );
    let invalid = |error| Err(ChangeError::Invalid(error));
    assert_eq!(
        change(&mut stage, target(&[], &[1])),
        invalid(ConfigurationError::NoVoters)
    );
    assert_eq!(
        change(&mut stage, target(&[2, 1], &[])),
        invalid(ConfigurationError::Order)
    );
    let mut moved = target(&[1, 2, 3], &[]);
    moved.voters[2].node = crate::types::NodeId::new(77);
    assert_eq!(
        change(&mut stage, moved),
        invalid(ConfigurationError::Contradiction)
    );
}

#[test]
fn a_leader_outside_steps_down_only_when_that_is_committed() {
    let mut stage = Stage::settled_leader(voters(&[1, 2, 3]), &[1]);
    change(&mut stage, target(&[2, 3], &[])).unwrap();
    stage.write_all();
    stage.prove(2, 3);
    assert_eq!(
        stage.replica.commit_index(),
        index(2),
        "2 alone is no majority of 2 and 3"
    );
    stage.prove(3, 3);
    assert_eq!(stage.replica.configuration(), &voters(&[2, 3]));
    assert!(stage.replica.is_leader());
    stage.write_all();
    stage.prove(2, 4);
    assert!(stage.replica.is_leader());
    stage.take();
    stage.prove(3, 4);
    assert_eq!(stage.replica.role(), Role::Follower);
    let sent = stage.take_sent();
    assert!(
        matches!(sent.as_slice(), [(2, crate::Message::TimeoutNow(_))]),
        "{sent:?}"
    );
    stage.tick(10 * ELECTION_TICKS);
    assert_eq!(
        stage.replica.role(),
        Role::Follower,
        "a removed replica does not campaign"
    );
}

#[test]
fn a_removal_that_is_not_committed_does_not_silence_its_replica() {
    let mut stage = Stage::settled_leader(voters(&[1, 2, 3]), &[1]);
    change(&mut stage, target(&[2], &[])).unwrap();
    stage.write_all();
    stage.prove(2, 3);
    assert_eq!(stage.replica.configuration(), &voters(&[2]));
    stage
        .replica
        .become_follower(stage.replica.term(), &mut stage.effects);
    stage.tick(2 * ELECTION_TICKS);
    assert_eq!(stage.replica.role(), Role::PreCandidate);
}
