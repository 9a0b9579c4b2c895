//! The numbers that a group's core is told: timeouts in ticks and bounds of what is under way.

use crate::types::Ticks;

/// Most that may be under way to one follower of one group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Requests sent and not answered.
    pub messages_max: usize,
    /// Bytes of records in them. One request may be larger: an entry never waits for ever.
    pub bytes_max: u64,
}

/// Settings of one replica. All replicas of a group should have the same; safety does not depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Shortest election timeout; also the time for which a follower sticks to its leader.
    pub election_ticks_min: Ticks,
    /// Timeouts are drawn from `[election_ticks_min, election_ticks_max)`.
    pub election_ticks_max: Ticks,
    /// So many ticks lie between the timeouts that two voters of a group may draw, where the range has room for that;
    /// 0: they may draw the same. Two, because of two clocks that tick at different moments one tick may be nothing.
    pub election_slot_ticks: Ticks,
    /// A leader that has nothing to send is heard from this often.
    pub heartbeat_ticks: Ticks,
    /// Bound of what is under way to one follower.
    pub window: Window,
    /// Bytes of records in one append; one entry may be larger.
    pub append_bytes_max: u64,
    /// For how many of its newest entries the core remembers sizes; older ones are sent one request at a time.
    pub tail_entries_max: usize,
}

impl Default for Options {
    /// The product's defaults, with a tick of 10 ms.
    fn default() -> Self {
        Self {
            election_ticks_min: Ticks::new(30),
            election_ticks_max: Ticks::new(60),
            election_slot_ticks: Ticks::new(2),
            heartbeat_ticks: Ticks::new(6),
            window: Window {
                messages_max: 256,
                bytes_max: 1 << 20,
            },
            append_bytes_max: 512 << 10,
            tail_entries_max: 65_536,
        }
    }
}
