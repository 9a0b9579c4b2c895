//! The lock of a data directory: one process at a time.
//!
//! The lock is the kernel's (`flock`), so it ends with the process however that ends; the number of the process
//! stands in the file for whoever finds it locked.

use super::data_directory::failed;
use crate::codes::{Code, Failure};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::path::Path;

/// Name of the file in a data directory.
pub(super) const LOCK_FILE: &str = "lock";

/// Held as long as it lives.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock of a data directory.
    ///
    /// # Errors
    /// `DirectoryLocked` with the process that holds it, or what the file system refused.
    pub(super) fn acquire(directory: &Path) -> Result<Self, Failure> {
        let path = directory.join(LOCK_FILE);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|error| failed(&path, &error))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Err(locked(directory, &mut file)),
            Err(error) => return Err(failed(&path, &error.into())),
        }
        write_holder(&mut file).map_err(|error| failed(&path, &error))?;
        Ok(Self { _file: file })
    }
}

fn write_holder(file: &mut File) -> std::io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}

fn locked(directory: &Path, file: &mut File) -> Failure {
    let mut holder = String::new();
    // The number is a courtesy: a lock whose holder cannot be read is still a lock.
    let holder = match file.read_to_string(&mut holder) {
        Ok(_) => holder.trim(),
        Err(_) => "",
    };
    let holder = if holder.is_empty() { "unknown" } else { holder };
    Failure::new(Code::DirectoryLocked)
        .with("directory", directory.display())
        .with("process", holder)
        .remedy("stop that process, or give this node a directory of its own")
}
