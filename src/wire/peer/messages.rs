//! Many small messages of many groups in one frame.
//!
//! ```text
//!   0       4      6    8      9      12     16
//!   │ group │ from │ to │ kind │ zero │ term │ struct of the kind: a multiple of 8 bytes
//! ```
//!
//! Every kind has one struct of one size, so a reader needs no lengths; a kind that it does not know ends the
//! connection, which cannot happen between versions that agreed on a protocol.

use super::Envelope;
use crate::error::WireError;
use crate::frame::{self, FRAME_BYTES_MAX, FrameKind, HEADER_BYTES};
use crate::layout::{flag, take, zeros};
use margay_raft::message::{
    AppendOutcome, AppendResponse, Heartbeat, HeartbeatResponse, PreVote, PreVoteResponse,
    ReadIndex, ReadIndexResponse, RequestVote, RequestVoteResponse, TimeoutNow,
};
use margay_raft::{Message, Position, Round};
use margay_types::{GroupId, Index, ReplicaNumber, Term, Ticks};
use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

macro_rules! layouts {
    ($($(#[$documentation:meta])* $name:ident($bytes:literal) { $($field:ident: $type:ty,)* })*) => {
        $(
            $(#[$documentation])*
            #[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
            #[repr(C)]
            struct $name { $($field: $type,)* }

            const _: () = assert!(size_of::<$name>() == $bytes, "bodies are multiples of 8");
        )*
    };
}

layouts! {
    /// In front of every message.
    Head(16) { group: U32, from: U16, to: U16, kind: u8, zero: [u8; 3], term: U32, }
    /// Of both kinds of vote request.
    VoteAsked(16) { last_index: U64, last_term: U32, transfer: u8, zero: [u8; 3], }
    /// Of both kinds of vote.
    VoteGiven(8) { granted: u8, zero: [u8; 7], }
    /// An append that proved something.
    Accepted(24) { proven: U64, round: U64, honoured: U32, applies: u8, zero: [u8; 3], }
    /// An append that did not fit.
    Refused(40) {
        previous: U64, hint_index: U64, round: U64, hint_term: U32, honoured: U32,
        applies: u8, zero: [u8; 7],
    }
    /// The leader is alive.
    Beat(24) { commit_index: U64, stable_index: U64, round: U64, }
    /// The follower is, too.
    BeatAnswer(24) {
        round: U64, proven: U64, honoured: U32, applies: u8, wants_checkpoint: u8, zero: [u8; 2],
    }
    /// A follower's question.
    ReadAsked(8) { request: U64, }
    /// The leader's answer.
    ReadAnswer(24) { request: U64, index: U64, known: u8, zero: [u8; 7], }
}

/// Largest message: its head and the largest struct.
const MESSAGE_BYTES_MAX: usize = size_of::<Head>() + size_of::<Refused>();

/// What an item of the frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Kind {
    PreVote = 1,
    PreVoteResponse = 2,
    RequestVote = 3,
    RequestVoteResponse = 4,
    AppendAccepted = 5,
    AppendRefused = 6,
    Heartbeat = 7,
    HeartbeatResponse = 8,
    TimeoutNow = 9,
    ReadIndex = 10,
    ReadIndexResponse = 11,
}

impl Kind {
    fn from_number(number: u8) -> Result<Self, WireError> {
        Ok(match number {
            1 => Self::PreVote,
            2 => Self::PreVoteResponse,
            3 => Self::RequestVote,
            4 => Self::RequestVoteResponse,
            5 => Self::AppendAccepted,
            6 => Self::AppendRefused,
            7 => Self::Heartbeat,
            8 => Self::HeartbeatResponse,
            9 => Self::TimeoutNow,
            10 => Self::ReadIndex,
            11 => Self::ReadIndexResponse,
            _ => {
                return Err(WireError::BadNumber {
                    what: "message kind",
                    number: u64::from(number),
                });
            }
        })
    }
}

/// Gathers messages for one peer into frames at the end of a buffer.
///
/// Between the first `push` and `close` nobody else appends to that buffer.
#[derive(Debug, Default)]
pub struct MessagesWriter {
    /// Where the open frame began.
    open: Option<usize>,
}

impl MessagesWriter {
    /// No frame is open.
    #[must_use]
    pub const fn new() -> Self {
        Self { open: None }
    }

    /// Is a frame open that `close` must end?
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Appends one message, opening a frame where none is open, and another where this one is full.
    pub fn push(&mut self, out: &mut Vec<u8>, envelope: Envelope, message: &Message) {
        if self
            .open
            .is_some_and(|start| out.len() - start + MESSAGE_BYTES_MAX > FRAME_BYTES_MAX)
        {
            self.close(out);
        }
        if self.open.is_none() {
            self.open = Some(out.len());
            out.extend_from_slice(&[0; HEADER_BYTES]);
        }
        write(out, envelope, message);
    }

    /// Ends the open frame, if one is open.
    pub fn close(&mut self, out: &mut [u8]) {
        if let Some(start) = self.open.take() {
            frame::close(out, start, FrameKind::PeerMessages, 0);
        }
    }
}

fn write(out: &mut Vec<u8>, envelope: Envelope, message: &Message) {
    let mut put = |kind, term, body: &[u8]| put(out, Head::new(envelope, kind, term), body);
    match message {
        Message::PreVote(asked) => {
            put(
                Kind::PreVote,
                asked.term,
                vote_asked(asked.last, false).as_bytes(),
            );
        }
        Message::PreVoteResponse(given) => {
            put(
                Kind::PreVoteResponse,
                given.term,
                vote_given(given.granted).as_bytes(),
            );
        }
        Message::RequestVote(asked) => {
            put(
                Kind::RequestVote,
                asked.term,
                vote_asked(asked.last, asked.transfer).as_bytes(),
            );
        }
        Message::RequestVoteResponse(given) => {
            put(
                Kind::RequestVoteResponse,
                given.term,
                vote_given(given.granted).as_bytes(),
            );
        }
        Message::AppendResponse(response) => match response.outcome {
            AppendOutcome::Accepted { proven } => {
                put(
                    Kind::AppendAccepted,
                    response.term,
                    accepted(response, proven).as_bytes(),
                );
            }
            AppendOutcome::Refused { previous, hint } => {
                let body = refused(response, previous, hint);
                put(Kind::AppendRefused, response.term, body.as_bytes());
            }
        },
        Message::Heartbeat(beat) => put(Kind::Heartbeat, beat.term, Beat::from(beat).as_bytes()),
        Message::HeartbeatResponse(answer) => {
            put(
                Kind::HeartbeatResponse,
                answer.term,
                BeatAnswer::from(answer).as_bytes(),
            );
        }
        Message::TimeoutNow(now) => put(Kind::TimeoutNow, now.term, &[]),
        Message::ReadIndex(asked) => {
            let body = ReadAsked {
                request: U64::new(asked.request),
            };
            put(Kind::ReadIndex, asked.term, body.as_bytes());
        }
        Message::ReadIndexResponse(answer) => {
            put(
                Kind::ReadIndexResponse,
                answer.term,
                ReadAnswer::from(answer).as_bytes(),
            );
        }
    }
}

fn put(out: &mut Vec<u8>, head: Head, body: &[u8]) {
    out.extend_from_slice(head.as_bytes());
    out.extend_from_slice(body);
}

impl Head {
    fn new(envelope: Envelope, kind: Kind, term: Term) -> Self {
        Self {
            group: U32::new(envelope.group.number()),
            from: U16::new(envelope.from.number()),
            to: U16::new(envelope.to.number()),
            kind: kind as u8,
            zero: [0; 3],
            term: U32::new(term.number()),
        }
    }
}

fn vote_asked(last: Position, transfer: bool) -> VoteAsked {
    VoteAsked {
        last_index: U64::new(last.index.number()),
        last_term: U32::new(last.term.number()),
        transfer: u8::from(transfer),
        zero: [0; 3],
    }
}

fn vote_given(granted: bool) -> VoteGiven {
    VoteGiven {
        granted: u8::from(granted),
        zero: [0; 7],
    }
}

fn accepted(response: &AppendResponse, proven: Index) -> Accepted {
    Accepted {
        proven: U64::new(proven.number()),
        round: U64::new(response.round.0),
        honoured: U32::new(response.honoured.number()),
        applies: u8::from(response.applies),
        zero: [0; 3],
    }
}

fn refused(response: &AppendResponse, previous: Index, hint: Position) -> Refused {
    Refused {
        previous: U64::new(previous.number()),
        hint_index: U64::new(hint.index.number()),
        round: U64::new(response.round.0),
        hint_term: U32::new(hint.term.number()),
        honoured: U32::new(response.honoured.number()),
        applies: u8::from(response.applies),
        zero: [0; 7],
    }
}

impl From<&Heartbeat> for Beat {
    fn from(beat: &Heartbeat) -> Self {
        Self {
            commit_index: U64::new(beat.commit_index.number()),
            stable_index: U64::new(beat.stable_index.number()),
            round: U64::new(beat.round.0),
        }
    }
}

impl From<&HeartbeatResponse> for BeatAnswer {
    fn from(answer: &HeartbeatResponse) -> Self {
        Self {
            round: U64::new(answer.round.0),
            proven: U64::new(answer.proven.number()),
            honoured: U32::new(answer.honoured.number()),
            applies: u8::from(answer.applies),
            wants_checkpoint: u8::from(answer.wants_checkpoint),
            zero: [0; 2],
        }
    }
}

impl From<&ReadIndexResponse> for ReadAnswer {
    fn from(answer: &ReadIndexResponse) -> Self {
        Self {
            request: U64::new(answer.request),
            index: U64::new(answer.index.unwrap_or(Index::ZERO).number()),
            known: u8::from(answer.index.is_some()),
            zero: [0; 7],
        }
    }
}

/// Reads the body of a [`FrameKind::PeerMessages`] frame, message by message; an error is the last item.
#[must_use]
pub const fn messages(body: &[u8]) -> Messages<'_> {
    Messages { rest: body }
}

/// The messages of one frame, in the order in which they were pushed.
#[derive(Debug)]
pub struct Messages<'a> {
    rest: &'a [u8],
}

impl Iterator for Messages<'_> {
    type Item = Result<(Envelope, Message), WireError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let read = read(self.rest);
        self.rest = read.as_ref().map_or(&[], |(_, _, behind)| *behind);
        Some(read.map(|(envelope, message, _)| (envelope, message)))
    }
}

fn read(bytes: &[u8]) -> Result<(Envelope, Message, &[u8]), WireError> {
    let (head, body) = take::<Head>("message head", bytes)?;
    zeros("message head", &head.zero)?;
    let envelope = Envelope {
        group: GroupId::new(head.group.get()),
        from: ReplicaNumber::new(head.from.get()),
        to: ReplicaNumber::new(head.to.get()),
    };
    let (message, behind) = read_body(
        Kind::from_number(head.kind)?,
        Term::new(head.term.get()),
        body,
    )?;
    Ok((envelope, message, behind))
}

fn read_body(kind: Kind, term: Term, body: &[u8]) -> Result<(Message, &[u8]), WireError> {
    match kind {
        Kind::PreVote => {
            let (last, transfer, behind) = read_vote_asked(body)?;
            if transfer {
                return Err(WireError::BadNumber {
                    what: "pre-vote transfer",
                    number: 1,
                });
            }
            Ok((Message::PreVote(PreVote { term, last }), behind))
        }
        Kind::PreVoteResponse => {
            let (granted, behind) = read_vote_given(body)?;
            Ok((
                Message::PreVoteResponse(PreVoteResponse { term, granted }),
                behind,
            ))
        }
        Kind::RequestVote => {
            let (last, transfer, behind) = read_vote_asked(body)?;
            Ok((
                Message::RequestVote(RequestVote {
                    term,
                    last,
                    transfer,
                }),
                behind,
            ))
        }
        Kind::RequestVoteResponse => {
            let (granted, behind) = read_vote_given(body)?;
            Ok((
                Message::RequestVoteResponse(RequestVoteResponse { term, granted }),
                behind,
            ))
        }
        Kind::AppendAccepted => read_accepted(term, body),
        Kind::AppendRefused => read_refused(term, body),
        Kind::Heartbeat => read_heartbeat(term, body),
        Kind::HeartbeatResponse => read_heartbeat_response(term, body),
        Kind::TimeoutNow => Ok((Message::TimeoutNow(TimeoutNow { term }), body)),
        Kind::ReadIndex => {
            let (asked, behind) = take::<ReadAsked>("read index", body)?;
            let request = asked.request.get();
            Ok((Message::ReadIndex(ReadIndex { term, request }), behind))
        }
        Kind::ReadIndexResponse => read_read_index_response(term, body),
    }
}

fn read_vote_asked(body: &[u8]) -> Result<(Position, bool, &[u8]), WireError> {
    let (asked, behind) = take::<VoteAsked>("vote request", body)?;
    zeros("vote request", &asked.zero)?;
    let last = Position {
        term: Term::new(asked.last_term.get()),
        index: Index::new(asked.last_index.get()),
    };
    Ok((last, flag("vote request transfer", asked.transfer)?, behind))
}

fn read_vote_given(body: &[u8]) -> Result<(bool, &[u8]), WireError> {
    let (given, behind) = take::<VoteGiven>("vote", body)?;
    zeros("vote", &given.zero)?;
    Ok((flag("vote granted", given.granted)?, behind))
}

fn read_accepted(term: Term, body: &[u8]) -> Result<(Message, &[u8]), WireError> {
    let (accepted, behind) = take::<Accepted>("append accepted", body)?;
    zeros("append accepted", &accepted.zero)?;
    let response = AppendResponse {
        term,
        outcome: AppendOutcome::Accepted {
            proven: Index::new(accepted.proven.get()),
        },
        round: Round(accepted.round.get()),
        honoured: Ticks::new(accepted.honoured.get()),
        applies: flag("append accepted applies", accepted.applies)?,
    };
    Ok((Message::AppendResponse(response), behind))
}

fn read_refused(term: Term, body: &[u8]) -> Result<(Message, &[u8]), WireError> {
    let (refused, behind) = take::<Refused>("append refused", body)?;
    zeros("append refused", &refused.zero)?;
    let hint = Position {
        term: Term::new(refused.hint_term.get()),
        index: Index::new(refused.hint_index.get()),
    };
    let response = AppendResponse {
        term,
        outcome: AppendOutcome::Refused {
            previous: Index::new(refused.previous.get()),
            hint,
        },
        round: Round(refused.round.get()),
        honoured: Ticks::new(refused.honoured.get()),
        applies: flag("append refused applies", refused.applies)?,
    };
    Ok((Message::AppendResponse(response), behind))
}

fn read_heartbeat(term: Term, body: &[u8]) -> Result<(Message, &[u8]), WireError> {
    let (beat, behind) = take::<Beat>("heartbeat", body)?;
    let heartbeat = Heartbeat {
        term,
        commit_index: Index::new(beat.commit_index.get()),
        stable_index: Index::new(beat.stable_index.get()),
        round: Round(beat.round.get()),
    };
    Ok((Message::Heartbeat(heartbeat), behind))
}

fn read_heartbeat_response(term: Term, body: &[u8]) -> Result<(Message, &[u8]), WireError> {
    let (answer, behind) = take::<BeatAnswer>("heartbeat response", body)?;
    zeros("heartbeat response", &answer.zero)?;
    let response = HeartbeatResponse {
        term,
        round: Round(answer.round.get()),
        proven: Index::new(answer.proven.get()),
        honoured: Ticks::new(answer.honoured.get()),
        applies: flag("heartbeat response applies", answer.applies)?,
        wants_checkpoint: flag(
            "heartbeat response wants checkpoint",
            answer.wants_checkpoint,
        )?,
    };
    Ok((Message::HeartbeatResponse(response), behind))
}

fn read_read_index_response(term: Term, body: &[u8]) -> Result<(Message, &[u8]), WireError> {
    let (answer, behind) = take::<ReadAnswer>("read index response", body)?;
    zeros("read index response", &answer.zero)?;
    let known = flag("read index response known", answer.known)?;
    let response = ReadIndexResponse {
        term,
        request: answer.request.get(),
        index: known.then(|| Index::new(answer.index.get())),
    };
    Ok((Message::ReadIndexResponse(response), behind))
}

#[cfg(test)]
#[path = "messages_tests.rs"]
mod tests;
