//! Replicas are born on the other shards of the node, too: shard 0 has group 0 and the manifest, they have the logs.
//!
//! ```text
//!   shard 0   Bear(births) ──────┐                 ┌──> manifest ──> Recorded(groups) ──┐
//!   sibling                      └──> log ──> Logged(groups)                            └──> the replicas act
//! ```
//!
//! The order of `births` holds across shards: the manifest passes an entry of group 0 once everything that it created
//! is durable in some log of this node, and no replica acts before the manifest says so. A process that ends in between
//! starts again from what group 0 says, and a record that is there already is not written a second time.

use crate::shard::Seams;
use crate::shard::birth::Birth;
use crate::shard::births::Stall;
use crate::shard::shard::Shard;
use crate::shard::siblings::{SiblingMessage, Word};
#[cfg(feature = "mutants")]
use margay_types::mutant::{self, Mutant};
use margay_types::{GroupId, Index, ShardId};
use std::collections::{BTreeMap, BTreeSet};

/// Births on other shards, as shard 0 knows them.
#[derive(Debug, Default)]
pub(crate) struct SiblingBirths {
    /// Told to their shards, with the entries of group 0 that created them; their records are not durable yet.
    told: BTreeMap<GroupId, Index>,
    /// Durable in the log of their shard; the manifest does not say so yet.
    logged: BTreeMap<GroupId, Index>,
    /// The write of the manifest under way is for these.
    recording: BTreeSet<GroupId>,
}

impl SiblingBirths {
    /// Is a birth of this group under way on another shard?
    pub(crate) fn has(&self, group: GroupId) -> bool {
        self.told.contains_key(&group)
            || self.logged.contains_key(&group)
            || self.recording.contains(&group)
    }

    /// Is every record durable that was asked for?
    pub(crate) fn is_settled(&self) -> bool {
        let is_durable = self.told.is_empty();
        #[cfg(feature = "mutants")]
        let is_durable = is_durable || mutant::is(Mutant::ManifestBeforeSiblings);
        is_durable && self.recording.is_empty()
    }

    /// The manifest is written for all that are logged: the greatest entry of group 0 that created one of them.
    pub(crate) fn begin_recording(&mut self) -> Option<Index> {
        let logged = std::mem::take(&mut self.logged);
        let created = logged.values().copied().max();
        self.recording = logged.into_keys().collect();
        created
    }

    fn on_logged(&mut self, group: GroupId) {
        if let Some(created) = self.told.remove(&group) {
            self.logged.insert(group, created);
        }
    }
}

impl<S: Seams> Shard<S> {
    /// Shard 0 has its siblings carry out what lives there.
    pub(crate) fn tell_births(&mut self, births: Vec<Birth>) {
        let mut by_shard: BTreeMap<ShardId, Vec<Birth>> = BTreeMap::new();
        for birth in births {
            let created = birth.description.created;
            self.births.siblings.told.insert(birth.group, created);
            by_shard
                .entry(self.home_of(birth.group))
                .or_default()
                .push(birth);
        }
        for (shard, births) in by_shard {
            self.means
                .send_sibling(shard, SiblingMessage(Word::Bear(births)));
        }
    }

    /// A sibling is told what to bear.
    pub(crate) fn on_bear(&mut self, births: Vec<Birth>) {
        self.births.waiting.extend(births);
        self.bear_waiting();
    }

    /// A sibling carries out what shard 0 told, as far as its log has room now.
    pub(crate) fn bear_waiting(&mut self) {
        self.births.stalled = None;
        while let Some(birth) = self.births.waiting.pop_front() {
            if self.births.resume(birth.group) {
                continue;
            }
            if self.is_damaged(birth.group) {
                self.births.on_damaged_here(birth.group);
                continue;
            }
            self.births.stalled = self.stall_of(&birth);
            if self.births.stalled.is_some() {
                self.births.waiting.push_front(birth);
                break;
            }
            self.log_birth(birth);
        }
        self.report_logged();
    }

    /// A sibling says which records are durable.
    pub(crate) fn report_logged(&mut self) {
        let groups = self.births.take_unreported();
        if !groups.is_empty() {
            self.means
                .send_sibling(ShardId::FIRST, SiblingMessage(Word::Logged(groups)));
        }
    }

    /// Shard 0 hears which records are durable.
    pub(crate) fn on_logged(&mut self, groups: &[GroupId]) {
        for group in groups {
            self.births.siblings.on_logged(*group);
        }
        self.record_births();
    }

    /// The manifest is durable: shard 0 says so to whom it concerns.
    pub(crate) fn tell_recorded(&mut self) {
        let mut by_shard: BTreeMap<ShardId, Vec<GroupId>> = BTreeMap::new();
        for group in std::mem::take(&mut self.births.siblings.recording) {
            by_shard.entry(self.home_of(group)).or_default().push(group);
        }
        for (shard, groups) in by_shard {
            self.means
                .send_sibling(shard, SiblingMessage(Word::Recorded(groups)));
        }
    }

    /// The manifest is durable: these replicas of a sibling may act.
    pub(crate) fn on_recorded(&mut self, groups: &[GroupId]) {
        let whole = groups.iter().filter(|group| !self.is_damaged(**group));
        let whole: Vec<GroupId> = whole.copied().collect();
        for birth in self.births.take_logged(&whole) {
            if let Err(error) = self.bear(&birth) {
                self.fail(error);
            }
        }
    }

    /// Why a birth on a sibling cannot be carried out: all shards have the same machines.
    pub(crate) fn unfit_for(&self, birth: &Birth) -> Option<Stall> {
        let (machine, options) = (&birth.created.machine, &birth.description.options);
        let takes = self.registry.takes_options(machine, options) == Ok(true);
        (!takes).then(|| Stall::Machine {
            group: birth.group,
            machine: machine.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manifest_waits_for_the_records_on_all_shards() {
        let (one, other, created) = (GroupId::new(1), GroupId::new(2), Index::new(9));
        let mut births = SiblingBirths::default();
        births.told.extend([(one, created), (other, created)]);
        births.on_logged(one);
        assert!(!births.is_settled(), "the other record may be lost");
        births.on_logged(other);
        assert!(births.is_settled());
        assert_eq!(births.begin_recording(), Some(created));
        assert!(!births.is_settled(), "the manifest is being written");
    }
}
