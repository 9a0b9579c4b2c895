//! What the loop of a core counts, readable from any thread: also while the core hangs.

use std::sync::atomic::{AtomicU16, AtomicU64, AtomicUsize, Ordering};

/// Counters of one core. Each is written by its core only.
#[derive(Debug, Default)]
pub struct Facts {
    turns: AtomicU64,
    registered_blocks: AtomicU16,
    connections: AtomicUsize,
    clients: AtomicUsize,
}

impl Facts {
    /// Turns of the loop so far. It stands still only when the core hangs: a tick comes every 10 ms.
    #[must_use]
    pub fn turns(&self) -> u64 {
        self.turns.load(Ordering::Relaxed)
    }

    /// Blocks that the kernel has registered; 0 when the memory-lock limit forbade it.
    #[must_use]
    pub fn registered_blocks(&self) -> u16 {
        self.registered_blocks.load(Ordering::Relaxed)
    }

    /// Open sockets, as of the last tick.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// Clients and operators among them.
    #[must_use]
    pub fn clients(&self) -> usize {
        self.clients.load(Ordering::Relaxed)
    }

    pub(super) fn count_turn(&self) {
        self.turns.store(self.turns() + 1, Ordering::Relaxed);
    }

    pub(super) fn set_registered_blocks(&self, count: u16) {
        self.registered_blocks.store(count, Ordering::Relaxed);
    }

    pub(super) fn set_connections(&self, connections: usize, clients: usize) {
        self.connections.store(connections, Ordering::Relaxed);
        self.clients.store(clients, Ordering::Relaxed);
    }
}
