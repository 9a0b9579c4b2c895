//! How a group is, by what its members' nodes say.

use super::super::overview_samples::{ONE, TWO, down, group, keyspace, map, survey, up};
use super::super::survey::Seen;
use super::*;

fn state(one: Seen, two: Seen) -> GroupState {
    let survey = survey(&[1], one, two);
    let groups = GroupOverview::all(&survey);
    groups[0].state
}

fn replica(role: ReplicaRole) -> Vec<GroupStatus> {
    vec![group(1, role, 5, 5)]
}

#[test]
fn a_group_is_led_by_whoever_says_so_of_itself_in_the_greatest_term() {
    let old = GroupStatus {
        term: Term::new(3),
        ..group(1, ReplicaRole::Leader, 5, 5)
    };
    let new = GroupStatus {
        term: Term::new(4),
        ..group(1, ReplicaRole::Leader, 6, 5)
    };
    let survey = survey(&[1], up(ONE, vec![old]), up(TWO, vec![new]));
    let groups = GroupOverview::all(&survey);
    assert_eq!(groups[0].leader, Some(TWO));
    assert_eq!(groups[0].term, Term::new(4));
    assert_eq!(groups[0].commit, Index::new(6));
    assert_eq!(groups[0].members[0].lag_entries, Some(1));
}

#[test]
fn the_state_tells_apart_who_is_missing_and_whether_that_matters() {
    let leader = || up(ONE, replica(ReplicaRole::Leader));
    let follower = |node| up(node, replica(ReplicaRole::Follower));
    assert_eq!(state(leader(), follower(TWO)), GroupState::Ok);
    assert_eq!(state(leader(), down()), GroupState::Degraded);
    assert_eq!(state(leader(), up(TWO, Vec::new())), GroupState::Degraded);
    assert_eq!(state(follower(ONE), follower(TWO)), GroupState::NotLed);
    assert_eq!(state(follower(ONE), down()), GroupState::NoQuorum);
    assert_eq!(state(down(), down()), GroupState::NoQuorum);
    let stopped = GroupStatus {
        stopped: Some("panicked".to_owned()),
        ..group(1, ReplicaRole::Inactive, 5, 5)
    };
    assert_eq!(state(leader(), up(TWO, vec![stopped])), GroupState::Stopped);
}

#[test]
fn a_group_of_which_nobody_tells_anything_has_the_members_of_the_map() {
    let survey = survey(&[1], down(), down());
    let groups = GroupOverview::all(&survey);
    let members: Vec<NodeId> = groups[0].members.iter().map(|it| it.node).collect();
    assert_eq!(members, map(&[1]).groups[0].members);
    assert_eq!((groups[0].quorum(), groups[0].leader), (2, None));
}

#[test]
fn a_passive_member_is_no_voter() {
    let mut replica = group(1, ReplicaRole::Leader, 5, 5);
    replica.members[1].member_type = MemberType::Passive;
    let survey = survey(&[1], up(ONE, vec![replica]), down());
    let groups = GroupOverview::all(&survey);
    assert_eq!((groups[0].voters().count(), groups[0].quorum()), (1, 1));
    assert_eq!(groups[0].state, GroupState::Degraded);
}

#[test]
fn keyspace_and_machine_are_those_of_the_map() {
    let mut survey = survey(&[0, 1], down(), down());
    survey.map.keyspaces.push(keyspace("orders", &[1]));
    let groups = GroupOverview::all(&survey);
    assert_eq!((groups[0].keyspace, groups[0].machine), ("", "system"));
    assert_eq!((groups[1].keyspace, groups[1].machine), ("orders", "map"));
}
