//! One group's machine with everything deterministic around it: the session table, log time, the
//! effect chain. It takes committed entries one by one and says what came of them.
//!
//! ```text
//!   payload ── check_command ──> (appended, committed) ── apply ──> Answers
//!   query   ── answer ──> bytes                             │
//!                                    freeze ──> FrozenHost ─┴─ encode ──> checkpoint ──> restore
//! ```
//!
//! Invariants:
//! * Entries come one by one, in index order, and log time never goes back.
//! * Whatever `apply` changes follows from the entries alone: two hosts that took the same entries
//!   are equal, wherever one of them was rebuilt from a checkpoint.
//! * After a panic the machine is gone. The host says what happened and applies nothing more.
//!
//! Its parts: `command_apply.rs` applies commands, `session_apply.rs` the entries about sessions,
//! `reading.rs` answers those who only look, `checkpoint.rs` writes it down and puts it back.

use crate::answers::{Answers, Code};
use crate::effect_chain::EffectChain;
use crate::expiry_queue::ExpiryQueue;
use crate::guard::Guard;
use crate::input::Input;
use crate::limits::Limits;
use crate::operations::Place;
use crate::registry::{AnyMachine, MachineType, Registry, UnknownMachine};
use crate::session_table::SessionTable;
use crate::shared;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use margay_types::{Index, LogTime, OperationId, SessionId, Term};

/// A host that cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// This binary has no machine of that name.
    #[error(transparent)]
    UnknownMachine(#[from] UnknownMachine),
    /// The options are not the machine's; refuse to create the group.
    #[error("the options are not those of the machine")]
    Options,
    /// The limits contradict themselves; refuse to create the group.
    #[error("the limits contradict themselves")]
    Limits,
    /// The checkpoint is of another version of the machine; run a binary that has it.
    #[error("the checkpoint needs version {checkpoint} of the machine, this binary has {binary}")]
    Version {
        /// The version in the checkpoint.
        checkpoint: u32,
        /// The version of this binary.
        binary: u32,
    },
    /// The checkpoint is damaged, or of a newer format.
    #[error("the checkpoint is damaged, or of a newer format")]
    Checkpoint,
    /// The machine panicked while it was made.
    #[error("the machine panicked while it was made: {message}")]
    Panicked {
        /// Its message.
        message: String,
    },
}

/// Why a host has stopped. It stays so until it is rebuilt from a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("applying stopped at {index}, {reason}: {message}")]
pub struct Stopped {
    /// The entry that could not be applied.
    pub index: Index,
    /// Its operation, if it is a command.
    pub operation: Option<OperationId>,
    /// What happened.
    pub reason: StopReason,
    /// The panic's message; empty when there was none.
    pub message: String,
}

/// What stops a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StopReason {
    /// The machine panicked. An operator may have the entry skipped.
    #[error("the machine panicked")]
    Panicked,
    /// The entry is a command that this machine does not have or cannot decode: the leader that
    /// appended it has another binary.
    #[error("the machine has no such command")]
    Unfit,
    /// The entry skips one that was applied here already. Rebuild from a checkpoint below that one.
    #[error("the entry skips one that was applied already")]
    SkipCameLate,
}

/// One group's machine, applied up to an index.
pub struct Host {
    pub(crate) name: Arc<str>,
    pub(crate) kind: MachineType,
    pub(crate) options: Arc<[u8]>,
    pub(crate) limits: Limits,
    pub(crate) guard: Guard,
    pub(crate) machine: Option<Box<dyn AnyMachine>>,
    pub(crate) stopped: Option<Box<Stopped>>,
    pub(crate) sessions: SessionTable,
    pub(crate) expiry: ExpiryQueue,
    pub(crate) chain: EffectChain,
    pub(crate) skipped: shared::Map<u64, ()>,
    pub(crate) applied_index: Index,
    pub(crate) log_time: LogTime,
    pub(crate) term: Term,
}

/// The entry that is being applied.
#[derive(Clone, Copy)]
pub(crate) struct Entry {
    pub(crate) index: Index,
    pub(crate) time: LogTime,
    pub(crate) term: Term,
    pub(crate) mode: Mode,
}

impl Entry {
    pub(crate) fn place(self, session: Option<SessionId>) -> Place {
        Place {
            index: self.index,
            time: self.time,
            session,
        }
    }
}

/// Is an entry applied, or was it put out of the way?
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Apply,
    Skip,
}

impl Host {
    /// The host of a group that has applied nothing yet.
    ///
    /// # Errors
    /// The group cannot live here; see [`HostError`].
    pub fn new(
        registry: &Registry,
        machine: &str,
        options: &[u8],
        limits: Limits,
    ) -> Result<Self, HostError> {
        let kind = registry.lookup(machine)?;
        if !limits.is_legal() {
            return Err(HostError::Limits);
        }
        let mut made = None;
        (registry.guard)(&mut || made = Some((kind.new)(options)))
            .map_err(|message| HostError::Panicked { message })?;
        let made = made
            .expect("a guard calls what it is given")
            .map_err(|_| HostError::Options)?;
        Ok(Self {
            name: Arc::from(machine),
            kind,
            options: Arc::from(options),
            limits,
            guard: registry.guard,
            machine: Some(made),
            stopped: None,
            sessions: SessionTable::default(),
            expiry: ExpiryQueue::default(),
            chain: EffectChain::new(),
            skipped: shared::Map::new(),
            applied_index: Index::ZERO,
            log_time: LogTime::ZERO,
            term: Term::ZERO,
        })
    }

    /// Applies the committed entry at `index`, and adds what came of it to `answers`.
    ///
    /// # Errors
    /// The host has stopped, here or before; nothing of this entry counts.
    ///
    /// # Panics
    /// When entries do not follow each other, or log time or terms go back: a mistake of ours.
    #[expect(
        clippy::too_many_arguments,
        reason = "three numbers of a record header, its payload and where the answers go"
    )]
    pub fn apply(
        &mut self,
        index: Index,
        log_time: LogTime,
        term: Term,
        input: Input<'_>,
        answers: &mut Answers,
    ) -> Result<(), Stopped> {
        let entry = self.enter(index, log_time, term, Mode::Apply)?;
        self.apply_entry(entry, input, answers)
    }

    /// Passes over the committed entry at `index`, because a committed skip names it. A command's
    /// number is used up; its output is the error `Skipped`. An entry that is no `Input` at all is
    /// passed over as `Input::Tick`.
    ///
    /// # Errors
    /// The host has stopped before.
    ///
    /// # Panics
    /// As `apply`.
    #[expect(
        clippy::too_many_arguments,
        reason = "three numbers of a record header, its payload and where the answers go"
    )]
    pub fn apply_skipped(
        &mut self,
        index: Index,
        log_time: LogTime,
        term: Term,
        input: Input<'_>,
        answers: &mut Answers,
    ) -> Result<(), Stopped> {
        let entry = self.enter(index, log_time, term, Mode::Skip)?;
        self.skipped.insert(index.number(), ());
        self.apply_entry(entry, input, answers)
    }

    fn enter(&self, index: Index, time: LogTime, term: Term, mode: Mode) -> Result<Entry, Stopped> {
        if let Some(stopped) = &self.stopped {
            return Err((**stopped).clone());
        }
        assert!(
            index == self.applied_index.next(),
            "entry {index} does not follow {}",
            self.applied_index
        );
        assert!(
            time >= self.log_time,
            "log time goes back at {index}: from {} to {time}",
            self.log_time
        );
        assert!(
            term >= self.term,
            "terms go back at {index}: from {} to {term}",
            self.term
        );
        Ok(Entry {
            index,
            time,
            term,
            mode,
        })
    }

    fn apply_entry(
        &mut self,
        entry: Entry,
        input: Input<'_>,
        answers: &mut Answers,
    ) -> Result<(), Stopped> {
        self.chain.begin(entry.index);
        let code = match input {
            Input::Command(command) => self.apply_command(entry, &command, answers)?,
            Input::NoOp => {
                self.sessions.refresh_all(entry.time);
                Code::Output
            }
            Input::Open(_)
            | Input::Close(_)
            | Input::Expire(_)
            | Input::Refresh(_)
            | Input::Settings(_)
                if entry.mode == Mode::Skip =>
            {
                Code::Skipped
            }
            Input::Open(open) => self.apply_open(entry, open, answers)?,
            Input::Close(session) => self.apply_close(entry, session, answers)?,
            Input::Expire(sessions) => self.apply_expire(entry, sessions, answers)?,
            Input::Refresh(refreshes) => self.apply_refresh(entry, refreshes),
            Input::Settings(limits) => {
                self.limits = limits;
                Code::Output
            }
            Input::Skip(skipped) => self.apply_skip(entry, skipped)?,
            Input::Configuration | Input::Tick | Input::Checkpoint => Code::Output,
        };
        self.chain.finish(entry.index, code);
        self.applied_index = entry.index;
        self.log_time = entry.time;
        self.term = entry.term;
        Ok(())
    }

    /// A skip must have been seen before the entry that it skips was applied.
    fn apply_skip(&mut self, entry: Entry, skipped: Index) -> Result<Code, Stopped> {
        if skipped >= entry.index || self.skipped.remove(&skipped.number()) {
            return Ok(Code::Skipped);
        }
        Err(self.stop(entry.index, None, StopReason::SkipCameLate, String::new()))
    }

    /// The entry at `index` is none that this version can read: the host stops there.
    pub fn stop_unfit(&mut self, index: Index) -> Stopped {
        self.stop(index, None, StopReason::Unfit, String::new())
    }

    /// Ends all applying. A machine that panicked is torn down where a second panic does no harm.
    pub(crate) fn stop(
        &mut self,
        index: Index,
        operation: Option<OperationId>,
        reason: StopReason,
        message: String,
    ) -> Stopped {
        let mut machine = self.machine.take();
        let _ = (self.guard)(&mut || drop(machine.take()));
        let stopped = Stopped {
            index,
            operation,
            reason,
            message,
        };
        self.stopped = Some(Box::new(stopped.clone()));
        stopped
    }
}
