//! The seam beside the clock: the only time a shard sees.

/// Time as a shard sees it.
pub trait Clock {
    /// Nanoseconds since some start. Never goes back, and goes on while the process is stopped or the machine
    /// sleeps (CLOCK_BOOTTIME).
    fn now_ns(&self) -> u64;
}
