//! Applying the entries about sessions: open, close, expire, refresh.
//!
//! The machine is told of every beginning and end at its place in the log. When a session replaces
//! another, the end comes first.

use crate::answers::{Answer, Answers, Code, Recipient};
use crate::context::SessionChange;
use crate::host::{Entry, Host, StopReason, Stopped};
use crate::payload::{Open, Refresh, SessionNumber};
use crate::session_map::Slot;
use crate::session_table::{End, Opened};
use margay_types::SessionId;
#[cfg(feature = "mutants")]
use margay_types::mutant::{self, Mutant};

impl Host {
    pub(crate) fn apply_open(
        &mut self,
        entry: Entry,
        open: &Open,
        answers: &mut Answers,
    ) -> Result<Code, Stopped> {
        let id = SessionId::new(entry.index.number());
        let opened = self.sessions.on_open(id, open, entry.time, &self.limits);
        let (session, code) = match opened {
            Opened::New { replaced } => {
                if let Some(replaced) = replaced {
                    self.tell(entry, replaced, SessionChange::Expired)?;
                    self.on_ended(entry, replaced, Code::SessionReplaced, answers);
                }
                self.expiry
                    .on_opened(id, entry.time.plus_ns(open.timeout_ns()));
                self.prune_expiry();
                self.tell(entry, id, SessionChange::Opened)?;
                (Some(id), Code::Output)
            }
            Opened::Same(same) => (Some(same), Code::Output),
            Opened::Refused(code) => (None, code),
        };
        let number = session.map_or(0, SessionId::number);
        self.chain
            .output_mut()
            .extend_from_slice(&number.to_le_bytes());
        let recipient = Recipient::Opening {
            client: open.client(),
            attempt: open.attempt(),
            session,
        };
        answers.push(Answer {
            recipient,
            index: entry.index,
            event_counter: 0,
            code,
            output: &[],
        });
        Ok(code)
    }

    pub(crate) fn apply_close(
        &mut self,
        entry: Entry,
        session: SessionId,
        answers: &mut Answers,
    ) -> Result<Code, Stopped> {
        let Some(slot) = self.sessions.find(session) else {
            let code = self.sessions.why_missing(session);
            self.on_ended(entry, session, code, answers);
            return Ok(code);
        };
        self.end(entry, slot, End::Closed, answers)?;
        Ok(Code::Output)
    }

    /// Ends those of the listed sessions that still were not heard from: input that was committed
    /// since the entry was proposed saves them.
    pub(crate) fn apply_expire(
        &mut self,
        entry: Entry,
        sessions: &[SessionNumber],
        answers: &mut Answers,
    ) -> Result<Code, Stopped> {
        for number in sessions {
            let Some(slot) = self.sessions.find(number.session()) else {
                continue;
            };
            let is_expired = self.sessions.is_expired(slot, entry.time);
            #[cfg(feature = "mutants")]
            let is_expired = is_expired || mutant::is(Mutant::ExpiresAlthoughHeard);
            if is_expired {
                self.end(entry, slot, End::Expired, answers)?;
            }
        }
        Ok(Code::Output)
    }

    pub(crate) fn apply_refresh(&mut self, entry: Entry, refreshes: &[Refresh]) -> Code {
        for refresh in refreshes {
            if let Some(slot) = self.sessions.find(refresh.session()) {
                self.sessions.on_refresh(slot, refresh, entry.time);
            }
        }
        Code::Output
    }

    fn end(
        &mut self,
        entry: Entry,
        slot: Slot,
        end: End,
        answers: &mut Answers,
    ) -> Result<(), Stopped> {
        let session = self.sessions.at(slot).id;
        self.sessions.end(slot, end);
        let change = match end {
            End::Closed => SessionChange::Closed,
            End::Expired | End::Replaced => SessionChange::Expired,
        };
        self.tell(entry, session, change)?;
        self.on_ended(entry, session, end.code(), answers);
        Ok(())
    }

    /// Tells whoever is attached that a session is no more, and puts the end into the chain.
    fn on_ended(&mut self, entry: Entry, session: SessionId, code: Code, answers: &mut Answers) {
        self.chain
            .output_mut()
            .extend_from_slice(&session.number().to_le_bytes());
        let recipient = Recipient::Ended { session };
        answers.push(Answer {
            recipient,
            index: entry.index,
            event_counter: 0,
            code,
            output: &[],
        });
    }

    /// Tells the machine.
    fn tell(
        &mut self,
        entry: Entry,
        session: SessionId,
        change: SessionChange,
    ) -> Result<(), Stopped> {
        let place = entry.place(Some(session));
        let sessions = &self.sessions;
        let machine = self
            .machine
            .as_mut()
            .expect("a host that has not stopped has its machine");
        (self.guard)(&mut || machine.on_session(change, place, sessions))
            .map_err(|message| self.stop(entry.index, None, StopReason::Panicked, message))
    }
}
