//! What is wrong with small clusters, and how it reads.

use super::super::overview_samples::{ONE, TWO, down, group, survey, up};
use super::*;
use margay_wire::admin::{GroupStatus, ReplicaRole};

fn found(survey: &Survey) -> Vec<Reason> {
    reasons(survey, &GroupOverview::all(survey))
}

#[test]
fn a_group_without_a_quorum_names_who_is_there_and_who_is_missing() {
    let one = up(ONE, vec![group(1, ReplicaRole::Candidate, 5, 5)]);
    let reasons = found(&survey(&[1], one, down()));
    let [_, reason] = &reasons[..] else {
        panic!("{reasons:?}")
    };
    assert_eq!(
        (reason.code, reason.group, &reason.node),
        (305, Some(1), &None)
    );
    assert_eq!(
        reason.text,
        "needs 2 of 2 voters, has n1:7400 only; missing: n2:7400"
    );
}

#[test]
fn a_group_whose_voters_answer_and_do_not_elect_is_told_apart() {
    let follower = |node| up(node, vec![group(1, ReplicaRole::Follower, 5, 5)]);
    let reasons = found(&survey(&[1], follower(ONE), follower(TWO)));
    let [reason] = &reasons[..] else {
        panic!("{reasons:?}")
    };
    assert_eq!((reason.code, reason.group), (304, Some(1)));
    assert!(
        reason.text.starts_with("2 of 2 voters answer"),
        "{}",
        reason.text
    );
}

/// Look at the count: one line for two nodes, however many groups they share.
#[test]
fn a_member_that_its_leader_does_not_hear_is_named_once_for_all_groups() {
    let leader = |number, silent_ms| {
        let mut replica = group(number, ReplicaRole::Leader, 5, 5);
        replica.members[1].silent_ms = Some(silent_ms);
        replica
    };
    let followers = [1, 2, 3].map(|number| group(number, ReplicaRole::Follower, 5, 5));
    let leaders: Vec<GroupStatus> = vec![leader(1, 7_000), leader(2, 9_000), leader(3, 60)];
    let reasons = found(&survey(
        &[1, 2, 3],
        up(ONE, leaders),
        up(TWO, followers.to_vec()),
    ));
    let [reason] = &reasons[..] else {
        panic!("{reasons:?}")
    };
    assert_eq!((reason.code, reason.since_ms), (407, Some(9_000)));
    assert_eq!(reason.node.as_deref(), Some("n1:7400"));
    assert!(
        reason.text.contains("leads 2 groups of which n2:7400"),
        "{}",
        reason.text
    );
}

#[test]
fn a_member_whose_node_is_down_is_named_by_its_node_alone() {
    let mut replica = group(1, ReplicaRole::Leader, 5, 5);
    replica.members[1].silent_ms = Some(60_000);
    let reasons = found(&survey(&[1], up(ONE, vec![replica]), down()));
    let codes: Vec<u16> = reasons.iter().map(|reason| reason.code).collect();
    assert_eq!(codes, [141]);
}

#[test]
fn reasons_that_differ_in_their_group_only_are_one_row() {
    let reason = |group, text: &str| Reason {
        group,
        ..Reason::new(Code::NoQuorum, text.to_owned())
    };
    let mut reasons: Vec<Reason> = (1..=10).map(|group| reason(Some(group), "a")).collect();
    reasons.push(reason(Some(11), "b"));
    reasons.push(reason(None, "a"));
    let rows = rows(&reasons);
    assert_eq!(
        rows[0],
        [
            "M305",
            "a group has no quorum",
            "groups 1 2 3 4 5 6 7 8 and 2 more",
            "a"
        ]
    );
    assert_eq!(rows[1][2..], ["group 11", "b"]);
    assert_eq!(rows[2][2..], ["", "a"]);
}

#[test]
fn a_row_says_where_and_for_how_long_and_not_the_title_twice() {
    let reason = Reason {
        node: Some("n2:7400".to_owned()),
        shard: Some(3),
        since_ms: Some(41_700),
        ..Reason::new(
            Code::Unreachable,
            format!("{}: so", Code::Unreachable.title()),
        )
    };
    let unknown = Reason {
        code: 999,
        ..reason.clone()
    };
    assert_eq!(
        rows(&[reason])[0],
        [
            "M141",
            "the node cannot be reached",
            "n2:7400 shard 3",
            "so, for 41s"
        ]
    );
    assert_eq!(rows(&[unknown])[0][1], "", "a code of a later version");
}

#[test]
fn a_time_is_read_in_the_units_that_matter() {
    for (milliseconds, text) in [(0, "0ms"), (999, "999ms"), (61_700, "1m 1s")] {
        assert_eq!(time(milliseconds), text);
    }
}
