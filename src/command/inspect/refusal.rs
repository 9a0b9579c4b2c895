//! Why a data directory is not looked at: what, where and what to do, in the words of somebody who only wants to look.

use super::super::data_directory::failed;
use super::read_only_disk::ReadOnlyDisk;
use crate::codes::{Code, Failure};
use crate::storage::StorageError;
use crate::storage::manifest::ManifestError;
use crate::storage::segment::SegmentError;
use std::io::ErrorKind;
use std::path::Path;

/// A server runs on it.
pub(super) fn in_use(directory: &Path, process: &str) -> Failure {
    Failure::new(Code::DirectoryLocked)
        .with("directory", directory.display())
        .with("process", process)
        .with("reason", "its server changes the files while they are read")
        .remedy("ask the node itself: margay status")
        .remedy("or stop it first, or inspect a copy that was taken while it did not run")
}

/// Somebody writes to it whom the kernel's list of locks does not show.
pub(super) fn changing(directory: &Path, changed: &Path) -> Failure {
    Failure::new(Code::DirectoryLocked)
        .with("directory", directory.display())
        .with("changed", changed.display())
        .with(
            "reason",
            "it was written while it was read: what was read does not count",
        )
        .remedy("stop its server, in whatever container it runs, or let the copying end")
}

/// There is no node in it.
pub(super) fn no_node(directory: &Path, reason: &str) -> Failure {
    Failure::new(Code::NotFormatted)
        .with("directory", directory.display())
        .with("reason", reason)
        .remedy("name the directory that the node runs on, as in `margay run --data DIR`")
}

/// It is a log, and the node's directory is the one above.
pub(super) fn one_log(directory: &Path) -> Failure {
    let above = directory
        .parent()
        .filter(|above| !above.as_os_str().is_empty());
    let above = above.unwrap_or(Path::new("."));
    Failure::new(Code::NotFormatted)
        .with("directory", directory.display())
        .with("reason", "it is one log of a node")
        .remedy(format!(
            "name the directory above: --data {}",
            above.display()
        ))
}

/// A later version wrote it.
pub(super) fn newer(path: &Path, found: u16, known: u16) -> Failure {
    Failure::new(Code::NewerFormat)
        .with("path", path.display())
        .with("format", found)
        .with("known", format!("up to {known} by this binary"))
        .remedy("inspect it with the version that wrote it, or a later one")
}

/// Demands that nothing was kept from us: what we may not read is not lost.
///
/// # Errors
/// What the operating system refused, and for which file.
pub(super) fn demand_readable(disk: &ReadOnlyDisk) -> Result<(), Failure> {
    let Some((path, error)) = disk.take_refusal() else {
        return Ok(());
    };
    if error.kind() != ErrorKind::PermissionDenied {
        return Err(failed(&path, &error));
    }
    Err(Failure::new(Code::PermissionDenied)
        .with("path", path.display())
        .with("user", rustix::process::geteuid().as_raw())
        .remedy("run as the user that the node runs as, or as root; nothing is written"))
}

/// What storage did not read.
pub(super) fn unreadable(directory: &Path, error: &StorageError) -> Failure {
    match error {
        StorageError::Segment {
            cause: SegmentError::Newer { found },
            ..
        } => newer(directory, *found, crate::storage::segment::SEGMENT_FORMAT),
        StorageError::Manifest {
            directory,
            cause: ManifestError::Newer { found, known },
        } => newer(directory, *found, *known),
        StorageError::Write { .. }
        | StorageError::Io { .. }
        | StorageError::OutOfRoom
        | StorageError::Manifest { .. }
        | StorageError::Segment { .. }
        | StorageError::Record { .. }
        | StorageError::Misplaced { .. }
        | StorageError::Absent { .. } => Failure::new(Code::DirectoryFailed)
            .with("directory", directory.display())
            .with("reason", error),
    }
}
