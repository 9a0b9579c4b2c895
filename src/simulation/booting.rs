//! What a simulated node does before it serves: its disk is formatted, and its shards are recovered.

use crate::disk::VirtualDisk;
use margay::shard::{BootError, BootPlace, Restored, boot, prepare};
use margay::storage::manifest::{ManifestCopy, ManifestKind};
use margay::storage::node_manifest::NodeManifest;
use margay::storage::{Block, Disk, LogOptions, OpenMode};
use margay_types::{Incarnation, ProcessLife, ShardId};
use std::io;
use std::path::{Path, PathBuf};

/// The folder of a node's data.
fn data() -> PathBuf {
    PathBuf::from("data")
}

/// Prepares the node, and recovers the log of each shard.
pub(crate) async fn boot_all(
    disk: &VirtualDisk,
    who: (ProcessLife, u16),
    options: LogOptions,
) -> Result<Vec<Restored<VirtualDisk>>, BootError> {
    let data = data();
    let node = prepare(disk, &data, who, options).await?;
    let (manifest, mut files) = (node.manifest, Some(node.files));
    let mut restored = Vec::new();
    for shard in (0..who.1).map(ShardId::new) {
        let place = BootPlace { data: &data, shard };
        let disk = disk.of_shard(shard);
        let manifest = (manifest.clone(), files.take());
        restored.push(boot(&disk, place, manifest, options).await?);
    }
    Ok(restored)
}

/// Writes what formatting a data directory leaves: both copies of a blank node's manifest.
///
/// # Errors
/// What the disk fails with.
pub async fn write_blank(disk: VirtualDisk, incarnation: Incarnation) -> io::Result<()> {
    let copy = ManifestCopy {
        counter: 1,
        body: NodeManifest::blank(incarnation).encode(),
    };
    let bytes = copy.encode(ManifestKind::Node);
    disk.create_directory(&data()).await?;
    for name in ["manifest.a", "manifest.b"] {
        let file = disk.open(&data().join(name), OpenMode::New).await?;
        disk.allocate(&file, bytes.len() as u64).await?;
        disk.write(&file, 0, Block::holding(&bytes).whole()).await?;
        disk.sync(&file).await?;
    }
    disk.sync_directory(&data()).await?;
    disk.sync_directory(Path::new("")).await
}
