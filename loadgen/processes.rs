//! The nodes of a cluster that lives for one run: real processes in one temporary directory.
//!
//! Whatever ends the run, nothing is left: dropping this kills and reaps the processes and removes the
//! directory, and the kernel ends them when the generator itself is killed outright.
//!
//! Two runs on one machine never take the same port: a port is first reserved by an abstract socket of
//! that name, which the kernel frees with its process, and then probed.

use crate::failure::{Exit, Failure};
use crate::usage;
use rustix::process::getpid;
use rustix::rand::{GetRandomFlags, getrandom};
use std::fs::{self, File};
use std::io;
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// Ports are drawn from here up to below the range from which the kernel takes its own.
const PORT_MIN: u16 = 10_000;
const PORT_END: u16 = 32_000;

/// Ports that are tried before the run gives up.
const PORT_ATTEMPTS: usize = 200;

/// Last lines of a node's output that are shown when it ended.
const LINES_SHOWN: usize = 8;

/// Nodes share the machine, so none of them is pinned: the kernel balances their one shard each.
const CORES: &str = "anywhere:1";

/// A port that no other run takes meanwhile.
#[derive(Debug)]
struct Port {
    number: u16,
    _reservation: UnixListener,
}

/// One node.
#[derive(Debug)]
struct Node {
    data: PathBuf,
    output: PathBuf,
    port: Port,
    child: Option<Child>,
}

/// All nodes, and the directory that they live in.
#[derive(Debug)]
pub(crate) struct Processes {
    nodes: Vec<Node>,
    program: PathBuf,
    // Removed after the processes have ended: fields are dropped after `drop`.
    directory: TempDir,
}

impl Processes {
    /// Makes a directory and draws ports; nothing runs yet.
    pub(crate) fn prepare(count: u16) -> Result<Self, Failure> {
        let program = server_program()?;
        let parent = std::env::temp_dir();
        let directory = tempfile::Builder::new()
            .prefix("margay-")
            .tempdir()
            .map_err(|error| Failure::of_path("make a directory", &parent, &error))?;
        let mut nodes = Vec::new();
        for number in 1..=count {
            nodes.push(Node {
                data: directory.path().join(format!("n{number}")),
                output: directory.path().join(format!("n{number}.log")),
                port: Port::draw()?,
                child: None,
            });
        }
        Ok(Self {
            nodes,
            program,
            directory,
        })
    }

    /// Where everything lies.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The nodes' addresses.
    pub(crate) fn addresses(&self) -> Vec<String> {
        let address = |node: &Node| format!("127.0.0.1:{}", node.port.number);
        self.nodes.iter().map(address).collect()
    }

    /// Formats all data directories and starts all nodes.
    pub(crate) fn start(&mut self) -> Result<(), Failure> {
        for at in 0..self.nodes.len() {
            let data = self.nodes[at].data.clone();
            self.command("format a data directory", |command| {
                command.arg("format").arg("--data").arg(&data);
            })?;
            self.start_node(at)?;
        }
        Ok(())
    }

    fn start_node(&mut self, at: usize) -> Result<(), Failure> {
        let program = self.program.clone();
        let node = &mut self.nodes[at];
        let start = || -> io::Result<Child> {
            let output = File::create(&node.output)?;
            sealed(&program)
                .args(["run", "--cores", CORES, "--set"])
                .arg(format!("listen=127.0.0.1:{}", node.port.number))
                .arg("--data")
                .arg(&node.data)
                .stdin(Stdio::null())
                .stdout(output.try_clone()?)
                .stderr(output)
                .spawn()
        };
        let child = start().map_err(|error| Failure::of_path("start a node", &program, &error))?;
        node.child = Some(child);
        Ok(())
    }

    /// Forms one cluster of the nodes.
    pub(crate) fn bootstrap(&self, name: &str, timeout: Duration) -> Result<(), Failure> {
        let nodes = self.addresses().join(",");
        let timeout = format!("{}s", timeout.as_secs().max(1));
        self.command("form a cluster", |command| {
            command.args(["--endpoints", &nodes, "--timeout", &timeout]);
            command.args(["bootstrap", "--name", name, "--nodes", &nodes]);
        })
    }

    /// What the server calls itself: `0.1.0 (4be1c02)`.
    pub(crate) fn version(&self) -> Option<String> {
        let output = Command::new(&self.program).arg("--version").output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        Some(text.trim().trim_start_matches("margay ").to_owned())
    }

    fn command(&self, what: &str, arguments: impl FnOnce(&mut Command)) -> Result<(), Failure> {
        let run = || {
            let mut command = sealed(&self.program);
            arguments(&mut command);
            command.stdin(Stdio::null()).output()
        };
        let output = run().map_err(|error| Failure::of_path(what, &self.program, &error))?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        // What the nodes said explains best why they could not be asked.
        self.check_alive()?;
        let exit = match output.status.code() {
            Some(4) => Exit::NotReached,
            Some(5) => Exit::Refused,
            Some(6) => Exit::OutcomeUnknown,
            _ => Exit::Configuration,
        };
        Err(Failure::new(exit, format!("cannot {what}")).with("server", said))
    }

    /// An error when a node has ended by itself.
    pub(crate) fn check_alive(&self) -> Result<(), Failure> {
        for (node, name) in self.nodes.iter().zip(1..) {
            let Some(child) = &node.child else { continue };
            if is_running(child.id()) {
                continue;
            }
            let said = fs::read_to_string(&node.output).unwrap_or_default();
            let failure = Failure::new(Exit::NotReached, format!("node n{name} has ended"));
            return Err(failure.with("it said", last_lines(&said)));
        }
        Ok(())
    }

    /// Processor time of all nodes so far.
    pub(crate) fn cpu_time(&self) -> Option<Duration> {
        self.ids().map(|id| usage::cpu_time(&id)).sum()
    }

    /// The most memory that a node had resident.
    pub(crate) fn resident_bytes_max(&self) -> Option<u64> {
        self.ids()
            .filter_map(|id| usage::resident_bytes_max(&id))
            .max()
    }

    /// Bytes that all nodes gave to disks so far; `None` where the kernel does not tell, or a node is gone.
    pub(crate) fn written_bytes(&self) -> Option<u64> {
        self.ids().map(|id| usage::written_bytes(&id)).sum()
    }

    fn ids(&self) -> impl Iterator<Item = String> + '_ {
        self.nodes
            .iter()
            .filter_map(|node| node.child.as_ref().map(|child| child.id().to_string()))
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        // All are told before the first is waited for.
        for child in self.nodes.iter_mut().filter_map(|node| node.child.as_mut()) {
            // One that has ended already is only reaped.
            let _ = child.kill();
        }
        for child in self.nodes.iter_mut().filter_map(|node| node.child.as_mut()) {
            let _ = child.wait();
        }
    }
}

impl Port {
    fn draw() -> Result<Self, Failure> {
        let mut last = io::Error::other("none was tried");
        for _ in 0..PORT_ATTEMPTS {
            match Self::take(drawn_number()?) {
                Ok(port) => return Ok(port),
                Err(error) => last = error,
            }
        }
        Err(Failure::of_io("find a free port", &last))
    }

    fn take(number: u16) -> io::Result<Self> {
        let name = SocketAddr::from_abstract_name(format!("margay-port-{number}"))?;
        let reservation = UnixListener::bind_addr(&name)?;
        drop(TcpListener::bind(("127.0.0.1", number))?);
        Ok(Self {
            number,
            _reservation: reservation,
        })
    }
}

fn drawn_number() -> Result<u16, Failure> {
    let mut bytes = [0; 2];
    getrandom(&mut bytes, GetRandomFlags::empty())
        .map_err(|error| Failure::of_io("draw a port", &error.into()))?;
    Ok(PORT_MIN + u16::from_le_bytes(bytes) % (PORT_END - PORT_MIN))
}

/// A command that runs the server's program, and ends with this process even when that is killed outright.
///
/// The kernel ties the child to the *thread* that starts it: start it on the main thread.
fn sealed(program: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .arg("--parent")
        .arg(getpid().as_raw_nonzero().to_string())
        // Ctrl-C is for the generator, which ends its children in its own order.
        .process_group(0);
    command
}

/// The server is built beside the generator.
fn server_program() -> Result<PathBuf, Failure> {
    let own = std::env::current_exe()
        .map_err(|error| Failure::of_io("find the directory of this program", &error))?;
    let program = own.with_file_name("margay");
    if program.is_file() {
        return Ok(program);
    }
    Err(Failure::new(
        Exit::Configuration,
        "margay not found beside loadgen: run cargo build --release",
    )
    .with("path", program.display()))
}

/// Is a child neither gone nor waiting to be reaped?
fn is_running(id: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    let state = stat.rsplit_once(") ").map(|(_, behind)| behind);
    state.is_some_and(|state| !state.starts_with('Z'))
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let from = lines.len().saturating_sub(LINES_SHOWN);
    lines.get(from..).unwrap_or_default().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn processes(script: &str) -> Processes {
        let directory = tempfile::tempdir().expect("a directory can be made");
        let output = directory.path().join("n1.log");
        let child = Command::new("sh")
            .args(["-c", script])
            .stdout(File::create(&output).expect("a file can be made"))
            .spawn()
            .expect("a shell can be started");
        let node = Node {
            data: directory.path().join("n1"),
            output,
            port: Port::draw().expect("a port is free"),
            child: Some(child),
        };
        Processes {
            nodes: vec![node],
            program: PathBuf::from("sh"),
            directory,
        }
    }

    #[test]
    fn nothing_is_left_when_the_run_ends() {
        let processes = processes("echo ready; exec cat /dev/zero > /dev/null");
        let directory = processes.directory().to_owned();
        let id = processes.ids().next().expect("one runs");
        assert_eq!(processes.check_alive(), Ok(()));
        assert!(processes.cpu_time().is_some());
        drop(processes);
        assert!(!directory.exists());
        assert!(!Path::new(&format!("/proc/{id}")).exists());
    }

    #[test]
    fn a_node_that_ended_is_named_with_its_last_words() {
        let mut processes = processes("echo M114 another cluster");
        let child = processes.nodes[0].child.as_mut().expect("it was started");
        child.wait().expect("it ends");
        let failure = processes.check_alive().expect_err("it has ended");
        assert!(failure.to_string().contains("M114 another cluster"));
    }

    #[test]
    fn a_port_is_taken_once_and_below_the_range_of_the_kernel() {
        let port = Port::draw().expect("a port is free");
        assert!((PORT_MIN..PORT_END).contains(&port.number));
        assert!(Port::take(port.number).is_err());
        let number = port.number;
        drop(port);
        assert!(Port::take(number).is_ok());
    }
}
