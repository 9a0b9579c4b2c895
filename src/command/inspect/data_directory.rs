//! A data directory as it lies there: the node's manifest, the logs that it lists, and theirs.

use super::super::console::Console;
use super::super::data_directory::{MANIFEST_FILES, demand_formatted, failed};
use super::footprint::Footprint;
use super::read_only_disk::{ReadOnlyDisk, run};
use super::refusal::{changing, demand_readable, in_use, newer, no_node, one_log, unreadable};
use crate::codes::{Code, Failure};
use crate::runtime::DirectoryLock;
use crate::storage::Disk;
use crate::storage::log_manifest::{LOG_DIRECTORY_PREFIX, LogManifest};
use crate::storage::manifest::{FoundCopy, ManifestError, ManifestKind, choose, read_copies};
use crate::storage::node_manifest::NodeManifest;
use crate::storage::segment::log_directory;
use std::path::{Path, PathBuf};

/// What was read of the directory before any log.
pub(super) struct DataDirectory {
    /// Where it is.
    pub(super) path: PathBuf,
    /// What everything in it is read through.
    pub(super) disk: ReadOnlyDisk,
    /// Who the node is.
    pub(super) node: FoundManifest<NodeManifest>,
    /// The logs that the node's manifest lists; those that are there when it tells nothing.
    pub(super) logs: Vec<LogDirectory>,
    /// Ids of logs that are there and not listed.
    pub(super) unlisted: Vec<u32>,
    /// As everything was before it was read.
    footprint: Footprint,
}

/// A log.
pub(super) struct LogDirectory {
    /// Its id.
    pub(super) id: u32,
    /// The placement that it was made for, if the node's manifest tells.
    pub(super) placement_epoch: Option<u64>,
    /// Where it is.
    pub(super) path: PathBuf,
    /// Which segments it has.
    pub(super) manifest: FoundManifest<LogManifest>,
}

/// A manifest with both of its copies.
pub(super) struct FoundManifest<T> {
    /// As they lie there.
    pub(super) copies: [FoundCopy; 2],
    /// Do both say the same? If not, a start writes the one that counts to both.
    pub(super) agree: bool,
    /// The counter of the one that counts; 0 when none does.
    pub(super) counter: u64,
    /// What that says, or why neither can be used.
    pub(super) said: Result<T, ManifestError>,
}

impl DataDirectory {
    /// Looks at the directory.
    ///
    /// # Errors
    /// When a server runs on it, it is not a node's, something foreign lies in it, or it cannot be read.
    pub(super) fn open(path: PathBuf, console: &Console) -> Result<Self, Failure> {
        demand_node(&path)?;
        let disk = ReadOnlyDisk::default();
        match DirectoryLock::holder_of(&path) {
            Ok(None) => {}
            Ok(Some(process)) => return Err(in_use(&path, &process)),
            Err(error) => console.note(&format!(
                "note: whether a server runs on {} cannot be seen: {error}",
                path.display()
            )),
        }
        let mut footprint = Footprint::default();
        footprint.add(&disk, &path);
        let node = read_manifest(&disk, &path, ManifestKind::Node, NodeManifest::parse)?;
        let there = log_ids(&disk, &path)?;
        let listed = listed(&node, &there);
        let is_unlisted = |id: &u32| listed.iter().all(|(listed, _)| listed != id);
        let unlisted = there.into_iter().filter(is_unlisted).collect();
        let logs = listed.into_iter().map(|(id, epoch)| {
            let log = log_directory(&path, id);
            footprint.add(&disk, &log);
            let manifest = read_manifest(&disk, &log, ManifestKind::Log, LogManifest::parse)?;
            Ok(LogDirectory {
                id,
                placement_epoch: epoch,
                path: log,
                manifest,
            })
        });
        let logs = logs.collect::<Result<_, Failure>>()?;
        Ok(Self {
            path,
            disk,
            node,
            logs,
            unlisted,
            footprint,
        })
    }

    /// Demands once more that nobody uses the directory: what was read counts only if no server came to it.
    ///
    /// # Errors
    /// When one did.
    pub(super) fn demand_unused(&self) -> Result<(), Failure> {
        match DirectoryLock::holder_of(&self.path) {
            Ok(Some(process)) => Err(in_use(&self.path, &process)),
            // That it cannot be seen was said before.
            Ok(None) | Err(_) => match self.footprint.first_change() {
                Some(changed) => Err(changing(&self.path, changed)),
                None => Ok(()),
            },
        }
    }

    /// Is the node part of no cluster yet?
    pub(super) fn is_blank(&self) -> bool {
        self.node
            .said
            .as_ref()
            .is_ok_and(|node| node.cluster.is_zero())
    }

    /// `data/n1   node 2 of cluster prod 9f3c-11d0`, for the first line.
    pub(super) fn title(&self) -> String {
        let who = match &self.node.said {
            Ok(node) if node.cluster.is_zero() => {
                format!(
                    "node incarnation {}, part of no cluster yet",
                    node.incarnation
                )
            }
            Ok(node) => format!(
                "node {} of cluster {} {}, node incarnation {}",
                node.node, node.cluster_name, node.cluster, node.incarnation
            ),
            Err(_) => "nobody knows whose".to_owned(),
        };
        format!("{}   {who}", self.path.display())
    }
}

impl DataDirectory {
    /// What there is to say of logs that are not there, or not listed.
    pub(super) fn notes(&self) -> Vec<String> {
        let none = match (&self.node.said, self.logs.is_empty()) {
            (Ok(_), true) => {
                Some("no log yet: the node was formatted and never started".to_owned())
            }
            (Err(_), true) => Some("no log is there".to_owned()),
            (Ok(_) | Err(_), false) => None,
        };
        let unlisted = self.unlisted.iter().map(|id| {
            format!("log {id} is there and not listed: a start that was interrupted left it")
        });
        none.into_iter().chain(unlisted).collect()
    }
}

/// What a start demands of the directory, told to somebody who wants to look.
fn demand_node(path: &Path) -> Result<(), Failure> {
    let Err(failure) = demand_formatted(path) else {
        return Ok(());
    };
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let is_log = name.starts_with(LOG_DIRECTORY_PREFIX);
    Err(
        match (failure.code() == Code::NotFormatted, path.exists()) {
            (false, _) if failure.code() == Code::ForeignFile && is_log => one_log(path),
            (false, _) => failure,
            (true, false) => no_node(path, "it does not exist"),
            (true, true) => {
                let missing = format!("it has neither {}", MANIFEST_FILES.join(" nor "));
                no_node(path, &missing)
            }
        },
    )
}

fn read_manifest<T>(
    disk: &ReadOnlyDisk,
    directory: &Path,
    kind: ManifestKind,
    parse: impl Fn(&[u8]) -> Result<T, ManifestError>,
) -> Result<FoundManifest<T>, Failure> {
    let copies = run(read_copies(disk, directory, kind));
    demand_readable(disk)?;
    let copies = copies.map_err(|error| unreadable(directory, &error))?;
    let [first, second] = &copies;
    let chosen = choose(first.copy.clone(), second.copy.clone());
    if let Err(ManifestError::Newer { found, known }) = chosen {
        return Err(newer(directory, found, known));
    }
    let (agree, counter) = match &chosen {
        Ok(chosen) => (chosen.agree, chosen.copy.counter),
        Err(_) => (false, 0),
    };
    Ok(FoundManifest {
        said: chosen.and_then(|chosen| parse(&chosen.copy.body)),
        copies,
        agree,
        counter,
    })
}

fn log_ids(disk: &ReadOnlyDisk, path: &Path) -> Result<Vec<u32>, Failure> {
    let names = run(disk.list(path)).map_err(|error| failed(path, &error))?;
    let ids = names
        .iter()
        .filter_map(|name| name.strip_prefix(LOG_DIRECTORY_PREFIX)?.parse().ok());
    let mut ids: Vec<u32> = ids.collect();
    ids.sort_unstable();
    Ok(ids)
}

/// The logs to look at, with the placement that each was made for.
fn listed(node: &FoundManifest<NodeManifest>, there: &[u32]) -> Vec<(u32, Option<u64>)> {
    match &node.said {
        Ok(node) => {
            let logs = node.logs.iter();
            logs.map(|log| (log.id, Some(log.placement_epoch)))
                .collect()
        }
        Err(_) => there.iter().map(|id| (*id, None)).collect(),
    }
}
