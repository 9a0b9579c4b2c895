//! What a replica wants done, in the order in which it must be done.
//!
//! The host executes effects one after another, in the order of the list. Writes go into one log in that
//! order; when one is durable, so is every earlier one, and the host says so once, with the latest
//! [`WriteId`] (`Replica::on_written`). The core itself holds back every message that promises something not yet
//! durable, so a `Send` may always leave at once.

use crate::entry::{EntryKind, HardState, Position};
use crate::message::{AppendEntries, Message};
use crate::types::{Index, ReplicaNumber, Term};
use alloc::vec::Vec;

/// Names a write of this replica in this process life; greater is later. Durable means: it and all before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WriteId(pub u64);

/// Names a read that waits for its index; chosen by the host, never used again in its process life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReadId(pub u64);

/// What a replica does in its group (thesis 3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Takes entries from a leader. Learners are followers that do not vote.
    Follower,
    /// Asks whether an election could be won.
    PreCandidate,
    /// Asks for votes.
    Candidate,
    /// Orders the log.
    Leader,
}

/// Why a read will not get its index here and now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadRefusal {
    /// Nobody is known to lead.
    NoLeader,
    /// The leader stepped down, or the leader asked could not confirm.
    LeadershipLost,
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Append the hard state to the log.
    SaveHardState {
        /// Names the write.
        write: WriteId,
        /// What to write.
        hard_state: HardState,
    },
    /// Record that entries at and behind `from` are gone.
    Truncate {
        /// Names the write.
        write: WriteId,
        /// First entry that is gone.
        from: Index,
    },
    /// Store these entries of the append being stepped; those before `first` are here already.
    Store {
        /// Names the write.
        write: WriteId,
        /// First entry to store.
        first: Index,
        /// Last entry to store.
        last: Index,
    },
    /// Store an entry that the core itself made as leader: a no-op or a configuration.
    StoreOwn {
        /// Names the write.
        write: WriteId,
        /// Where it stands.
        position: Position,
        /// What it is.
        kind: EntryKind,
        /// Its payload: empty, or an encoded configuration.
        payload: Vec<u8>,
    },
    /// Send a message.
    Send {
        /// To which member.
        to: ReplicaNumber,
        /// What.
        message: Message,
    },
    /// Send entries with their records. It may leave before the own write of them returns (thesis 10.2.1).
    SendAppend {
        /// To which member.
        to: ReplicaNumber,
        /// Which entries, and what goes with them.
        append: AppendEntries,
    },
    /// Everything up to here is committed; apply at your own pace.
    Commit {
        /// The commit index, greater than any reported before.
        index: Index,
    },
    /// The role, the term or the known leader changed.
    RoleChanged {
        /// The role now.
        role: Role,
        /// The term now.
        term: Term,
        /// Who leads, as far as it is known.
        leader: Option<ReplicaNumber>,
    },
    /// Another configuration is in force: by append, or by the rollback of an entry.
    ConfigurationChanged {
        /// Index of the entry that it stands in.
        index: Index,
    },
    /// The read may be served once `index` is applied here.
    ReadReady {
        /// Which read.
        read: ReadId,
        /// The index it must see.
        index: Index,
    },
    /// The read will not be served by this request; it may be asked again.
    ReadRefused {
        /// Which read.
        read: ReadId,
        /// Why.
        reason: ReadRefusal,
    },
}
