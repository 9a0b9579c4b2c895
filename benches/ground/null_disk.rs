//! A disk that takes durable writes and forgets them: what is measured is the log, not the memory of a disk.
//!
//! Cold writes are kept, but for zeros, because a log is formatted and recovered on it before it can be measured.
//! Everything is ready at once; cold tasks are not run.

use margay::storage::{Block, ColdTask, Disk, OpenMode, Slice, WriteToken};
use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// What a file holds; zeros take no memory.
#[derive(Default)]
struct Contents {
    size_bytes: u64,
    /// What was written that is not all zeros, by its offset.
    pieces: BTreeMap<u64, Vec<u8>>,
}

/// A file of it.
#[derive(Clone, Default)]
pub(crate) struct NullFile(Rc<RefCell<Contents>>);

/// The files, and writes whose completion was not taken.
#[derive(Default)]
struct State {
    files: BTreeMap<PathBuf, NullFile>,
    writes: VecDeque<(WriteToken, usize)>,
}

/// The disk.
#[derive(Clone, Default)]
pub(crate) struct NullDisk(Rc<RefCell<State>>);

impl NullDisk {
    /// The oldest durable write that has not returned: its token and its size.
    pub(crate) fn take_write(&self) -> Option<(WriteToken, usize)> {
        self.0.borrow_mut().writes.pop_front()
    }

    /// Runs a cold operation to its end, which is at once.
    ///
    /// # Panics
    /// If it waits for something that is not of this disk.
    pub(crate) fn run<F: Future>(&self, future: F) -> F::Output {
        match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(output) => output,
            Poll::Pending => panic!("everything is ready at once here"),
        }
    }
}

impl Disk for NullDisk {
    type File = NullFile;

    fn write_durable(&self, _: &NullFile, _: u64, bytes: Slice, token: WriteToken) {
        self.0.borrow_mut().writes.push_back((token, bytes.len()));
    }

    async fn open(&self, path: &Path, mode: OpenMode) -> io::Result<NullFile> {
        let mut state = self.0.borrow_mut();
        let missing = || io::Error::from(io::ErrorKind::NotFound);
        match mode {
            OpenMode::Existing => state.files.get(path).cloned().ok_or_else(missing),
            OpenMode::New => Ok(state.files.entry(path.to_owned()).or_default().clone()),
        }
    }

    async fn size_bytes(&self, file: &NullFile) -> io::Result<u64> {
        Ok(file.0.borrow().size_bytes)
    }

    async fn allocate(&self, file: &NullFile, size_bytes: u64) -> io::Result<()> {
        let mut contents = file.0.borrow_mut();
        contents.size_bytes = contents.size_bytes.max(size_bytes);
        Ok(())
    }

    async fn punch(&self, _: &NullFile, _: u64, _: u64) -> io::Result<()> {
        Ok(())
    }

    async fn read(
        &self,
        file: &NullFile,
        offset_bytes: u64,
        mut buffer: Block,
    ) -> (io::Result<usize>, Block) {
        let contents = file.0.borrow();
        let left = contents.size_bytes.saturating_sub(offset_bytes);
        let bytes = usize::try_from(left).unwrap_or(usize::MAX);
        let into = buffer.bytes_mut();
        let bytes = bytes.min(into.len());
        into[..bytes].fill(0);
        for (at, piece) in &contents.pieces {
            for (place, byte) in (*at..).zip(piece) {
                let place = place.checked_sub(offset_bytes).map(usize::try_from);
                if let Some(Ok(place)) = place
                    && place < bytes
                {
                    into[place] = *byte;
                }
            }
        }
        (Ok(bytes), buffer)
    }

    async fn write(&self, file: &NullFile, offset_bytes: u64, bytes: Slice) -> io::Result<usize> {
        let mut contents = file.0.borrow_mut();
        let end = offset_bytes + bytes.len() as u64;
        contents.size_bytes = contents.size_bytes.max(end);
        if bytes.iter().any(|byte| *byte != 0) {
            contents.pieces.insert(offset_bytes, bytes.to_vec());
        }
        Ok(bytes.len())
    }

    async fn sync(&self, _: &NullFile) -> io::Result<()> {
        Ok(())
    }

    async fn sync_directory(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    async fn create_directory(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    async fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let state = self.0.borrow();
        let inside = state
            .files
            .keys()
            .filter(|file| file.parent() == Some(path));
        let names = inside.filter_map(|file| file.file_name());
        Ok(names
            .map(|name| name.to_string_lossy().into_owned())
            .collect())
    }

    async fn remove(&self, path: &Path) -> io::Result<()> {
        self.0.borrow_mut().files.remove(path);
        Ok(())
    }

    async fn free_bytes(&self, _: &Path) -> io::Result<u64> {
        Ok(u64::MAX)
    }

    async fn pause(&self, _: Duration) {}

    fn spawn(&self, _: ColdTask) {}
}
