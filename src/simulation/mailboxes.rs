//! Mailboxes between the shards of a node: in order for each pair, and late by as much as a busy core may be.

use margay::shard::SiblingMessage;
use margay_types::{Random, ShardId};
use std::collections::{BTreeMap, VecDeque};

/// A core takes its letters after so long at the latest: what a long turn lasts.
const DELAY_NS_MAX: u64 = 2_000_000;

/// From one shard to another.
type Pair = (ShardId, ShardId);

/// All mailboxes of a node.
pub(crate) struct Mailboxes {
    waiting: BTreeMap<Pair, VecDeque<(u64, SiblingMessage)>>,
    random: Random,
}

impl Mailboxes {
    /// Nothing was said; `seed` decides how late letters are.
    pub(crate) const fn new(seed: u64) -> Self {
        Self {
            waiting: BTreeMap::new(),
            random: Random::new(seed),
        }
    }

    /// The process is gone, with everything that was on its way.
    pub(crate) fn clear(&mut self) {
        self.waiting.clear();
    }

    /// A shard says something to another one.
    pub(crate) fn post(&mut self, now_ns: u64, pair: Pair, message: SiblingMessage) {
        let late_ns = match self.random.chance(1, 4) {
            true => self.random.below(DELAY_NS_MAX),
            false => 0,
        };
        let waiting = self.waiting.entry(pair).or_default();
        let behind_ns = waiting.back().map_or(0, |(due_ns, _)| *due_ns);
        waiting.push_back(((now_ns + late_ns).max(behind_ns), message));
    }

    /// The next letter of a shard that is there, and whose it is.
    pub(crate) fn take(&mut self, to: ShardId, now_ns: u64) -> Option<(ShardId, SiblingMessage)> {
        let mut boxes = self.waiting.iter_mut();
        boxes.find_map(|((from, receiver), waiting)| {
            let is_there = |(due_ns, _): &mut (u64, SiblingMessage)| *due_ns <= now_ns;
            let taken = (*receiver == to).then(|| waiting.pop_front_if(is_there))??;
            Some((*from, taken.1))
        })
    }

    /// Is a letter there that was not taken?
    pub(crate) fn has_due(&self, now_ns: u64) -> bool {
        self.next_event_ns().is_some_and(|due_ns| due_ns <= now_ns)
    }

    /// When the next letter is there.
    pub(crate) fn next_event_ns(&self) -> Option<u64> {
        let fronts = self.waiting.values().filter_map(VecDeque::front);
        fronts.map(|(due_ns, _)| *due_ns).min()
    }
}
