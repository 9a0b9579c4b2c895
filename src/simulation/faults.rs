//! What goes wrong in a world, and how often: drawn per seed, so that every seed is a swarm of its own.
//!
//! Each kind of fault is on in some worlds and off in others, at a rate of its own; faults that are always on hide
//! those that need quiet.

use crate::network::{NetworkOptions, between};
use margay_types::Random;

const MS: u64 = 1_000_000;

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// A process dies; its machine goes on, so what was written is readable.
    Kill,
    /// A machine loses power: what was not synced is at the mercy of the disk.
    PowerCut,
    /// All machines lose power at once.
    TotalPowerCut,
    /// A process is stopped for a while.
    Pause,
    /// A client's process is stopped for a while.
    ClientPause,
    /// A clock jumps forward.
    ClockJump,
    /// A node is cut off from some others, both ways.
    Cut,
    /// One way between two nodes is cut.
    OneWayCut,
    /// One way is held up.
    Clog,
    /// A connection breaks.
    Break,
    /// A node cannot be reached by any client.
    ClientCut,
    /// The next operation of a disk takes long.
    SlowDisk,
    /// A disk hangs for longer than an election takes.
    HungDisk,
    /// A disk is full for a while.
    FullDisk,
    /// Power fails at one of the next operations of a disk.
    CrashAtOperation,
    /// All disks hang, and then all machines lose power.
    Brownout,
}

const KINDS: [(FaultKind, u64); 16] = [
    (FaultKind::Kill, 1_500),
    (FaultKind::PowerCut, 1_500),
    (FaultKind::TotalPowerCut, 4_000),
    (FaultKind::Pause, 1_200),
    (FaultKind::ClientPause, 3_000),
    (FaultKind::ClockJump, 2_000),
    (FaultKind::Cut, 1_500),
    (FaultKind::OneWayCut, 1_200),
    (FaultKind::Clog, 800),
    (FaultKind::Break, 500),
    (FaultKind::ClientCut, 2_000),
    (FaultKind::SlowDisk, 300),
    (FaultKind::HungDisk, 3_000),
    (FaultKind::FullDisk, 3_000),
    (FaultKind::CrashAtOperation, 1_500),
    (FaultKind::Brownout, 5_000),
];

/// When which fault comes next.
#[derive(Debug)]
pub struct Schedule {
    random: Random,
    /// Kind, mean pause in nanoseconds, next time.
    kinds: Vec<(FaultKind, u64, u64)>,
}

impl Schedule {
    /// Draws which kinds come, and how often.
    #[must_use]
    pub fn draw(random: &mut Random, from_ns: u64) -> Self {
        let mut kinds = Vec::new();
        let is_calm = random.chance(1, 12);
        for (kind, mean_ms) in KINDS {
            let is_on = random.chance(2, 5);
            let scale = between(random, 50, 300);
            let mean_ns = mean_ms * MS * scale / 100;
            let first_ns = from_ns + random.below(2 * mean_ns);
            if is_on && !is_calm {
                kinds.push((kind, mean_ns, first_ns));
            }
        }
        Self {
            random: Random::new(random.next_number()),
            kinds,
        }
    }

    /// Nothing goes wrong.
    #[must_use]
    pub fn none() -> Self {
        Self {
            random: Random::new(0),
            kinds: Vec::new(),
        }
    }

    /// The kinds that come.
    #[must_use]
    pub fn kinds(&self) -> Vec<FaultKind> {
        self.kinds.iter().map(|(kind, _, _)| *kind).collect()
    }

    /// When the next one comes.
    #[must_use]
    pub fn next_event_ns(&self) -> Option<u64> {
        self.kinds.iter().map(|(_, _, at_ns)| *at_ns).min()
    }

    /// Takes those that come now.
    #[must_use]
    pub fn take_due(&mut self, now_ns: u64) -> Vec<FaultKind> {
        let mut due = Vec::new();
        for (kind, mean_ns, at_ns) in &mut self.kinds {
            if *at_ns <= now_ns {
                due.push(*kind);
                *at_ns = now_ns + 1 + self.random.below(2 * *mean_ns);
            }
        }
        due
    }
}

/// Draws how the network behaves.
#[must_use]
pub fn draw_network(random: &mut Random) -> NetworkOptions {
    let delay_ns_min = between(random, MS / 50, MS);
    let is_late = random.chance(1, 2);
    let is_lossy = random.chance(1, 2);
    NetworkOptions {
        delay_ns_min,
        delay_ns_max: delay_ns_min + between(random, MS / 50, 10 * MS),
        late_permille: if is_late { random.below(50) } else { 0 },
        late_ns: between(random, MS, 300 * MS),
        loss_permille: if is_lossy { random.below(200) } else { 0 },
        double_permille: if is_lossy { random.below(200) } else { 0 },
    }
}

/// A network on which nothing goes wrong.
#[must_use]
pub const fn calm_network() -> NetworkOptions {
    NetworkOptions {
        delay_ns_min: MS / 20,
        delay_ns_max: MS,
        late_permille: 0,
        late_ns: 0,
        loss_permille: 0,
        double_permille: 0,
    }
}
