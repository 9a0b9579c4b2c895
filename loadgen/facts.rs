//! What the machine is: kernel, cores, processor, and the disk below a directory as sysfs knows it.

use serde::Serialize;
use std::fs;
use std::path::{Path, PathBuf};

/// The host that a report is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Host {
    /// Release of the kernel.
    pub(crate) kernel: String,
    /// Cores that this process may use.
    pub(crate) cores: usize,
    /// Model of the processor.
    pub(crate) cpu: String,
    /// The disk below the spawned nodes, or below the directory that was measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) disk: Option<Disk>,
    /// Is it a virtual machine?
    #[serde(rename = "virtual")]
    pub(crate) is_virtual: bool,
}

/// A disk, as far as it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Disk {
    /// The directory.
    pub(crate) path: String,
    /// Type of the file system.
    pub(crate) file_system: String,
    /// `write back` or `write through`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) write_cache: Option<String>,
    /// Are writes of forced unit access understood?
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) fua: Option<bool>,
}

/// A line of `/proc/self/mountinfo`.
#[derive(Debug, PartialEq, Eq)]
struct Mount {
    device: String,
    point: PathBuf,
    file_system: String,
}

impl Host {
    /// This machine, with the disk below `directory`.
    pub(crate) fn of(directory: Option<&Path>) -> Self {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let uname = rustix::system::uname();
        Self {
            kernel: uname.release().to_string_lossy().into_owned(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            cpu: value(&cpuinfo, "model name").unwrap_or_else(|| "unknown".to_owned()),
            disk: directory.map(Disk::below),
            is_virtual: value(&cpuinfo, "flags")
                .is_some_and(|flags| flags.split(' ').any(|flag| flag == "hypervisor")),
        }
    }
}

impl Disk {
    fn below(directory: &Path) -> Self {
        let path = fs::canonicalize(directory).unwrap_or_else(|_| directory.to_owned());
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let mount = mount_of(&mounts, &path);
        let queue = mount.as_ref().and_then(|mount| queue_of(&mount.device));
        let read = |name: &str| {
            let text = fs::read_to_string(queue.as_ref()?.join(name)).ok()?;
            Some(text.trim().to_owned())
        };
        Self {
            path: path.display().to_string(),
            file_system: mount.map_or_else(|| "unknown".to_owned(), |mount| mount.file_system),
            write_cache: read("write_cache"),
            fua: read("fua").map(|text| text == "1"),
        }
    }

    /// What is known of its cache, in words.
    pub(crate) fn cache_text(&self) -> String {
        let cache = self.write_cache.as_deref().unwrap_or("unknown");
        match self.fua {
            Some(true) => format!("write cache: {cache}, FUA"),
            Some(false) => format!("write cache: {cache}, no FUA"),
            None => format!("write cache: {cache}"),
        }
    }
}

/// The mount that holds a path: the longest of those above it, and of equals the last one.
fn mount_of(mounts: &str, path: &Path) -> Option<Mount> {
    let above = mounts
        .lines()
        .filter_map(parse_mount)
        .filter(|mount| path.starts_with(&mount.point));
    above.max_by_key(|mount| mount.point.components().count())
}

/// `36 35 98:0 /root /point options - type source options`, with optional fields before the dash.
fn parse_mount(line: &str) -> Option<Mount> {
    let (before, behind) = line.split_once(" - ")?;
    let fields: Vec<&str> = before.split(' ').collect();
    Some(Mount {
        device: (*fields.get(2)?).to_owned(),
        point: PathBuf::from(*fields.get(4)?),
        file_system: behind.split(' ').next()?.to_owned(),
    })
}

/// The queue directory of a device; a partition has that of its disk.
fn queue_of(device: &str) -> Option<PathBuf> {
    let own = fs::canonicalize(format!("/sys/dev/block/{device}")).ok()?;
    own.ancestors()
        .take(2)
        .map(|level| level.join("queue"))
        .find(|queue| queue.is_dir())
}

fn value(cpuinfo: &str, name: &str) -> Option<String> {
    let found = cpuinfo.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == name).then(|| value.trim().to_owned())
    });
    found.filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
21 1 254:0 / / rw,relatime - ext4 /dev/root rw
35 21 0:30 / /tmp rw shared:5 - tmpfs tmpfs rw
36 21 254:1 / /data/fast rw master:1 shared:7 - xfs /dev/vdb rw";

    #[test]
    fn a_path_lies_on_the_mount_nearest_above_it() {
        for (path, device, file_system) in [
            ("/data/fast/n1", "254:1", "xfs"),
            ("/data/faster", "254:0", "ext4"),
            ("/tmp/margay-1", "0:30", "tmpfs"),
        ] {
            let mount = mount_of(MOUNTS, Path::new(path)).expect("the root is above all");
            assert_eq!(
                (mount.device.as_str(), mount.file_system.as_str()),
                (device, file_system)
            );
        }
    }

    #[test]
    fn a_processor_is_named_by_its_model() {
        let cpuinfo = "processor\t: 0\nmodel name\t: Fast 9000\nflags\t\t: fpu hypervisor\n";
        assert_eq!(value(cpuinfo, "model name").as_deref(), Some("Fast 9000"));
        assert_eq!(value(cpuinfo, "flags").as_deref(), Some("fpu hypervisor"));
        assert_eq!(value("model name\t:\n", "model name"), None);
    }

    #[test]
    fn what_is_known_of_a_cache_is_said_in_words() {
        let disk = Disk {
            write_cache: Some("write back".to_owned()),
            fua: Some(false),
            ..Disk::default()
        };
        assert_eq!(disk.cache_text(), "write cache: write back, no FUA");
        assert_eq!(Disk::default().cache_text(), "write cache: unknown");
    }
}
