//! The seam below the log: what storage asks of a disk. `runtime` implements it with io_uring, the
//! simulator with a virtual disk that crashes.
//!
//! Two ways to use it:
//!
//! * **Hot**: `write_durable` starts the write of a batch and returns at once. Its completion reaches the
//!   shard as an event and from there `Log::on_written`. The bytes are pinned by the [`Slice`] until then.
//! * **Cold**: plain `async fn`. Recovery, filling of spare segments, checkpoints and reads for slow
//!   followers are ordinary futures; whoever drives the shard polls them when their operations complete.
//!
//! All offsets, lengths and buffers of reads and writes are multiples of the write unit: direct I/O.

use super::block::{Block, Slice};
use std::future::Future;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::time::Duration;

/// Names a write under way: the batch sequence that it makes durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WriteToken(pub u64);

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// It must exist.
    Existing,
    /// It must not exist.
    New,
}

/// A task that storage hands to whoever drives the shard.
pub type ColdTask = Pin<Box<dyn Future<Output = ()>>>;

/// What storage asks of a disk. Handles are cheap to clone and belong to one shard's thread.
pub trait Disk: Clone + 'static {
    /// An open file.
    type File: Clone + 'static;

    /// Starts one durable write (direct, and flushed before it completes) at `offset_bytes`. The completion
    /// is delivered by the driver as the number of bytes written, or the error, under `token`.
    fn write_durable(&self, file: &Self::File, offset_bytes: u64, bytes: Slice, token: WriteToken);

    /// Opens a file for direct reading and writing.
    fn open(&self, path: &Path, mode: OpenMode) -> impl Future<Output = io::Result<Self::File>>;

    /// Length of an open file.
    fn size_bytes(&self, file: &Self::File) -> impl Future<Output = io::Result<u64>>;

    /// Reserves room for a file, without changing what is written already.
    fn allocate(&self, file: &Self::File, size_bytes: u64) -> impl Future<Output = io::Result<()>>;

    /// Gives the room of a part of a file back, whose bytes nobody needs any more.
    fn punch(
        &self,
        file: &Self::File,
        offset_bytes: u64,
        size_bytes: u64,
    ) -> impl Future<Output = io::Result<()>>;

    /// Reads into `buffer` from `offset_bytes`; gives the buffer back with the number of bytes read, which is
    /// smaller only at the end of the file.
    fn read(
        &self,
        file: &Self::File,
        offset_bytes: u64,
        buffer: Block,
    ) -> impl Future<Output = (io::Result<usize>, Block)>;

    /// Writes without making durable; gives the number of bytes written.
    fn write(
        &self,
        file: &Self::File,
        offset_bytes: u64,
        bytes: Slice,
    ) -> impl Future<Output = io::Result<usize>>;

    /// Makes everything written to the file durable, its length included.
    fn sync(&self, file: &Self::File) -> impl Future<Output = io::Result<()>>;

    /// Makes the names in a directory durable: a file that was made there may be missing after a crash until then.
    fn sync_directory(&self, path: &Path) -> impl Future<Output = io::Result<()>>;

    /// Makes a directory; it is no error when it exists.
    fn create_directory(&self, path: &Path) -> impl Future<Output = io::Result<()>>;

    /// Names of the files in a directory, sorted.
    fn list(&self, path: &Path) -> impl Future<Output = io::Result<Vec<String>>>;

    /// Removes a file.
    fn remove(&self, path: &Path) -> impl Future<Output = io::Result<()>>;

    /// Bytes that the file system of `path` can still hold.
    fn free_bytes(&self, path: &Path) -> impl Future<Output = io::Result<u64>>;

    /// Waits, so that cold work does not crowd out the foreground.
    fn pause(&self, duration: Duration) -> impl Future<Output = ()>;

    /// Starts a task beside the foreground; it ends by itself or when the shard stops.
    fn spawn(&self, task: ColdTask);
}
