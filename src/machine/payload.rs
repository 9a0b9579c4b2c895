//! The payloads of a group's own entries, in fixed layouts.
//!
//! ```text
//!  open      client id 16 | attempt u64 | timeout ms u32 | zero u32
//!  close     session u64
//!  expire    session u64, again and again
//!  refresh   session u64 | acknowledged below u64 | events received u64, again and again
//!  skip      index u64
//!  settings  the limits, see `limits.rs`
//!  no-op, configuration, tick, checkpoint: nothing that a machine's host reads
//! ```

use margay_types::{ClientId, Index, SequenceNumber, SessionId};
use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Most sessions that one entry expires.
pub const EXPIRIES_PER_ENTRY_MAX: usize = 256;
/// Most sessions that one entry refreshes.
pub const REFRESHES_PER_ENTRY_MAX: usize = 16_384;
/// Shortest session timeout.
pub const SESSION_TIMEOUT_MS_MIN: u32 = 1_000;
/// Longest session timeout.
pub const SESSION_TIMEOUT_MS_MAX: u32 = 600_000;
/// The timeout of a client that names none.
pub const SESSION_TIMEOUT_MS_DEFAULT: u32 = 5_000;

const _: () = assert!(size_of::<Open>() == 32, "decided layout");
const _: () = assert!(size_of::<Refresh>() == 24, "decided layout");
const _: () = assert!(size_of::<SessionNumber>() == 8, "decided layout");
const _: () = assert!(size_of::<Skip>() == 8, "decided layout");

/// Opens a session.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Open {
    client: [u8; 16],
    attempt: U64,
    timeout_ms: U32,
    zero: U32,
}

impl Open {
    /// The opening of a client's session. The same attempt opens the same session; a higher one
    /// replaces the session before.
    ///
    /// # Panics
    /// When the timeout is out of its range.
    #[must_use]
    pub fn new(client: ClientId, attempt: u64, timeout_ms: u32) -> Self {
        assert!(
            (SESSION_TIMEOUT_MS_MIN..=SESSION_TIMEOUT_MS_MAX).contains(&timeout_ms),
            "a session timeout of {timeout_ms} ms is out of range"
        );
        Self {
            client: client.bytes(),
            attempt: attempt.into(),
            timeout_ms: timeout_ms.into(),
            zero: U32::ZERO,
        }
    }

    /// Who opens it.
    #[must_use]
    pub fn client(&self) -> ClientId {
        ClientId::new(self.client)
    }

    /// The client's count of its attempts.
    #[must_use]
    pub fn attempt(&self) -> u64 {
        self.attempt.get()
    }

    /// How long the session lives unheard, in log time.
    #[must_use]
    pub fn timeout_ns(&self) -> u64 {
        u64::from(self.timeout_ms.get()) * 1_000_000
    }

    /// Is every value one that `new` could have written?
    #[must_use]
    pub fn is_legal(&self) -> bool {
        let timeout_ms = self.timeout_ms.get();
        self.zero == U32::ZERO
            && (SESSION_TIMEOUT_MS_MIN..=SESSION_TIMEOUT_MS_MAX).contains(&timeout_ms)
    }
}

/// One session in a refresh entry: it was heard from, and this is what it said.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct Refresh {
    session: U64,
    acknowledged_below: U64,
    events_received: U64,
}

impl Refresh {
    /// What a keep-alive said of one session.
    #[must_use]
    pub fn new(
        session: SessionId,
        acknowledged_below: SequenceNumber,
        events_received: u64,
    ) -> Self {
        Self {
            session: session.number().into(),
            acknowledged_below: acknowledged_below.number().into(),
            events_received: events_received.into(),
        }
    }

    /// Which session.
    #[must_use]
    pub fn session(&self) -> SessionId {
        SessionId::new(self.session.get())
    }

    /// Outputs below this are asked for no more.
    #[must_use]
    pub fn acknowledged_below(&self) -> SequenceNumber {
        SequenceNumber::new(self.acknowledged_below.get())
    }

    /// The last event that the client received.
    #[must_use]
    pub fn events_received(&self) -> u64 {
        self.events_received.get()
    }
}

/// A session in a close or expire entry.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct SessionNumber(U64);

impl SessionNumber {
    /// The session as it stands in a payload.
    #[must_use]
    pub fn new(session: SessionId) -> Self {
        Self(session.number().into())
    }

    /// Which session.
    #[must_use]
    pub fn session(&self) -> SessionId {
        SessionId::new(self.0.get())
    }
}

/// Puts an entry that no machine can apply out of the way.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct Skip(U64);

impl Skip {
    /// The skip of the entry at `index`.
    #[must_use]
    pub fn new(index: Index) -> Self {
        Self(index.number().into())
    }

    /// Which entry.
    #[must_use]
    pub fn index(&self) -> Index {
        Index::new(self.0.get())
    }
}
