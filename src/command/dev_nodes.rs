//! The processes of a cluster on one machine: started, watched, stopped.
//!
//! Whatever ends `dev`, no node is left: they are told to stop and waited for; late ones are killed; when this is
//! dropped on the way out of an error, they are killed; and when `dev` itself is killed, the kernel ends them.

use super::arguments::Globals;
use super::data_directory::failed;
use super::dev_folder::DevPlace;
use super::parent;
use crate::codes::{Code, Failure};
use crate::runtime::Signals;
use margay_client::operator::{Deadline, PAUSE};
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, ExitStatus, Stdio};
use std::time::Duration;

/// A node that was told to stop has this long: it hands over what it leads, and writes what it has.
const STOP_TIME: Duration = Duration::from_secs(10);
/// Last lines of a node's log that are shown when it ended.
const LINES_SHOWN: usize = 8;

/// What the nodes of `dev` are told beside their place: they share the machine.
const SHARED_MACHINE: [&str; 4] = ["--cores", "anywhere:1", "--profile", "laptop"];

/// One node.
#[derive(Debug)]
pub(super) struct DevNode {
    pub(super) place: DevPlace,
    /// `None` once it has ended and was reaped.
    child: Option<Child>,
}

/// All nodes.
#[derive(Debug)]
pub(super) struct DevNodes(Vec<DevNode>);

/// A node that ended by itself.
#[derive(Debug)]
pub(super) struct Ended {
    /// Which, how, and what it said last.
    failure: Failure,
    place: DevPlace,
}

impl Ended {
    /// What is told when the whole gives up for it.
    pub(super) fn failure(self) -> Failure {
        self.failure
    }

    /// What is told when the others go on.
    pub(super) fn failure_among_others(self) -> Failure {
        let run_line = run_arguments(&self.place).join(" ");
        self.failure
            .with("log", self.place.log.display())
            .remedy(format!("margay {run_line}   starts it again"))
    }
}

impl DevNodes {
    /// Starts a process at each place.
    ///
    /// # Errors
    /// When a log or a process cannot be made; those that were started are ended.
    pub(super) fn start(places: Vec<DevPlace>, globals: &Globals) -> Result<Self, Failure> {
        let mut nodes = Self(Vec::new());
        for place in places {
            let child = spawn(&place, globals)?;
            nodes.0.push(DevNode {
                place,
                child: Some(child),
            });
        }
        Ok(nodes)
    }

    /// The nodes, in their order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &DevNode> {
        self.0.iter()
    }

    /// Does any node run?
    pub(super) fn any_runs(&self) -> bool {
        self.0.iter().any(|node| node.child.is_some())
    }

    /// The nodes that ended by themselves since the last look.
    pub(super) fn take_ended(&mut self) -> Vec<Ended> {
        let ended = |node: &mut DevNode| {
            let status = node.take_ended()?;
            Some(Ended {
                failure: node.ended(status),
                place: node.place.clone(),
            })
        };
        self.0.iter_mut().filter_map(ended).collect()
    }

    /// Tells all nodes to stop and waits for them; a second signal, or time that is over, kills those that are left.
    ///
    /// # Errors
    /// The first node that did not end well.
    pub(super) fn stop(&mut self, signals: &Signals) -> Result<(), Failure> {
        // All are told before the first is waited for.
        for node in &self.0 {
            node.tell(Signal::TERM);
        }
        let deadline = Deadline::after(STOP_TIME);
        let mut outcome = Ok(());
        while self.any_runs() {
            for node in &mut self.0 {
                if let Some(status) = node.take_ended().filter(|status| !is_told(*status)) {
                    outcome = outcome.and(Err(node.ended(status)));
                }
            }
            if !self.any_runs() {
                break;
            }
            if signals.came_within(PAUSE).unwrap_or(true) {
                return outcome.and(self.kill("a second signal came while it stopped"));
            }
            if deadline.left().is_none() {
                return outcome.and(self.kill("it did not stop in time"));
            }
        }
        outcome
    }

    /// Ends what is left at once.
    fn kill(&mut self, why: &str) -> Result<(), Failure> {
        let mut outcome = Ok(());
        for node in &mut self.0 {
            let Some(child) = &mut node.child else {
                continue;
            };
            // One that has ended meanwhile is only reaped.
            let _ = child.kill();
            let _ = child.wait();
            node.child = None;
            let failure = Failure::new(Code::NodeKilled)
                .with("node", &node.place.name)
                .with("reason", why);
            outcome = outcome.and(Err(failure));
        }
        outcome
    }
}

impl Drop for DevNodes {
    fn drop(&mut self) {
        // Nobody is left to whom it could be told.
        let _ = self.kill("dev gave up");
    }
}

impl DevNode {
    /// The number of its process, while it runs.
    pub(super) fn process(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// What it ended with, told once.
    fn take_ended(&mut self) -> Option<ExitStatus> {
        let status = self.child.as_mut()?.try_wait().ok()??;
        self.child = None;
        Some(status)
    }

    fn tell(&self, signal: Signal) {
        if let Some(child) = &self.child {
            // A child that has ended and was not reaped keeps its number, so no other process is meant.
            let _ = kill_process(Pid::from_child(child), signal);
        }
    }

    fn ended(&self, status: ExitStatus) -> Failure {
        let place = &self.place;
        let said = fs::read(&place.log).unwrap_or_default();
        Failure::new(Code::NodeEnded)
            .with("node", format!("{} {}", place.name, place.address))
            .with("ended", status)
            .with("it said", last_lines(&String::from_utf8_lossy(&said)))
    }
}

/// Did a node end as it does when it is told to? One that was told before it could listen is ended by the signal.
fn is_told(status: ExitStatus) -> bool {
    status.success() || status.signal() == Some(Signal::TERM.as_raw())
}

fn run_arguments(place: &DevPlace) -> Vec<String> {
    let mut arguments = vec![
        "run".to_owned(),
        "--data".to_owned(),
        place.data.display().to_string(),
        "--set".to_owned(),
        format!("listen={}", place.address),
    ];
    arguments.extend(SHARED_MACHINE.map(str::to_owned));
    arguments
}

fn spawn(place: &DevPlace, globals: &Globals) -> Result<Child, Failure> {
    let log = open_log(&place.log).map_err(|error| failed(&place.log, &error))?;
    let start = || -> io::Result<Child> {
        let mut command = parent::own_program(&[])?;
        command.args(run_arguments(place));
        if let Some(config) = &globals.config {
            command.arg("--config").arg(config);
        }
        if globals.verbose {
            command.arg("--verbose");
        }
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
    };
    start().map_err(|error| {
        Failure::new(Code::KernelRefused)
            .with("call", format!("start node {}", place.name))
            .with("reason", error)
    })
}

/// A node that is started again adds to what it said before.
fn open_log(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let from = lines.len().saturating_sub(LINES_SHOWN);
    lines.get(from..).unwrap_or_default().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::SocketAddr;
    use std::process::Command;

    fn nodes(folder: &Path, script: &str) -> DevNodes {
        let place = DevPlace {
            name: "n1".to_owned(),
            address: SocketAddr::from(([127, 0, 0, 1], 7400)),
            data: folder.join("n1"),
            log: folder.join("n1.log"),
        };
        let log = open_log(&place.log).expect("the folder is ours");
        let child = Command::new("sh")
            .args(["-c", script])
            .stdout(log)
            .spawn()
            .expect("a shell can be started");
        DevNodes(vec![DevNode {
            place,
            child: Some(child),
        }])
    }

    #[test]
    fn a_node_that_ended_is_told_once_with_its_last_words_and_how_to_start_it() {
        let folder = tempfile::tempdir().expect("there is room");
        let mut nodes = nodes(
            folder.path(),
            "for i in 1 2 3 4 5 6 7 8 9; do echo line $i; done; exit 3",
        );
        let child = nodes.0[0].child.as_mut().expect("it was started");
        child.wait().expect("it is our child");
        let ended = nodes.take_ended().pop().expect("it has ended");
        let text = ended.failure_among_others().to_string();
        for words in [
            "M160",
            "n1 127.0.0.1:7400",
            "exit status: 3",
            "line 9",
            "margay run --data",
        ] {
            assert!(text.contains(words), "{words:?} is missing: {text}");
        }
        assert!(!text.contains("line 1\n"), "only the last lines: {text}");
        assert!(nodes.take_ended().is_empty() && !nodes.any_runs());
    }

    #[test]
    fn nothing_runs_any_more_when_the_nodes_are_dropped() {
        let folder = tempfile::tempdir().expect("there is room");
        let nodes = nodes(folder.path(), "exec cat /dev/zero > /dev/null");
        let process = nodes.0[0].process().expect("it runs");
        assert!(Path::new(&format!("/proc/{process}")).exists());
        drop(nodes);
        assert!(!Path::new(&format!("/proc/{process}")).exists());
    }
}
