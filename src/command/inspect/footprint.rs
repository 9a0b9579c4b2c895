//! What a directory looked like before it was read, to see afterwards whether somebody wrote to it meanwhile.
//!
//! The kernel's list of locks shows the processes of one name space. A server in another container, or a copy that is
//! still being made, shows by what it does: times and sizes of files change.

use super::read_only_disk::{ReadOnlyDisk, run};
use crate::storage::Disk;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Files and folders with the state of each.
#[derive(Debug, Default)]
pub(super) struct Footprint {
    seen: Vec<(PathBuf, Option<State>)>,
}

/// Size, and time of the last change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State {
    size_bytes: u64,
    changed_s: i64,
    changed_ns: i64,
}

impl Footprint {
    /// Adds a folder and what lies in it.
    pub(super) fn add(&mut self, disk: &ReadOnlyDisk, folder: &Path) {
        // One that cannot be listed is refused by whoever reads it.
        let names = run(disk.list(folder)).unwrap_or_default();
        let files = names.iter().map(|name| folder.join(name));
        for path in std::iter::once(folder.to_owned()).chain(files) {
            let state = State::of(&path);
            self.seen.push((path, state));
        }
    }

    /// Something that is not any more as it was.
    pub(super) fn first_change(&self) -> Option<&Path> {
        let mut seen = self.seen.iter();
        let changed = seen.find(|(path, state)| State::of(path) != *state);
        changed.map(|(path, _)| path.as_path())
    }
}

impl State {
    fn of(path: &Path) -> Option<Self> {
        let found = fs::metadata(path).ok()?;
        Some(Self {
            size_bytes: found.size(),
            changed_s: found.mtime(),
            changed_ns: found.mtime_nsec(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_grows_comes_or_goes_is_a_change() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        let changes: [fn(&Path); 3] = [
            |file| fs::write(file, "more").unwrap(),
            |file| fs::remove_file(file).unwrap(),
            |file| fs::write(file.with_file_name("new"), "").unwrap(),
        ];
        for change in changes {
            fs::write(&file, "1").unwrap();
            let mut footprint = Footprint::default();
            footprint.add(&ReadOnlyDisk::default(), directory.path());
            assert_eq!(footprint.first_change(), None);
            change(&file);
            assert!(footprint.first_change().is_some());
        }
    }
}
