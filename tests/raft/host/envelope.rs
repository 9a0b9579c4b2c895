//! A message under way, with what stands around it in a real frame, and how traces show it.

use super::log::{At, Record};
use margay_raft::message::AppendOutcome;
use margay_raft::{AppendEntries, Message};
use margay_types::ReplicaNumber;
use std::fmt;

/// What a frame carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    Message(Message),
    Append {
        append: AppendEntries,
        records: Vec<Record>,
    },
}

/// A message belongs to the connection that it came on, so to one life of each of its ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Envelope {
    pub(crate) from: ReplicaNumber,
    pub(crate) to: ReplicaNumber,
    pub(crate) from_life: u64,
    pub(crate) to_life: u64,
    pub(crate) content: Content,
}

impl Content {
    /// The word by which scripts select messages.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Append { .. } => "append",
            Self::Message(message) => match message {
                Message::PreVote(_) => "prevote",
                Message::PreVoteResponse(_) => "prevote-response",
                Message::RequestVote(_) => "vote",
                Message::RequestVoteResponse(_) => "vote-response",
                Message::AppendResponse(_) => "append-response",
                Message::Heartbeat(_) => "heartbeat",
                Message::HeartbeatResponse(_) => "heartbeat-response",
                Message::TimeoutNow(_) => "timeout-now",
                Message::ReadIndex(_) => "read-index",
                Message::ReadIndexResponse(_) => "read-index-response",
            },
        }
    }
}

impl fmt::Display for Envelope {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "n{} -> n{} {}", self.from, self.to, self.content)
    }
}

impl fmt::Display for Content {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Message(message) => show_message(formatter, message),
            Self::Append { append, records } => {
                let previous = At(append.previous);
                write!(
                    formatter,
                    "Append @{} prev={previous} entries=[",
                    append.term
                )?;
                for (place, record) in records.iter().enumerate() {
                    let separator = if place == 0 { "" } else { " " };
                    write!(formatter, "{separator}{}", At(record.position))?;
                }
                write!(
                    formatter,
                    "] commit={} round={}",
                    append.commit_index, append.round.0
                )
            }
        }
    }
}

fn show_message(formatter: &mut fmt::Formatter<'_>, message: &Message) -> fmt::Result {
    match message {
        Message::PreVote(it) => write!(formatter, "PreVote @{} last={}", it.term, At(it.last)),
        Message::PreVoteResponse(it) => {
            write!(
                formatter,
                "PreVoteResponse @{} {}",
                it.term,
                yes_or_no(it.granted)
            )
        }
        Message::RequestVote(it) => {
            let transfer = if it.transfer { " transfer" } else { "" };
            write!(
                formatter,
                "RequestVote @{} last={}{transfer}",
                it.term,
                At(it.last)
            )
        }
        Message::RequestVoteResponse(it) => {
            write!(
                formatter,
                "RequestVoteResponse @{} {}",
                it.term,
                yes_or_no(it.granted)
            )
        }
        Message::AppendResponse(it) => {
            write!(
                formatter,
                "AppendResponse @{} {}",
                it.term,
                Outcome(it.outcome)
            )?;
            write!(formatter, " round={}", it.round.0)
        }
        Message::Heartbeat(it) => {
            write!(
                formatter,
                "Heartbeat @{} commit={}",
                it.term, it.commit_index
            )?;
            write!(formatter, " round={}", it.round.0)
        }
        Message::HeartbeatResponse(it) => {
            write!(
                formatter,
                "HeartbeatResponse @{} round={}",
                it.term, it.round.0
            )?;
            write!(formatter, " proven={}", it.proven)
        }
        Message::TimeoutNow(it) => write!(formatter, "TimeoutNow @{}", it.term),
        Message::ReadIndex(it) => write!(formatter, "ReadIndex @{} #{}", it.term, it.request),
        Message::ReadIndexResponse(it) => {
            write!(formatter, "ReadIndexResponse @{} #{} ", it.term, it.request)?;
            match it.index {
                Some(index) => write!(formatter, "index={index}"),
                None => write!(formatter, "refused"),
            }
        }
    }
}

fn yes_or_no(granted: bool) -> &'static str {
    if granted { "granted" } else { "refused" }
}

struct Outcome(AppendOutcome);

impl fmt::Display for Outcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            AppendOutcome::Accepted { proven } => write!(formatter, "accepted proven={proven}"),
            AppendOutcome::Refused { previous, hint } => {
                write!(formatter, "refused prev={previous} hint={}", At(hint))
            }
        }
    }
}
