//! An event of an attached session: its place in the session's dense count, the index it comes from, its payload.
//!
//! ```text
//!   0            4      8        16      24
//!   │ attachment │ zero │ number │ index │ payload ...
//! ```

use super::Attachment;
use crate::error::WireError;
use crate::frame::{FrameKind, FrameWriter};
use crate::layout;
use margay_types::Index;
use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// What a machine published to a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event<'a> {
    /// The session, as bound to this connection.
    pub attachment: Attachment,
    /// Counts the session's events from 1, without gaps.
    pub number: u64,
    /// The entry whose apply, or whose timers, published it.
    pub index: Index,
    /// The machine's event, encoded.
    pub payload: &'a [u8],
}

/// The bytes, as drawn above.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct Layout {
    attachment: U32,
    zero: U32,
    number: U64,
    index: U64,
}

impl Event<'_> {
    /// Appends the frame.
    pub fn write(&self, out: &mut Vec<u8>) {
        let mut frame = FrameWriter::begin(out, FrameKind::Event, 0);
        let layout = Layout {
            attachment: U32::new(self.attachment.0),
            zero: U32::ZERO,
            number: U64::new(self.number),
            index: U64::new(self.index.number()),
        };
        frame.body().extend_from_slice(layout.as_bytes());
        frame.body().extend_from_slice(self.payload);
        frame.finish();
    }
}

/// Reads the body of a [`FrameKind::Event`] frame.
///
/// # Errors
/// When the head is cut off.
pub fn event(body: &[u8]) -> Result<Event<'_>, WireError> {
    let (layout, payload) = layout::take::<Layout>("event", body)?;
    layout::zeros("event", layout.zero.as_bytes())?;
    Ok(Event {
        attachment: Attachment(layout.attachment.get()),
        number: layout.number.get(),
        index: Index::new(layout.index.get()),
        payload,
    })
}
