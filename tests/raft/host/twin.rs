//! The same core once more, told of ticks as late as a shard tells: the two must do the same.
//!
//! A shard ticks a replica only when `ticks_until_due` says that a tick will do more than count, and lets it catch up
//! before every other input. Here every core of every script and every seed has such a twin.
//!
//! ```text
//!   core    tick tick tick tick message tick ...
//!   twin                        advance(4), message     the same effects, the same state
//! ```

use margay_raft::{Effect, Replica};

/// The whole state is compared at one input in so many: it is costly.
const INPUTS_PER_COMPARISON: u32 = 32;

/// A core that lags behind.
pub(crate) struct Twin {
    core: Replica,
    behind: u32,
    inputs: u32,
}

impl Twin {
    /// The twin of a core that begins its life.
    pub(crate) fn new(core: &Replica) -> Self {
        Self {
            core: core.clone(),
            behind: 0,
            inputs: 0,
        }
    }

    /// Its brother was given a tick, and then flushed.
    pub(crate) fn on_tick(&mut self, brother: &Replica, had_to_flush: bool, effects: &[Effect]) {
        self.behind += 1;
        let due = self.core.ticks_until_due();
        assert!(self.behind <= due, "a tick that was due was missed");
        if self.behind < due && !had_to_flush {
            assert_eq!(effects, &[], "a tick that was not due did more than count");
            return;
        }
        let mut own = Vec::new();
        self.core.advance(self.behind, &mut own);
        self.behind = 0;
        self.core.flush(&mut own);
        self.compare(brother, &own, effects);
    }

    /// Its brother was given this input.
    pub(crate) fn on_input(
        &mut self,
        brother: &Replica,
        give: impl FnOnce(&mut Replica, &mut Vec<Effect>),
        effects: &[Effect],
    ) {
        let mut own = Vec::new();
        self.core.advance(self.behind, &mut own);
        self.behind = 0;
        assert_eq!(own, [], "a tick that was not due did more than count");
        give(&mut self.core, &mut own);
        self.compare(brother, &own, effects);
    }

    fn compare(&mut self, brother: &Replica, own: &[Effect], effects: &[Effect]) {
        assert_eq!(own, effects, "late ticks made a difference");
        self.inputs += 1;
        if self.inputs.is_multiple_of(INPUTS_PER_COMPARISON) {
            assert_eq!(
                format!("{:?}", self.core),
                format!("{brother:?}"),
                "late ticks made a difference"
            );
        }
    }
}
