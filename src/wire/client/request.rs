//! What a client asks: one fixed layout per kind of frame.
//!
//! ```text
//!   Open        │ client id 16 │ attempt u64 │ group u32 │ timeout ms u32 │
//!   Attach      │ client id 16 │ session u64 │ events received u64 │ group u32 │ incarnation u32 │
//!   Command     │ attachment u32 │ zero u32 │ payload: command header 24, operation ... │
//!   Query       │ attachment u32 │ group u32 │ operation u16 │ level u8 │ zero 5 │ seen u64 │ issued u64 │ payload
//!   KeepAlive   │ attachment u32 │ zero u32 │ acknowledged below u64 │ events received u64 │ ...
//!   Close       │ attachment u32 │ zero u32 │
//!   Map         │
//! ```

use crate::error::WireError;
use crate::frame::{FRAME_BYTES_MAX, FrameKind, FrameWriter, HEADER_BYTES};
use crate::layout::{end, exactly, take, zeros};
use margay_types::{ClientId, GroupId, Index, OperationId, SequenceNumber, SessionId};
use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// A session's number on one connection, chosen by the server when it binds the session there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Attachment(pub u32);

impl Attachment {
    /// A query outside of any session.
    pub const NONE: Self = Self(u32::MAX);
}

/// Opens a session in a group, through its log. The same attempt opens the same session again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Open {
    /// Who asks.
    pub client: ClientId,
    /// Counts what this client meant as new sessions of this group.
    pub attempt: u64,
    /// Where.
    pub group: GroupId,
    /// After this time without a word the session ends.
    pub timeout_ms: u32,
}

/// Binds an open session to this connection; the binding before, on whatever connection, ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attach {
    /// Who asks: must be the client that opened it.
    pub client: ClientId,
    /// The session.
    pub session: SessionId,
    /// Events received so far, without gaps: the stream goes on behind them.
    pub events_received: u64,
    /// Where.
    pub group: GroupId,
    /// Recovery number of the group when the session was opened.
    pub incarnation: u32,
}

/// A command of an attached session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Command<'a> {
    /// Whose.
    pub attachment: Attachment,
    /// The payload of its record-to-be: command header and operation.
    pub payload: &'a [u8],
}

/// How fresh a query's answer must be at least.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum QueryLevel {
    /// Never older than what the session has seen completed.
    Causal = 0,
    /// Sees the session's commands issued before it; never goes back.
    Sequential = 1,
    /// Linearizable, and free to rest on the leader's lease. There are no leases yet: it is answered as `Linearizable`.
    BoundedLinearizable = 2,
    /// Linearizable.
    #[default]
    Linearizable = 3,
}

impl QueryLevel {
    fn from_number(number: u8) -> Result<Self, WireError> {
        match number {
            0 => Ok(Self::Causal),
            1 => Ok(Self::Sequential),
            2 => Ok(Self::BoundedLinearizable),
            3 => Ok(Self::Linearizable),
            _ => Err(WireError::BadNumber {
                what: "query level",
                number: u64::from(number),
            }),
        }
    }
}

/// A question that changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Query<'a> {
    /// Whose, or [`Attachment::NONE`].
    pub attachment: Attachment,
    /// Where.
    pub group: GroupId,
    /// Which query of the machine.
    pub operation: OperationId,
    /// How fresh.
    pub level: QueryLevel,
    /// Highest index that the asker has seen.
    pub seen: Index,
    /// Last command that the session issued before it: what a sequential query must see. 0 for none.
    pub issued: SequenceNumber,
    /// The query, encoded.
    pub payload: &'a [u8],
}

/// What one session says in a connection's keep-alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeepAliveItem {
    /// Which session.
    pub attachment: Attachment,
    /// The client will not ask again for outputs of commands below this number.
    pub acknowledged_below: SequenceNumber,
    /// Events received so far, without gaps.
    pub events_received: u64,
}

/// Ends a session in good order, through the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Close {
    /// Which session.
    pub attachment: Attachment,
}

/// The bytes, as drawn above.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct OpenLayout {
    client: [u8; 16],
    attempt: U64,
    group: U32,
    timeout_ms: U32,
}

/// The bytes, as drawn above.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct AttachLayout {
    client: [u8; 16],
    session: U64,
    events_received: U64,
    group: U32,
    incarnation: U32,
}

/// The bytes, as drawn above.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct AttachmentLayout {
    attachment: U32,
    zero: U32,
}

/// The bytes, as drawn above.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct QueryLayout {
    attachment: U32,
    group: U32,
    operation: U16,
    level: u8,
    zero: [u8; 5],
    seen: U64,
    issued: U64,
}

/// The bytes, as drawn above.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct KeepAliveLayout {
    attachment: U32,
    zero: U32,
    acknowledged_below: U64,
    events_received: U64,
}

const _: () = assert!(size_of::<OpenLayout>() == 32 && size_of::<AttachLayout>() == 40);
const _: () = assert!(
    size_of::<QueryLayout>() == 32,
    "a query starts at a multiple of 8"
);
const _: () = assert!(
    size_of::<AttachmentLayout>() == 8,
    "a payload starts at a multiple of 8"
);

impl Open {
    /// Appends the frame.
    pub fn write(&self, out: &mut Vec<u8>, request: u64) {
        let layout = OpenLayout {
            client: self.client.bytes(),
            attempt: U64::new(self.attempt),
            group: U32::new(self.group.number()),
            timeout_ms: U32::new(self.timeout_ms),
        };
        write(out, FrameKind::Open, request, [layout.as_bytes(), &[]]);
    }
}

impl Attach {
    /// Appends the frame.
    pub fn write(&self, out: &mut Vec<u8>, request: u64) {
        let layout = AttachLayout {
            client: self.client.bytes(),
            session: U64::new(self.session.number()),
            events_received: U64::new(self.events_received),
            group: U32::new(self.group.number()),
            incarnation: U32::new(self.incarnation),
        };
        write(out, FrameKind::Attach, request, [layout.as_bytes(), &[]]);
    }
}

impl Command<'_> {
    /// Appends the frame.
    pub fn write(&self, out: &mut Vec<u8>, request: u64) {
        let layout = AttachmentLayout {
            attachment: U32::new(self.attachment.0),
            zero: U32::ZERO,
        };
        write(
            out,
            FrameKind::Command,
            request,
            [layout.as_bytes(), self.payload],
        );
    }
}

impl Query<'_> {
    /// Appends the frame.
    pub fn write(&self, out: &mut Vec<u8>, request: u64) {
        let layout = QueryLayout {
            attachment: U32::new(self.attachment.0),
            group: U32::new(self.group.number()),
            operation: U16::new(self.operation.number()),
            level: self.level as u8,
            zero: [0; 5],
            seen: U64::new(self.seen.number()),
            issued: U64::new(self.issued.number()),
        };
        write(
            out,
            FrameKind::Query,
            request,
            [layout.as_bytes(), self.payload],
        );
    }
}

impl Close {
    /// Appends the frame.
    pub fn write(&self, out: &mut Vec<u8>, request: u64) {
        let layout = AttachmentLayout {
            attachment: U32::new(self.attachment.0),
            zero: U32::ZERO,
        };
        write(out, FrameKind::Close, request, [layout.as_bytes(), &[]]);
    }
}

fn write(out: &mut Vec<u8>, kind: FrameKind, request: u64, parts: [&[u8]; 2]) {
    let mut frame = FrameWriter::begin(out, kind, request);
    for part in parts {
        frame.body().extend_from_slice(part);
    }
    frame.finish();
}

/// The keep-alive of a connection: one item per attached session.
#[derive(Clone, Copy, Debug)]
pub struct KeepAlive;

impl KeepAlive {
    /// Most items in one frame; a connection with more sessions sends several frames.
    pub const ITEMS_MAX: usize = (FRAME_BYTES_MAX - HEADER_BYTES) / size_of::<KeepAliveLayout>();

    /// Appends one frame.
    ///
    /// # Panics
    /// With more than [`Self::ITEMS_MAX`] items.
    pub fn write(out: &mut Vec<u8>, request: u64, items: impl Iterator<Item = KeepAliveItem>) {
        let mut frame = FrameWriter::begin(out, FrameKind::KeepAlive, request);
        for item in items {
            let layout = KeepAliveLayout {
                attachment: U32::new(item.attachment.0),
                zero: U32::ZERO,
                acknowledged_below: U64::new(item.acknowledged_below.number()),
                events_received: U64::new(item.events_received),
            };
            frame.body().extend_from_slice(layout.as_bytes());
        }
        frame.finish();
    }
}

/// Reads the body of a [`FrameKind::Open`] frame.
///
/// # Errors
/// When it is not one layout long.
pub fn open(body: &[u8]) -> Result<Open, WireError> {
    let layout: &OpenLayout = exactly("open", body)?;
    Ok(Open {
        client: ClientId::new(layout.client),
        attempt: layout.attempt.get(),
        group: GroupId::new(layout.group.get()),
        timeout_ms: layout.timeout_ms.get(),
    })
}

/// Reads the body of a [`FrameKind::Attach`] frame.
///
/// # Errors
/// When it is not one layout long.
pub fn attach(body: &[u8]) -> Result<Attach, WireError> {
    let layout: &AttachLayout = exactly("attach", body)?;
    Ok(Attach {
        client: ClientId::new(layout.client),
        session: SessionId::new(layout.session.get()),
        events_received: layout.events_received.get(),
        group: GroupId::new(layout.group.get()),
        incarnation: layout.incarnation.get(),
    })
}

/// Reads the body of a [`FrameKind::Command`] frame; the payload is for the session's table to check.
///
/// # Errors
/// When the head is cut off.
pub fn command(body: &[u8]) -> Result<Command<'_>, WireError> {
    let (layout, payload) = take::<AttachmentLayout>("command", body)?;
    zeros("command", layout.zero.as_bytes())?;
    Ok(Command {
        attachment: Attachment(layout.attachment.get()),
        payload,
    })
}

/// Reads the body of a [`FrameKind::Query`] frame.
///
/// # Errors
/// When the head is cut off or names no level.
pub fn query(body: &[u8]) -> Result<Query<'_>, WireError> {
    let (layout, payload) = take::<QueryLayout>("query", body)?;
    zeros("query", &layout.zero)?;
    Ok(Query {
        attachment: Attachment(layout.attachment.get()),
        group: GroupId::new(layout.group.get()),
        operation: OperationId::new(layout.operation.get()),
        level: QueryLevel::from_number(layout.level)?,
        seen: Index::new(layout.seen.get()),
        issued: SequenceNumber::new(layout.issued.get()),
        payload,
    })
}

/// Reads the body of a [`FrameKind::KeepAlive`] frame, item by item; an error is the last one.
pub fn keep_alive(body: &[u8]) -> impl Iterator<Item = Result<KeepAliveItem, WireError>> + '_ {
    body.chunks(size_of::<KeepAliveLayout>()).map(|chunk| {
        let layout: &KeepAliveLayout = exactly("keep-alive", chunk)?;
        zeros("keep-alive", layout.zero.as_bytes())?;
        Ok(KeepAliveItem {
            attachment: Attachment(layout.attachment.get()),
            acknowledged_below: SequenceNumber::new(layout.acknowledged_below.get()),
            events_received: layout.events_received.get(),
        })
    })
}

/// Reads the body of a [`FrameKind::Close`] frame.
///
/// # Errors
/// When it is not one layout long.
pub fn close(body: &[u8]) -> Result<Close, WireError> {
    let (layout, behind) = take::<AttachmentLayout>("close", body)?;
    zeros("close", layout.zero.as_bytes())?;
    end("close", behind)?;
    Ok(Close {
        attachment: Attachment(layout.attachment.get()),
    })
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
