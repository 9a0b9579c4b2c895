//! A connection while its only question is asked.
//!
//! Each question opens its own: operators ask seldom, and a connection that is not kept cannot be stale.

use super::deadline::Deadline;
use super::error::OperatorError;
use super::name::resolve;
use super::question::{Effect, Question};
use margay_types::ClusterId;
use margay_wire::admin::read_answer;
use margay_wire::client::{Answer, response};
use margay_wire::hello::{HELLO_BYTES, Hello, HelloKind};
use margay_wire::{Code, Frame, FrameKind, Refusal, Splitter};
use std::fmt::Display;
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;

/// The number of the only request on a connection.
pub(super) const REQUEST: u64 = 1;
/// Bytes taken from the socket at once.
const PIECE_BYTES: usize = 64 << 10;

/// A connection to a node that answered our hello, or shall.
pub(super) struct Link<'a> {
    address: &'a str,
    stream: TcpStream,
    deadline: Deadline,
    /// Of what has been sent: behind a change, silence says nothing.
    effect: Effect,
}

impl<'a> Link<'a> {
    /// Reaches a node, at the first of its addresses that takes a connection, and exchanges hellos.
    pub(super) fn open(address: &'a str, deadline: Deadline) -> Result<Self, OperatorError> {
        let places = resolve(address, deadline)?;
        let mut last = io::Error::from(ErrorKind::TimedOut);
        for (tried, place) in places.iter().enumerate() {
            let share = deadline.share(places.len() - tried);
            let Some(left) = share.left() else { break };
            match TcpStream::connect_timeout(place, left) {
                Ok(stream) => {
                    let mut link = Self {
                        address,
                        stream,
                        deadline,
                        effect: Effect::Reads,
                    };
                    link.greet()?;
                    return Ok(link);
                }
                Err(error) => last = error,
            }
        }
        Err(lost(address, Effect::Reads, &last))
    }

    /// Sends a request and waits for its answer.
    pub(super) fn ask<Q: Question>(
        mut self,
        frame: &[u8],
        deadline: Deadline,
    ) -> Result<Q::Answer, OperatorError> {
        self.deadline = deadline;
        self.effect = Q::EFFECT;
        self.send(frame)?;
        self.answer::<Q>()
    }

    fn greet(&mut self) -> Result<(), OperatorError> {
        self.stream
            .set_nodelay(true)
            .map_err(|error| self.lost(&error))?;
        self.send(&Hello::of_client(HelloKind::Admin, ClusterId::ZERO).encode())?;
        let mut bytes = [0; HELLO_BYTES];
        let mut filled = 0;
        while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            self.limit()?;
            match self.stream.read(rest) {
                Ok(0) if filled > 0 => {
                    return Err(self.stranger("it closed the connection instead of a hello"));
                }
                Ok(0) => return Err(self.lost(&ErrorKind::ConnectionReset.into())),
                Ok(count) => filled += count,
                Err(error) => return Err(self.lost(&error)),
            }
        }
        let hello = Hello::decode(&bytes).map_err(|error| self.stranger(error))?;
        self.demand_welcome(&hello)
    }

    fn demand_welcome(&self, hello: &Hello) -> Result<(), OperatorError> {
        let address = self.address.to_owned();
        if hello.common_version().is_none() || hello.refusal == Some(Code::VersionRefused) {
            return Err(OperatorError::OtherProtocol {
                address,
                protocol_min: hello.protocol_min,
                protocol_max: hello.protocol_max,
            });
        }
        let Some(code) = hello.refusal else {
            return Ok(());
        };
        Err(match Refusal::without_detail(code) {
            Some(Refusal::OtherCluster) => OperatorError::OtherCluster { address },
            Some(refusal) => OperatorError::Refused { address, refusal },
            None => self.stranger(format_args!(
                "its hello refuses with what hellos do not say: {}",
                code.text()
            )),
        })
    }

    fn send(&mut self, bytes: &[u8]) -> Result<(), OperatorError> {
        self.limit()?;
        self.stream
            .write_all(bytes)
            .map_err(|error| self.lost(&error))
    }

    fn answer<Q: Question>(&mut self) -> Result<Q::Answer, OperatorError> {
        let mut splitter = Splitter::default();
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            self.limit()?;
            let count = match self.stream.read(&mut piece) {
                Ok(0) => return Err(self.lost(&ErrorKind::UnexpectedEof.into())),
                Ok(count) => count,
                Err(error) => return Err(self.lost(&error)),
            };
            for frame in splitter.split(piece.get(..count).unwrap_or_default()) {
                let frame = frame.map_err(|error| self.garbled(error))?;
                if frame.kind == FrameKind::Response && frame.request == REQUEST {
                    return self.read::<Q>(frame);
                }
            }
        }
    }

    fn read<Q: Question>(&self, frame: Frame<'_>) -> Result<Q::Answer, OperatorError> {
        let response = response(frame.body).map_err(|error| self.garbled(error))?;
        match response.answer {
            Answer::Done(output) => read_answer::<Q>(output).map_err(|error| self.garbled(error)),
            Answer::Refused(refusal) => Err(OperatorError::Refused {
                address: self.address.to_owned(),
                refusal,
            }),
        }
    }

    /// Bounds the next call by what is left of the deadline.
    fn limit(&self) -> Result<(), OperatorError> {
        let Some(left) = self.deadline.left() else {
            return Err(self.lost(&ErrorKind::TimedOut.into()));
        };
        self.stream
            .set_read_timeout(Some(left))
            .and_then(|()| self.stream.set_write_timeout(Some(left)))
            .map_err(|error| self.lost(&error))
    }

    fn lost(&self, error: &io::Error) -> OperatorError {
        lost(self.address, self.effect, error)
    }

    /// The other side said something in place of a hello.
    fn stranger(&self, reason: impl Display) -> OperatorError {
        OperatorError::NotMargay {
            address: self.address.to_owned(),
            reason: reason.to_string(),
        }
    }

    /// The hello was good, the answer is not. Behind a change that says nothing about what was done.
    fn garbled(&self, reason: impl Display) -> OperatorError {
        let reason = format!("its answer does not decode: {reason}");
        match self.effect {
            Effect::Reads => self.stranger(reason),
            Effect::Changes => OperatorError::OutcomeUnknown {
                address: self.address.to_owned(),
                reason,
            },
        }
    }
}

/// What silence means: for a question that looks, that nothing happened; for one that changes, nothing.
fn lost(address: &str, effect: Effect, error: &io::Error) -> OperatorError {
    let address = address.to_owned();
    // A read or write whose time is over reports WouldBlock.
    let is_late = matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::WouldBlock);
    let reason = if is_late {
        "no answer in time".to_owned()
    } else {
        error.to_string()
    };
    match effect {
        Effect::Changes => OperatorError::OutcomeUnknown { address, reason },
        Effect::Reads if is_late => OperatorError::TimedOut { address },
        Effect::Reads => OperatorError::NotReached { address, reason },
    }
}
