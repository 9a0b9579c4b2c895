//! Who is let in: what a leader takes before anything is written, and what it tells those it does not take.
//!
//! ```text
//!   command ─> room on the disk? ─> few enough under way? ─> young enough? ─> output fits the caches? ─> append
//!                  NoSpace               Overloaded             Overloaded       WindowFull, Overloaded
//! ```
//!
//! What is taken must still be of use when it is done: so the queue has a bound in commands, one in bytes, and one in
//! time, which holds however slow disk and processor are. A refusal costs a look at a few numbers; who is refused is
//! told when to come again, and the more there are of them, the later. Otherwise they would come so often that
//! refusing is all that the leader does.

use crate::limits::{
    NO_SPACE_RETRY_MS, OVERLOADED_RETRY_MS, OVERLOADED_RETRY_MS_MAX, PROPOSAL_BYTES_MAX,
    PROPOSAL_MS_MAX, PROPOSALS_MAX, REFUSALS_COUNTED_NS, TAKEN_PER_REFUSAL,
};
use crate::shard::Seams;
use crate::shard::hosted::Hosted;
use crate::shard::means::Means;
use crate::shard::waiters::Waiters;
use crate::storage::{Room, record};
use margay_machine::CheckedCommand;
use margay_types::SessionId;
use margay_wire::refusal::Refusal;

/// How many came to a leader and how many of them it sent away, lately; and when those are to come again.
///
/// The pause grows while more than a part of those who come are sent away, and shrinks again when it is less. It is
/// looked at once per pause: before, nobody who was told of it can have come back.
#[derive(Debug)]
pub(crate) struct Door {
    since_ns: u64,
    taken: u64,
    refused: u64,
    pause_ms: u32,
}

impl Default for Door {
    fn default() -> Self {
        Self {
            since_ns: 0,
            taken: 0,
            refused: 0,
            pause_ms: OVERLOADED_RETRY_MS,
        }
    }
}

impl Door {
    /// One was let in.
    pub(crate) fn on_taken(&mut self) {
        self.taken += 1;
    }

    /// One is sent away: after how many milliseconds may it come again?
    pub(crate) fn on_refused(&mut self, now_ns: u64) -> u32 {
        let looked_ns = u64::from(self.pause_ms) * 1_000_000;
        let period_ns = looked_ns.max(REFUSALS_COUNTED_NS);
        let elapsed_ns = now_ns.saturating_sub(self.since_ns);
        if elapsed_ns >= period_ns {
            let is_calm = elapsed_ns >= 2 * period_ns;
            let pause_ms = if is_calm {
                OVERLOADED_RETRY_MS
            } else if self.refused * TAKEN_PER_REFUSAL > self.taken {
                self.pause_ms * 2
            } else {
                self.pause_ms / 2
            };
            *self = Self {
                since_ns: now_ns,
                taken: 0,
                refused: 0,
                pause_ms: pause_ms.clamp(OVERLOADED_RETRY_MS, OVERLOADED_RETRY_MS_MAX),
            };
        }
        self.refused += 1;
        self.pause_ms
    }
}

/// Is too much under way, or for too long, to take a command of so many bytes?
fn is_behind(under_way: &Waiters, payload_bytes: usize, now_ns: u64) -> bool {
    let oldest_ns = under_way.oldest_ns().unwrap_or(now_ns);
    under_way.bytes() + payload_bytes > PROPOSAL_BYTES_MAX
        || now_ns.saturating_sub(oldest_ns) > PROPOSAL_MS_MAX * 1_000_000
}

impl Hosted {
    /// Is there room for one more command of a client's?
    pub(crate) fn admit<S: Seams>(
        &mut self,
        means: &mut Means<S>,
        payload_bytes: usize,
    ) -> Result<(), Refusal> {
        if means.log.room() >= Room::Soft {
            return Err(Refusal::NoSpace {
                retry_after_ms: NO_SPACE_RETRY_MS,
            });
        }
        let reign = self.reign.as_ref();
        if reign.is_some_and(|reign| is_behind(&reign.waiters, payload_bytes, means.now_ns)) {
            return Err(self.overloaded(means.now_ns));
        }
        self.admit_upkeep(means, payload_bytes)
            .map_err(|_| self.overloaded(means.now_ns))
    }

    /// Is there room for one more entry that ordinary commands make room for: about sessions, or of the leader's own?
    pub(crate) fn admit_upkeep<S: Seams>(
        &self,
        means: &mut Means<S>,
        payload_bytes: usize,
    ) -> Result<(), Refusal> {
        let unapplied = self.stored_last.since(self.host.applied_index());
        let is_full = unapplied >= PROPOSALS_MAX as u64;
        if is_full || !means.log.has_room(record::record_bytes(payload_bytes)) {
            return Err(Refusal::Overloaded {
                retry_after_ms: OVERLOADED_RETRY_MS,
            });
        }
        Ok(())
    }

    /// Will the command's output fit into the caches of its session and of the group, whatever becomes of those under
    /// way? What does not fit when it is applied would have been written, sent and applied for nothing.
    pub(crate) fn admit_output(
        &mut self,
        session: SessionId,
        command: &CheckedCommand,
        now_ns: u64,
    ) -> Result<(), Refusal> {
        let limits = self.host.limits();
        let (Some(view), Some(reign)) = (self.host.session(session), &self.reign) else {
            // Its opening is not applied yet: nothing is kept for it.
            return Ok(());
        };
        // The command itself may let go of outputs; they are only counted when it matters.
        let freed =
            || view.cached_bytes - self.host.kept_bytes(session, command.acknowledged_below);
        let fits = |bytes: u64, bytes_max| bytes <= bytes_max || bytes - freed() <= bytes_max;
        let promised = reign.sequencing.promised_bytes(session, view.applied);
        let session_bytes = view.cached_bytes + promised.saturating_add(command.cached_bytes_max);
        if !fits(session_bytes, limits.session_cache_bytes_max) {
            return Err(Refusal::WindowFull);
        }
        let unapplied = self.stored_last.since(self.host.applied_index());
        let promised = unapplied.saturating_mul(reign.sequencing.any_output_bytes_max());
        let group_bytes = self.host.cached_bytes() + promised + command.cached_bytes_max;
        if !fits(group_bytes, limits.group_cache_bytes_max) {
            return Err(self.overloaded(now_ns));
        }
        Ok(())
    }

    /// Too much to do: come again later.
    fn overloaded(&mut self, now_ns: u64) -> Refusal {
        let retry_after_ms = self
            .reign
            .as_mut()
            .map_or(OVERLOADED_RETRY_MS, |reign| reign.door.on_refused(now_ns));
        Refusal::Overloaded { retry_after_ms }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shard::outbox::ConnectionId;
    use crate::shard::waiters::{Purpose, Requester};
    use margay_types::{Index, ShardId};

    /// Commands of a mebibyte each, to a leader that applies none of them.
    #[test]
    fn what_is_under_way_has_a_bound_in_bytes() {
        const COMMAND_BYTES: usize = 1 << 20;
        let mut under_way = Waiters::default();
        let requester = Requester {
            connection: ConnectionId {
                shard: ShardId::FIRST,
                number: 1,
            },
            request: 1,
            purpose: Purpose::Output,
        };
        let mut taken = 0;
        while !is_behind(&under_way, COMMAND_BYTES, 5) {
            taken += 1;
            under_way.push(Index::new(taken), requester, COMMAND_BYTES, 5);
        }
        assert_eq!(taken, (PROPOSAL_BYTES_MAX / COMMAND_BYTES) as u64);
        under_way.take_appended(Index::new(1), |_| {});
        assert!(!is_behind(&under_way, COMMAND_BYTES, 5));
    }

    const PERIOD: u64 = REFUSALS_COUNTED_NS;

    /// Ten come for each that is let in, until they stay away.
    #[test]
    fn the_more_are_refused_the_later_they_are_asked_to_come_again() {
        let mut door = Door::default();
        let mut told_ms = Vec::new();
        for period in 10..14 {
            door.on_taken();
            for _ in 0..9 {
                door.on_refused(period * PERIOD);
            }
            told_ms.push(door.on_refused(period * PERIOD));
        }
        assert_eq!(told_ms, [10, 20, 40, 80]);
        for period in 14..18 {
            (0..100).for_each(|_| door.on_taken());
            told_ms.push(door.on_refused(period * PERIOD));
        }
        assert_eq!(told_ms[4..], [40, 20, 10, 10]);
    }

    #[test]
    fn a_rush_that_is_over_is_forgotten() {
        let mut door = Door::default();
        (10..14).for_each(|period| {
            (0..9).for_each(|_| {
                door.on_refused(period * PERIOD);
            });
        });
        assert_eq!(door.on_refused(30 * PERIOD), OVERLOADED_RETRY_MS);
    }

    #[test]
    fn nobody_is_asked_to_stay_away_longer_than_the_limit() {
        let mut door = Door::default();
        let told_ms = (0..1_000).map(|at| door.on_refused(at * PERIOD / 10)).max();
        assert_eq!(told_ms, Some(OVERLOADED_RETRY_MS_MAX));
    }
}
