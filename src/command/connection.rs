//! One question to one node, answered or not.
//!
//! ```text
//!   connect ──> hello, both ways ──> request ──> response
//!      │               │                │
//!      └ known: nothing was changed ────┴ unknown from here on, if the request changes something
//! ```
//!
//! A question opens its own connection: operators ask seldom, and a connection that is not kept cannot be stale.

use super::deadline::Deadline;
use super::endpoint::Endpoint;
use crate::codes::{Code, Failure};
use margay_types::ClusterId;
use margay_wire::admin::{Request, read_answer, write_request};
use margay_wire::client::{Answer, response};
use margay_wire::hello::HELLO_BYTES;
use margay_wire::{FrameKind, Hello, HelloKind, Refusal, Splitter, WireError};
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;

/// The number of the only request on a connection.
const REQUEST: u64 = 1;
/// Bytes taken from the socket at once.
const PIECE_BYTES: usize = 64 << 10;

/// Does a question change the cluster? If so, silence behind it says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// It looks.
    Reads,
    /// It changes something.
    Changes,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NoAnswer {
    /// The node said no.
    Refused(Refusal),
    /// The node could not be asked, or its answer did not come.
    Failed(Failure),
}

/// Asks one node.
///
/// # Errors
/// A refusal of the node, or a failure on the way, with what is known of the effect.
pub(super) fn ask<R: Request>(
    endpoint: &Endpoint,
    request: &R,
    effect: Effect,
    deadline: Deadline,
) -> Result<R::Answer, NoAnswer> {
    let mut out = Vec::new();
    write_request(&mut out, REQUEST, request).map_err(|error| {
        let failure = Failure::new(Code::ValueRefused).with("reason", error);
        NoAnswer::Failed(failure)
    })?;
    let mut link = Link::open(endpoint, deadline)?;
    link.greet()?;
    link.effect = effect;
    link.send(&out)?;
    link.answer::<R>()
}

/// A connection while its only question is asked.
struct Link<'a> {
    endpoint: &'a Endpoint,
    stream: TcpStream,
    deadline: Deadline,
    effect: Effect,
}

impl<'a> Link<'a> {
    fn open(endpoint: &'a Endpoint, deadline: Deadline) -> Result<Self, NoAnswer> {
        let address = endpoint.resolve().map_err(NoAnswer::Failed)?;
        let Some(left) = deadline.left() else {
            return Err(lost(endpoint, Effect::Reads, &ErrorKind::TimedOut.into()));
        };
        let stream = TcpStream::connect_timeout(&address, left)
            .map_err(|error| lost(endpoint, Effect::Reads, &error))?;
        Ok(Self {
            endpoint,
            stream,
            deadline,
            effect: Effect::Reads,
        })
    }

    fn greet(&mut self) -> Result<(), NoAnswer> {
        self.send(&Hello::of_client(HelloKind::Admin, ClusterId::ZERO).encode())?;
        let mut bytes = [0; HELLO_BYTES];
        let mut filled = 0;
        while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            self.limit()?;
            match self.stream.read(rest) {
                Ok(0) if filled > 0 => return Err(self.foreign("it closed the connection")),
                Ok(0) => return Err(self.lost(&ErrorKind::ConnectionReset.into())),
                Ok(count) => filled += count,
                Err(error) => return Err(self.lost(&error)),
            }
        }
        let hello = Hello::decode(&bytes).map_err(|error| self.foreign(error))?;
        if hello.common_version().is_none() {
            return Err(self.other_protocol(&hello));
        }
        match hello.refusal.and_then(Refusal::without_detail) {
            Some(refusal) => Err(NoAnswer::Refused(refusal)),
            None => Ok(()),
        }
    }

    fn send(&mut self, bytes: &[u8]) -> Result<(), NoAnswer> {
        self.limit()?;
        self.stream
            .write_all(bytes)
            .map_err(|error| self.lost(&error))
    }

    fn answer<R: Request>(&mut self) -> Result<R::Answer, NoAnswer> {
        let mut splitter = Splitter::default();
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            self.limit()?;
            let count = match self.stream.read(&mut piece) {
                Ok(0) => return Err(self.lost(&ErrorKind::UnexpectedEof.into())),
                Ok(count) => count,
                Err(error) => return Err(self.lost(&error)),
            };
            for frame in splitter.split(&piece[..count]) {
                let frame = frame.map_err(|error| self.foreign(error))?;
                if frame.kind == FrameKind::Response && frame.request == REQUEST {
                    return read_response::<R>(frame.body)
                        .unwrap_or_else(|error| Err(self.foreign(error)));
                }
            }
        }
    }

    /// Bounds the next call by what is left of the deadline.
    fn limit(&self) -> Result<(), NoAnswer> {
        let Some(left) = self.deadline.left() else {
            return Err(self.lost(&ErrorKind::TimedOut.into()));
        };
        self.stream
            .set_read_timeout(Some(left))
            .and_then(|()| self.stream.set_write_timeout(Some(left)))
            .map_err(|error| self.lost(&error))
    }

    fn lost(&self, error: &io::Error) -> NoAnswer {
        lost(self.endpoint, self.effect, error)
    }

    fn foreign(&self, reason: impl std::fmt::Display) -> NoAnswer {
        let failure = Failure::new(Code::NotMargay)
            .with("node", self.endpoint)
            .with("reason", reason)
            .remedy("give the address of a Margay node; its default port is 7400");
        NoAnswer::Failed(failure)
    }

    fn other_protocol(&self, hello: &Hello) -> NoAnswer {
        let (least, greatest) = (hello.protocol_min, hello.protocol_max);
        let failure = Failure::new(Code::OtherProtocol)
            .with("node", self.endpoint)
            .with("speaks", format!("protocol {least} to {greatest}"))
            .remedy("use the binary of the cluster's version");
        NoAnswer::Failed(failure)
    }
}

type Outcome<T> = Result<T, NoAnswer>;

fn read_response<R: Request>(body: &[u8]) -> Result<Outcome<R::Answer>, WireError> {
    match response(body)?.answer {
        Answer::Done(output) => read_answer::<R>(output).map(Ok),
        Answer::Refused(refusal) => Ok(Err(NoAnswer::Refused(refusal))),
    }
}

/// What silence means: for a question that looks, that nothing happened; for one that changes, nothing.
fn lost(endpoint: &Endpoint, effect: Effect, error: &io::Error) -> NoAnswer {
    // A read or write whose time is over reports WouldBlock.
    let is_late = matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::WouldBlock);
    let code = match effect {
        Effect::Changes => Code::OutcomeUnknown,
        Effect::Reads if is_late => Code::TimedOut,
        Effect::Reads => Code::Unreachable,
    };
    let failure = Failure::new(code).with("node", endpoint);
    NoAnswer::Failed(if is_late {
        failure.remedy("ask again, with a longer --timeout if the node is busy")
    } else {
        failure
            .with("reason", error)
            .remedy("start the node, or give addresses of others by --endpoints")
    })
}
