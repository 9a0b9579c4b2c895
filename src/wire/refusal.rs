//! Refusals as values: a code, and what the server knows beside it.
//!
//! On the wire a refusal is the code in the response's head and a typed detail of 0 or 8 bytes where the output would
//! stand. The term of a leader hint is the term of the head.

use crate::code::Code;
use crate::error::WireError;
use crate::layout;
use margay_types::{NodeId, SequenceNumber, Term};
use zerocopy::IntoBytes;
use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, KnownLayout, Unaligned};

/// Why a request did not get its output, and what is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// Ask `leader`, or the members in order when it is not known.
    NotLeader {
        /// Who leads, as far as the answerer knows.
        leader: Option<NodeId>,
        /// In which term; a hint of a smaller term than one seen before says nothing.
        term: Term,
    },
    /// Ask again, here, not before the time is over.
    NotReady {
        /// How long to wait.
        retry_after_ms: u32,
    },
    /// Ask again, here, not before the time is over; more requests make it worse.
    Overloaded {
        /// How long to wait.
        retry_after_ms: u32,
    },
    /// Acknowledge outputs, or wait for those under way.
    WindowFull,
    /// Send from `sequence` on, in order.
    NextIs {
        /// The first number that is missing.
        sequence: SequenceNumber,
    },
    /// Never fits; do not send it again.
    CommandTooLarge {
        /// The largest payload that the group takes.
        bytes_max: u32,
    },
    /// The machine does not know it; do not send it again.
    BadOperation,
    /// The node has no replica of the group; take a newer map.
    UnknownGroup,
    /// Nothing but releasing commands is admitted until there is room.
    NoSpace {
        /// How long to wait.
        retry_after_ms: u32,
    },
    /// A mistake of the sender.
    BadRequest,
    /// Attach again.
    UnknownAttachment,
    /// A later attempt of this client was opened.
    AttemptTooLow,
    /// A bound of sessions is reached.
    TooManySessions,
    /// The node is blank.
    NotFormed,
    /// Nothing has the name that the request gives.
    NotFound,
    /// The session was never opened, or of another incarnation of the group.
    UnknownSession,
    /// The session ended by its timeout.
    SessionExpired,
    /// Another session, or another binding of this one, took its place.
    SessionReplaced,
    /// The client closed the session.
    SessionClosed,
    /// Applied once, long ago.
    OutputGone,
    /// Put out of the way, never applied.
    Skipped,
    /// Applied; the machine's output was above the limit.
    OutputTooLarge,
    /// Appended, not known to be committed; send again to the next leader.
    LeadershipLost {
        /// Who leads now, as far as the answerer knows.
        leader: Option<NodeId>,
        /// In which term.
        term: Term,
    },
    /// The machine of the group stopped.
    StoppedMachine,
    /// No protocol version in common.
    VersionRefused,
    /// The node belongs to another cluster.
    OtherCluster,
    /// Another data directory answers at this address.
    OtherNode,
    /// The cluster does not know the sender.
    UnknownPeer,
    /// The node has no such shard.
    UnknownShard,
    /// A bound of connections is reached.
    TooManyConnections,
    /// The sender's largest frame is too small.
    FrameTooSmall,
}

/// Who leads, behind a code that says so.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct LeaderDetail {
    leader: U16,
    zero: [u8; 6],
}

/// A number that a code is about.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct NumberDetail {
    number: U32,
    zero: U32,
}

impl Refusal {
    /// Its number's name.
    #[must_use]
    pub const fn code(&self) -> Code {
        match self {
            Self::NotLeader { .. } => Code::NotLeader,
            Self::NotReady { .. } => Code::NotReady,
            Self::Overloaded { .. } => Code::Overloaded,
            Self::WindowFull => Code::WindowFull,
            Self::NextIs { .. } => Code::NextIs,
            Self::CommandTooLarge { .. } => Code::CommandTooLarge,
            Self::BadOperation => Code::BadOperation,
            Self::UnknownGroup => Code::UnknownGroup,
            Self::NoSpace { .. } => Code::NoSpace,
            Self::BadRequest => Code::BadRequest,
            Self::UnknownAttachment => Code::UnknownAttachment,
            Self::AttemptTooLow => Code::AttemptTooLow,
            Self::TooManySessions => Code::TooManySessions,
            Self::NotFormed => Code::NotFormed,
            Self::NotFound => Code::NotFound,
            Self::UnknownSession => Code::UnknownSession,
            Self::SessionExpired => Code::SessionExpired,
            Self::SessionReplaced => Code::SessionReplaced,
            Self::SessionClosed => Code::SessionClosed,
            Self::OutputGone => Code::OutputGone,
            Self::Skipped => Code::Skipped,
            Self::OutputTooLarge => Code::OutputTooLarge,
            Self::LeadershipLost { .. } => Code::LeadershipLost,
            Self::StoppedMachine => Code::StoppedMachine,
            Self::VersionRefused => Code::VersionRefused,
            Self::OtherCluster => Code::OtherCluster,
            Self::OtherNode => Code::OtherNode,
            Self::UnknownPeer => Code::UnknownPeer,
            Self::UnknownShard => Code::UnknownShard,
            Self::TooManyConnections => Code::TooManyConnections,
            Self::FrameTooSmall => Code::FrameTooSmall,
        }
    }

    /// Is it certain that *this request* changed nothing and never will? An earlier transmission of the same
    /// command may still have; only the session can tell.
    #[must_use]
    pub const fn is_known_not_applied(&self) -> bool {
        match self.code().number() {
            1..=99 | 400..=499 => true,
            number => number == Code::Skipped.number(),
        }
    }

    /// Does the session of the request exist no longer, as far as this binding is concerned?
    #[must_use]
    pub const fn ends_session(&self) -> bool {
        matches!(self.code().number(), 100..=199)
    }

    /// May the same request succeed later without a change by the asker?
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(
            self.code(),
            Code::NotLeader
                | Code::NotReady
                | Code::Overloaded
                | Code::WindowFull
                | Code::NextIs
                | Code::NoSpace
                | Code::UnknownAttachment
                | Code::UnknownGroup
                | Code::LeadershipLost
                | Code::TooManyConnections
        )
    }

    /// Who leads, in which term: what a refusal by a replica that does not lead tells.
    #[must_use]
    pub const fn leader_hint(&self) -> Option<(Option<NodeId>, Term)> {
        if let Self::NotLeader { leader, term } | Self::LeadershipLost { leader, term } = self {
            Some((*leader, *term))
        } else {
            None
        }
    }

    /// How long to wait before the same request makes sense again, where the refusal says it.
    #[must_use]
    pub const fn retry_after_ms(&self) -> Option<u32> {
        if let Self::NotReady { retry_after_ms }
        | Self::Overloaded { retry_after_ms }
        | Self::NoSpace { retry_after_ms } = self
        {
            Some(*retry_after_ms)
        } else {
            None
        }
    }

    /// Appends the detail that stands in the place of the output.
    pub(crate) fn write_detail(&self, out: &mut Vec<u8>) {
        match self {
            Self::NotLeader { leader, .. } | Self::LeadershipLost { leader, .. } => {
                let leader = U16::new(leader.map_or(0, NodeId::number));
                out.extend_from_slice(
                    LeaderDetail {
                        leader,
                        zero: [0; 6],
                    }
                    .as_bytes(),
                );
            }
            Self::NotReady {
                retry_after_ms: number,
            }
            | Self::Overloaded {
                retry_after_ms: number,
            }
            | Self::NoSpace {
                retry_after_ms: number,
            }
            | Self::CommandTooLarge { bytes_max: number } => {
                let detail = NumberDetail {
                    number: U32::new(*number),
                    zero: U32::ZERO,
                };
                out.extend_from_slice(detail.as_bytes());
            }
            Self::NextIs { sequence } => {
                out.extend_from_slice(&sequence.number().to_le_bytes());
            }
            Self::WindowFull
            | Self::BadOperation
            | Self::UnknownGroup
            | Self::BadRequest
            | Self::UnknownAttachment
            | Self::AttemptTooLow
            | Self::TooManySessions
            | Self::NotFormed
            | Self::NotFound
            | Self::UnknownSession
            | Self::SessionExpired
            | Self::SessionReplaced
            | Self::SessionClosed
            | Self::OutputGone
            | Self::Skipped
            | Self::OutputTooLarge
            | Self::StoppedMachine
            | Self::VersionRefused
            | Self::OtherCluster
            | Self::OtherNode
            | Self::UnknownPeer
            | Self::UnknownShard
            | Self::TooManyConnections
            | Self::FrameTooSmall => {}
        }
    }

    /// Reads a refusal; `term` is that of the response's head. `None` for [`Code::Done`].
    pub(crate) fn read(code: Code, term: Term, detail: &[u8]) -> Result<Option<Self>, WireError> {
        if let Some(refusal) = Self::without_detail(code) {
            layout::end("refusal without detail", detail)?;
            return Ok(Some(refusal));
        }
        #[expect(
            clippy::wildcard_enum_match_arm,
            reason = "`without_detail` is the exhaustive list; only `Done` is left"
        )]
        let refusal = match code {
            Code::NotLeader => Self::NotLeader {
                leader: leader(detail)?,
                term,
            },
            Code::LeadershipLost => Self::LeadershipLost {
                leader: leader(detail)?,
                term,
            },
            Code::NotReady => Self::NotReady {
                retry_after_ms: number(detail)?,
            },
            Code::Overloaded => Self::Overloaded {
                retry_after_ms: number(detail)?,
            },
            Code::NoSpace => Self::NoSpace {
                retry_after_ms: number(detail)?,
            },
            Code::CommandTooLarge => Self::CommandTooLarge {
                bytes_max: number(detail)?,
            },
            Code::NextIs => {
                let sequence: &U64 = layout::exactly("next sequence", detail)?;
                Self::NextIs {
                    sequence: SequenceNumber::new(sequence.get()),
                }
            }
            _ => return Ok(None),
        };
        Ok(Some(refusal))
    }

    /// The refusal of a code that has no detail; `None` for `Done` and for codes that have one.
    #[must_use]
    pub const fn without_detail(code: Code) -> Option<Self> {
        Some(match code {
            Code::Done
            | Code::NotLeader
            | Code::LeadershipLost
            | Code::NotReady
            | Code::Overloaded
            | Code::NoSpace
            | Code::CommandTooLarge
            | Code::NextIs => return None,
            Code::WindowFull => Self::WindowFull,
            Code::BadOperation => Self::BadOperation,
            Code::UnknownGroup => Self::UnknownGroup,
            Code::BadRequest => Self::BadRequest,
            Code::UnknownAttachment => Self::UnknownAttachment,
            Code::AttemptTooLow => Self::AttemptTooLow,
            Code::TooManySessions => Self::TooManySessions,
            Code::NotFormed => Self::NotFormed,
            Code::NotFound => Self::NotFound,
            Code::UnknownSession => Self::UnknownSession,
            Code::SessionExpired => Self::SessionExpired,
            Code::SessionReplaced => Self::SessionReplaced,
            Code::SessionClosed => Self::SessionClosed,
            Code::OutputGone => Self::OutputGone,
            Code::Skipped => Self::Skipped,
            Code::OutputTooLarge => Self::OutputTooLarge,
            Code::StoppedMachine => Self::StoppedMachine,
            Code::VersionRefused => Self::VersionRefused,
            Code::OtherCluster => Self::OtherCluster,
            Code::OtherNode => Self::OtherNode,
            Code::UnknownPeer => Self::UnknownPeer,
            Code::UnknownShard => Self::UnknownShard,
            Code::TooManyConnections => Self::TooManyConnections,
            Code::FrameTooSmall => Self::FrameTooSmall,
        })
    }
}

fn leader(detail: &[u8]) -> Result<Option<NodeId>, WireError> {
    let detail: &LeaderDetail = layout::exactly("leader hint", detail)?;
    layout::zeros("leader hint", &detail.zero)?;
    let leader = detail.leader.get();
    Ok((leader != 0).then(|| NodeId::new(leader)))
}

fn number(detail: &[u8]) -> Result<u32, WireError> {
    let detail: &NumberDetail = layout::exactly("refusal detail", detail)?;
    layout::zeros("refusal detail", detail.zero.as_bytes())?;
    Ok(detail.number.get())
}

impl core::fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        formatter.write_str(self.code().text())?;
        if let Some((Some(leader), term)) = self.leader_hint() {
            write!(formatter, " (node {leader} leads in term {term})")?;
        }
        if let Some(ms) = self.retry_after_ms() {
            write!(formatter, " (retry after {ms} ms)")?;
        }
        if let Self::NextIs { sequence } = self {
            write!(formatter, " (next is {sequence})")?;
        }
        if let Self::CommandTooLarge { bytes_max } = self {
            write!(formatter, " (at most {bytes_max} bytes)")?;
        }
        Ok(())
    }
}

impl core::error::Error for Refusal {}

/// One of every refusal, for tests of round trips.
#[cfg(test)]
pub(crate) fn all() -> Vec<Refusal> {
    let (leader, term) = (Some(NodeId::new(3)), Term::new(5));
    let mut all: Vec<Refusal> = Code::ALL
        .iter()
        .filter_map(|code| Refusal::without_detail(*code))
        .collect();
    all.extend([
        Refusal::NotLeader { leader, term },
        Refusal::NotLeader { leader: None, term },
        Refusal::LeadershipLost { leader, term },
        Refusal::NotReady { retry_after_ms: 7 },
        Refusal::Overloaded { retry_after_ms: 8 },
        Refusal::NoSpace { retry_after_ms: 9 },
        Refusal::CommandTooLarge { bytes_max: 1 << 20 },
        Refusal::NextIs {
            sequence: SequenceNumber::new(17),
        },
    ]);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_is_read_as_it_was_written() {
        for refusal in all() {
            let mut detail = Vec::new();
            refusal.write_detail(&mut detail);
            assert!(
                detail.is_empty() || detail.len() == 8,
                "{refusal}: {detail:?}"
            );
            assert_eq!(
                Refusal::read(refusal.code(), Term::new(5), &detail),
                Ok(Some(refusal))
            );
        }
    }

    #[test]
    fn only_what_was_refused_at_the_door_is_known_not_applied() {
        let known: Vec<_> = all()
            .into_iter()
            .filter(Refusal::is_known_not_applied)
            .map(|r| r.code())
            .collect();
        assert!(known.contains(&Code::Overloaded) && known.contains(&Code::Skipped));
        for open in [
            Code::LeadershipLost,
            Code::StoppedMachine,
            Code::SessionExpired,
            Code::OutputGone,
            Code::OutputTooLarge,
        ] {
            assert!(!known.contains(&open), "{open:?}");
        }
    }
}
