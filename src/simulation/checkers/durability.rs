//! What a replica took for durable is there in its next life.
//!
//! A replica acknowledges what it takes for durable, so a loss of that is a broken promise even while a quorum of
//! others still holds the entries.

use crate::network::Place;
use margay::shard::ReplicaView;
use margay_types::{GroupId, Index};
use std::collections::BTreeMap;

/// How far the logs of processes that ended were durable, by their own account.
#[derive(Debug, Default)]
pub struct Durability {
    told: BTreeMap<(Place, GroupId), Index>,
}

impl Durability {
    /// The process ends now.
    pub fn on_end<'a>(&mut self, place: Place, replicas: impl Iterator<Item = ReplicaView<'a>>) {
        for view in replicas {
            let durable = view.replica.durable_index();
            self.told.insert((place, view.group), durable);
        }
    }

    /// The next process of the node serves.
    ///
    /// # Errors
    /// Something durable is gone.
    pub fn on_start<'a>(
        &mut self,
        place: Place,
        replicas: impl Iterator<Item = ReplicaView<'a>>,
    ) -> Result<(), String> {
        let found: BTreeMap<GroupId, Index> = replicas
            .map(|view| (view.group, view.replica.last_index()))
            .collect();
        let of_node = (place, GroupId::SYSTEM)..(place + 1, GroupId::SYSTEM);
        for ((_, group), durable) in self.told.range(of_node) {
            let last = found.get(group).copied().unwrap_or(Index::ZERO);
            if last < *durable {
                return Err(format!(
                    "node {place} took group {group} for durable up to {durable} and comes back with {last}"
                ));
            }
        }
        Ok(())
    }
}
