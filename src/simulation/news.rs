//! What a client's application is told, without the protocol's buffers; and what it must never be told.
//!
//! In this world sessions end because they were closed or not heard from, and every command that was applied has an
//! output. Whoever is told otherwise was let down, whichever faults there were.

use margay_client::{Completion, Outcome, QueryKey, SessionKey};
use margay_types::{Index, SequenceNumber, SessionId};
use margay_wire::Code;

/// Something that a client's protocol tells its application.
pub(crate) enum News {
    /// A session is open.
    Opened(SessionKey, SessionId),
    /// A session is no more: why, and whether its client wanted it.
    Gone(SessionKey, String, bool),
    /// A command is done, or was not taken.
    Command(SessionKey, SequenceNumber, Index, Result<Vec<u8>, String>),
    /// A query is answered, or cannot be.
    Query(QueryKey, Index, Result<Vec<u8>, String>),
    /// A query got no answer in time.
    TimedOut(QueryKey),
    /// A promise is broken.
    Broken(String),
    /// Nothing that matters here.
    Other,
}

impl News {
    pub(crate) fn of(completion: Completion<'_>) -> Self {
        match completion {
            Completion::Opened { session, id } => Self::Opened(session, id),
            Completion::NotOpened { session, refusal } => {
                Self::Gone(session, format!("not opened: {refusal}"), true)
            }
            Completion::Lost { session, refusal } if refusal.code() == Code::SessionExpired => {
                Self::Gone(session, format!("lost: {refusal}"), true)
            }
            Completion::Lost { session, refusal } => {
                Self::Broken(format!("{session:?} was open, and is lost: {refusal}"))
            }
            Completion::Closed { session } => Self::Gone(session, "closed".to_owned(), false),
            Completion::Command {
                session,
                sequence,
                outcome: Outcome::NoOutput(refusal),
                ..
            } => Self::Broken(format!(
                "command {sequence} of {session:?} was applied, and has no output: {refusal}"
            )),
            Completion::Command {
                session,
                sequence,
                index,
                outcome,
            } => Self::Command(session, sequence, index, owned(outcome)),
            Completion::Query {
                query,
                index,
                outcome,
            } => Self::Query(query, index, owned(outcome)),
            Completion::QueryTimedOut { query } => Self::TimedOut(query),
            Completion::Pending { .. } | Completion::Event { .. } => Self::Other,
        }
    }
}

fn owned(outcome: Outcome<'_>) -> Result<Vec<u8>, String> {
    match outcome {
        Outcome::Done(output) => Ok(output.to_vec()),
        Outcome::Refused(refusal) => Err(format!("refused: {refusal}")),
        Outcome::NoOutput(refusal) => Err(format!("no output: {refusal}")),
        Outcome::Unknown => Err("unknown".to_owned()),
    }
}
