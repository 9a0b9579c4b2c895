use super::*;
use crate::client::{Event, event};
use crate::refusal;
use crate::splitter::Splitter;
use proptest::prelude::*;

fn only_body(stream: &[u8]) -> Vec<u8> {
    let mut splitter = Splitter::default();
    let frames: Vec<_> = splitter.split(stream).collect();
    let [Ok(frame)] = frames.as_slice() else {
        panic!("one frame, not {frames:?}")
    };
    frame.body.to_vec()
}

const HEAD: ResponseHead = ResponseHead {
    term: Term::new(5),
    index: Index::new(10),
    events: 3,
};

#[test]
fn an_output_stands_behind_the_head() {
    let mut out = Vec::new();
    write_done(&mut out, 1, HEAD, b"output");
    let body = only_body(&out);
    let numbers = [10_u64.to_le_bytes(), 3_u64.to_le_bytes()].concat();
    assert_eq!(
        body,
        [&[0, 0, 0, 0, 5, 0, 0, 0][..], &numbers, b"output"].concat()
    );
    assert_eq!(
        response(&body),
        Ok(Response {
            head: HEAD,
            answer: Answer::Done(b"output")
        })
    );
}

#[test]
fn every_refusal_arrives_as_it_was_sent() {
    for refusal in refusal::all() {
        let mut out = Vec::new();
        write_refusal(&mut out, 1, HEAD, &refusal);
        let body = only_body(&out);
        assert_eq!(body[..2], refusal.code().number().to_le_bytes());
        assert_eq!(
            response(&body),
            Ok(Response {
                head: HEAD,
                answer: Answer::Refused(refusal)
            })
        );
    }
}

#[test]
fn an_attachment_and_what_could_not_be_kept_alive_arrive() {
    let sent = Attached {
        session: SessionId::new(10),
        next: SequenceNumber::new(4),
        attachment: Attachment(2),
        incarnation: 1,
        window: 1_024,
    };
    let mut out = Vec::new();
    write_attached(&mut out, 1, HEAD, &sent);
    let body = only_body(&out);
    assert_eq!(
        body[24..],
        [
            10, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0, 4, 0, 0, 0,
            0, 0, 0
        ]
    );
    assert_eq!(attached(&body[24..]), Ok(sent));

    let sent = Detached {
        attachment: Attachment(2),
        code: Code::NotLeader,
        leader: Some(NodeId::new(3)),
        term: Term::new(6),
    };
    out.clear();
    write_detached(&mut out, 1, [sent].into_iter());
    let body = only_body(&out);
    assert_eq!(body[24..], [2, 0, 0, 0, 1, 0, 3, 0, 6, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(
        detached(&body[24..]).collect::<Result<Vec<_>, _>>(),
        Ok(vec![sent])
    );
}

#[test]
fn an_event_arrives_as_it_was_sent() {
    let sent = Event {
        attachment: Attachment(2),
        number: 7,
        index: Index::new(9),
        payload: b"event",
    };
    let mut out = Vec::new();
    sent.write(&mut out);
    let body = only_body(&out);
    assert_eq!(body[..16], [2, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(event(&body), Ok(sent));
}

#[test]
fn an_abandoned_answer_leaves_nothing() {
    let mut out = Vec::new();
    let mut response = ResponseWriter::begin(&mut out, 1, HEAD);
    response.output().extend_from_slice(b"half");
    assert_eq!(response.output_bytes(), 4);
    response.abandon();
    assert!(out.is_empty());
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(
        code in 0_u16..450,
        body in proptest::collection::vec(any::<u8>(), 0..100),
    ) {
        let _ = (attached(&body), detached(&body).count());
        let mut bytes = code.to_le_bytes().to_vec();
        bytes.extend([0, 0]);
        bytes.extend(body);
        let _ = response(&bytes);
    }
}
