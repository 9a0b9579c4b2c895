//! A connection of its own to the leader of one group, on which commands are sent a second time.
//!
//! It knows nothing of retries and windows: a repeat that is refused, or whose connection is lost, proves
//! nothing and is given up. Only an output is a result.

use crate::check::Place;
use margay_types::{ClusterId, NodeId, SessionId};
use margay_wire::client::{Answer, Attach, Attachment, Command, Response, attached, response};
use margay_wire::hello::HELLO_BYTES;
use margay_wire::{Hello, HelloKind, Splitter};
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

/// The longest that connecting and the hello take.
const GREETING_TIME: Duration = Duration::from_millis(500);

/// Bytes taken at a time.
const RECEIVE_BYTES: usize = 16 << 10;

/// What a request was for.
#[derive(Clone, Copy, Debug)]
enum Asked {
    Attach(SessionId),
    Command(Place),
}

/// What came of a repeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Repeated {
    /// It has this output.
    Output(Place, Vec<u8>),
    /// It has none.
    GivenUp(Place),
}

/// What an answer says about the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It leads to the leader, as far as is known.
    Good,
    /// Another node leads.
    Elsewhere(Option<NodeId>),
}

/// The connection, and what was asked on it.
#[derive(Debug)]
pub(crate) struct RepeatLink {
    stream: TcpStream,
    splitter: Splitter,
    attachments: BTreeMap<SessionId, Attachment>,
    asked: BTreeMap<u64, Asked>,
    request: u64,
    out: Vec<u8>,
    received: Vec<u8>,
}

impl RepeatLink {
    /// Connects and exchanges hellos; reads return at once from then on.
    pub(crate) fn connect(address: &str) -> io::Result<Self> {
        let place = address
            .to_socket_addrs()?
            .next()
            .ok_or_else(|| io::Error::other("the name has no address"))?;
        let mut stream = TcpStream::connect_timeout(&place, GREETING_TIME)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(GREETING_TIME))?;
        stream.set_write_timeout(Some(GREETING_TIME))?;
        stream.write_all(&Hello::of_client(HelloKind::Client, ClusterId::ZERO).encode())?;
        let mut answer = [0; HELLO_BYTES];
        stream.read_exact(&mut answer)?;
        let hello = Hello::decode(&answer).map_err(io::Error::other)?;
        if let Some(code) = hello.refusal {
            return Err(io::Error::other(code.text()));
        }
        stream.set_nonblocking(true)?;
        Ok(Self {
            stream,
            splitter: Splitter::default(),
            attachments: BTreeMap::new(),
            asked: BTreeMap::new(),
            request: 0,
            out: Vec::new(),
            received: vec![0; RECEIVE_BYTES],
        })
    }

    /// Attaches a session here.
    pub(crate) fn attach(&mut self, attach: &Attach) -> io::Result<()> {
        self.request += 1;
        self.asked
            .insert(self.request, Asked::Attach(attach.session));
        attach.write(&mut self.out, self.request);
        self.send()
    }

    /// Sends a command again. False when its session is not attached here yet.
    pub(crate) fn send_command(&mut self, place: Place, payload: &[u8]) -> io::Result<bool> {
        let Some(attachment) = self.attachments.get(&place.session).copied() else {
            return Ok(false);
        };
        self.request += 1;
        self.asked.insert(self.request, Asked::Command(place));
        Command {
            attachment,
            payload,
        }
        .write(&mut self.out, self.request);
        self.send()?;
        Ok(true)
    }

    /// Is anything asked that was not answered?
    pub(crate) fn is_waiting(&self) -> bool {
        !self.asked.is_empty()
    }

    /// Commands that were sent and not answered.
    pub(crate) fn pending(&self) -> impl Iterator<Item = Place> + '_ {
        self.asked.values().filter_map(|asked| match asked {
            Asked::Command(place) => Some(*place),
            Asked::Attach(_) => None,
        })
    }

    /// Sends what is unsent. A peer that takes nothing for so few bytes is as good as gone.
    fn send(&mut self) -> io::Result<()> {
        self.stream.write_all(&self.out)?;
        self.out.clear();
        Ok(())
    }

    /// Takes what arrived.
    pub(crate) fn receive(&mut self, repeated: &mut Vec<Repeated>) -> io::Result<Standing> {
        let count = match self.stream.read(&mut self.received) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Standing::Good),
            Err(error) => return Err(error),
        };
        let mut standing = Standing::Good;
        let bytes = self.received.get(..count).unwrap_or_default();
        for frame in self.splitter.split(bytes) {
            let frame = frame.map_err(io::Error::other)?;
            let Some(asked) = self.asked.remove(&frame.request) else {
                continue;
            };
            let response = response(frame.body).map_err(io::Error::other)?;
            if let Answer::Refused(refusal) = response.answer
                && let Some((leader, _)) = refusal.leader_hint()
            {
                standing = Standing::Elsewhere(leader);
            }
            match asked {
                Asked::Attach(session) => {
                    if let Answer::Done(output) = response.answer {
                        let attached = attached(output).map_err(io::Error::other)?;
                        self.attachments.insert(session, attached.attachment);
                    }
                }
                Asked::Command(place) => repeated.push(outcome(place, &response)),
            }
        }
        Ok(standing)
    }
}

fn outcome(place: Place, response: &Response<'_>) -> Repeated {
    match response.answer {
        Answer::Done(output) => {
            let index = response.head.index;
            Repeated::Output(Place { index, ..place }, output.to_vec())
        }
        Answer::Refused(_) => Repeated::GivenUp(place),
    }
}
