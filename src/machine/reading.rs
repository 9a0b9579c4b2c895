//! Those who look at a host without changing it: queries, the check before a command is appended,
//! what a leader needs to know of sessions, and what came of a command.

use crate::answers::Code;
use crate::command_header::{CommandView, HeaderError, Level};
use crate::context::View;
use crate::digest::Digest;
use crate::host::{Host, Stopped};
use crate::limits::{Limits, OUTPUT_OVERHEAD_BYTES};
use crate::operations::{SKIP, Unfit};
use crate::session::{Session, Standing};
use alloc::string::String;
use alloc::vec::Vec;
use margay_types::{ClientId, Index, LogTime, OperationId, SequenceNumber, SessionId, Term};

/// A command that may be appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckedCommand {
    /// Whose it is; `None` at level `None`.
    pub session: Option<SessionId>,
    /// Its number.
    pub sequence: SequenceNumber,
    /// What its client needs no more.
    pub acknowledged_below: SequenceNumber,
    /// Which operation.
    pub operation: OperationId,
    /// When it is answered.
    pub level: Level,
    /// Most that its output can take of the session's cache and the group's, overhead included.
    pub cached_bytes_max: u64,
}

/// A command that must not be appended. It was not applied and never will be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Its header is wrong: a mistake of the client's library.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// The machine has no such command: a client of another version, or of another machine.
    #[error("the machine has no command {0}")]
    UnknownOperation(OperationId),
    /// The bytes are not of that operation.
    #[error("the bytes are not of command {0}")]
    Undecodable(OperationId),
}

/// A query without an answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// The machine has no such query.
    #[error("the machine has no query {0}")]
    UnknownOperation(OperationId),
    /// The bytes are not of that query.
    #[error("the bytes are not of query {0}")]
    Undecodable(OperationId),
    /// The query panicked. It cannot have changed anything, so the group goes on.
    #[error("the query panicked: {message}")]
    Panicked {
        /// Its message.
        message: String,
    },
    /// The host has stopped; another replica may answer.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// What a leader needs to know of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionView {
    /// Who opened it.
    pub client: ClientId,
    /// With which attempt.
    pub attempt: u64,
    /// The highest number that was applied.
    pub applied: SequenceNumber,
    /// Outputs below this are gone.
    pub acknowledged_below: SequenceNumber,
    /// What its kept outputs take.
    pub cached_bytes: u64,
    /// The last event its client has received.
    pub events_received: u64,
    /// Events that were published to it.
    pub event_counter: u64,
    /// When it was heard from last.
    pub refreshed: LogTime,
    /// How long it lives unheard.
    pub timeout_ns: u64,
}

/// What is known of a command's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome<'a> {
    /// Applied, or decided otherwise for ever: the code says which.
    Decided {
        /// Where.
        index: Index,
        /// The session's event counter before it ran.
        event_counter: u64,
        /// What came of it.
        code: Code,
        /// The output.
        output: &'a [u8],
    },
    /// Applied, but the client let go of the output.
    Gone,
    /// Not applied here so far.
    NotYet,
    /// The session is not open; the code says why.
    NoSession(Code),
}

impl Host {
    /// Checks a command's payload before it is appended.
    ///
    /// # Errors
    /// It must be refused; see [`Refusal`].
    pub fn check_command(&self, payload: &[u8]) -> Result<CheckedCommand, Refusal> {
        self.check_decoded(&CommandView::decode(payload)?)
    }

    /// The same, of a payload that was taken apart already.
    ///
    /// # Errors
    /// As for [`Self::check_command`].
    pub fn check_decoded(&self, command: &CommandView<'_>) -> Result<CheckedCommand, Refusal> {
        let declared = self.check_operation(command)?;
        let output_bytes = declared.min(self.limits.output_bytes_max as usize);
        Ok(CheckedCommand {
            session: command.session,
            sequence: command.sequence,
            acknowledged_below: command.acknowledged_below,
            operation: command.operation,
            level: command.level,
            cached_bytes_max: OUTPUT_OVERHEAD_BYTES + output_bytes as u64,
        })
    }

    fn check_operation(&self, command: &CommandView<'_>) -> Result<usize, Refusal> {
        let operation = command.operation;
        if operation == SKIP {
            let fits = command.bytes.is_empty() && command.session.is_some();
            return if fits {
                Ok(0)
            } else {
                Err(Refusal::Undecodable(operation))
            };
        }
        let mut checked = Err(Unfit::Undecodable);
        // A decoder that panics has not decoded, and there is no state that it could have hurt.
        let _ = (self.guard)(&mut || checked = (self.kind.check)(operation, command.bytes));
        checked.map_err(|unfit| match unfit {
            Unfit::Unknown => Refusal::UnknownOperation(operation),
            Unfit::Undecodable => Refusal::Undecodable(operation),
        })
    }

    /// Answers a query from the state as it is, appending the answer to `out`.
    ///
    /// # Errors
    /// There is no answer, and `out` is as it was; see [`QueryError`].
    pub fn answer(
        &self,
        operation: OperationId,
        query: &[u8],
        session: Option<SessionId>,
        out: &mut Vec<u8>,
    ) -> Result<(), QueryError> {
        let Some(machine) = &self.machine else {
            let stopped = self
                .stopped()
                .expect("a host without a machine has stopped");
            return Err(QueryError::Stopped(stopped.clone()));
        };
        let view = View {
            index: self.applied_index,
            time: self.log_time,
            session,
        };
        let before = out.len();
        let mut answered = Ok(());
        let guarded = (self.guard)(&mut || answered = machine.answer(operation, query, &view, out));
        let outcome = match guarded {
            Err(message) => Err(QueryError::Panicked { message }),
            Ok(()) => answered.map_err(|unfit| match unfit {
                Unfit::Unknown => QueryError::UnknownOperation(operation),
                Unfit::Undecodable => QueryError::Undecodable(operation),
            }),
        };
        if outcome.is_err() {
            out.truncate(before);
        }
        outcome
    }

    /// What is known of an open session.
    #[must_use]
    pub fn session(&self, id: SessionId) -> Option<SessionView> {
        self.sessions
            .find(id)
            .map(|slot| self.view(self.sessions.at(slot)))
    }

    /// The open session of a client, if it has one.
    #[must_use]
    pub fn session_of(&self, client: ClientId) -> Option<SessionId> {
        self.sessions.of_client(client)
    }

    /// The open sessions, by ascending id.
    pub fn sessions(&self) -> impl Iterator<Item = (SessionId, SessionView)> {
        self.sessions
            .iter()
            .map(|session| (session.id, self.view(session)))
    }

    /// How many sessions are open.
    #[must_use]
    pub fn session_count(&self) -> usize {
        self.sessions.len()
    }

    fn view(&self, session: &Session) -> SessionView {
        SessionView {
            client: session.client,
            attempt: session.attempt,
            applied: session.applied(),
            acknowledged_below: session.acknowledged_below(),
            cached_bytes: session.cached_bytes(),
            events_received: session.events_received,
            event_counter: session.event_counter,
            refreshed: self.sessions.refreshed(session),
            timeout_ns: session.timeout_ns,
        }
    }

    /// What came of a session's command.
    #[must_use]
    pub fn outcome(&self, session: SessionId, sequence: SequenceNumber) -> Outcome<'_> {
        let Some(slot) = self.sessions.find(session) else {
            return Outcome::NoSession(self.sessions.why_missing(session));
        };
        let session = self.sessions.at(slot);
        match session.standing(sequence) {
            Standing::Next | Standing::Ahead => Outcome::NotYet,
            Standing::Duplicate => match session.output(sequence) {
                None => Outcome::Gone,
                Some(output) => Outcome::Decided {
                    index: output.index,
                    event_counter: output.event_counter,
                    code: output.code,
                    output: output.bytes(),
                },
            },
        }
    }

    /// What the outputs of a session take that are kept once its client needs none below `acknowledged_below`.
    #[must_use]
    pub fn kept_bytes(&self, session: SessionId, acknowledged_below: SequenceNumber) -> u64 {
        let slot = self.sessions.find(session);
        slot.map_or(0, |slot| {
            self.sessions.at(slot).kept_bytes(acknowledged_below)
        })
    }

    /// What all kept outputs take; a leader admits commands while this and what is under way stay
    /// below the limit.
    #[must_use]
    pub fn cached_bytes(&self) -> u64 {
        self.sessions.cached_bytes()
    }

    /// The limits in force.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The last entry that was applied.
    #[must_use]
    pub fn applied_index(&self) -> Index {
        self.applied_index
    }

    /// Log time of the last entry that was applied.
    #[must_use]
    pub fn log_time(&self) -> LogTime {
        self.log_time
    }

    /// Term of the last entry that was applied.
    #[must_use]
    pub fn term(&self) -> Term {
        self.term
    }

    /// Why nothing is applied any more.
    #[must_use]
    pub fn stopped(&self) -> Option<&Stopped> {
        self.stopped.as_deref()
    }

    /// The machine's name and version.
    #[must_use]
    pub fn machine(&self) -> (&str, u32) {
        (&self.name, self.kind.version)
    }

    /// The effect chain at the applied index.
    #[must_use]
    pub fn chain(&self) -> [u8; 16] {
        self.chain.value()
    }

    /// The effect chain at the last 16 multiples of 4,096, ascending.
    pub fn chain_history(&self) -> impl Iterator<Item = (Index, [u8; 16])> {
        self.chain.history().iter().copied()
    }

    /// A digest of everything here, for tests: equal hosts have equal digests. A host that has
    /// stopped has the digest of its sessions alone.
    #[must_use]
    pub fn digest(&self) -> [u8; 16] {
        let mut digest = Digest::new();
        digest.number(self.applied_index.number());
        digest.number(self.log_time.number());
        digest.bytes(&self.chain.value());
        self.sessions.digest(&mut digest);
        if let Some(machine) = &self.machine {
            machine.digest(&mut digest);
            let mut residual = Vec::new();
            machine.freeze().write(&mut residual);
            digest.bytes(&residual);
        }
        digest.finish()
    }
}
