//! What a virtual disk consists of: files, names, writes under way, the clock it was told, and its faults.

use crate::disk::{Completion, DiskOptions};
use crate::disk_contents::Contents;
use crate::disk_fault::{Fault, FaultPlan, Loss};
use crate::disk_names::{FileId, Names};
use crate::tasks::Task;
use margay::storage::disk::WriteToken;
use margay_types::{Random, ShardId};
use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// How a write that has begun will end.
#[derive(Clone, Debug)]
pub(crate) enum Arrival {
    /// Its bytes are there; it reports this many.
    Reaches {
        /// In which file.
        file: FileId,
        /// Names the pending write there.
        number: u64,
        /// What it reports.
        reported: usize,
    },
    /// It reports success and nothing is there.
    Vanishes {
        /// What it reports.
        reported: usize,
    },
    /// It reports this error. What it may have left is decided by the next power cut.
    Fails(io::ErrorKind),
}

/// A durable write under way.
#[derive(Clone, Debug)]
pub(crate) struct Flight {
    pub(crate) shard: ShardId,
    pub(crate) token: WriteToken,
    pub(crate) due: Duration,
    pub(crate) arrival: Arrival,
}

/// Everything of one disk, over all its lives.
pub(crate) struct State {
    pub(crate) options: DiskOptions,
    pub(crate) life: u64,
    pub(crate) is_dead: bool,
    pub(crate) plan: FaultPlan,
    pub(crate) operation_count: u64,
    pub(crate) now: Duration,
    pub(crate) names: Names,
    pub(crate) files: Vec<Contents>,
    pub(crate) flights: Vec<Flight>,
    pub(crate) spawned: Vec<Task>,
    waiting: Vec<(Duration, Waker)>,
    write_count: u64,
    random: Random,
}

impl State {
    pub(crate) fn new(options: DiskOptions) -> Self {
        assert!(
            options.latency_min <= options.latency_max,
            "latencies {options:?} are reversed"
        );
        assert!(options.sector_bytes > 0, "a sector holds something");
        Self {
            options,
            life: 1,
            is_dead: false,
            plan: FaultPlan::none(),
            operation_count: 0,
            now: Duration::ZERO,
            names: Names::default(),
            files: Vec::new(),
            flights: Vec::new(),
            spawned: Vec::new(),
            waiting: Vec::new(),
            write_count: 0,
            random: Random::new(options.seed),
        }
    }

    pub(crate) fn fork(&self) -> Self {
        Self {
            plan: self.plan.clone(),
            names: self.names.clone(),
            files: self.files.clone(),
            flights: self.flights.clone(),
            spawned: Vec::new(),
            waiting: Vec::new(),
            random: self.random.clone(),
            ..*self
        }
    }

    /// Counts an operation; fails when this life is over, or ends here.
    pub(crate) fn begin(&mut self, life: u64) -> io::Result<Option<Fault>> {
        let fault = self.count(life)?;
        if self.is_dead {
            Err(power_is_off())
        } else {
            Ok(fault)
        }
    }

    /// Counts an operation that writes: when the power goes off during it, parts of it may still arrive.
    pub(crate) fn begin_write(&mut self, life: u64) -> io::Result<Option<Fault>> {
        self.count(life)
    }

    fn count(&mut self, life: u64) -> io::Result<Option<Fault>> {
        if self.is_dead || self.life != life {
            return Err(power_is_off());
        }
        let fault = self.plan.fault(self.operation_count);
        self.operation_count += 1;
        if fault == Some(Fault::Crash) {
            self.is_dead = true;
            let waiting = std::mem::take(&mut self.waiting);
            waiting.into_iter().for_each(|(_, waker)| waker.wake());
        }
        Ok(fault)
    }

    /// When an operation that begins now ends.
    pub(crate) fn due(&mut self, fault: Option<Fault>) -> Duration {
        let DiskOptions {
            latency_min,
            latency_max,
            ..
        } = self.options;
        let span = u64::try_from((latency_max - latency_min).as_nanos()).unwrap_or(u64::MAX - 1);
        let slow = match fault {
            Some(Fault::Slow(longer)) => longer,
            _ => Duration::ZERO,
        };
        let drawn = if span == 0 {
            0
        } else {
            self.random.below(span + 1)
        };
        self.now + latency_min + slow + Duration::from_nanos(drawn)
    }

    /// Puts the bytes of a write under way and says how it will end.
    pub(crate) fn start_write(
        &mut self,
        file: FileId,
        offset_bytes: u64,
        bytes: &[u8],
        fault: Option<Fault>,
    ) -> Arrival {
        let (offset, reported) = (bytes_in(offset_bytes), bytes.len());
        let growth = (offset + reported).saturating_sub(self.files[file.0].size_bytes());
        if growth as u64 > self.free_bytes() {
            return Arrival::Fails(io::ErrorKind::StorageFull);
        }
        let (offset, bytes) = match fault {
            Some(Fault::Full) => return Arrival::Fails(io::ErrorKind::StorageFull),
            Some(Fault::Lost) => return Arrival::Vanishes { reported },
            Some(Fault::Short(count)) => (offset, &bytes[..count.min(reported)]),
            Some(Fault::Misdirected(further)) => (offset + bytes_in(further), bytes),
            Some(Fault::Crash | Fault::Error | Fault::Slow(_)) | None => (offset, bytes),
        };
        self.write_count += 1;
        let number = self.write_count;
        self.files[file.0].begin_write(number, offset, bytes.to_vec());
        match fault {
            Some(Fault::Error) => Arrival::Fails(io::ErrorKind::Other),
            Some(Fault::Short(_)) => Arrival::Reaches {
                file,
                number,
                reported: bytes.len(),
            },
            _ => Arrival::Reaches {
                file,
                number,
                reported,
            },
        }
    }

    /// A write without durability has ended.
    pub(crate) fn finish_write(&mut self, arrival: Arrival) -> io::Result<usize> {
        match arrival {
            Arrival::Reaches {
                file,
                number,
                reported,
            } => {
                self.files[file.0].finish_write(number);
                Ok(reported)
            }
            Arrival::Vanishes { reported } => Ok(reported),
            Arrival::Fails(kind) => Err(kind.into()),
        }
    }

    pub(crate) fn take_completions(&mut self) -> Vec<Completion> {
        if self.is_dead {
            return Vec::new();
        }
        let (mut ended, rest): (Vec<_>, Vec<_>) = std::mem::take(&mut self.flights)
            .into_iter()
            .partition(|it| it.due <= self.now);
        self.flights = rest;
        ended.sort_by_key(|flight| flight.due);
        ended.into_iter().map(|flight| self.land(flight)).collect()
    }

    fn land(&mut self, flight: Flight) -> Completion {
        let result = match flight.arrival {
            Arrival::Reaches {
                file,
                number,
                reported,
            } => {
                self.files[file.0].finish_durable(number);
                Ok(reported)
            }
            Arrival::Vanishes { reported } => Ok(reported),
            Arrival::Fails(kind) => Err(kind.into()),
        };
        Completion {
            shard: flight.shard,
            token: flight.token,
            result,
        }
    }

    pub(crate) fn create_file(&mut self, path: &Path) -> io::Result<FileId> {
        let id = FileId(self.files.len());
        self.names.create_file(path, id)?;
        self.files.push(Contents::new(self.options.sector_bytes));
        Ok(id)
    }

    pub(crate) fn grow(&mut self, file: FileId, size_bytes: u64) -> io::Result<()> {
        let growth = size_bytes.saturating_sub(self.files[file.0].size_bytes() as u64);
        if growth > self.free_bytes() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.files[file.0].extend(bytes_in(size_bytes));
        Ok(())
    }

    /// What was there reads as zeros; a power cut may still bring some of it back.
    pub(crate) fn punch(&mut self, file: FileId, offset: usize, size: usize) {
        self.write_count += 1;
        let contents = &mut self.files[file.0];
        contents.begin_write(self.write_count, offset, vec![0; size]);
        contents.finish_write(self.write_count);
    }

    pub(crate) fn free_bytes(&self) -> u64 {
        let sizes = self
            .names
            .files()
            .map(|FileId(at)| self.files[at].size_bytes() as u64);
        self.options.capacity_bytes.saturating_sub(sizes.sum())
    }

    pub(crate) fn advance(&mut self, now: Duration) -> Vec<Waker> {
        assert!(
            now >= self.now,
            "time goes back from {:?} to {now:?}",
            self.now
        );
        self.now = now;
        let (ready, waiting): (Vec<_>, Vec<_>) = std::mem::take(&mut self.waiting)
            .into_iter()
            .partition(|(due, _)| *due <= now);
        self.waiting = waiting;
        ready.into_iter().map(|(_, waker)| waker).collect()
    }

    pub(crate) fn next_event(&self) -> Option<Duration> {
        let flights = self.flights.iter().map(|flight| flight.due);
        flights.chain(self.next_timer()).min()
    }

    /// When the next waiting future may go on.
    pub(crate) fn next_timer(&self) -> Option<Duration> {
        self.waiting.iter().map(|(due, _)| *due).min()
    }

    pub(crate) fn crash(&mut self, loss: &Loss) {
        let mut judge = loss.judge();
        self.names.crash(&mut judge);
        for contents in &mut self.files {
            contents.crash(&mut judge);
        }
        self.life += 1;
        self.is_dead = false;
        self.plan = FaultPlan::none();
        self.operation_count = 0;
        self.flights.clear();
        self.spawned.clear();
        self.waiting.clear();
    }
}

/// Waits until the disk's clock has come to `due`, or the life is over.
pub(crate) struct Wait {
    pub(crate) state: Rc<RefCell<State>>,
    pub(crate) due: Duration,
}

impl Future for Wait {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state.borrow_mut();
        if state.is_dead || state.now >= self.due {
            return Poll::Ready(());
        }
        state.waiting.push((self.due, context.waker().clone()));
        Poll::Pending
    }
}

/// What every operation of a life that is over reports.
pub(crate) fn power_is_off() -> io::Error {
    io::Error::other("the power is off")
}

/// Offsets fit in memory: the files stand there.
pub(crate) fn bytes_in(offset_bytes: u64) -> usize {
    usize::try_from(offset_bytes).expect("files of a virtual disk fit in memory")
}
