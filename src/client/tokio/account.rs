//! One session, as its task sees it: how far it is, and which calls wait for what.
//!
//! ```text
//!   Opening ──opened──> Open ──close, release──> Closing ──closed──> (removed)
//!      └──────── not in time ───────────────────────▲
//! ```
//!
//! ```text
//!   submitted ──> waiting (no number yet) ──window has room──> in flight (numbered) ──> answered
//!                    └─ late: TimedOut, never sent                └─ late: OutcomeUnknown, goes on
//! ```
//!
//! Invariants:
//! * Commands pass both queues in the order in which they were submitted.
//! * In flight here are exactly the commands that are in flight in the protocol; one whose call was told that it is
//!   late keeps its place.
//! * The protocol is told to close a session only when nothing waits any more.

use super::limits::{WAITING_BYTES_MAX, WAITING_COMMANDS_MAX};
use super::request::{Answer, Command, Hold, Request};
use crate::blocking::Reply;
use crate::error::{ClientError, SubmitError};
use crate::protocol::Protocol;
use crate::session::SessionKey;
use margay_types::SequenceNumber;
use margay_wire::Refusal;
use std::collections::VecDeque;
use tokio::sync::mpsc::OwnedPermit;

/// How far a session is.
enum Stage {
    Opening {
        deadline_ns: u64,
        release: OwnedPermit<Request>,
        answer: Answer<Hold>,
    },
    Open,
    /// Behind everything that waits or is in flight.
    Closing(Told),
}

/// Has the protocol been told?
#[derive(Clone, Copy, PartialEq, Eq)]
enum Told {
    NotYet,
    Yes,
}

/// A command with a number.
struct InFlight {
    sequence: SequenceNumber,
    /// `None` once its call was told that it is late.
    answer: Option<Answer<Reply>>,
}

/// Somebody who waits for the session's end.
struct Farewell {
    deadline_ns: u64,
    answer: Answer<()>,
}

/// The calls of one session.
pub(super) struct Account {
    stage: Stage,
    waiting: VecDeque<Command>,
    waiting_bytes: usize,
    in_flight: VecDeque<InFlight>,
    farewells: Vec<Farewell>,
}

impl Account {
    pub(super) const fn opening(
        deadline_ns: u64,
        release: OwnedPermit<Request>,
        answer: Answer<Hold>,
    ) -> Self {
        Self {
            stage: Stage::Opening {
                deadline_ns,
                release,
                answer,
            },
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            in_flight: VecDeque::new(),
            farewells: Vec::new(),
        }
    }

    /// The session is open: whoever asked for it gets it. If nobody is there, it comes back as a release.
    pub(super) fn on_opened(&mut self, key: SessionKey) {
        let stage = core::mem::replace(&mut self.stage, Stage::Open);
        match stage {
            Stage::Opening {
                release, answer, ..
            } => {
                let _ = answer.send(Ok(Hold::new(key, release)));
            }
            // It opened too late, and is being closed.
            Stage::Open | Stage::Closing(_) => self.stage = stage,
        }
    }

    /// Takes a command behind the others, or refuses it before it has a number.
    pub(super) fn submit(&mut self, command: Command) {
        let bytes = self.waiting_bytes + command.bytes.len();
        let is_full = self.waiting.len() >= WAITING_COMMANDS_MAX || bytes > WAITING_BYTES_MAX;
        let refusal = match self.stage {
            Stage::Open if is_full => Some(SubmitError::QueueFull),
            Stage::Open => None,
            Stage::Opening { .. } | Stage::Closing(_) => Some(SubmitError::NotOpen),
        };
        match refusal {
            Some(refusal) => {
                let _ = command.answer.send(Err(refusal.into()));
            }
            None => {
                self.waiting_bytes = bytes;
                self.waiting.push_back(command);
            }
        }
    }

    /// Gives the protocol what it has room for; and the session's end, when nothing waits any more.
    pub(super) fn refill(&mut self, key: SessionKey, protocol: &mut Protocol) {
        while protocol.has_room(key) {
            let Some(command) = self.waiting.pop_front() else {
                break;
            };
            self.waiting_bytes -= command.bytes.len();
            let (operation, deadline_ns) = (command.operation, command.deadline_ns);
            let result = protocol.submit(key, operation, deadline_ns, |out| {
                out.extend_from_slice(&command.bytes);
            });
            match result {
                Ok(sequence) => self.in_flight.push_back(InFlight {
                    sequence,
                    answer: Some(command.answer),
                }),
                Err(error) => {
                    let _ = command.answer.send(Err(error.into()));
                }
            }
        }
        if matches!(self.stage, Stage::Closing(Told::NotYet)) && self.waiting.is_empty() {
            self.stage = Stage::Closing(Told::Yes);
            protocol.close_session(key);
        }
    }

    /// A command is decided.
    ///
    /// # Panics
    /// When it is not the oldest in flight.
    pub(super) fn on_decided(
        &mut self,
        sequence: SequenceNumber,
        result: Result<Reply, ClientError>,
    ) {
        let oldest = self.in_flight.pop_front();
        let decided = oldest.as_ref().map(|oldest| oldest.sequence);
        assert_eq!(
            decided,
            Some(sequence),
            "commands complete in the order of their numbers"
        );
        if let Some(answer) = oldest.and_then(|oldest| oldest.answer) {
            let _ = answer.send(result);
        }
    }

    /// A command's deadline has passed; it stays in flight.
    pub(super) fn on_pending(&mut self, sequence: SequenceNumber, why: &str) {
        let late = self
            .in_flight
            .iter_mut()
            .find(|command| command.sequence == sequence);
        if let Some(answer) = late.and_then(|late| late.answer.take()) {
            let _ = answer.send(Err(ClientError::OutcomeUnknown(why.to_owned())));
        }
    }

    /// Nothing more is taken; the end comes behind everything that was. Then `refill`.
    pub(super) fn close(&mut self) {
        let stage = core::mem::replace(&mut self.stage, Stage::Closing(Told::NotYet));
        match stage {
            Stage::Open => {}
            Stage::Opening { answer, .. } => {
                let _ = answer.send(Err(ClientError::TimedOut));
            }
            Stage::Closing(told) => self.stage = Stage::Closing(told),
        }
    }

    /// Somebody waits for the end.
    pub(super) fn await_end(&mut self, deadline_ns: u64, answer: Answer<()>) {
        self.farewells.push(Farewell {
            deadline_ns,
            answer,
        });
    }

    /// The session is gone, for `refusal` if it was not asked to go. What waits was never sent.
    pub(super) fn end(self, refusal: Option<Refusal>) {
        if let Stage::Opening { answer, .. } = self.stage {
            let error = refusal.map_or(ClientError::TimedOut, ClientError::Refused);
            let _ = answer.send(Err(error));
        }
        for command in self.waiting {
            let _ = command.answer.send(Err(SubmitError::NotOpen.into()));
        }
        for farewell in self.farewells {
            let _ = farewell.answer.send(Ok(()));
        }
    }

    /// Gives up what is late and was not sent; the earliest deadline of the rest. Then `refill`.
    pub(super) fn expire(&mut self, now_ns: u64) -> u64 {
        if let Stage::Opening { deadline_ns, .. } = self.stage
            && deadline_ns <= now_ns
        {
            self.close();
        }
        let is_late = |command: &Command| command.deadline_ns <= now_ns;
        if self.waiting.iter().any(is_late) {
            let waiting = core::mem::take(&mut self.waiting);
            let (late, rest): (Vec<_>, VecDeque<_>) = split(waiting, is_late);
            self.waiting_bytes = rest.iter().map(|command| command.bytes.len()).sum();
            self.waiting = rest;
            for command in late {
                let _ = command.answer.send(Err(ClientError::TimedOut));
            }
        }
        let farewells = core::mem::take(&mut self.farewells);
        let (late, rest): (Vec<_>, Vec<_>) =
            split(farewells, |farewell| farewell.deadline_ns <= now_ns);
        self.farewells = rest;
        for farewell in late {
            let _ = farewell.answer.send(Err(ClientError::TimedOut));
        }
        self.earliest_ns()
    }

    fn earliest_ns(&self) -> u64 {
        let opening_ns = match self.stage {
            Stage::Opening { deadline_ns, .. } => deadline_ns,
            Stage::Open | Stage::Closing(_) => u64::MAX,
        };
        let waiting = self.waiting.iter().map(|command| command.deadline_ns);
        let farewells = self.farewells.iter().map(|farewell| farewell.deadline_ns);
        waiting.chain(farewells).fold(opening_ns, u64::min)
    }
}

/// Those that are late, and the others, each in order.
fn split<T, Late: Default + Extend<T>, Rest: Default + Extend<T>>(
    all: impl IntoIterator<Item = T>,
    is_late: impl Fn(&T) -> bool,
) -> (Late, Rest) {
    let (mut late, mut rest) = (Late::default(), Rest::default());
    for one in all {
        if is_late(&one) {
            late.extend([one]);
        } else {
            rest.extend([one]);
        }
    }
    (late, rest)
}
