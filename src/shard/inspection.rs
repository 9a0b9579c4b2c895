//! What a simulator or an assertion may look at: replicas and machines as they are between two turns, read only.

use crate::shard::Seams;
use crate::shard::shard::Shard;
use crate::storage::{Lent, Room, Slice};
use margay_machine::{Host, Stopped};
use margay_raft::Replica;
use margay_types::{GroupId, Index};

/// One replica with its machine.
#[derive(Clone, Copy)]
pub struct ReplicaView<'a> {
    /// Its group.
    pub group: GroupId,
    /// Terms, indexes, role.
    pub replica: &'a Replica,
    /// State, sessions, effect chain.
    pub host: &'a Host,
    /// Why its machine applies no more.
    pub stopped: Option<&'a Stopped>,
    /// Requests that wait for an entry, while it leads.
    pub waiters_count: usize,
}

impl<S: Seams> Shard<S> {
    /// The mark that the log stands at.
    pub fn room(&self) -> Room {
        self.means.log.room()
    }

    /// All replicas, by group.
    pub fn replicas(&self) -> impl Iterator<Item = ReplicaView<'_>> {
        self.groups.values().map(|hosted| ReplicaView {
            group: hosted.group(),
            replica: &hosted.replica,
            host: &hosted.host,
            stopped: hosted.stopped.as_ref(),
            waiters_count: hosted
                .reign
                .as_ref()
                .map_or(0, |reign| reign.waiters.count()),
        })
    }

    /// The records of these entries, as far as they are in memory, from the first on.
    pub fn records_in_memory(&self, group: GroupId, first: Index, last: Index) -> Vec<Slice> {
        if !self.groups.contains_key(&group) {
            return Vec::new();
        }
        match self.means.log.entries(group, first, last, usize::MAX) {
            Lent::Memory(entries) => entries.pieces,
            Lent::OnDisk | Lent::Absent => Vec::new(),
        }
    }
}
