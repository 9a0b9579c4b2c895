//! `storage::Disk` over the ring of a core.
//!
//! A durable write goes straight into the next submission of the loop; all else is a cold operation that its
//! future waits for. Listing a directory and asking for room are done by the helper thread.

use super::cold::{Finished, Io};
use super::helper::{Job, JobAnswer};
use super::operation::{Descriptor, Operation};
use super::ring::Product;
use crate::storage::{Block, ColdTask, Disk, OpenMode, Pool, Slice, WriteToken};
use io_uring::types::Timespec;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

/// An open file of a [`RingDisk`].
#[derive(Clone, Debug)]
pub struct RingFile(Descriptor);

/// A durable write that waits for the loop.
pub(super) type QueuedWrite = (WriteToken, Operation);

/// The disk of one core.
#[derive(Clone)]
pub struct RingDisk {
    io: Rc<Io>,
    writes: Rc<RefCell<VecDeque<QueuedWrite>>>,
    registration: Rc<RefCell<Option<(Pool, u16)>>>,
}

impl RingDisk {
    /// The disk whose cold operations go through `io`.
    pub(super) fn new(io: Rc<Io>) -> Self {
        Self {
            io,
            writes: Rc::default(),
            registration: Rc::default(),
        }
    }

    /// The next durable write for the ring.
    pub(super) fn take_write(&self) -> Option<QueuedWrite> {
        self.writes.borrow_mut().pop_front()
    }

    /// The pool whose blocks shall be registered, when one was named.
    pub(super) fn take_registration(&self) -> Option<(Pool, u16)> {
        self.registration.borrow_mut().take()
    }

    /// Has the first `count` blocks of `pool` registered with the kernel, where the memory-lock limit allows; writes
    /// are right either way. At most once, and before a block is taken out of the pool.
    pub fn register(&self, pool: &Pool, count: u16) {
        *self.registration.borrow_mut() = Some((pool.clone(), count));
    }

    async fn run(&self, operation: Operation) -> io::Result<()> {
        self.io.run(operation).await.result.map(|_| ())
    }

    async fn open_flags(&self, path: &Path, flags: i32) -> io::Result<Descriptor> {
        let path = path_of(path)?;
        let finished = self.io.run(Operation::Open { path, flags }).await;
        finished.result?;
        match finished.product {
            Product::Descriptor(descriptor) => Ok(Rc::new(descriptor)),
            Product::Nothing
            | Product::Received(_)
            | Product::SizeBytes(_)
            | Product::Signal(_) => unreachable!("an open that succeeds makes a descriptor"),
        }
    }
}

impl Disk for RingDisk {
    type File = RingFile;

    fn write_durable(&self, file: &RingFile, offset_bytes: u64, bytes: Slice, token: WriteToken) {
        let operation = Operation::WriteDurable {
            file: Rc::clone(&file.0),
            offset_bytes,
            bytes,
        };
        self.writes.borrow_mut().push_back((token, operation));
    }

    async fn open(&self, path: &Path, mode: OpenMode) -> io::Result<RingFile> {
        let creation = match mode {
            OpenMode::Existing => 0,
            OpenMode::New => libc::O_CREAT | libc::O_EXCL,
        };
        self.open_flags(path, libc::O_RDWR | libc::O_DIRECT | creation)
            .await
            .map(RingFile)
    }

    async fn size_bytes(&self, file: &RingFile) -> io::Result<u64> {
        let file = Rc::clone(&file.0);
        let finished = self.io.run(Operation::Size { file }).await;
        finished.result?;
        match finished.product {
            Product::SizeBytes(size_bytes) => Ok(size_bytes),
            Product::Nothing
            | Product::Descriptor(_)
            | Product::Received(_)
            | Product::Signal(_) => unreachable!("a size that was read is a size"),
        }
    }

    async fn allocate(&self, file: &RingFile, size_bytes: u64) -> io::Result<()> {
        let file = Rc::clone(&file.0);
        self.run(Operation::Allocate { file, size_bytes }).await
    }

    async fn punch(&self, file: &RingFile, offset_bytes: u64, size_bytes: u64) -> io::Result<()> {
        self.run(Operation::Punch {
            file: Rc::clone(&file.0),
            offset_bytes,
            size_bytes,
        })
        .await
    }

    async fn read(
        &self,
        file: &RingFile,
        offset_bytes: u64,
        buffer: Block,
    ) -> (io::Result<usize>, Block) {
        let finished = self
            .io
            .run(Operation::Read {
                file: Rc::clone(&file.0),
                offset_bytes,
                block: buffer,
            })
            .await;
        let count = moved(&finished);
        let Operation::Read { block, .. } = finished.operation else {
            unreachable!("a read comes back as a read")
        };
        (count, block)
    }

    async fn write(&self, file: &RingFile, offset_bytes: u64, bytes: Slice) -> io::Result<usize> {
        let finished = self
            .io
            .run(Operation::Write {
                file: Rc::clone(&file.0),
                offset_bytes,
                bytes,
            })
            .await;
        moved(&finished)
    }

    async fn sync(&self, file: &RingFile) -> io::Result<()> {
        let file = Rc::clone(&file.0);
        self.run(Operation::Sync { file }).await
    }

    async fn sync_directory(&self, path: &Path) -> io::Result<()> {
        let file = self
            .open_flags(path, libc::O_RDONLY | libc::O_DIRECTORY)
            .await?;
        self.run(Operation::Sync { file }).await
    }

    async fn create_directory(&self, path: &Path) -> io::Result<()> {
        let path = path_of(path)?;
        match self.run(Operation::MakeDirectory { path }).await {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            result => result,
        }
    }

    async fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let JobAnswer::Listed(names) = self.io.ask(Job::List(path.to_owned())).await? else {
            unreachable!("a list was asked for")
        };
        names
    }

    async fn remove(&self, path: &Path) -> io::Result<()> {
        let path = path_of(path)?;
        self.run(Operation::Remove { path }).await
    }

    async fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        let JobAnswer::FreeBytes(bytes) = self.io.ask(Job::FreeBytes(path.to_owned())).await?
        else {
            unreachable!("free bytes were asked for")
        };
        bytes
    }

    async fn pause(&self, duration: Duration) {
        let duration = Timespec::from(duration);
        // The error is ETIME, which is what was waited for, or ECANCELED, after which nothing starts any more.
        let _ = self.run(Operation::Pause { duration }).await;
    }

    fn spawn(&self, task: ColdTask) {
        self.io.spawn(task);
    }
}

fn moved(finished: &Finished) -> io::Result<usize> {
    match &finished.result {
        Ok(count) => Ok(usize::try_from(*count).expect("a count of 32 bits")),
        Err(error) => Err(io::Error::from_raw_os_error(
            error
                .raw_os_error()
                .expect("the kernel answers with numbers"),
        )),
    }
}

fn path_of(path: &Path) -> io::Result<CString> {
    CString::new(path.as_os_str().as_bytes())
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "a path with a zero byte"))
}
