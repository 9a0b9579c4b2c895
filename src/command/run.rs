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
use crate::runtime::{
    DirectoryLock, RuntimeError, ShardPlacement, Signals, allowed_cores, huge_pages, probe,
};
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
    /// Blocked since the verb began; they end the node in good order.
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
        // Before all else: whoever stops a server that has only just begun is heard, and it ends well.
        let signals = Signals::block().map_err(runtime_failure)?;
        let config = settings::resolve(console, &self.settings.layers(globals))?;
        let start = Start::prepare(config, signals)?;
        console.note(&start.greeting());
        let _lines = logging::start(globals);
        huge_pages::refuse();
        match serve(start).map_err(runtime_failure)? {
            None => Ok(Exit::Done),
            Some(code) => {
                let failure = Failure::new(code);
                Err(failure.remedy("see the log above: it names the place and the reason"))
            }
        }
    }
}

impl Start {
    fn prepare(config: Config, signals: Signals) -> Result<Self, Failure> {
        demand_formatted(&config.data)?;
        let lock = DirectoryLock::acquire(&config.data).map_err(runtime_failure)?;
        demand_direct_io(&config.data.join(LOCK_FILE))?;
        let node = identity::read(&config.data)?;
        let shards = placements(&config.cores, &allowed_cores(), made_for(&node))?;
        probe::require_io_uring().map_err(runtime_failure)?;
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

/// The number of shards that the directory was made for, if it was started before.
fn made_for(node: &NodeManifest) -> Option<usize> {
    (!node.logs.is_empty()).then_some(usize::from(node.shard_count))
}

/// Where the shards run. A core that this process may not use would leave its shard waiting for ever; another number
/// than the directory was made for would look for groups where they are not.
fn placements(
    cores: &Cores,
    allowed: &[usize],
    made_for: Option<usize>,
) -> Result<Vec<ShardPlacement>, Failure> {
    let list = match cores {
        Cores::Anywhere(count) => {
            demand_count(cores, *count, made_for)?;
            return Ok(vec![ShardPlacement::Anywhere; *count]);
        }
        Cores::Auto => {
            let count = made_for.unwrap_or(allowed.len()).min(SHARDS_MAX);
            allowed.get(..count).unwrap_or(allowed)
        }
        Cores::List(list) => list,
    };
    if let Some(core) = list.iter().find(|core| !allowed.contains(core)) {
        return Err(Failure::new(Code::ValueRefused)
            .with("setting", "shards.cores")
            .with("value", cores)
            .with("reason", format!("this process may not use core {core}"))
            .remedy("taskset -p shows which it may; cpusets and CPUAffinity= take cores away"));
    }
    demand_count(cores, list.len(), made_for)?;
    Ok(list.iter().copied().map(ShardPlacement::Core).collect())
}

/// Shards of a node at most.
const SHARDS_MAX: usize = crate::limits::SHARDS_MAX as usize;

fn demand_count(cores: &Cores, count: usize, made_for: Option<usize>) -> Result<(), Failure> {
    if count == 0 || count > SHARDS_MAX {
        return Err(Failure::new(Code::ValueRefused)
            .with("setting", "shards.cores")
            .with("value", cores)
            .with("reason", format!("a node has 1 to {SHARDS_MAX} shards"))
            .remedy("name fewer cores"));
    }
    match made_for {
        Some(made_for) if made_for != count => Err(Failure::new(Code::OtherShardCount)
            .with("setting", "shards.cores")
            .with("value", cores)
            .with("shards", count)
            .with("the directory was made for", made_for)
            .remedy(format!(
                "name {made_for} cores, or anywhere:{made_for}: groups cannot be moved between logs yet"
            ))),
        Some(_) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_is_placed_on_each_core_that_is_named_or_allowed() {
        let allowed = [1, 2];
        let placed = placements(&Cores::List(vec![2]), &allowed, None);
        assert_eq!(placed, Ok(vec![ShardPlacement::Core(2)]));
        let auto = placements(&Cores::Auto, &allowed, None);
        assert_eq!(auto, Ok([1, 2].map(ShardPlacement::Core).to_vec()));
        let anywhere = placements(&Cores::Anywhere(3), &allowed, None);
        assert_eq!(anywhere, Ok(vec![ShardPlacement::Anywhere; 3]));
    }

    #[test]
    fn a_later_start_has_as_many_shards_as_the_first_one() {
        let allowed = [1, 2];
        let auto = placements(&Cores::Auto, &allowed, Some(1));
        assert_eq!(auto, Ok(vec![ShardPlacement::Core(1)]));
        for cores in [
            Cores::List(vec![1]),
            Cores::Anywhere(3),
            Cores::List(vec![1, 2]),
        ] {
            let made_for = if cores == Cores::List(vec![1, 2]) {
                1
            } else {
                2
            };
            let refused = placements(&cores, &allowed, Some(made_for));
            let failure = refused.expect_err("another number");
            assert_eq!(failure.code(), Code::OtherShardCount);
        }
        let refused = placements(&Cores::Auto, &[1], Some(2));
        let failure = refused.expect_err("too few cores are left");
        assert!(failure.to_string().contains("anywhere:2"), "{failure}");
    }

    #[test]
    fn more_shards_than_a_node_can_have_are_refused() {
        let refused = placements(&Cores::Anywhere(SHARDS_MAX + 1), &[0, 1], None);
        let failure = refused.expect_err("too many shards");
        assert_eq!(failure.code(), Code::ValueRefused);
    }

    #[test]
    fn a_core_that_the_process_may_not_use_is_refused() {
        let refused = placements(&Cores::List(vec![7]), &[0, 1], None);
        let failure = refused.expect_err("core 7 is not allowed");
        assert_eq!(failure.code(), Code::ValueRefused);
        assert!(failure.to_string().contains("core 7"), "{failure}");
    }
}
