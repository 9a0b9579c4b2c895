//! The numbers of one session's commands, and the commands that may have to be sent again.
//!
//! ```text
//!        acknowledged_below                    send_from                 next
//!               │ in flight: kept until answered   │                       │
//!     ... done  │ answered · waiting · waiting ... │ not sent · not sent   │
//! ```
//!
//! An answer that comes before those of earlier commands waits in its place, so completions leave in program order
//! and `acknowledged_below` never passes a command whose output the application has not got.
//!
//! A refusal consumes no number. So a command that the group never takes is replaced, under its number, by a skip:
//! otherwise nothing behind it could ever be appended.
//!
//! Invariants:
//! * `acknowledged_below <= send_from <= next`.
//! * The payload of a number changes only from a command that was refused for good to a skip, and in what it
//!   acknowledges: each sending says what was received by then.
//! * A refusal speaks of one sending, so each command keeps the epoch in which it was sent last.
//! * Buffers of payloads are used again: after warm-up no command allocates.

#[cfg(feature = "mutants")]
use margay_machine::CommandView;
use margay_machine::{CommandHeader, SKIP};
#[cfg(feature = "mutants")]
use margay_types::mutant::{self, Mutant};
use margay_types::{Index, OperationId, SequenceNumber, SessionId};
use margay_wire::Refusal;
use std::collections::VecDeque;

/// What became of a command that was answered before its turn.
#[derive(Debug)]
enum Fate {
    /// Not answered.
    Waiting,
    /// Never taken by the group; its number is being skipped.
    Skipping(Refusal),
    /// Applied at this index, with this output.
    Done { index: Index, output: Vec<u8> },
    /// Decided, without an output.
    Refused(Refusal),
}

/// A command without an answer that counts, kept because it may have to be sent again.
#[derive(Debug)]
struct InFlight {
    payload: Vec<u8>,
    /// The epoch of its last sending.
    epoch: u8,
    /// When to tell the application that it is still pending; `u64::MAX` once told, or never.
    deadline_ns: u64,
    fate: Fate,
}

/// A completion that is due, in program order.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Due<'a> {
    Done { index: Index, output: &'a [u8] },
    Refused(Refusal),
}

/// Numbers and commands of one session.
#[derive(Debug)]
pub(crate) struct Sequencer {
    in_flight: VecDeque<InFlight>,
    in_flight_bytes: usize,
    acknowledged_below: u64,
    send_from: u64,
    /// Lower bound of the deadlines in flight.
    deadline_ns: u64,
    spare: Vec<Vec<u8>>,
}

impl Sequencer {
    pub(crate) const fn new() -> Self {
        Self {
            in_flight: VecDeque::new(),
            in_flight_bytes: 0,
            acknowledged_below: 1,
            send_from: 1,
            deadline_ns: u64::MAX,
            spare: Vec::new(),
        }
    }

    /// First number whose command is not completed.
    pub(crate) const fn acknowledged_below(&self) -> SequenceNumber {
        SequenceNumber::new(self.acknowledged_below)
    }

    /// Number of the next command.
    pub(crate) fn next(&self) -> SequenceNumber {
        SequenceNumber::new(self.next_number())
    }

    pub(crate) fn len(&self) -> usize {
        self.in_flight.len()
    }

    pub(crate) const fn bytes(&self) -> usize {
        self.in_flight_bytes
    }

    /// Lower bound of the deadlines in flight.
    pub(crate) const fn deadline_ns(&self) -> u64 {
        self.deadline_ns
    }

    fn next_number(&self) -> u64 {
        self.acknowledged_below + self.in_flight.len() as u64
    }

    /// Numbers a command and keeps its payload; it is sent by [`Self::take_unsent`].
    pub(crate) fn submit(
        &mut self,
        session: SessionId,
        operation: OperationId,
        deadline_ns: u64,
        encode: impl FnOnce(&mut Vec<u8>),
    ) -> SequenceNumber {
        let sequence = self.next();
        let header = CommandHeader::new(session, sequence, self.acknowledged_below(), operation);
        let mut payload = self.spare.pop().unwrap_or_default();
        payload.extend_from_slice(header.bytes());
        encode(&mut payload);
        self.in_flight_bytes += payload.len();
        self.in_flight.push_back(InFlight {
            payload,
            epoch: 0,
            deadline_ns,
            fate: Fate::Waiting,
        });
        self.deadline_ns = self.deadline_ns.min(deadline_ns);
        sequence
    }

    /// Takes the newest command back, before it was sent: it was too large.
    pub(crate) fn take_back(&mut self) {
        assert!(
            self.send_from < self.next_number(),
            "what was sent keeps its number"
        );
        let newest = self.in_flight.pop_back().expect("a command was submitted");
        self.in_flight_bytes -= newest.payload.len();
    }

    /// Payload bytes of the newest command.
    pub(crate) fn newest_bytes(&self) -> usize {
        self.in_flight
            .back()
            .map_or(0, |newest| newest.payload.len())
    }

    /// Commands that were sent, or need not be, from the oldest one on.
    pub(crate) const fn on_wire(&self) -> u64 {
        self.send_from - self.acknowledged_below
    }

    /// Is there a command that was not sent, or must be sent again?
    pub(crate) fn has_unsent(&self) -> bool {
        self.send_from < self.next_number()
    }

    /// The next command to send in this epoch, in order.
    pub(crate) fn take_unsent(&mut self, epoch: u8) -> Option<(SequenceNumber, &[u8])> {
        let is_unanswered =
            |command: &InFlight| matches!(command.fate, Fate::Waiting | Fate::Skipping(_));
        let first = usize::try_from(self.on_wire()).ok()?;
        let mut left = self.in_flight.range(first..);
        let Some(skipped) = left.position(is_unanswered) else {
            self.send_from = self.next_number();
            return None;
        };
        let sequence = SequenceNumber::new(self.send_from + skipped as u64);
        let below = self.acknowledged_below();
        #[cfg(feature = "mutants")]
        let below = if mutant::is(Mutant::AcknowledgedUnreceived) {
            sequence
        } else {
            below
        };
        self.send_from = sequence.number() + 1;
        let command = self.in_flight.get_mut(first + skipped)?;
        command.epoch = epoch;
        CommandHeader::acknowledge(&mut command.payload, below);
        Some((sequence, &command.payload))
    }

    /// The epoch in which a command was sent last; `None` when it was not, or must be sent again.
    pub(crate) fn sent_in(&self, sequence: SequenceNumber) -> Option<u8> {
        let distance = sequence.number().checked_sub(self.acknowledged_below)?;
        let command = self.in_flight.get(usize::try_from(distance).ok()?)?;
        (sequence.number() < self.send_from).then_some(command.epoch)
    }

    /// Sends everything unanswered from `sequence` on again.
    pub(crate) fn rewind(&mut self, sequence: SequenceNumber) {
        let sequence = sequence.number().max(self.acknowledged_below);
        self.send_from = self.send_from.min(sequence);
    }

    /// Sends everything unanswered again: the session is bound anew.
    pub(crate) const fn rewind_all(&mut self) {
        self.send_from = self.acknowledged_below;
    }

    /// What no client may do with the number that its group expects next: take what stands below for sent, or number
    /// what is unanswered from there on.
    #[cfg(feature = "mutants")]
    pub(crate) fn mistake_next(&mut self, session: SessionId, next: SequenceNumber) {
        if mutant::is(Mutant::UnansweredNotRepeated) {
            self.send_from = self.send_from.max(next.number());
        }
        if !mutant::is(Mutant::RenumberedWhenBound) || next.number() <= self.acknowledged_below {
            return;
        }
        self.acknowledged_below = next.number();
        self.send_from = next.number();
        for (number, command) in (next.number()..).zip(&mut self.in_flight) {
            let view = CommandView::decode(&command.payload).expect("what this client wrote");
            let (operation, sequence) = (view.operation, SequenceNumber::new(number));
            let header = CommandHeader::new(session, sequence, next, operation);
            let bytes = header.bytes();
            command.payload[..bytes.len()].copy_from_slice(bytes);
        }
    }

    /// The whole number whose low bits came back in an answer, if it is in flight.
    pub(crate) fn in_flight_number(&self, low: u64, mask: u64) -> Option<SequenceNumber> {
        let distance = low.wrapping_sub(self.acknowledged_below) & mask;
        (distance < self.in_flight.len() as u64)
            .then(|| SequenceNumber::new(self.acknowledged_below + distance))
    }

    fn find(&mut self, sequence: SequenceNumber) -> Option<&mut InFlight> {
        let distance = sequence.number().checked_sub(self.acknowledged_below)?;
        self.in_flight.get_mut(usize::try_from(distance).ok()?)
    }

    /// Is `sequence` the one whose completion is due next?
    pub(crate) fn is_oldest(&self, sequence: SequenceNumber) -> bool {
        sequence.number() == self.acknowledged_below
    }

    /// The oldest command was applied: completes it at once, without a copy of its output here. Says why not,
    /// when its number was only skipped.
    pub(crate) fn complete_oldest(&mut self) -> Result<(), Refusal> {
        let oldest = self.pop();
        match oldest {
            Fate::Skipping(refusal) => Err(refusal),
            Fate::Waiting | Fate::Done { .. } | Fate::Refused(_) => Ok(()),
        }
    }

    /// A command was applied, before the completion of an earlier one.
    pub(crate) fn on_done(&mut self, sequence: SequenceNumber, index: Index, output: &[u8]) {
        let Some(command) = self.find(sequence) else {
            return;
        };
        command.fate = match command.fate {
            Fate::Waiting => Fate::Done {
                index,
                output: output.to_vec(),
            },
            Fate::Skipping(refusal) => Fate::Refused(refusal),
            Fate::Done { .. } | Fate::Refused(_) => return,
        };
    }

    /// A command is decided, without an output.
    pub(crate) fn on_decided(&mut self, sequence: SequenceNumber, refusal: Refusal) {
        let Some(command) = self.find(sequence) else {
            return;
        };
        match command.fate {
            Fate::Waiting => command.fate = Fate::Refused(refusal),
            Fate::Skipping(first) => command.fate = Fate::Refused(first),
            Fate::Done { .. } | Fate::Refused(_) => {}
        }
    }

    /// The group never takes this command: skips its number, and everything behind it is sent again.
    pub(crate) fn skip(&mut self, session: SessionId, sequence: SequenceNumber, why: Refusal) {
        let below = self.acknowledged_below();
        let Some(command) = self.find(sequence) else {
            return;
        };
        if !matches!(command.fate, Fate::Waiting) {
            return;
        }
        let before = command.payload.len();
        command.payload.clear();
        command
            .payload
            .extend_from_slice(CommandHeader::new(session, sequence, below, SKIP).bytes());
        let after = command.payload.len();
        command.fate = Fate::Skipping(why);
        self.in_flight_bytes = self.in_flight_bytes - before + after;
        self.rewind(sequence);
    }

    /// Completes the oldest command, if it is answered.
    pub(crate) fn take_due(&mut self, complete: impl FnOnce(SequenceNumber, Due<'_>)) -> bool {
        let sequence = self.acknowledged_below();
        match self.in_flight.front().map(|oldest| &oldest.fate) {
            None | Some(Fate::Waiting | Fate::Skipping(_)) => return false,
            Some(Fate::Done { index, output }) => {
                complete(
                    sequence,
                    Due::Done {
                        index: *index,
                        output,
                    },
                );
            }
            Some(Fate::Refused(refusal)) => complete(sequence, Due::Refused(*refusal)),
        }
        self.pop();
        true
    }

    /// Gives up the oldest command: its session is lost.
    pub(crate) fn abandon_oldest(&mut self) -> Option<SequenceNumber> {
        let sequence = self.acknowledged_below();
        (!self.in_flight.is_empty()).then(|| {
            self.pop();
            sequence
        })
    }

    /// Reports the commands whose deadline has passed, each once.
    pub(crate) fn take_overdue(&mut self, now_ns: u64, mut report: impl FnMut(SequenceNumber)) {
        let mut earliest = u64::MAX;
        for (number, command) in (self.acknowledged_below..).zip(&mut self.in_flight) {
            let unanswered = matches!(command.fate, Fate::Waiting | Fate::Skipping(_));
            if command.deadline_ns <= now_ns {
                command.deadline_ns = u64::MAX;
                if unanswered {
                    report(SequenceNumber::new(number));
                }
            }
            earliest = earliest.min(command.deadline_ns);
        }
        self.deadline_ns = earliest;
    }

    fn pop(&mut self) -> Fate {
        let oldest = self.in_flight.pop_front().expect("a command is in flight");
        self.in_flight_bytes -= oldest.payload.len();
        self.acknowledged_below += 1;
        self.send_from = self.send_from.max(self.acknowledged_below);
        let mut payload = oldest.payload;
        payload.clear();
        self.spare.push(payload);
        oldest.fate
    }
}

#[cfg(test)]
#[path = "sequencer_tests.rs"]
mod tests;
