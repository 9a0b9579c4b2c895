//! From a data directory to what its shards start with: manifest, logs, replicas.
//!
//! ```text
//!   prepare, once     node manifest ──> first start? make the logs ──> this process's life
//!   boot, per shard                                                      └──> recover ──> read checkpoints
//! ```
//!
//! Nothing is promised before the restart batch of a log is durable, and that is the end of `recover`.

use crate::shard::restore::{Found, RestoreError};
use crate::shard::shard::Restored;
use crate::storage::log_manifest::LOG_DIRECTORY_PREFIX;
use crate::storage::manifest::{ManifestFiles, ManifestKind};
use crate::storage::node_manifest::{LogEntry, NodeManifest};
use crate::storage::recovery::{self, Peers, RecoveryError, RecoveryOptions};
use crate::storage::{Disk, LogOptions, StorageError, format_log};
use margay_types::{ProcessLife, ShardId};
use std::path::{Path, PathBuf};

/// Why a data directory cannot be started from.
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    /// The disk, or a manifest.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The log cannot be recovered by this node alone.
    #[error(transparent)]
    Recovery(#[from] RecoveryError),
    /// A replica cannot be read.
    #[error(transparent)]
    Restore(#[from] RestoreError),
    /// The directory was made for another number of shards, and groups cannot be moved between logs yet.
    #[error("the data directory was made for {made_for} shards, and {wanted} are to run")]
    ShardCount {
        /// What it was made for.
        made_for: u16,
        /// What was asked for.
        wanted: u16,
    },
}

/// What all shards of a node are booted from.
pub struct Node<D: Disk> {
    /// The manifest, as it says now.
    pub manifest: NodeManifest,
    /// Its files: they are for shard 0.
    pub files: ManifestFiles<D>,
}

/// Which shard of which data directory is booted, and by which process.
#[derive(Clone, Copy, Debug)]
pub struct BootPlace<'a> {
    /// The data directory.
    pub data: &'a Path,
    /// The shard.
    pub shard: ShardId,
}

/// Opens a formatted data directory for a new life of the process. The first one makes a log for each shard.
///
/// # Errors
/// See [`BootError`]; what was durable stays as it is.
pub async fn prepare<D: Disk>(
    disk: &D,
    data: &Path,
    (life, shard_count): (ProcessLife, u16),
    options: LogOptions,
) -> Result<Node<D>, BootError> {
    let (mut files, body) = ManifestFiles::open(disk.clone(), data, ManifestKind::Node).await?;
    let mut manifest = NodeManifest::parse(&body).map_err(|cause| StorageError::Manifest {
        directory: data.to_owned(),
        cause,
    })?;
    if manifest.logs.is_empty() {
        for id in 0..u32::from(shard_count) {
            make_log(disk, &log_directory(data, id), id, &options).await?;
            manifest.logs.push(LogEntry {
                id,
                placement_epoch: manifest.placement_epoch,
            });
        }
        manifest.shard_count = shard_count;
    }
    if manifest.shard_count != shard_count {
        return Err(BootError::ShardCount {
            made_for: manifest.shard_count,
            wanted: shard_count,
        });
    }
    manifest.process_life = life;
    files.replace(manifest.encode()).await?;
    Ok(Node { manifest, files })
}

/// Recovers the log of one shard of a prepared node. Its manifest's files go to shard 0.
///
/// # Errors
/// See [`BootError`]; what was durable stays as it is.
pub async fn boot<D: Disk>(
    disk: &D,
    place: BootPlace<'_>,
    (manifest, files): (NodeManifest, Option<ManifestFiles<D>>),
    options: LogOptions,
) -> Result<Restored<D>, BootError> {
    let directory = log_directory(place.data, u32::from(place.shard.number()));
    let recovery = RecoveryOptions {
        log: options,
        process_life: manifest.process_life,
        peers: if manifest.founders == 1 {
            Peers::None
        } else {
            Peers::Some
        },
    };
    let recovered = recovery::recover(disk.clone(), &directory, &recovery).await?;
    let found = Found::read(&recovered.log, recovered.groups, recovery.peers).await?;
    Ok(Restored {
        log: recovered.log,
        found,
        manifest,
        manifest_files: files,
    })
}

/// Logs are called by their number; that of a shard has the shard's.
fn log_directory(data: &Path, id: u32) -> PathBuf {
    data.join(format!("{LOG_DIRECTORY_PREFIX}{id}"))
}

/// Makes the log. The manifest does not list it yet, so what an interrupted start left there is nothing.
async fn make_log<D: Disk>(
    disk: &D,
    directory: &Path,
    id: u32,
    options: &LogOptions,
) -> Result<(), StorageError> {
    let failed = |action, path: &Path, error| StorageError::io(action, path, error);
    disk.create_directory(directory)
        .await
        .map_err(|error| failed("create", directory, error))?;
    let left = disk
        .list(directory)
        .await
        .map_err(|error| failed("list", directory, error))?;
    for name in left {
        let path = directory.join(name);
        disk.remove(&path)
            .await
            .map_err(|error| failed("remove", &path, error))?;
    }
    format_log(disk, directory, id, options).await
}
