//! `margay dev`: a whole cluster on this machine, in the foreground, until Ctrl-C.
//!
//! ```text
//!   folder ──> ports free ──> nodes started ──> they answer ──> one cluster ──> a keyspace ──> all is well
//!                                                                                                │
//!   nodes stopped, temporary folder removed <── Ctrl-C, SIGTERM, the terminal is closed ── watch ┘
//! ```
//!
//! Each stage is safe to repeat, so a folder that is used again finds the same cluster. A node that ends before all
//! is well ends the whole; one that ends later is told of, and the others go on: to see what a cluster does without
//! one of its nodes is what people start one for.

use super::Outcome;
use super::arguments::Globals;
use super::bootstrap::Bootstrap;
use super::console::{Console, columns};
use super::dev_folder::{DevFolder, DevPlace, Temporary, Wish};
use super::dev_nodes::{DevNode, DevNodes};
use super::operator_failure::{Named, operator_failure};
use super::overview::Overview;
use super::reason::counted;
use super::runtime_failure::runtime_failure;
use super::survey::Survey;
use super::version::version;
use crate::codes::{Code, Exit, Failure};
use crate::runtime::Signals;
use clap::Args;
use margay_client::operator::{Deadline, PAUSE, ask, keyspace_create};
use margay_wire::admin::{KeyspaceCreate, KeyspaceCreated, KeyspaceRefusal, NodeInfoRequest};
use margay_wire::genesis::NODES_MAX;
use serde::Serialize;
use std::path::PathBuf;
use std::time::Duration;

/// What the cluster is called.
const CLUSTER_NAME: &str = "dev";
/// The keyspace that is there from the start: keys and values.
const KEYSPACE: &str = "kv";
/// Its machine.
const MACHINE: &str = "map";
/// Its groups: more than one, so that what spreads is seen.
const GROUPS: u32 = 4;
/// One attempt of a stage. Between two of them signals and nodes that ended are seen.
const ATTEMPT_TIME: Duration = Duration::from_secs(2);
/// All stages together take at most so long, or what `--timeout` allows, if that is more.
const START_TIME: Duration = Duration::from_secs(60);
/// How often nodes that ended are looked for.
const WATCH_PAUSE: Duration = Duration::from_millis(200);
/// Above it there are fewer ports than nodes may have.
const PORT_MAX: i64 = u16::MAX as i64 - NODES_MAX as i64;

/// Run a cluster on this machine, in the foreground, until Ctrl-C
#[derive(Args, Debug)]
pub(super) struct Dev {
    /// How many nodes [default: 3]
    #[arg(short = 'n', long = "nodes", value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=NODES_MAX as i64))]
    nodes: Option<u16>,

    /// Folder to keep the cluster in and find it again; else it is temporary
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,

    /// Keep the temporary folder
    #[arg(long)]
    keep: bool,

    /// Port of the first node; the others follow [default: 7400]
    #[arg(long, value_name = "PORT")]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=PORT_MAX))]
    port: Option<u16>,
}

/// The cluster that runs, for programs.
#[derive(Serialize)]
struct Report {
    schema: u32,
    cluster: String,
    name: &'static str,
    folder: String,
    keyspace: Option<&'static str>,
    endpoints: Vec<String>,
    nodes: Vec<ReportNode>,
    elapsed_ms: u128,
}

/// A node that runs.
#[derive(Serialize)]
struct ReportNode {
    name: String,
    address: String,
    process: Option<u32>,
    data: String,
    log: String,
}

/// Why no stage follows.
enum Halt {
    /// Somebody asked for the end.
    Asked,
    /// Something went wrong.
    Failed(Failure),
}

/// A cluster on its way.
struct Start<'a> {
    console: &'a Console,
    signals: &'a Signals,
    nodes: &'a mut DevNodes,
    endpoints: Vec<String>,
    deadline: Deadline,
}

impl Dev {
    pub(super) fn execute(&self, console: &Console, globals: &Globals) -> Outcome {
        let signals = Signals::block_with_hangup().map_err(runtime_failure)?;
        let folder = DevFolder::open(Wish {
            data: self.data.as_deref(),
            nodes: self.nodes,
            port: self.port,
            temporary: if self.keep {
                Temporary::Kept
            } else {
                Temporary::Removed
            },
        })?;
        folder.demand_ports()?;
        folder.write_plan()?;
        folder.format_nodes()?;
        let places = folder.places();
        console.note(&greeting(&folder, &places));
        let endpoints = places.iter().map(|place| place.address.to_string());
        let endpoints: Vec<String> = endpoints.collect();
        let mut nodes = DevNodes::start(places, globals)?;
        let start = Start {
            console,
            signals: &signals,
            nodes: &mut nodes,
            endpoints,
            deadline: Deadline::after(START_TIME.max(globals.timeout)),
        };
        let watched =
            match start.all_stages(&folder) {
                Ok(report) => {
                    console.result(&report, |report| text(report, &folder));
                    watch(console, &signals, &mut nodes)
                }
                Err(Halt::Asked) => Ok(Exit::Done),
                Err(Halt::Failed(failure)) if folder.is_removed() => Err(failure
                    .remedy("margay dev --keep   keeps the folder with the logs of all nodes")),
                Err(Halt::Failed(failure)) => Err(failure),
            };
        let stopped = nodes.stop(&signals);
        let exit = watched?;
        stopped?;
        console.note(&farewell(&folder));
        Ok(exit)
    }
}

impl Start<'_> {
    fn all_stages(mut self, folder: &DevFolder) -> Result<Report, Halt> {
        for endpoint in self.endpoints.clone() {
            self.insist(|_, attempt| {
                ask(&endpoint, &NodeInfoRequest, attempt)
                    .map_err(|error| operator_failure(error, Named::ByEndpoints))
            })?;
        }
        self.stage(&format!(
            "started {}",
            counted(self.endpoints.len(), "node")
        ));
        let bootstrap = Bootstrap::of(CLUSTER_NAME, &self.endpoints).map_err(Halt::Failed)?;
        let formed = self.insist(|start, attempt| bootstrap.form(start.console, attempt))?;
        let cluster = formed.cluster().to_string();
        self.stage(&format!("cluster {CLUSTER_NAME} {cluster}"));
        let keyspace = self.insist(|start, attempt| create_keyspace(&start.endpoints, attempt))?;
        self.stage(&match keyspace {
            Some(name) => format!("keyspace {name}: {GROUPS} groups, machine {MACHINE}"),
            None => format!("no keyspace: this binary has no machine {MACHINE}"),
        });
        self.insist(|start, attempt| demand_health(&start.endpoints, attempt))?;
        self.stage("all is well");
        Ok(Report {
            schema: 1,
            cluster,
            name: CLUSTER_NAME,
            folder: folder.path().display().to_string(),
            keyspace,
            nodes: self.nodes.iter().map(ReportNode::new).collect(),
            endpoints: self.endpoints,
            elapsed_ms: self.deadline.elapsed().as_millis(),
        })
    }

    /// Tries a stage until it is done, unless a node ends or somebody asks for the end.
    fn insist<T>(
        &mut self,
        mut attempt: impl FnMut(&Self, Deadline) -> Result<T, Failure>,
    ) -> Result<T, Halt> {
        loop {
            let has_come = self.signals.came_within(PAUSE);
            if has_come.map_err(|error| Halt::Failed(runtime_failure(error)))? {
                return Err(Halt::Asked);
            }
            if let Some(ended) = self.nodes.take_ended().into_iter().next() {
                return Err(Halt::Failed(ended.failure()));
            }
            let failure = match attempt(self, Deadline::after(ATTEMPT_TIME)) {
                Ok(done) => return Ok(done),
                Err(failure) => failure,
            };
            let may_pass = matches!(failure.exit(), Exit::NotReached | Exit::OutcomeUnknown);
            if !may_pass || self.deadline.left().is_none() {
                return Err(Halt::Failed(failure));
            }
        }
    }

    fn stage(&self, text: &str) {
        let seconds = self.deadline.elapsed().as_secs_f32();
        self.console.note(&format!("{text:<60} [{seconds:.1} s]"));
    }
}

impl ReportNode {
    fn new(node: &DevNode) -> Self {
        let place = &node.place;
        Self {
            name: place.name.clone(),
            address: place.address.to_string(),
            process: node.process(),
            data: place.data.display().to_string(),
            log: place.log.display().to_string(),
        }
    }
}

/// The keyspace that is there from the start; `None` when the binary has no machine for it.
fn create_keyspace(
    endpoints: &[String],
    attempt: Deadline,
) -> Result<Option<&'static str>, Failure> {
    let request = KeyspaceCreate {
        name: KEYSPACE.to_owned(),
        machine: MACHINE.to_owned(),
        machine_version: 1,
        options: Vec::new(),
        groups: GROUPS,
        replicas: 0,
    };
    let time = attempt.left().unwrap_or_default();
    let answer = keyspace_create(endpoints, &request, time)
        .map_err(|error| operator_failure(error, Named::ByEndpoints))?;
    match answer {
        KeyspaceCreated::Created(_) | KeyspaceCreated::Existed(_) => Ok(Some(KEYSPACE)),
        KeyspaceCreated::Refused(KeyspaceRefusal::UnknownMachine) => Ok(None),
        KeyspaceCreated::Refused(refusal) => Err(Failure::new(Code::Refused)
            .with("keyspace", KEYSPACE)
            .with("reason", format!("{refusal:?}"))),
    }
}

fn demand_health(endpoints: &[String], attempt: Deadline) -> Result<(), Failure> {
    let overview = Overview::new(&Survey::of(endpoints, attempt)?);
    match overview.health.first() {
        None => Ok(()),
        Some(reason) => Err(Failure::new(Code::TimedOut)
            .with("reason", format!("M{} {}", reason.code, reason.text))
            .remedy("margay health   shows all that is wrong")),
    }
}

/// Waits for a signal, and tells of nodes that end meanwhile: what then is the exit code of the whole.
fn watch(console: &Console, signals: &Signals, nodes: &mut DevNodes) -> Outcome {
    let mut exit = Exit::Done;
    while !signals.came_within(WATCH_PAUSE).map_err(runtime_failure)? {
        for ended in nodes.take_ended() {
            let failure = ended.failure_among_others();
            console.fail(&failure);
            exit = failure.exit();
        }
        if !nodes.any_runs() {
            console.note("no node is left");
            break;
        }
    }
    Ok(exit)
}

fn greeting(folder: &DevFolder, places: &[DevPlace]) -> String {
    let fate = if folder.is_removed() {
        "removed at the end, unless --keep"
    } else {
        "kept"
    };
    format!(
        "margay {}   {} on this machine   folder {} ({fate})",
        version(),
        counted(places.len(), "node"),
        folder.path().display()
    )
}

fn farewell(folder: &DevFolder) -> String {
    let path = folder.path().display();
    if folder.is_removed() {
        format!("all nodes stopped; {path} removed")
    } else {
        format!("all nodes stopped; margay dev --data {path}   starts the same cluster again")
    }
}

/// Who runs where, and what to type next.
fn text(report: &Report, folder: &DevFolder) -> String {
    let rows = report.nodes.iter().map(|node| {
        vec![
            node.name.clone(),
            node.address.clone(),
            format!("process {}", node.process.unwrap_or_default()),
            format!("log {}", node.log),
        ]
    });
    let mut lines = vec![columns(rows)];
    lines.push("In another terminal:".to_owned());
    let endpoints = report.endpoints.join(",");
    lines.push(format!("  export MARGAY_ENDPOINTS={endpoints}"));
    for verb in ["status", "health", "group list", "keyspace list"] {
        lines.push(format!("  margay {verb}"));
    }
    if let Some(keyspace) = report.keyspace {
        lines.push(format!(
            "  cargo run -p margay-client --example first -- {keyspace}"
        ));
    }
    lines.push(if folder.is_removed() {
        "Ctrl-C stops the nodes and removes their data.".to_owned()
    } else {
        "Ctrl-C stops the nodes and keeps their data.".to_owned()
    });
    lines.join("\n")
}
