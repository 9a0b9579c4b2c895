//! Where cold tasks leave what they found, until the shard's next turn takes it; and how many may read at a time.
//!
//! A cold task never touches a group: it ends, and pushes one result here. So everything that changes a group happens
//! inside a turn.
//!
//! Each read of entries takes memory until its result was used. A thousand groups that start, or a member that comes
//! back to all of them, would take it all at once; so there are places for reads. Who finds none waits in turn, if it
//! reads for its own machine. What is for a follower is left, as a network may leave it: the core asks again.

use crate::limits::{LOADS_FOR_FOLLOWERS_MAX, LOADS_MAX};
use crate::shard::Seams;
use crate::shard::hosted::Loading;
use crate::shard::shard::Shard;
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

/// The reads of entries of all groups of a shard.
#[derive(Debug, Default)]
pub(crate) struct Loads {
    under_way: usize,
    waiting: VecDeque<GroupId>,
}

impl Loads {
    /// Takes a place to read what a machine here applies, if there is one.
    pub(crate) fn try_begin(&mut self) -> bool {
        self.try_take(LOADS_MAX)
    }

    /// Takes a place to read for a follower, if there is one: some are for machines, which would else find all of them
    /// taken again and again.
    pub(crate) fn try_begin_for_follower(&mut self) -> bool {
        self.try_take(LOADS_FOR_FOLLOWERS_MAX)
    }

    fn try_take(&mut self, places: usize) -> bool {
        let has_place = self.under_way < places;
        self.under_way += usize::from(has_place);
        has_place
    }

    /// Reads that are under way.
    pub(crate) const fn count(&self) -> usize {
        self.under_way
    }

    /// A group waits for a place.
    pub(crate) fn wait(&mut self, group: GroupId) {
        self.waiting.push_back(group);
    }

    /// A read is over, and its place free: which group waits for it?
    ///
    /// # Panics
    /// When none was under way.
    pub(crate) fn end(&mut self) -> Option<GroupId> {
        let left = self.under_way.checked_sub(1);
        self.under_way = left.expect("what ended was begun");
        self.waiting.pop_front()
    }
}

impl<S: Seams> Shard<S> {
    /// A read of entries is over: the next group that waits for one has its turn.
    pub(crate) fn give_load_place(&mut self) {
        let waiting = self.means.loads.end();
        if let Some(hosted) = waiting.and_then(|group| self.groups.get_mut(&group)) {
            hosted.loading = Loading::No;
            hosted.touch(&mut self.means);
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_without_a_place_waits_for_the_end_of_another() {
        let mut loads = Loads::default();
        assert!((0..LOADS_MAX).all(|_| loads.try_begin()));
        assert!(!loads.try_begin());
        loads.wait(GroupId::new(7));
        assert_eq!(loads.end(), Some(GroupId::new(7)));
        assert!(loads.try_begin() && !loads.try_begin());
        assert_eq!(loads.end(), None);
    }

    /// However many followers are behind.
    #[test]
    fn some_places_are_for_what_machines_here_apply() {
        let mut loads = Loads::default();
        let for_followers = (0..LOADS_MAX).filter(|_| loads.try_begin_for_follower());
        assert_eq!(for_followers.count(), LOADS_FOR_FOLLOWERS_MAX);
        assert!(loads.try_begin());
    }
}
