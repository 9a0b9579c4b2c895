//! Scripts of commands that no group takes, and of what becomes of their numbers.

use super::*;

/// A refusal consumes no number: the number of a command that no group takes is skipped, so that those behind it
/// can be appended; its completion stays in its place.
#[test]
fn a_command_that_is_refused_for_good_is_skipped_under_its_number() {
    let (mut world, key) = World::with_session();
    for bytes in [b"a", b"b"] {
        world.submit(key, bytes);
    }
    let asked = world.asked("n1:1");
    world.refuse("n1:1", &asked[0], Refusal::BadOperation);
    world.refuse(
        "n1:1",
        &asked[1],
        Refusal::NextIs {
            sequence: SequenceNumber::new(1),
        },
    );
    let again = world.asked("n1:1");
    assert_eq!(again[0].command().2, SKIP);
    assert_eq!(again[1].body, asked[1].body);
    world.apply("n1:1", &again[0]);
    world.apply("n1:1", &again[1]);
    assert_eq!(world.news(), ["1 Refused(BadOperation)", "2 done b"]);
}

/// The skip of one number is on its way while another number begins a new epoch: what was decided counts all the same.
#[test]
fn what_is_decided_counts_in_whatever_epoch_it_was_asked() {
    let (mut world, key) = World::with_session();
    world.submit(key, b"a");
    let asked = world.asked("n1:1");
    world.refuse("n1:1", &asked[0], Refusal::BadOperation);
    let skip = world.asked("n1:1");
    world.submit(key, b"b");
    let behind = world.asked("n1:1");
    world.refuse("n1:1", &behind[0], Refusal::BadOperation);
    let second_skip = world.asked("n1:1");
    world.refuse("n1:1", &skip[0], Refusal::Skipped);
    world.refuse("n1:1", &second_skip[0], Refusal::Skipped);
    let refused = ["1 Refused(BadOperation)", "2 Refused(BadOperation)"];
    assert_eq!(world.news(), refused);
}

#[test]
fn a_command_above_the_limit_is_not_taken_and_uses_no_number() {
    let (mut world, key) = World::with_session();
    let result = world
        .protocol
        .submit(key, ADD, u64::MAX, |out| out.resize(2 << 20, 0));
    assert!(matches!(result, Err(SubmitError::TooLarge { .. })));
    assert_eq!(world.submit(key, b"a"), 1);
}
