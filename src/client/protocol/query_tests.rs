//! Scripts about queries: who is asked, what goes along, and when one is given up.

use super::*;

#[test]
fn a_query_carries_what_its_session_has_seen_and_is_asked_again_elsewhere() {
    let (mut world, key) = World::with_session();
    world.submit(key, b"a");
    let asked = world.asked("n1:1");
    world.apply("n1:1", &asked[0]);
    let question = Question {
        session: Some(key),
        group: GROUP,
        operation: ADD,
        level: QueryLevel::Linearizable,
        deadline_ns: u64::MAX,
    };
    world.protocol.ask(question, |out| out.push(b'q'));
    let query = world.only("n1:1", FrameKind::Query);
    let read = wire::query(&query.body).expect("a query");
    assert_eq!(
        (read.seen, read.issued),
        (Index::new(101), SequenceNumber::new(1))
    );
    let hint = Refusal::NotLeader {
        leader: Some(node(2)),
        term: Term::new(3),
    };
    world.refuse("n1:1", &query, hint);
    world.accept("n2:1");
    let attach = world.only("n2:1", FrameKind::Attach);
    world.attach("n2:1", &attach, 2);
    let query = world.only("n2:1", FrameKind::Query);
    let head = ResponseHead {
        term: Term::new(3),
        index: Index::new(140),
        events: 0,
    };
    world.answer("n2:1", |out| write_done(out, query.request, head, b"x"));
    assert_eq!(world.news(), ["1 done a", "answer x"]);
    assert_eq!(world.protocol.seen(key), Some(Index::new(140)));
}

/// A member that cannot be reached, or cannot answer, is passed over.
#[test]
fn queries_outside_of_a_session_are_asked_of_followers_in_turn() {
    let options = Options {
        read_from: ReadFrom::Followers,
        ..Options::default()
    };
    let mut world = World::with_options(options);
    let question = Question {
        session: None,
        group: GROUP,
        operation: ADD,
        level: QueryLevel::Linearizable,
        deadline_ns: u64::MAX,
    };
    world.protocol.ask(question, |out| out.push(b'q'));
    world.accept("e1:1");
    world.give_map("e1:1", Some(1));
    world.collect_dials();
    assert!(!world.dials.contains(&"n1:1".to_owned()), "it leads");
    world.accept("n3:1");
    let query = world.only("n3:1", FrameKind::Query);
    let read = wire::query(&query.body).expect("a query");
    assert_eq!(read.attachment, Attachment::NONE);
    let not_ready = Refusal::NotReady { retry_after_ms: 20 };
    world.refuse("n3:1", &query, not_ready);
    world.accept("n2:1");
    world.pass(100);
    let query = world.only("n2:1", FrameKind::Query);
    world.answer("n2:1", |out| {
        write_done(out, query.request, ResponseHead::default(), b"x")
    });
    assert_eq!(world.news(), ["answer x"]);
}

#[test]
fn a_query_whose_deadline_passes_is_given_up() {
    let (mut world, _) = World::with_session();
    let question = Question {
        session: None,
        group: GROUP,
        operation: ADD,
        level: QueryLevel::Linearizable,
        deadline_ns: world.now_ns + 50 * MS,
    };
    let key = world.protocol.ask(question, |_| {});
    let query = world.only("n1:1", FrameKind::Query);
    world.pass(50);
    assert_eq!(
        world.protocol.next_completion(),
        Some(Completion::QueryTimedOut { query: key })
    );
    world.answer("n1:1", |out| {
        write_done(out, query.request, ResponseHead::default(), b"x")
    });
    assert_eq!(world.news(), [""; 0]);
}
