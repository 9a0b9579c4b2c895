//! Applying a command: exactly once, in the session's order, whatever is repeated.
//!
//! ```text
//!   number <= applied       the first output again, or `OutputGone`; never a second execution
//!   number == applied + 1   executed, if window and cache allow; its output is kept
//!   number >  applied + 1   `NotNext`; never executed, and the number stays free
//! ```

use crate::answers::{Answer, Answers, Code, Recipient};
use crate::command_header::CommandView;
use crate::host::{Entry, Host, Mode, StopReason, Stopped};
use crate::limits::OUTPUT_OVERHEAD_BYTES;
use crate::operations::{Call, SKIP, Unfit};
use crate::session::{CachedOutput, Standing};
use crate::session_map::Slot;
use alloc::string::String;
#[cfg(feature = "mutants")]
use margay_types::mutant::{self, Mutant};

impl Host {
    pub(crate) fn apply_command(
        &mut self,
        entry: Entry,
        command: &CommandView<'_>,
        answers: &mut Answers,
    ) -> Result<Code, Stopped> {
        let Some(session) = command.session else {
            return self.apply_without_session(entry, command, answers);
        };
        let recipient = Recipient::Command {
            session,
            sequence: command.sequence,
        };
        let Some(slot) = self.sessions.find(session) else {
            let code = self.sessions.why_missing(session);
            self.refuse(entry, recipient, code, answers);
            return Ok(code);
        };
        self.sessions.on_heard(
            slot,
            entry.time,
            command.acknowledged_below,
            command.events_received,
        );
        match self.sessions.at(slot).standing(command.sequence) {
            #[cfg(feature = "mutants")]
            Standing::Duplicate if mutant::is(Mutant::DuplicateExecuted) => {
                self.execute_again(entry, slot, command, answers)
            }
            Standing::Duplicate => Ok(self.repeat(entry, slot, command, answers)),
            Standing::Ahead => {
                let next = self.sessions.at(slot).applied().next();
                self.chain
                    .output_mut()
                    .extend_from_slice(&next.number().to_le_bytes());
                self.refuse(entry, recipient, Code::NotNext, answers);
                Ok(Code::NotNext)
            }
            Standing::Next => {
                if let Err(code) = self.admit(slot, command) {
                    self.refuse(entry, recipient, code, answers);
                    return Ok(code);
                }
                self.apply_next(entry, slot, command, answers)
            }
        }
    }

    /// Executes the session's next command and keeps what comes of it.
    fn apply_next(
        &mut self,
        entry: Entry,
        slot: Slot,
        command: &CommandView<'_>,
        answers: &mut Answers,
    ) -> Result<Code, Stopped> {
        let (session, event_counter) = {
            let session = self.sessions.at(slot);
            (session.id, session.event_counter)
        };
        let code = self.execute(entry, command)?;
        let output = self.chain.output();
        let cached = CachedOutput::new(entry.index, event_counter, code, output);
        answers.push(Answer {
            recipient: Recipient::Command {
                session,
                sequence: command.sequence,
            },
            index: entry.index,
            event_counter,
            code,
            output,
        });
        self.sessions.keep(slot, cached);
        Ok(code)
    }

    /// What no host may do: a number that was applied is executed a second time, and its new output answered.
    #[cfg(feature = "mutants")]
    fn execute_again(
        &mut self,
        entry: Entry,
        slot: Slot,
        command: &CommandView<'_>,
        answers: &mut Answers,
    ) -> Result<Code, Stopped> {
        let (session, event_counter) = {
            let session = self.sessions.at(slot);
            (session.id, session.event_counter)
        };
        let code = self.execute(entry, command)?;
        answers.push(Answer {
            recipient: Recipient::Command {
                session,
                sequence: command.sequence,
            },
            index: entry.index,
            event_counter,
            code,
            output: self.chain.output(),
        });
        Ok(code)
    }

    fn apply_without_session(
        &mut self,
        entry: Entry,
        command: &CommandView<'_>,
        answers: &mut Answers,
    ) -> Result<Code, Stopped> {
        let code = self.execute(entry, command)?;
        answers.push(Answer {
            recipient: Recipient::WithoutSession,
            index: entry.index,
            event_counter: 0,
            code,
            output: self.chain.output(),
        });
        Ok(code)
    }

    /// Lets the machine run the command, its output going into the chain's link.
    fn execute(&mut self, entry: Entry, command: &CommandView<'_>) -> Result<Code, Stopped> {
        if entry.mode == Mode::Skip {
            return Ok(Code::Skipped);
        }
        if command.operation == SKIP {
            return Ok(Code::SkippedByClient);
        }
        let call = Call {
            operation: command.operation,
            bytes: command.bytes,
            place: entry.place(command.session),
        };
        let (sessions, out) = (&self.sessions, self.chain.output_mut());
        let machine = self
            .machine
            .as_mut()
            .expect("a host that has not stopped has its machine");
        let mut outcome = Ok(());
        let guarded = (self.guard)(&mut || outcome = machine.apply(call, sessions, out));
        let operation = Some(command.operation);
        if let Err(message) = guarded {
            return Err(self.stop(entry.index, operation, StopReason::Panicked, message));
        }
        match outcome {
            Ok(()) => {}
            Err(Unfit::Unknown | Unfit::Undecodable) => {
                return Err(self.stop(entry.index, operation, StopReason::Unfit, String::new()));
            }
        }
        if self.chain.output().len() > self.output_bytes_max(command) {
            self.chain.clear_output();
            return Ok(Code::OutputTooLarge);
        }
        Ok(Code::Output)
    }

    /// Whether window and caches have room for the session's next command. A leader asks the same
    /// before it appends; this is what makes the bounds hold whatever leaders do.
    fn admit(&self, slot: Slot, command: &CommandView<'_>) -> Result<(), Code> {
        let session = self.sessions.at(slot);
        if !self
            .limits
            .is_in_window(command.sequence, session.acknowledged_below())
        {
            return Err(Code::WindowFull);
        }
        let needed = OUTPUT_OVERHEAD_BYTES + self.output_bytes_max(command) as u64;
        if session.cached_bytes() + needed > self.limits.session_cache_bytes_max {
            return Err(Code::WindowFull);
        }
        if self.sessions.cached_bytes() + needed > self.limits.group_cache_bytes_max {
            return Err(Code::CacheFull);
        }
        Ok(())
    }

    fn output_bytes_max(&self, command: &CommandView<'_>) -> usize {
        let declared = (self.kind.output_bytes_max)(command.operation).unwrap_or(0);
        declared.min(self.limits.output_bytes_max as usize)
    }

    /// A number that was applied already: what came of it then.
    fn repeat(
        &self,
        entry: Entry,
        slot: Slot,
        command: &CommandView<'_>,
        answers: &mut Answers,
    ) -> Code {
        let session = self.sessions.at(slot);
        let recipient = Recipient::Command {
            session: session.id,
            sequence: command.sequence,
        };
        match session.output(command.sequence) {
            Some(cached) => {
                answers.push(Answer {
                    recipient,
                    index: cached.index,
                    event_counter: cached.event_counter,
                    code: cached.code,
                    output: cached.bytes(),
                });
                cached.code
            }
            None => {
                answers.push(Answer {
                    recipient,
                    index: entry.index,
                    event_counter: session.event_counter,
                    code: Code::OutputGone,
                    output: &[],
                });
                Code::OutputGone
            }
        }
    }

    /// Not applied, and the number stays free: what the chain's link holds is answered.
    fn refuse(&self, entry: Entry, recipient: Recipient, code: Code, answers: &mut Answers) {
        answers.push(Answer {
            recipient,
            index: entry.index,
            event_counter: 0,
            code,
            output: self.chain.output(),
        });
    }
}
