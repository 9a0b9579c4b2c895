//! One group as people and programs read it.

use super::super::overview_samples::{ONE, TWO, down, group, keyspace, map, survey, up};
use super::*;
use crate::codes::Exit;

fn leader() -> GroupStatus {
    let mut replica = group(1, ReplicaRole::Leader, 9, 9);
    replica.members[1].match_index = Some(margay_types::Index::new(7));
    replica.members[1].silent_ms = Some(40);
    replica
}

fn report(other: super::super::survey::Seen) -> Report {
    let mut survey = survey(&[0, 1], up(ONE, vec![leader()]), other);
    survey.map.keyspaces.push(keyspace("orders", &[1]));
    Report::new(&survey, GroupId::new(1), &Chains::default())
}

#[test]
fn each_member_shows_what_its_node_says_and_what_the_leader_knows() {
    let report = report(up(TWO, vec![group(1, ReplicaRole::Follower, 7, 6)]));
    assert_eq!(report.summary.leader_address.as_deref(), Some("n1:7400"));
    let [one, two] = &report.members[..] else {
        panic!("{report:?}")
    };
    assert_eq!((one.role, one.match_index), ("leader", Some(9)));
    assert_eq!((two.role, two.match_index), ("follower", Some(7)));
    assert_eq!((two.applied, two.lag_entries), (Some(6), Some(3)));
    assert_eq!(two.silent_ms, Some(40));
    let text = text(&report);
    let words: Vec<&str> = text
        .lines()
        .nth(3)
        .expect("a row")
        .split_whitespace()
        .collect();
    assert_eq!(
        words,
        [
            "2", "2", "n2:7400", "voter", "follower", "1", "7", "7", "7", "6", "0", "40ms", "ago",
            "-"
        ]
    );
}

#[test]
fn a_member_that_does_not_answer_is_told_from_one_that_is_missing() {
    let without = report(up(TWO, Vec::new()));
    assert_eq!(without.members[1].role, "missing");
    assert_eq!(
        without.members[1].match_index,
        Some(7),
        "the leader knows it"
    );
    let gone = report(down());
    assert_eq!(gone.members[1].role, "down");
    assert_eq!(gone.summary.state, "degraded");
    assert!(text(&gone).contains("M141  the node cannot be reached  n2:7400"));
}

#[test]
fn what_is_wrong_with_other_groups_is_not_shown() {
    let report = report(down());
    let groups: Vec<Option<u32>> = report.reasons.iter().map(|it| it.group).collect();
    assert_eq!(
        groups,
        [None],
        "group 0 has no quorum, and is another group"
    );
}

#[test]
fn a_group_that_does_not_exist_is_refused_with_those_that_do() {
    let failure = no_group(GroupId::new(99), &map(&[0, 1]));
    assert_eq!(failure.exit(), Exit::Refused);
    let text = failure.to_string();
    assert!(text.contains("99") && text.contains("0 to 1"), "{text}");
}

#[test]
fn replicas_that_differ_are_told_with_the_code_of_that() {
    let mut report = report(down());
    (report.chains_agree, report.chains_index) = (Some(false), Some(8));
    let text = text(&report);
    assert!(
        text.contains("M202 a replica diverged: effect chains differ at index 8"),
        "{text}"
    );
}
