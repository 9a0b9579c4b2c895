//! What a group allows its sessions. These change what apply does, so they are replicated: chosen
//! when the group is created, changed by a settings entry, and part of every checkpoint.

use margay_types::SequenceNumber;
use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// What the cache needs for an output beside its bytes.
pub const OUTPUT_OVERHEAD_BYTES: u64 = 72;
/// Most ended sessions that are remembered, so that a late client learns how its session ended.
pub const ENDED_SESSIONS_MAX: usize = 4_096;

/// Commands of a session that were issued and not acknowledged, at first; as wide as the distance in a command.
const SESSION_WINDOW: u16 = 1_024;
/// Sessions of a group, at first.
const SESSIONS_MAX: u32 = 200_000;
/// Bytes of outputs kept for one session, at first.
const SESSION_CACHE_BYTES_MAX: u64 = 4 << 20;
/// Bytes of outputs kept for all sessions of a group, at first.
const GROUP_CACHE_BYTES_MAX: u64 = 256 << 20;
/// Largest output, at first.
const OUTPUT_BYTES_MAX: u32 = 64 << 10;

/// The limits of one group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most commands of a session that were issued and not acknowledged.
    pub window: u16,
    /// Most sessions.
    pub sessions_max: u32,
    /// Most bytes of outputs kept for one session.
    pub session_cache_bytes_max: u64,
    /// Most bytes of outputs kept for all sessions.
    pub group_cache_bytes_max: u64,
    /// Largest output, whatever an operation declares.
    pub output_bytes_max: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            window: SESSION_WINDOW,
            sessions_max: SESSIONS_MAX,
            session_cache_bytes_max: SESSION_CACHE_BYTES_MAX,
            group_cache_bytes_max: GROUP_CACHE_BYTES_MAX,
            output_bytes_max: OUTPUT_BYTES_MAX,
        }
    }
}

impl Limits {
    /// May a command with this number run, when outputs below `acknowledged_below` are not needed?
    #[must_use]
    pub fn is_in_window(
        &self,
        sequence: SequenceNumber,
        acknowledged_below: SequenceNumber,
    ) -> bool {
        sequence.number()
            < acknowledged_below
                .number()
                .saturating_add(u64::from(self.window))
    }

    /// Can a group live with these?
    #[must_use]
    pub fn is_legal(&self) -> bool {
        let largest = u64::from(self.output_bytes_max) + OUTPUT_OVERHEAD_BYTES;
        self.window > 0
            && self.sessions_max > 0
            && self.session_cache_bytes_max >= largest
            && self.group_cache_bytes_max >= self.session_cache_bytes_max
    }
}

/// Limits as a settings entry and a checkpoint carry them.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct LimitsLayout {
    window: U32,
    sessions_max: U32,
    session_cache_bytes_max: U64,
    group_cache_bytes_max: U64,
    output_bytes_max: U32,
    zero: U32,
}

impl From<Limits> for LimitsLayout {
    fn from(limits: Limits) -> Self {
        Self {
            window: u32::from(limits.window).into(),
            sessions_max: limits.sessions_max.into(),
            session_cache_bytes_max: limits.session_cache_bytes_max.into(),
            group_cache_bytes_max: limits.group_cache_bytes_max.into(),
            output_bytes_max: limits.output_bytes_max.into(),
            zero: U32::ZERO,
        }
    }
}

impl LimitsLayout {
    /// The limits, if a group can live with them.
    #[must_use]
    pub fn limits(&self) -> Option<Limits> {
        let limits = Limits {
            window: u16::try_from(self.window.get()).ok()?,
            sessions_max: self.sessions_max.get(),
            session_cache_bytes_max: self.session_cache_bytes_max.get(),
            group_cache_bytes_max: self.group_cache_bytes_max.get(),
            output_bytes_max: self.output_bytes_max.get(),
        };
        (limits.is_legal() && self.zero == U32::ZERO).then_some(limits)
    }
}
