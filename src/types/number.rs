//! Newtypes over integers, so that an index is never taken for a term or a session.
//!
//! Widths are those of the formats on disk and wire. There is no arithmetic that makes no sense: an
//! `Index` has a `next`, a `Term` has a `next`, a `NodeId` has neither.

use core::fmt;

macro_rules! number {
    ($(#[$documentation:meta])* $name:ident: $inner:ty) => {
        $(#[$documentation])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
        #[repr(transparent)]
        pub struct $name($inner);

        impl $name {
            /// Wraps the number as it stands in a format or a configuration.
            #[must_use]
            pub const fn new(number: $inner) -> Self {
                Self(number)
            }

            /// The bare number, for formats, logs and arithmetic that is local.
            #[must_use]
            pub const fn number(self) -> $inner {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, formatter)
            }
        }
    };
}

number! {
    /// A leader's reign (thesis 3.3). Term 0 comes before the first election.
    Term: u32
}
number! {
    /// Position of an entry in the log of a group (thesis 3.5), from 1; 0 is before the first entry.
    Index: u64
}
number! {
    /// One replicated log and its machine, across nodes. Group 0 is the system group.
    GroupId: u32
}
number! {
    /// One server process, counted by the cluster from 1. 0 names nobody.
    NodeId: u16
}
number! {
    /// One core of a node with everything it owns, counted from 0.
    ShardId: u16
}
number! {
    /// A replica's number inside its group, given by the configuration entry that added it, from 1.
    ReplicaNumber: u16
}
number! {
    /// A session, named by the index of the entry that opened it.
    SessionId: u64
}
number! {
    /// A client's count of its commands in one session, from 1. It belongs to one command for ever.
    SequenceNumber: u64
}
number! {
    /// The stable wire id of an operation of a machine.
    OperationId: u16
}
number! {
    /// Log time of a group in nanoseconds since its creation. It stands still while nobody leads.
    LogTime: u64
}
number! {
    /// Drawn at the start of a process; tells one life of a node from the next.
    ProcessLife: u64
}
number! {
    /// Time inside `raft`: a count of ticks of the shard's clock.
    Ticks: u32
}

impl Term {
    /// Before the first election.
    pub const ZERO: Self = Self(0);

    /// The term that an election started now would be for.
    ///
    /// # Panics
    /// After four thousand million elections.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.checked_add(1).expect("terms are used up"))
    }
}

impl Index {
    /// Before the first entry.
    pub const ZERO: Self = Self(0);

    /// The index behind this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// The index before this one; `ZERO` stays where it is.
    #[must_use]
    pub const fn previous(self) -> Self {
        Self(self.0.saturating_sub(1))
    }

    /// The index `count` entries behind this one.
    #[must_use]
    pub const fn plus(self, count: u64) -> Self {
        Self(self.0 + count)
    }

    /// How many entries lie in `(earlier, self]`; 0 when `earlier` is not earlier.
    #[must_use]
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl GroupId {
    /// The system group: nodes, keyspaces and the wanted state of every group.
    pub const SYSTEM: Self = Self(0);
    /// Stands where a record belongs to the log itself; no group may have it.
    pub const LOG: Self = Self(u32::MAX);
}

impl GroupId {
    /// The shard that it lives on, on a node with so many.
    #[must_use]
    pub fn shard(self, shard_count: u16) -> ShardId {
        let shard = self.0 % u32::from(shard_count.max(1));
        ShardId(u16::try_from(shard).expect("below the shard count, which has 16 bits"))
    }
}

impl ShardId {
    /// The first: it has group 0, and the node's manifest.
    pub const FIRST: Self = Self(0);
    /// In a hello: whichever shard the receiver likes.
    pub const ANY: Self = Self(u16::MAX);
}

impl LogTime {
    /// The creation of the group.
    pub const ZERO: Self = Self(0);

    /// Log time `duration_ns` later.
    #[must_use]
    pub const fn plus_ns(self, duration_ns: u64) -> Self {
        Self(self.0.saturating_add(duration_ns))
    }

    /// Nanoseconds since `earlier`; 0 when `earlier` is not earlier.
    #[must_use]
    pub const fn since_ns(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl SequenceNumber {
    /// The number behind this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn since_counts_the_entries_between_and_never_wraps() {
        assert_eq!(Index::new(7).since(Index::new(4)), 3);
        assert_eq!(Index::new(4).since(Index::new(7)), 0);
        assert_eq!(LogTime::new(4).since_ns(LogTime::new(7)), 0);
    }
}
