//! The genesis: what a cluster was formed from. The same bytes are the same cluster.
//!
//! ```text
//!   0       8         10      12      14     16
//!   │ magic │ version │ nodes │ name  │ zero │ name ... │ per node, by incarnation:
//!                              bytes         incarnation 16 │ address bytes u16 │ shards u16 │ address ...
//! ```
//!
//! The nodes stand in ascending order of their incarnations, never in the order typed, so every coordinator that
//! bootstraps the same list makes the same bytes. Node ids and replica numbers of group 0 count them from 1 in that
//! order; that is the initial configuration, and needs no bytes of its own.
//!
//! The cluster id is the 128-bit XXH3 of the bytes, little endian: attempts with the same list are the same attempt.

use crate::error::WireError;
use crate::layout;
use margay_types::{ClusterId, Incarnation, NodeId, ReplicaNumber};
use xxhash_rust::xxh3::xxh3_128;
use zerocopy::little_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Most nodes of a new cluster: all of them vote in group 0.
pub const NODES_MAX: usize = 7;

/// Longest name of a cluster or a keyspace.
pub const NAME_BYTES_MAX: usize = 64;

/// Most shards of a node.
pub const SHARDS_MAX: u16 = 256;

/// Longest `host:port`: a host name has at most 253 bytes.
pub const ADDRESS_BYTES_MAX: usize = 260;

const WHAT: &str = "genesis";
const MAGIC: [u8; 8] = *b"MGGENES\0";
const VERSION: u16 = 2;

/// One node of the first configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GenesisNode {
    /// Its data directory.
    pub incarnation: Incarnation,
    /// `host:port`, as the cluster calls it.
    pub address: String,
    /// Shards that its data directory was made for; where its groups lie follows from it.
    pub shards: u16,
}

/// A member of group 0's initial configuration; every one votes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GenesisMember<'a> {
    /// The node's id.
    pub node: NodeId,
    /// The number of its replica of group 0.
    pub replica: ReplicaNumber,
    /// Its data directory and address.
    pub genesis: &'a GenesisNode,
}

/// Name and nodes of a cluster at its formation, in canonical order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Genesis {
    name: String,
    nodes: Vec<GenesisNode>,
}

/// What stands before the nodes.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct Head {
    magic: [u8; 8],
    version: U16,
    node_count: U16,
    name_bytes: U16,
    zero: U16,
}

/// What stands before a node's address.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct NodeHead {
    incarnation: [u8; 16],
    address_bytes: U16,
    shards: U16,
}

impl Genesis {
    /// Brings the nodes into canonical order.
    ///
    /// # Errors
    /// When there are none or too many, an incarnation stands twice or is zero, or a name or an address is empty,
    /// too long, or has characters that it must not have.
    pub fn new(name: String, mut nodes: Vec<GenesisNode>) -> Result<Self, WireError> {
        nodes.sort_by_key(|node| node.incarnation);
        let genesis = Self { name, nodes };
        genesis.check()?;
        Ok(genesis)
    }

    /// The cluster's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The nodes by incarnation.
    #[must_use]
    pub fn nodes(&self) -> &[GenesisNode] {
        &self.nodes
    }

    /// The initial configuration of group 0: ids and numbers from 1, in the order of the incarnations.
    pub fn members(&self) -> impl Iterator<Item = GenesisMember<'_>> {
        (1_u16..)
            .zip(&self.nodes)
            .map(|(number, genesis)| GenesisMember {
                node: NodeId::new(number),
                replica: ReplicaNumber::new(number),
                genesis,
            })
    }

    /// The member with this data directory, if it is one.
    #[must_use]
    pub fn member(&self, incarnation: Incarnation) -> Option<GenesisMember<'_>> {
        self.members()
            .find(|member| member.genesis.incarnation == incarnation)
    }

    /// The cluster's id.
    #[must_use]
    pub fn cluster_id(&self) -> ClusterId {
        ClusterId::new(xxh3_128(&self.encode()).to_le_bytes())
    }

    /// The canonical bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let head = Head {
            magic: MAGIC,
            version: U16::new(VERSION),
            node_count: length(self.nodes.len()),
            name_bytes: length(self.name.len()),
            zero: U16::ZERO,
        };
        let mut bytes = head.as_bytes().to_vec();
        bytes.extend_from_slice(self.name.as_bytes());
        for node in &self.nodes {
            let head = NodeHead {
                incarnation: node.incarnation.bytes(),
                address_bytes: length(node.address.len()),
                shards: U16::new(node.shards),
            };
            bytes.extend_from_slice(head.as_bytes());
            bytes.extend_from_slice(node.address.as_bytes());
        }
        bytes
    }

    /// Reads canonical bytes; anything that `encode` would not write is refused.
    ///
    /// # Errors
    /// When the bytes are of another format or version, not canonical, or break a limit.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let (head, rest) = layout::take::<Head>(WHAT, bytes)?;
        if head.magic != MAGIC {
            return Err(WireError::NotThisFormat { what: WHAT });
        }
        if head.version.get() != VERSION {
            let number = u64::from(head.version.get());
            return Err(WireError::BadNumber {
                what: "genesis version",
                number,
            });
        }
        layout::zeros(WHAT, head.zero.as_bytes())?;
        let (name, mut rest) = text("genesis name", rest, head.name_bytes)?;
        let mut nodes = Vec::new();
        for _ in 0..head.node_count.get() {
            let (node, behind) = layout::take::<NodeHead>("genesis node", rest)?;
            let (address, behind) = text("genesis address", behind, node.address_bytes)?;
            nodes.push(GenesisNode {
                incarnation: Incarnation::new(node.incarnation),
                address,
                shards: node.shards.get(),
            });
            rest = behind;
        }
        layout::end(WHAT, rest)?;
        let genesis = Self { name, nodes };
        genesis.check()?;
        Ok(genesis)
    }

    fn check(&self) -> Result<(), WireError> {
        check_name("cluster name", &self.name)?;
        let count = self.nodes.len();
        if count > NODES_MAX {
            return Err(WireError::TooLong {
                what: "genesis nodes",
                have: count,
                max: NODES_MAX,
            });
        }
        let Some(first) = self.nodes.first() else {
            return Err(WireError::Short {
                what: "genesis nodes",
                need: 1,
                have: 0,
            });
        };
        if first.incarnation.is_zero() {
            return Err(WireError::BadNumber {
                what: "genesis incarnation",
                number: 0,
            });
        }
        if !self
            .nodes
            .is_sorted_by(|one, next| one.incarnation < next.incarnation)
        {
            return Err(WireError::NotSorted {
                what: "genesis incarnations",
            });
        }
        for node in &self.nodes {
            check_address("genesis address", &node.address)?;
            if node.shards == 0 || node.shards > SHARDS_MAX {
                return Err(WireError::BadNumber {
                    what: "genesis shards",
                    number: u64::from(node.shards),
                });
            }
        }
        Ok(())
    }
}

/// Demands that a name has 1 to [`NAME_BYTES_MAX`] of `a-z A-Z 0-9 . _ -`.
///
/// # Errors
/// When it has not.
pub fn check_name(what: &'static str, name: &str) -> Result<(), WireError> {
    let is_legal = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    check_text(what, name, NAME_BYTES_MAX, is_legal)
}

/// Demands that an address has 1 to [`ADDRESS_BYTES_MAX`] visible ASCII characters; what they mean is for whoever
/// connects.
///
/// # Errors
/// When it has not.
pub fn check_address(what: &'static str, address: &str) -> Result<(), WireError> {
    check_text(what, address, ADDRESS_BYTES_MAX, |byte| {
        byte.is_ascii_graphic()
    })
}

fn check_text(
    what: &'static str,
    text: &str,
    max: usize,
    is_legal: impl Fn(u8) -> bool,
) -> Result<(), WireError> {
    if text.len() > max {
        return Err(WireError::TooLong {
            what,
            have: text.len(),
            max,
        });
    }
    if text.is_empty() || !text.bytes().all(is_legal) {
        return Err(WireError::BadText { what });
    }
    Ok(())
}

fn text<'a>(
    what: &'static str,
    bytes: &'a [u8],
    length: U16,
) -> Result<(String, &'a [u8]), WireError> {
    let need = usize::from(length.get());
    let (text, behind) = bytes.split_at_checked(need).ok_or(WireError::Short {
        what,
        need,
        have: bytes.len(),
    })?;
    let text = core::str::from_utf8(text).map_err(|_| WireError::BadText { what })?;
    Ok((text.to_owned(), behind))
}

fn length(bytes: usize) -> U16 {
    U16::new(u16::try_from(bytes).expect("`check` bounds every length far below 65,536"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn node(byte: u8, address: &str) -> GenesisNode {
        GenesisNode {
            incarnation: Incarnation::new([byte; 16]),
            address: address.to_owned(),
            shards: u16::from(byte),
        }
    }

    fn genesis() -> Genesis {
        let nodes = vec![node(9, "c:7400"), node(1, "a:7400"), node(5, "b:7400")];
        Genesis::new("prod".to_owned(), nodes).expect("a legal genesis")
    }

    #[test]
    fn the_order_typed_does_not_matter() {
        let nodes = vec![node(5, "b:7400"), node(1, "a:7400"), node(9, "c:7400")];
        let other = Genesis::new("prod".to_owned(), nodes).expect("a legal genesis");
        assert_eq!(other.cluster_id(), genesis().cluster_id());
        let ids: Vec<_> = other
            .members()
            .map(|m| (m.node.number(), m.genesis.address.as_str()))
            .collect();
        assert_eq!(ids, [(1, "a:7400"), (2, "b:7400"), (3, "c:7400")]);
        assert_eq!(
            other
                .member(Incarnation::new([5; 16]))
                .map(|m| m.replica.number()),
            Some(2)
        );
    }

    #[test]
    fn another_address_or_name_is_another_cluster() {
        let nodes = vec![node(9, "c:7400"), node(1, "a:7400"), node(5, "b:7401")];
        let other = Genesis::new("prod".to_owned(), nodes).expect("a legal genesis");
        assert_ne!(other.cluster_id(), genesis().cluster_id());
    }

    /// Data directories in the field are named by this hash: it must never change.
    #[test]
    fn the_bytes_and_their_hash_stay_what_they_are() {
        let genesis = Genesis::new("one".to_owned(), vec![node(1, "a:1")]).expect("legal");
        let mut bytes = b"MGGENES\0\x02\0\x01\0\x03\0\0\0one".to_vec();
        bytes.extend_from_slice(&[1; 16]);
        bytes.extend_from_slice(b"\x03\0\x01\0a:1");
        assert_eq!(genesis.encode(), bytes);
        assert_eq!(
            u128::from_le_bytes(genesis.cluster_id().bytes()),
            0x695b_b6ad_19bf_b630_3eab_e7af_886b_6931
        );
        assert_eq!(Genesis::decode(&bytes), Ok(genesis));
    }

    #[test]
    fn what_is_not_canonical_is_refused() {
        let twice = vec![node(1, "a:1"), node(1, "b:1")];
        assert!(Genesis::new("x".to_owned(), twice).is_err());
        assert!(Genesis::new("x".to_owned(), vec![]).is_err());
        assert!(Genesis::new("x".to_owned(), vec![node(0, "a:1")]).is_err());
        assert!(Genesis::new("a b".to_owned(), vec![node(1, "a:1")]).is_err());
        assert!(Genesis::new("x".to_owned(), vec![node(1, "")]).is_err());
        let many = (1..=8).map(|byte| node(byte, "a:1")).collect();
        assert!(Genesis::new("x".to_owned(), many).is_err());
        let mut longer = genesis().encode();
        longer.push(0);
        assert!(Genesis::decode(&longer).is_err());
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic_and_what_decodes_is_canonical(
            keep in 0_usize..100,
            tail in proptest::collection::vec(any::<u8>(), 0..60),
        ) {
            let mut bytes = genesis().encode();
            bytes.truncate(keep);
            bytes.extend(tail);
            if let Ok(genesis) = Genesis::decode(&bytes) {
                prop_assert_eq!(genesis.encode(), bytes);
            }
        }
    }
}
