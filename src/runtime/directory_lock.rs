//! One process per data directory: an advisory lock on `<data>/lock`, held as long as the process lives.
//!
//! The kernel gives the lock up when the process ends, however it ends; the file stays and names its last holder.
//! Whoever only looks asks the kernel's list of locks (`/proc/locks`) and takes none: a lock held for a moment could
//! be the one that a server fails to get. The list shows processes of the own name space, so a server in another
//! container is not seen.

use super::error::RuntimeError;
use rustix::fs::{
    CWD, FlockOperation, Mode, OFlags, Stat, flock, ftruncate, major, minor, openat, stat,
};
use std::fs;
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

    /// The process that holds the lock of `directory`, if one does. Nothing is locked or written.
    ///
    /// # Errors
    /// When the lock file or the kernel's list cannot be looked at.
    pub fn holder_of(directory: &Path) -> io::Result<Option<String>> {
        let file = match stat(directory.join(FILE_NAME)) {
            Ok(file) => file,
            Err(rustix::io::Errno::NOENT) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let locks = fs::read_to_string("/proc/locks")?;
        Ok(locks.lines().find_map(|line| holder_in(line, &file)))
    }
}

/// The process in a line such as `1: FLOCK  ADVISORY  WRITE 4711 fe:00:131090 0 EOF`, if it is about `file`. A line of
/// one that waits has an arrow in the second place.
fn holder_in(line: &str, file: &Stat) -> Option<String> {
    let mut words = line.split_whitespace().skip(1);
    let is_flock = words.next() == Some("FLOCK");
    let (process, place) = (words.nth(2)?, words.next()?);
    let mut parts = place.split(':');
    let mut device = || u32::from_str_radix(parts.next()?, 16).ok();
    let device = (device()?, device()?);
    let inode = parts.next()?.parse::<u64>().ok()?;
    let own = (major(file.st_dev), minor(file.st_dev));
    // A file system without a device of its own may show another number in each place.
    let is_own_device = device == own || own.0 == 0;
    let is_it = is_flock && inode == file.st_ino && is_own_device;
    is_it.then(|| process.to_owned())
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
    use rustix::fs::makedev;

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
    fn whoever_only_looks_sees_the_holder_and_takes_nothing() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(DirectoryLock::holder_of(directory.path()).unwrap(), None);
        let held = DirectoryLock::acquire(directory.path()).unwrap();
        let own = std::process::id().to_string();
        assert_eq!(
            DirectoryLock::holder_of(directory.path()).unwrap(),
            Some(own)
        );
        drop(held);
        assert_eq!(DirectoryLock::holder_of(directory.path()).unwrap(), None);
        DirectoryLock::acquire(directory.path()).unwrap();
    }

    #[test]
    fn a_line_of_another_file_another_kind_or_one_that_waits_names_nobody() {
        let mut file = stat("/").unwrap();
        file.st_dev = makedev(254, 1);
        let place = |inode| {
            format!(
                "{:02x}:{:02x}:{inode}",
                major(file.st_dev),
                minor(file.st_dev)
            )
        };
        let own = place(file.st_ino);
        let line = format!("1: FLOCK  ADVISORY  WRITE 4711 {own} 0 EOF");
        assert_eq!(holder_in(&line, &file).as_deref(), Some("4711"));
        for other in [
            format!(
                "1: FLOCK  ADVISORY  WRITE 4711 {} 0 EOF",
                place(file.st_ino + 1)
            ),
            format!("1: POSIX  ADVISORY  WRITE 4711 {own} 0 EOF"),
            format!("1: -> FLOCK  ADVISORY  WRITE 4711 {own} 0 EOF"),
            format!(
                "1: FLOCK  ADVISORY  WRITE 4711 fff:00:{} 0 EOF",
                file.st_ino
            ),
            String::new(),
        ] {
            assert_eq!(holder_in(&other, &file), None, "{other}");
        }
    }

    #[test]
    fn a_directory_that_is_not_there_is_an_error() {
        let error = DirectoryLock::acquire(Path::new("/nowhere/at/all")).unwrap_err();
        assert!(matches!(error, RuntimeError::Lock { .. }), "{error}");
    }
}
