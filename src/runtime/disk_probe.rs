//! Looks at the disk under a data directory before a log is written there: does it take direct writes, and does
//! a synchronous write really reach it?
//!
//! *Proven* means that every durable write is forced unit access, or followed by a flush that the probe sees (a
//! synchronous write takes at least one and a half times as long as another one), or that the cache is
//! write-through. A virtual device below is named, not judged. The probe blocks: it runs before the cores.

use super::clock::BootClock;
use super::error::RuntimeError;
use crate::limits::WRITE_UNIT_BYTES;
use crate::shard::Clock;
use crate::storage::Block;
use rustix::fs::{
    AtFlags, CWD, Mode, OFlags, StatxFlags, fsync, major, minor, openat, statx, unlinkat,
};
use rustix::io::{Errno, ReadWriteFlags, pwritev2};
use std::fs;
use std::io::IoSlice;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// Name of the file that is written and removed.
const FILE_NAME: &str = "probe";
/// Writes of each kind that are timed; the median counts.
const TIMED_WRITES: usize = 21;

/// Medians that prove nothing.
const NOT_TIMED: (u64, u64) = (u64::MAX / 2, 0);

/// Does a synchronous write reach the disk?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Seen, or known from the device.
    Proven,
    /// Neither: the device may lie.
    Unproven,
}

/// What the device below says of its write cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteCache {
    /// Completed writes may be in volatile memory.
    Back,
    /// Completed writes are on the medium.
    Through,
    /// No such device: an overlay, or a file system on a network.
    Unknown,
}

/// Everything that was found out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskFacts {
    /// Writes start, end and lie in memory at multiples of this.
    pub write_unit_bytes: u64,
    /// Name of the block device below, such as `vda`; empty when there is none.
    pub device: String,
    /// Its write cache.
    pub write_cache: WriteCache,
    /// Can it write past its cache?
    pub has_forced_unit_access: bool,
    /// Does the device, or the machine, say that it is virtual?
    pub is_virtual: bool,
    /// Median of a direct write.
    pub write_ns: u64,
    /// Median of a synchronous direct write.
    pub synchronous_write_ns: u64,
    /// What follows.
    pub durability: Durability,
}

/// Probes the disk under `directory`.
///
/// # Errors
/// `NoDirectIo` when the file system does not take direct writes of our unit, `Directory` when it takes none at all.
pub fn probe(directory: &Path) -> Result<DiskFacts, RuntimeError> {
    let refused = |reason: String| RuntimeError::NoDirectIo {
        directory: directory.to_owned(),
        reason,
    };
    // Only this error says that direct I/O is what the file system does not do.
    let failed = |action: &str, error: Errno| match error {
        Errno::INVAL => refused(format!("{action}: {error}")),
        other => RuntimeError::Directory {
            path: directory.join(FILE_NAME),
            source: other.into(),
        },
    };
    let file = ProbeFile::create(directory).map_err(|error| failed("open with O_DIRECT", error))?;
    let alignment = file.alignment().map_err(|error| failed("statx", error))?;
    if alignment == 0 {
        return Err(refused(
            "the file system offers none (statx: alignment 0)".to_owned(),
        ));
    }
    let unit = alignment.max(WRITE_UNIT_BYTES as u64);
    if unit > WRITE_UNIT_BYTES as u64 {
        return Err(refused(format!("the device wants writes of {unit} bytes")));
    }
    let (write_ns, synchronous_write_ns) = match file.time_writes() {
        // A node that a full disk stopped must be able to start on it; then only the device can speak for itself.
        Err(Errno::NOSPC) => NOT_TIMED,
        timed => timed.map_err(|error| failed("a direct write", error))?,
    };
    let device = Device::below(directory);
    let mut facts = DiskFacts {
        write_unit_bytes: unit,
        write_cache: device.write_cache(),
        has_forced_unit_access: device.says("queue/fua", "1"),
        is_virtual: device.is_virtual() || is_virtual_machine(),
        device: device.name,
        write_ns,
        synchronous_write_ns,
        durability: Durability::Unproven,
    };
    facts.durability = facts.judge();
    Ok(facts)
}

impl DiskFacts {
    fn judge(&self) -> Durability {
        let flush_is_seen = self.synchronous_write_ns >= self.write_ns + self.write_ns / 2;
        match self.write_cache {
            WriteCache::Through => Durability::Proven,
            WriteCache::Back if self.has_forced_unit_access => Durability::Proven,
            WriteCache::Back | WriteCache::Unknown if flush_is_seen => Durability::Proven,
            WriteCache::Back | WriteCache::Unknown => Durability::Unproven,
        }
    }
}

/// A file that is gone when the probe is over.
struct ProbeFile {
    file: OwnedFd,
    path: PathBuf,
}

impl ProbeFile {
    fn create(directory: &Path) -> Result<Self, Errno> {
        let path = directory.join(FILE_NAME);
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::DIRECT | OFlags::CLOEXEC;
        let file = openat(CWD, &path, flags, Mode::from_raw_mode(0o640))?;
        Ok(Self { file, path })
    }

    /// The alignment of offsets; 0 is no direct I/O. Kernels and file systems that do not say are tried by writing.
    fn alignment(&self) -> Result<u64, Errno> {
        let found = statx(&self.file, c"", AtFlags::EMPTY_PATH, StatxFlags::DIOALIGN)?;
        if found.stx_mask & StatxFlags::DIOALIGN.bits() == 0 {
            return Ok(WRITE_UNIT_BYTES as u64);
        }
        Ok(u64::from(found.stx_dio_offset_align))
    }

    /// Medians of a direct write and of a synchronous one, in turn, over blocks that were written before: the first
    /// write of a block also changes the file system.
    fn time_writes(&self) -> Result<(u64, u64), Errno> {
        let block = Block::for_reading(WRITE_UNIT_BYTES);
        self.write(&block, ReadWriteFlags::empty())?;
        fsync(&self.file)?;
        let mut plain = Vec::with_capacity(TIMED_WRITES);
        let mut synchronous = Vec::with_capacity(TIMED_WRITES);
        for _ in 0..TIMED_WRITES {
            plain.push(self.timed_write(&block, ReadWriteFlags::empty())?);
            synchronous.push(self.timed_write(&block, ReadWriteFlags::DSYNC)?);
        }
        Ok((median(plain), median(synchronous)))
    }

    fn timed_write(&self, block: &Block, flags: ReadWriteFlags) -> Result<u64, Errno> {
        let begin_ns = BootClock.now_ns();
        self.write(block, flags)?;
        Ok(BootClock.now_ns() - begin_ns)
    }

    fn write(&self, block: &Block, flags: ReadWriteFlags) -> Result<(), Errno> {
        let count = pwritev2(&self.file, &[IoSlice::new(block.bytes())], 0, flags)?;
        if count == block.written_bytes() {
            Ok(())
        } else {
            Err(Errno::IO)
        }
    }
}

impl Drop for ProbeFile {
    fn drop(&mut self) {
        // A file that stays is written over by the next probe.
        let _ = unlinkat(CWD, &self.path, AtFlags::empty());
    }
}

/// The whole block device below a directory, as sysfs knows it.
struct Device {
    name: String,
    path: PathBuf,
}

impl Device {
    fn below(directory: &Path) -> Self {
        Self::find(directory).unwrap_or(Self {
            name: String::new(),
            path: PathBuf::new(),
        })
    }

    fn find(directory: &Path) -> Option<Self> {
        let found = rustix::fs::stat(directory).ok()?;
        let (major, minor) = (major(found.st_dev), minor(found.st_dev));
        let path = fs::canonicalize(format!("/sys/dev/block/{major}:{minor}")).ok()?;
        // A partition lies in the folder of its disk, and only the disk has a queue.
        let path = if path.join("queue").exists() {
            path
        } else {
            path.parent()?.to_owned()
        };
        let name = path.file_name()?.to_str()?.to_owned();
        Some(Self { name, path })
    }

    fn read(&self, file: &str) -> Option<String> {
        if self.name.is_empty() {
            return None;
        }
        let text = fs::read_to_string(self.path.join(file)).ok()?;
        Some(text.trim().to_owned())
    }

    fn says(&self, file: &str, wanted: &str) -> bool {
        self.read(file).as_deref() == Some(wanted)
    }

    fn write_cache(&self) -> WriteCache {
        match self.read("queue/write_cache").as_deref() {
            Some("write back") => WriteCache::Back,
            Some("write through") => WriteCache::Through,
            Some(_) | None => WriteCache::Unknown,
        }
    }

    fn is_virtual(&self) -> bool {
        ["vd", "xvd", "loop", "dm-", "zram"]
            .iter()
            .any(|prefix| self.name.starts_with(prefix))
    }
}

/// Does the processor say that a hypervisor runs below?
fn is_virtual_machine() -> bool {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let flags = text.lines().find(|line| line.starts_with("flags"));
    flags.is_some_and(|flags| flags.split_whitespace().any(|flag| flag == "hypervisor"))
}

fn median(mut samples: Vec<u64>) -> u64 {
    samples.sort_unstable();
    samples.get(samples.len() / 2).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(write_cache: WriteCache, fua: bool, write_ns: u64, synchronous: u64) -> DiskFacts {
        DiskFacts {
            write_unit_bytes: 4096,
            device: "vda".to_owned(),
            write_cache,
            has_forced_unit_access: fua,
            is_virtual: true,
            write_ns,
            synchronous_write_ns: synchronous,
            durability: Durability::Unproven,
        }
    }

    #[test]
    fn a_flush_that_takes_time_is_proof_and_one_that_does_not_is_none() {
        assert_eq!(
            facts(WriteCache::Back, false, 40, 100).judge(),
            Durability::Proven
        );
        assert_eq!(
            facts(WriteCache::Back, false, 40, 50).judge(),
            Durability::Unproven
        );
        assert_eq!(
            facts(WriteCache::Unknown, false, 40, 41).judge(),
            Durability::Unproven
        );
        let (write_ns, synchronous) = NOT_TIMED;
        assert_eq!(
            facts(WriteCache::Back, false, write_ns, synchronous).judge(),
            Durability::Unproven
        );
        assert_eq!(
            facts(WriteCache::Back, true, 40, 41).judge(),
            Durability::Proven
        );
        assert_eq!(
            facts(WriteCache::Through, false, 40, 41).judge(),
            Durability::Proven
        );
    }

    #[test]
    fn a_probe_leaves_nothing_behind() {
        let directory = tempfile::tempdir_in(".").unwrap();
        let facts = probe(directory.path()).unwrap();
        assert_eq!(facts.write_unit_bytes, 4096);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_directory_that_is_not_there_is_refused() {
        let error = probe(Path::new("/nowhere/at/all")).unwrap_err();
        assert_eq!(error.code().exit().number(), 3);
    }
}
