//! What a leader knows of one member's log, and how much it may send there.
//!
//! ```text
//!              proof of where logs agree             needs what is below the floor
//!      Probe ─────────────────────────────> Replicate        (from either)
//!        ^                                   │    │                │
//!        ├── refusal, loss, new life ────────┘    └─ proof:        v
//!        │                                           window     Stream
//!        └───────────── holds enough again ──────────slides────────┘
//! ```
//!
//! * `Probe`: one request at a time, repeated at heartbeat pace, until one proves where the logs agree and that the
//!   member takes entries. One that has no room for them says what it holds, and is asked no faster.
//! * `Replicate`: requests are sent ahead of their answers, up to the window.
//! * `Stream`: what the member needs is below the leader's log floor; entries wait until it was refilled.
//!
//! Invariants:
//! * `match_index < next_index`.
//! * `match_index` is only what an answer *proved*: the last index of the request that it answers. A member's
//!   own last index proves nothing: its tail may belong to another term (Copycat committed entries that way).
//! * The window counts what was sent and not answered, in messages and in bytes.

use crate::message::Round;
use crate::options::Window;
use crate::types::{Index, ReplicaNumber, Ticks};
use alloc::collections::VecDeque;

/// How a leader sends to a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Looks for where the logs agree.
    Probe,
    /// Sends ahead.
    Replicate,
    /// Waits for the member to be refilled; the log does not reach back far enough.
    Stream,
}

/// A leader's view of one member, for status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemberProgress {
    /// Which member.
    pub number: ReplicaNumber,
    /// Everything up to here is durable there.
    pub match_index: Index,
    /// What would be sent next.
    pub next_index: Index,
    /// How it is sent to.
    pub way: Way,
    /// Requests sent and not answered.
    pub under_way_messages: usize,
    /// Bytes of records in them.
    pub under_way_bytes: u64,
    /// For how long nothing new was heard from it.
    pub silent: Ticks,
    /// The election timeout that it honours, as far as it told.
    pub honoured: Option<Ticks>,
    /// Does its machine apply, as far as it told?
    pub applies: bool,
}

/// One request under way: its last index and its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sent {
    last: Index,
    bytes: u64,
}

/// [`Way`] with the data that only one way needs.
#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Probe {
        waited_ticks: Option<u32>,
        /// Did entries come with the last request?
        has_entries: bool,
    },
    Replicate {
        sent: VecDeque<Sent>,
        sent_bytes: u64,
        quiet_ticks: u32,
    },
    Stream,
}

/// The leader's view of one member (thesis 3.5).
#[derive(Clone, Debug)]
pub(crate) struct Progress {
    match_index: Index,
    next_index: Index,
    state: State,
    confirmed: Round,
    silent_ticks: u32,
    honoured: Option<Ticks>,
    applies: bool,
}

/// What came with every answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heard {
    pub(crate) round: Round,
    pub(crate) honoured: Ticks,
    pub(crate) applies: bool,
}

impl Progress {
    /// A member of whom nothing is proven yet; the first request starts behind `last_index`, the leader's
    /// own last entry.
    pub(crate) fn new(last_index: Index) -> Self {
        Self {
            match_index: Index::ZERO,
            next_index: last_index.next(),
            state: State::Probe {
                waited_ticks: None,
                has_entries: false,
            },
            confirmed: Round(0),
            silent_ticks: 0,
            honoured: None,
            applies: true,
        }
    }

    /// Highest index known to be durable there, as part of *this* leader's log.
    pub(crate) fn match_index(&self) -> Index {
        self.match_index
    }

    /// First index of the next request.
    pub(crate) fn next_index(&self) -> Index {
        self.next_index
    }

    /// The newest round that it confirmed.
    pub(crate) fn confirmed(&self) -> Round {
        self.confirmed
    }

    /// Ticks since it last confirmed a newer round.
    pub(crate) fn silent_ticks(&self) -> u32 {
        self.silent_ticks
    }

    pub(crate) fn way(&self) -> Way {
        match &self.state {
            State::Probe { .. } => Way::Probe,
            State::Replicate { .. } => Way::Replicate,
            State::Stream => Way::Stream,
        }
    }

    /// May another request leave now?
    pub(crate) fn can_send(&self, window: Window) -> bool {
        match &self.state {
            State::Probe { waited_ticks, .. } => waited_ticks.is_none(),
            State::Replicate {
                sent, sent_bytes, ..
            } => sent.len() < window.messages_max && *sent_bytes < window.bytes_max,
            State::Stream => false,
        }
    }

    /// Is nothing under way?
    pub(crate) fn is_idle(&self) -> bool {
        match &self.state {
            State::Probe { waited_ticks, .. } => waited_ticks.is_none(),
            State::Replicate { sent, .. } => sent.is_empty(),
            State::Stream => true,
        }
    }

    /// A request that ends at `last` and carries `bytes` of records has left.
    pub(crate) fn on_sent(&mut self, last: Index, bytes: u64) {
        match &mut self.state {
            State::Probe {
                waited_ticks,
                has_entries,
            } => {
                assert_eq!(
                    *waited_ticks, None,
                    "a probe left while another one is under way"
                );
                *waited_ticks = Some(0);
                *has_entries = last >= self.next_index;
            }
            State::Replicate {
                sent,
                sent_bytes,
                quiet_ticks,
            } => {
                assert!(
                    last >= self.next_index,
                    "sent {last}, but {} is next",
                    self.next_index
                );
                if sent.is_empty() {
                    *quiet_ticks = 0;
                }
                sent.push_back(Sent { last, bytes });
                *sent_bytes += bytes;
                self.next_index = last.next();
            }
            State::Stream => unreachable!("a request left for a member that needs a refill"),
        }
    }

    /// An answer of this term arrived. Only a newer round than before is news of the member: a duplicate or a late
    /// answer confirms nothing.
    pub(crate) fn on_heard(&mut self, heard: Heard) {
        if heard.round > self.confirmed {
            self.confirmed = heard.round;
            self.silent_ticks = 0;
            self.honoured = Some(heard.honoured);
            self.applies = heard.applies;
        }
    }

    /// It holds our log up to `proven`, durably. Answers may come twice or late; nothing moves back.
    pub(crate) fn on_proof(&mut self, proven: Index) {
        self.match_index = self.match_index.max(proven);
        let agrees_before_next = proven.next() >= self.next_index;
        let took_entries = proven >= self.next_index;
        self.next_index = self.next_index.max(proven.next());
        match &mut self.state {
            // Entries came with the request, and none is there: sending ahead would send in vain.
            State::Probe { has_entries, .. } if *has_entries && !took_entries => {}
            State::Probe { .. } if agrees_before_next => self.become_replicate(),
            State::Stream if agrees_before_next => self.become_probe(self.next_index),
            State::Replicate {
                sent,
                sent_bytes,
                quiet_ticks,
            } => {
                while let Some(oldest) = sent.front().copied().filter(|it| it.last <= proven) {
                    sent.pop_front();
                    *sent_bytes -= oldest.bytes;
                    *quiet_ticks = 0;
                }
            }
            State::Probe { .. } | State::Stream => {}
        }
        self.check();
    }

    /// It refused the request behind `previous`; the logs agree at `agreeable` at most. Refusals of requests that
    /// are not the ones under way are late and change nothing.
    pub(crate) fn on_refusal(&mut self, previous: Index, agreeable: Index) {
        let next = agreeable.max(self.match_index).next();
        match &mut self.state {
            State::Probe { .. } if previous != self.next_index.previous() => {}
            // Asking the same again at once would only go in circles; it is repeated at heartbeat pace.
            State::Probe { .. } if next == self.next_index => {}
            State::Probe { .. } => self.become_probe(next),
            State::Replicate { .. } if previous <= self.match_index => {}
            State::Replicate { .. } => self.become_probe(next),
            State::Stream => {}
        }
        self.check();
    }

    /// A heartbeat's answer says up to where the member's log agrees with ours, durable or not. When requests had no
    /// answer for a while, they or their answers were lost: ask again from there.
    pub(crate) fn on_agreement(&mut self, agreed: Index, patience_ticks: u32) {
        match &mut self.state {
            State::Replicate {
                sent, quiet_ticks, ..
            } => {
                if sent.is_empty() && agreed < self.match_index {
                    // It forgot what it proved, with the leader that it lost sight of, and commits nothing more.
                    self.become_probe(self.match_index.next());
                } else if !sent.is_empty() && *quiet_ticks >= patience_ticks {
                    let agreed = agreed.min(self.next_index.previous()).max(self.match_index);
                    self.become_probe(agreed.next());
                }
            }
            State::Stream if agreed.next() >= self.next_index => self.become_probe(agreed.next()),
            State::Probe { .. } | State::Stream => {}
        }
        self.check();
    }

    /// Its process was restarted: nothing is known to be durable there but by new proof.
    pub(crate) fn on_new_life(&mut self) {
        // Where to ask next stays the best guess, however often the process restarts: a guess that starts from nothing
        // would ask for entries below the floor.
        let next = match &self.state {
            State::Replicate { .. } => self.match_index.next(),
            State::Probe { .. } | State::Stream => self.next_index,
        };
        self.match_index = Index::ZERO;
        self.become_probe(next);
    }

    /// So many ticks passed. A probe that waited for `repeat_ticks` may be sent again.
    pub(crate) fn count_ticks(&mut self, passed: u32, repeat_ticks: u32) {
        self.silent_ticks = self.silent_ticks.saturating_add(passed);
        match &mut self.state {
            State::Probe { waited_ticks, .. } => {
                *waited_ticks = waited_ticks
                    .map(|ticks| ticks.saturating_add(passed))
                    .filter(|ticks| *ticks < repeat_ticks);
            }
            State::Replicate { quiet_ticks, .. } => {
                *quiet_ticks = quiet_ticks.saturating_add(passed);
            }
            State::Stream => {}
        }
    }

    /// The next request starts at `next`, alone.
    pub(crate) fn become_probe(&mut self, next: Index) {
        self.next_index = next;
        self.state = State::Probe {
            waited_ticks: None,
            has_entries: false,
        };
        self.check();
    }

    /// What it needs is below the log floor; entries can be sent again once it holds all before `first_held`.
    pub(crate) fn become_stream(&mut self, first_held: Index) {
        self.next_index = self.next_index.max(first_held);
        self.state = State::Stream;
        self.check();
    }

    fn become_replicate(&mut self) {
        self.state = State::Replicate {
            sent: VecDeque::new(),
            sent_bytes: 0,
            quiet_ticks: 0,
        };
    }

    pub(crate) fn status(&self, number: ReplicaNumber) -> MemberProgress {
        let (under_way_messages, under_way_bytes) = match &self.state {
            State::Probe { waited_ticks, .. } => (usize::from(waited_ticks.is_some()), 0),
            State::Replicate {
                sent, sent_bytes, ..
            } => (sent.len(), *sent_bytes),
            State::Stream => (0, 0),
        };
        MemberProgress {
            number,
            match_index: self.match_index,
            next_index: self.next_index,
            way: self.way(),
            under_way_messages,
            under_way_bytes,
            silent: Ticks::new(self.silent_ticks),
            honoured: self.honoured,
            applies: self.applies,
        }
    }

    pub(crate) fn check(&self) {
        assert!(
            self.match_index < self.next_index,
            "match {} is not below next {}",
            self.match_index,
            self.next_index
        );
    }
}

#[cfg(test)]
#[path = "progress_tests.rs"]
mod tests;
