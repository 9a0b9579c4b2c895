//! Runs a node: from what the command line prepared to the end of its shards.
//!
//! ```text
//!   disk probed ──> shards' threads ──> the first: manifest ──> each: boot (recovery, restart batch) ──> serve
//! ```

mod preparation;

use self::preparation::{Preparation, Publisher};
use crate::admin::system::System;
use crate::codes::Code;
use crate::command::Start;
use crate::config::Config;
use crate::limits;
use crate::runtime::disk_probe::{self, DiskFacts};
use crate::runtime::{CoreSeams, Executor, ExecutorConfig, RuntimeError, ShardCore};
use crate::shard::{BootError, BootPlace, NodeFacts, Shard, boot, prepare};
use crate::storage::node_manifest::NodeManifest;
use crate::storage::recovery::RecoveryError;
use crate::storage::{Disk, LogOptions};
use margay_machine::Registry;
use margay_raft::Options;
use margay_raft::options::Window;
use margay_types::{Incarnation, ProcessLife, ShardId};
use margay_wire::admin::{Durability, IoSettings, system};
use rustix::rand::{GetRandomFlags, getrandom};
use std::path::PathBuf;
use std::time::Duration;

/// What every shard of a node is made from.
#[derive(Clone)]
struct Plan {
    data: PathBuf,
    log: LogOptions,
    facts: NodeFacts,
    machines: Registry,
}

/// Runs the shards of a node until it is asked to stop; gives why a shard gave up, if one did.
///
/// # Errors
/// What the machine refuses, or why a shard could not be made.
pub(crate) fn run(machines: &Registry, start: Start) -> Result<Option<Code>, RuntimeError> {
    let Start {
        config,
        node,
        shards,
        signals,
        lock,
    } = start;
    let disk = disk_probe::probe(&config.data)?;
    let (life, seed) = draw()?;
    let plan = Plan {
        log: log_options(&config),
        facts: facts(&config, node.incarnation, &disk, life, seed),
        machines: machines.clone().machine::<System>(system::MACHINE),
        data: config.data,
    };
    let preparation = Preparation::new();
    let executor = Executor::start(
        ExecutorConfig::new(shards, config.listen),
        Some(&signals),
        move |seams| plan.clone().make(&preparation, seams),
    )?;
    for address in executor.addresses() {
        tracing::info!(%address, "listening");
    }
    let ended = executor.wait();
    drop(lock);
    ended.map(|exit| exit.failure)
}

impl Plan {
    /// Makes a shard, on its own thread. What blocks comes first: the loop does not run yet.
    fn make(
        self,
        preparation: &Preparation,
        seams: CoreSeams,
    ) -> impl Future<Output = Result<ShardCore, RuntimeError>> + use<> {
        let role = match seams.shard {
            ShardId::FIRST => Role::First(preparation.publisher()),
            _ => Role::Other(preparation.wait()),
        };
        self.boot(role, seams)
    }

    async fn boot(self, role: Role, seams: CoreSeams) -> Result<ShardCore, RuntimeError> {
        let (manifest, files) = match role {
            Role::First(publisher) => {
                let who = (self.facts.life, seams.shard_count);
                let node = prepare(&seams.disk, &self.data, who, self.log)
                    .await
                    .map_err(|error| not_booted(&error))?;
                publisher.publish(&node.manifest);
                (node.manifest, Some(node.files))
            }
            Role::Other(Some(manifest)) => (manifest, None),
            Role::Other(None) => {
                // Shard 0 tells why, and all others to stop: that ends the pause.
                seams.disk.pause(STOP_AWAITED).await;
                return Err(RuntimeError::Core {
                    message: "the first shard of this node was not made".to_owned(),
                    code: Code::ShardFailed,
                });
            }
        };
        let place = BootPlace {
            data: &self.data,
            shard: seams.shard,
        };
        let restored = boot(&seams.disk, place, (manifest, files), self.log)
            .await
            .map_err(|error| not_booted(&error))?;
        seams
            .disk
            .register(restored.log.pool(), limits::REGISTERED_BLOCKS);
        let facts = NodeFacts {
            address: seams
                .addresses
                .first()
                .unwrap_or(&seams.address)
                .to_string(),
            shard: seams.shard,
            shard_count: seams.shard_count,
            shard_ports: seams.addresses.iter().map(|it| it.port()).collect(),
            ..self.facts
        };
        let shard = Shard::new(
            facts.clone(),
            self.machines,
            restored,
            seams.outbox,
            seams.clock,
        );
        Ok(ShardCore::new(facts, shard))
    }
}

/// What a shard does first.
enum Role {
    /// Prepares the node for all.
    First(Publisher),
    /// Has what the first one prepared, if it did.
    Other(Option<NodeManifest>),
}

/// How long a shard waits to be told to stop when the first one was not made.
const STOP_AWAITED: Duration = Duration::from_secs(10);

fn not_booted(error: &BootError) -> RuntimeError {
    let code = match error {
        BootError::Storage(_) | BootError::Recovery(RecoveryError::Storage(_)) => {
            Code::LogDeviceFailed
        }
        BootError::ShardCount { .. } => Code::OtherShardCount,
        BootError::Recovery(
            RecoveryError::AloneAndDamaged { .. } | RecoveryError::NoSpare { .. },
        )
        | BootError::Restore(_) => Code::DirectoryFailed,
    };
    RuntimeError::Core {
        message: error.to_string(),
        code,
    }
}

fn log_options(config: &Config) -> LogOptions {
    let count = |number: u64| usize::try_from(number).expect("settings have small ranges");
    LogOptions {
        segment_bytes: config.log.segment_bytes,
        writes_in_flight: count(config.log.in_flight_writes),
        spares: count(config.log.spares),
        ..LogOptions::default()
    }
}

fn facts(
    config: &Config,
    incarnation: Incarnation,
    disk: &DiskFacts,
    life: ProcessLife,
    seed: u64,
) -> NodeFacts {
    NodeFacts {
        incarnation,
        life,
        address: config.listen.to_string(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        durability: match disk.durability {
            disk_probe::Durability::Proven => Durability::Proven,
            disk_probe::Durability::Unproven => Durability::Unproven,
        },
        io: IoSettings {
            write_unit_bytes: u32::try_from(disk.write_unit_bytes).unwrap_or(u32::MAX),
            in_flight_writes_max: u16::try_from(config.log.in_flight_writes).unwrap_or(u16::MAX),
            registered_buffers: true,
            sync: "O_DIRECT RWF_DSYNC".to_owned(),
            device: disk.device.clone(),
        },
        raft: Options {
            window: Window {
                messages_max: limits::FOLLOWER_WINDOW_MESSAGES,
                bytes_max: limits::GROUP_WINDOW_BYTES as u64,
            },
            ..Options::default()
        },
        homing_ticks: limits::HOMING_TICKS,
        seed,
        shard: ShardId::FIRST,
        shard_count: 1,
        shard_ports: Vec::new(),
    }
}

/// Names this process among all of this node, and seeds what must differ between them.
fn draw() -> Result<(ProcessLife, u64), RuntimeError> {
    let mut bytes = [[0; 8]; 2];
    let wanted = bytes.as_flattened_mut();
    getrandom(wanted, GetRandomFlags::empty()).map_err(|error| RuntimeError::Kernel {
        what: "draw a random number",
        source: error.into(),
    })?;
    let [life, seed] = bytes.map(u64::from_le_bytes);
    Ok((ProcessLife::new(life), seed))
}
