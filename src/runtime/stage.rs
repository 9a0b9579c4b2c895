//! From the start of a core to its end, in steps; each waits for the one before.
//!
//! Stopping goes in steps, and each waits for the one before:
//!
//! ```text
//!     Starting ── the shard is made ──> Running ── is_stopped ──> Leaving ── sent ──> Draining ── 0 ──> end
//!         └────────────── stop, or the shard cannot be made ────────────────────────────^
//! ```

use super::clock::{BootClock, nanoseconds};
use super::core_loop::{CoreLoop, Parts, Stage};
use super::driven::Core;
use super::limits::{LINGER, STOP_TIMEOUT};
use super::network::Surroundings;
use crate::codes::Code;
use crate::shard::Clock;

impl<C: Core + 'static> CoreLoop<C> {
    /// Has the kernel completed everything? Called when no task can go on.
    pub(super) fn is_drained(&self) -> bool {
        let is_drained =
            matches!(self.stage, Stage::Draining) && self.parts.ring.started_count() == 0;
        let left = self.parts.io.live_count();
        if is_drained && left > 0 {
            tracing::warn!(
                code = %Code::StopTooLong,
                left,
                "cold tasks wait for what never comes: dropped"
            );
        }
        is_drained
    }

    pub(super) fn request_stop(&mut self, now_ns: u64) {
        match (&self.stage, &mut self.core) {
            (Stage::Running, Some(core)) => {
                core.request_stop();
                self.stop_by_ns
                    .get_or_insert(now_ns + nanoseconds(STOP_TIMEOUT));
            }
            (Stage::Starting, _) => self.drain(),
            (Stage::Running, None) => unreachable!("a shard that runs is there"),
            (Stage::Leaving { .. } | Stage::Draining, _) => {}
        }
    }

    pub(super) fn advance_stage(&mut self, now_ns: u64) {
        match self.stage {
            Stage::Starting => self.take_made(now_ns),
            Stage::Running => {
                let core = self.core.as_mut().expect("a shard that runs is there");
                let is_late = self.stop_by_ns.is_some_and(|by_ns| by_ns <= now_ns);
                if is_late {
                    tracing::error!(code = %Code::StopTooLong, "the shard did not get ready to stop in time");
                }
                if core.is_stopped() || is_late {
                    let mut around = Surroundings { core, now_ns };
                    self.parts.network.leave_all(&mut around);
                    self.stage = Stage::Leaving {
                        until_ns: now_ns + nanoseconds(LINGER),
                    };
                }
            }
            Stage::Leaving { until_ns } => {
                if now_ns >= until_ns || !self.parts.network.is_busy() {
                    self.drain();
                }
            }
            Stage::Draining => {}
        }
    }

    /// The shard is there, or will never be.
    fn take_made(&mut self, now_ns: u64) {
        let made = self.parts.made.borrow_mut().take();
        match made {
            None => {}
            Some(Ok(mut core)) => {
                core.begin_turn();
                for (token, result) in self.early_writes.drain(..) {
                    core.on_written(token, result);
                }
                for (from, message) in self.early_messages.drain(..) {
                    core.on_sibling_message(from, message);
                }
                for visit in self.early_visits.drain(..) {
                    visit(&mut core);
                }
                for handed in self.early_sockets.drain(..) {
                    let Parts { ring, network, .. } = &mut self.parts;
                    let mut around = Surroundings {
                        core: &mut core,
                        now_ns,
                    };
                    network.on_handed(ring, handed, &mut around);
                }
                self.core = Some(core);
                self.stage = Stage::Running;
                self.arm_accept();
            }
            Some(Err(error)) => {
                self.failure = Some(error);
                self.drain();
            }
        }
    }

    /// No new work; what waits on others is cancelled, what the disk has is awaited.
    fn drain(&mut self) {
        self.stage = Stage::Draining;
        let now_ns = BootClock.now_ns();
        if let Some(core) = &mut self.core {
            self.parts
                .network
                .end_all(&mut Surroundings { core, now_ns });
        }
        self.start_cold();
        self.parts.io.stop();
        self.parts.ring.cancel_waiting();
    }
}
