//! The repeater against a small server of the test's own.

use super::*;
use margay_types::{ClientId, Index, SequenceNumber, SessionId, Term};
use margay_wire::client::{
    Attached, Attachment, ResponseHead, write_attached, write_done, write_refusal,
};
use margay_wire::hello::HELLO_BYTES;
use margay_wire::{Frame, FrameKind, Hello, HelloKind, Refusal, Splitter};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

const GROUP: GroupId = GroupId::new(3);
const SESSION: SessionId = SessionId::new(5);
const OUTPUT: &[u8] = b"the first output";

/// Serves one connection until it is closed; `answer` writes the answer to a command.
fn serve(mut stream: TcpStream, answer: fn(&Frame<'_>, &mut Vec<u8>)) {
    let mut hello = [0; HELLO_BYTES];
    stream.read_exact(&mut hello).expect("a hello comes");
    let own = Hello::of_client(HelloKind::Client, margay_types::ClusterId::ZERO);
    stream.write_all(&own.encode()).expect("it is taken");
    let mut splitter = Splitter::default();
    let mut buffer = [0; 4_096];
    while let Ok(count @ 1..) = stream.read(&mut buffer) {
        let mut out = Vec::new();
        for frame in splitter.split(&buffer[..count]) {
            let frame = frame.expect("it is whole");
            if frame.kind == FrameKind::Attach {
                let attached = Attached {
                    session: SESSION,
                    next: SequenceNumber::new(1),
                    attachment: Attachment(0),
                    incarnation: 0,
                    window: 16,
                };
                write_attached(&mut out, frame.request, ResponseHead::default(), &attached);
            } else {
                answer(&frame, &mut out);
            }
        }
        stream.write_all(&out).expect("it is taken");
    }
}

fn head() -> ResponseHead {
    ResponseHead {
        term: Term::new(1),
        index: Index::new(40),
        events: 0,
    }
}

fn place(sequence: u64) -> Place {
    Place {
        group: GROUP,
        session: SESSION,
        sequence: SequenceNumber::new(sequence),
        index: Index::ZERO,
    }
}

/// Repeats commands until one has a result that is `wanted`: the first come before the session is attached.
fn first_result(answer: fn(&Frame<'_>, &mut Vec<u8>), wanted: fn(&Repeated) -> bool) -> Repeated {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it has one").to_string();
    let server = std::thread::spawn(move || {
        let (stream, _) = listener.accept().expect("the repeater connects");
        serve(stream, answer);
    });
    let node = NodeId::new(1);
    let members = Members {
        leader: Some(node),
        addresses: vec![(node, address)],
    };
    let mut repeater = Repeater::start(BTreeMap::from([(GROUP, members)])).expect("a thread");
    repeater.on_session(Attach {
        client: ClientId::new([1; 16]),
        session: SESSION,
        events_received: 0,
        group: GROUP,
        incarnation: 0,
    });
    let mut sequence = 0;
    let found = loop {
        if repeater.pending() == 0 {
            sequence += 1;
            repeater.repeat(place(sequence), vec![7; 32]);
        }
        match repeater.next() {
            Some(found) if wanted(&found) => break found,
            Some(_) | None => std::thread::yield_now(),
        }
    };
    drop(repeater);
    server.join().expect("the server ends with its connection");
    found
}

#[test]
fn the_output_of_the_second_sending_comes_back_with_its_index() {
    let found = first_result(
        |frame, out| write_done(out, frame.request, head(), OUTPUT),
        |found| matches!(found, Repeated::Output(..)),
    );
    let Repeated::Output(place, output) = found else {
        panic!("{found:?}")
    };
    assert_eq!(place.index, Index::new(40));
    assert_eq!(output, OUTPUT);
}

#[test]
fn a_refusal_is_given_up_and_proves_nothing() {
    let found = first_result(
        |frame, out| write_refusal(out, frame.request, head(), &Refusal::OutputGone),
        |found| match found {
            // By then the session has long been attached.
            Repeated::GivenUp(place) => place.sequence.number() > 10_000,
            Repeated::Output(..) => true,
        },
    );
    assert!(matches!(found, Repeated::GivenUp(_)));
}
