//! From a client's frame to an entry in the log: who may append, and in which order.
//!
//! ```text
//!   Command ─> attached here? ─> leading? ─> numbers known? ─┬─ next    ─> admitted? ─> decodes? ─> append, wait
//!                                                            ├─ earlier ─> answer, or attach to it
//!                                                            └─ gap     ─> refuse with what is next
//! ```
//!
//! A refusal consumes no number and leaves nothing behind: the client sends again, in order.

use crate::limits::{COMMAND_BYTES_MAX, OVERLOADED_RETRY_MS, WAITERS_MAX};
use crate::shard::Seams;
use crate::shard::applying::refusal_of;
use crate::shard::attachments::Attachment;
use crate::shard::hosted::Hosted;
use crate::shard::means::Means;
use crate::shard::sequencing::Place;
use crate::shard::waiters::Requester;
use crate::storage::record;
use margay_machine::{CommandView, Outcome};
use margay_raft::{EntryKind, ProposeError};
#[cfg(feature = "mutants")]
use margay_types::mutant::{self, Mutant};
use margay_types::{Index, SequenceNumber, SessionId};
use margay_wire::client::ResponseHead;
use margay_wire::refusal::Refusal;

impl Hosted {
    /// A command of an attached session.
    pub(crate) fn on_command<S: Seams>(
        &mut self,
        means: &mut Means<S>,
        to: Requester,
        attachment: &Attachment,
        payload: &[u8],
    ) {
        if let Err(refusal) = self.try_command(means, to, attachment, payload) {
            means.refuse(to, self.head(), &refusal);
        }
    }

    fn try_command<S: Seams>(
        &mut self,
        means: &mut Means<S>,
        to: Requester,
        attachment: &Attachment,
        payload: &[u8],
    ) -> Result<(), Refusal> {
        self.check_serving()?;
        if payload.len() > COMMAND_BYTES_MAX {
            let bytes_max = u32::try_from(COMMAND_BYTES_MAX).expect("a limit below 4 GiB");
            return Err(Refusal::CommandTooLarge { bytes_max });
        }
        let header = CommandView::decode(payload).map_err(|_| Refusal::BadOperation)?;
        if header.session != Some(attachment.session) {
            return Err(Refusal::BadRequest);
        }
        let (session, sequence) = (attachment.session, header.sequence);
        match self.place_of(session, sequence)? {
            #[cfg(feature = "mutants")]
            Place::Earlier if mutant::is(Mutant::DuplicateExecuted) => {
                self.append_command(means, to, (session, &header), payload)
            }
            Place::Next => self.append_command(means, to, (session, &header), payload),
            Place::Earlier => self.on_duplicate(means, to, session, sequence),
            Place::Gap { next } => Err(Refusal::NextIs { sequence: next }),
        }
    }

    /// Can this replica take commands at all?
    pub(crate) fn check_serving(&self) -> Result<(), Refusal> {
        if self.reign.is_none() {
            return Err(self.not_leader());
        }
        if self.stopped.is_some() {
            return Err(Refusal::StoppedMachine);
        }
        Ok(())
    }

    fn place_of(&mut self, session: SessionId, sequence: SequenceNumber) -> Result<Place, Refusal> {
        let has_applied_own_term = self.has_applied_own_term();
        let applied = self.host.applied_index();
        let host = &self.host;
        let reign = self
            .reign
            .as_mut()
            .expect("a replica that serves commands leads");
        let not_ready = Refusal::NotReady {
            retry_after_ms: crate::limits::NOT_READY_RETRY_MS,
        };
        if !reign.sequencing.is_ready(applied) {
            return Err(not_ready);
        }
        let place = reign.sequencing.place(session, sequence, || {
            host.session(session).map(|view| view.applied)
        });
        match place {
            Some(place) => Ok(place),
            None if has_applied_own_term => Err(self.why_missing(session)),
            None => Err(not_ready),
        }
    }

    /// How a session that is not there ended.
    pub(crate) fn why_missing(&self, session: SessionId) -> Refusal {
        match self.host.outcome(session, SequenceNumber::new(0)) {
            Outcome::NoSession(code) => {
                refusal_of(code, &[]).expect("a code that says why a session is missing")
            }
            Outcome::Decided { .. } | Outcome::Gone | Outcome::NotYet => Refusal::UnknownSession,
        }
    }

    fn append_command<S: Seams>(
        &mut self,
        means: &mut Means<S>,
        to: Requester,
        (session, header): (SessionId, &CommandView<'_>),
        payload: &[u8],
    ) -> Result<(), Refusal> {
        // Before the machine looks at its bytes: a leader with too much to do must not do that, too.
        self.admit(means, payload.len())?;
        let command = self
            .host
            .check_decoded(header)
            .map_err(|_| Refusal::BadOperation)?;
        let limits = self.host.limits();
        if !limits.is_in_window(command.sequence, command.acknowledged_below) {
            return Err(Refusal::WindowFull);
        }
        self.admit_output(session, &command, means.now_ns)?;
        let index = self.append(means, EntryKind::CommandPlain, payload)?;
        let reign = self.reign.as_mut().expect("a replica that appends leads");
        let output_bytes_max = command.cached_bytes_max;
        reign
            .sequencing
            .count(session, command.sequence, output_bytes_max);
        reign.door.on_taken();
        reign.waiters.push(index, to, payload.len(), means.now_ns);
        Ok(())
    }

    /// Appends an entry of this turn.
    pub(crate) fn append<S: Seams>(
        &mut self,
        means: &mut Means<S>,
        kind: EntryKind,
        payload: &[u8],
    ) -> Result<Index, Refusal> {
        let size_bytes = u32::try_from(record::record_bytes(payload.len()))
            .expect("payloads are far below 4 GiB");
        let proposed = self
            .replica
            .propose(kind, size_bytes)
            .map_err(|error| match error {
                ProposeError::NotLeader { .. } => self.not_leader(),
                ProposeError::Transferring => Refusal::NotReady {
                    retry_after_ms: crate::limits::NOT_READY_RETRY_MS,
                },
            })?;
        self.store(means, proposed, kind, &[payload]);
        self.will_send(means);
        Ok(proposed.position.index)
    }

    /// A command whose number was used before: its output, or a place beside whoever waits for it. Nothing is logged
    /// twice.
    fn on_duplicate<S: Seams>(
        &mut self,
        means: &mut Means<S>,
        to: Requester,
        session: SessionId,
        sequence: SequenceNumber,
    ) -> Result<(), Refusal> {
        let has_applied_own_term = self.has_applied_own_term();
        match self.host.outcome(session, sequence) {
            Outcome::Decided {
                index,
                event_counter,
                code,
                output,
            } => {
                let term = self.replica.term();
                let head = ResponseHead {
                    term,
                    index,
                    events: event_counter,
                };
                match refusal_of(code, output) {
                    None => means.answer(to, head, output),
                    Some(refusal) => means.refuse(to, head, &refusal),
                }
                Ok(())
            }
            Outcome::Gone if has_applied_own_term => Err(Refusal::OutputGone),
            Outcome::NotYet => {
                let reign = self
                    .reign
                    .as_mut()
                    .expect("a replica that serves commands leads");
                if reign.waiters.count() >= WAITERS_MAX {
                    return Err(Refusal::Overloaded {
                        retry_after_ms: OVERLOADED_RETRY_MS,
                    });
                }
                reign.waiters.attach((session, sequence), to);
                Ok(())
            }
            Outcome::NoSession(_) if has_applied_own_term => Err(self.why_missing(session)),
            Outcome::Gone | Outcome::NoSession(_) => {
                self.refuse_not_ready(means, to);
                Ok(())
            }
        }
    }
}
