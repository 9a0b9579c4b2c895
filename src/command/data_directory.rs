//! A data directory as a whole: is it blank, is it a node's, can it be used at all.
//!
//! ```text
//!   <data>/manifest.a  manifest.b      who the node is
//!   <data>/manifest.new                one of them that was being made when `format` was interrupted
//!   <data>/lock                        the process that runs on it
//!   <data>/probe                       tries the disk at the start of a server, and is removed
//!   <data>/log-<id>/                   one log per shard
//!   <data>/lost+found                  the file system's own, where the directory is a mount point
//! ```
//!
//! Anything else is foreign, and a directory with foreign files is left alone: somebody meant another one.

use crate::codes::{Code, Failure};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, StatxFlags, open, statx};
use rustix::io::Errno;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

/// The file by which one process at a time has the directory; the runtime locks it.
pub(super) const LOCK_FILE: &str = "lock";
/// The two copies of a node's manifest.
pub(super) const MANIFEST_FILES: [&str; 2] = ["manifest.a", "manifest.b"];
/// A copy that is not finished. It gets its name when it is durable.
pub(super) const UNFINISHED_FILE: &str = "manifest.new";
/// The file by which the runtime tries the disk. It stays when a start is interrupted, and the next one writes over it.
const PROBE_FILE: &str = "probe";
/// The file system's own.
const LOST_AND_FOUND: &str = "lost+found";
/// Names that a message lists; more are counted.
const NAMES_MAX: usize = 5;

/// Makes the directory if it is missing, and demands that nothing is in it.
///
/// # Errors
/// `DirectoryNotEmpty` naming what is in it, or what the file system refused.
pub(super) fn demand_empty(directory: &Path) -> Result<(), Failure> {
    fs::create_dir_all(directory).map_err(|error| failed(directory, &error))?;
    let names = names(directory)?;
    let ours = [LOCK_FILE, LOST_AND_FOUND, UNFINISHED_FILE];
    let others: Vec<&str> = names
        .iter()
        .map(String::as_str)
        .filter(|name| !ours.contains(name))
        .collect();
    if others.is_empty() {
        return Ok(());
    }
    let remedy = if others.iter().any(|name| MANIFEST_FILES.contains(name)) {
        "a node lives there: start it with `run`, or name another directory"
    } else {
        "name another directory, or empty this one yourself"
    };
    Err(Failure::new(Code::DirectoryNotEmpty)
        .with("directory", directory.display())
        .with("contains", listed(&others))
        .remedy(remedy))
}

/// Demands that the directory is a node's and nothing else's.
///
/// # Errors
/// `NotFormatted`, `ForeignFile`, or what the file system refused.
pub(super) fn demand_formatted(directory: &Path) -> Result<(), Failure> {
    if matches!(directory.try_exists(), Ok(false)) {
        return Err(not_formatted(directory));
    }
    let names = names(directory)?;
    if !names
        .iter()
        .any(|name| MANIFEST_FILES.contains(&name.as_str()))
    {
        return Err(not_formatted(directory));
    }
    let foreign: Vec<&str> = names
        .iter()
        .map(String::as_str)
        .filter(|name| !is_ours(name))
        .collect();
    if foreign.is_empty() {
        return Ok(());
    }
    Err(Failure::new(Code::ForeignFile)
        .with("directory", directory.display())
        .with("contains", listed(&foreign))
        .remedy("move what is not Margay's out of the directory"))
}

/// Demands that a file of the directory can be written past the page cache.
///
/// # Errors
/// `DirectIoUnavailable`, or what the file system refused.
pub(super) fn demand_direct_io(file: &Path) -> Result<(), Failure> {
    let found = statx(CWD, file, AtFlags::empty(), StatxFlags::DIOALIGN)
        .map_err(|error| failed(file, &error.into()))?;
    let is_told = found.stx_mask & StatxFlags::DIOALIGN.bits() != 0;
    let is_refused = is_told && found.stx_dio_offset_align == 0;
    let flags = OFlags::RDWR | OFlags::DIRECT | OFlags::CLOEXEC;
    match open(file, flags, Mode::empty()) {
        Ok(_) if !is_refused => Ok(()),
        Ok(_) | Err(Errno::INVAL) => Err(Failure::new(Code::DirectIoUnavailable)
            .with("file", file.display())
            .remedy("put the data directory on ext4 or xfs, not on tmpfs, overlayfs or a network")),
        Err(error) => Err(failed(file, &error.into())),
    }
}

/// What the file system refused, as people look it up.
pub(super) fn failed(path: &Path, error: &io::Error) -> Failure {
    let failure = |code| Failure::new(code).with("path", path.display());
    if error.kind() == ErrorKind::PermissionDenied {
        failure(Code::PermissionDenied)
            .with("user", rustix::process::geteuid().as_raw())
            .remedy("give the directory to this user, or run as its owner")
    } else if error.kind() == ErrorKind::ReadOnlyFilesystem {
        failure(Code::ReadOnly).remedy("mount the file system for writing")
    } else {
        failure(Code::DirectoryFailed)
            .with("reason", error)
            .remedy("see that the directory is on a disk of this machine that takes files")
    }
}

fn names(directory: &Path) -> Result<Vec<String>, Failure> {
    let entries = fs::read_dir(directory).map_err(|error| failed(directory, &error))?;
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| failed(directory, &error))?;
        names.push(entry.file_name().to_string_lossy().into_owned());
    }
    names.sort_unstable();
    Ok(names)
}

fn is_ours(name: &str) -> bool {
    let is_log = |id: &str| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit());
    MANIFEST_FILES.contains(&name)
        || name == UNFINISHED_FILE
        || name == LOCK_FILE
        || name == PROBE_FILE
        || name == LOST_AND_FOUND
        || name.strip_prefix("log-").is_some_and(is_log)
}

fn not_formatted(directory: &Path) -> Failure {
    Failure::new(Code::NotFormatted)
        .with("directory", directory.display())
        .remedy(format!(
            "margay format --data {}   (makes a new, blank node)",
            directory.display()
        ))
}

fn listed(names: &[&str]) -> String {
    let shown = names.get(..NAMES_MAX).unwrap_or(names).join(" ");
    match names.len().saturating_sub(NAMES_MAX) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_margay_makes_is_ours() {
        for name in [
            "manifest.a",
            "manifest.b",
            "manifest.new",
            "lock",
            "probe",
            "log-0",
            "log-17",
            "lost+found",
        ] {
            assert!(is_ours(name), "{name}");
        }
        for name in ["log-", "log-a", "manifest.c", "core", ".bashrc", "locks"] {
            assert!(!is_ours(name), "{name}");
        }
    }

    #[test]
    fn a_long_list_is_cut_and_the_rest_is_counted() {
        assert_eq!(listed(&["a", "b"]), "a b");
        assert_eq!(
            listed(&["a", "b", "c", "d", "e", "f", "g"]),
            "a b c d e and 2 more"
        );
    }
}
