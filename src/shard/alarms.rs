//! Which groups must be told of which tick: a wheel of ticks, so that a tick costs what is due in it, not what exists.
//!
//! ```text
//!   now          in 1     in 2     in 3     in 4
//!                ├ 7      ├        ├ 1 9    ├ 4        groups by the tick at which their alarm rings
//!                └───── rings, then the wheel turns
//! ```
//!
//! A group has one alarm, which it keeps itself. One that is set to an earlier tick leaves its old place in the wheel:
//! what rings there later is not what the group waits for, and is ignored. Most alarms ring too early, because every
//! heartbeat puts an election off; then they are set anew, so that a heartbeat costs nothing here.

use margay_types::GroupId;
use std::collections::VecDeque;

/// Alarms further away ring early and are set anew.
const WHEEL_TICKS_MAX: u64 = 1_024;

/// The alarms of all groups of a shard.
#[derive(Debug)]
pub(crate) struct Alarms {
    tick: u64,
    /// Leaders send their heartbeats in ticks that are multiples of this, all together.
    beat_ticks: u64,
    /// Those that ring in the next tick, in the one after it, and so on.
    slots: VecDeque<Vec<GroupId>>,
}

impl Alarms {
    /// No alarms, at tick 0.
    pub(crate) fn new(beat_ticks: u64) -> Self {
        assert!(beat_ticks > 0, "heartbeats have an interval");
        Self {
            tick: 0,
            beat_ticks,
            slots: VecDeque::new(),
        }
    }

    /// Ticks since the shard started.
    pub(crate) fn tick(&self) -> u64 {
        self.tick
    }

    /// Do all leaders of the shard send heartbeats in this tick?
    pub(crate) fn is_beat(&self) -> bool {
        self.tick.is_multiple_of(self.beat_ticks)
    }

    /// The next tick in which they do.
    pub(crate) fn next_beat(&self) -> u64 {
        (self.tick / self.beat_ticks + 1) * self.beat_ticks
    }

    /// Rings for a group at this tick, or earlier if that is far away. Gives when.
    pub(crate) fn set(&mut self, group: GroupId, at: u64) -> u64 {
        assert!(at > self.tick, "tick {at} has passed at {}", self.tick);
        let at = at.min(self.tick + WHEEL_TICKS_MAX);
        let place = usize::try_from(at - self.tick - 1).expect("the wheel is small");
        if place >= self.slots.len() {
            self.slots.resize_with(place + 1, Vec::new);
        }
        let slot = self.slots.get_mut(place).expect("the wheel was enlarged");
        slot.push(group);
        at
    }

    /// The next tick begins. Gives the groups whose alarm may ring in it.
    pub(crate) fn advance(&mut self) -> Vec<GroupId> {
        self.tick += 1;
        self.slots.pop_front().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alarm_rings_in_its_tick() {
        let mut alarms = Alarms::new(6);
        let (one, two) = (GroupId::new(1), GroupId::new(2));
        assert_eq!(alarms.set(one, 3), 3);
        assert_eq!(alarms.set(two, 1), 1);
        assert_eq!(alarms.advance(), [two]);
        assert_eq!(alarms.set(two, 3), 3);
        assert_eq!(alarms.advance(), []);
        assert_eq!(alarms.advance(), [one, two]);
        assert_eq!(alarms.advance(), []);
    }

    #[test]
    fn an_alarm_that_is_far_away_rings_early() {
        let mut alarms = Alarms::new(6);
        let group = GroupId::new(1);
        assert_eq!(alarms.set(group, u64::MAX), WHEEL_TICKS_MAX);
        for _ in 1..WHEEL_TICKS_MAX {
            assert_eq!(alarms.advance(), []);
        }
        assert_eq!(alarms.advance(), [group]);
    }

    #[test]
    fn beats_come_at_multiples_of_their_interval() {
        let mut alarms = Alarms::new(6);
        assert_eq!(alarms.next_beat(), 6);
        (0..6).for_each(|_| drop(alarms.advance()));
        assert!(alarms.is_beat());
        assert_eq!(alarms.next_beat(), 12);
    }
}
