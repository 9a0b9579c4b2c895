//! Recovery: from the bytes of a crashed log to what every group may do.
//!
//! ```text
//!   manifest ──> live segments ──read──> bytes ──scan──> batches with good headers, dead and alive
//!                                                             │ chain: which of them are the log
//!                                                             v
//!   groups <──verdict── merged groups <──merge── facts <──── batches of the log, torn tail cut, damage named
//!                                                             │ restart
//!                                                             v
//!                        kept segments synced · manifest · restart batch durable ──> Log
//! ```
//!
//! Everything between reading and restarting is a pure function of the bytes, so neither the order of scanning nor
//! an interrupted recovery before this one can change what comes out.
//!
//! Whoever only looks at the files takes the reading half: `findings` for the groups, `outline` and `window` for one
//! batch after the other, `flaws` and `streams` for what is damaged and where.
//!
//! One node alone decides what is certain without its peers: a group that lost anything that it may have promised is
//! named and does not serve, and nothing of it is freed; all others do.

pub(crate) mod chain;
pub(crate) mod findings;
pub(crate) mod flaws;
pub(crate) mod gather;
pub(crate) mod group;
pub(crate) mod merge;
pub(crate) mod outline;
pub(crate) mod read;
pub(crate) mod restart;
pub(crate) mod runs;
pub(crate) mod scan;
pub(crate) mod streams;
pub(crate) mod verdict;
pub(crate) mod window;

pub use merge::{EntryFacts, FoundCheckpoint, Origin, Place};
pub use verdict::{Damage, GroupStatus, RecoveredGroup, TermRun};

use super::disk::Disk;
use super::error::StorageError;
use super::log::Log;
use super::log_manifest::LogManifest;
use super::manifest::{ManifestFiles, ManifestKind};
use super::options::LogOptions;
use super::resume::{Resume, ResumedGroup};
use findings::{Findings, find};
use margay_types::{GroupId, ProcessLife};
use restart::{LogFiles, Restarted};
use std::path::{Path, PathBuf};

/// Can what is damaged here be asked for elsewhere?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peers {
    /// Other members have copies.
    Some,
    /// A cluster of one: whatever is lost here is lost.
    None,
}

/// What recovery must be told.
#[derive(Clone, Copy, Debug)]
pub struct RecoveryOptions {
    /// Settings of the log that comes out.
    pub log: LogOptions,
    /// Drawn at the start of this process.
    pub process_life: ProcessLife,
    /// Are there others to ask?
    pub peers: Peers,
}

/// Why a log was not recovered. Nothing was changed that another start would not change alike.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RecoveryError {
    /// The disk, a manifest or a format stands against it.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A cluster of one lost what was acknowledged, and nobody has a copy. The operator decides.
    #[error("{} of a cluster without other copies: {}", directory.display(), named(groups))]
    AloneAndDamaged {
        /// The log.
        directory: PathBuf,
        /// The groups that lost something, and what.
        groups: Vec<(GroupId, GroupStatus)>,
    },
    /// The last batch fills its segment, no spare is left to say that a new life began, and the disk has no room for
    /// one. Make room, and start again.
    #[error("no spare segment is left in {}, and there is no room for one", directory.display())]
    NoSpare {
        /// The log.
        directory: PathBuf,
    },
}

fn named(groups: &[(GroupId, GroupStatus)]) -> String {
    let names = groups.iter().filter_map(|(group, status)| match status {
        GroupStatus::Serves => None,
        GroupStatus::Damaged { range, reason } => Some(format!(
            "group {group} [{}, {}]: {reason}",
            range.start(),
            range.end()
        )),
    });
    names.collect::<Vec<_>>().join("; ")
}

/// What was found on the way, for the operator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecoveryReport {
    /// Batches that are part of the log.
    pub batch_count: usize,
    /// Batches of the last life that were not acknowledged and are gone.
    pub cut_count: usize,
    /// Batches with damage.
    pub damaged_count: usize,
    /// Batches of which something was lost that nobody can name. A replica that should live here and is not found may
    /// have been born in one of them: it is lost, and must not be made again.
    pub unnamed_count: usize,
    /// Sequence of the restart batch.
    pub restart_sequence: u64,
    /// Epoch of this life.
    pub recovery_epoch: u64,
}

/// A log that goes on, and what its groups may do.
#[derive(Debug)]
pub struct Recovered<D: Disk> {
    /// Takes writes and reads from here on.
    pub log: Log<D>,
    /// Every replica that lives in this log, by group.
    pub groups: Vec<RecoveredGroup>,
    /// What was found on the way.
    pub report: RecoveryReport,
}

/// Recovers the log in `directory` and starts a new life of it. When this returns, the restart batch is durable: only
/// now may anyone promise anything.
///
/// # Errors
/// If the manifest is lost, the disk fails, or a cluster of one lost what it acknowledged.
pub async fn recover<D: Disk>(
    disk: D,
    directory: &Path,
    options: &RecoveryOptions,
) -> Result<Recovered<D>, RecoveryError> {
    let (files, body) = ManifestFiles::open(disk.clone(), directory, ManifestKind::Log).await?;
    let manifest = LogManifest::parse(&body).map_err(|cause| StorageError::Manifest {
        directory: directory.to_owned(),
        cause,
    })?;
    let Findings {
        live,
        chain,
        unnamed,
        damaged_count,
        groups,
    } = find(&disk, directory, &manifest).await?;
    refuse_alone(directory, &groups, options.peers)?;
    let mut files = LogFiles {
        disk,
        directory: directory.to_owned(),
        files,
        manifest,
    };
    let restarted = files.restart(&chain, &live, options).await?;
    let report = RecoveryReport {
        batch_count: chain.links.len(),
        cut_count: chain.cut.len(),
        damaged_count,
        unnamed_count: unnamed.len(),
        restart_sequence: restarted.batch.item.sequence,
        recovery_epoch: restarted.recovery_epoch,
    };
    let disk = files.disk.clone();
    let resume = resume(files, restarted, &groups).await?;
    Ok(Recovered {
        log: Log::resume(disk, options.log, resume),
        groups,
        report,
    })
}

fn refuse_alone(
    directory: &Path,
    groups: &[RecoveredGroup],
    peers: Peers,
) -> Result<(), RecoveryError> {
    let damaged = groups
        .iter()
        .filter(|group| group.status != GroupStatus::Serves);
    let damaged: Vec<(GroupId, GroupStatus)> = damaged
        .map(|group| (group.group, group.status.clone()))
        .collect();
    match peers {
        Peers::None if !damaged.is_empty() => Err(RecoveryError::AloneAndDamaged {
            directory: directory.to_owned(),
            groups: damaged,
        }),
        Peers::None | Peers::Some => Ok(()),
    }
}

async fn resume<D: Disk>(
    files: LogFiles<D>,
    restarted: Restarted,
    groups: &[RecoveredGroup],
) -> Result<Resume<D>, StorageError> {
    // What a damaged group needs is not known, so nothing is freed until it is repaired.
    let is_held = groups
        .iter()
        .any(|group| group.status != GroupStatus::Serves);
    let segments = restarted.roles.open_used(&files, is_held).await?;
    let spares = restarted.roles.open_spares(&files).await?;
    let resumed: Vec<ResumedGroup> = groups.iter().filter_map(group::resumed).collect();
    Ok(Resume {
        log_id: files.manifest.log_id,
        directory: files.directory,
        segment_bytes: files.manifest.segment_bytes,
        manifest: files.files,
        recovery_epoch: restarted.recovery_epoch,
        covered_sequence: restarted.batch.item.sequence - 1,
        restart: restarted.batch.item,
        segments,
        held: restarted.roles.held,
        spares,
        groups: resumed,
    })
}
