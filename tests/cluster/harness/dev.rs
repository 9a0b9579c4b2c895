//! One `margay dev`, and the nodes that it started.
//!
//! It is tied to the test as nodes are, and its nodes are tied to it.

use super::cluster::take_turn;
use super::node::without_variables;
use super::ports::Port;
use super::waiting::eventually;
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::MutexGuard;
use tempfile::TempDir;

/// A `dev` with its place.
#[derive(Debug)]
pub(crate) struct Dev {
    process: Option<Child>,
    ports: Vec<Port>,
    directory: TempDir,
    _turn: MutexGuard<'static, ()>,
}

impl Dev {
    /// A place for so many nodes. Nothing runs yet.
    pub(crate) fn place(nodes: u16) -> Self {
        let turn = take_turn();
        let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"));
        Self {
            process: None,
            ports: Port::draw_row(nodes),
            directory: directory.expect("the build folder is writable"),
            _turn: turn,
        }
    }

    /// Where it, and its temporary folders, lie.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The port of its first node.
    pub(crate) fn port(&self) -> String {
        self.ports[0].number().to_string()
    }

    /// Starts it, with these arguments behind the verb.
    pub(crate) fn start(&mut self, arguments: &[&str]) {
        assert!(self.process.is_none(), "it runs already");
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", env!("CARGO_BIN_EXE_margay")]);
        command.args(["dev", "-o", "json"]).args(arguments);
        without_variables(&mut command);
        let file = |path: PathBuf| File::create(path).expect("the directory is ours");
        command
            .env("TMPDIR", self.directory())
            .stdin(Stdio::null())
            .stdout(file(self.path("stdout")))
            .stderr(file(self.path("stderr")));
        self.process = Some(command.spawn().expect("setpriv is there"));
    }

    /// What it prints once all is well.
    pub(crate) fn ready(&mut self) -> serde_json::Value {
        let process = self.process.as_mut().expect("it was started");
        let (stdout, stderr) = (
            self.directory.path().join("stdout"),
            self.directory.path().join("stderr"),
        );
        eventually("a cluster of dev", || {
            let printed = || fs::read_to_string(&stderr).unwrap_or_default();
            if let Some(ended) = process.try_wait().expect("it is our child") {
                panic!("dev ended {ended}: {}", printed());
            }
            let line = fs::read_to_string(&stdout).unwrap_or_default();
            serde_json::from_str(&line).map_err(|_| printed())
        })
    }

    /// What it has told so far.
    pub(crate) fn printed(&self) -> String {
        fs::read_to_string(self.path("stderr")).unwrap_or_default()
    }

    /// Sends it a signal.
    pub(crate) fn tell(&self, signal: Signal) {
        let process = self.process.as_ref().expect("it runs");
        kill_process(Pid::from_child(process), signal).expect("it was not waited for yet");
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let mut process = self.process.take().expect("it runs");
        eventually("the end of dev", || {
            let ended = process.try_wait().expect("it is our child");
            ended.ok_or("it runs")
        })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.printed());
        }
        if let Some(process) = &mut self.process {
            // It is a child of a test that ends; whether it could be killed changes nothing.
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}
