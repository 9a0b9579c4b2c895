//! Frames: where one message ends and the next begins.
//!
//! ```text
//!   0        4      6       8           16        20      24
//!   │ length │ kind │ flags │  request  │ crc32c  │ zero  │ body ...
//! ```
//!
//! `length` counts the whole frame. `request` is the asker's choice and comes back in the answer. The checksum
//! covers the 16 bytes before it; records inside a body carry their own.
//!
//! A [`Splitter`] takes what arrived, in whatever pieces, and lends whole frames: out of the piece itself when
//! they lie in it, out of one small buffer when a piece ended inside a frame.
//!
//! Invariants:
//! * A length, a kind and a checksum are checked before a byte of the body is kept.
//! * The buffer grows with what arrived, never with what a header announces.
//! * After a [`FrameError`] nothing more comes out: a stream that lost its frames has no meaning.

use thiserror::Error;
use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Largest frame that this version sends or takes: a command of 1 MiB and what stands around it.
pub const FRAME_BYTES_MAX: usize = (1 << 20) + (4 << 10);

/// Bytes of a frame before its body.
pub const HEADER_BYTES: usize = size_of::<Header>();

/// A buffer larger than this is given back once its frame was taken.
const KEPT_BYTES_MAX: usize = 64 << 10;

const _: () = assert!(HEADER_BYTES == 24, "bodies start at a multiple of 8");
const _: () = assert!(FRAME_BYTES_MAX <= u32::MAX as usize, "a length has 32 bits");

macro_rules! kinds {
    ($($(#[$documentation:meta])* $name:ident = $number:literal;)*) => {
        /// What a body is.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u16)]
        pub enum FrameKind {
            $($(#[$documentation])* $name = $number,)*
        }

        impl FrameKind {
            /// All kinds, in the order of their numbers.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The kind behind a number on the wire, if this version knows it.
            #[must_use]
            pub const fn from_number(number: u16) -> Option<Self> {
                match number {
                    $($number => Some(Self::$name),)*
                    _ => None,
                }
            }
        }
    };
}

kinds! {
    /// One append of one group, with its records (`peer`).
    PeerAppend = 0x0101;
    /// Many small messages of many groups (`peer`).
    PeerMessages = 0x0102;

    /// Opens a session (`client`).
    Open = 0x0201;
    /// Binds a session to this connection (`client`).
    Attach = 0x0202;
    /// A command of an attached session (`client`).
    Command = 0x0203;
    /// A query, with or without a session (`client`).
    Query = 0x0204;
    /// Keeps all sessions of a connection alive (`client`).
    KeepAlive = 0x0205;
    /// Closes a session (`client`).
    Close = 0x0206;
    /// Asks who is where (`client`, answered by `admin::Map`).
    Map = 0x0207;

    /// The answer to one request of a client or an operator (`client`).
    Response = 0x0301;
    /// An event of an attached session (`client`).
    Event = 0x0302;

    /// Who answers here? (`admin::NodeInfo`)
    NodeInfo = 0x0401;
    /// Forms a cluster (`admin::Bootstrap`).
    Bootstrap = 0x0402;
    /// Creates a keyspace (`admin::KeyspaceCreate`).
    KeyspaceCreate = 0x0403;
    /// Lists keyspaces (`admin::KeyspaceList`).
    KeyspaceList = 0x0404;
    /// The state of a node and its replicas (`admin::StatusRequest`).
    Status = 0x0405;
    /// The effect chain of a replica (`admin::ChainRequest`).
    Chain = 0x0406;
}

impl FrameKind {
    /// The number on the wire.
    #[must_use]
    pub const fn number(self) -> u16 {
        self as u16
    }
}

/// The layout of a frame before its body.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct Header {
    length: U32,
    kind: U16,
    flags: U16,
    request: U64,
    crc: U32,
    zero: U32,
}

impl Header {
    fn checksum(&self) -> u32 {
        let [covered @ .., _, _, _, _, _, _, _, _] = self.as_bytes() else {
            unreachable!("a header has more than 8 bytes")
        };
        crc32c::crc32c(covered)
    }
}

/// Builds the 24 bytes before a body of `body_bytes`, for bodies that are not in one piece.
///
/// # Panics
/// When the frame would be larger than [`FRAME_BYTES_MAX`]; whoever builds frames bounds what goes in.
#[must_use]
pub fn header(kind: FrameKind, request: u64, body_bytes: usize) -> [u8; HEADER_BYTES] {
    let length = HEADER_BYTES.saturating_add(body_bytes);
    assert!(
        length <= FRAME_BYTES_MAX,
        "a {kind:?} frame of {length} bytes is above {FRAME_BYTES_MAX}"
    );
    let length = u32::try_from(length).expect("the largest frame fits in 32 bits");
    let mut header = Header {
        length: U32::new(length),
        kind: U16::new(kind.number()),
        flags: U16::ZERO,
        request: U64::new(request),
        crc: U32::ZERO,
        zero: U32::ZERO,
    };
    header.crc = U32::new(header.checksum());
    zerocopy::transmute!(header)
}

/// A frame under construction at the end of a buffer that may hold frames before it.
#[derive(Debug)]
pub struct FrameWriter<'a> {
    out: &'a mut Vec<u8>,
    start: usize,
    kind: FrameKind,
    request: u64,
}

impl<'a> FrameWriter<'a> {
    /// Opens a frame behind what `out` holds.
    pub fn begin(out: &'a mut Vec<u8>, kind: FrameKind, request: u64) -> Self {
        let start = out.len();
        out.extend_from_slice(&[0; HEADER_BYTES]);
        Self {
            out,
            start,
            kind,
            request,
        }
    }

    /// Where the body goes; only append to it.
    pub fn body(&mut self) -> &mut Vec<u8> {
        self.out
    }

    /// Bytes of body so far.
    #[must_use]
    pub fn body_bytes(&self) -> usize {
        self.out.len() - self.start - HEADER_BYTES
    }

    /// Fills in the header.
    ///
    /// # Panics
    /// When the frame is larger than [`FRAME_BYTES_MAX`].
    pub fn finish(self) {
        close(self.out, self.start, self.kind, self.request);
    }

    /// Takes the frame back, as if it had never begun.
    pub fn abandon(self) {
        self.out.truncate(self.start);
    }
}

/// Fills in the header of the frame that began at `start` and ends where `out` ends.
pub(crate) fn close(out: &mut [u8], start: usize, kind: FrameKind, request: u64) {
    let frame = out
        .get_mut(start..)
        .expect("the frame begins inside its buffer");
    let body_bytes = frame
        .len()
        .checked_sub(HEADER_BYTES)
        .expect("the frame has its header");
    let place = frame.first_chunk_mut().expect("the frame has its header");
    *place = header(kind, request, body_bytes);
}

/// A whole frame, lent from what arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What the body is.
    pub kind: FrameKind,
    /// Zero in this version.
    pub flags: u16,
    /// The asker's number for it.
    pub request: u64,
    /// Everything behind the header.
    pub body: &'a [u8],
}

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

impl core::fmt::Debug for Checked {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(formatter, "{:?} of {} bytes", self.kind, self.length)
    }
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
#[path = "frame_tests.rs"]
mod tests;
