//! What the files of a log say, before anything is done about it.
//!
//! This is the reading half of recovery: a pure function of the bytes. Nothing is written here, so whoever only wants
//! to look comes to the same verdicts as a node that starts.

use super::super::disk::Disk;
use super::super::error::StorageError;
use super::super::log_manifest::LogManifest;
use super::chain::{self, Chain, LiveSegment, Look};
use super::gather::{self, Detail, Told};
use super::verdict::{self, RecoveredGroup};
use std::path::Path;

/// The log as it was found, and what its groups may do.
#[derive(Debug)]
pub(crate) struct Findings {
    /// The segments that the manifest lists, in its order.
    pub(crate) live: Vec<LiveSegment>,
    /// Which batches are the log.
    pub(crate) chain: Chain,
    /// Batches of which something was lost that nobody can name.
    pub(crate) unnamed: Vec<u64>,
    /// Batches with damage.
    pub(crate) damaged_count: usize,
    /// Every replica that lives in the log, by group.
    pub(crate) groups: Vec<RecoveredGroup>,
}

/// Reads and judges the log that `manifest` tells of.
///
/// # Errors
/// If a segment is of a newer format. What cannot be read is no error here: what is missing decides.
pub(crate) async fn find<D: Disk>(
    disk: &D,
    directory: &Path,
    manifest: &LogManifest,
) -> Result<Findings, StorageError> {
    let gathered = gather::gather(disk, directory, manifest, Detail::Records).await?;
    let chain = chain::follow(gathered.batches, &gathered.live, 1);
    let mut told = gather::tell(disk, directory, manifest, &chain).await?;
    let unnamed = all_unnamed(&mut told, &gathered.live, chain.tail.sequence);
    let merged = told.facts.merge().into_iter();
    let groups = merged
        .map(|(group, merged)| verdict::judge(group, merged, &unnamed))
        .collect();
    Ok(Findings {
        live: gathered.live,
        chain,
        unnamed,
        damaged_count: told.damaged_count,
        groups,
    })
}

/// Batches of which something was lost that nobody can name. A newest segment that is not there may have held what
/// followed the end that was found.
fn all_unnamed(told: &mut Told, live: &[LiveSegment], tail: u64) -> Vec<u64> {
    let is_missing =
        |segment: &LiveSegment| segment.look == Look::Missing && segment.entry.full.is_none();
    let mut unnamed = std::mem::take(&mut told.unnamed);
    if live.iter().any(is_missing) {
        unnamed.push(tail);
    }
    unnamed
}
