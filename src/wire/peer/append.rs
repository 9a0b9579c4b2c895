//! One append of one group: a fixed head, then records exactly as they stand in the log.
//!
//! ```text
//!   0       4      6    8      12      16              20     24
//!   │ group │ from │ to │ term │ flags │ previous term │ zero │
//!   24               32     40       48       56      64
//!   │ previous index │ last │ commit │ stable │ round │ records ...
//! ```
//!
//! Bit 0 of the flags: the host may have sent fewer records than `last` says.

use super::Envelope;
use crate::error::WireError;
use crate::frame::{self, FrameKind, HEADER_BYTES};
use crate::layout;
use margay_raft::{AppendEntries, Position, Round};
use margay_types::{GroupId, Index, ReplicaNumber, Term};
use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Bytes of an append's body before its records.
pub const APPEND_HEAD_BYTES: usize = size_of::<AppendHead>();

const WHAT: &str = "append head";

const MAY_SHORTEN: u32 = 1;

const _: () = assert!(APPEND_HEAD_BYTES == 64, "records start at a multiple of 8");

/// An append's body before its records.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct AppendHead {
    group: U32,
    from: U16,
    to: U16,
    term: U32,
    flags: U32,
    previous_term: U32,
    zero: U32,
    previous_index: U64,
    last: U64,
    commit_index: U64,
    stable_index: U64,
    round: U64,
}

impl AppendHead {
    /// The head for these entries.
    #[must_use]
    pub fn new(envelope: Envelope, append: &AppendEntries) -> Self {
        Self {
            group: U32::new(envelope.group.number()),
            from: U16::new(envelope.from.number()),
            to: U16::new(envelope.to.number()),
            term: U32::new(append.term.number()),
            flags: U32::new(if append.may_shorten { MAY_SHORTEN } else { 0 }),
            previous_term: U32::new(append.previous.term.number()),
            zero: U32::ZERO,
            previous_index: U64::new(append.previous.index.number()),
            last: U64::new(append.last.number()),
            commit_index: U64::new(append.commit_index.number()),
            stable_index: U64::new(append.stable_index.number()),
            round: U64::new(append.round.0),
        }
    }

    /// Appends the frame's header and this head; `records_bytes` of records follow, from wherever they are.
    ///
    /// # Panics
    /// When the frame would be above [`frame::FRAME_BYTES_MAX`].
    pub fn write(&self, out: &mut Vec<u8>, records_bytes: usize) {
        let header = frame::header(FrameKind::PeerAppend, 0, APPEND_HEAD_BYTES + records_bytes);
        out.reserve(HEADER_BYTES + APPEND_HEAD_BYTES);
        out.extend_from_slice(&header);
        out.extend_from_slice(self.as_bytes());
    }

    fn envelope(&self) -> Envelope {
        Envelope {
            group: GroupId::new(self.group.get()),
            from: ReplicaNumber::new(self.from.get()),
            to: ReplicaNumber::new(self.to.get()),
        }
    }

    fn entries(&self) -> AppendEntries {
        AppendEntries {
            term: Term::new(self.term.get()),
            previous: Position {
                term: Term::new(self.previous_term.get()),
                index: Index::new(self.previous_index.get()),
            },
            last: Index::new(self.last.get()),
            may_shorten: self.flags.get() == MAY_SHORTEN,
            commit_index: Index::new(self.commit_index.get()),
            stable_index: Index::new(self.stable_index.get()),
            round: Round(self.round.get()),
        }
    }
}

/// Reads the body of a [`FrameKind::PeerAppend`] frame; the records are for the log to check.
///
/// # Errors
/// When the head is cut off, or says something that this version does not know.
pub fn append(body: &[u8]) -> Result<(Envelope, AppendEntries, &[u8]), WireError> {
    let (head, records) = layout::take::<AppendHead>(WHAT, body)?;
    layout::zeros(WHAT, head.zero.as_bytes())?;
    let flags = head.flags.get();
    if flags & !MAY_SHORTEN != 0 {
        return Err(WireError::BadNumber {
            what: "append flags",
            number: u64::from(flags),
        });
    }
    if head.last < head.previous_index {
        return Err(WireError::NotSorted {
            what: "append head: last before previous",
        });
    }
    Ok((head.envelope(), head.entries(), records))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::splitter::Splitter;
    use proptest::prelude::*;

    fn envelope() -> Envelope {
        Envelope {
            group: GroupId::new(7),
            from: ReplicaNumber::new(1),
            to: ReplicaNumber::new(2),
        }
    }

    fn entries() -> AppendEntries {
        AppendEntries {
            term: Term::new(5),
            previous: Position {
                term: Term::new(4),
                index: Index::new(10),
            },
            last: Index::new(12),
            may_shorten: true,
            commit_index: Index::new(9),
            stable_index: Index::new(8),
            round: Round(3),
        }
    }

    #[test]
    fn the_layout_is_the_one_drawn_above() {
        let mut body = AppendHead::new(envelope(), &entries()).as_bytes().to_vec();
        let mut expected = vec![
            7, 0, 0, 0, 1, 0, 2, 0, 5, 0, 0, 0, 1, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0,
        ];
        for number in [10_u64, 12, 9, 8, 3] {
            expected.extend_from_slice(&number.to_le_bytes());
        }
        assert_eq!(body, expected);
        body.extend_from_slice(b"records");
        assert_eq!(append(&body), Ok((envelope(), entries(), &b"records"[..])));
    }

    #[test]
    fn a_frame_whose_records_were_appended_apart_is_whole() {
        let mut stream = Vec::new();
        AppendHead::new(envelope(), &entries()).write(&mut stream, 16);
        stream.extend_from_slice(&[0xab; 16]);
        let mut splitter = Splitter::default();
        let frames: Vec<_> = splitter.split(&stream).collect();
        let [Ok(frame)] = frames.as_slice() else {
            panic!("one frame, not {frames:?}")
        };
        assert_eq!(
            append(frame.body).map(|(_, _, records)| records.len()),
            Ok(16)
        );
    }

    #[test]
    fn an_append_that_ends_before_it_starts_is_refused() {
        let backwards = AppendEntries {
            last: Index::new(9),
            ..entries()
        };
        let body = AppendHead::new(envelope(), &backwards).as_bytes().to_vec();
        assert!(append(&body).is_err());
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(body in proptest::collection::vec(any::<u8>(), 0..128)) {
            let _ = append(&body);
        }
    }
}
