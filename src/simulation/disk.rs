//! A virtual disk that crashes, tears, lies and decays, all from a seed: the simulator's [`storage::Disk`](Disk).
//!
//! Nothing happens by itself. Operations are queued with the time at which they end; the driver hands time in
//! ([`VirtualDisk::advance`]), polls the tasks ([`VirtualDisk::turn`]) and takes completed durable writes
//! ([`VirtualDisk::take_completions`]). A disk lives on through power cuts, and each start of the process above
//! is one *life* with a handle of its own:
//!
//! ```text
//!   VirtualDisk::new ──> life 1 ──crash(loss)──> life 2 ──crash(loss)──> ...
//!                          │ operation n is Fault::Crash: it and every later one of this life fail
//! ```
//!
//! Invariants:
//! * Equal seeds, plans and calls give equal bytes, completions and errors.
//! * A durable write whose completion was taken survives every power cut, unless its fault said *lost* or
//!   *misdirected*. One that was not taken is in flight: any of its sectors may be there after the cut.
//! * What was written but not synced is in the hands of the power cut, names and lengths included.

use crate::disk_contents::Contents;
use crate::disk_fault::{Fault, FaultPlan, Loss};
use crate::disk_names::FileId;
use crate::disk_state::{Flight, State, Wait, bytes_in, power_is_off};
use crate::tasks::{Flag, Task, Tasks};
use margay::storage::block::{Block, Slice};
use margay::storage::disk::{ColdTask, Disk, OpenMode, WriteToken};
use margay_types::ShardId;
use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// What kind of disk it is.
#[derive(Clone, Copy, Debug)]
pub struct DiskOptions {
    /// Decides everything that is not planned.
    pub seed: u64,
    /// What a power cut keeps or loses as a whole: 512 bytes or 4 KiB.
    pub sector_bytes: usize,
    /// Room for the lengths of all files.
    pub capacity_bytes: u64,
    /// Shortest time that an operation takes.
    pub latency_min: Duration,
    /// Longest time that an operation takes; when it differs from the shortest, operations overtake each other.
    pub latency_max: Duration,
}

impl Default for DiskOptions {
    /// Fast, and large enough for a test.
    fn default() -> Self {
        Self {
            seed: 0,
            sector_bytes: 512,
            capacity_bytes: 1 << 30,
            latency_min: Duration::ZERO,
            latency_max: Duration::ZERO,
        }
    }
}

/// A durable write that ended, as the driver delivers it to the log.
#[derive(Debug)]
pub struct Completion {
    /// Whose handle began the write.
    pub shard: ShardId,
    /// Names the write.
    pub token: WriteToken,
    /// Bytes written, or why not.
    pub result: io::Result<usize>,
}

/// An open file of a [`VirtualDisk`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VirtualFile(FileId);

/// One life's handle of a virtual disk.
#[derive(Clone)]
pub struct VirtualDisk {
    state: Rc<RefCell<State>>,
    tasks: Rc<RefCell<Tasks>>,
    life: u64,
    shard: ShardId,
}

impl VirtualDisk {
    /// A blank disk.
    #[must_use]
    pub fn new(options: DiskOptions) -> Self {
        Self::of(State::new(options))
    }

    fn of(state: State) -> Self {
        let life = state.life;
        let tasks = Rc::new(RefCell::new(Tasks::new(state.options.seed ^ life)));
        Self {
            state: Rc::new(RefCell::new(state)),
            tasks,
            life,
            shard: ShardId::FIRST,
        }
    }

    /// The handle of one of the shards that share the disk: its durable writes come back under its number.
    #[must_use]
    pub fn of_shard(&self, shard: ShardId) -> Self {
        Self {
            shard,
            ..self.clone()
        }
    }

    /// The faults of this life, from its operation 0 on.
    pub fn set_plan(&self, plan: FaultPlan) {
        self.state.borrow_mut().plan = plan;
    }

    /// How many operations this life has begun.
    #[must_use]
    pub fn operation_count(&self) -> u64 {
        self.state.borrow().operation_count
    }

    /// Did a planned crash happen in this life?
    #[must_use]
    pub fn is_crashed(&self) -> bool {
        let state = self.state.borrow();
        state.is_dead || state.life != self.life
    }

    /// How many sectors, names and lengths a power cut would decide about now (names not counted).
    #[must_use]
    pub fn undecided_count(&self) -> usize {
        self.state
            .borrow()
            .files
            .iter()
            .map(Contents::undecided_count)
            .sum()
    }

    /// Cuts the power, if that has not happened, settles what is left by `loss`, and starts the next life, whose
    /// handle is returned. Older handles fail from now on.
    #[must_use]
    pub fn crash(&self, loss: &Loss) -> Self {
        self.tasks.borrow_mut().clear();
        let mut state = self.state.borrow_mut();
        state.crash(loss);
        let tasks = Rc::new(RefCell::new(Tasks::new(state.options.seed ^ state.life)));
        Self {
            state: Rc::clone(&self.state),
            tasks,
            life: state.life,
            shard: self.shard,
        }
    }

    /// A second disk with the same bytes, names and writes in flight, for trying another end of the same story.
    /// Tasks and waiting futures stay behind.
    #[must_use]
    pub fn fork(&self) -> Self {
        Self::of(self.state.borrow().fork())
    }

    /// Time now, as it was handed in.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.state.borrow().now
    }

    /// Moves time on, and wakes who waited for it.
    pub fn advance(&self, now: Duration) {
        let woken = self.state.borrow_mut().advance(now);
        woken.into_iter().for_each(Waker::wake);
    }

    /// When the next operation or pause ends, if anything is under way.
    #[must_use]
    pub fn next_event(&self) -> Option<Duration> {
        self.state.borrow().next_event()
    }

    /// Polls tasks until none can go on; could one?
    pub fn turn(&self) -> bool {
        let mut worked = false;
        loop {
            let spawned: Vec<Task> = std::mem::take(&mut self.state.borrow_mut().spawned);
            let mut tasks = self.tasks.borrow_mut();
            spawned.into_iter().for_each(|task| tasks.push(task));
            if !tasks.turn() {
                return worked;
            }
            worked = true;
        }
    }

    /// Durable writes that have ended by now, in the order in which they ended.
    #[must_use]
    pub fn take_completions(&self) -> Vec<Completion> {
        self.state.borrow_mut().take_completions()
    }

    /// Drives the tasks and this future until it ends, moving time from event to event. Completions of durable
    /// writes stay queued.
    ///
    /// # Panics
    /// When the future waits for something that no operation will bring.
    pub fn run<F: Future>(&self, future: F) -> F::Output {
        let mut future = pin!(future);
        let flag = Flag::raised();
        let waker = Waker::from(flag.clone());
        loop {
            if flag.take()
                && let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker))
            {
                return output;
            }
            if self.turn() {
                continue;
            }
            let next = self.state.borrow().next_timer();
            let next = next.expect("a future waits although nothing is under way");
            self.advance(next.max(self.now()));
        }
    }

    /// One bit of a file changes on the medium. It is no operation: it happens while nobody looks.
    pub fn flip_bit(&self, path: &Path, offset_bytes: u64, bit: u32) -> io::Result<()> {
        self.decay(path, |contents| {
            contents.flip_bit(bytes_in(offset_bytes), bit)
        })
    }

    /// The medium holds other bytes from now on.
    pub fn overwrite(&self, path: &Path, offset_bytes: u64, bytes: &[u8]) -> io::Result<()> {
        self.decay(path, |contents| {
            contents.overwrite(bytes_in(offset_bytes), bytes)
        })
    }

    /// Reads of this part of a file fail until it is written again.
    pub fn fail_reads(&self, path: &Path, range: Range<u64>) -> io::Result<()> {
        let range = bytes_in(range.start)..bytes_in(range.end);
        self.decay(path, |contents| contents.fail_reads(range))
    }

    /// The file ends here from now on.
    pub fn cut(&self, path: &Path, size_bytes: u64) -> io::Result<()> {
        self.decay(path, |contents| contents.cut(bytes_in(size_bytes)))
    }

    /// A file vanishes, durably.
    pub fn lose_file(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state.borrow_mut();
        state.names.remove(path)?;
        if let Some(directory) = path.parent() {
            state.names.sync_directory(directory);
        }
        Ok(())
    }

    /// What a reader would see of a file, without counting as an operation.
    pub fn bytes(&self, path: &Path) -> io::Result<Vec<u8>> {
        let state = self.state.borrow();
        let FileId(at) = state.names.file(path)?;
        Ok(state.files[at].visible().to_vec())
    }

    /// Room for the lengths of all files from now on.
    pub fn set_capacity_bytes(&self, capacity_bytes: u64) {
        self.state.borrow_mut().options.capacity_bytes = capacity_bytes;
    }

    fn decay(&self, path: &Path, change: impl FnOnce(&mut Contents)) -> io::Result<()> {
        let mut state = self.state.borrow_mut();
        let FileId(at) = state.names.file(path)?;
        change(&mut state.files[at]);
        Ok(())
    }

    /// Counts one operation and waits until it ends; the fault that is planned for it, if any is left to the caller.
    async fn operate(&self) -> io::Result<Option<Fault>> {
        let (due, fault) = {
            let mut state = self.state.borrow_mut();
            let fault = state.begin(self.life)?;
            (state.due(fault), fault)
        };
        self.wait_until(due).await?;
        match fault {
            Some(Fault::Error) => Err(io::Error::other("input or output failed")),
            Some(Fault::Full) => Err(io::ErrorKind::StorageFull.into()),
            other => Ok(other),
        }
    }

    async fn wait_until(&self, due: Duration) -> io::Result<()> {
        Wait {
            state: Rc::clone(&self.state),
            due,
        }
        .await;
        let state = self.state.borrow();
        if state.is_dead || state.life != self.life {
            Err(power_is_off())
        } else {
            Ok(())
        }
    }
}

impl Disk for VirtualDisk {
    type File = VirtualFile;

    fn write_durable(
        &self,
        file: &VirtualFile,
        offset_bytes: u64,
        bytes: Slice,
        token: WriteToken,
    ) {
        let mut state = self.state.borrow_mut();
        // A life that is over gets no answers: its process is gone.
        let Ok(fault) = state.begin_write(self.life) else {
            return;
        };
        let arrival = state.start_write(file.0, offset_bytes, &bytes, fault);
        let due = state.due(fault);
        if !state.is_dead {
            state.flights.push(Flight {
                shard: self.shard,
                token,
                due,
                arrival,
            });
        }
    }

    async fn open(&self, path: &Path, mode: OpenMode) -> io::Result<VirtualFile> {
        self.operate().await?;
        let mut state = self.state.borrow_mut();
        match mode {
            OpenMode::Existing => state.names.file(path).map(VirtualFile),
            OpenMode::New => state.create_file(path).map(VirtualFile),
        }
    }

    async fn size_bytes(&self, file: &VirtualFile) -> io::Result<u64> {
        self.operate().await?;
        let state = self.state.borrow();
        Ok(state.files[file.0.0].size_bytes() as u64)
    }

    async fn allocate(&self, file: &VirtualFile, size_bytes: u64) -> io::Result<()> {
        self.operate().await?;
        self.state.borrow_mut().grow(file.0, size_bytes)
    }

    async fn punch(
        &self,
        file: &VirtualFile,
        offset_bytes: u64,
        size_bytes: u64,
    ) -> io::Result<()> {
        self.operate().await?;
        let mut state = self.state.borrow_mut();
        state.punch(file.0, bytes_in(offset_bytes), bytes_in(size_bytes));
        Ok(())
    }

    async fn read(
        &self,
        file: &VirtualFile,
        offset_bytes: u64,
        mut buffer: Block,
    ) -> (io::Result<usize>, Block) {
        if let Err(error) = self.operate().await {
            return (Err(error), buffer);
        }
        let state = self.state.borrow();
        let result = state.files[file.0.0].read(bytes_in(offset_bytes), buffer.bytes_mut());
        (result, buffer)
    }

    async fn write(
        &self,
        file: &VirtualFile,
        offset_bytes: u64,
        bytes: Slice,
    ) -> io::Result<usize> {
        let (due, arrival) = {
            let mut state = self.state.borrow_mut();
            let fault = state.begin_write(self.life)?;
            (
                state.due(fault),
                state.start_write(file.0, offset_bytes, &bytes, fault),
            )
        };
        self.wait_until(due).await?;
        self.state.borrow_mut().finish_write(arrival)
    }

    async fn sync(&self, file: &VirtualFile) -> io::Result<()> {
        let outcome = self.operate().await;
        let mut state = self.state.borrow_mut();
        let is_over = state.is_dead || state.life != self.life;
        let contents = &mut state.files[file.0.0];
        match outcome {
            Ok(Some(Fault::Lost)) => Ok(()),
            Ok(_) => {
                contents.sync();
                Ok(())
            }
            Err(error) => {
                // A power cut in the middle of a sync leaves the fates open; a reported error seals them.
                if !is_over {
                    contents.fail_sync();
                }
                Err(error)
            }
        }
    }

    async fn sync_directory(&self, path: &Path) -> io::Result<()> {
        self.operate().await?;
        self.state.borrow_mut().names.sync_directory(path);
        Ok(())
    }

    async fn create_directory(&self, path: &Path) -> io::Result<()> {
        self.operate().await?;
        self.state.borrow_mut().names.create_directory(path)
    }

    async fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        self.operate().await?;
        self.state.borrow().names.list(path)
    }

    async fn remove(&self, path: &Path) -> io::Result<()> {
        self.operate().await?;
        self.state.borrow_mut().names.remove(path)
    }

    async fn free_bytes(&self, _path: &Path) -> io::Result<u64> {
        self.operate().await?;
        Ok(self.state.borrow().free_bytes())
    }

    async fn pause(&self, duration: Duration) {
        let due = self.now() + duration;
        // Whoever pauses in a life that is over finds out at its next operation.
        let _ = self.wait_until(due).await;
    }

    fn spawn(&self, task: ColdTask) {
        self.state.borrow_mut().spawned.push(task);
    }
}
