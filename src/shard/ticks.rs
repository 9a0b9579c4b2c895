//! What a shard does because time passes: alarms ring, sessions are refreshed or end, groups are looked after.

use crate::limits::{
    HOUSE_TICKS, SEGMENTS_BEFORE_CHECKPOINT, SEGMENTS_BEFORE_CHECKPOINT_WHEN_SHORT, TICK_NS,
};
use crate::shard::Seams;
use crate::shard::shard::Shard;
use crate::storage::Room;
use margay_types::Index;
use std::time::Duration;

impl<S: Seams> Shard<S> {
    /// A tick of 10 ms passed. What it brings comes when all input of the turn was handled, so that nobody is called
    /// silent whose word had arrived.
    pub fn on_tick(&mut self) {
        self.ticks_to_tell += 1;
    }

    /// The ticks of this turn, when all its input was handled.
    pub(crate) fn tell_ticks(&mut self) {
        while self.ticks_to_tell > 0 {
            self.ticks_to_tell -= 1;
            self.tell_tick();
        }
    }

    fn tell_tick(&mut self) {
        for group in self.means.alarms.advance() {
            if let Some(hosted) = self.groups.get_mut(&group) {
                hosted.on_alarm(&mut self.means);
            }
        }
        for group in self.means.upkeep.take_due(self.means.observed.ns()) {
            if let Some(hosted) = self.groups.get_mut(&group) {
                hosted.keep_house(&mut self.means);
            }
        }
        let idle = Duration::from_nanos(TICK_NS);
        let told = self.means.log.on_idle(idle);
        self.means.note(told);
        if self.means.alarms.tick().is_multiple_of(HOUSE_TICKS) {
            self.look_after_groups();
        }
        if self.stop_by_ticks.is_none() {
            self.send_one_home();
        }
    }

    /// Looks after the groups that have something to keep, frees what nobody needs, and asks for checkpoints of those
    /// that hold room.
    fn look_after_groups(&mut self) {
        if self.stop_by_ticks.is_some() {
            self.hand_over_all();
        }
        let is_short = self.means.log.room() > Room::Free;
        let enough = if is_short {
            SEGMENTS_BEFORE_CHECKPOINT_WHEN_SHORT
        } else {
            SEGMENTS_BEFORE_CHECKPOINT
        };
        let holders = match self.means.log.used_segments() {
            used if used > enough => {
                let applied = |group| match self.groups.get(&group) {
                    Some(hosted) => hosted.host.applied_index(),
                    None => Index::ZERO,
                };
                self.means.log.oldest_holders_for_checkpoint(applied)
            }
            _ => Vec::new(),
        };
        let mut groups = self.means.upkeep.take_all();
        groups.extend(&holders);
        for group in &groups {
            if let Some(hosted) = self.groups.get_mut(group) {
                hosted.look_after(&mut self.means, holders.contains(group));
                hosted.arrange_upkeep(&mut self.means);
            }
        }
        self.means.log.tend();
        if !self.births.waiting.is_empty() {
            self.bear_waiting();
        }
        self.end_late_surveys();
    }

    /// Gives away what is led here, as far as somebody can take it.
    pub(crate) fn hand_over_all(&mut self) {
        for hosted in self.groups.values_mut() {
            hosted.hand_over(&mut self.means, |_| true);
        }
    }
}
