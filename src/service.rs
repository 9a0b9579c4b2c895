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
use crate::runtime::{
    CoreSeams, DirectoryLock, DirectoryWatch, Executor, ExecutorConfig, RuntimeError, ShardCore,
    Shards, probe,
};
use crate::shard::{BootError, BootPlace, NodeFacts, Shard, boot, prepare};
use crate::storage::manifest::ManifestError;
use crate::storage::node_manifest::NodeManifest;
use crate::storage::recovery::RecoveryError;
use crate::storage::{Disk, LogOptions, StorageError};
use margay_machine::Registry;
use margay_raft::Options;
use margay_raft::options::Window;
use margay_types::{Incarnation, ProcessLife, ShardId};
use margay_wire::admin::{Durability, IoSettings, system};
use rustix::rand::{GetRandomFlags, getrandom};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
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
    let data = config.data.clone();
    let (life, seed) = draw()?;
    let shares = probe::descriptor_shares(probe::process_limits(), shards.len())?;
    let plan = Plan {
        log: LogOptions {
            segments_max: shares.segments_max,
            ..log_options(&config)
        },
        facts: facts(&config, node.incarnation, &disk, life, seed),
        machines: machines.clone().machine::<System>(system::MACHINE),
        data: config.data,
    };
    let preparation = Preparation::new();
    let kept = lock.file().map_err(|source| RuntimeError::Lock {
        directory: data.clone(),
        source,
    })?;
    let executor = Executor::start(
        ExecutorConfig {
            kept: Some(Arc::new(kept)),
            ..ExecutorConfig::new(shards, config.listen)
        },
        Some(&signals),
        move |seams| plan.clone().make(&preparation, seams),
    )?;
    for address in executor.addresses() {
        tracing::info!(%address, "listening");
    }
    let watch = watch(&data, &lock, executor.shards());
    let ended = executor.wait();
    let missing = watch.and_then(DirectoryWatch::finish);
    drop(lock);
    match missing {
        Some(missing) => Err(RuntimeError::DirectoryGone {
            directory: data,
            missing,
        }),
        None => ended.map(|exit| exit.failure),
    }
}

/// Has all shards give up when the data directory is not there any more. It begins when the first shard runs: before
/// that its logs are being made. A node that gets no thread for it runs all the same.
fn watch(data: &Path, lock: &DirectoryLock, shards: Shards<ShardCore>) -> Option<DirectoryWatch> {
    let code = Code::DirectoryGone;
    let all = shards.clone();
    let give_up = move |missing: &Path| {
        tracing::error!(%code, missing = %missing.display(), "the data directory is gone: the node stops");
        for shard in all.numbers() {
            while !all.visit(shard, Box::new(move |core| core.give_up(code))) {
                std::thread::yield_now();
            }
        }
    };
    let lock = lock.file().ok()?;
    let watch = DirectoryWatch::start(data, lock, give_up).ok()?;
    let begin = watch.beginning();
    // Nothing else is in a mailbox of a shard that has just been started.
    let _ = shards.visit(ShardId::FIRST, Box::new(move |_| begin()));
    Some(watch)
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
        demand_descriptors(
            restored.log.listed_segments(),
            self.log.segments_max,
            seams.shard_count,
        )?;
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

/// A log that has more files than it may open would run into the limit at a moment when it must not.
fn demand_descriptors(
    segments: usize,
    segments_max: usize,
    shards: u16,
) -> Result<(), RuntimeError> {
    let missing = segments.saturating_sub(segments_max) as u64;
    if missing == 0 {
        return Ok(());
    }
    let available = probe::process_limits().descriptors;
    Err(RuntimeError::TooFewDescriptors {
        available,
        // Half of what a shard gets more is for segments.
        needed: available + 2 * missing * u64::from(shards),
    })
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
        BootError::Storage(error) | BootError::Recovery(RecoveryError::Storage(error)) => {
            match refused_file(error) {
                Some(refused) => return refused,
                None => storage_code(error),
            }
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

fn storage_code(error: &StorageError) -> Code {
    match error {
        StorageError::Manifest {
            cause: ManifestError::Newer { .. },
            ..
        } => Code::NewerFormat,
        StorageError::Manifest { .. } => Code::DirectoryFailed,
        StorageError::Write { .. }
        | StorageError::Io { .. }
        | StorageError::OutOfRoom
        | StorageError::Segment { .. }
        | StorageError::Record { .. }
        | StorageError::Misplaced { .. }
        | StorageError::Absent { .. } => Code::LogDeviceFailed,
    }
}

/// A file that this user may not use, or that nobody may write, says nothing about the device.
fn refused_file(error: &StorageError) -> Option<RuntimeError> {
    let StorageError::Io { path, cause, .. } = error else {
        return None;
    };
    let is_refused = matches!(
        cause.kind(),
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem
    );
    is_refused.then(|| RuntimeError::Directory {
        path: path.clone(),
        source: cause.kind().into(),
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_with_more_segments_than_it_may_have_open_is_told_what_it_needs() {
        assert!(demand_descriptors(128, 128, 3).is_ok());
        let refused = demand_descriptors(140, 128, 3);
        let Err(RuntimeError::TooFewDescriptors { available, needed }) = refused else {
            panic!("{refused:?}");
        };
        assert_eq!(needed - available, 2 * 12 * 3);
    }
}
