//! What an entry is to the core: a position, a kind and a size. Its bytes stay with the host.

use crate::types::{Index, ReplicaNumber, Term};

/// What an entry is for. The numbers are those of the record header, one list for raft and storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum EntryKind {
    /// First entry of a term; commits what earlier terms left (thesis 3.6.2).
    NoOp = 1,
    /// The members of the group from here on; the only payload that the core reads.
    Configuration = 2,
    /// A command whose entry is not needed once it was applied.
    CommandPlain = 3,
    /// A command whose entry may live on, in parts.
    CommandKeeping = 4,
    /// Opens a session.
    Open = 5,
    /// Closes a session.
    Close = 6,
    /// Ends sessions whose clients were not heard from.
    Expire = 7,
    /// Tells the machine that idle sessions were heard from.
    Refresh = 8,
    /// Moves log time on, so that timers fire without traffic.
    Tick = 9,
    /// Puts an entry that no machine can apply out of the way.
    Skip = 10,
    /// The state at this index becomes a checkpoint.
    Checkpoint = 11,
    /// A setting of the group.
    Settings = 12,
}

impl EntryKind {
    /// The kind behind a number of a record header, if it is one of an entry.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::NoOp,
            2 => Self::Configuration,
            3 => Self::CommandPlain,
            4 => Self::CommandKeeping,
            5 => Self::Open,
            6 => Self::Close,
            7 => Self::Expire,
            8 => Self::Refresh,
            9 => Self::Tick,
            10 => Self::Skip,
            11 => Self::Checkpoint,
            12 => Self::Settings,
            _ => return None,
        })
    }

    /// The number in a record header.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }
}

/// A place in a log together with the term that filled it. Two logs that agree on one position agree on
/// everything before it (thesis 3.5). Positions are ordered by term first, as logs are compared (3.6.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Term of the entry; compared first.
    pub term: Term,
    /// Where it stands.
    pub index: Index,
}

impl Position {
    /// Before the first entry.
    pub const ZERO: Self = Self {
        term: Term::ZERO,
        index: Index::ZERO,
    };
}

/// One entry of a received append, lent from the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryView<'a> {
    /// Where it stands.
    pub position: Position,
    /// What it is for.
    pub kind: EntryKind,
    /// Bytes of its record on disk and wire, header included: what windows count.
    pub size_bytes: u32,
    /// Its payload; the core reads it for configurations only.
    pub payload: &'a [u8],
}

/// What must be durable before any answer (thesis 3.8).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HardState {
    /// The latest term this replica has seen.
    pub term: Term,
    /// For whom it voted in that term.
    pub voted_for: Option<ReplicaNumber>,
}
