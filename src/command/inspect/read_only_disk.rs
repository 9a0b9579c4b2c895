//! A disk that is only read: storage's own code looks through it, and whatever would write is refused.
//!
//! Files are opened for reading alone, so it also works where the file system is mounted read-only, and past the page
//! cache where that can be, so that what is shown is what lies on the device. Every operation ends before it returns.
//!
//! A file that is missing is a finding; one that may not be opened is none. Storage treats both as lost, so the disk
//! remembers what was refused, and whoever asked storage looks there before believing it.

use crate::storage::{Block, ColdTask, Disk, OpenMode, Slice, WriteToken};
use rustix::fs::{CWD, Mode, OFlags, openat, statvfs};
use rustix::io::Errno;
use std::cell::RefCell;
use std::fs::File;
use std::future::Future;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// The disk, and what it was not allowed to read.
#[derive(Clone, Debug, Default)]
pub(super) struct ReadOnlyDisk {
    refused: Rc<RefCell<Option<(PathBuf, io::Error)>>>,
}

/// A file that is open for reading.
#[derive(Clone, Debug)]
pub(super) struct ReadOnlyFile {
    file: Rc<File>,
    path: Rc<Path>,
}

/// Runs a future over the disk: it is ready at once, as all of its operations are.
pub(super) fn run<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("every operation of this disk ends before it returns"),
    }
}

impl ReadOnlyDisk {
    /// The first file that is there and could not be opened.
    pub(super) fn take_refusal(&self) -> Option<(PathBuf, io::Error)> {
        self.refused.borrow_mut().take()
    }

    fn open_file(&self, path: &Path) -> io::Result<ReadOnlyFile> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let opened = match openat(CWD, path, flags | OFlags::DIRECT, Mode::empty()) {
            // Not every file system has direct I/O, and a copy may lie on any.
            Err(Errno::INVAL) => openat(CWD, path, flags, Mode::empty()),
            other => other,
        };
        match opened {
            Ok(file) => Ok(ReadOnlyFile {
                file: Rc::new(file.into()),
                path: path.into(),
            }),
            Err(error) => {
                let error = io::Error::from(error);
                if error.kind() != ErrorKind::NotFound {
                    let again = io::Error::from(error.kind());
                    let mut refused = self.refused.borrow_mut();
                    refused.get_or_insert((path.to_owned(), again));
                }
                Err(error)
            }
        }
    }
}

impl ReadOnlyFile {
    fn read(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        match read_full(&self.file, offset, into) {
            // The device wants larger units than ours.
            Err(error) if error.kind() == ErrorKind::InvalidInput => {
                read_full(&File::open(&self.path)?, offset, into)
            }
            other => other,
        }
    }
}

/// Reads until `into` is full or the file ends.
fn read_full(file: &File, offset: u64, into: &mut [u8]) -> io::Result<usize> {
    let mut done = 0;
    while let Some(rest) = into.get_mut(done..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, offset + done as u64) {
            Ok(0) => break,
            Ok(count) => done += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // Direct reads start at whole units only; behind a part of one the file has ended.
            Err(error) if error.kind() == ErrorKind::InvalidInput && done > 0 => break,
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

fn refuse<T>() -> io::Result<T> {
    Err(ErrorKind::ReadOnlyFilesystem.into())
}

impl Disk for ReadOnlyDisk {
    type File = ReadOnlyFile;

    fn write_durable(&self, file: &ReadOnlyFile, _: u64, _: Slice, token: WriteToken) {
        unreachable!("write {token:?} to {} while looking", file.path.display())
    }

    async fn open(&self, path: &Path, mode: OpenMode) -> io::Result<ReadOnlyFile> {
        match mode {
            OpenMode::Existing => self.open_file(path),
            OpenMode::New => refuse(),
        }
    }

    async fn size_bytes(&self, file: &ReadOnlyFile) -> io::Result<u64> {
        Ok(file.file.metadata()?.len())
    }

    async fn allocate(&self, _: &ReadOnlyFile, _: u64) -> io::Result<()> {
        refuse()
    }

    async fn punch(&self, _: &ReadOnlyFile, _: u64, _: u64) -> io::Result<()> {
        refuse()
    }

    async fn read(
        &self,
        file: &ReadOnlyFile,
        offset_bytes: u64,
        mut buffer: Block,
    ) -> (io::Result<usize>, Block) {
        let result = file.read(offset_bytes, buffer.bytes_mut());
        (result, buffer)
    }

    async fn write(&self, _: &ReadOnlyFile, _: u64, _: Slice) -> io::Result<usize> {
        refuse()
    }

    async fn sync(&self, _: &ReadOnlyFile) -> io::Result<()> {
        refuse()
    }

    async fn sync_directory(&self, _: &Path) -> io::Result<()> {
        refuse()
    }

    async fn create_directory(&self, _: &Path) -> io::Result<()> {
        refuse()
    }

    async fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(path)? {
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
        names.sort_unstable();
        Ok(names)
    }

    async fn remove(&self, _: &Path) -> io::Result<()> {
        refuse()
    }

    async fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        let found = statvfs(path)?;
        Ok(found.f_bavail.saturating_mul(found.f_frsize))
    }

    async fn pause(&self, _: Duration) {}

    /// Whoever only looks leaves nothing to do behind.
    fn spawn(&self, _: ColdTask) {
        unreachable!("a task while looking")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn directory() -> tempfile::TempDir {
        tempfile::tempdir_in(".").unwrap()
    }

    #[test]
    fn a_file_is_read_to_its_end_and_no_further() {
        let directory = directory();
        let path = directory.path().join("file");
        fs::write(&path, [7; 5000]).unwrap();
        let disk = ReadOnlyDisk::default();
        let file = run(disk.open(&path, OpenMode::Existing)).unwrap();
        let (count, buffer) = run(disk.read(&file, 4096, Block::for_reading(8192)));
        let count = count.unwrap();
        assert_eq!(&buffer.bytes()[..count], &[7; 904][..]);
        assert_eq!(run(disk.size_bytes(&file)).unwrap(), 5000);
    }

    #[test]
    fn whatever_would_write_is_refused() {
        let directory = directory();
        let path = directory.path().join("file");
        fs::write(&path, [7; 4096]).unwrap();
        let disk = ReadOnlyDisk::default();
        let file = run(disk.open(&path, OpenMode::Existing)).unwrap();
        let new = directory.path().join("new");
        let bytes = || Block::holding(&[0; 4096]).whole();
        let refusals = [
            run(disk.open(&new, OpenMode::New)).map(|_| ()),
            run(disk.write(&file, 0, bytes())).map(|_| ()),
            run(disk.allocate(&file, 8192)),
            run(disk.sync(&file)),
            run(disk.sync_directory(directory.path())),
            run(disk.create_directory(&new)),
            run(disk.remove(&path)),
        ];
        for refusal in refusals {
            let kind = refusal.map_err(|error| error.kind());
            assert_eq!(kind, Err(ErrorKind::ReadOnlyFilesystem));
        }
        assert_eq!(fs::read(&path).unwrap(), [7; 4096]);
        assert_eq!(run(disk.list(directory.path())).unwrap(), ["file"]);
    }

    #[test]
    #[should_panic(expected = "while looking")]
    fn a_durable_write_is_a_mistake_of_ours() {
        let directory = directory();
        let path = directory.path().join("file");
        fs::write(&path, [7; 4096]).unwrap();
        let disk = ReadOnlyDisk::default();
        let file = run(disk.open(&path, OpenMode::Existing)).unwrap();
        disk.write_durable(&file, 0, Block::holding(&[0; 4096]).whole(), WriteToken(1));
    }

    #[test]
    fn a_missing_file_is_a_finding_and_what_cannot_be_opened_is_remembered() {
        let directory = directory();
        let disk = ReadOnlyDisk::default();
        let missing = directory.path().join("missing");
        assert!(run(disk.open(&missing, OpenMode::Existing)).is_err());
        assert!(disk.take_refusal().is_none());
        fs::write(directory.path().join("file"), "").unwrap();
        let below = directory.path().join("file/below");
        assert!(run(disk.open(&below, OpenMode::Existing)).is_err());
        let (path, error) = disk.take_refusal().unwrap();
        assert_eq!((path, error.kind()), (below, ErrorKind::NotADirectory));
    }
}
