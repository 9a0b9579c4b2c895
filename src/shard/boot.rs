//! From a data directory to what a shard starts with: manifest, log, replicas.
//!
//! ```text
//!   node manifest ──> first start? make the log ──> this process's life ──> recover ──> read checkpoints
//! ```
//!
//! Nothing is promised before the log's restart batch is durable, and that is the end of `recover`.

use crate::shard::restore::{Found, RestoreError};
use crate::shard::shard::Restored;
use crate::storage::log_manifest::LOG_DIRECTORY_PREFIX;
use crate::storage::manifest::{ManifestFiles, ManifestKind};
use crate::storage::node_manifest::{LogEntry, NodeManifest};
use crate::storage::recovery::{self, Peers, RecoveryError, RecoveryOptions};
use crate::storage::{Disk, LogOptions, StorageError, format_log};
use margay_types::ProcessLife;
use std::path::{Path, PathBuf};

/// The log of the one shard that a node has at this stage.
const LOG_ID: u32 = 0;

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
}

/// Opens a formatted data directory for a new life of the process.
///
/// # Errors
/// See [`BootError`]; what was durable stays as it is.
pub async fn boot<D: Disk>(
    disk: &D,
    data: &Path,
    life: ProcessLife,
    options: LogOptions,
) -> Result<Restored<D>, BootError> {
    let (mut manifest_files, body) =
        ManifestFiles::open(disk.clone(), data, ManifestKind::Node).await?;
    let mut manifest = NodeManifest::parse(&body).map_err(|cause| StorageError::Manifest {
        directory: data.to_owned(),
        cause,
    })?;
    let directory = log_directory(data);
    if manifest.logs.is_empty() {
        make_log(disk, &directory, &options).await?;
        manifest.logs = vec![LogEntry {
            id: LOG_ID,
            placement_epoch: manifest.placement_epoch,
        }];
        manifest.shard_count = 1;
    }
    manifest.process_life = life;
    manifest_files.replace(manifest.encode()).await?;
    let recovery = RecoveryOptions {
        log: options,
        process_life: life,
        peers: if manifest.founders == 1 {
            Peers::None
        } else {
            Peers::Some
        },
    };
    let recovered = recovery::recover(disk.clone(), &directory, &recovery).await?;
    let found = Found::read(&recovered.log, recovered.groups).await?;
    Ok(Restored {
        log: recovered.log,
        found,
        manifest,
        manifest_files,
    })
}

fn log_directory(data: &Path) -> PathBuf {
    data.join(format!("{LOG_DIRECTORY_PREFIX}{LOG_ID}"))
}

/// Makes the log. The manifest does not list it yet, so what an interrupted start left there is nothing.
async fn make_log<D: Disk>(
    disk: &D,
    directory: &Path,
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
    format_log(disk, directory, LOG_ID, options).await
}
