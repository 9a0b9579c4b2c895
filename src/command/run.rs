//! `margay run`: the server, in the foreground, until it is told to stop.
//!
//! ```text
//!   settings ──> directory: a node's, nothing foreign ──> lock ──> direct I/O ──> who am I ──> shards
//! ```
//!
//! Everything that can be refused is refused before the first byte is written. A blank node listens and waits for
//! a bootstrap; it never forms a cluster by itself. The shards are started by whoever made the [`Server`], who
//! knows the machines.
//!
//! [`Server`]: crate::Server

use super::Outcome;
use super::arguments::Globals;
use super::console::Console;
use super::data_directory::{LOCK_FILE, demand_direct_io, demand_formatted};
use super::identity;
use super::logging;
use super::runtime_failure::runtime_failure;
use super::settings::{self, SettingOptions};
use super::version::version;
use crate::codes::{Code, Exit, Failure};
use crate::config::{Config, Cores};
use crate::runtime::{DirectoryLock, RuntimeError, ShardPlacement, Signals, allowed_cores, probe};
use crate::storage::node_manifest::NodeManifest;
use clap::Args;

/// Run the server
#[derive(Args, Debug)]
pub(super) struct Run {
    #[command(flatten)]
    settings: SettingOptions,
}

/// Runs the shards of a node until it stops, and gives why a shard gave up, if one did.
pub(crate) type Serve<'a> = dyn Fn(Start) -> Result<Option<Code>, RuntimeError> + 'a;

/// A node that may be started: its directory is good, and ours alone.
#[derive(Debug)]
pub(crate) struct Start {
    /// What the node is told.
    pub(crate) config: Config,
    /// Who it is.
    pub(crate) node: NodeManifest,
    /// One shard for each.
    pub(crate) shards: Vec<ShardPlacement>,
    /// Blocked since before the first thread; they end the node in good order.
    pub(crate) signals: Signals,
    /// Nobody else has the directory as long as this lives.
    pub(crate) lock: DirectoryLock,
}

impl Run {
    pub(super) fn execute(
        &self,
        console: &Console,
        globals: &Globals,
        serve: &Serve<'_>,
    ) -> Outcome {
        let config = settings::resolve(console, &self.settings.layers(globals))?;
        let start = Start::prepare(config)?;
        console.note(&start.greeting());
        let _lines = logging::start(globals);
        match serve(start).map_err(runtime_failure)? {
            None => Ok(Exit::Done),
            // What it was is in the log, above.
            Some(code) => Err(Failure::new(code)),
        }
    }
}

impl Start {
    fn prepare(config: Config) -> Result<Self, Failure> {
        let shards = placements(&config.cores, &allowed_cores())?;
        demand_formatted(&config.data)?;
        let lock = DirectoryLock::acquire(&config.data).map_err(runtime_failure)?;
        demand_direct_io(&config.data.join(LOCK_FILE))?;
        let node = identity::read(&config.data)?;
        probe::require_io_uring().map_err(runtime_failure)?;
        let signals = Signals::block().map_err(runtime_failure)?;
        Ok(Self {
            config,
            node,
            shards,
            signals,
            lock,
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
            "margay {}  listen {}  shards {}  data {}  node incarnation {}  {role}",
            version(),
            self.config.listen,
            self.shards.len(),
            self.config.data.display(),
            node.incarnation,
        )
    }
}

/// Where the shards run. A core that this process may not use would leave its shard waiting for ever.
fn placements(cores: &Cores, allowed: &[usize]) -> Result<Vec<ShardPlacement>, Failure> {
    let list = match cores {
        Cores::Anywhere(count) => {
            demand_one(cores, *count)?;
            return Ok(vec![ShardPlacement::Anywhere; *count]);
        }
        Cores::Auto => allowed.get(..SHARDS_MAX).unwrap_or(allowed),
        Cores::List(list) => list,
    };
    demand_one(cores, list.len())?;
    if let Some(core) = list.iter().find(|core| !allowed.contains(core)) {
        return Err(Failure::new(Code::ValueRefused)
            .with("setting", "shards.cores")
            .with("value", cores)
            .with("reason", format!("this process may not use core {core}"))
            .remedy("taskset -p shows which it may; cpusets and CPUAffinity= take cores away"));
    }
    Ok(list.iter().copied().map(ShardPlacement::Core).collect())
}

/// A node has one shard: groups cannot be spread over more, and moved between them, yet.
const SHARDS_MAX: usize = 1;

fn demand_one(cores: &Cores, count: usize) -> Result<(), Failure> {
    if count <= SHARDS_MAX {
        return Ok(());
    }
    Err(Failure::new(Code::ValueRefused)
        .with("setting", "shards.cores")
        .with("value", cores)
        .with("reason", "this version runs one shard on a node")
        .remedy("name one core, or anywhere:1; start more nodes to use more cores"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_shard_is_placed_on_the_core_that_is_named_or_on_the_first_that_is_allowed() {
        let allowed = [1, 2];
        let placed = placements(&Cores::List(vec![2]), &allowed);
        assert_eq!(placed, Ok(vec![ShardPlacement::Core(2)]));
        let auto = placements(&Cores::Auto, &allowed);
        assert_eq!(auto, Ok(vec![ShardPlacement::Core(1)]));
        let anywhere = placements(&Cores::Anywhere(1), &allowed);
        assert_eq!(anywhere, Ok(vec![ShardPlacement::Anywhere]));
    }

    #[test]
    fn more_shards_than_one_are_refused() {
        for cores in [Cores::List(vec![0, 1]), Cores::Anywhere(2)] {
            let refused = placements(&cores, &[0, 1]);
            let failure = refused.expect_err("two shards");
            assert_eq!(failure.code(), Code::ValueRefused);
        }
    }

    #[test]
    fn a_core_that_the_process_may_not_use_is_refused() {
        let refused = placements(&Cores::List(vec![7]), &[0, 1]);
        let failure = refused.expect_err("core 7 is not allowed");
        assert_eq!(failure.code(), Code::ValueRefused);
        assert!(failure.to_string().contains("core 7"), "{failure}");
    }
}
