//! Scripts of refusals that meet commands of several sendings, on a client that holds some of them back.

use super::*;

const OVERLOADED: Refusal = Refusal::Overloaded { retry_after_ms: 10 };

/// Two commands, of which the first was refused and is asked again; the second is held back.
fn holding_back() -> (World, Asked) {
    let (mut world, key) = World::with_session();
    world.submit(key, b"a");
    world.submit(key, b"b");
    let asked = world.asked("n1:1");
    world.refuse("n1:1", &asked[0], OVERLOADED);
    world.pass(60);
    let again = world.only("n1:1", FrameKind::Command);
    (world, again)
}

/// The third of three is refused, and the two before it stay on the wire. Then the leader steps down, and says so of
/// these two: they were sent before the refusal, and their own refusals count all the same.
#[test]
fn a_refusal_counts_for_the_sending_that_it_answers_however_many_came_after_it() {
    let (mut world, key) = World::with_session();
    for bytes in [b"a", b"b", b"c"] {
        world.submit(key, bytes);
    }
    let asked = world.asked("n1:1");
    world.refuse("n1:1", &asked[2], OVERLOADED);
    world.pass(60);
    assert_eq!(world.asked("n1:1").len(), 0, "two are on the wire");
    let lost = Refusal::LeadershipLost {
        leader: Some(node(2)),
        term: Term::new(3),
    };
    world.refuse("n1:1", &asked[0], lost);
    world.refuse("n1:1", &asked[1], lost);
    world.accept("n2:1");
    let attach = world.only("n2:1", FrameKind::Attach);
    world.attach("n2:1", &attach, 1);
    assert_eq!(
        world.numbers("n2:1"),
        [1],
        "one at a time, since it was refused"
    );
}

/// What was sent twice is refused twice: the first sending has nothing more to say.
#[test]
fn a_refusal_of_an_earlier_sending_says_nothing() {
    let (mut world, key) = World::with_session();
    world.submit(key, b"a");
    let first = world.asked("n1:1");
    world.refuse("n1:1", &first[0], Refusal::NotReady { retry_after_ms: 20 });
    world.pass(60);
    let second = world.asked("n1:1");
    world.refuse("n1:1", &first[0], OVERLOADED);
    world.apply("n1:1", &second[0]);
    assert_eq!(world.news(), ["1 done a"]);
}

/// An answer without an output makes a place on the wire as well as one with an output.
#[test]
fn what_is_held_back_follows_a_command_that_has_no_output() {
    let (mut world, first) = holding_back();
    world.refuse("n1:1", &first, Refusal::OutputTooLarge);
    assert_eq!(world.numbers("n1:1"), [2]);
}

#[test]
fn what_is_held_back_follows_a_number_that_was_skipped() {
    let (mut world, first) = holding_back();
    world.refuse("n1:1", &first, Refusal::BadOperation);
    let skip = world.asked("n1:1");
    world.refuse("n1:1", &skip[0], Refusal::Skipped);
    assert_eq!(world.numbers("n1:1"), [2]);
    assert_eq!(world.news(), ["1 Refused(BadOperation)"]);
}

/// A group whose caches are full of outputs that this client has must hear so, or it takes nothing more.
#[test]
fn what_is_sent_again_says_what_was_received_meanwhile() {
    let (mut world, key) = World::with_session();
    for bytes in [b"a", b"b", b"c"] {
        world.submit(key, bytes);
    }
    let asked = world.asked("n1:1");
    world.apply("n1:1", &asked[0]);
    world.apply("n1:1", &asked[1]);
    world.refuse("n1:1", &asked[2], Refusal::WindowFull);
    world.pass(200);
    let again = world.only("n1:1", FrameKind::Command);
    let (number, acknowledged_below, _, bytes) = again.command();
    assert_eq!((number, acknowledged_below, bytes), (3, 3, b"c".to_vec()));
}

/// A leader that is behind what is done here leads no more, and does not know it: the session is alive.
#[test]
fn a_leader_that_asks_for_what_is_done_is_asked_again_later() {
    let (mut world, key) = World::with_session();
    world.submit(key, b"a");
    let asked = world.asked("n1:1");
    world.apply("n1:1", &asked[0]);
    world.submit(key, b"b");
    let asked = world.asked("n1:1");
    let sequence = SequenceNumber::new(1);
    world.refuse("n1:1", &asked[0], Refusal::NextIs { sequence });
    assert_eq!(world.news(), ["1 done a"]);
    world.pass(1_000);
    let attach = world.only("n1:1", FrameKind::Attach);
    world.attach("n1:1", &attach, 2);
    assert_eq!(world.numbers("n1:1"), [2]);
}
