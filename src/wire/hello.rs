//! The hello: who speaks, to whom, in which version; sent both ways before anything else.
//!
//! ```text
//!   0        8          12     13     14        16           32        48          64
//!   │ magic  │ min max  │ kind │ zero │ refusal │ cluster id │ sender  │ receiver  │
//!   64       72            74         76            78     80              84     92    96
//!   │ life   │ from shard  │ to shard │ shard count │ zero │ largest frame │ zero │ crc │
//! ```
//!
//! Zero identities mean *not known* (cluster, sender) or *any* (receiver). The answer has the same layout, with a
//! refusal code where it refuses, and is followed by the end of the connection then. The checksum covers the 92
//! bytes before it.
//!
//! A hello pins both incarnations and lives, so nothing meant for an earlier life of a process is taken by a
//! later one. What matches is for the receiver to judge: [`Hello::common_version`] judges versions alone.

use crate::code::Code;
use crate::error::WireError;
use crate::frame::FRAME_BYTES_MAX;
use crate::layout;
use margay_types::{ClusterId, Incarnation, ProcessLife, ShardId};
use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Bytes of a hello.
pub const HELLO_BYTES: usize = size_of::<Layout>();

/// The first bytes of every connection; the last two are the version of the hello itself.
pub const MAGIC: [u8; 8] = *b"MARGAY\0\x01";

/// Oldest protocol that this version speaks.
pub const PROTOCOL_MIN: u16 = 1;

/// Newest protocol that this version speaks.
pub const PROTOCOL_MAX: u16 = 1;

const WHAT: &str = "hello";

const _: () = assert!(
    HELLO_BYTES == 96,
    "the size of a hello is known before its version"
);

/// What the sender of a hello is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum HelloKind {
    /// Opens sessions, sends commands and queries.
    Client = 1,
    /// Another node of the cluster.
    Peer = 2,
    /// An operator's command line.
    Admin = 3,
}

impl HelloKind {
    fn from_number(number: u8) -> Result<Self, WireError> {
        match number {
            1 => Ok(Self::Client),
            2 => Ok(Self::Peer),
            3 => Ok(Self::Admin),
            _ => Err(WireError::BadNumber {
                what: "hello kind",
                number: u64::from(number),
            }),
        }
    }
}

/// Who speaks, and whom it wants to reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hello {
    /// Oldest protocol that the sender speaks.
    pub protocol_min: u16,
    /// Newest protocol that the sender speaks.
    pub protocol_max: u16,
    /// What the sender is; an answer repeats the asker's.
    pub kind: HelloKind,
    /// In an answer: why the connection ends here.
    pub refusal: Option<Code>,
    /// The sender's cluster; zero when a client or a blank node knows none.
    pub cluster: ClusterId,
    /// The sender's data directory; zero for clients and operators.
    pub sender: Incarnation,
    /// The data directory that must answer; zero for any.
    pub receiver: Incarnation,
    /// The sender's process; an answer carries the answerer's.
    pub life: ProcessLife,
    /// The shard that speaks.
    pub from_shard: ShardId,
    /// The shard that shall answer, or any; an answer names the one that does.
    pub to_shard: ShardId,
    /// How many shards the sender runs; zero for clients and operators.
    pub shard_count: u16,
    /// Largest frame that the sender takes.
    pub frame_bytes_max: u32,
}

/// The bytes, as drawn above.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct Layout {
    magic: [u8; 8],
    protocol_min: U16,
    protocol_max: U16,
    kind: u8,
    zero_after_kind: u8,
    refusal: U16,
    cluster: [u8; 16],
    sender: [u8; 16],
    receiver: [u8; 16],
    life: U64,
    from_shard: U16,
    to_shard: U16,
    shard_count: U16,
    zero_after_count: U16,
    frame_bytes_max: U32,
    zero: [u8; 8],
    crc: U32,
}

impl Layout {
    fn checksum(&self) -> u32 {
        let [covered @ .., _, _, _, _] = self.as_bytes() else {
            unreachable!("a hello has more than 4 bytes")
        };
        crc32c::crc32c(covered)
    }
}

impl Hello {
    /// The hello of a client or an operator, for whichever shard answers.
    #[must_use]
    pub const fn of_client(kind: HelloKind, cluster: ClusterId) -> Self {
        Self {
            protocol_min: PROTOCOL_MIN,
            protocol_max: PROTOCOL_MAX,
            kind,
            refusal: None,
            cluster,
            sender: Incarnation::ZERO,
            receiver: Incarnation::ZERO,
            life: ProcessLife::new(0),
            from_shard: ShardId::ANY,
            to_shard: ShardId::ANY,
            shard_count: 0,
            frame_bytes_max: FRAME_BYTES_U32,
        }
    }

    /// The bytes on the wire.
    #[must_use]
    pub fn encode(&self) -> [u8; HELLO_BYTES] {
        let mut layout = Layout {
            magic: MAGIC,
            protocol_min: U16::new(self.protocol_min),
            protocol_max: U16::new(self.protocol_max),
            kind: self.kind as u8,
            zero_after_kind: 0,
            refusal: U16::new(self.refusal.map_or(0, Code::number)),
            cluster: self.cluster.bytes(),
            sender: self.sender.bytes(),
            receiver: self.receiver.bytes(),
            life: U64::new(self.life.number()),
            from_shard: U16::new(self.from_shard.number()),
            to_shard: U16::new(self.to_shard.number()),
            shard_count: U16::new(self.shard_count),
            zero_after_count: U16::ZERO,
            frame_bytes_max: U32::new(self.frame_bytes_max),
            zero: [0; 8],
            crc: U32::ZERO,
        };
        layout.crc = U32::new(layout.checksum());
        zerocopy::transmute!(layout)
    }

    /// Reads a hello.
    ///
    /// # Errors
    /// When the bytes are of another format, damaged, or hold a number that this version does not know.
    pub fn decode(bytes: &[u8; HELLO_BYTES]) -> Result<Self, WireError> {
        let layout: &Layout = layout::exactly(WHAT, bytes)?;
        let [name @ .., high, low] = layout.magic;
        if !MAGIC.starts_with(&name) {
            return Err(WireError::NotThisFormat { what: WHAT });
        }
        if layout.magic != MAGIC {
            let version = u16::from_be_bytes([high, low]);
            return Err(WireError::OtherVersion {
                what: WHAT,
                version,
            });
        }
        let (stored, computed) = (layout.crc.get(), layout.checksum());
        if stored != computed {
            return Err(WireError::BadChecksum {
                what: WHAT,
                stored,
                computed,
            });
        }
        let refusal = match layout.refusal.get() {
            0 => None,
            number => Some(Code::from_number(number)?),
        };
        Ok(Self {
            protocol_min: layout.protocol_min.get(),
            protocol_max: layout.protocol_max.get(),
            kind: HelloKind::from_number(layout.kind)?,
            refusal,
            cluster: ClusterId::new(layout.cluster),
            sender: Incarnation::new(layout.sender),
            receiver: Incarnation::new(layout.receiver),
            life: ProcessLife::new(layout.life.get()),
            from_shard: ShardId::new(layout.from_shard.get()),
            to_shard: ShardId::new(layout.to_shard.get()),
            shard_count: layout.shard_count.get(),
            frame_bytes_max: layout.frame_bytes_max.get(),
        })
    }

    /// The protocol that both sides speak, if there is one: the newest in common.
    #[must_use]
    pub fn common_version(&self) -> Option<u16> {
        let newest = self.protocol_max.min(PROTOCOL_MAX);
        (newest >= self.protocol_min.max(PROTOCOL_MIN)).then_some(newest)
    }

    /// The answer to this hello by `answerer`, whose own fields it takes; `refusal` ends the connection.
    #[must_use]
    pub const fn answer(&self, answerer: Self, refusal: Option<Code>) -> Self {
        Self {
            kind: self.kind,
            receiver: self.sender,
            refusal,
            ..answerer
        }
    }
}

/// [`FRAME_BYTES_MAX`] in the width of the field.
#[expect(
    clippy::cast_possible_truncation,
    reason = "frame.rs asserts that it fits"
)]
const FRAME_BYTES_U32: u32 = FRAME_BYTES_MAX as u32;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn hello() -> Hello {
        Hello {
            protocol_min: 1,
            protocol_max: 2,
            kind: HelloKind::Peer,
            refusal: Some(Code::OtherCluster),
            cluster: ClusterId::new([0xc1; 16]),
            sender: Incarnation::new([0x5e; 16]),
            receiver: Incarnation::new([0x4e; 16]),
            life: ProcessLife::new(0x0807_0605_0403_0201),
            from_shard: ShardId::new(3),
            to_shard: ShardId::ANY,
            shard_count: 4,
            frame_bytes_max: 0x0010_1000,
        }
    }

    #[test]
    fn the_layout_is_the_one_drawn_above() {
        let bytes = hello().encode();
        assert_eq!(&bytes[..8], b"MARGAY\0\x01");
        assert_eq!(&bytes[8..16], &[1, 0, 2, 0, 2, 0, 0x91, 0x01]);
        assert_eq!(&bytes[16..32], &[0xc1; 16]);
        assert_eq!(&bytes[32..48], &[0x5e; 16]);
        assert_eq!(&bytes[48..64], &[0x4e; 16]);
        assert_eq!(&bytes[64..72], &[1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(&bytes[72..80], &[3, 0, 0xff, 0xff, 4, 0, 0, 0]);
        assert_eq!(&bytes[80..92], &[0, 0x10, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(Hello::decode(&bytes), Ok(hello()));
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let good = hello().encode();
        for bit in 0..HELLO_BYTES * 8 {
            let mut bytes = good;
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(Hello::decode(&bytes).is_err(), "bit {bit} went unnoticed");
        }
    }

    #[test]
    fn the_newest_version_in_common_is_taken() {
        assert_eq!(hello().common_version(), Some(1));
        assert_eq!(
            Hello {
                protocol_min: 2,
                ..hello()
            }
            .common_version(),
            None
        );
    }

    /// What a later version changes is unknown, its checksum too; that it is one of ours is not.
    #[test]
    fn another_version_of_the_hello_is_told_from_what_is_not_ours() {
        let mut bytes = hello().encode();
        bytes[6..8].copy_from_slice(&[1, 2]);
        let other = WireError::OtherVersion {
            what: WHAT,
            version: 0x0102,
        };
        assert_eq!(Hello::decode(&bytes), Err(other));
        bytes[5] = b'y';
        let stranger = WireError::NotThisFormat { what: WHAT };
        assert_eq!(Hello::decode(&bytes), Err(stranger));
    }

    #[test]
    fn an_answer_speaks_for_the_answerer_to_the_asker() {
        let answerer = Hello {
            sender: Incarnation::new([9; 16]),
            ..hello()
        };
        let answer = hello().answer(answerer, None);
        assert_eq!(answer.receiver, hello().sender);
        assert_eq!(answer.sender, Incarnation::new([9; 16]));
        assert_eq!(answer.refusal, None);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in any::<[u8; 32]>()) {
            let mut hello = hello().encode();
            hello[8..40].copy_from_slice(&bytes);
            let _ = Hello::decode(&hello);
        }
    }
}
