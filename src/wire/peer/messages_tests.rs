use super::*;
use crate::splitter::Splitter;
use proptest::prelude::*;

const ENVELOPE: Envelope = Envelope {
    group: GroupId::new(7),
    from: ReplicaNumber::new(1),
    to: ReplicaNumber::new(2),
};

fn position() -> impl Strategy<Value = Position> {
    (any::<u32>(), any::<u64>()).prop_map(|(term, index)| Position {
        term: Term::new(term),
        index: Index::new(index),
    })
}

fn outcome() -> impl Strategy<Value = AppendOutcome> {
    prop_oneof![
        any::<u64>().prop_map(|proven| AppendOutcome::Accepted {
            proven: Index::new(proven)
        }),
        (any::<u64>(), position()).prop_map(|(previous, hint)| AppendOutcome::Refused {
            previous: Index::new(previous),
            hint
        }),
    ]
}

fn message() -> impl Strategy<Value = Message> {
    let term = || any::<u32>().prop_map(Term::new);
    let index = || any::<u64>().prop_map(Index::new);
    let round = || any::<u64>().prop_map(Round);
    let ticks = || any::<u32>().prop_map(Ticks::new);
    prop_oneof![
        (term(), position()).prop_map(|(term, last)| Message::PreVote(PreVote { term, last })),
        (term(), any::<bool>()).prop_map(|(term, granted)| Message::PreVoteResponse(
            PreVoteResponse { term, granted }
        )),
        (term(), position(), any::<bool>()).prop_map(|(term, last, transfer)| {
            Message::RequestVote(RequestVote {
                term,
                last,
                transfer,
            })
        }),
        (term(), any::<bool>()).prop_map(|(term, granted)| Message::RequestVoteResponse(
            RequestVoteResponse { term, granted }
        )),
        (term(), outcome(), round(), ticks(), any::<bool>()).prop_map(
            |(term, outcome, round, honoured, applies)| {
                Message::AppendResponse(AppendResponse {
                    term,
                    outcome,
                    round,
                    honoured,
                    applies,
                })
            }
        ),
        (term(), index(), index(), round()).prop_map(
            |(term, commit_index, stable_index, round)| Message::Heartbeat(Heartbeat {
                term,
                commit_index,
                stable_index,
                round
            })
        ),
        (term(), round(), index(), ticks(), any::<[bool; 2]>()).prop_map(
            |(term, round, proven, honoured, [applies, wants_checkpoint])| {
                Message::HeartbeatResponse(HeartbeatResponse {
                    term,
                    round,
                    proven,
                    honoured,
                    applies,
                    wants_checkpoint,
                })
            }
        ),
        term().prop_map(|term| Message::TimeoutNow(TimeoutNow { term })),
        (term(), any::<u64>())
            .prop_map(|(term, request)| Message::ReadIndex(ReadIndex { term, request })),
        (term(), any::<u64>(), proptest::option::of(index())).prop_map(|(term, request, index)| {
            Message::ReadIndexResponse(ReadIndexResponse {
                term,
                request,
                index,
            })
        }),
    ]
}

fn body_of(message: &Message) -> Vec<u8> {
    let mut body = Vec::new();
    write(&mut body, ENVELOPE, message);
    body
}

fn golden(message: &Message, kind: u8, body: &[&[u8]]) {
    let mut expected = vec![7, 0, 0, 0, 1, 0, 2, 0, kind, 0, 0, 0, 5, 0, 0, 0];
    expected.extend(body.concat());
    assert_eq!(body_of(message), expected, "{message:?}");
}

/// The bytes of every kind, as the drawing and the structs say; a difference breaks running clusters.
#[test]
fn every_kind_has_the_bytes_it_always_had() {
    let term = Term::new(5);
    let last = Position {
        term: Term::new(4),
        index: Index::new(10),
    };
    let n = |number: u64| number.to_le_bytes();
    golden(
        &Message::PreVote(PreVote { term, last }),
        1,
        &[&n(10), &[4, 0, 0, 0], &[0; 4]],
    );
    golden(
        &Message::PreVoteResponse(PreVoteResponse {
            term,
            granted: true,
        }),
        2,
        &[&[1, 0, 0, 0, 0, 0, 0, 0]],
    );
    golden(
        &Message::RequestVote(RequestVote {
            term,
            last,
            transfer: true,
        }),
        3,
        &[&n(10), &[4, 0, 0, 0, 1, 0, 0, 0]],
    );
    golden(
        &Message::RequestVoteResponse(RequestVoteResponse {
            term,
            granted: false,
        }),
        4,
        &[&[0; 8]],
    );
    let response = |outcome| {
        Message::AppendResponse(AppendResponse {
            term,
            outcome,
            round: Round(3),
            honoured: Ticks::new(30),
            applies: true,
        })
    };
    golden(
        &response(AppendOutcome::Accepted {
            proven: Index::new(11),
        }),
        5,
        &[&n(11), &n(3), &[30, 0, 0, 0, 1, 0, 0, 0]],
    );
    golden(
        &response(AppendOutcome::Refused {
            previous: Index::new(11),
            hint: last,
        }),
        6,
        &[
            &n(11),
            &n(10),
            &n(3),
            &[4, 0, 0, 0, 30, 0, 0, 0],
            &[1, 0, 0, 0, 0, 0, 0, 0],
        ],
    );
}

/// As above, for what leaders and readers say.
#[test]
fn heartbeats_and_reads_have_the_bytes_they_always_had() {
    let term = Term::new(5);
    let n = |number: u64| number.to_le_bytes();
    let heartbeat = Heartbeat {
        term,
        commit_index: Index::new(9),
        stable_index: Index::new(8),
        round: Round(3),
    };
    golden(&Message::Heartbeat(heartbeat), 7, &[&n(9), &n(8), &n(3)]);
    let answer = HeartbeatResponse {
        term,
        round: Round(3),
        proven: Index::new(9),
        honoured: Ticks::new(30),
        applies: false,
        wants_checkpoint: true,
    };
    golden(
        &Message::HeartbeatResponse(answer),
        8,
        &[&n(3), &n(9), &[30, 0, 0, 0, 0, 1, 0, 0]],
    );
    golden(&Message::TimeoutNow(TimeoutNow { term }), 9, &[]);
    golden(
        &Message::ReadIndex(ReadIndex { term, request: 6 }),
        10,
        &[&n(6)],
    );
    let read = ReadIndexResponse {
        term,
        request: 6,
        index: Some(Index::new(9)),
    };
    golden(
        &Message::ReadIndexResponse(read),
        11,
        &[&n(6), &n(9), &[1, 0, 0, 0, 0, 0, 0, 0]],
    );
}

#[test]
fn a_full_frame_is_closed_and_another_begins() {
    let message = Message::TimeoutNow(TimeoutNow { term: Term::new(1) });
    let (mut out, mut writer) = (Vec::new(), MessagesWriter::new());
    let count = FRAME_BYTES_MAX / size_of::<Head>() + 10;
    for _ in 0..count {
        writer.push(&mut out, ENVELOPE, &message);
    }
    writer.close(&mut out);
    assert!(!writer.is_open());
    let mut splitter = Splitter::default();
    let mut seen = 0;
    let mut frames = 0;
    for frame in splitter.split(&out) {
        let frame = frame.expect("whole frames were written");
        seen += messages(frame.body).filter(Result::is_ok).count();
        frames += 1;
    }
    assert_eq!((frames, seen), (2, count));
}

#[test]
fn closing_without_a_message_writes_nothing() {
    let mut out = Vec::new();
    MessagesWriter::new().close(&mut out);
    assert!(out.is_empty());
}

#[test]
fn an_error_is_the_last_item() {
    let mut body = body_of(&Message::TimeoutNow(TimeoutNow { term: Term::new(1) }));
    body.extend_from_slice(&[0; 16]);
    body.extend(body_of(&Message::TimeoutNow(TimeoutNow {
        term: Term::new(1),
    })));
    let items: Vec<_> = messages(&body).collect();
    assert_eq!(items.len(), 2);
    assert_eq!(
        items[1],
        Err(WireError::BadNumber {
            what: "message kind",
            number: 0
        })
    );
}

proptest! {
    #[test]
    fn what_is_written_is_read(all in proptest::collection::vec(message(), 0..20)) {
        let (mut out, mut writer) = (Vec::new(), MessagesWriter::new());
        for message in &all {
            writer.push(&mut out, ENVELOPE, message);
        }
        writer.close(&mut out);
        let mut splitter = Splitter::default();
        let read: Vec<_> = splitter
            .split(&out)
            .flat_map(|frame| messages(frame.expect("whole").body).collect::<Vec<_>>())
            .collect();
        prop_assert_eq!(read, all.into_iter().map(|message| Ok((ENVELOPE, message))).collect::<Vec<_>>());
    }

    #[test]
    fn arbitrary_bytes_never_panic(
        kind in 0_u8..13,
        body in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let mut bytes = body_of(&Message::TimeoutNow(TimeoutNow { term: Term::new(1) }));
        bytes[8] = kind;
        bytes.extend(body);
        prop_assert!(messages(&bytes).count() <= bytes.len());
    }
}
