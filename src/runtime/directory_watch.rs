//! Looks once a second whether the data directory is still the one that the node runs on.
//!
//! Files that are open outlive their names: a node whose directory was deleted, moved away or unmounted goes on to
//! write and to acknowledge, and at the next start all of it is gone. So the place is looked at, not the open files:
//!
//! ```text
//!   <data>/lock                    the very file that is locked
//!   <data>/manifest.a  .b          there
//!   <data>/log-<id>/               the very folders that were there at first, and their manifests
//! ```
//!
//! The first thing that is missing ends the watch, and the node with it. Segments come and go while a node runs, and
//! are not looked at: recovery names one that is missing. An error that does not say that something is gone, such as
//! one of the disk, says nothing here.

use rustix::fs::{CWD, Dir, Mode, OFlags, Stat, fstat, openat, stat};
use rustix::io::Errno;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// Time between two looks.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// What is there as long as a node lives in the directory, and in each of its logs.
const MANIFESTS: [&str; 2] = ["manifest.a", "manifest.b"];

/// What folders of logs are called, before their number.
const LOG_PREFIX: &str = "log-";

/// What a watch is told.
enum Word {
    Begin,
    End,
}

/// A watch that runs.
pub(crate) struct DirectoryWatch {
    tell: Sender<Word>,
    thread: JoinHandle<Option<PathBuf>>,
}

impl DirectoryWatch {
    /// Starts a thread that begins to look when told to, and calls `on_missing` once, with what is missing. `lock` is
    /// the locked file.
    ///
    /// # Errors
    /// When the kernel refuses a thread.
    pub(crate) fn start(
        directory: &Path,
        lock: OwnedFd,
        on_missing: impl FnOnce(&Path) + Send + 'static,
    ) -> io::Result<Self> {
        let directory = directory.to_owned();
        let (tell, told) = channel();
        let thread = std::thread::Builder::new()
            .name("watch".to_owned())
            .spawn(move || {
                let missing = watch(&directory, &lock, &told)?;
                on_missing(&missing);
                Some(missing)
            })?;
        Ok(Self { tell, thread })
    }

    /// What begins the watch, from whichever thread: until then the directory is being made.
    pub(crate) fn beginning(&self) -> impl FnOnce() + Send + use<> {
        let tell = self.tell.clone();
        move || {
            // A watch that has ended needs no beginning.
            let _ = tell.send(Word::Begin);
        }
    }

    /// Ends the watch, and gives what was missing, if anything was.
    pub(crate) fn finish(self) -> Option<PathBuf> {
        // A watch that has ended by itself listens no more.
        let _ = self.tell.send(Word::End);
        self.thread.join().unwrap_or(None)
    }
}

/// Looks until something is missing, or until nobody wants it any more.
fn watch(directory: &Path, lock: &OwnedFd, told: &Receiver<Word>) -> Option<PathBuf> {
    match told.recv() {
        Ok(Word::Begin) => {}
        Ok(Word::End) | Err(_) => return None,
    }
    let expected = Expected::find(directory, lock);
    loop {
        if let Some(missing) = expected.missing() {
            return Some(missing);
        }
        match told.recv_timeout(LOOK_INTERVAL) {
            Ok(Word::Begin) | Err(RecvTimeoutError::Timeout) => {}
            Ok(Word::End) | Err(RecvTimeoutError::Disconnected) => return None,
        }
    }
}

/// Which file it is, whatever it is called.
type FileIdentity = (u64, u64);

/// What must be found at each look.
struct Expected {
    /// Exactly these.
    same: Vec<(PathBuf, FileIdentity)>,
    /// Any of that name.
    there: Vec<PathBuf>,
}

impl Expected {
    /// What a node that runs on the directory rests on.
    fn find(directory: &Path, lock: &OwnedFd) -> Self {
        let mut expected = Self {
            same: Vec::new(),
            there: MANIFESTS.map(|name| directory.join(name)).to_vec(),
        };
        if let Ok(found) = fstat(lock) {
            let path = directory.join(super::directory_lock::FILE_NAME);
            expected.same.push((path, identity(&found)));
        }
        for log in logs(directory).unwrap_or_default() {
            if let Ok(found) = stat(&log) {
                let manifests = MANIFESTS.map(|name| log.join(name));
                expected.there.extend(manifests);
                expected.same.push((log, identity(&found)));
            }
        }
        expected
    }

    /// The first that is not there, or is another one.
    fn missing(&self) -> Option<PathBuf> {
        let is_other = |(path, known): &&(PathBuf, FileIdentity)| match stat(path) {
            Ok(found) => identity(&found) != *known,
            Err(error) => says_gone(error),
        };
        let is_gone = |path: &&PathBuf| stat(path.as_path()).is_err_and(says_gone);
        let other = self.same.iter().find(is_other).map(|(path, _)| path);
        other.or_else(|| self.there.iter().find(is_gone)).cloned()
    }
}

fn identity(found: &Stat) -> FileIdentity {
    (found.st_dev, found.st_ino)
}

fn says_gone(error: Errno) -> bool {
    matches!(error, Errno::NOENT | Errno::NOTDIR)
}

fn logs(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = openat(CWD, directory, flags, Mode::empty())?;
    let mut logs = Vec::new();
    for entry in Dir::read_from(&opened)? {
        if let Ok(name) = entry?.file_name().to_str()
            && name.starts_with(LOG_PREFIX)
        {
            logs.push(directory.join(name));
        }
    }
    Ok(logs)
}

#[cfg(test)]
mod tests {
    use super::super::DirectoryLock;
    use super::*;
    use std::fs;
    use tempfile::TempDir;

    /// A directory like a node's, and its lock.
    fn node() -> (TempDir, DirectoryLock) {
        let directory = tempfile::tempdir().unwrap();
        let lock = DirectoryLock::acquire(directory.path()).unwrap();
        fs::create_dir(directory.path().join("log-0")).unwrap();
        for name in MANIFESTS {
            fs::write(directory.path().join(name), "m").unwrap();
            fs::write(directory.path().join("log-0").join(name), "m").unwrap();
        }
        (directory, lock)
    }

    /// What is missing after `harm`.
    fn missing_after(harm: impl FnOnce(&Path)) -> Option<String> {
        let (directory, lock) = node();
        let expected = Expected::find(directory.path(), &lock.file().unwrap());
        assert_eq!(expected.missing(), None);
        harm(directory.path());
        let missing = expected.missing()?;
        let name = missing.strip_prefix(directory.path()).unwrap();
        Some(name.display().to_string())
    }

    #[test]
    fn whatever_a_node_rests_on_is_missed_by_name() {
        for name in ["lock", "manifest.a", "manifest.b", "log-0/manifest.b"] {
            let missing = missing_after(|data| fs::remove_file(data.join(name)).unwrap());
            assert_eq!(missing.as_deref(), Some(name));
        }
        let missing = missing_after(|data| fs::remove_dir_all(data).unwrap());
        assert_eq!(missing.as_deref(), Some("lock"));
    }

    #[test]
    fn a_file_of_the_same_name_is_not_the_same_file() {
        let missing = missing_after(|data| {
            // The new one is made first: the number of a removed file may be given again at once.
            fs::write(data.join("other"), "").unwrap();
            fs::rename(data.join("other"), data.join("lock")).unwrap();
        });
        assert_eq!(missing.as_deref(), Some("lock"));
        let missing = missing_after(|data| {
            fs::rename(data.join("log-0"), data.join("moved")).unwrap();
            fs::create_dir(data.join("log-0")).unwrap();
        });
        assert_eq!(missing.as_deref(), Some("log-0"));
    }

    #[test]
    fn what_a_node_writes_and_removes_itself_is_not_missed() {
        let missing = missing_after(|data| {
            fs::write(data.join("log-0/segment-1"), "").unwrap();
            fs::remove_file(data.join("log-0/segment-1")).unwrap();
            fs::write(data.join("manifest.a"), "another").unwrap();
        });
        assert_eq!(missing, None);
    }

    #[test]
    fn a_watch_that_was_never_begun_ends_when_it_is_told() {
        let (directory, lock) = node();
        let file = lock.file().unwrap();
        let watch = DirectoryWatch::start(directory.path(), file, |_| unreachable!()).unwrap();
        fs::remove_dir_all(directory.path()).unwrap();
        assert_eq!(watch.finish(), None);
    }
}
