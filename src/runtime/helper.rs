//! The threads that may block, so that no core does: one lists directories and asks for room, the other resolves names.
//!
//! They are two because a name service may take half a minute to say nothing, and a log that waits meanwhile for an
//! answer about its own disk would stand still.

use super::mailbox::MailboxSender;
use super::slots::Key;
use rustix::fs::{CWD, Dir, Mode, OFlags, openat, statvfs};
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

/// Jobs that wait for the helper; past it the asker is told to try later.
const JOBS_MAX: usize = 1024;

/// Something that may block.
#[derive(Debug)]
pub(super) enum Job {
    /// Find the addresses of `host:port`.
    Resolve(String),
    /// List the files of a directory.
    List(PathBuf),
    /// Ask how much room a file system has.
    FreeBytes(PathBuf),
}

/// What came of it.
#[derive(Debug)]
pub(super) enum JobAnswer {
    /// One of the addresses found.
    Resolved(io::Result<SocketAddr>),
    /// Names, sorted.
    Listed(io::Result<Vec<String>>),
    /// Bytes.
    FreeBytes(io::Result<u64>),
}

/// A job on its way, and where its answer goes.
struct Errand<T> {
    job: Job,
    key: Key,
    answer_to: MailboxSender<T>,
}

/// The cores' side of the threads. They end when the last of these is dropped and they have done what they are at.
pub(super) struct Helper<T> {
    files: SyncSender<Errand<T>>,
    names: SyncSender<Errand<T>>,
}

impl<T> Clone for Helper<T> {
    fn clone(&self) -> Self {
        Self {
            files: self.files.clone(),
            names: self.names.clone(),
        }
    }
}

impl<T: From<(Key, JobAnswer)> + Send + 'static> Helper<T> {
    /// Starts the threads, and gives the one to wait for at the end. Nobody waits for the one that resolves names: what
    /// it is at cannot be interrupted, and changes nothing; a stop must not take as long as a name service likes.
    pub(super) fn start() -> io::Result<(Self, JoinHandle<()>)> {
        let (files, files_thread) = thread("helper")?;
        let (names, _) = thread("names")?;
        Ok((Self { files, names }, files_thread))
    }

    /// Sends the thread that does such jobs on an errand.
    ///
    /// # Errors
    /// Gives the job back when too many wait.
    pub(super) fn send(&self, job: Job, key: Key, answer_to: MailboxSender<T>) -> Result<(), Job> {
        let errand = Errand {
            job,
            key,
            answer_to,
        };
        let thread = match errand.job {
            Job::Resolve(_) => &self.names,
            Job::List(_) | Job::FreeBytes(_) => &self.files,
        };
        thread.try_send(errand).map_err(|full| match full {
            std::sync::mpsc::TrySendError::Full(errand)
            | std::sync::mpsc::TrySendError::Disconnected(errand) => errand.job,
        })
    }
}

impl Job {
    /// Does it.
    fn run(&self) -> JobAnswer {
        match self {
            Self::Resolve(address) => JobAnswer::Resolved(resolve(address)),
            Self::List(path) => JobAnswer::Listed(list(path)),
            Self::FreeBytes(path) => JobAnswer::FreeBytes(free_bytes(path)),
        }
    }

    /// The answer when nobody can be asked.
    pub(super) fn refused(&self) -> JobAnswer {
        let error = || io::Error::from_raw_os_error(libc::EAGAIN);
        match self {
            Self::Resolve(_) => JobAnswer::Resolved(Err(error())),
            Self::List(_) => JobAnswer::Listed(Err(error())),
            Self::FreeBytes(_) => JobAnswer::FreeBytes(Err(error())),
        }
    }
}

/// A thread that does errands, and what it is sent on them by.
type Started<T> = (SyncSender<Errand<T>>, JoinHandle<()>);

fn thread<T>(name: &str) -> io::Result<Started<T>>
where
    T: From<(Key, JobAnswer)> + Send + 'static,
{
    let (errands, receiver) = sync_channel(JOBS_MAX);
    let thread = std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || run(&receiver))?;
    Ok((errands, thread))
}

fn run<T: From<(Key, JobAnswer)>>(errands: &Receiver<Errand<T>>) {
    while let Ok(errand) = errands.recv() {
        let mut letter = T::from((errand.key, errand.job.run()));
        // The mailbox is full when its core is very busy; this thread has time.
        while let Err(unsent) = errand.answer_to.send(letter) {
            if errand.answer_to.is_abandoned() {
                break;
            }
            letter = unsent;
            std::thread::yield_now();
        }
    }
}

/// Takes the first IPv4 address, or else the first: a server listens on 0.0.0.0 by default, and `localhost` is ::1
/// first on many machines.
fn resolve(address: &str) -> io::Result<SocketAddr> {
    let found: Vec<SocketAddr> = address.to_socket_addrs()?.collect();
    let preferred = found
        .iter()
        .find(|address| address.is_ipv4())
        .or(found.first());
    let nothing = || io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    preferred.copied().ok_or_else(nothing)
}

fn list(path: &Path) -> io::Result<Vec<String>> {
    let directory = openat(
        CWD,
        path,
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    let mut names = Vec::new();
    for entry in Dir::read_from(&directory)? {
        // A name that is not text is none of ours.
        if let Ok(name) = entry?.file_name().to_str()
            && name != "."
            && name != ".."
        {
            names.push(name.to_owned());
        }
    }
    names.sort_unstable();
    Ok(names)
}

fn free_bytes(path: &Path) -> io::Result<u64> {
    let found = statvfs(path)?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::super::mailbox::Mailbox;
    use super::super::slots::Slots;
    use super::*;

    #[test]
    fn a_directory_is_listed_in_order_and_without_itself() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["b", "a"] {
            std::fs::write(directory.path().join(name), "").unwrap();
        }
        assert_eq!(list(directory.path()).unwrap(), ["a", "b"]);
        assert!(free_bytes(directory.path()).unwrap() > 0);
    }

    /// The thread for names is held up by a mailbox that nobody empties, as by a name service that does not answer.
    #[test]
    fn a_name_that_takes_its_time_holds_up_no_file() {
        let (helper, thread) = Helper::<Arrived>::start().unwrap();
        let full = Mailbox::new(1).unwrap();
        let key = Slots::new().insert(());
        let name = || Job::Resolve("127.0.0.1:1".to_owned());
        for _ in 0..3 {
            helper.send(name(), key, full.sender()).unwrap();
        }
        let files = Mailbox::new(1).unwrap();
        let list = Job::List(PathBuf::from("."));
        helper.send(list, key, files.sender()).unwrap();
        let answer = loop {
            match files.take() {
                Some(Arrived(answer)) => break answer,
                None => std::thread::yield_now(),
            }
        };
        assert!(matches!(answer, JobAnswer::Listed(Ok(_))), "{answer:?}");
        drop(helper);
        thread.join().unwrap();
    }

    /// The thread stands still as above. What it is at, and the letter in the mailbox, are beside those that wait.
    #[test]
    fn so_many_jobs_wait_and_one_more_fails_until_there_is_room() {
        let (helper, thread) = Helper::<Arrived>::start().unwrap();
        let mailbox = Mailbox::new(1).unwrap();
        let key = Slots::new().insert(());
        let send = || helper.send(Job::FreeBytes(PathBuf::from(".")), key, mailbox.sender());
        let mut taken = 0;
        let refused = loop {
            match send() {
                Ok(()) => taken += 1,
                Err(job) => break job.refused(),
            }
            assert!(taken <= JOBS_MAX + 2, "{taken} jobs were taken");
        };
        assert!(taken >= JOBS_MAX, "{taken} jobs were taken");
        let JobAnswer::FreeBytes(Err(error)) = refused else {
            panic!("{refused:?}");
        };
        assert_eq!(error.raw_os_error(), Some(libc::EAGAIN), "{error}");
        // Each answer that is taken lets the thread go on to the next job.
        let mut answers = 0;
        while answers < taken {
            match mailbox.take() {
                Some(_) => answers += 1,
                None => std::thread::yield_now(),
            }
        }
        assert!(send().is_ok(), "there is room again");
        drop(helper);
        thread.join().unwrap();
    }

    /// A letter of these tests.
    struct Arrived(JobAnswer);

    impl From<(Key, JobAnswer)> for Arrived {
        fn from((_, answer): (Key, JobAnswer)) -> Self {
            Self(answer)
        }
    }

    #[test]
    fn a_numeric_address_needs_no_name_service() {
        let found = resolve("127.0.0.1:7400").unwrap();
        assert_eq!(found, SocketAddr::from(([127, 0, 0, 1], 7400)));
        assert!(resolve("no port").is_err());
    }
}
