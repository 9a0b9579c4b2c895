//! Sends some commands a second time, on connections of their own, on a thread of their own.
//!
//! ```text
//!   worker ── jobs ──>  repeater   attach, command again ──> leader
//!     ▲                    │
//!     └──── outputs ───────┘       the check compares them with the first ones
//! ```
//!
//! The second sending races with the first one, in both directions: the server must take either as the
//! command, and the other as its duplicate. Only a few commands go this way, so the thread is idle mostly.

use crate::check::Place;
use crate::repeat_link::{RepeatLink, Repeated, Standing};
use margay_client::clock::now_ns;
use margay_types::{GroupId, NodeId};
use margay_wire::client::Attach;
use std::collections::BTreeMap;
use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// Between two looks at connections on which something was asked.
const LOOK: Duration = Duration::from_millis(1);

/// Between two looks when nothing was asked.
const IDLE: Duration = Duration::from_millis(100);

/// Looks at a connection that answers nothing, before it is given up.
const SILENT_LOOKS_MAX: u32 = 2_000;

/// Between two attempts to connect.
const RETRY_NS: u64 = 200_000_000;

/// What the worker wants.
#[derive(Debug)]
enum Job {
    /// A session was opened; its commands may follow.
    Session(Attach),
    /// A command, as it stands in the log.
    Command(Place, Vec<u8>),
}

/// The nodes of a group, and who leads it at the start.
#[derive(Clone, Debug)]
pub(crate) struct Members {
    pub(crate) leader: Option<NodeId>,
    pub(crate) addresses: Vec<(NodeId, String)>,
}

/// The repeating thread, seen from the worker.
#[derive(Debug)]
pub(crate) struct Repeater {
    jobs: Option<Sender<Job>>,
    repeated: Receiver<Repeated>,
    thread: Option<JoinHandle<()>>,
    pending: usize,
}

impl Repeater {
    /// Starts the thread.
    pub(crate) fn start(groups: BTreeMap<GroupId, Members>) -> io::Result<Self> {
        let (jobs, taken) = channel();
        let (results, repeated) = channel();
        let lanes = groups
            .into_iter()
            .map(|(group, members)| (group, Lane::new(members)));
        let mut thread = RepeaterThread {
            lanes: lanes.collect(),
            jobs: taken,
            results,
        };
        let thread = std::thread::Builder::new()
            .name("repeater".to_owned())
            .spawn(move || thread.run())?;
        Ok(Self {
            jobs: Some(jobs),
            repeated,
            thread: Some(thread),
            pending: 0,
        })
    }

    /// A session was opened.
    pub(crate) fn on_session(&self, attach: Attach) {
        self.send(Job::Session(attach));
    }

    /// Sends a command a second time.
    pub(crate) fn repeat(&mut self, place: Place, payload: Vec<u8>) {
        self.pending += 1;
        self.send(Job::Command(place, payload));
    }

    /// Commands sent twice of whose second answer nothing is known.
    pub(crate) const fn pending(&self) -> usize {
        self.pending
    }

    /// What became of a command that was sent twice.
    pub(crate) fn next(&mut self) -> Option<Repeated> {
        if self.pending == 0 {
            return None;
        }
        let repeated = self.repeated.try_recv().ok()?;
        self.pending -= 1;
        Some(repeated)
    }

    fn send(&self, job: Job) {
        if let Some(jobs) = &self.jobs {
            // The thread ends only after this end was dropped.
            let _ = jobs.send(job);
        }
    }
}

impl Drop for Repeater {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has said so; the run is over in any case.
            let _ = thread.join();
        }
    }
}

/// One group: its connection, and what must be said again on the next one.
struct Lane {
    members: Members,
    turn: usize,
    sessions: Vec<Attach>,
    link: Option<RepeatLink>,
    silent_looks: u32,
    /// Not connected again before.
    retry_at_ns: u64,
}

/// What the thread owns.
struct RepeaterThread {
    lanes: BTreeMap<GroupId, Lane>,
    jobs: Receiver<Job>,
    results: Sender<Repeated>,
}

impl RepeaterThread {
    fn run(&mut self) {
        let mut repeated = Vec::new();
        while self.take_jobs(&mut repeated) {
            for lane in self.lanes.values_mut() {
                lane.look(&mut repeated);
            }
            for result in repeated.drain(..) {
                // Nobody who wants to know is left: the run is over.
                let _ = self.results.send(result);
            }
        }
    }

    /// Takes all jobs, waiting for the first a little. False when there will be none any more.
    fn take_jobs(&mut self, repeated: &mut Vec<Repeated>) -> bool {
        let is_waiting = self.lanes.values().any(Lane::is_waiting);
        match self.jobs.recv_timeout(if is_waiting { LOOK } else { IDLE }) {
            Ok(job) => self.take(job, repeated),
            Err(RecvTimeoutError::Timeout) => return true,
            Err(RecvTimeoutError::Disconnected) => return false,
        }
        loop {
            match self.jobs.try_recv() {
                Ok(job) => self.take(job, repeated),
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return false,
            }
        }
    }

    fn take(&mut self, job: Job, repeated: &mut Vec<Repeated>) {
        match job {
            Job::Session(attach) => {
                if let Some(lane) = self.lanes.get_mut(&attach.group) {
                    lane.on_session(attach, repeated);
                }
            }
            Job::Command(place, payload) => match self.lanes.get_mut(&place.group) {
                Some(lane) => lane.on_command(place, &payload, repeated),
                None => repeated.push(Repeated::GivenUp(place)),
            },
        }
    }
}

impl Lane {
    fn new(members: Members) -> Self {
        Self {
            members,
            turn: 0,
            sessions: Vec::new(),
            link: None,
            silent_looks: 0,
            retry_at_ns: 0,
        }
    }

    fn is_waiting(&self) -> bool {
        self.link.as_ref().is_some_and(RepeatLink::is_waiting)
    }

    fn on_session(&mut self, attach: Attach, repeated: &mut Vec<Repeated>) {
        self.sessions.push(attach);
        match &mut self.link {
            Some(link) => {
                if link.attach(&attach).is_err() {
                    self.give_up(None, repeated);
                }
            }
            None => self.connect(repeated),
        }
    }

    fn on_command(&mut self, place: Place, payload: &[u8], repeated: &mut Vec<Repeated>) {
        if self.link.is_none() {
            self.connect(repeated);
        }
        let sent = self
            .link
            .as_mut()
            .map(|link| link.send_command(place, payload));
        match sent {
            Some(Ok(true)) => {}
            Some(Ok(false)) | None => repeated.push(Repeated::GivenUp(place)),
            // What was sent before is given up with the connection; this one may be among it already.
            Some(Err(_)) => self.give_up(None, repeated),
        }
    }

    /// Connects to whoever leads, as far as is known, and attaches all sessions there.
    fn connect(&mut self, repeated: &mut Vec<Repeated>) {
        if now_ns() < self.retry_at_ns {
            return;
        }
        let leader = self.members.leader.take();
        let addresses = &self.members.addresses;
        let known = addresses.iter().find(|(node, _)| Some(*node) == leader);
        let any = self
            .turn
            .checked_rem(addresses.len())
            .and_then(|at| addresses.get(at));
        let Some((_, address)) = known.or(any) else {
            return;
        };
        self.turn += 1;
        let Ok(mut link) = RepeatLink::connect(address) else {
            self.retry_at_ns = now_ns() + RETRY_NS;
            return;
        };
        let attached = self
            .sessions
            .iter()
            .try_for_each(|session| link.attach(session));
        self.link = Some(link);
        self.silent_looks = 0;
        if attached.is_err() {
            self.give_up(None, repeated);
        }
    }

    fn look(&mut self, repeated: &mut Vec<Repeated>) {
        let Some(link) = self.link.as_mut().filter(|link| link.is_waiting()) else {
            self.silent_looks = 0;
            return;
        };
        let before = repeated.len();
        let standing = link.receive(repeated);
        self.silent_looks = if repeated.len() > before {
            0
        } else {
            self.silent_looks + 1
        };
        match standing {
            Ok(Standing::Good) if self.silent_looks < SILENT_LOOKS_MAX => {}
            Ok(Standing::Good) | Err(_) => self.give_up(None, repeated),
            Ok(Standing::Elsewhere(leader)) => self.give_up(leader, repeated),
        }
    }

    /// The connection is of no more use, and neither is what was asked on it.
    fn give_up(&mut self, leader: Option<NodeId>, repeated: &mut Vec<Repeated>) {
        self.members.leader = leader;
        if let Some(link) = self.link.take() {
            repeated.extend(link.pending().map(Repeated::GivenUp));
        }
    }
}

#[cfg(test)]
#[path = "repeat_tests.rs"]
mod tests;
