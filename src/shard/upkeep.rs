//! Which groups the shard looks after by itself: those that have something to keep, so that idle ones cost nothing.
//!
//! * **By time**: sessions of a group that is led here must be refreshed, or end. Each such group stands at the time at
//!   which the first of that is due.
//! * **Now and then**: reads that wait may wait too long, a machine that stopped must not lead, a checkpoint is under
//!   way or due, entries may be let go of. Such groups are looked at every `HOUSE_TICKS` until nothing is left.
//!
//! A group gets here when the end of a turn has looked at its machine: what it must keep changes with what is applied.

use margay_types::GroupId;
use std::collections::BTreeSet;

/// Nothing is due.
pub(crate) const NEVER: u64 = u64::MAX;

/// The groups that must be looked after.
#[derive(Debug, Default)]
pub(crate) struct Upkeep {
    /// By observed time.
    by_time: BTreeSet<(u64, GroupId)>,
    now_and_then: BTreeSet<GroupId>,
}

impl Upkeep {
    /// A group's sessions must be looked at when so much time was observed, instead of at `before`.
    pub(crate) fn set_time(&mut self, group: GroupId, before: u64, at: u64) {
        self.by_time.remove(&(before, group));
        self.by_time.insert((at, group));
    }

    /// The groups whose time has come.
    pub(crate) fn take_due(&mut self, observed_ns: u64) -> Vec<GroupId> {
        let mut due = Vec::new();
        while let Some((at, group)) = self.by_time.first().copied()
            && at <= observed_ns
        {
            self.by_time.pop_first();
            due.push(group);
        }
        due
    }

    /// A group must be looked at now and then.
    pub(crate) fn add(&mut self, group: GroupId) {
        self.now_and_then.insert(group);
    }

    /// Is it looked at now and then?
    pub(crate) fn contains(&self, group: GroupId) -> bool {
        self.now_and_then.contains(&group)
    }

    /// All that must be looked at now and then; those that still must are added again.
    pub(crate) fn take_all(&mut self) -> BTreeSet<GroupId> {
        std::mem::take(&mut self.now_and_then)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_due_once_at_the_time_that_was_set_last() {
        let mut upkeep = Upkeep::default();
        let (one, two) = (GroupId::new(1), GroupId::new(2));
        upkeep.set_time(one, NEVER, 50);
        upkeep.set_time(two, NEVER, 20);
        upkeep.set_time(one, 50, 10);
        assert_eq!(upkeep.take_due(9), []);
        assert_eq!(upkeep.take_due(50), [one, two]);
        assert_eq!(upkeep.take_due(NEVER), []);
    }
}
