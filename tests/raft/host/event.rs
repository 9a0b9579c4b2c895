//! What happened to a replica, as a trace shows it.

use super::log::{At, Record};
use margay_raft::configuration::{Configuration, Member};
use margay_raft::{EntryKind, HardState, ReadId, ReadRefusal, Role};
use margay_types::{Index, ReplicaNumber, Term};
use std::fmt;

/// One line of a trace, without the name of the replica in front.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Role {
        before: Role,
        now: Role,
        term: Term,
        leader: Option<ReplicaNumber>,
    },
    Appends(Record),
    Truncates(Index),
    Durable(Index),
    Saved(HardState),
    Commit {
        before: Index,
        now: Index,
    },
    Configuration {
        index: Index,
        configuration: Configuration,
    },
    ReadReady {
        read: ReadId,
        index: Index,
    },
    ReadRefused {
        read: ReadId,
        reason: ReadRefusal,
    },
}

impl fmt::Display for Event {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Role {
                before,
                now,
                term,
                leader,
            } if before == now => match leader {
                Some(leader) => write!(formatter, "follows n{leader} @{term}"),
                None => write!(formatter, "{} @{term}, no leader known", role_name(*now)),
            },
            Self::Role {
                before,
                now,
                term,
                leader,
            } => {
                write!(
                    formatter,
                    "{} -> {} @{term}",
                    role_name(*before),
                    role_name(*now)
                )?;
                match leader {
                    Some(leader) if *now == Role::Follower => write!(formatter, " of n{leader}"),
                    Some(_) | None => Ok(()),
                }
            }
            Self::Appends(record) => write!(formatter, "appends {}", Entry(record)),
            Self::Truncates(from) => write!(formatter, "truncates from {from}"),
            Self::Durable(index) => write!(formatter, "durable {index}"),
            Self::Saved(HardState {
                term,
                voted_for: Some(candidate),
            }) => {
                write!(formatter, "saved @{term} vote=n{candidate}")
            }
            Self::Saved(HardState {
                term,
                voted_for: None,
            }) => {
                write!(formatter, "saved @{term} no vote")
            }
            Self::Commit { before, now } => write!(formatter, "commit {before} -> {now}"),
            Self::Configuration {
                index,
                configuration,
            } => {
                write!(
                    formatter,
                    "configuration of {index}: {}",
                    Members(configuration)
                )
            }
            Self::ReadReady { read, index } => {
                write!(formatter, "read r{} ready at {index}", read.0)
            }
            Self::ReadRefused { read, reason } => {
                write!(formatter, "read r{} refused: {reason:?}", read.0)
            }
        }
    }
}

pub(crate) fn role_name(role: Role) -> &'static str {
    match role {
        Role::Follower => "follower",
        Role::PreCandidate => "pre-candidate",
        Role::Candidate => "candidate",
        Role::Leader => "leader",
    }
}

/// An entry with what it holds.
pub(crate) struct Entry<'a>(pub(crate) &'a Record);

impl fmt::Display for Entry<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(record) = self;
        write!(formatter, "{} ", At(record.position))?;
        if record.kind == EntryKind::NoOp {
            return write!(formatter, "no-op");
        }
        if record.kind == EntryKind::Configuration {
            return match Configuration::decode(&record.payload) {
                Ok(configuration) => write!(formatter, "configuration {}", Members(&configuration)),
                Err(error) => write!(formatter, "configuration that does not decode: {error}"),
            };
        }
        write!(
            formatter,
            "\"{}\"",
            String::from_utf8_lossy(&record.payload)
        )
    }
}

/// A configuration's members, by number.
pub(crate) struct Members<'a>(pub(crate) &'a Configuration);

impl fmt::Display for Members<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(configuration) = self;
        write!(formatter, "voters={}", numbers(&configuration.voters))?;
        if configuration.is_joint() {
            write!(
                formatter,
                " outgoing={}",
                numbers(&configuration.outgoing_voters)
            )?;
        }
        if !configuration.learners.is_empty() {
            write!(formatter, " learners={}", numbers(&configuration.learners))?;
        }
        Ok(())
    }
}

fn numbers(members: &[Member]) -> String {
    let names: Vec<String> = members.iter().map(|it| it.number.to_string()).collect();
    format!("[{}]", names.join(" "))
}
