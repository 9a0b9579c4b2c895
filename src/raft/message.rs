//! What replicas of one group tell each other: one struct per message, named as in the thesis.
//!
//! Group, sender and receiver stand outside, in the envelope. A message belongs to the connection it came
//! on, so nothing of an earlier life of the sender's process is taken for news of this one.

use crate::entry::Position;
use crate::types::{Index, Term, Ticks};

/// Counts a leader's confirmation rounds in its term. A round that started after a read arrived proves, when a
/// quorum answers it, that the leader still led then (thesis 6.4). Rounds are never used again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Round(pub u64);

/// Every message but the append, whose entries are lent by the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message {
    /// Would you vote for me? Changes nothing (thesis 9.6).
    PreVote(PreVote),
    /// Answer to a [`PreVote`].
    PreVoteResponse(PreVoteResponse),
    /// Asks for a vote (thesis 3.4).
    RequestVote(RequestVote),
    /// Answer to a [`RequestVote`].
    RequestVoteResponse(RequestVoteResponse),
    /// Answer to an [`AppendEntries`].
    AppendResponse(AppendResponse),
    /// The leader is alive; the same for many groups travels in one frame.
    Heartbeat(Heartbeat),
    /// Answer to a [`Heartbeat`].
    HeartbeatResponse(HeartbeatResponse),
    /// Start an election now (thesis 3.10).
    TimeoutNow(TimeoutNow),
    /// A follower asks for an index at which it may serve a linearizable read (thesis 6.4).
    ReadIndex(ReadIndex),
    /// Answer to a [`ReadIndex`].
    ReadIndexResponse(ReadIndexResponse),
}

/// Would you vote for me in `term`? The asker has not moved to that term.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PreVote {
    /// The term that the asker would campaign in.
    pub term: Term,
    /// Last entry of the asker's log.
    pub last: Position,
}

/// What the asked one would do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PreVoteResponse {
    /// When granted, the term that was asked for; when refused, the answerer's own term.
    pub term: Term,
    /// Would it vote so?
    pub granted: bool,
}

/// Asks for a vote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestVote {
    /// The candidate's term.
    pub term: Term,
    /// Last entry of the candidate's log.
    pub last: Position,
    /// The old leader asked for this election, so stickiness does not stand against it (thesis 4.2.3).
    pub transfer: bool,
}

/// A vote, or none. A granted one leaves only when it is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestVoteResponse {
    /// The answerer's term.
    pub term: Term,
    /// Is this a vote for the receiver in `term`?
    pub granted: bool,
}

/// Entries behind `previous`, up to `last`; the host adds their records when it sends and lends them as
/// [`crate::EntryView`]s when it receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AppendEntries {
    /// The leader's term.
    pub term: Term,
    /// The entry right before the first one sent.
    pub previous: Position,
    /// Last entry sent; equal to `previous.index` when none is.
    pub last: Index,
    /// When the records must come from disk, the host may send fewer, as many as fit: only the receiver knows
    /// then how far the request went, and its answer says it.
    pub may_shorten: bool,
    /// The leader's commit index.
    pub commit_index: Index,
    /// Everything up to here is durable on every member that is waited for.
    pub stable_index: Index,
    /// The leader's newest round.
    pub round: Round,
}

/// How an append went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppendOutcome {
    /// The logs agree up to `proven`, the last entry of the request that this answers, and that is durable here.
    Accepted {
        /// Last entry that the request proved.
        proven: Index,
    },
    /// The logs differ at or before the request's `previous`.
    Refused {
        /// `previous.index` of the refused request: tells late refusals from new ones.
        previous: Index,
        /// The highest position at which the logs may still agree, by what the answerer holds.
        hint: Position,
    },
}

/// Answer to an [`AppendEntries`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AppendResponse {
    /// The answerer's term.
    pub term: Term,
    /// How it went.
    pub outcome: AppendOutcome,
    /// The request's round.
    pub round: Round,
    /// The election timeout that the answerer honours.
    pub honoured: Ticks,
    /// Does the answerer's machine still apply?
    pub applies: bool,
}

/// The leader is alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    /// The leader's term.
    pub term: Term,
    /// The leader's commit index; the receiver commits no further than its log is proven to agree.
    pub commit_index: Index,
    /// Everything up to here is durable on every member that is waited for.
    pub stable_index: Index,
    /// The leader's newest round.
    pub round: Round,
}

/// Answer to a [`Heartbeat`]: confirms the round for this group only, in this very term.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeartbeatResponse {
    /// The answerer's term.
    pub term: Term,
    /// The heartbeat's round.
    pub round: Round,
    /// The last entry in the answerer's log that it knows to agree with this leader's: behind what the leader sent
    /// and believes under way, something was lost and must be sent again.
    pub proven: Index,
    /// The election timeout that the answerer honours.
    pub honoured: Ticks,
    /// Does the answerer's machine still apply?
    pub applies: bool,
    /// Does this group keep the answerer's log from freeing room, so that a checkpoint is wanted?
    pub wants_checkpoint: bool,
}

/// Start an election now: the leader hands over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeoutNow {
    /// The leader's term.
    pub term: Term,
}

/// A follower's question for a read index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadIndex {
    /// The asker's term.
    pub term: Term,
    /// Chosen by the asker, never used again in its process life.
    pub request: u64,
}

/// The leader's answer: serve once that index is applied; or `None`, when it cannot say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadIndexResponse {
    /// The answerer's term.
    pub term: Term,
    /// The asker's number.
    pub request: u64,
    /// Commit index confirmed by a round that started after the question arrived.
    pub index: Option<Index>,
}
