//! What one seed is like: which faults are switched on, and how often they come.
//!
//! Each fault is off in about half of the seeds. A run with everything on at once hides the schedules that need
//! one fault alone, and the one that never has a quiet moment commits nothing.

use super::random::Random;
use margay_raft::Options;
use margay_raft::options::Window;
use margay_types::Ticks;

/// Rates per thousand, per tick or per message; times in ticks.
#[derive(Clone, Debug)]
pub(crate) struct Swarm {
    pub(crate) voters: u16,
    pub(crate) learners: u16,
    pub(crate) options: Options,
    pub(crate) safety_ticks: u64,

    pub(crate) loss: u64,
    pub(crate) duplicates: u64,
    pub(crate) delay_max: u64,
    /// Messages that arrive long after everybody has forgotten them.
    pub(crate) very_late: u64,

    pub(crate) cuts: u64,
    pub(crate) one_way: u64,
    pub(crate) heals: u64,

    pub(crate) crashes: u64,
    pub(crate) restarts: u64,
    pub(crate) pauses: u64,
    pub(crate) pause_max: u64,
    /// How often a clock loses a tick, for the member whose number is drawn.
    pub(crate) slow_clock: u64,

    pub(crate) write_returns: u64,
    pub(crate) stuck_disks: u64,
    pub(crate) stuck_max: u64,
    pub(crate) full_disks: u64,
    pub(crate) full_max: u64,

    pub(crate) proposals: u64,
    /// Most commands that are proposed at once.
    pub(crate) burst_max: u64,
    pub(crate) reads: u64,
    pub(crate) transfers: u64,
    pub(crate) changes: u64,
    pub(crate) reclaims: u64,
}

impl Swarm {
    pub(crate) fn draw(random: &mut Random) -> Self {
        let mut sometimes = |low: u64, high: u64| {
            if random.chance(500) {
                random.between(low, high)
            } else {
                0
            }
        };
        let (loss, duplicates) = (sometimes(5, 300), sometimes(5, 300));
        let (very_late, cuts) = (sometimes(1, 30), sometimes(2, 30));
        let (one_way, crashes) = (sometimes(200, 1000), sometimes(1, 20));
        let (pauses, slow_clock) = (sometimes(1, 15), sometimes(100, 600));
        let (stuck_disks, reclaims) = (sometimes(1, 10), sometimes(2, 40));
        let (transfers, changes) = (sometimes(2, 30), sometimes(5, 60));
        let full_disks = sometimes(1, 10);
        let few_bytes = random.chance(300);
        Self {
            voters: random.pick(&[1, 2, 3, 3, 3, 4, 5, 5]).unwrap_or(3),
            learners: random.pick(&[0, 0, 1, 2]).unwrap_or(0),
            options: Options {
                election_ticks_min: Ticks::new(10),
                election_ticks_max: Ticks::new(20),
                election_slot_ticks: Ticks::new(random.pick(&[0, 1, 2]).unwrap_or(0)),
                heartbeat_ticks: Ticks::new(2),
                window: Window {
                    messages_max: random.pick(&[1, 2, 16, 256]).unwrap_or(16),
                    bytes_max: if few_bytes { 100 } else { 1 << 20 },
                },
                append_bytes_max: random.pick(&[1, 80, 200, 4096]).unwrap_or(4096),
                tail_entries_max: random.pick(&[1, 3, 16, 1024]).unwrap_or(1024),
            },
            safety_ticks: random.between(200, 900),
            loss,
            duplicates,
            delay_max: random.pick(&[1, 1, 2, 4, 12]).unwrap_or(1),
            very_late,
            cuts,
            one_way,
            heals: random.between(10, 80),
            crashes,
            restarts: random.between(10, 100),
            pauses,
            pause_max: random.between(5, 80),
            slow_clock,
            write_returns: random.pick(&[1000, 1000, 800, 400, 100]).unwrap_or(1000),
            stuck_disks,
            stuck_max: random.between(10, 150),
            full_disks,
            full_max: random.between(10, 150),
            burst_max: random.pick(&[1, 1, 4, 8]).unwrap_or(1),
            proposals: random.pick(&[5, 50, 200, 600]).unwrap_or(200),
            reads: random.pick(&[0, 50, 200]).unwrap_or(50),
            transfers,
            changes,
            reclaims,
        }
    }

    /// Nothing fails any more.
    pub(crate) fn healed(&self) -> Self {
        Self {
            loss: 0,
            duplicates: 0,
            delay_max: 1,
            very_late: 0,
            cuts: 0,
            crashes: 0,
            pauses: 0,
            slow_clock: 0,
            write_returns: 1000,
            stuck_disks: 0,
            full_disks: 0,
            proposals: 0,
            reads: 0,
            transfers: 0,
            changes: 0,
            reclaims: 0,
            ..self.clone()
        }
    }
}
