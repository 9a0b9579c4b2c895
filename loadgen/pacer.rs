//! The open loop: sends that are due, clients that have room for them, and when each one left.
//!
//! ```text
//!   schedule ──due──> queue ──first in, first out──┐
//!                                                  ├──> issued ──flushed──> left: lateness
//!   answers ──room──> clients in turn ─────────────┘
//! ```
//!
//! What happens to the cluster never changes a time of the schedule: a send that finds all windows full
//! waits in the queue, with its intended time. With a patience it waits so long at most; after that it is
//! not sent, and counted. Time is an input; a turn gives it once, at the start.
//!
//! Invariants:
//! * Every time of the schedule up to its end is issued once, or counted as not sent, or the run fails.
//! * A client stands in the turn once at most.

use crate::lateness::{Departure, Lateness};
use crate::schedule::Schedule;
use crate::workload::{Kind, Workload};
use std::collections::VecDeque;

/// Most sends that are due and wait for room: some seconds of the greatest load. A cluster that is so far
/// behind does not come back, and latencies would show the length of the run.
pub(crate) const QUEUE_MAX: usize = 1 << 22;

/// More sends are due than may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct QueueFull;

/// A send that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Intent {
    pub(crate) intended_ns: u64,
    pub(crate) kind: Kind,
}

/// The clients that have room, in turn.
#[derive(Debug)]
struct Room {
    turn: VecDeque<usize>,
    is_in_turn: Vec<bool>,
}

/// Everything between the schedule and the wire.
#[derive(Debug)]
pub(crate) struct Pacer {
    schedule: Schedule,
    /// Nothing that is meant to leave from here on is sent.
    end_ns: u64,
    /// What waits longer for room is not sent.
    patience_ns: u64,
    queue: VecDeque<Intent>,
    room: Room,
    /// Sends are due, and no client has room.
    is_waiting: bool,
    /// When room came after the last such wait.
    room_since_ns: u64,
    /// Issued and not flushed.
    leaving: Vec<Departure>,
    pub(crate) lateness: Lateness,
}

impl Room {
    fn add(&mut self, client: usize) {
        if !self.is_in_turn[client] {
            self.is_in_turn[client] = true;
            self.turn.push_back(client);
        }
    }

    fn take(&mut self) -> Option<usize> {
        let client = self.turn.pop_front()?;
        self.is_in_turn[client] = false;
        Some(client)
    }
}

impl Pacer {
    /// No client has room yet.
    pub(crate) fn new(schedule: Schedule, clients: usize) -> Self {
        Self {
            schedule,
            end_ns: u64::MAX,
            patience_ns: u64::MAX,
            queue: VecDeque::new(),
            room: Room {
                turn: VecDeque::with_capacity(clients),
                is_in_turn: vec![false; clients],
            },
            is_waiting: false,
            room_since_ns: 0,
            leaving: Vec::new(),
            lateness: Lateness::new(),
        }
    }

    /// What waits longer than this for room is not sent.
    pub(crate) const fn give_up_after(mut self, patience_ns: u64) -> Self {
        self.patience_ns = patience_ns;
        self
    }

    /// What is meant to leave in this span is measured, and nothing is sent after it.
    pub(crate) const fn measure(&mut self, start_ns: u64, end_ns: u64) {
        self.lateness.measure_from(start_ns);
        self.end_ns = end_ns;
    }

    /// A client may have room.
    pub(crate) fn on_room(&mut self, client: usize, now_ns: u64) {
        self.room.add(client);
        if self.is_waiting {
            self.is_waiting = false;
            self.room_since_ns = now_ns;
        }
    }

    /// Queues what has become due, once those are gone that nobody waits for any more.
    pub(crate) fn on_time(
        &mut self,
        now_ns: u64,
        workload: &mut Workload,
    ) -> Result<(), QueueFull> {
        let is_given_up =
            |intent: &mut Intent| now_ns.saturating_sub(intent.intended_ns) > self.patience_ns;
        while let Some(intent) = self.queue.pop_front_if(is_given_up) {
            self.lateness.on_given_up(intent.intended_ns);
        }
        while self.schedule.next_ns() <= now_ns && self.schedule.next_ns() < self.end_ns {
            if self.queue.len() == QUEUE_MAX {
                return Err(QueueFull);
            }
            self.queue.push_back(Intent {
                intended_ns: self.schedule.take(),
                kind: workload.draw(),
            });
        }
        Ok(())
    }

    /// The next send and the client whose turn it is; nothing when none is due or no client has room.
    /// The caller says what became of it by [`Self::on_issued`], or leaves the client out for now.
    pub(crate) fn next(&mut self) -> Option<(Intent, usize)> {
        let intent = *self.queue.front()?;
        let client = self.room.take();
        self.is_waiting = client.is_none();
        Some((intent, client?))
    }

    /// The send at the head was issued.
    pub(crate) fn on_issued(&mut self) {
        let intent = self.queue.pop_front();
        let intended_ns = intent.expect("what is issued was due").intended_ns;
        self.leaving.push(Departure {
            intended_ns,
            ready_ns: intended_ns.max(self.room_since_ns),
        });
    }

    /// A client that was just given a send has room for more.
    pub(crate) fn stays_in_turn(&mut self, client: usize) {
        self.room.add(client);
    }

    /// Sends that are issued and not flushed.
    pub(crate) const fn leaving_count(&self) -> usize {
        self.leaving.len()
    }

    /// What was issued has been given to the kernel.
    pub(crate) fn on_left(&mut self, left_ns: u64) {
        for departure in self.leaving.drain(..) {
            self.lateness.on_left(departure, left_ns);
        }
    }

    /// When the next send is due; never while others wait for room, which comes by answers.
    pub(crate) fn due_ns(&self) -> u64 {
        let next_ns = self.schedule.next_ns();
        if self.queue.is_empty() && next_ns < self.end_ns {
            next_ns
        } else {
            u64::MAX
        }
    }

    /// Sends that are due and wait.
    pub(crate) fn waiting_count(&self) -> usize {
        self.queue.len()
    }
}

#[cfg(test)]
#[path = "pacer_tests.rs"]
mod tests;
