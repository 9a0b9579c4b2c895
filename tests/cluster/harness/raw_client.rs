//! A client that speaks frames: it can say what the client of the library never would.

use super::node::Node;
use margay_machine::{Command as MachineCommand, CommandHeader, Decode};
use margay_resources::bench::{Append, Appended, Bench};
use margay_types::{ClientId, ClusterId, GroupId, SequenceNumber, SessionId, ShardId};
use margay_wire::client::{self, Answer, Attached, Attachment, Command, Open};
use margay_wire::hello::{HELLO_BYTES, Hello, HelloKind};
use margay_wire::{Refusal, Splitter};
use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(30);

/// A client that does not know the map: it names no shard.
pub(crate) struct RawClient {
    client: ClientId,
    socket: TcpStream,
    splitter: Splitter,
    /// Bodies of answers that were not looked at.
    arrived: VecDeque<Vec<u8>>,
    requests: u64,
}

impl RawClient {
    /// Connects under a name of its own, and gives the node's hello.
    pub(crate) fn connect(node: &Node, client: ClientId, shard: ShardId) -> (Self, Hello) {
        let mut socket = TcpStream::connect(node.address()).expect("it listens");
        socket.set_read_timeout(Some(TIMEOUT)).expect("a timeout");
        let hello = Hello {
            to_shard: shard,
            ..Hello::of_client(HelloKind::Client, ClusterId::ZERO)
        };
        socket.write_all(&hello.encode()).expect("it reads");
        let mut answer = [0; HELLO_BYTES];
        socket.read_exact(&mut answer).expect("it answers");
        let client = Self {
            client,
            socket,
            splitter: Splitter::default(),
            arrived: VecDeque::new(),
            requests: 0,
        };
        (client, Hello::decode(&answer).expect("its hello"))
    }

    /// Sends a request, and takes its answer by `take`.
    pub(crate) fn ask<T>(
        &mut self,
        write: impl FnOnce(&mut Vec<u8>, u64),
        take: impl Fn(Answer<'_>) -> T,
    ) -> T {
        self.requests += 1;
        let mut bytes = Vec::new();
        write(&mut bytes, self.requests);
        self.socket.write_all(&bytes).expect("it reads");
        self.answer(&take)
    }

    /// Takes one more answer to the last request.
    pub(crate) fn answer<T>(&mut self, take: &impl Fn(Answer<'_>) -> T) -> T {
        while self.arrived.is_empty() {
            let mut bytes = [0; 4096];
            let count = self.socket.read(&mut bytes).expect("it answers");
            assert!(count > 0, "it hung up");
            for frame in self.splitter.split(&bytes[..count]) {
                let frame = frame.expect("a good frame");
                assert_eq!(frame.request, self.requests, "one request is under way");
                self.arrived.push_back(frame.body.to_vec());
            }
        }
        let body = self.arrived.pop_front().expect("one has arrived");
        take(client::response(&body).expect("it decodes").answer)
    }

    /// Sends a request that must be refused.
    pub(crate) fn refused(&mut self, write: impl FnOnce(&mut Vec<u8>, u64)) -> Refusal {
        self.ask(write, |answer| match answer {
            Answer::Done(output) => panic!("it was done: {output:?}"),
            Answer::Refused(refusal) => refusal,
        })
    }

    /// Opens the first session of a group.
    pub(crate) fn open(&mut self, group: GroupId) -> Attached {
        let open = Open {
            client: self.client,
            attempt: 1,
            group,
            timeout_ms: 60_000,
        };
        let take = |answer: Answer<'_>| match answer {
            Answer::Done(output) => client::attached(output).expect("a session"),
            Answer::Refused(refusal) => panic!("{group}: {refusal:?}"),
        };
        self.ask(|out, request| open.write(out, request), take)
    }

    /// Appends in a session that is attached here, and gives how many it has appended in all.
    pub(crate) fn append(&mut self, attached: &Attached, sequence: u64) -> u64 {
        let payload = append_of(attached.session, sequence);
        let command = Command {
            attachment: attached.attachment,
            payload: &payload,
        };
        let take = |answer: Answer<'_>| match answer {
            Answer::Done(output) => Appended::decode(output).expect("an output").count.get(),
            Answer::Refused(refusal) => panic!("{refusal:?}"),
        };
        self.ask(|out, request| command.write(out, request), take)
    }

    /// The refusal of a command that says it is of `session`, on whatever attachment.
    pub(crate) fn append_refused(
        &mut self,
        attachment: Attachment,
        session: SessionId,
        sequence: u64,
    ) -> Refusal {
        let payload = append_of(session, sequence);
        let command = Command {
            attachment,
            payload: &payload,
        };
        self.refused(|out, request| command.write(out, request))
    }
}

fn append_of(session: SessionId, sequence: u64) -> Vec<u8> {
    let header = CommandHeader::new(
        session,
        SequenceNumber::new(sequence),
        SequenceNumber::new(sequence),
        <Append<'_> as MachineCommand<Bench>>::OPERATION,
    );
    [header.bytes(), &[7; 32]].concat()
}
