//! Runs a node: from what the command line prepared to the end of its shards.
//!
//! ```text
//!   disk probed ──> shards' threads ──> on each: boot (manifest, recovery, restart batch) ──> serve ──> stopped
//! ```

use crate::admin::system::System;
use crate::codes::Code;
use crate::command::Start;
use crate::config::Config;
use crate::limits;
use crate::runtime::disk_probe::{self, DiskFacts};
use crate::runtime::{CoreSeams, Executor, ExecutorConfig, RuntimeError, ShardCore};
use crate::shard::{BootError, NodeFacts, Shard, boot};
use crate::storage::LogOptions;
use crate::storage::recovery::RecoveryError;
use margay_machine::Registry;
use margay_raft::Options;
use margay_raft::options::Window;
use margay_types::{Incarnation, ProcessLife};
use margay_wire::admin::{Durability, IoSettings, system};
use rustix::rand::{GetRandomFlags, getrandom};
use std::path::PathBuf;

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
    let executor = Executor::start(
        ExecutorConfig::new(shards, config.listen),
        Some(&signals),
        move |seams| plan.clone().make(seams),
    )?;
    for address in executor.addresses() {
        tracing::info!(%address, "listening");
    }
    let ended = executor.wait();
    drop(lock);
    ended.map(|exit| exit.failure)
}

impl Plan {
    async fn make(self, seams: CoreSeams) -> Result<ShardCore, RuntimeError> {
        let restored = boot(&seams.disk, &self.data, self.facts.life, self.log)
            .await
            .map_err(|error| not_booted(&error))?;
        seams
            .disk
            .register(restored.log.pool(), limits::REGISTERED_BLOCKS);
        let facts = NodeFacts {
            address: seams.address.to_string(),
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

fn not_booted(error: &BootError) -> RuntimeError {
    let code = match error {
        BootError::Storage(_) | BootError::Recovery(RecoveryError::Storage(_)) => {
            Code::LogDeviceFailed
        }
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
