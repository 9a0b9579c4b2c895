//! The manifest of a node: who it is, and which logs it has.
//!
//! ```text
//!   0 cluster id, 16 bytes                   16 node incarnation, 16 bytes
//!  32 process life u64                       40 placement epoch u64
//!  48 greatest election timeout ever reported, in ticks, u32    52 node id u16   54 shard count u16
//!  56 index of group 0 up to which creations are done, u64
//!  64 log count u16   66 nodes at formation u16   68 name length u32   72 name of the cluster, 64 bytes
//! 136 logs, 16 bytes each: id u32 · zero u32 · placement epoch u64
//! ```
//!
//! It is written at format, bootstrap, start, placement and after creations. A node that is part of no cluster
//! yet has zeros for cluster and node id. The genesis itself stands in the first log, as the `created` record of
//! group 0; the cluster id is its hash.

use super::manifest::{MANIFEST_HEADER_BYTES, ManifestError};
use crate::limits;
use margay_types::{ClusterId, Incarnation, Index, NodeId, ProcessLife, Ticks};
use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Version of the layout.
pub const FORMAT: u16 = 1;
/// Size of a copy.
pub const FILE_BYTES: usize =
    (MANIFEST_HEADER_BYTES + size_of::<HeaderLayout>() + limits::LOGS_MAX * LOG_BYTES)
        .next_multiple_of(limits::WRITE_UNIT_BYTES);

const LOG_BYTES: usize = 16;
const _: () = assert!(size_of::<LogLayout>() == LOG_BYTES);
const _: () = assert!(size_of::<HeaderLayout>() == 136);

/// A log that the node has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogEntry {
    /// Its id, never used again on this node; names its folder.
    pub id: u32,
    /// The placement that it was made for. Logs of earlier ones are read only.
    pub placement_epoch: u64,
}

/// What the manifest of a node says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeManifest {
    /// The cluster that it is part of; zero before.
    pub cluster: ClusterId,
    /// What that is called; empty before.
    pub cluster_name: String,
    /// Drawn when the data directory was formatted.
    pub incarnation: Incarnation,
    /// Its number in the cluster; 0 before.
    pub node: NodeId,
    /// Drawn at the start of the process that wrote this.
    pub process_life: ProcessLife,
    /// Counts changes of the shard count.
    pub placement_epoch: u64,
    /// Shards that the groups are spread over.
    pub shard_count: u16,
    /// The greatest election timeout that this node ever reported to others: it may be honoured still.
    pub honoured_election: Ticks,
    /// Creations of group 0 at or below it are done: they create nothing, ever.
    pub created_up_to: Index,
    /// Nodes that the cluster was formed of; 0 before. One means that nobody has a copy of what is lost here.
    pub founders: u16,
    /// All logs, by id.
    pub logs: Vec<LogEntry>,
}

/// The bytes, as drawn above.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct HeaderLayout {
    cluster: [u8; 16],
    incarnation: [u8; 16],
    process_life: U64,
    placement_epoch: U64,
    honoured_election: U32,
    node: U16,
    shard_count: U16,
    created_up_to: U64,
    logs: U16,
    founders: U16,
    name_length: U32,
    name: [u8; limits::CLUSTER_NAME_BYTES_MAX],
}

/// The bytes, as drawn above.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct LogLayout {
    id: U32,
    zero: U32,
    placement_epoch: U64,
}

impl NodeManifest {
    /// What formatting a data directory writes: nothing but who the node is.
    #[must_use]
    pub const fn blank(incarnation: Incarnation) -> Self {
        Self {
            cluster: ClusterId::ZERO,
            cluster_name: String::new(),
            incarnation,
            node: NodeId::new(0),
            process_life: ProcessLife::new(0),
            placement_epoch: 0,
            shard_count: 0,
            honoured_election: Ticks::new(0),
            created_up_to: Index::ZERO,
            founders: 0,
            logs: Vec::new(),
        }
    }

    /// The body of its copies.
    ///
    /// # Panics
    /// If there are more logs, or the name is longer, than the files have room for.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        assert!(
            self.logs.len() <= limits::LOGS_MAX,
            "more logs than a manifest holds"
        );
        let length = self.cluster_name.len();
        assert!(
            length <= limits::CLUSTER_NAME_BYTES_MAX,
            "a name of {length} bytes is too long"
        );
        let mut name = [0; limits::CLUSTER_NAME_BYTES_MAX];
        name[..length].copy_from_slice(self.cluster_name.as_bytes());
        let header = HeaderLayout {
            cluster: self.cluster.bytes(),
            incarnation: self.incarnation.bytes(),
            process_life: U64::new(self.process_life.number()),
            placement_epoch: U64::new(self.placement_epoch),
            honoured_election: U32::new(self.honoured_election.number()),
            node: U16::new(self.node.number()),
            shard_count: U16::new(self.shard_count),
            created_up_to: U64::new(self.created_up_to.number()),
            logs: U16::new(u16::try_from(self.logs.len()).expect("at most LOGS_MAX")),
            founders: U16::new(self.founders),
            name_length: U32::new(u32::try_from(length).expect("at most 64")),
            name,
        };
        let mut bytes = header.as_bytes().to_vec();
        for log in &self.logs {
            let log = LogLayout {
                id: U32::new(log.id),
                zero: U32::ZERO,
                placement_epoch: U64::new(log.placement_epoch),
            };
            bytes.extend_from_slice(log.as_bytes());
        }
        bytes
    }

    /// What a copy's body says.
    ///
    /// # Errors
    /// If it is not the body of a node's manifest.
    pub fn parse(body: &[u8]) -> Result<Self, ManifestError> {
        Self::try_parse(body).ok_or(ManifestError::Body)
    }

    fn try_parse(body: &[u8]) -> Option<Self> {
        let (header, logs) = HeaderLayout::ref_from_prefix(body).ok()?;
        let count = usize::from(header.logs.get());
        if count > limits::LOGS_MAX || logs.len() != count * LOG_BYTES {
            return None;
        }
        let name = header
            .name
            .get(..usize::try_from(header.name_length.get()).ok()?)?;
        let logs = logs.chunks_exact(LOG_BYTES).map(|log| {
            let log = LogLayout::ref_from_bytes(log).ok()?;
            Some(LogEntry {
                id: log.id.get(),
                placement_epoch: log.placement_epoch.get(),
            })
        });
        let logs = logs.collect::<Option<Vec<_>>>()?;
        logs.is_sorted_by(|a, b| a.id < b.id).then_some(())?;
        Some(Self {
            cluster: ClusterId::new(header.cluster),
            cluster_name: std::str::from_utf8(name).ok()?.to_owned(),
            incarnation: Incarnation::new(header.incarnation),
            node: NodeId::new(header.node.get()),
            process_life: ProcessLife::new(header.process_life.get()),
            placement_epoch: header.placement_epoch.get(),
            shard_count: header.shard_count.get(),
            honoured_election: Ticks::new(header.honoured_election.get()),
            created_up_to: Index::new(header.created_up_to.get()),
            founders: header.founders.get(),
            logs,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> NodeManifest {
        NodeManifest {
            cluster: ClusterId::new([0xC1; 16]),
            cluster_name: "prod".to_owned(),
            incarnation: Incarnation::new([0x1C; 16]),
            node: NodeId::new(2),
            process_life: ProcessLife::new(3),
            placement_epoch: 4,
            shard_count: 5,
            honoured_election: Ticks::new(30),
            created_up_to: Index::new(6),
            founders: 9,
            logs: vec![LogEntry {
                id: 7,
                placement_epoch: 8,
            }],
        }
    }

    #[test]
    fn the_bytes_of_a_node_manifest_stay_as_they_were_first_written() {
        let mut golden = vec![0xC1; 16];
        golden.extend([0x1C; 16]);
        golden.extend([
            3, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 30, 0, 0, 0, 2, 0, 5, 0,
        ]);
        golden.extend([6, 0, 0, 0, 0, 0, 0, 0, 1, 0, 9, 0, 4, 0, 0, 0]);
        golden.extend(b"prod");
        golden.extend([0; 60]);
        golden.extend([7, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(manifest().encode(), golden);
        assert_eq!(FILE_BYTES, 8192);
    }

    #[test]
    fn what_is_encoded_reads_back_and_cuts_are_refused() {
        let bytes = manifest().encode();
        assert_eq!(NodeManifest::parse(&bytes), Ok(manifest()));
        for length in 0..bytes.len() {
            assert_eq!(
                NodeManifest::parse(&bytes[..length]),
                Err(ManifestError::Body)
            );
        }
    }

    #[test]
    fn a_name_that_leads_out_of_its_field_is_refused() {
        let mut bytes = manifest().encode();
        bytes[68] = 65;
        assert_eq!(NodeManifest::parse(&bytes), Err(ManifestError::Body));
    }
}
