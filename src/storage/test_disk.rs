//! A disk in memory for the unit tests of this folder: cold operations succeed at once, hot writes wait until the
//! test lets them return. Crashes are the business of the simulator's disk.

use super::block::{Block, Slice};
use super::disk::{ColdTask, Disk, OpenMode, WriteToken};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

type Bytes = Rc<RefCell<Vec<u8>>>;

/// A durable write that has not returned.
#[derive(Clone, Debug)]
pub(crate) struct HotWrite {
    pub(crate) token: WriteToken,
    pub(crate) file: TestFile,
    pub(crate) offset: u64,
    pub(crate) bytes: Slice,
}

#[derive(Clone, Debug)]
pub(crate) struct TestFile(Bytes);

#[derive(Clone, Default)]
pub(crate) struct TestDisk {
    files: Rc<RefCell<BTreeMap<PathBuf, Bytes>>>,
    hot: Rc<RefCell<VecDeque<HotWrite>>>,
    tasks: Rc<RefCell<Vec<ColdTask>>>,
    pub(crate) free: Rc<Cell<u64>>,
    /// Allocation fails although there is room.
    pub(crate) quota_is_used_up: Rc<Cell<bool>>,
    /// Bytes of room that parts of files gave back.
    pub(crate) punched: Rc<Cell<u64>>,
    /// Cold reads so far.
    pub(crate) reads: Rc<Cell<usize>>,
    /// A byte of every file that cannot be read.
    pub(crate) unreadable: Rc<Cell<Option<u64>>>,
}

impl TestDisk {
    pub(crate) fn new() -> Self {
        let disk = Self::default();
        disk.free.set(u64::MAX);
        disk
    }

    /// The oldest hot write, carried out.
    pub(crate) fn take_write(&self) -> Option<HotWrite> {
        let write = self.hot.borrow_mut().pop_front()?;
        put(&write.file.0, write.offset, &write.bytes);
        Some(write)
    }

    pub(crate) fn writes_under_way(&self) -> usize {
        self.hot.borrow().len()
    }

    /// Runs the cold tasks to their ends.
    pub(crate) fn run_tasks(&self) {
        loop {
            let Some(task) = self.tasks.borrow_mut().pop() else {
                return;
            };
            run(task);
        }
    }

    /// Paths of all segments.
    pub(crate) fn names(&self) -> Vec<PathBuf> {
        let files = self.files.borrow();
        let is_segment = |path: &&PathBuf| path.extension().is_some_and(|it| it == "segment");
        files.keys().filter(is_segment).cloned().collect()
    }

    pub(crate) fn contents(&self, path: &Path) -> Option<Vec<u8>> {
        self.files
            .borrow()
            .get(path)
            .map(|bytes| bytes.borrow().clone())
    }
}

/// Every operation of this disk is ready at once, and so is every future over it.
pub(crate) fn run<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("an operation of the test disk did not end at once"),
    }
}

fn put(file: &Bytes, offset: u64, bytes: &[u8]) {
    let start = usize::try_from(offset).unwrap();
    let mut file = file.borrow_mut();
    let end = file.len().max(start + bytes.len());
    file.resize(end, 0);
    file[start..start + bytes.len()].copy_from_slice(bytes);
}

impl Disk for TestDisk {
    type File = TestFile;

    fn write_durable(&self, file: &TestFile, offset_bytes: u64, bytes: Slice, token: WriteToken) {
        let aligned = offset_bytes.is_multiple_of(4096) && bytes.len().is_multiple_of(4096);
        assert!(
            aligned,
            "a direct write of {} bytes at {offset_bytes}",
            bytes.len()
        );
        let write = HotWrite {
            token,
            file: file.clone(),
            offset: offset_bytes,
            bytes,
        };
        self.hot.borrow_mut().push_back(write);
    }

    async fn open(&self, path: &Path, mode: OpenMode) -> io::Result<TestFile> {
        let mut files = self.files.borrow_mut();
        match (files.get(path), mode) {
            (Some(bytes), OpenMode::Existing) => Ok(TestFile(Rc::clone(bytes))),
            (Some(_), OpenMode::New) => Err(io::ErrorKind::AlreadyExists.into()),
            (None, OpenMode::Existing) => Err(io::ErrorKind::NotFound.into()),
            (None, OpenMode::New) => {
                let bytes = Bytes::default();
                files.insert(path.to_owned(), Rc::clone(&bytes));
                Ok(TestFile(bytes))
            }
        }
    }

    async fn size_bytes(&self, file: &TestFile) -> io::Result<u64> {
        Ok(file.0.borrow().len() as u64)
    }

    async fn allocate(&self, _file: &TestFile, size_bytes: u64) -> io::Result<()> {
        if self.quota_is_used_up.get() {
            return Err(io::ErrorKind::QuotaExceeded.into());
        }
        let free = self.free.get().checked_sub(size_bytes);
        self.free.set(free.ok_or(io::ErrorKind::StorageFull)?);
        Ok(())
    }

    async fn punch(&self, file: &TestFile, offset_bytes: u64, size_bytes: u64) -> io::Result<()> {
        let mut bytes = file.0.borrow_mut();
        let start = usize::try_from(offset_bytes).unwrap().min(bytes.len());
        let length = usize::try_from(size_bytes).unwrap();
        let end = (start + length).min(bytes.len());
        bytes[start..end].fill(0);
        self.punched.set(self.punched.get() + size_bytes);
        Ok(())
    }

    async fn read(
        &self,
        file: &TestFile,
        offset_bytes: u64,
        mut buffer: Block,
    ) -> (io::Result<usize>, Block) {
        let file = file.0.borrow();
        let start = usize::try_from(offset_bytes).unwrap().min(file.len());
        let length = buffer.written_bytes().min(file.len() - start);
        self.reads.set(self.reads.get() + 1);
        let read = offset_bytes..offset_bytes + length as u64;
        if self.unreadable.get().is_some_and(|at| read.contains(&at)) {
            return (Err(io::Error::from_raw_os_error(5)), buffer);
        }
        buffer.bytes_mut()[..length].copy_from_slice(&file[start..start + length]);
        (Ok(length), buffer)
    }

    async fn write(&self, file: &TestFile, offset_bytes: u64, bytes: Slice) -> io::Result<usize> {
        put(&file.0, offset_bytes, &bytes);
        Ok(bytes.len())
    }

    async fn sync(&self, _file: &TestFile) -> io::Result<()> {
        Ok(())
    }

    async fn sync_directory(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }

    async fn create_directory(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }

    async fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let files = self.files.borrow();
        let inside = files.keys().filter(|file| file.parent() == Some(path));
        Ok(inside
            .map(|file| file.file_name().unwrap().to_string_lossy().into_owned())
            .collect())
    }

    async fn remove(&self, path: &Path) -> io::Result<()> {
        let removed = self.files.borrow_mut().remove(path);
        let removed = removed.ok_or(io::ErrorKind::NotFound)?;
        self.free.set(
            self.free
                .get()
                .saturating_add(removed.borrow().len() as u64),
        );
        Ok(())
    }

    async fn free_bytes(&self, _path: &Path) -> io::Result<u64> {
        Ok(self.free.get())
    }

    async fn pause(&self, _duration: Duration) {}

    fn spawn(&self, task: ColdTask) {
        self.tasks.borrow_mut().push(task);
    }
}
