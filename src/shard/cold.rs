//! Where cold tasks leave what they found, until the shard's next turn takes it.
//!
//! A cold task never touches a group: it ends, and pushes one result here. So everything that changes a group happens
//! inside a turn.

use crate::storage::manifest::ManifestFiles;
use crate::storage::node_manifest::NodeManifest;
use crate::storage::{Disk, Loaded, StorageError};
use margay_raft::AppendEntries;
use margay_types::{GroupId, ReplicaNumber};
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
pub(crate) enum ColdDone<D: Disk> {
    /// Entries were read.
    Loaded {
        /// Of which group.
        group: GroupId,
        /// What for.
        purpose: LoadFor,
        /// Whole records, from the first one asked for.
        result: Result<Loaded, StorageError>,
    },
    /// The node's manifest was replaced.
    Recorded {
        /// Its files.
        files: ManifestFiles<D>,
        /// What it says now.
        manifest: NodeManifest,
        /// Did it work?
        result: Result<(), StorageError>,
    },
}

/// The queue of results; shared by a shard and its cold tasks, on one thread.
#[derive(Debug)]
pub(crate) struct ColdInbox<D: Disk> {
    done: Rc<RefCell<VecDeque<ColdDone<D>>>>,
}

impl<D: Disk> Clone for ColdInbox<D> {
    fn clone(&self) -> Self {
        Self {
            done: Rc::clone(&self.done),
        }
    }
}

impl<D: Disk> Default for ColdInbox<D> {
    fn default() -> Self {
        Self {
            done: Rc::default(),
        }
    }
}

impl<D: Disk> ColdInbox<D> {
    /// A task is done.
    pub(crate) fn push(&self, done: ColdDone<D>) {
        self.done.borrow_mut().push_back(done);
    }

    /// Is nothing there?
    pub(crate) fn is_empty(&self) -> bool {
        self.done.borrow().is_empty()
    }

    /// Takes the oldest result.
    pub(crate) fn take(&self) -> Option<ColdDone<D>> {
        self.done.borrow_mut().pop_front()
    }
}
