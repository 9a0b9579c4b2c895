//! What the disk and the network take by themselves: the least that a replicated write can cost here.
//!
//! * Synchronous direct writes by a bare io_uring, at queue depths 1 and 16, into a file that was
//!   allocated *and written* once: the first write of an allocated extent costs a change of metadata.
//! * Round trips of a small message over loopback.
//!
//! The file is removed in any case.

use crate::console::Console;
use crate::facts::{Disk, Host};
use crate::failure::Failure;
use crate::histogram::{histogram, quantile_us};
use crate::options::{self, Output};
use hdrhistogram::Histogram;
use io_uring::{IoUring, opcode, types};
use margay_client::clock::now_ns;
use rustix::fs::OFlags;
use serde::Serialize;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;
use tempfile::TempPath;

/// Size of the file.
const FILE_BYTES: usize = 16 << 20;

/// Direct I/O wants memory and offsets at multiples of this.
const ALIGNMENT: usize = 4_096;

const WRITE_SIZES: [usize; 3] = [4 << 10, 16 << 10, 64 << 10];
const QUEUE_DEPTHS: [usize; 2] = [1, 16];

/// `RWF_DSYNC` of `pwritev2`: the write returns when its data is durable.
const DURABLE: i32 = 2;

/// A small command with its frame.
const MESSAGE_BYTES: usize = 64;

/// Each row of `loadgen floor` is measured for this long.
const ROW_TIME: Duration = Duration::from_secs(1);

/// The line of a run: well below a second in all.
const SHORT_TIME: Duration = Duration::from_millis(300);

/// Writes of one size at one queue depth.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct WriteRow {
    size_bytes: usize,
    queue_depth: usize,
    per_s: f64,
    us_p50: f64,
    us_p99: f64,
}

/// The line of a run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct FloorLine {
    pub(crate) sync_write_us_p50: f64,
    pub(crate) sync_write_us_p99: f64,
    pub(crate) round_trip_us_p50: f64,
}

/// Everything that `loadgen floor` measures.
#[derive(Debug, Serialize)]
struct Report {
    schema: u32,
    host: Host,
    sync_writes: Vec<WriteRow>,
    round_trip_us_p50: f64,
    round_trip_us_p99: f64,
}

impl FloorLine {
    /// The least that a replicated write can take: to the leader and back, to a follower and back, and one
    /// durable write; the leader's own write hides behind the follower's.
    pub(crate) fn replicated_write_us(self) -> f64 {
        self.sync_write_us_p50 + 2.0 * self.round_trip_us_p50
    }
}

/// A shortened measurement for the line of a run.
pub(crate) fn measure_line(directory: &Path) -> Result<FloorLine, Failure> {
    let file = Probe::new(directory)?;
    let row = file.measure(WRITE_SIZES[0], 1, SHORT_TIME)?;
    let trips = round_trips(SHORT_TIME)?;
    Ok(FloorLine {
        sync_write_us_p50: row.us_p50,
        sync_write_us_p99: row.us_p99,
        round_trip_us_p50: quantile_us(&trips, 0.5),
    })
}

/// `loadgen floor`.
pub(crate) fn execute(options: &options::Floor) -> Result<(), Failure> {
    let directory = options.data.clone().unwrap_or_else(std::env::temp_dir);
    let console = Console::new(options.output);
    let file = Probe::new(&directory)?;
    let mut sync_writes = Vec::new();
    for size_bytes in WRITE_SIZES {
        for queue_depth in QUEUE_DEPTHS {
            sync_writes.push(file.measure(size_bytes, queue_depth, ROW_TIME)?);
        }
    }
    let trips = round_trips(ROW_TIME)?;
    let report = Report {
        schema: 1,
        host: Host::of(Some(&directory)),
        sync_writes,
        round_trip_us_p50: quantile_us(&trips, 0.5),
        round_trip_us_p99: quantile_us(&trips, 0.99),
    };
    console.result(&match console.output() {
        Output::Table => text(&report),
        Output::Json => serde_json::to_string(&report).expect("reports have keys of text"),
    });
    Ok(())
}

fn text(report: &Report) -> String {
    let host = &report.host;
    let unknown = Disk::default();
    let disk = host.disk.as_ref().unwrap_or(&unknown);
    let device = if host.is_virtual {
        "; virtual device"
    } else {
        ""
    };
    let mut lines = vec![
        format!(
            "disk    {} ({}; {}{device})",
            disk.path,
            disk.file_system,
            disk.cache_text()
        ),
        format!(
            "{:<9} {:>5} {:>10} {:>10} {:>10}",
            "O_DSYNC", "depth", "writes/s", "p50 us", "p99 us"
        ),
    ];
    lines.extend(report.sync_writes.iter().map(|row| {
        format!(
            "{:<9} {:>5} {:>10.0} {:>10.0} {:>10.0}",
            format!("{} KiB", row.size_bytes >> 10),
            row.queue_depth,
            row.per_s,
            row.us_p50,
            row.us_p99
        )
    }));
    lines.push(format!(
        "loopback round trip p50 {:.0} us p99 {:.0} us",
        report.round_trip_us_p50, report.round_trip_us_p99
    ));
    lines.join("\n")
}

/// A file on the disk to measure, written once.
struct Probe {
    file: File,
    _path: TempPath,
}

impl Probe {
    fn new(directory: &Path) -> Result<Self, Failure> {
        let make = || -> io::Result<Self> {
            let path = tempfile::NamedTempFile::with_prefix_in("margay-floor-", directory)?
                .into_temp_path();
            let direct = i32::try_from((OFlags::DIRECT | OFlags::CLOEXEC).bits())
                .map_err(io::Error::other)?;
            let file = OpenOptions::new()
                .write(true)
                .custom_flags(direct)
                .open(&path)?;
            let mut memory = Aligned::new(1 << 20);
            for chunk in 0..FILE_BYTES / (1 << 20) {
                file.write_all_at(memory.bytes(), (chunk << 20) as u64)?;
            }
            file.sync_all()?;
            Ok(Self { file, _path: path })
        };
        make().map_err(|error| {
            Failure::of_path("measure the disk with direct I/O", directory, &error)
        })
    }

    /// Keeps `queue_depth` writes under way for a while.
    fn measure(
        &self,
        size_bytes: usize,
        queue_depth: usize,
        time: Duration,
    ) -> Result<WriteRow, Failure> {
        let mut latencies = histogram();
        let started_ns = now_ns();
        let until_ns = started_ns + u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        Writes::new(self, size_bytes, queue_depth)
            .and_then(|mut writes| writes.run(until_ns, &mut latencies))
            .map_err(|error| {
                Failure::of_io("write by io_uring", &error).remedy(
                    "see the sysctl kernel.io_uring_disabled and the seccomp profile of a container",
                )
            })?;
        let elapsed_s = (now_ns() - started_ns) as f64 / 1e9;
        Ok(WriteRow {
            size_bytes,
            queue_depth,
            per_s: latencies.len() as f64 / elapsed_s,
            us_p50: quantile_us(&latencies, 0.5),
            us_p99: quantile_us(&latencies, 0.99),
        })
    }
}

/// Memory that direct I/O takes.
struct Aligned {
    memory: Vec<u8>,
    start: usize,
    length: usize,
}

impl Aligned {
    fn new(length: usize) -> Self {
        let memory = vec![0x5a; length + ALIGNMENT];
        let start = memory.as_ptr().align_offset(ALIGNMENT);
        Self {
            memory,
            start,
            length,
        }
    }

    fn bytes(&mut self) -> &mut [u8] {
        &mut self.memory[self.start..self.start + self.length]
    }
}

/// Writes under way, each at its own place in turn.
struct Writes<'a> {
    // Dropped first: closing the ring ends what is under way before the memory goes.
    ring: IoUring,
    memory: Aligned,
    probe: &'a Probe,
    queue_depth: usize,
    next_offset: usize,
    sent_ns: Vec<u64>,
}

impl<'a> Writes<'a> {
    fn new(probe: &'a Probe, size_bytes: usize, queue_depth: usize) -> io::Result<Self> {
        assert_eq!(FILE_BYTES % size_bytes, 0, "writes fit into the file");
        let entries = u32::try_from(queue_depth).map_err(io::Error::other)?;
        Ok(Self {
            ring: IoUring::new(entries)?,
            memory: Aligned::new(size_bytes),
            probe,
            queue_depth,
            next_offset: 0,
            sent_ns: vec![0; queue_depth],
        })
    }

    fn run(&mut self, until_ns: u64, latencies: &mut Histogram<u64>) -> io::Result<()> {
        for slot in 0..self.queue_depth {
            self.submit(slot)?;
        }
        let mut under_way = self.queue_depth;
        let mut done = Vec::with_capacity(self.queue_depth);
        while under_way > 0 {
            match self.ring.submit_and_wait(1) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            }
            let now = now_ns();
            done.extend(
                self.ring
                    .completion()
                    .map(|entry| (entry.user_data(), entry.result())),
            );
            for (slot, result) in done.drain(..) {
                under_way -= 1;
                if result < 0 {
                    return Err(io::Error::from_raw_os_error(-result));
                }
                let slot = usize::try_from(slot).map_err(io::Error::other)?;
                latencies.saturating_record(now - self.sent_ns[slot]);
                if now < until_ns {
                    self.submit(slot)?;
                    under_way += 1;
                }
            }
        }
        Ok(())
    }

    fn submit(&mut self, slot: usize) -> io::Result<()> {
        let offset = self.next_offset;
        self.next_offset = (offset + self.memory.length) % FILE_BYTES;
        self.sent_ns[slot] = now_ns();
        let length = u32::try_from(self.memory.length).map_err(io::Error::other)?;
        let file = types::Fd(self.probe.file.as_raw_fd());
        let write = opcode::Write::new(file, self.memory.bytes().as_ptr(), length)
            .offset(offset as u64)
            .rw_flags(DURABLE)
            .build()
            .user_data(slot as u64);
        // SAFETY: the memory and the file outlive the write. The memory is only read, by all writes alike,
        // and is freed after the ring; `run` returns before that only when every write has ended, or with
        // an error, upon which dropping the ring cancels the writes, and the file stays open until then.
        unsafe { self.ring.submission().push(&write) }.map_err(io::Error::other)
    }
}

/// Round trips of a small message over loopback, for a while.
fn round_trips(time: Duration) -> Result<Histogram<u64>, Failure> {
    measure_round_trips(time).map_err(|error| Failure::of_io("use the loopback network", &error))
}

fn measure_round_trips(time: Duration) -> io::Result<Histogram<u64>> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut near = TcpStream::connect(listener.local_addr()?)?;
    let (far, _) = listener.accept()?;
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    let echo = std::thread::spawn(move || echo(far));
    let mut latencies = histogram();
    let until_ns = now_ns() + u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    let mut message = [0; MESSAGE_BYTES];
    let mut sent_ns = now_ns();
    while sent_ns < until_ns {
        near.write_all(&message)?;
        near.read_exact(&mut message)?;
        let now = now_ns();
        latencies.saturating_record(now - sent_ns);
        sent_ns = now;
    }
    drop(near);
    // The other end stops when this one is closed, and has nothing to tell.
    let _ = echo.join();
    Ok(latencies)
}

fn echo(mut far: TcpStream) {
    let mut message = [0; MESSAGE_BYTES];
    while far.read_exact(&mut message).is_ok() && far.write_all(&message).is_ok() {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_for_direct_writes_is_aligned() {
        let mut memory = Aligned::new(16 << 10);
        assert_eq!(memory.bytes().as_ptr().align_offset(ALIGNMENT), 0);
        assert_eq!(memory.bytes().len(), 16 << 10);
    }

    #[test]
    fn a_small_message_goes_round_many_times() {
        let trips = round_trips(Duration::from_millis(20)).expect("loopback works");
        assert!(trips.len() > 10);
    }

    #[test]
    fn a_replicated_write_is_a_write_and_two_round_trips() {
        let line = FloorLine {
            sync_write_us_p50: 400.0,
            sync_write_us_p99: 900.0,
            round_trip_us_p50: 20.0,
        };
        assert!((line.replicated_write_us() - 440.0).abs() < 1e-9);
    }
}
