//! What crossed to other shards of the node and was not taken there: bounded, whatever becomes of them.
//!
//! A shard that hangs, or still recovers, takes nothing out of its mailbox. What is for it waits here, so each kind of
//! message that others can cause is counted, in bytes or in messages, until the other shard says that it took it.
//!
//! | what | limit | past it |
//! | --- | --- | --- |
//! | requests of clients that are connected here | `HOP_BYTES_MAX` | the client is told Overloaded |
//! | answers for clients that are connected there | `HOP_ANSWER_BYTES_MAX` | the connection is closed |
//! | questions of operators | `SURVEYS_MAX` | the shard is not asked, and named as silent |
//!
//! Everything else that shards say to each other is caused by them alone, and is little: births, each group once, and
//! the ends of connections.

use margay_types::ShardId;
use std::collections::BTreeMap;

/// How much of one kind is under way to each shard.
#[derive(Debug)]
pub(crate) struct Crossing {
    max: usize,
    under_way: BTreeMap<ShardId, usize>,
}

impl Crossing {
    /// Nothing is under way; at most `max` may be, to each shard.
    pub(crate) const fn new(max: usize) -> Self {
        Self {
            max,
            under_way: BTreeMap::new(),
        }
    }

    /// So much crosses, if there is room for it.
    #[must_use]
    pub(crate) fn try_cross(&mut self, to: ShardId, amount: usize) -> bool {
        let under_way = self.under_way.entry(to).or_default();
        let has_room = *under_way + amount <= self.max;
        if has_room {
            *under_way += amount;
        }
        has_room
    }

    /// The shard took so much.
    ///
    /// # Panics
    /// When less was under way.
    pub(crate) fn on_taken(&mut self, by: ShardId, amount: usize) {
        let under_way = self.under_way.entry(by).or_default();
        *under_way = under_way
            .checked_sub(amount)
            .expect("no more is taken than has crossed");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_taken_leaves_no_room_for_more_to_that_shard() {
        let (one, two) = (ShardId::new(1), ShardId::new(2));
        let mut crossing = Crossing::new(10);
        assert!(crossing.try_cross(one, 7));
        assert!(!crossing.try_cross(one, 4), "11 of 10");
        assert!(crossing.try_cross(one, 3));
        assert!(crossing.try_cross(two, 10), "each shard has its own");
        crossing.on_taken(one, 7);
        assert!(crossing.try_cross(one, 7) && !crossing.try_cross(one, 1));
    }

    #[test]
    #[should_panic(expected = "no more is taken than has crossed")]
    fn a_shard_cannot_take_what_did_not_cross() {
        Crossing::new(10).on_taken(ShardId::new(1), 1);
    }
}
