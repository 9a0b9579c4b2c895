use super::*;
use crate::splitter::Splitter;
use proptest::prelude::*;

/// The body of the one frame in `stream`, which must be of `kind` with request 9.
fn body_of(kind: FrameKind, stream: &[u8]) -> Vec<u8> {
    let mut splitter = Splitter::default();
    let frames: Vec<_> = splitter.split(stream).collect();
    let [Ok(frame)] = frames.as_slice() else {
        panic!("one frame, not {frames:?}")
    };
    assert_eq!((frame.kind, frame.request), (kind, 9));
    frame.body.to_vec()
}

fn n(number: u64) -> [u8; 8] {
    number.to_le_bytes()
}

fn m(number: u32) -> [u8; 4] {
    number.to_le_bytes()
}

#[test]
fn sessions_are_opened_attached_and_closed_by_the_layouts_above() {
    let mut out = Vec::new();
    let asked = Open {
        client: ClientId::new([7; 16]),
        attempt: 2,
        group: GroupId::new(3),
        timeout_ms: 5_000,
    };
    asked.write(&mut out, 9);
    let body = body_of(FrameKind::Open, &out);
    assert_eq!(body, [&[7; 16][..], &n(2), &m(3), &m(5_000)].concat());
    assert_eq!(open(&body), Ok(asked));

    out.clear();
    let asked = Attach {
        client: ClientId::new([7; 16]),
        session: SessionId::new(11),
        events_received: 4,
        group: GroupId::new(3),
        incarnation: 1,
    };
    asked.write(&mut out, 9);
    let body = body_of(FrameKind::Attach, &out);
    assert_eq!(body, [&[7; 16][..], &n(11), &n(4), &m(3), &m(1)].concat());
    assert_eq!(attach(&body), Ok(asked));

    out.clear();
    Close {
        attachment: Attachment(5),
    }
    .write(&mut out, 9);
    let body = body_of(FrameKind::Close, &out);
    assert_eq!(body, [m(5), m(0)].concat());
    assert_eq!(
        close(&body),
        Ok(Close {
            attachment: Attachment(5)
        })
    );
}

#[test]
fn commands_and_queries_carry_their_payload_as_it_is() {
    let mut out = Vec::new();
    let asked = Command {
        attachment: Attachment(5),
        payload: b"payload",
    };
    asked.write(&mut out, 9);
    let body = body_of(FrameKind::Command, &out);
    assert_eq!(body, [&m(5)[..], &m(0), b"payload"].concat());
    assert_eq!(command(&body), Ok(asked));

    out.clear();
    let asked = Query {
        attachment: Attachment::NONE,
        group: GroupId::new(3),
        operation: OperationId::new(0x0201),
        level: QueryLevel::Linearizable,
        seen: Index::new(8),
        issued: SequenceNumber::new(6),
        payload: b"query",
    };
    asked.write(&mut out, 9);
    let body = body_of(FrameKind::Query, &out);
    let head = [
        &m(u32::MAX)[..],
        &m(3),
        &[1, 2, 3, 0, 0, 0, 0, 0],
        &n(8),
        &n(6),
    ]
    .concat();
    assert_eq!(body, [&head[..], b"query"].concat());
    assert_eq!(query(&body), Ok(asked));
}

#[test]
fn a_keep_alive_carries_all_sessions_of_a_connection() {
    let items = [1_u32, 2].map(|number| KeepAliveItem {
        attachment: Attachment(number),
        acknowledged_below: SequenceNumber::new(10),
        events_received: 3,
    });
    let mut out = Vec::new();
    KeepAlive::write(&mut out, 9, items.into_iter());
    let body = body_of(FrameKind::KeepAlive, &out);
    assert_eq!(body[..24], [&m(1)[..], &m(0), &n(10), &n(3)].concat());
    assert_eq!(
        keep_alive(&body).collect::<Result<Vec<_>, _>>(),
        Ok(items.to_vec())
    );
    assert!(
        keep_alive(&body[..47])
            .last()
            .is_some_and(|last| last.is_err())
    );
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(body in proptest::collection::vec(any::<u8>(), 0..100)) {
        let _ = (open(&body), attach(&body), command(&body), query(&body), close(&body));
        let _ = (keep_alive(&body).count(), crate::client::event(&body));
    }
}
