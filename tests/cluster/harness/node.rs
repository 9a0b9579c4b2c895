//! One `margay run`, and what can be done to it.
//!
//! The process is started through `setpriv --pdeathsig KILL`, which becomes it: when the test dies, however it dies,
//! so does the node. What it prints goes to a file beside its data, which a failing test shows.

use super::ports::Port;
use super::waiting::{eventually, now};
use margay_client::operator;
use margay_types::GroupId;
use margay_wire::admin::{GroupStatus, Status, StatusRequest};
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{self, File, OpenOptions};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

/// How long one question to a node may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
/// Groups in one answer: more than any test but one makes.
const GROUPS_MAX: u32 = 1_000;
/// Lines of a log that a failing test shows.
const LOG_LINES_MAX: usize = 40;

/// A node: its directory and port for ever, its process for now.
#[derive(Debug)]
pub(crate) struct Node {
    host: Ipv4Addr,
    port: Port,
    data: PathBuf,
    log: PathBuf,
    settings: Vec<String>,
    shards: usize,
    /// Words in front of the command line: they do something to the process, and become it.
    before: Vec<String>,
    process: Option<Child>,
}

impl Node {
    /// Formats a directory below `parent`. The node does not run yet.
    pub(crate) fn format(parent: &Path, name: &str, settings: &[&str]) -> Self {
        let data = parent.join(name);
        let formatted = margay(&["format", "--data", text(&data)]).output();
        let formatted = formatted.expect("the binary was built");
        assert!(formatted.status.success(), "{formatted:?}");
        Self::on(parent, name, settings)
    }

    /// A node on a directory that is there.
    pub(crate) fn on(parent: &Path, name: &str, settings: &[&str]) -> Self {
        Self {
            host: Ipv4Addr::LOCALHOST,
            port: Port::draw(),
            log: parent.join(format!("{name}.log")),
            data: parent.join(name),
            settings: settings.iter().map(ToString::to_string).collect(),
            shards: 1,
            before: Vec::new(),
            process: None,
        }
    }

    /// The same, to run with so many shards.
    pub(crate) fn with_shards(mut self, shards: usize) -> Self {
        self.shards = shards;
        self
    }

    /// The same, to listen on another address than that of loopback.
    pub(crate) fn listening_on(mut self, host: Ipv4Addr) -> Self {
        self.host = host;
        self
    }

    /// The same, to be started through a program that becomes it, such as `prlimit`.
    pub(crate) fn start_through(&mut self, before: Vec<String>) {
        self.before = before;
    }

    fn cores(&self) -> String {
        format!("anywhere:{}", self.shards)
    }

    /// Starts it, on the directory and the port that it always has, and waits until it answers.
    pub(crate) fn start(&mut self) {
        self.begin();
        self.wait_until_it_answers();
    }

    /// The same, without waiting for anything.
    pub(crate) fn begin(&mut self) {
        assert!(self.process.is_none(), "it runs already");
        let log = self.open_log();
        let mut command = self.command();
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        self.process = Some(command.spawn().expect("setpriv is there"));
    }

    /// The command line that runs it.
    pub(crate) fn command(&self) -> Command {
        let own = [
            "setpriv",
            "--pdeathsig",
            "KILL",
            env!("CARGO_BIN_EXE_margay"),
        ];
        let mut words = self.before.iter().map(String::as_str).chain(own);
        let mut command = Command::new(words.next().expect("there are words of ours"));
        command.args(words);
        command.args(["run", "--data", text(&self.data), "--cores", &self.cores()]);
        command.args(["--set", &format!("listen={}", self.address())]);
        for setting in &self.settings {
            command.args(["--set", setting]);
        }
        without_variables(&mut command);
        command
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> String {
        SocketAddr::from((self.host, self.port.number())).to_string()
    }

    /// Its directory.
    pub(crate) fn data(&self) -> &Path {
        &self.data
    }

    /// The number of its process.
    pub(crate) fn process(&self) -> u32 {
        self.process.as_ref().expect("it runs").id()
    }

    /// Does a process run?
    pub(crate) fn is_running(&self) -> bool {
        self.process.is_some()
    }

    /// Ends it as a power cut would, but for what the kernel still holds: nothing, because writes are direct.
    pub(crate) fn kill(&mut self) {
        self.signal(Signal::KILL);
        let mut process = self.process.take().expect("it runs");
        process.wait().expect("it is our child");
    }

    /// Ends it in good order, and gives what it ended with.
    pub(crate) fn stop(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.wait()
    }

    /// Waits until it has ended by itself.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let mut process = self.process.take().expect("it runs");
        eventually("the end of a node", || {
            process
                .try_wait()
                .expect("it is our child")
                .ok_or("it runs")
        })
    }

    /// Stops its time.
    pub(crate) fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets its time go on.
    pub(crate) fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    /// What it says of itself.
    pub(crate) fn status(&self) -> Result<Status, String> {
        let request = StatusRequest {
            from_group: GroupId::SYSTEM,
            groups_max: GROUPS_MAX,
        };
        operator::status(&self.address(), &request, ANSWER_TIMEOUT)
            .map_err(|error| error.to_string())
    }

    /// All its replicas, page by page.
    pub(crate) fn replicas(&self) -> Result<Vec<GroupStatus>, String> {
        let mut replicas = Vec::new();
        let mut next = Some(GroupId::SYSTEM);
        while let Some(from_group) = next {
            let request = StatusRequest {
                from_group,
                groups_max: GROUPS_MAX,
            };
            let page = operator::status(&self.address(), &request, ANSWER_TIMEOUT);
            let page = page.map_err(|error| error.to_string())?;
            replicas.extend(page.groups);
            next = page.more_from.filter(|more| *more > from_group);
        }
        Ok(replicas)
    }

    /// What it has printed so far.
    pub(crate) fn printed(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Bytes of its directory on the disk.
    pub(crate) fn disk_bytes(&self) -> u64 {
        fn below(path: &Path) -> u64 {
            let entries = fs::read_dir(path).expect("it is ours");
            entries
                .map(|entry| {
                    let entry = entry.expect("it is ours");
                    match entry.metadata() {
                        Ok(found) if found.is_dir() => below(&entry.path()),
                        Ok(found) => found.len(),
                        // A file that was being replaced.
                        Err(_) => 0,
                    }
                })
                .sum()
        }
        below(&self.data)
    }

    /// The end of its log, for a test that fails.
    pub(crate) fn show(&self) {
        let printed = self.printed();
        let lines: Vec<&str> = printed.lines().collect();
        let from = lines.len().saturating_sub(LOG_LINES_MAX);
        let state = if self.is_running() {
            "runs"
        } else {
            "does not run"
        };
        eprintln!("--- {} {state}: {}", self.address(), self.log.display());
        for line in lines.get(from..).unwrap_or_default() {
            eprintln!("{line}");
        }
    }

    fn signal(&self, signal: Signal) {
        let process = self.process.as_ref().expect("it runs");
        kill_process(Pid::from_child(process), signal).expect("it was not waited for yet");
    }

    fn open_log(&self) -> File {
        let opened = OpenOptions::new().create(true).append(true).open(&self.log);
        opened.expect("the directory is ours")
    }

    /// Waits until it answers, or fails with what it printed if it ends.
    pub(crate) fn wait_until_it_answers(&mut self) {
        let address = self.address();
        let started = now();
        let mut process = self.process.take().expect("it was started");
        eventually("an answer of a node that was started", || {
            if let Some(ended) = process.try_wait().expect("it is our child") {
                panic!(
                    "{address} ended {ended} after {:?}: {}",
                    started.elapsed(),
                    self.printed()
                );
            }
            operator::node_info(&address, ANSWER_TIMEOUT)
        });
        self.process = Some(process);
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            // It is a child of a test that ends; whether it could be killed changes nothing.
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// Any run of the binary, without variables that would change what it does.
pub(crate) fn margay(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_margay"));
    command.args(arguments);
    without_variables(&mut command);
    command
}

pub(super) fn without_variables(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("MARGAY_") {
            command.env_remove(name);
        }
    }
}

/// A path as an argument.
pub(crate) fn text(path: &Path) -> &str {
    path.to_str().expect("temporary paths are text")
}
