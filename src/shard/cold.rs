//! Where cold tasks leave what they found, until the shard's next turn takes it.
//!
//! A cold task never touches a group: it ends, and pushes one result here. So everything that changes a group happens
//! inside a turn.

use crate::storage::{LoadError, StorageError};
use margay_raft::AppendEntries;
use margay_types::{GroupId, Index, ReplicaNumber};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

/// What entries were read for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum LoadFor {
    /// To be applied.
    Apply,
    /// To be sent to a follower that is far behind.
    Append {
        /// Which member.
        to: ReplicaNumber,
        /// What goes with them.
        append: AppendEntries,
    },
}

/// A result of cold work.
#[derive(Debug)]
pub(crate) enum ColdDone {
    /// Entries were read.
    Loaded {
        /// Of which group.
        group: GroupId,
        /// What for.
        purpose: LoadFor,
        /// Whole records, from the first one asked for.
        result: Result<Vec<u8>, LoadError>,
    },
    /// The node's manifest says that creations up to here are done.
    CreationsRecorded {
        /// Index in group 0.
        up_to: Index,
        /// Did it work?
        result: Result<(), StorageError>,
    },
}

/// The queue of results; shared by a shard and its cold tasks, on one thread.
#[derive(Clone, Debug, Default)]
pub(crate) struct ColdInbox {
    done: Rc<RefCell<VecDeque<ColdDone>>>,
}

impl ColdInbox {
    /// A task is done.
    pub(crate) fn push(&self, done: ColdDone) {
        self.done.borrow_mut().push_back(done);
    }

    /// Takes the oldest result.
    pub(crate) fn take(&self) -> Option<ColdDone> {
        self.done.borrow_mut().pop_front()
    }
}
