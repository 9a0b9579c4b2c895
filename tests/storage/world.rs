//! One log on one virtual disk, driven step by step, with a model of what it acknowledged.

use crate::model::{Found, Model, Told};
use crate::workload::chunk_bytes;
use margay::storage::log::Log;
use margay::storage::options::{LogOptions, Sequence};
use margay::storage::payload::Created;
use margay::storage::record::{RecordView, records};
use margay::storage::recovery::recover;
use margay::storage::recovery::{Peers, Recovered, RecoveredGroup, RecoveryError, RecoveryOptions};
use margay::storage::segment::segment_path;
use margay::storage::{Disk, StorageError, format_log};
use margay_simulation::disk::{DiskOptions, VirtualDisk};
use margay_types::{GroupId, Incarnation, Index, ProcessLife, ReplicaNumber};
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Small enough that a workload of a second switches segments several times.
pub(crate) fn options() -> LogOptions {
    LogOptions {
        segment_bytes: 64 << 10,
        batch_bytes_max: 24 << 10,
        record_bytes_max: 8 << 10,
        pool_bytes: 512 << 10,
        retained_bytes: 64 << 10,
        writes_in_flight: 2,
        spares: 2,
        segments_max: 32,
        witness_idle: Duration::from_millis(5),
        fill_pause: Duration::ZERO,
    }
}

pub(crate) fn recovery_options(life: u64) -> RecoveryOptions {
    RecoveryOptions {
        log: options(),
        process_life: ProcessLife::new(life),
        peers: Peers::Some,
    }
}

pub(crate) fn directory() -> PathBuf {
    PathBuf::from("data/log-1")
}

/// The birth of a group's replica; a number is never used again.
pub(crate) fn created(group: GroupId, replica: ReplicaNumber) -> Created {
    Created {
        incarnation: Incarnation::new([7; 16]),
        replica,
        recovery_number: 0,
        machine: String::from("map"),
        description: group.number().to_le_bytes().to_vec(),
    }
}

/// A disk with an empty log, all of it durable.
pub(crate) fn formatted(seed: u64) -> VirtualDisk {
    // On every other disk, writes overtake each other.
    let latency_max = Duration::from_millis(seed % 2 * 2);
    let disk = VirtualDisk::new(DiskOptions {
        seed,
        latency_max,
        ..DiskOptions::default()
    });
    disk.run(async {
        disk.create_directory(Path::new("data")).await?;
        disk.sync_directory(Path::new("")).await
    })
    .unwrap();
    disk.run(format_log(&disk, &directory(), 1, &options()))
        .unwrap();
    disk
}

/// What recovery says of the groups, payloads included.
pub(crate) fn found(disk: &VirtualDisk, groups: &[RecoveredGroup]) -> Vec<Found> {
    let found = groups.iter().map(|group| {
        Found::of(group, |index| {
            let entry = group.entries[&index];
            let Some(place) = entry.place else {
                return Vec::new();
            };
            let path = segment_path(&directory(), place.segment.number);
            let bytes = disk.bytes(&path).unwrap();
            let start = place.offset as usize;
            let record = RecordView::parse(&bytes[start..start + place.bytes as usize]).unwrap();
            assert_eq!((record.group(), record.index()), (group.group, index));
            record.payload().to_vec()
        })
    });
    found.collect()
}

pub(crate) fn try_recover(
    disk: &VirtualDisk,
    life: u64,
) -> Result<Recovered<VirtualDisk>, RecoveryError> {
    disk.run(recover(disk.clone(), &directory(), &recovery_options(life)))
}

/// What the log reads of a group is what recovery found: entries above the floor, and all chunks of the checkpoint.
fn read_back(
    disk: &VirtualDisk,
    log: &Log<VirtualDisk>,
    group: &RecoveredGroup,
) -> Result<(), String> {
    let failed = |error: StorageError| format!("group {} reads back: {error}", group.group);
    let first = group.floor.index.next();
    if group.last.index >= first {
        let loading = log.load(group.group, first, group.last.index, 1 << 20);
        let loaded = disk.run(loading).map_err(failed)?;
        let read = records(&loaded.bytes).map(|record| record.unwrap().index());
        let expected: Vec<Index> = group
            .entries
            .range(first..)
            .map(|(index, _)| *index)
            .collect();
        if read.collect::<Vec<_>>() != expected {
            return Err(format!(
                "group {} reads other entries than were found",
                group.group
            ));
        }
    }
    let Some(checkpoint) = &group.checkpoint else {
        return Ok(());
    };
    for number in 0..checkpoint.pointer.chunks {
        let chunk = disk
            .run(log.load_chunk(group.group, number))
            .map_err(failed)?;
        if chunk != chunk_bytes(checkpoint.pointer.at, number) {
            return Err(format!(
                "group {} reads another chunk {number}",
                group.group
            ));
        }
    }
    Ok(())
}

/// A life of the log.
pub(crate) struct World {
    pub(crate) disk: VirtualDisk,
    pub(crate) log: Log<VirtualDisk>,
    pub(crate) model: Model,
    /// What becomes durable with which batch: sequence, count of things told.
    waiting: VecDeque<(u64, usize)>,
}

impl World {
    /// A first life on a fresh log.
    pub(crate) fn new(seed: u64) -> Self {
        let disk = formatted(seed);
        let recovered = try_recover(&disk, 1).unwrap();
        assert!(recovered.groups.is_empty(), "a fresh log has no groups");
        Self {
            disk,
            log: recovered.log,
            model: Model::default(),
            waiting: VecDeque::new(),
        }
    }

    /// The next life, on a disk that went through a power cut; checks what was recovered against the model.
    pub(crate) fn next(disk: VirtualDisk, mut model: Model, life: u64) -> Result<Self, String> {
        let recovered = try_recover(&disk, life).map_err(|error| format!("recovery: {error}"))?;
        model.recover(&found(&disk, &recovered.groups))?;
        for group in &recovered.groups {
            read_back(&disk, &recovered.log, group)?;
        }
        Ok(Self {
            disk,
            log: recovered.log,
            model,
            waiting: VecDeque::new(),
        })
    }

    /// Notes what the log was told, and in which batch it stands.
    pub(crate) fn note(&mut self, told: Told, result: Result<Sequence, StorageError>) -> bool {
        match result {
            Ok(Sequence(sequence)) => {
                let count = self.model.tell(told);
                self.waiting.push_back((sequence, count));
                true
            }
            Err(_) => false,
        }
    }

    /// Starts what writes may start.
    pub(crate) fn submit(&mut self) -> bool {
        self.log.submit().is_ok()
    }

    /// Delivers the completions that are there, and lets cold work run.
    pub(crate) fn deliver(&mut self) -> bool {
        self.disk.turn();
        for completion in self.disk.take_completions() {
            if self
                .log
                .on_written(completion.token, completion.result)
                .is_err()
            {
                return false;
            }
            self.acknowledge();
        }
        true
    }

    /// Moves time on by a millisecond, with everything that falls due.
    pub(crate) fn pass_time(&mut self) -> bool {
        self.disk
            .advance(self.disk.now() + Duration::from_millis(1));
        self.deliver()
    }

    fn acknowledge(&mut self) {
        let Sequence(durable) = self.log.durable();
        while let Some((sequence, count)) = self.waiting.front().copied() {
            if sequence > durable {
                return;
            }
            self.model.acknowledge(count);
            self.waiting.pop_front();
        }
    }

    /// Submits and delivers until nothing is under way.
    pub(crate) fn settle(&mut self) -> bool {
        for _ in 0..64 {
            if !(self.submit() && self.pass_time()) {
                return false;
            }
        }
        self.waiting.is_empty()
    }
}
