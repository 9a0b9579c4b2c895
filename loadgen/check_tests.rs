//! Every rule, broken once.

use super::*;
use margay_machine::Encode;
use std::time::Duration;

const GROUP: GroupId = GroupId::new(3);

fn place(sequence: u64, index: u64) -> Place {
    Place {
        group: GROUP,
        session: SessionId::new(5),
        sequence: SequenceNumber::new(sequence),
        index: Index::new(index),
    }
}

fn output(count: u64, hash: u64, total: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    Appended {
        count: count.into(),
        hash: hash.into(),
        total: total.into(),
    }
    .encode(&mut bytes);
    bytes
}

fn chain(payloads: &[&[u8]]) -> Chain {
    let mut chain = Chain::default();
    for payload in payloads {
        chain.advance(payload);
    }
    chain
}

fn check() -> Check {
    Check::new(&[GROUP], 16)
}

fn text(check: &Check) -> String {
    let failure = check.verdict().expect_err("a rule broke");
    assert_eq!(failure.exit(), Exit::ConditionFalse);
    failure.to_string()
}

#[test]
fn what_the_machine_answers_passes() {
    let mut check = check();
    let (one, two) = (chain(&[b"a"]), chain(&[b"a", b"b"]));
    check.expect_repeat(place(2, 12));
    check.on_output(place(1, 11), one, &output(1, one.hash(), 1));
    check.on_repeat(place(2, 12), &output(2, two.hash(), 2));
    check.on_output(place(2, 12), two, &output(2, two.hash(), 2));
    check.on_sum(GROUP, (0, 2), 2);
    assert_eq!(check.verdict(), Ok(()));
    assert_eq!(check.repeats_compared(), 1);
}

#[test]
fn a_command_that_was_lost_or_doubled_shows_in_the_count() {
    let two = chain(&[b"a", b"b"]);
    for count in [1, 3] {
        let mut check = check();
        check.on_output(place(2, 12), two, &output(count, two.hash(), 2));
        assert!(text(&check).contains("a count differs"));
        assert!(text(&check).contains("2 of session 5 in group 3"));
        assert!(text(&check).contains(&format!("got       count {count}")));
    }
}

#[test]
fn commands_that_were_swapped_show_in_the_hash() {
    let mut check = check();
    let swapped = chain(&[b"b", b"a"]).hash();
    check.on_output(place(2, 12), chain(&[b"a", b"b"]), &output(2, swapped, 2));
    assert!(text(&check).contains("a hash differs"));
    assert!(text(&check).contains(&format!("{swapped:016x}")));
}

#[test]
fn two_commands_with_one_total_were_applied_as_one() {
    let mut check = check();
    let (one, two) = (chain(&[b"a"]), chain(&[b"a", b"b"]));
    check.on_output(place(1, 11), one, &output(1, one.hash(), 7));
    check.on_output(place(2, 12), two, &output(2, two.hash(), 7));
    assert!(text(&check).contains("two commands have one total"));
}

#[test]
fn a_second_output_that_differs_from_the_first_breaks_the_rule() {
    let one = chain(&[b"a"]);
    let mut check = check();
    check.expect_repeat(place(1, 11));
    check.on_output(place(1, 11), one, &output(1, one.hash(), 1));
    check.on_repeat(place(1, 13), &output(2, one.hash(), 2));
    let text = text(&check);
    assert!(text.contains("sent twice got two outputs"), "{text}");
    assert!(text.contains("total 2 at index 13"), "{text}");
}

#[test]
fn a_repeat_that_came_too_late_proves_nothing() {
    let one = chain(&[b"a"]);
    let mut check = check();
    check.expect_repeat(place(1, 11));
    check.forget_repeat(place(1, 11));
    check.on_output(place(1, 11), one, &output(1, one.hash(), 1));
    assert_eq!((check.verdict(), check.repeats_compared()), (Ok(()), 0));
}

#[test]
fn bytes_that_are_no_output_break_the_rule() {
    let mut check = check();
    check.on_output(place(1, 11), chain(&[b"a"]), b"short");
    assert!(text(&check).contains("none of the machine's"));
}

#[test]
fn a_read_sees_what_was_completed_and_nothing_that_was_not_issued() {
    for (count, passes) in [(4, false), (5, true), (9, true), (10, false)] {
        let mut check = check();
        check.on_tally(place(9, 30), count, 5);
        assert_eq!(check.verdict().is_ok(), passes, "{count}");
    }
}

#[test]
fn a_lost_session_and_pending_commands_fail_the_check() {
    let mut lost = check();
    lost.on_lost(place(1, 11), "expired");
    assert!(text(&lost).contains("a session was lost"));
    let mut pending = check();
    pending.on_pending(3, Duration::from_secs(10), "n1: refused");
    assert!(text(&pending).contains("pending  3"));
}

#[test]
fn a_total_that_grew_by_more_or_less_than_was_counted_fails_the_check() {
    for after in [109, 111] {
        let mut check = check();
        check.on_sum(GROUP, (100, after), 10);
        assert!(text(&check).contains("total before  100"));
    }
}

#[test]
fn the_first_rule_that_breaks_is_the_one_that_is_told() {
    let mut check = check();
    check.on_lost(place(1, 11), "expired");
    check.on_sum(GROUP, (0, 5), 4);
    assert!(text(&check).contains("a session was lost"));
}
