//! Keeps segments ready: fills new ones, takes freed ones back, and is the only one that writes the manifest.
//!
//! ```text
//!                 fill, sync, sync folder, list                     switch
//!   no file ───────────────────────────────────────> ready ───────────────────> in use
//!                                                     │ ^                         │ everything in it is elsewhere,
//!                                                     │ │ list under the          │ or not needed
//!                                                     │ │ next generation         v
//!      removed <── give back piece by piece ── unlist ┘ └────────────────────── freed
//!                                         too many
//! ```
//!
//! A spare is listed in the manifest *before* it is used, so a switch of segments writes no manifest. A file
//! that was never written costs file system metadata with every write, so a spare is written once with zeros,
//! in small pieces without sync, and synced once. The pieces are paced while there is another spare.
//!
//! What is in use comes and goes with every checkpoint. So a spare is too many only when it was not needed for many
//! switches: one that is removed when some are freed would be filled anew when they are wanted, and each byte of the
//! log be written twice.
//!
//! The log and the task share [`SpareState`]; the task runs while there is something to do and then ends.

use super::batch::{HeaderHash, SegmentName};
use super::block::Block;
use super::disk::{Disk, OpenMode};
use super::error::StorageError;
use super::log_manifest::{FullSegment, LogManifest, SegmentEntry};
use super::manifest::ManifestFiles;
use super::resume::SpareSegment;
use super::segment::segment_path;
use crate::limits;
use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

/// A segment that nobody needs any more.
#[derive(Debug)]
pub(crate) struct FreedSegment<F> {
    /// Which file, in the life that ended.
    pub(crate) name: SegmentName,
    /// The file.
    pub(crate) file: F,
    /// Held by reads that are under way.
    pub(crate) pin: Rc<()>,
}

/// What log and task share.
#[derive(Debug)]
pub(crate) struct SpareState<F> {
    /// What the manifest has to list.
    entries: BTreeMap<u32, SegmentEntry>,
    ready: VecDeque<SpareSegment<F>>,
    freed: VecDeque<FreedSegment<F>>,
    wanted: usize,
    segments_max: usize,
    /// Segments that were taken since spares were last reviewed, and the fewest spares meanwhile.
    taken: usize,
    fewest_ready: usize,
    /// Spares that nobody needed for long.
    too_many: usize,
    is_running: bool,
    /// The disk had no room for another segment when it was tried last.
    is_disk_full: bool,
    /// It may be tried once more.
    may_try_again: bool,
    failure: Option<StorageError>,
}

/// The next thing to do.
#[derive(Debug)]
enum Step<F> {
    Recycle(FreedSegment<F>),
    Remove(SpareSegment<F>),
    Fill(u32),
}

impl<F: Clone> SpareState<F> {
    pub(crate) fn new(
        entries: Vec<SegmentEntry>,
        ready: Vec<SpareSegment<F>>,
        wanted: usize,
        segments_max: usize,
    ) -> Self {
        Self {
            entries: entries
                .into_iter()
                .map(|entry| (entry.name.number, entry))
                .collect(),
            taken: 0,
            fewest_ready: ready.len(),
            too_many: 0,
            ready: ready.into(),
            freed: VecDeque::new(),
            wanted,
            segments_max,
            is_running: false,
            is_disk_full: false,
            may_try_again: false,
            failure: None,
        }
    }

    /// Takes a segment to write to.
    pub(crate) fn take_ready(&mut self) -> Option<SpareSegment<F>> {
        let taken = self.ready.pop_front();
        self.taken += usize::from(taken.is_some());
        self.fewest_ready = self.fewest_ready.min(self.ready.len());
        if self.taken >= limits::SPARES_REVIEW_SEGMENTS {
            self.too_many = self.fewest_ready.saturating_sub(self.wanted);
            (self.taken, self.fewest_ready) = (0, self.ready.len());
        }
        taken
    }

    /// Segments that could be taken now.
    pub(crate) fn ready_count(&self) -> usize {
        self.ready.len()
    }

    /// Segments that there are.
    pub(crate) fn listed_count(&self) -> usize {
        self.entries.len()
    }

    /// Could another segment be made, as far as is known?
    pub(crate) fn can_make(&self) -> bool {
        let may_fill = self.entries.len() < self.segments_max && !self.is_disk_full;
        may_fill || !self.freed.is_empty()
    }

    /// A segment is full: the next manifest says what it holds.
    pub(crate) fn on_full(&mut self, name: SegmentName, full: FullSegment) {
        let entry = self.entries.get_mut(&name.number);
        let entry = entry.unwrap_or_else(|| panic!("segment {} is not listed", name.number));
        assert!(
            entry.name == name,
            "segment {name:?} is listed as {:?}",
            entry.name
        );
        entry.full = Some(full);
    }

    /// Nobody needs the segment.
    pub(crate) fn free(&mut self, segment: FreedSegment<F>) {
        self.freed.push_back(segment);
    }

    /// The disk may have room again.
    pub(crate) fn try_again(&mut self) {
        self.may_try_again = true;
    }

    /// What went wrong for good.
    pub(crate) fn failure(&self) -> Option<StorageError> {
        self.failure.clone()
    }

    fn has_work(&self) -> bool {
        self.can_reuse() || self.has_too_many() || self.must_fill()
    }

    fn has_too_many(&self) -> bool {
        self.too_many > 0 && self.ready.len() > self.wanted
    }

    /// Only the oldest: what stands in a later one may be what keeps records of an earlier one dead.
    fn can_reuse(&self) -> bool {
        self.freed.front().is_some_and(is_unpinned)
    }

    fn must_fill(&self) -> bool {
        self.ready.len() + self.freed.len() < self.wanted
            && self.entries.len() < self.segments_max
            && (!self.is_disk_full || self.may_try_again)
    }

    fn next_step(&mut self) -> Option<Step<F>> {
        if let Some(freed) = self.freed.pop_front_if(|freed| is_unpinned(freed)) {
            return Some(Step::Recycle(freed));
        }
        if self.has_too_many() {
            self.too_many -= 1;
            return self.ready.pop_back().map(Step::Remove);
        }
        let must_fill = self.must_fill();
        self.may_try_again = false;
        must_fill.then(|| Step::Fill(free_number(self.entries.keys().copied())))
    }
}

/// The smallest number that no listed segment has; they are listed in order.
pub(crate) fn free_number(listed: impl Iterator<Item = u32>) -> u32 {
    let taken = (1..)
        .zip(listed)
        .take_while(|(number, listed)| number == listed);
    taken.last().map_or(1, |(number, _)| number + 1)
}

/// Does no read hold it any more?
fn is_unpinned<F>(freed: &FreedSegment<F>) -> bool {
    Rc::strong_count(&freed.pin) == 1
}

/// Makes segments for one log.
pub(crate) struct Spares<D: Disk> {
    disk: D,
    directory: PathBuf,
    log_id: u32,
    segment_bytes: u64,
    pause: Duration,
    state: Rc<RefCell<SpareState<D::File>>>,
    /// Held by the task while it runs.
    manifest: Rc<RefCell<Option<ManifestFiles<D>>>>,
}

impl<D: Disk> Clone for Spares<D> {
    fn clone(&self) -> Self {
        Self {
            disk: self.disk.clone(),
            directory: self.directory.clone(),
            state: Rc::clone(&self.state),
            manifest: Rc::clone(&self.manifest),
            ..*self
        }
    }
}

impl<D: Disk> Spares<D> {
    pub(crate) fn new(
        disk: D,
        directory: PathBuf,
        manifest: ManifestFiles<D>,
        (log_id, segment_bytes, pause): (u32, u64, Duration),
        state: SpareState<D::File>,
    ) -> Self {
        let state = Rc::new(RefCell::new(state));
        let manifest = Rc::new(RefCell::new(Some(manifest)));
        Self {
            disk,
            directory,
            log_id,
            segment_bytes,
            pause,
            state,
            manifest,
        }
    }

    /// What is shared with the task. Never hold it across an `.await`.
    pub(crate) fn state(&self) -> &RefCell<SpareState<D::File>> {
        &self.state
    }

    /// Starts the task if there is something to do and it does not run.
    pub(crate) fn wake(&self) {
        let mut state = self.state.borrow_mut();
        if state.is_running || state.failure.is_some() || !state.has_work() {
            return;
        }
        state.is_running = true;
        drop(state);
        let spares = self.clone();
        self.disk.spawn(Box::pin(async move { spares.run().await }));
    }

    async fn run(self) {
        let manifest = self.manifest.borrow_mut().take();
        let mut manifest = manifest.expect("one task at a time has the manifest");
        loop {
            let step = self.state.borrow_mut().next_step();
            let Some(step) = step else { break };
            if let Err(failure) = self.carry_out(step, &mut manifest).await {
                self.state.borrow_mut().failure = Some(failure);
                break;
            }
        }
        *self.manifest.borrow_mut() = Some(manifest);
        self.state.borrow_mut().is_running = false;
    }

    async fn carry_out(
        &self,
        step: Step<D::File>,
        manifest: &mut ManifestFiles<D>,
    ) -> Result<(), StorageError> {
        match step {
            Step::Recycle(freed) => {
                let number = freed.name.number;
                let name = SegmentName {
                    number,
                    generation: freed.name.generation + 1,
                };
                let entry = SegmentEntry { name, full: None };
                self.state.borrow_mut().entries.insert(number, entry);
                self.write_manifest(manifest).await?;
                self.state.borrow_mut().ready.push_back(SpareSegment {
                    name,
                    file: freed.file,
                });
                Ok(())
            }
            Step::Remove(SpareSegment { name, file }) => {
                self.state.borrow_mut().entries.remove(&name.number);
                self.write_manifest(manifest).await?;
                self.give_back(file).await;
                let path = segment_path(&self.directory, name.number);
                let removed = self.disk.remove(&path).await;
                removed.map_err(|error| StorageError::io("remove", &path, error))
            }
            Step::Fill(number) => self.add(number, manifest).await,
        }
    }

    /// Gives the room of a file back in small pieces, and closes it before it is removed: what the file system does
    /// about a file that goes as a whole takes long, and would be done by whoever closes it last, the foreground.
    async fn give_back(&self, file: D::File) {
        let mut left = self.segment_bytes;
        while left > 0 {
            let piece = left.min(limits::REMOVE_BYTES);
            left -= piece;
            if self.disk.punch(&file, left, piece).await.is_err() {
                // The file system cannot do it, or fails, which the removal will tell.
                return;
            }
            self.disk.pause(self.pause).await;
        }
    }

    /// Makes a segment, or finds that the disk is full, which is no failure.
    async fn add(&self, number: u32, manifest: &mut ManifestFiles<D>) -> Result<(), StorageError> {
        let path = segment_path(&self.directory, number);
        let filled = fill(&self.disk, &path, self.segment_bytes, || self.pace()).await;
        let file = match filled {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::StorageFull => {
                self.state.borrow_mut().is_disk_full = true;
                let _ = self.disk.remove(&path).await;
                return Ok(());
            }
            Err(error) => return Err(StorageError::io("fill", &path, error)),
        };
        let synced = self.disk.sync_directory(&self.directory).await;
        synced.map_err(|error| StorageError::io("sync", &self.directory, error))?;
        let name = SegmentName {
            number,
            generation: 1,
        };
        self.state
            .borrow_mut()
            .entries
            .insert(number, SegmentEntry { name, full: None });
        self.write_manifest(manifest).await?;
        let mut state = self.state.borrow_mut();
        state.ready.push_back(SpareSegment { name, file });
        state.is_disk_full = false;
        Ok(())
    }

    /// The pause between two pieces, while there is a spare beside the reserve. Without one the foreground is about
    /// to stand still, which is worse than slow writes.
    fn pace(&self) -> Option<Duration> {
        let has_spare = self.state.borrow().ready_count() > limits::RESERVE_SEGMENTS;
        has_spare.then_some(self.pause)
    }

    async fn write_manifest(&self, manifest: &mut ManifestFiles<D>) -> Result<(), StorageError> {
        let body = {
            let state = self.state.borrow();
            let segments = state.entries.values().copied().collect();
            let (log_id, segment_bytes) = (self.log_id, self.segment_bytes);
            LogManifest {
                log_id,
                segment_bytes,
                segments,
            }
            .encode()
        };
        manifest.replace(body).await
    }
}

/// Makes a file of a segment's size, written once with zeros and synced. A file of that name is a remain of an
/// interrupted filling and goes first. `pause` is asked after every piece; `None` goes on at once.
pub(crate) async fn fill<D: Disk>(
    disk: &D,
    path: &Path,
    size_bytes: u64,
    pause: impl Fn() -> Option<Duration>,
) -> io::Result<D::File> {
    match write_zeros(disk, path, size_bytes, pause).await {
        // A quota is a disk of its own: it can be full while the one below has room, and is raised like one.
        Err(error) if error.kind() == io::ErrorKind::QuotaExceeded => {
            Err(io::Error::new(io::ErrorKind::StorageFull, error))
        }
        filled => filled,
    }
}

async fn write_zeros<D: Disk>(
    disk: &D,
    path: &Path,
    size_bytes: u64,
    pause: impl Fn() -> Option<Duration>,
) -> io::Result<D::File> {
    let folder = path.parent().unwrap_or(path);
    if disk.free_bytes(folder).await? < size_bytes {
        return Err(io::ErrorKind::StorageFull.into());
    }
    let file = match disk.open(path, OpenMode::New).await {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            disk.remove(path).await?;
            disk.open(path, OpenMode::New).await?
        }
        opened => opened?,
    };
    disk.allocate(&file, size_bytes).await?;
    let mut zeros = Block::with_capacity(limits::FILL_BYTES);
    zeros.append_zeros(limits::FILL_BYTES);
    let zeros = zeros.whole();
    let mut at = 0;
    while at < size_bytes {
        let left = usize::try_from(size_bytes - at).unwrap_or(usize::MAX);
        let piece = zeros.part(0..left.min(zeros.len()));
        let length = piece.len();
        if disk.write(&file, at, piece).await? != length {
            return Err(io::ErrorKind::StorageFull.into());
        }
        at += length as u64;
        if let Some(pause) = pause() {
            disk.pause(pause).await;
        }
    }
    disk.sync(&file).await?;
    Ok(file)
}

/// Makes a new, empty log in `directory`: its folder, its spares and its manifest, all durable.
///
/// # Errors
/// If there is one already, or the disk fails or is full.
pub async fn format_log<D: Disk>(
    disk: &D,
    directory: &Path,
    log_id: u32,
    options: &super::options::LogOptions,
) -> Result<(), StorageError> {
    options.check();
    let failed = |action, error| StorageError::io(action, directory, error);
    disk.create_directory(directory)
        .await
        .map_err(|error| failed("create", error))?;
    let count = u32::try_from(options.spares + limits::RESERVE_SEGMENTS + 1).unwrap_or(u32::MAX);
    let mut segments = Vec::new();
    for number in 1..=count {
        let path = segment_path(directory, number);
        let filled = fill(disk, &path, options.segment_bytes, || None).await;
        filled.map_err(|error| StorageError::io("fill", &path, error))?;
        segments.push(SegmentEntry {
            name: SegmentName {
                number,
                generation: 1,
            },
            full: None,
        });
    }
    disk.sync_directory(directory)
        .await
        .map_err(|error| failed("sync", error))?;
    let body = LogManifest {
        log_id,
        segment_bytes: options.segment_bytes,
        segments,
    }
    .encode();
    let kind = super::manifest::ManifestKind::Log;
    ManifestFiles::create(disk.clone(), directory, kind, body).await?;
    if let Some(data) = directory.parent() {
        let synced = disk.sync_directory(data).await;
        synced.map_err(|error| StorageError::io("sync", data, error))?;
    }
    Ok(())
}

/// What the manifest says of a segment whose batches are known.
#[must_use]
pub(crate) fn full_segment(first: u64, last: u64, hash: HeaderHash) -> FullSegment {
    assert!(
        first > 0 && first <= last,
        "a segment from batch {first} to {last}"
    );
    FullSegment {
        first_sequence: first,
        last_sequence: last,
        last_hash: hash,
    }
}

#[cfg(test)]
mod tests {
    use super::super::manifest::ManifestKind;
    use super::super::options::LogOptions;
    use super::super::test_disk::{TestDisk, TestFile, run};
    use super::*;

    const DIRECTORY: &str = "data/log-1";

    /// A log with four blank segments of which `ready` are taken for spares; `wanted` are to be kept.
    fn spares(disk: &TestDisk, ready: usize, wanted: usize) -> Spares<TestDisk> {
        let directory = Path::new(DIRECTORY);
        let options = LogOptions {
            segment_bytes: 128 << 10,
            ..LogOptions::small()
        };
        run(format_log(disk, directory, 1, &options)).unwrap();
        let (manifest, _) = run(ManifestFiles::open(
            disk.clone(),
            directory,
            ManifestKind::Log,
        ))
        .unwrap();
        let listed = listed(disk);
        let segment = |entry: &SegmentEntry| {
            let path = segment_path(directory, entry.name.number);
            let file = run(disk.open(&path, OpenMode::Existing)).unwrap();
            SpareSegment {
                name: entry.name,
                file,
            }
        };
        let ready = listed.iter().rev().take(ready).map(segment).collect();
        let state = SpareState::new(listed, ready, wanted, 16);
        let numbers = (1, options.segment_bytes, Duration::ZERO);
        Spares::new(disk.clone(), directory.to_owned(), manifest, numbers, state)
    }

    fn listed(disk: &TestDisk) -> Vec<SegmentEntry> {
        let directory = Path::new(DIRECTORY);
        let (_, body) = run(ManifestFiles::open(
            disk.clone(),
            directory,
            ManifestKind::Log,
        ))
        .unwrap();
        LogManifest::parse(&body).unwrap().segments
    }

    fn freed(disk: &TestDisk, number: u32) -> FreedSegment<TestFile> {
        let path = segment_path(Path::new(DIRECTORY), number);
        let file = run(disk.open(&path, OpenMode::Existing)).unwrap();
        let name = SegmentName {
            number,
            generation: 1,
        };
        FreedSegment {
            name,
            file,
            pin: Rc::new(()),
        }
    }

    /// Takes so many spares, and frees them again.
    fn switch(spares: &Spares<TestDisk>, disk: &TestDisk, count: usize) {
        let mut state = spares.state().borrow_mut();
        let taken: Vec<_> = (0..count).filter_map(|_| state.take_ready()).collect();
        assert_eq!(taken.len(), count, "there are spares enough");
        for SpareSegment { name, file } in taken {
            let pin = Rc::new(());
            state.free(FreedSegment { name, file, pin });
        }
        drop(state);
        spares.wake();
        disk.run_tasks();
    }

    #[test]
    fn a_new_spare_is_filled_and_listed_before_it_can_be_taken() {
        let disk = TestDisk::new();
        let spares = spares(&disk, 1, 3);
        spares.wake();
        disk.run_tasks();
        assert_eq!(spares.state().borrow().ready_count(), 3);
        let numbers: Vec<u32> = listed(&disk)
            .iter()
            .map(|entry| entry.name.number)
            .collect();
        assert_eq!(numbers, [1, 2, 3, 4, 5, 6]);
        let path = segment_path(Path::new(DIRECTORY), 6);
        assert_eq!(disk.contents(&path).unwrap().len(), 128 << 10);
    }

    #[test]
    fn a_remain_of_an_interrupted_filling_is_filled_anew() {
        let disk = TestDisk::new();
        let spares = spares(&disk, 1, 2);
        let path = segment_path(Path::new(DIRECTORY), 5);
        let remain = run(disk.open(&path, OpenMode::New)).unwrap();
        run(disk.write(&remain, 0, Block::holding(b"half").whole())).unwrap();
        spares.wake();
        disk.run_tasks();
        assert_eq!(spares.state().borrow().ready_count(), 2);
        assert!(disk.contents(&path).unwrap().iter().all(|byte| *byte == 0));
    }

    #[test]
    fn segments_that_come_and_go_are_neither_removed_nor_filled() {
        let disk = TestDisk::new();
        let spares = spares(&disk, 4, 1);
        for _ in 0..limits::SPARES_REVIEW_SEGMENTS {
            switch(&spares, &disk, 3);
        }
        let entries = listed(&disk);
        let numbers: Vec<u32> = entries.iter().map(|entry| entry.name.number).collect();
        assert_eq!(numbers, [1, 2, 3, 4]);
        let was_used_anew = |entry: &SegmentEntry| entry.name.generation > 1;
        assert!(entries.iter().all(was_used_anew), "{entries:?}");
        assert_eq!(disk.punched.get(), 0);
    }

    #[test]
    fn spares_that_nobody_needed_for_long_are_removed_piece_by_piece() {
        let disk = TestDisk::new();
        let spares = spares(&disk, 4, 1);
        for _ in 1..limits::SPARES_REVIEW_SEGMENTS {
            switch(&spares, &disk, 1);
        }
        assert_eq!(listed(&disk).len(), 4, "one could still be needed");
        switch(&spares, &disk, 1);
        assert_eq!(listed(&disk).len(), 2, "one was in use, one is to be ready");
        assert_eq!(spares.state().borrow().ready_count(), 2);
        assert_eq!(disk.names().len(), 2);
        assert_eq!(disk.punched.get(), 2 * (128 << 10));
    }

    #[test]
    fn a_pinned_segment_waits_until_its_reader_is_done() {
        let disk = TestDisk::new();
        let spares = spares(&disk, 1, 2);
        let segment = freed(&disk, 1);
        let pin = Rc::clone(&segment.pin);
        spares.state().borrow_mut().free(segment);
        spares.wake();
        disk.run_tasks();
        assert_eq!(spares.state().borrow().ready_count(), 1);
        drop(pin);
        spares.wake();
        disk.run_tasks();
        assert_eq!(spares.state().borrow().ready_count(), 2);
    }

    #[test]
    fn a_full_disk_is_no_failure_and_is_tried_again_only_when_told() {
        let disk = TestDisk::new();
        let spares = spares(&disk, 1, 2);
        disk.free.set(1000);
        spares.wake();
        disk.run_tasks();
        assert!(!spares.state().borrow().can_make());
        assert!(spares.state().borrow().failure().is_none());
        disk.free.set(u64::MAX);
        spares.wake();
        disk.run_tasks();
        assert_eq!(spares.state().borrow().ready_count(), 1);
        spares.state().borrow_mut().try_again();
        assert!(!spares.state().borrow().can_make(), "nothing is known yet");
        spares.wake();
        disk.run_tasks();
        assert_eq!(spares.state().borrow().ready_count(), 2);
        assert!(spares.state().borrow().can_make());
    }
}
