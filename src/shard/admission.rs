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
    PROPOSAL_MS_MAX, PROPOSALS_MAX, REFUSALS_COUNTED_NS,
};
use crate::shard::Seams;
use crate::shard::hosted::Hosted;
use crate::shard::means::Means;
use crate::storage::{Room, record};
use margay_machine::CheckedCommand;
use margay_types::SessionId;
use margay_wire::refusal::Refusal;

/// How many came to a leader, and how many of them it sent away: this period, and the one before.
#[derive(Debug, Default)]
pub(crate) struct Door {
    since_ns: u64,
    taken: u64,
    refused: u64,
    /// Refused for each that was taken, in the period before.
    pressure: u64,
}

impl Door {
    /// One was let in.
    pub(crate) fn on_taken(&mut self) {
        self.taken += 1;
    }

    /// One is sent away: when may it come again?
    pub(crate) fn on_refused(&mut self, now_ns: u64) -> u32 {
        let elapsed_ns = now_ns.saturating_sub(self.since_ns);
        if elapsed_ns >= REFUSALS_COUNTED_NS {
            let is_fresh = elapsed_ns < 2 * REFUSALS_COUNTED_NS;
            let pressure = self.refused / self.taken.max(1);
            *self = Self {
                since_ns: now_ns,
                pressure: if is_fresh { pressure } else { 0 },
                ..Self::default()
            };
        }
        self.refused += 1;
        let times = self.pressure.saturating_add(1);
        let later_ms = times.saturating_mul(u64::from(OVERLOADED_RETRY_MS));
        u32::try_from(later_ms).map_or(OVERLOADED_RETRY_MS_MAX, |later_ms| {
            later_ms.min(OVERLOADED_RETRY_MS_MAX)
        })
    }
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
        let is_behind = self.reign.as_ref().is_some_and(|reign| {
            let is_large = reign.waiters.bytes() + payload_bytes > PROPOSAL_BYTES_MAX;
            let oldest_ns = reign.waiters.oldest_ns().unwrap_or(means.now_ns);
            is_large || means.now_ns.saturating_sub(oldest_ns) > PROPOSAL_MS_MAX * 1_000_000
        });
        if is_behind {
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
        let under_way = reign.sequencing.under_way(session, view.applied);
        let needed = under_way
            .saturating_mul(reign.sequencing.output_bytes_max(session))
            .saturating_add(command.cached_bytes_max);
        let session_bytes_max = limits.session_cache_bytes_max;
        // The command itself may let go of outputs; they are only counted when it matters.
        let fits = view.cached_bytes + needed <= session_bytes_max || {
            let kept = self.host.kept_bytes(session, command.acknowledged_below);
            kept + needed <= session_bytes_max
        };
        if !fits {
            return Err(Refusal::WindowFull);
        }
        let unapplied = self.stored_last.since(self.host.applied_index());
        let promised = unapplied.saturating_mul(reign.sequencing.any_output_bytes_max());
        let group_bytes = self.host.cached_bytes() + promised + command.cached_bytes_max;
        if group_bytes > limits.group_cache_bytes_max {
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

    /// Ten come for each that is let in: after one period they are asked to stay away ten times longer, and when they
    /// do, no longer than before.
    #[test]
    fn the_more_are_refused_the_later_they_are_asked_to_come_again() {
        let mut door = Door::default();
        let mut now_ns = 7 * REFUSALS_COUNTED_NS;
        for _ in 0..10 {
            door.on_taken();
            for _ in 0..9 {
                assert_eq!(door.on_refused(now_ns), OVERLOADED_RETRY_MS);
            }
        }
        now_ns += REFUSALS_COUNTED_NS;
        // The first refusal began a period in which one had been taken and eight refused already.
        assert_eq!(door.on_refused(now_ns), 9 * OVERLOADED_RETRY_MS);
        now_ns += REFUSALS_COUNTED_NS;
        door.on_taken();
        assert_eq!(door.on_refused(now_ns), 2 * OVERLOADED_RETRY_MS);
        now_ns += 10 * REFUSALS_COUNTED_NS;
        assert_eq!(door.on_refused(now_ns), OVERLOADED_RETRY_MS);
    }

    #[test]
    fn nobody_is_asked_to_stay_away_longer_than_the_limit() {
        let mut door = Door::default();
        for _ in 0..100_000 {
            door.on_refused(5);
        }
        let told_ms = door.on_refused(5 + REFUSALS_COUNTED_NS);
        assert_eq!(told_ms, OVERLOADED_RETRY_MS_MAX);
    }
}
