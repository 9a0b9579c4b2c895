//! Where a cluster of `dev` lives: one folder for all of its nodes, which finds the same cluster again.
//!
//! ```text
//!   <folder>/dev.json      the ports of the nodes, for ever: a cluster knows its nodes by their addresses
//!   <folder>/lock          the `dev` that runs on it
//!   <folder>/n1/ n2/ ...   the nodes' data directories
//!   <folder>/n1.log ...    what they print
//! ```
//!
//! A folder that is not empty and has no `dev.json` is somebody else's, and is left alone.

use super::data_directory::{demand_empty, demand_formatted, failed};
use super::format::{draw, format};
use super::identity;
use super::runtime_failure::runtime_failure;
use crate::codes::{Code, Failure};
use crate::runtime::DirectoryLock;
use margay_types::Incarnation;
use serde::{Deserialize, Serialize};
use std::fmt::Display;
use std::fs;
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// What tells a folder of `dev` from others.
const PLAN_FILE: &str = "dev.json";
/// The form of that file.
const PLAN_SCHEMA: u32 = 1;
/// Nodes when nobody says how many.
const NODES_DEFAULT: u16 = 3;
/// The first port when nobody says which: the one that every command asks by default.
const PORT_DEFAULT: u16 = 7400;

/// What was asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wish<'a> {
    /// The folder; a temporary one when it is left out.
    pub(super) data: Option<&'a Path>,
    /// How many nodes.
    pub(super) nodes: Option<u16>,
    /// The port of the first node.
    pub(super) port: Option<u16>,
    /// What becomes of a temporary folder.
    pub(super) temporary: Temporary,
}

/// What becomes of a temporary folder at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Temporary {
    /// It is removed.
    Removed,
    /// It stays.
    Kept,
}

/// A folder that is ours, and locked.
#[derive(Debug)]
pub(super) struct DevFolder {
    path: PathBuf,
    plan: Plan,
    age: Age,
    _lock: DirectoryLock,
    /// Removed when this is dropped, unless it is kept.
    temporary: Option<TempDir>,
    is_removed: bool,
}

/// Was there a cluster before?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Age {
    /// No: its plan is not written yet, and may still be another one.
    New,
    /// Yes, and it stays as it is.
    Old,
}

/// What stands in `dev.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Plan {
    schema: u32,
    ports: Vec<u16>,
}

/// The place of one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DevPlace {
    /// `n1`, `n2`, ...
    pub(super) name: String,
    pub(super) address: SocketAddr,
    pub(super) data: PathBuf,
    pub(super) log: PathBuf,
}

impl DevFolder {
    /// Finds or makes the folder. Its plan is written by [`Self::write_plan`], once nothing is in its way.
    ///
    /// # Errors
    /// When it is somebody else's, another `dev` runs on it, or its cluster is another than the one asked for.
    pub(super) fn open(wish: Wish<'_>) -> Result<Self, Failure> {
        let temporary = match wish.data {
            Some(_) => None,
            None => Some(temporary(wish.temporary)?),
        };
        let given = temporary.as_ref().map(TempDir::path).or(wish.data);
        let path = given.expect("a folder is given or was made").to_owned();
        let known = read_plan(&path)?;
        if known.is_none() {
            demand_empty(&path)?;
        }
        let lock = DirectoryLock::acquire(&path).map_err(runtime_failure)?;
        let (plan, age) = match known {
            Some(plan) => (plan.demand(&path, wish)?, Age::Old),
            None => (Plan::new(wish), Age::New),
        };
        Ok(Self {
            // What the nodes are told must not depend on where they are started.
            path: path.canonicalize().map_err(|error| failed(&path, &error))?,
            plan,
            age,
            _lock: lock,
            is_removed: temporary.is_some() && wish.temporary == Temporary::Removed,
            temporary,
        })
    }

    /// The folder.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Does it go at the end?
    pub(super) fn is_removed(&self) -> bool {
        self.is_removed
    }

    /// The places of its nodes.
    pub(super) fn places(&self) -> Vec<DevPlace> {
        let ports = self.plan.ports.iter().zip(1..);
        let place = |(port, number): (&u16, usize)| DevPlace {
            name: format!("n{number}"),
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, *port)),
            data: self.path.join(format!("n{number}")),
            log: self.path.join(format!("n{number}.log")),
        };
        ports.map(place).collect()
    }

    /// Demands that nobody listens on the nodes' ports.
    ///
    /// # Errors
    /// `ListenRefused` or `PermissionDenied` naming the first that cannot be had.
    pub(super) fn demand_ports(&self) -> Result<(), Failure> {
        for place in self.places() {
            if let Err(error) = TcpListener::bind(place.address) {
                return Err(port_refused(&place, self.age, &error));
            }
        }
        Ok(())
    }

    /// Writes down what the folder is from now on.
    ///
    /// # Errors
    /// What the file system refuses.
    pub(super) fn write_plan(&self) -> Result<(), Failure> {
        match self.age {
            Age::New => self.plan.write(&self.path),
            Age::Old => Ok(()),
        }
    }

    /// Formats the nodes' directories that are not there yet.
    ///
    /// # Errors
    /// When a directory cannot be used, or one is gone that the cluster was formed with.
    pub(super) fn format_nodes(&self) -> Result<(), Failure> {
        let (mut missing, mut is_formed) = (Vec::new(), false);
        for place in self.places() {
            match demand_formatted(&place.data) {
                Ok(()) => is_formed |= !identity::read(&place.data)?.cluster.is_zero(),
                Err(failure) if failure.code() == Code::NotFormatted => missing.push(place.data),
                Err(failure) => return Err(failure),
            }
        }
        if is_formed && let Some(data) = missing.first() {
            return Err(Failure::new(Code::NotFormatted)
                .with("directory", data.display())
                .with("reason", "the cluster was formed with a node there")
                .remedy("put the directory back, or begin anew in another folder"));
        }
        for (data, incarnation) in missing.iter().zip(ascending(missing.len())?) {
            format(data, incarnation).map_err(|failure| self.not_formatted(failure))?;
        }
        Ok(())
    }

    /// A temporary folder lies where the system puts them, which may be memory.
    fn not_formatted(&self, failure: Failure) -> Failure {
        let is_unfit = failure.code() == Code::DirectIoUnavailable;
        if is_unfit && self.temporary.is_some() {
            return failure.remedy("here: margay dev --data DIR, or set TMPDIR");
        }
        failure
    }
}

impl Plan {
    fn new(wish: Wish<'_>) -> Self {
        let first = wish.port.unwrap_or(PORT_DEFAULT);
        let count = wish.nodes.unwrap_or(NODES_DEFAULT);
        Self {
            schema: PLAN_SCHEMA,
            ports: (first..).take(usize::from(count)).collect(),
        }
    }

    /// This plan, if it is what was asked for.
    fn demand(self, path: &Path, wish: Wish<'_>) -> Result<Self, Failure> {
        let refused = |option: &'static str, value: u16, reason: String| {
            Failure::new(Code::ValueRefused)
                .with("option", format!("{option} {value}"))
                .with("folder", path.display())
                .with("reason", reason)
                .remedy(format!(
                    "leave {option} out, or begin anew in another folder"
                ))
        };
        let count = self.ports.len();
        if let Some(nodes) = wish.nodes.filter(|nodes| usize::from(*nodes) != count) {
            return Err(refused(
                "-n",
                nodes,
                format!("its cluster has {count} nodes"),
            ));
        }
        let first = self.ports.first().copied();
        if let Some(port) = wish.port.filter(|port| Some(*port) != first) {
            let ports: Vec<String> = self.ports.iter().map(u16::to_string).collect();
            let reason = format!("its nodes keep their ports {}", ports.join(" "));
            return Err(refused("--port", port, reason));
        }
        Ok(self)
    }

    fn write(&self, path: &Path) -> Result<(), Failure> {
        let file = path.join(PLAN_FILE);
        let text = serde_json::to_string(self).expect("a plan has keys of text");
        fs::write(&file, text).map_err(|error| failed(&file, &error))
    }
}

/// The plan of a folder; `None` when it has none.
fn read_plan(path: &Path) -> Result<Option<Plan>, Failure> {
    let file = path.join(PLAN_FILE);
    let text = match fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(&file, &error)),
    };
    let malformed = |reason: &dyn Display| {
        Failure::new(Code::FileMalformed)
            .with("file", file.display())
            .with("reason", reason)
            .remedy("begin anew in another folder")
    };
    let plan: Plan = serde_json::from_str(&text).map_err(|error| malformed(&error))?;
    if plan.schema > PLAN_SCHEMA {
        return Err(Failure::new(Code::NewerFormat)
            .with("file", file.display())
            .with("format", plan.schema)
            .with("known", format!("up to {PLAN_SCHEMA} by this binary"))
            .remedy("use the version that wrote it, or a later one"));
    }
    if plan.ports.is_empty() {
        return Err(malformed(&"it names no port"));
    }
    Ok(Some(plan))
}

/// Names for so many nodes. A cluster numbers its nodes in the order of their names, so ascending ones make the first
/// place node 1.
fn ascending(count: usize) -> Result<Vec<Incarnation>, Failure> {
    let drawn: io::Result<Vec<Incarnation>> = (0..count).map(|_| draw()).collect();
    let mut drawn = drawn.map_err(|error| {
        Failure::new(Code::KernelRefused)
            .with("call", "draw the names of nodes")
            .with("reason", error)
    })?;
    drawn.sort_unstable();
    Ok(drawn)
}

fn temporary(kept: Temporary) -> Result<TempDir, Failure> {
    tempfile::Builder::new()
        .prefix("margay-dev-")
        .disable_cleanup(kept == Temporary::Kept)
        .tempdir()
        .map_err(|error| failed(&std::env::temp_dir(), &error))
}

fn port_refused(place: &DevPlace, age: Age, error: &io::Error) -> Failure {
    let failure = |code| {
        Failure::new(code)
            .with("node", &place.name)
            .with("listen", place.address)
    };
    if error.kind() == ErrorKind::AddrInUse {
        failure(Code::ListenRefused)
            .with("reason", "the port is in use")
            .remedy("stop what listens there (ss -ltnp shows it),")
            .remedy(match age {
                Age::New => "or take other ports: margay dev --port 7500",
                Age::Old => "or begin anew in another folder: a cluster keeps its ports",
            })
    } else if error.kind() == ErrorKind::PermissionDenied {
        failure(Code::PermissionDenied).remedy("take ports above 1023 by --port")
    } else {
        failure(Code::ListenRefused).with("reason", error)
    }
}

#[cfg(test)]
#[path = "dev_folder_tests.rs"]
mod tests;
