//! How fast entries are read from disk for followers that are far behind: a member that comes back must not take the
//! disks and the processors from those who are served.
//!
//! ```text
//!   each tick      the allowance grows, by a share of its own or by four times what the log took, whichever is more
//!   read wanted    is some allowance left? ─ yes ─> read; it is charged, and corrected when it ends
//!                                          └ no ──> waits for a tick that leaves some
//! ```
//!
//! Four times what the log took, in reads as large as such a share: so a follower catches up, and soon, however fast
//! the log grows; until then nothing that it lacks can go from the disks. What is in memory costs no read, and is not
//! counted.

use crate::limits::{
    APPEND_BYTES_MAX, CATCH_UP_BURST_BYTES, CATCH_UP_BYTES_PER_TICK, CATCH_UP_READ_BYTES,
};
use crate::shard::Seams;
use crate::shard::shard::Shard;
use margay_raft::AppendEntries;
use margay_types::{GroupId, ReplicaNumber};
use std::collections::VecDeque;

/// The log grows so much slower than followers catch up, at least.
const GROWTH_FACTOR: i64 = 4;

/// An append whose entries have to be read first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// Whose entries.
    pub(crate) group: GroupId,
    /// For which member.
    pub(crate) to: ReplicaNumber,
    /// What goes with them.
    pub(crate) append: AppendEntries,
}

/// The allowance of a shard, and who waits for it.
#[derive(Debug)]
pub(crate) struct Pace {
    /// Bytes that may be read now; below zero, more than that was.
    left: i64,
    /// What the last tick added.
    share: i64,
    /// Bytes of records that the log took since the last tick.
    appended: i64,
    /// One per member of a group at most.
    waiting: VecDeque<Wanted>,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            left: CATCH_UP_BURST_BYTES,
            share: CATCH_UP_BYTES_PER_TICK,
            appended: 0,
            waiting: VecDeque::new(),
        }
    }
}

impl Pace {
    /// The log took a record of so many bytes.
    pub(crate) fn on_appended(&mut self, bytes: usize) {
        self.appended += signed(bytes);
    }

    /// May a read begin? Then it may bring so many bytes, and is charged as if it did.
    pub(crate) fn try_begin(&mut self) -> Option<usize> {
        if self.left <= 0 {
            return None;
        }
        let share = usize::try_from(self.share).expect("a share is not negative");
        let bytes_max = share.clamp(CATCH_UP_READ_BYTES, APPEND_BYTES_MAX);
        self.left -= signed(bytes_max);
        Some(bytes_max)
    }

    /// A read has ended that might have brought `bytes_max`, and brought so many bytes.
    pub(crate) fn end(&mut self, bytes_max: usize, bytes: usize) {
        self.left += signed(bytes_max) - signed(bytes);
    }

    /// A read waits for its turn. It takes the place of an earlier one for the same member: the core asks again for
    /// what has not come.
    pub(crate) fn wait(&mut self, wanted: Wanted) {
        let mut waiting = self.waiting.iter_mut();
        let same = waiting.find(|it| (it.group, it.to) == (wanted.group, wanted.to));
        match same {
            Some(earlier) => *earlier = wanted,
            None => self.waiting.push_back(wanted),
        }
    }

    /// A tick has passed.
    pub(crate) fn on_tick(&mut self) {
        let growth = std::mem::take(&mut self.appended) * GROWTH_FACTOR;
        self.share = growth.max(CATCH_UP_BYTES_PER_TICK);
        let left = self.left + self.share;
        self.left = left.min(CATCH_UP_BURST_BYTES.max(growth));
    }

    /// The next read whose turn it is.
    pub(crate) fn take_waiting(&mut self) -> Option<Wanted> {
        let has_left = self.left > 0;
        has_left.then(|| self.waiting.pop_front()).flatten()
    }
}

fn signed(bytes: usize) -> i64 {
    i64::try_from(bytes).expect("far below 8 EiB")
}

impl<S: Seams> Shard<S> {
    /// Begins the reads for followers that this tick allows.
    pub(crate) fn read_for_followers(&mut self) {
        self.means.pace.on_tick();
        while let Some(wanted) = self.means.pace.take_waiting() {
            let Wanted { group, to, append } = wanted;
            if let Some(hosted) = self.groups.get_mut(&group) {
                hosted.load_append(&mut self.means, to, append);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use margay_types::{Index, Term};

    fn wanted(group: u32, last: u64) -> Wanted {
        Wanted {
            group: GroupId::new(group),
            to: ReplicaNumber::new(2),
            append: AppendEntries {
                term: Term::new(1),
                previous: margay_raft::Position::ZERO,
                last: Index::new(last),
                may_shorten: true,
                commit_index: Index::ZERO,
                stable_index: Index::ZERO,
                round: margay_raft::Round(0),
            },
        }
    }

    /// Reads as long as it may, in ticks; gives the bytes.
    fn read(pace: &mut Pace, ticks: usize, appended: usize) -> usize {
        let mut bytes = 0;
        for _ in 0..ticks {
            while let Some(read) = pace.try_begin() {
                pace.end(read, read);
                bytes += read;
            }
            pace.on_appended(appended);
            pace.on_tick();
        }
        bytes
    }

    #[test]
    fn a_burst_is_free_and_then_the_share_of_the_ticks_is_read() {
        let mut pace = Pace::default();
        let second = read(&mut pace, 100, 0);
        let share = usize::try_from(CATCH_UP_BYTES_PER_TICK * 100 + CATCH_UP_BURST_BYTES).unwrap();
        assert!(
            second.abs_diff(share) <= 2 * APPEND_BYTES_MAX,
            "{second} of {share}"
        );
    }

    #[test]
    fn followers_catch_up_however_fast_the_log_grows() {
        let appended = 4 << 20;
        let second = read(&mut Pace::default(), 100, appended);
        assert!(second > 100 * appended * 3, "{second}");
    }

    #[test]
    fn a_read_that_brings_little_costs_little() {
        let mut pace = Pace::default();
        for _ in 0..10_000 {
            let read = pace.try_begin().expect("it costs nothing");
            pace.end(read, 100);
        }
    }

    #[test]
    fn who_waits_has_one_place_and_the_first_one_comes_first() {
        let mut pace = Pace::default();
        while pace.try_begin().is_some() {}
        pace.wait(wanted(1, 5));
        pace.wait(wanted(2, 5));
        pace.wait(wanted(1, 9));
        assert_eq!(pace.take_waiting(), None);
        while pace.left <= 0 {
            pace.on_tick();
        }
        assert_eq!(pace.take_waiting(), Some(wanted(1, 9)));
        assert_eq!(pace.take_waiting(), Some(wanted(2, 5)));
        assert_eq!(pace.take_waiting(), None);
    }
}
