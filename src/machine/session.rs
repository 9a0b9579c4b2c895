//! One client's exactly-once context: which of its commands were applied, and what came of them.
//!
//! ```text
//!   sequence numbers   1 ... ───────┬───────────────────┬─────────────
//!                      output gone  │   output is kept  │ not applied
//!                           acknowledged_below       applied + 1
//! ```
//!
//! Invariants:
//! * `acknowledged_below <= applied + 1`, and neither ever goes back.
//! * `outputs` are those of `acknowledged_below..=applied`, without a hole: whatever took a number
//!   has an output, were it only the code that says why there is none.
//! * `cached_bytes` is the sum over `outputs`.

use crate::answers::Code;
use crate::limits::OUTPUT_OVERHEAD_BYTES;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
#[cfg(feature = "mutants")]
use margay_types::mutant::{self, Mutant};
use margay_types::{ClientId, Index, LogTime, SequenceNumber, SessionId};

/// Outputs up to this size live inside the table.
const INLINE_BYTES: usize = 32;
/// A queue of outputs that is smaller than this is never shrunk.
const OUTPUTS_SHRINK_ABOVE: usize = 16;

/// The bytes of a kept output.
#[derive(Clone, Debug)]
enum Bytes {
    Inline {
        length: u8,
        bytes: [u8; INLINE_BYTES],
    },
    Shared(Arc<[u8]>),
}

/// What came of one command.
#[derive(Clone, Debug)]
pub(crate) struct CachedOutput {
    /// Where it was applied.
    pub(crate) index: Index,
    /// The session's event counter before it ran.
    pub(crate) event_counter: u64,
    /// What came of it.
    pub(crate) code: Code,
    bytes: Bytes,
}

impl CachedOutput {
    pub(crate) fn new(index: Index, event_counter: u64, code: Code, output: &[u8]) -> Self {
        let bytes = match u8::try_from(output.len()) {
            Ok(length) if output.len() <= INLINE_BYTES => {
                let mut bytes = [0; INLINE_BYTES];
                bytes[..output.len()].copy_from_slice(output);
                Bytes::Inline { length, bytes }
            }
            Ok(_) | Err(_) => Bytes::Shared(Arc::from(output)),
        };
        Self {
            index,
            event_counter,
            code,
            bytes,
        }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        match &self.bytes {
            Bytes::Inline { length, bytes } => &bytes[..usize::from(*length)],
            Bytes::Shared(bytes) => bytes,
        }
    }

    pub(crate) fn cached_bytes(&self) -> u64 {
        OUTPUT_OVERHEAD_BYTES + self.bytes().len() as u64
    }
}

/// Where a sequence number stands in its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Applied already.
    Duplicate,
    /// The one to be applied next.
    Next,
    /// One before it is missing.
    Ahead,
}

/// A session's part of the table.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    /// The index of the entry that opened it.
    pub(crate) id: SessionId,
    /// Who opened it.
    pub(crate) client: ClientId,
    /// With which attempt.
    pub(crate) attempt: u64,
    /// How long it lives unheard.
    pub(crate) timeout_ns: u64,
    /// When it was heard from last, by its own entries; a new term may count for more.
    pub(crate) refreshed: LogTime,
    /// The last event its client has received.
    pub(crate) events_received: u64,
    /// Events that were published to it.
    pub(crate) event_counter: u64,
    applied: SequenceNumber,
    acknowledged_below: SequenceNumber,
    cached_bytes: u64,
    outputs: VecDeque<CachedOutput>,
}

impl Session {
    pub(crate) fn new(
        id: SessionId,
        client: ClientId,
        attempt: u64,
        timeout_ns: u64,
        now: LogTime,
    ) -> Self {
        Self {
            id,
            client,
            attempt,
            timeout_ns,
            refreshed: now,
            events_received: 0,
            event_counter: 0,
            applied: SequenceNumber::new(0),
            acknowledged_below: SequenceNumber::new(1),
            cached_bytes: 0,
            outputs: VecDeque::new(),
        }
    }

    /// The highest number that was applied.
    pub(crate) fn applied(&self) -> SequenceNumber {
        self.applied
    }

    /// The lowest number whose output is kept.
    pub(crate) fn acknowledged_below(&self) -> SequenceNumber {
        self.acknowledged_below
    }

    /// What its outputs take.
    pub(crate) fn cached_bytes(&self) -> u64 {
        self.cached_bytes
    }

    /// What those would take that are kept once outputs below `below` are not needed.
    pub(crate) fn kept_bytes(&self, below: SequenceNumber) -> u64 {
        let gone = below
            .number()
            .saturating_sub(self.acknowledged_below.number());
        let gone = usize::try_from(gone).unwrap_or(usize::MAX);
        let kept = self.outputs.iter().skip(gone);
        kept.map(CachedOutput::cached_bytes).sum()
    }

    /// The kept outputs, from `acknowledged_below` up.
    pub(crate) fn outputs(&self) -> impl ExactSizeIterator<Item = &CachedOutput> {
        self.outputs.iter()
    }

    /// Puts a session back as a checkpoint has it. The outputs follow by `keep`.
    pub(crate) fn starting_at(mut self, acknowledged_below: SequenceNumber) -> Self {
        assert!(
            self.outputs.is_empty(),
            "session {} has applied something already",
            self.id
        );
        self.acknowledged_below = acknowledged_below;
        self.applied = SequenceNumber::new(acknowledged_below.number().saturating_sub(1));
        self
    }

    /// Where a number stands.
    pub(crate) fn standing(&self, sequence: SequenceNumber) -> Standing {
        if sequence <= self.applied {
            Standing::Duplicate
        } else if sequence == self.applied.next() {
            Standing::Next
        } else {
            Standing::Ahead
        }
    }

    /// What came of an applied number, unless the client has let go of it.
    pub(crate) fn output(&self, sequence: SequenceNumber) -> Option<&CachedOutput> {
        let position = sequence
            .number()
            .checked_sub(self.acknowledged_below.number())?;
        self.outputs.get(usize::try_from(position).ok()?)
    }

    /// The client was heard from.
    pub(crate) fn on_heard(&mut self, now: LogTime, events_received: Option<u64>) {
        self.refreshed = self.refreshed.max(now);
        if let Some(received) = events_received {
            self.events_received = self.events_received.max(received.min(self.event_counter));
        }
    }

    /// Drops the outputs below `below`, and says how many bytes that freed.
    pub(crate) fn acknowledge(&mut self, below: SequenceNumber) -> u64 {
        #[cfg(feature = "mutants")]
        let below = if mutant::is(Mutant::OutputsDroppedEarly) {
            self.applied.next()
        } else {
            below
        };
        let below = below.min(self.applied.next());
        let mut freed = 0;
        while self.acknowledged_below < below {
            let output = self
                .outputs
                .pop_front()
                .expect("outputs reach up to the applied number");
            freed += output.cached_bytes();
            self.acknowledged_below = self.acknowledged_below.next();
        }
        self.cached_bytes -= freed;
        let capacity = self.outputs.capacity();
        if capacity > OUTPUTS_SHRINK_ABOVE && self.outputs.len() < capacity / 4 {
            self.outputs.shrink_to(capacity / 2);
        }
        freed
    }

    /// The next number was applied: keeps what came of it, and says how many bytes that took.
    pub(crate) fn keep(&mut self, output: CachedOutput) -> u64 {
        let bytes = output.cached_bytes();
        self.applied = self.applied.next();
        self.cached_bytes += bytes;
        self.outputs.push_back(output);
        debug_assert_eq!(
            self.acknowledged_below.number() + self.outputs.len() as u64,
            self.applied.number() + 1,
            "outputs of session {} have a hole",
            self.id
        );
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session_with(outputs: u64) -> Session {
        let mut session = Session::new(SessionId::new(1), ClientId::ZERO, 1, 5, LogTime::ZERO);
        for number in 1..=outputs {
            session.keep(CachedOutput::new(
                Index::new(number),
                0,
                Code::Output,
                &[7; 40],
            ));
        }
        session
    }

    #[test]
    fn an_acknowledgement_drops_outputs_and_never_goes_back() {
        let mut session = session_with(5);
        assert_eq!(
            session.acknowledge(SequenceNumber::new(3)),
            2 * (40 + OUTPUT_OVERHEAD_BYTES)
        );
        assert_eq!(session.acknowledge(SequenceNumber::new(2)), 0);
        assert!(session.output(SequenceNumber::new(2)).is_none());
        assert_eq!(
            session.output(SequenceNumber::new(3)).unwrap().index,
            Index::new(3)
        );
    }

    #[test]
    fn nothing_is_acknowledged_that_was_not_applied() {
        let mut session = session_with(2);
        session.acknowledge(SequenceNumber::new(100));
        assert_eq!(session.acknowledged_below(), SequenceNumber::new(3));
        assert_eq!(session.standing(SequenceNumber::new(3)), Standing::Next);
        assert_eq!(session.cached_bytes(), 0);
    }

    #[test]
    fn what_would_be_kept_is_what_an_acknowledgement_keeps() {
        for below in [0, 1, 3, 6, 100] {
            let mut session = session_with(5);
            let told = session.kept_bytes(SequenceNumber::new(below));
            session.acknowledge(SequenceNumber::new(below));
            assert_eq!(told, session.cached_bytes(), "below {below}");
        }
    }

    #[test]
    fn small_and_large_outputs_come_back_as_they_were() {
        for length in [0, 31, 32, 33, 300] {
            let bytes = alloc::vec![9; length];
            let output = CachedOutput::new(Index::new(1), 0, Code::Output, &bytes);
            assert_eq!(output.bytes(), bytes);
        }
    }
}
