//! Where one frame ends and the next begins, in what a connection received.
//!
//! ```text
//!   received   │ frame │ frame │ fra ]   [ me │ frame │ ...
//!   lent         piece   piece           kept   piece
//! ```
//!
//! A [`Splitter`] takes what arrived, in whatever pieces, and lends whole frames: out of the piece itself when
//! they lie in it, out of one small buffer when a piece ended inside a frame.
//!
//! Invariants:
//! * A length, a kind and a checksum are checked before a byte of the body is kept.
//! * The buffer grows with what arrived, never with what a header announces.
//! * After a [`FrameError`] nothing more comes out: a stream that lost its frames has no meaning.

use crate::frame::{FRAME_BYTES_MAX, Frame, FrameKind, HEADER_BYTES, Header};
use thiserror::Error;
use zerocopy::FromBytes;
use zerocopy::little_endian::{U16, U32};

/// A buffer larger than this is given back once its frame was taken.
const KEPT_BYTES_MAX: usize = 64 << 10;

/// What is wrong with a frame's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum FrameFault {
    /// The length does not even cover the header, or is above the limit.
    #[error("length {length} is not in {HEADER_BYTES}..={max}")]
    BadLength {
        /// What stands there.
        length: u32,
        /// The limit of this connection.
        max: usize,
    },
    /// The kind is of no version that we know.
    #[error("unknown kind {kind:#06x}")]
    UnknownKind {
        /// What stands there.
        kind: u16,
    },
    /// The header was damaged, or is none.
    #[error("header checksum {stored:08x} stands there, {computed:08x} is right")]
    BadChecksum {
        /// What stands there.
        stored: u32,
        /// What the bytes give.
        computed: u32,
    },
    /// Flags or padding that this version calls zero are not.
    #[error("reserved bits are set")]
    Reserved,
}

/// A stream of frames that broke; close the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("frame at byte {at} of the connection: {fault}")]
pub struct FrameError {
    /// Bytes that the connection had carried before the frame.
    pub at: u64,
    /// What is wrong with it.
    pub fault: FrameFault,
}

/// A header that passed every check.
#[derive(Clone, Copy)]
struct Checked {
    length: usize,
    kind: FrameKind,
    request: u64,
}

impl Checked {
    fn new(header: &Header, max: usize) -> Result<Self, FrameFault> {
        let computed = header.checksum();
        if header.crc.get() != computed {
            return Err(FrameFault::BadChecksum {
                stored: header.crc.get(),
                computed,
            });
        }
        let length = header.length.get();
        let bad_length = FrameFault::BadLength { length, max };
        let size_bytes = usize::try_from(length).map_err(|_| bad_length)?;
        if !(HEADER_BYTES..=max).contains(&size_bytes) {
            return Err(bad_length);
        }
        if header.flags != U16::ZERO || header.zero != U32::ZERO {
            return Err(FrameFault::Reserved);
        }
        let number = header.kind.get();
        let kind =
            FrameKind::from_number(number).ok_or(FrameFault::UnknownKind { kind: number })?;
        Ok(Self {
            length: size_bytes,
            kind,
            request: header.request.get(),
        })
    }

    fn frame(self, body: &[u8]) -> Frame<'_> {
        Frame {
            kind: self.kind,
            flags: 0,
            request: self.request,
            body,
        }
    }
}

impl core::fmt::Debug for Checked {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(formatter, "{:?} of {} bytes", self.kind, self.length)
    }
}

/// Cuts what a connection received into frames; keeps the one that is not complete yet.
#[derive(Debug)]
pub struct Splitter {
    /// The frame that a piece ended in; shorter than its length.
    partial: Vec<u8>,
    /// The frame that the last piece completed, lent to its taker.
    whole: Vec<u8>,
    frame_bytes_max: usize,
    /// Bytes of the connection before the next frame.
    at: u64,
    broken: bool,
}

impl Default for Splitter {
    fn default() -> Self {
        Self::new(FRAME_BYTES_MAX)
    }
}

impl Splitter {
    /// Takes frames of at most `frame_bytes_max` bytes.
    #[must_use]
    pub const fn new(frame_bytes_max: usize) -> Self {
        Self {
            partial: Vec::new(),
            whole: Vec::new(),
            frame_bytes_max,
            at: 0,
            broken: false,
        }
    }

    /// Lends the frames that `piece` contains or completes. Take them all: what is left in a dropped iterator is
    /// lost, so drop one early only together with the connection.
    pub fn split<'a>(&'a mut self, piece: &'a [u8]) -> Frames<'a> {
        self.whole.clear();
        if self.whole.capacity() > KEPT_BYTES_MAX {
            self.whole = Vec::new();
        }
        let mut rest = piece;
        let first = if self.partial.is_empty() {
            None
        } else {
            self.complete(&mut rest)
        };
        Frames {
            first: first.map(|done| done.map(|checked| (checked, self.whole.as_slice()))),
            rest,
            partial: &mut self.partial,
            frame_bytes_max: self.frame_bytes_max,
            at: &mut self.at,
            broken: &mut self.broken,
        }
    }

    /// Bytes kept of a frame that is not complete.
    #[must_use]
    pub fn partial_bytes(&self) -> usize {
        self.partial.len()
    }

    /// Moves bytes from `rest` to the kept frame; when it is whole, it is in `whole`.
    fn complete(&mut self, rest: &mut &[u8]) -> Option<Result<Checked, FrameError>> {
        fill(&mut self.partial, HEADER_BYTES, rest);
        let (header, _) = Header::ref_from_prefix(&self.partial).ok()?;
        let checked = match Checked::new(header, self.frame_bytes_max) {
            Ok(checked) => checked,
            Err(fault) => return Some(Err(FrameError { at: self.at, fault })),
        };
        fill(&mut self.partial, checked.length, rest);
        if self.partial.len() < checked.length {
            return None;
        }
        core::mem::swap(&mut self.partial, &mut self.whole);
        Some(Ok(checked))
    }
}

/// Appends bytes of `rest` until `kept` has `want` of them, or `rest` is used up.
fn fill(kept: &mut Vec<u8>, want: usize, rest: &mut &[u8]) {
    let missing = want.saturating_sub(kept.len()).min(rest.len());
    let (taken, behind) = rest.split_at(missing);
    kept.extend_from_slice(taken);
    *rest = behind;
}

/// The frames of one piece, in order.
#[derive(Debug)]
pub struct Frames<'a> {
    first: Option<Result<(Checked, &'a [u8]), FrameError>>,
    rest: &'a [u8],
    partial: &'a mut Vec<u8>,
    frame_bytes_max: usize,
    at: &'a mut u64,
    broken: &'a mut bool,
}

impl<'a> Frames<'a> {
    fn take_whole(&mut self, checked: Checked, bytes: &'a [u8]) -> Frame<'a> {
        *self.at += checked.length as u64;
        checked.frame(bytes.get(HEADER_BYTES..).unwrap_or_default())
    }

    fn break_off(&mut self, error: FrameError) -> FrameError {
        *self.broken = true;
        self.rest = &[];
        self.partial.clear();
        error
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = Result<Frame<'a>, FrameError>;

    fn next(&mut self) -> Option<Self::Item> {
        if *self.broken {
            return None;
        }
        match self.first.take() {
            Some(Ok((checked, bytes))) => return Some(Ok(self.take_whole(checked, bytes))),
            Some(Err(error)) => return Some(Err(self.break_off(error))),
            None => {}
        }
        let Ok((header, _)) = Header::ref_from_prefix(self.rest) else {
            self.partial
                .extend_from_slice(core::mem::take(&mut self.rest));
            return None;
        };
        let checked = match Checked::new(header, self.frame_bytes_max) {
            Ok(checked) => checked,
            Err(fault) => {
                return Some(Err(self.break_off(FrameError {
                    at: *self.at,
                    fault,
                })));
            }
        };
        let Some((bytes, behind)) = self.rest.split_at_checked(checked.length) else {
            self.partial
                .extend_from_slice(core::mem::take(&mut self.rest));
            return None;
        };
        self.rest = behind;
        Some(Ok(self.take_whole(checked, bytes)))
    }
}

#[cfg(test)]
#[path = "splitter_tests.rs"]
mod tests;
