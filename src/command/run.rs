//! `margay run`: the server, in the foreground, until it is told to stop.
//!
//! ```text
//!   settings ──> directory: a node's, nothing foreign ──> lock ──> direct I/O ──> who am I ──> serve
//! ```
//!
//! Everything that can be refused is refused before the first byte is written. A blank node listens and waits for
//! a bootstrap; it never forms a cluster by itself.

use super::Outcome;
use super::arguments::Globals;
use super::console::Console;
use super::data_directory::{demand_direct_io, demand_formatted};
use super::identity;
use super::lock::{LOCK_FILE, Lock};
use super::settings;
use super::version::version;
use crate::codes::{Exit, Failure};
use crate::config::{Config, Layers};
use crate::storage::node_manifest::NodeManifest;
use clap::Args;
use std::path::PathBuf;

/// Run the server
#[derive(Args, Debug)]
pub(super) struct Run {
    /// The node's data directory, made by `format`
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,

    /// Settings for a kind of machine: a name, or a file
    #[arg(long, value_name = "NAME|FILE")]
    profile: Option<String>,

    /// Cores to run shards on: auto, a list such as 2-15, or anywhere:N
    #[arg(long, value_name = "LIST")]
    cores: Option<String>,

    /// One setting; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
}

impl Run {
    pub(super) fn execute(&self, console: &Console, globals: &Globals) -> Outcome {
        let config = settings::resolve(console, &self.layers(globals)?)?;
        let start = Start::prepare(config)?;
        console.note(&start.greeting());
        serve(&start)
    }

    fn layers(&self, globals: &Globals) -> Result<Layers, Failure> {
        let mut layers = settings::ambient(globals, self.profile.as_deref())?;
        for assignment in &self.set {
            layers.add_set(assignment)?;
        }
        settings::add_path(&mut layers, "data", self.data.as_deref(), "--data")?;
        if let Some(cores) = &self.cores {
            layers.add_flag("shards.cores", cores.clone(), "--cores")?;
        }
        Ok(layers)
    }
}

/// A node that may be started: its directory is good, and ours alone.
struct Start {
    config: Config,
    node: NodeManifest,
    _lock: Lock,
}

impl Start {
    fn prepare(config: Config) -> Result<Self, Failure> {
        demand_formatted(&config.data)?;
        let lock = Lock::acquire(&config.data)?;
        demand_direct_io(&config.data.join(LOCK_FILE))?;
        let node = identity::read(&config.data)?;
        Ok(Self {
            config,
            node,
            _lock: lock,
        })
    }

    /// The line that says who starts, and as what.
    fn greeting(&self) -> String {
        let node = &self.node;
        let role = if node.cluster.is_zero() {
            "blank: waits for a bootstrap".to_owned()
        } else {
            let (number, name) = (node.node, &node.cluster_name);
            format!("node {number} of cluster {name} {}", node.cluster)
        };
        format!(
            "margay {}  listen {}  data {}  node incarnation {}  {role}",
            version(),
            self.config.listen,
            self.config.data.display(),
            node.incarnation,
        )
    }
}

/// Runs the shards until the process is asked to stop.
fn serve(start: &Start) -> Outcome {
    let _ = (start, Exit::Done);
    Err(Failure::new(crate::codes::Code::Bug).with("reason", "no runtime is part of this build"))
}
