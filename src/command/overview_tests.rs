//! What the whole shows that no node knows alone.

use super::super::overview_samples::{ONE, TWO, down, group, survey, up};
use super::super::survey::Seen;
use super::*;
use margay_types::ShardId;
use margay_wire::admin::{GroupStatus, HealthReason, ReplicaRole};

#[test]
fn a_group_that_no_replica_leads_is_named_whatever_hints_say() {
    let one = up(
        ONE,
        vec![
            group(0, ReplicaRole::Leader, 5, 5),
            group(1, ReplicaRole::Follower, 2, 2),
        ],
    );
    let overview = Overview::new(&survey(&[0, 1], one, down()));
    assert_eq!(overview.groups.without_leader, [1]);
    assert_eq!(overview.groups.without_quorum, [1]);
    assert_eq!(overview.nodes[1].state, "down");
    assert!(!overview.is_healthy());
    let [of_node, of_group] = &overview.health[..] else {
        panic!("{:?}", overview.health)
    };
    assert_eq!(
        (of_node.code, of_node.node.as_deref()),
        (141, Some("n2:7400"))
    );
    assert_eq!(
        of_node.text,
        "the node cannot be reached: connection refused"
    );
    assert_eq!((of_group.code, of_group.group), (305, Some(1)));
}

#[test]
fn lag_is_measured_against_the_greatest_commit_that_anyone_knows() {
    let one = up(ONE, vec![group(0, ReplicaRole::Leader, 100, 100)]);
    let two = up(TWO, vec![group(0, ReplicaRole::Follower, 60, 40)]);
    let overview = Overview::new(&survey(&[0], one, two));
    assert_eq!(overview.nodes[0].lag_entries, 0);
    assert_eq!(overview.nodes[1].lag_entries, 60);
    assert_eq!(overview.nodes[0].role, "voter");
    assert!(overview.is_healthy(), "to be behind is no fault");
}

#[test]
fn a_stopped_machine_is_named_once() {
    let stopped = || GroupStatus {
        stopped: Some("panicked".to_owned()),
        ..group(3, ReplicaRole::Leader, 1, 1)
    };
    let survey = survey(&[3], up(ONE, vec![stopped()]), up(TWO, vec![stopped()]));
    assert_eq!(Overview::new(&survey).groups.stopped, [3]);
}

#[test]
fn what_a_node_says_is_wrong_with_it_stands_in_the_health_of_the_whole() {
    let Seen::Up(mut status) = up(ONE, vec![group(0, ReplicaRole::Leader, 1, 1)]) else {
        unreachable!("it is up")
    };
    status.health.push(HealthReason {
        code: 212,
        since_ms: 41_000,
        shard: Some(ShardId::new(3)),
        group: None,
        text: "O_DSYNC p99 4.2 s".to_owned(),
    });
    let two = up(TWO, vec![group(0, ReplicaRole::Follower, 1, 1)]);
    let overview = Overview::new(&survey(&[0], Seen::Up(status), two));
    assert_eq!(overview.nodes[0].state, "unwell");
    let object = serde_json::to_value(&overview.health[0]).expect("it is JSON");
    assert_eq!(object["code"], 212);
    assert_eq!(object["node"], "n1:7400");
    assert_eq!(object["since_ms"], 41_000);
    assert_eq!(object["shard"], 3);
    assert_eq!(object["text"], "O_DSYNC p99 4.2 s");
}
