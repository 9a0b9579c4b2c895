//! What a server answers: a fixed head, then the output, or what is known beside a refusal.
//!
//! ```text
//!   0      2      4      8       16              24
//!   │ code │ zero │ term │ index │ event counter │ output, or the detail of a refusal ...
//!
//!   Attached   │ session u64 │ next u64 │ attachment u32 │ incarnation u32 │ window u32 │ zero u32 │
//!   Detached   │ attachment u32 │ code u16 │ leader u16 │ term u32 │ zero u32 │ ...    (answer to a keep-alive)
//! ```
//!
//! The term is the answerer's; hints of leaders count in it. The index is that of the command's entry, or of the
//! state that a query saw. The event counter is the session's before the command ran: events up to it come first.

use super::Attachment;
use crate::code::Code;
use crate::error::WireError;
use crate::frame::{FrameKind, FrameWriter};
use crate::layout::{exactly, take, zeros};
use crate::refusal::Refusal;
use margay_types::{Index, NodeId, SequenceNumber, SessionId, Term};
use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// What stands in every answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ResponseHead {
    /// The answerer's term in the group; 0 where the request has no group.
    pub term: Term,
    /// Where the answer stands in the group's log.
    pub index: Index,
    /// The session's event counter at that index, before the command ran.
    pub events: u64,
}

/// How the request went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer<'a> {
    /// Done, with this output.
    Done(&'a [u8]),
    /// Not done.
    Refused(Refusal),
}

/// An answer, lent from its frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Response<'a> {
    /// What stands in every answer.
    pub head: ResponseHead,
    /// How it went.
    pub answer: Answer<'a>,
}

/// The output of an open or an attach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attached {
    /// The session.
    pub session: SessionId,
    /// The number that the leader expects next.
    pub next: SequenceNumber,
    /// The session's number on this connection from here on.
    pub attachment: Attachment,
    /// Recovery number of the group.
    pub incarnation: u32,
    /// Most commands at or above `acknowledged_below` that are admitted.
    pub window: u32,
}

/// One session that a keep-alive could not refresh here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Detached {
    /// Which session.
    pub attachment: Attachment,
    /// Why.
    pub code: Code,
    /// Who leads its group, when the code says that this node does not.
    pub leader: Option<NodeId>,
    /// In which term.
    pub term: Term,
}

/// The bytes, as drawn above.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct HeadLayout {
    code: U16,
    zero: U16,
    term: U32,
    index: U64,
    events: U64,
}

/// The bytes, as drawn above.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct AttachedLayout {
    session: U64,
    next: U64,
    attachment: U32,
    incarnation: U32,
    window: U32,
    zero: U32,
}

/// The bytes, as drawn above.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct DetachedLayout {
    attachment: U32,
    code: U16,
    leader: U16,
    term: U32,
    zero: U32,
}

const _: () = assert!(
    size_of::<HeadLayout>() == 24,
    "an output starts at a multiple of 8"
);
const _: () = assert!(size_of::<AttachedLayout>() == 32 && size_of::<DetachedLayout>() == 16);

impl HeadLayout {
    fn new(code: Code, head: ResponseHead) -> Self {
        Self {
            code: U16::new(code.number()),
            zero: U16::ZERO,
            term: U32::new(head.term.number()),
            index: U64::new(head.index.number()),
            events: U64::new(head.events),
        }
    }
}

/// An answer under construction: an output is encoded straight into the frame.
#[derive(Debug)]
pub struct ResponseWriter<'a>(FrameWriter<'a>);

impl<'a> ResponseWriter<'a> {
    /// Opens the answer to `request` behind what `out` holds.
    pub fn begin(out: &'a mut Vec<u8>, request: u64, head: ResponseHead) -> Self {
        let mut frame = FrameWriter::begin(out, FrameKind::Response, request);
        frame
            .body()
            .extend_from_slice(HeadLayout::new(Code::Done, head).as_bytes());
        Self(frame)
    }

    /// Where the output goes; only append to it.
    pub fn output(&mut self) -> &mut Vec<u8> {
        self.0.body()
    }

    /// Bytes of output so far.
    #[must_use]
    pub fn output_bytes(&self) -> usize {
        self.0.body_bytes() - size_of::<HeadLayout>()
    }

    /// Ends the frame.
    pub fn finish(self) {
        self.0.finish();
    }

    /// Takes the answer back, as if it had never begun.
    pub fn abandon(self) {
        self.0.abandon();
    }
}

/// Appends an answer with an output.
pub fn write_done(out: &mut Vec<u8>, request: u64, head: ResponseHead, output: &[u8]) {
    let mut response = ResponseWriter::begin(out, request, head);
    response.output().extend_from_slice(output);
    response.finish();
}

/// Appends a refusal. The term of a leader hint takes the place of the head's.
pub fn write_refusal(out: &mut Vec<u8>, request: u64, head: ResponseHead, refusal: &Refusal) {
    let term = refusal.leader_hint().map_or(head.term, |(_, term)| term);
    let mut frame = FrameWriter::begin(out, FrameKind::Response, request);
    let head = HeadLayout::new(refusal.code(), ResponseHead { term, ..head });
    frame.body().extend_from_slice(head.as_bytes());
    refusal.write_detail(frame.body());
    frame.finish();
}

/// Appends the answer to an open or an attach.
pub fn write_attached(out: &mut Vec<u8>, request: u64, head: ResponseHead, attached: &Attached) {
    let layout = AttachedLayout {
        session: U64::new(attached.session.number()),
        next: U64::new(attached.next.number()),
        attachment: U32::new(attached.attachment.0),
        incarnation: U32::new(attached.incarnation),
        window: U32::new(attached.window),
        zero: U32::ZERO,
    };
    write_done(out, request, head, layout.as_bytes());
}

/// Appends the answer to a keep-alive: the sessions that were not refreshed; usually none.
pub fn write_detached(out: &mut Vec<u8>, request: u64, detached: impl Iterator<Item = Detached>) {
    let mut response = ResponseWriter::begin(out, request, ResponseHead::default());
    for item in detached {
        let layout = DetachedLayout {
            attachment: U32::new(item.attachment.0),
            code: U16::new(item.code.number()),
            leader: U16::new(item.leader.map_or(0, NodeId::number)),
            term: U32::new(item.term.number()),
            zero: U32::ZERO,
        };
        response.output().extend_from_slice(layout.as_bytes());
    }
    response.finish();
}

/// Reads the body of a [`FrameKind::Response`] frame.
///
/// # Errors
/// When the head is cut off, or the code or its detail is not of this version.
pub fn response(body: &[u8]) -> Result<Response<'_>, WireError> {
    let (layout, output) = take::<HeadLayout>("response", body)?;
    zeros("response", layout.zero.as_bytes())?;
    let head = ResponseHead {
        term: Term::new(layout.term.get()),
        index: Index::new(layout.index.get()),
        events: layout.events.get(),
    };
    let code = Code::from_number(layout.code.get())?;
    let answer = match Refusal::read(code, head.term, output)? {
        None => Answer::Done(output),
        Some(refusal) => Answer::Refused(refusal),
    };
    Ok(Response { head, answer })
}

/// Reads the output of an open or an attach.
///
/// # Errors
/// When it is not one layout long.
pub fn attached(output: &[u8]) -> Result<Attached, WireError> {
    let layout: &AttachedLayout = exactly("attached", output)?;
    zeros("attached", layout.zero.as_bytes())?;
    Ok(Attached {
        session: SessionId::new(layout.session.get()),
        next: SequenceNumber::new(layout.next.get()),
        attachment: Attachment(layout.attachment.get()),
        incarnation: layout.incarnation.get(),
        window: layout.window.get(),
    })
}

/// Reads the output of a keep-alive, item by item; an error is the last one.
pub fn detached(output: &[u8]) -> impl Iterator<Item = Result<Detached, WireError>> + '_ {
    output.chunks(size_of::<DetachedLayout>()).map(|chunk| {
        let layout: &DetachedLayout = exactly("detached", chunk)?;
        zeros("detached", layout.zero.as_bytes())?;
        let leader = layout.leader.get();
        Ok(Detached {
            attachment: Attachment(layout.attachment.get()),
            code: Code::from_number(layout.code.get())?,
            leader: (leader != 0).then(|| NodeId::new(leader)),
            term: Term::new(layout.term.get()),
        })
    })
}

#[cfg(test)]
#[path = "response_tests.rs"]
mod tests;
