//! One process per data directory: an advisory lock on `<data>/lock`, held as long as the process lives.
//!
//! The kernel gives the lock up when the process has ended, however it ended, *and* nothing of it is under way any
//! more: every ring holds on to the locked file. A ring outlives a killed process for as long as its requests take; a
//! direct write of a life that is over could else land in a log that the next life has recovered already. So a lock
//! whose holder is dead is waited for. The file stays and names its last holder.
//!
//! Whoever only looks asks the kernel's list of locks (`/proc/locks`) and takes none: a lock held for a moment could
//! be the one that a server fails to get. The list shows processes of the own name space, so a server in another
//! container is not seen.

use super::error::RuntimeError;
use super::limits::{LOCK_PATIENCE, LOCK_PAUSE};
use rustix::fs::{
    CWD, FlockOperation, Mode, OFlags, Stat, flock, ftruncate, major, minor, openat, stat,
};
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::thread;

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
        let attempt = || match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(None),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(Some(holder(&file))),
            Err(error) => Err(failed(error)),
        };
        if let Some(holder) = once_the_dead_let_go(attempt)? {
            return Err(RuntimeError::DirectoryLocked {
                directory: directory.to_owned(),
                holder,
            });
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
        once_the_dead_let_go(|| {
            let locks = fs::read_to_string("/proc/locks")?;
            Ok(locks.lines().find_map(|line| holder_in(line, &file)))
        })
    }
}

/// Asks who holds a lock until nobody does, or somebody who lives; a dead holder is waited for within limits.
fn once_the_dead_let_go<E>(
    mut holder: impl FnMut() -> Result<Option<String>, E>,
) -> Result<Option<String>, E> {
    let mut patience = LOCK_PATIENCE;
    loop {
        let Some(process) = holder()? else {
            return Ok(None);
        };
        if is_alive(&process) {
            return Ok(Some(process));
        }
        let Some(left) = patience.checked_sub(LOCK_PAUSE) else {
            return Ok(Some(format!(
                "{process}, which has ended, but the kernel still has writes of it"
            )));
        };
        patience = left;
        thread::sleep(LOCK_PAUSE);
    }
}

/// Does a process run? One that has ended may not have been waited for: then it is still listed, as a zombie or dead.
/// One whose number cannot be read is taken for one that runs.
fn is_alive(process: &str) -> bool {
    if process.parse::<u32>().is_err() {
        return true;
    }
    let Ok(line) = fs::read_to_string(format!("/proc/{process}/stat")) else {
        return false;
    };
    // The name before it may have any characters in it, so the state is looked for behind its end.
    let state = line.rsplit(')').next().map(str::trim_start);
    !state.is_some_and(|state| state.starts_with(['Z', 'X']))
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
    use crate::runtime::buffers::ReceiveBufferSizes;
    use crate::runtime::ring::Ring;
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

    /// The lock was given up, and a ring still holds on to its file: so may a write that is under way.
    #[test]
    fn a_lock_is_held_as_long_as_a_ring_that_keeps_it() {
        let directory = tempfile::tempdir().unwrap();
        let held = DirectoryLock::acquire(directory.path()).unwrap();
        let sizes = ReceiveBufferSizes {
            count: 2,
            buffer_bytes: 64,
        };
        let kept = held.file().unwrap();
        let ring = Ring::new(sizes, Some(&kept)).unwrap();
        drop((held, kept));
        let error = DirectoryLock::acquire(directory.path()).unwrap_err();
        assert!(
            matches!(error, RuntimeError::DirectoryLocked { .. }),
            "{error}"
        );
        drop(ring);
        // The kernel takes a ring apart when it has time.
        let attempts = LOCK_PATIENCE.as_millis() / LOCK_PAUSE.as_millis();
        let is_free = (0..attempts).any(|_| {
            thread::sleep(LOCK_PAUSE);
            DirectoryLock::acquire(directory.path()).is_ok()
        });
        assert!(is_free);
    }

    #[test]
    fn who_has_ended_does_not_live() {
        assert!(is_alive(&std::process::id().to_string()));
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let process = child.id().to_string();
        let output = || fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        while !output().contains(") Z") {
            thread::yield_now();
        }
        assert!(!is_alive(&process), "nobody has waited for it");
        child.wait().unwrap();
        assert!(!is_alive(&process));
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
