//! One replica: what it holds, and the inputs that change it.
//!
//! The parts of the protocol are `impl Replica` blocks in files of their own: `role` (transitions), `election`,
//! `following` (appends and heartbeats received), `replication` (sent, and what answers prove), `reads`,
//! `membership`, `transfer`, `ticking` (time). This file has the data, the entry points and two rules that hold
//! everywhere:
//!
//! * **Terms**: a greater term in any message is learnt in one place, [`Replica::step`] and `on_append` by
//!   `learn_term`, before the message is looked at (thesis 3.3), but for questions that must not disturb (9.6, 4.2.3).
//! * **Promises**: the hard state is written before the first message that leaves in it, and a message that promises
//!   something waits in `held` until the write that makes it true is durable (thesis 3.8).

use crate::configuration::Configuration;
use crate::durability::Durability;
use crate::effects::{Effect, Role, WriteId};
use crate::entry::{EntryKind, HardState, Position};
use crate::log::{Log, TermRun};
use crate::message::{AppendOutcome, Message};
use crate::options::Options;
use crate::role::{Follower, RoleState};
use crate::types::{Index, ReplicaNumber, Term};
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::fmt;
use margay_types::Random;
#[cfg(feature = "mutants")]
use margay_types::mutant::{self, Mutant};

/// Most messages that wait for writes. More come only while the disk hangs; they are dropped, as a network may.
pub(crate) const HELD_MESSAGES_MAX: usize = 4_096;

/// What recovery found, or a blank replica.
#[derive(Clone, Debug, Default)]
pub struct Restored {
    /// The durable term and vote.
    pub hard_state: HardState,
    /// The position before the first entry held; `ZERO` for a whole log.
    pub floor: Position,
    /// Terms of the entries above the floor, ascending.
    pub term_runs: Vec<TermRun>,
    /// The last entry, or the floor.
    pub last_index: Index,
    /// Known to be committed, by what is on this disk; at least the checkpoint. The commit index of an earlier life may
    /// have been ahead of its disk, where older entries that contradict the committed ones can still stand.
    pub commit_index: Index,
    /// The newest configuration at or below the commit index (its index may be the floor's or `ZERO`), then each
    /// above it, ascending. None: not told yet.
    pub configurations: Vec<(Index, Configuration)>,
}

/// Does this replica's machine still apply?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applies {
    /// It does.
    Yes,
    /// It stopped at an entry that it cannot apply.
    Stopped,
}

/// Where a proposal stands and which write makes it durable here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proposed {
    /// Its place in the log.
    pub position: Position,
    /// The write of its record.
    pub write: WriteId,
}

/// Why a proposal was not appended. It has no effect and will have none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProposeError {
    /// Ask the leader.
    NotLeader {
        /// Who leads, as far as it is known.
        leader: Option<ReplicaNumber>,
    },
    /// Leadership is being handed over; ask again soon.
    Transferring,
}

impl fmt::Display for ProposeError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotLeader { leader } => write_not_leader(formatter, *leader),
            Self::Transferring => write!(formatter, "leadership is being handed over"),
        }
    }
}

/// What every question to a leader answers when asked elsewhere.
pub(crate) fn write_not_leader(
    formatter: &mut fmt::Formatter<'_>,
    leader: Option<ReplicaNumber>,
) -> fmt::Result {
    match leader {
        Some(leader) => write!(formatter, "replica {leader} leads, not this one"),
        None => write!(formatter, "nobody is known to lead"),
    }
}

impl core::error::Error for ProposeError {}

/// A message that waits for a write.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Held {
    pub(crate) write: WriteId,
    pub(crate) to: ReplicaNumber,
    pub(crate) message: Message,
}

#[cfg(feature = "mutants")]
impl Held {
    fn is_vote(&self) -> bool {
        matches!(
            self.message,
            Message::RequestVote(_) | Message::RequestVoteResponse(_)
        )
    }
}

/// One node's member of a group.
///
/// Laid out as it stands here: what every heartbeat and every tick needs lies together in front, because with
/// thousands of groups each look at one is a look at cold memory.
#[derive(Clone, Debug)]
#[repr(C)]
pub struct Replica {
    pub(crate) number: ReplicaNumber,
    pub(crate) applies: Applies,
    /// What the host says of its log: told to the leader with every answer to a heartbeat.
    pub(crate) wants_checkpoint: bool,
    /// Is it the only voter of the only configuration? Kept, because every tick asks.
    pub(crate) alone: bool,
    /// Ticks since this replica started, saturating.
    pub(crate) age_ticks: u32,
    /// Ticks since a leader was heard, or the start: this long it sticks.
    pub(crate) heard_ticks: u32,
    pub(crate) election_ticks: u32,
    pub(crate) election_timeout_ticks: u32,
    pub(crate) hard_state: HardState,
    /// The hard state as last given to the log, and by which write.
    saved: HardState,
    saved_by: WriteId,
    reported: (Role, Term, Option<ReplicaNumber>),
    pub(crate) commit_index: Index,
    pub(crate) stable_index: Index,
    pub(crate) role: RoleState,
    pub(crate) durability: Durability,
    pub(crate) log: Log,
    pub(crate) options: Options,
    pub(crate) configurations: Vec<(Index, Configuration)>,
    pub(crate) held: VecDeque<Held>,
    pub(crate) random: Random,
    /// Whom its host would see lead.
    pub(crate) preferred: Option<ReplicaNumber>,
    pub(crate) last_request: u64,
}

impl Replica {
    /// A replica as recovery found it. The seed must differ between the replicas of a group.
    ///
    /// # Panics
    /// When what was restored contradicts itself.
    #[must_use]
    pub fn new(number: ReplicaNumber, options: Options, restored: Restored, seed: u64) -> Self {
        assert!(
            options.election_ticks_min > options.heartbeat_ticks,
            "heartbeats come too late"
        );
        let mut configurations = restored.configurations;
        if configurations
            .first()
            .is_none_or(|(index, _)| *index > restored.commit_index)
        {
            configurations.insert(0, (Index::ZERO, Configuration::default()));
        }
        let log = Log::new(
            restored.floor,
            restored.term_runs,
            restored.last_index,
            options.tail_entries_max,
        );
        let mut replica = Self {
            number,
            options,
            log,
            durability: Durability::new(restored.last_index),
            commit_index: restored.commit_index,
            stable_index: Index::ZERO,
            configurations,
            alone: false,
            role: RoleState::Follower(Follower::new(restored.commit_index)),
            hard_state: restored.hard_state,
            saved: restored.hard_state,
            saved_by: WriteId(0),
            held: VecDeque::new(),
            random: Random::new(seed),
            age_ticks: 0,
            heard_ticks: 0,
            election_ticks: 0,
            election_timeout_ticks: 0,
            preferred: None,
            applies: Applies::Yes,
            wants_checkpoint: false,
            last_request: 0,
            reported: (Role::Follower, restored.hard_state.term, None),
        };
        replica.forget_old_configurations();
        replica.note_whether_alone();
        replica.restart_election_timer();
        replica.check();
        replica
    }

    /// A message arrived. Whatever it says, it does not panic: it may come from a damaged peer.
    pub fn step(&mut self, from: ReplicaNumber, message: Message, effects: &mut Vec<Effect>) {
        if from == self.number {
            return;
        }
        if let Some(term) = self.term_to_learn(&message) {
            self.learn_term(term, effects);
        }
        match message {
            Message::PreVote(it) => self.on_pre_vote(from, it, effects),
            Message::PreVoteResponse(it) => self.on_pre_vote_response(from, it, effects),
            Message::RequestVote(it) => self.on_request_vote(from, it, effects),
            Message::RequestVoteResponse(it) => self.on_request_vote_response(from, it, effects),
            Message::AppendResponse(it) => self.on_append_response(from, it, effects),
            Message::Heartbeat(it) => self.on_heartbeat(from, it, effects),
            Message::HeartbeatResponse(it) => self.on_heartbeat_response(from, it, effects),
            Message::TimeoutNow(it) => self.on_timeout_now(from, it, effects),
            Message::ReadIndex(it) => self.on_read_index(from, it, effects),
            Message::ReadIndexResponse(it) => self.on_read_index_response(from, it, effects),
        }
        self.settle(effects);
    }

    /// A proposal of the host joins the log; the host writes its record at once, and `flush` sends it. Effects of
    /// earlier inputs must have been executed: writes go into the log in the order of their ids.
    ///
    /// # Errors
    /// When this replica does not order the log now.
    pub fn propose(&mut self, kind: EntryKind, size_bytes: u32) -> Result<Proposed, ProposeError> {
        assert!(
            !matches!(kind, EntryKind::NoOp | EntryKind::Configuration),
            "{kind:?} is the core's own to append"
        );
        let leader = self.leader();
        match &self.role {
            RoleState::Leader(leader) if leader.transfer.is_none() => {
                Ok(self.append_here(size_bytes))
            }
            RoleState::Leader(_) => Err(ProposeError::Transferring),
            RoleState::Follower(_) | RoleState::PreCandidate(_) | RoleState::Candidate(_) => {
                Err(ProposeError::NotLeader { leader })
            }
        }
    }

    /// Once per turn, after its inputs: sends what they made possible.
    pub fn flush(&mut self, effects: &mut Vec<Effect>) {
        self.send_appends(effects);
        self.start_read_round(effects);
        self.settle(effects);
    }

    /// This write and all before it are durable.
    pub fn on_written(&mut self, write: WriteId, effects: &mut Vec<Effect>) {
        self.durability.on_written(write);
        self.release_held(effects);
        match self.role {
            RoleState::Leader(_) => self.on_progress(effects),
            RoleState::Candidate(_) => self.count_own_vote(effects),
            RoleState::Follower(_) | RoleState::PreCandidate(_) => {}
        }
        self.settle(effects);
    }

    /// That member's process was restarted: what its earlier life proved must be proven again, and nobody waits for
    /// answers to its questions any more. To be called before the first message of the new life is stepped.
    pub fn on_new_life(&mut self, member: ReplicaNumber) {
        #[cfg(feature = "mutants")]
        if mutant::is(Mutant::EarlierLifeUnnoticed) {
            return;
        }
        match &mut self.role {
            RoleState::Leader(leader) => {
                leader.reads.forget(member);
                if let Some(progress) = leader.progress_mut(member) {
                    progress.on_new_life();
                }
            }
            RoleState::PreCandidate(campaign) | RoleState::Candidate(campaign) => {
                campaign.forget(member);
            }
            RoleState::Follower(_) => {}
        }
    }

    /// Tells the leader, with the next answer, whether this machine applies.
    pub fn set_applies(&mut self, applies: Applies) {
        self.applies = applies;
    }

    /// Tells the leader, with the next answer to a heartbeat, whether this group keeps the log here from freeing room.
    /// What it does about that is its host's to decide.
    pub fn set_wants_checkpoint(&mut self, wants_checkpoint: bool) {
        self.wants_checkpoint = wants_checkpoint;
    }

    /// Does this replica ask its leader for a checkpoint?
    #[must_use]
    pub fn wants_checkpoint(&self) -> bool {
        self.wants_checkpoint
    }

    /// Entries up to `floor` may be gone from the log.
    ///
    /// # Panics
    /// When it is not committed.
    pub fn on_log_floor(&mut self, floor: Position) {
        assert!(
            floor.index <= self.commit_index,
            "{floor:?} is above commit {}",
            self.commit_index
        );
        self.log.raise_floor(floor);
    }

    /// Appends an entry of this leader's term; its record is written by the host or by `StoreOwn`.
    pub(crate) fn append_here(&mut self, size_bytes: u32) -> Proposed {
        debug_assert!(self.is_leader(), "only a leader appends");
        let position = self.log.append(self.hard_state.term, size_bytes);
        let write = self
            .durability
            .issue_entries(position.index, position.index);
        Proposed { position, write }
    }

    /// Sends when the hard state is durable; a promise of nothing else.
    pub(crate) fn send(&mut self, to: ReplicaNumber, message: Message, effects: &mut Vec<Effect>) {
        self.save_hard_state(effects);
        self.send_once_durable(
            self.saved_by,
            Held {
                write: self.saved_by,
                to,
                message,
            },
            effects,
        );
    }

    /// Sends when everything written so far is durable.
    pub(crate) fn send_after_writes(
        &mut self,
        to: ReplicaNumber,
        message: Message,
        effects: &mut Vec<Effect>,
    ) {
        self.save_hard_state(effects);
        let write = self.durability.issued();
        self.send_once_durable(write, Held { write, to, message }, effects);
    }

    fn send_once_durable(&mut self, write: WriteId, held: Held, effects: &mut Vec<Effect>) {
        #[cfg(feature = "mutants")]
        let write = if held.is_vote() && mutant::is(Mutant::VoteNotDurable) {
            WriteId(0)
        } else {
            write
        };
        if self.durability.is_durable(write) {
            effects.push(Effect::Send {
                to: held.to,
                message: held.message,
            });
            return;
        }
        if self.held.len() >= HELD_MESSAGES_MAX {
            return;
        }
        match self.held.back() {
            Some(back) if back.write > write => {
                let at = self.held.partition_point(|it| it.write <= write);
                self.held.insert(at, held);
            }
            Some(_) | None => self.held.push_back(held),
        }
    }

    /// Messages leave whose writes are durable. Of several answers to appends only the last goes: it proves most.
    fn release_held(&mut self, effects: &mut Vec<Effect>) {
        while let Some(first) = self
            .held
            .pop_front_if(|it| self.durability.is_durable(it.write))
        {
            let superseded = self.held.front().is_some_and(|next| {
                self.durability.is_durable(next.write) && supersedes(next, &first)
            });
            if !superseded {
                effects.push(Effect::Send {
                    to: first.to,
                    message: first.message,
                });
            }
        }
    }

    /// Gives the hard state to the log if it changed since the last time.
    pub(crate) fn save_hard_state(&mut self, effects: &mut Vec<Effect>) {
        if self.hard_state == self.saved {
            return;
        }
        let write = self.durability.issue();
        self.saved = self.hard_state;
        self.saved_by = write;
        effects.push(Effect::SaveHardState {
            write,
            hard_state: self.hard_state,
        });
    }

    /// Are term and vote, as they are now, on disk?
    pub(crate) fn is_hard_state_durable(&self) -> bool {
        self.hard_state == self.saved && self.durability.is_durable(self.saved_by)
    }

    /// At the end of every input: nothing changed without being written and told.
    pub(crate) fn settle(&mut self, effects: &mut Vec<Effect>) {
        self.save_hard_state(effects);
        self.report_role(effects);
    }

    /// Tells the host when role, term or leader changed.
    pub(crate) fn report_role(&mut self, effects: &mut Vec<Effect>) {
        let now = (self.role(), self.hard_state.term, self.leader());
        if now != self.reported {
            self.reported = now;
            let (role, term, leader) = now;
            effects.push(Effect::RoleChanged { role, term, leader });
        }
    }

    /// The commit index moves on.
    pub(crate) fn advance_commit(&mut self, index: Index, effects: &mut Vec<Effect>) {
        assert!(
            index > self.commit_index,
            "commit {} -> {index} is no advance",
            self.commit_index
        );
        assert!(
            index <= self.log.last_index(),
            "commit {index} is behind the last entry"
        );
        self.commit_index = index;
        self.forget_old_configurations();
        effects.push(Effect::Commit { index });
    }
}

/// Does `next` say all that `first` says, and more?
fn supersedes(next: &Held, first: &Held) -> bool {
    let (Message::AppendResponse(next_answer), Message::AppendResponse(first_answer)) =
        (&next.message, &first.message)
    else {
        return false;
    };
    match (next_answer.outcome, first_answer.outcome) {
        (
            AppendOutcome::Accepted {
                proven: next_proven,
            },
            AppendOutcome::Accepted {
                proven: first_proven,
            },
        ) => {
            next.to == first.to
                && next_proven >= first_proven
                && next_answer.round >= first_answer.round
        }
        (AppendOutcome::Accepted { .. } | AppendOutcome::Refused { .. }, _) => false,
    }
}
