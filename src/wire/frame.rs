//! Frames: what stands before every body, and how it is written.
//!
//! ```text
//!   0        4      6       8           16        20      24
//!   │ length │ kind │ flags │  request  │ crc32c  │ zero  │ body ...
//! ```
//!
//! `length` counts the whole frame. `request` is the asker's choice and comes back in the answer. The checksum
//! covers the 16 bytes before it; records inside a body carry their own. How what a connection received is cut into
//! frames again stands in `splitter`.

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Largest frame that this version sends or takes: a command of 1 MiB and what stands around it.
pub const FRAME_BYTES_MAX: usize = (1 << 20) + (4 << 10);

/// Bytes of a frame before its body.
pub const HEADER_BYTES: usize = size_of::<Header>();

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
pub(crate) struct Header {
    pub(crate) length: U32,
    pub(crate) kind: U16,
    pub(crate) flags: U16,
    pub(crate) request: U64,
    pub(crate) crc: U32,
    pub(crate) zero: U32,
}

impl Header {
    /// What `crc` must be.
    pub(crate) fn checksum(&self) -> u32 {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layout_is_the_one_drawn_above() {
        let header = header(FrameKind::Command, 0x0807_0605_0403_0201, 8);
        assert_eq!(
            &header[..16],
            &[32, 0, 0, 0, 3, 2, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]
        );
        assert_eq!(
            &header[16..20],
            &crc32c::crc32c(&header[..16]).to_le_bytes()
        );
        assert_eq!(&header[20..], &[0; 4]);
    }

    #[test]
    fn every_kind_comes_back_from_its_number() {
        for kind in FrameKind::ALL {
            assert_eq!(FrameKind::from_number(kind.number()), Some(*kind));
        }
    }
}
