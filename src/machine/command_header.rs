//! The first 24 bytes of every command's payload, written by the client and stored as they are.
//!
//! ```text
//!  0         8          16                   18      20          22      24
//!  | session | sequence | acknowledged_below | parts | operation | flags | [events received] ...
//!  |   u64   |   u64    |  distance u16      |  u16  |    u16    |  u16  |       u64
//!
//!  ... the operation's own bytes
//! ```
//!
//! * `acknowledged_below` = sequence - distance: outputs below it are asked for no more.
//! * Flags: bit 0, `events received` follows; bits 1-2, the level; all others are zero.
//! * A command of level `None` has session 0, sequence 0 and distance 0.

use margay_types::{OperationId, SequenceNumber, SessionId};
use zerocopy::little_endian::{U16, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Size of the header.
pub const COMMAND_HEADER_BYTES: usize = 24;

const EVENTS_RECEIVED: u16 = 1;
const LEVEL_SHIFT: u32 = 1;
const LEVEL_MASK: u16 = 0b110;

/// When a command's answer comes, with respect to the events that it published.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Level {
    /// With apply; events follow.
    #[default]
    Sequential,
    /// When every event was received by every session it went to.
    Linearizable,
    /// No session, no order, no duplicate detection.
    None,
}

/// The header as it stands in the payload.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct CommandHeader {
    session: U64,
    sequence: U64,
    acknowledged_distance: U16,
    parts: U16,
    operation: U16,
    flags: U16,
}

const _: () = assert!(
    size_of::<CommandHeader>() == COMMAND_HEADER_BYTES,
    "decided layout"
);

/// A header that no client of ours writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// Fewer bytes than a header has.
    #[error("the command is shorter than its header")]
    Short,
    /// A flag or level that means nothing.
    #[error("the command has flags of another version")]
    Flags,
    /// A session without a number, a number without a session, or an acknowledgement below 1.
    #[error("session, number and acknowledgement of the command contradict each other")]
    Numbers,
    /// Parts on a command that does not keep its entry.
    #[error("a plain command has parts")]
    Parts,
}

/// A command's payload, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommandView<'a> {
    /// Whose it is; `None` at level `None`.
    pub session: Option<SessionId>,
    /// Its number in the session, from 1; 0 at level `None`.
    pub sequence: SequenceNumber,
    /// The client will not ask again for outputs below this.
    pub acknowledged_below: SequenceNumber,
    /// Which operation.
    pub operation: OperationId,
    /// When the answer comes.
    pub level: Level,
    /// The last event that the client received, if it says.
    pub events_received: Option<u64>,
    /// The operation's own bytes.
    pub bytes: &'a [u8],
}

impl CommandHeader {
    /// The header of a session's command.
    ///
    /// # Panics
    /// When `acknowledged_below` is not in `1..=sequence`, or further below it than a window can
    /// be.
    #[must_use]
    pub fn new(
        session: SessionId,
        sequence: SequenceNumber,
        acknowledged_below: SequenceNumber,
        operation: OperationId,
    ) -> Self {
        assert!(
            session.number() > 0,
            "a session's id is an index, so it is not 0"
        );
        assert!(
            acknowledged_below.number() > 0,
            "sequence numbers start at 1"
        );
        assert!(
            acknowledged_below <= sequence,
            "{acknowledged_below} acknowledged, although {sequence} is only asked now"
        );
        let distance = sequence.number() - acknowledged_below.number();
        let distance = u16::try_from(distance).expect("a window is at most 65,535 commands");
        Self {
            session: session.number().into(),
            sequence: sequence.number().into(),
            acknowledged_distance: distance.into(),
            parts: U16::ZERO,
            operation: operation.number().into(),
            flags: U16::ZERO,
        }
    }

    /// The header of a command of level `None`.
    #[must_use]
    pub fn without_session(operation: OperationId) -> Self {
        Self {
            session: U64::ZERO,
            sequence: U64::ZERO,
            acknowledged_distance: U16::ZERO,
            parts: U16::ZERO,
            operation: operation.number().into(),
            flags: (2 << LEVEL_SHIFT).into(),
        }
    }

    /// The same command at level `Linearizable`.
    #[must_use]
    pub fn linearizable(mut self) -> Self {
        assert!(
            self.session.get() != 0,
            "a command of level none has no other level"
        );
        self.flags = (self.flags.get() & !LEVEL_MASK | 1 << LEVEL_SHIFT).into();
        self
    }

    /// The same command with the flag that says `events received` follows the header.
    #[must_use]
    pub fn with_events_received(mut self) -> Self {
        self.flags = (self.flags.get() | EVENTS_RECEIVED).into();
        self
    }

    /// Writes into a payload that was made before, and is sent again, what its client has received meanwhile. Bytes
    /// that are no command's of a session stay as they are.
    ///
    /// # Panics
    /// As [`Self::new`] does.
    pub fn acknowledge(payload: &mut [u8], acknowledged_below: SequenceNumber) {
        let Ok((header, _)) = Self::mut_from_prefix(payload) else {
            return;
        };
        if header.session.get() == 0 {
            return;
        }
        let distance = header
            .sequence
            .get()
            .checked_sub(acknowledged_below.number());
        let distance = distance.expect("what is sent again is not acknowledged");
        let distance = u16::try_from(distance).expect("a window is at most 65,535 commands");
        header.acknowledged_distance = distance.into();
    }

    /// The bytes that go before the operation's.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.as_bytes()
    }

    fn level(&self) -> Result<Level, HeaderError> {
        match (self.flags.get() & LEVEL_MASK) >> LEVEL_SHIFT {
            0 => Ok(Level::Sequential),
            1 => Ok(Level::Linearizable),
            2 => Ok(Level::None),
            _ => Err(HeaderError::Flags),
        }
    }
}

impl<'a> CommandView<'a> {
    /// Takes a payload apart, and checks all that can be checked without the session and the
    /// machine.
    ///
    /// # Errors
    /// See [`HeaderError`]; such a command is refused before it is appended.
    pub fn decode(payload: &'a [u8]) -> Result<Self, HeaderError> {
        let (header, rest) =
            CommandHeader::ref_from_prefix(payload).map_err(|_| HeaderError::Short)?;
        let flags = header.flags.get();
        if flags & !(EVENTS_RECEIVED | LEVEL_MASK) != 0 {
            return Err(HeaderError::Flags);
        }
        if header.parts.get() != 0 {
            return Err(HeaderError::Parts);
        }
        let level = header.level()?;
        let (events_received, bytes) = if flags & EVENTS_RECEIVED == 0 {
            (None, rest)
        } else {
            let (received, rest) = U64::ref_from_prefix(rest).map_err(|_| HeaderError::Short)?;
            (Some(received.get()), rest)
        };
        let (session, sequence) = (header.session.get(), header.sequence.get());
        let distance = u64::from(header.acknowledged_distance.get());
        match level {
            Level::None if session != 0 || sequence != 0 || distance != 0 => {
                return Err(HeaderError::Numbers);
            }
            Level::None => {}
            Level::Sequential | Level::Linearizable => {
                if session == 0 || sequence == 0 || sequence == u64::MAX || distance >= sequence {
                    return Err(HeaderError::Numbers);
                }
            }
        }
        Ok(Self {
            session: (level != Level::None).then(|| SessionId::new(session)),
            sequence: SequenceNumber::new(sequence),
            acknowledged_below: SequenceNumber::new(sequence - distance),
            operation: OperationId::new(header.operation.get()),
            level,
            events_received,
            bytes,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn header() -> CommandHeader {
        CommandHeader::new(
            SessionId::new(7),
            SequenceNumber::new(5),
            SequenceNumber::new(3),
            OperationId::new(9),
        )
    }

    #[test]
    fn a_header_says_what_was_written() {
        let mut payload = header()
            .linearizable()
            .with_events_received()
            .bytes()
            .to_vec();
        payload.extend_from_slice(&11_u64.to_le_bytes());
        payload.extend_from_slice(b"rest");
        let view = CommandView::decode(&payload).unwrap();
        assert_eq!(view.session, Some(SessionId::new(7)));
        assert_eq!(view.sequence, SequenceNumber::new(5));
        assert_eq!(view.acknowledged_below, SequenceNumber::new(3));
        assert_eq!(view.operation, OperationId::new(9));
        assert_eq!(view.level, Level::Linearizable);
        assert_eq!(view.events_received, Some(11));
        assert_eq!(view.bytes, b"rest");
    }

    #[test]
    fn fields_stand_where_decided() {
        let bytes: Vec<u8> = header().bytes().to_vec();
        assert_eq!(bytes[0..8], 7_u64.to_le_bytes());
        assert_eq!(bytes[8..16], 5_u64.to_le_bytes());
        assert_eq!(bytes[16..18], 2_u16.to_le_bytes());
        assert_eq!(bytes[20..22], 9_u16.to_le_bytes());
    }

    #[test]
    fn unknown_flags_are_refused() {
        let mut payload = header().bytes().to_vec();
        payload[22] = 0b1000;
        assert_eq!(CommandView::decode(&payload), Err(HeaderError::Flags));
        payload[22] = 0b110;
        assert_eq!(CommandView::decode(&payload), Err(HeaderError::Flags));
    }

    #[test]
    fn an_acknowledgement_never_reaches_below_the_first_number() {
        let mut payload = header().bytes().to_vec();
        payload[16] = 5;
        assert_eq!(CommandView::decode(&payload), Err(HeaderError::Numbers));
    }
}
