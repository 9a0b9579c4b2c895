//! One process per data directory: an advisory lock on `<data>/lock`, held as long as the process lives.
//!
//! The kernel gives the lock up when the process ends, however it ends; the file stays and names its last holder.

use super::error::RuntimeError;
use rustix::fs::{CWD, FlockOperation, Mode, OFlags, flock, ftruncate, openat};
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

/// Name of the lock file.
pub(super) const FILE_NAME: &str = "lock";

/// A lock that is held.
#[derive(Debug)]
pub struct DirectoryLock {
    file: OwnedFd,
}

impl DirectoryLock {
    /// Locks `directory`.
    ///
    /// # Errors
    /// `DirectoryLocked` when another process holds it, by name; `Lock` when the file cannot be made.
    pub fn acquire(directory: &Path) -> Result<Self, RuntimeError> {
        let failed = |error: rustix::io::Errno| RuntimeError::Lock {
            directory: directory.to_owned(),
            source: io::Error::from(error),
        };
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(0o640);
        let file = openat(CWD, directory.join(FILE_NAME), flags, mode).map_err(failed)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                return Err(RuntimeError::DirectoryLocked {
                    directory: directory.to_owned(),
                    holder: holder(&file),
                });
            }
            Err(error) => return Err(failed(error)),
        }
        // Over what stands there, and cut behind it: a full disk has no block for a file that was emptied first.
        let process = format!("{}\n", std::process::id());
        let count = rustix::io::pwrite(&file, process.as_bytes(), 0).map_err(failed)?;
        ftruncate(&file, count as u64).map_err(failed)?;
        Ok(Self { file })
    }

    /// The file that is locked, whatever has become of its name.
    pub(crate) fn file(&self) -> io::Result<OwnedFd> {
        self.file.try_clone()
    }
}

/// Who wrote its number into the file.
fn holder(file: &OwnedFd) -> String {
    let mut bytes = [0; 16];
    let count = rustix::io::pread(file, &mut bytes, 0).unwrap_or(0);
    let text = String::from_utf8_lossy(bytes.get(..count).unwrap_or_default());
    match text.trim() {
        "" => "?".to_owned(),
        number => number.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_locked_once_and_the_holder_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let held = DirectoryLock::acquire(directory.path()).unwrap();
        let error = DirectoryLock::acquire(directory.path()).unwrap_err();
        assert_eq!(error.code().exit().number(), 20);
        assert!(
            error.to_string().contains(&std::process::id().to_string()),
            "{error}"
        );
        drop(held);
        DirectoryLock::acquire(directory.path()).unwrap();
    }

    #[test]
    fn a_directory_that_is_not_there_is_an_error() {
        let error = DirectoryLock::acquire(Path::new("/nowhere/at/all")).unwrap_err();
        assert!(matches!(error, RuntimeError::Lock { .. }), "{error}");
    }
}
