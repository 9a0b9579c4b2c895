//! A log with groups in it, renewed before it is full, so that a bench may append for ever.

use super::NullDisk;
use margay::storage::payload::Created;
use margay::storage::recovery::{Peers, RecoveryOptions, recover};
use margay::storage::{Log, LogOptions, NewEntry, format_log};
use margay_raft::{EntryKind, Position, WriteId};
use margay_types::{GroupId, Incarnation, Index, LogTime, ProcessLife, ReplicaNumber, Term};
use std::path::Path;

/// Bytes that a log takes before it is renewed: less than a fresh one has room for.
const BYTES_MAX: usize = 96 << 20;
/// More than one turn of a bench appends.
const ROOM_BYTES: usize = 1 << 20;

/// The log that a bench appends to.
pub(crate) struct Stand {
    disk: NullDisk,
    log: Log<NullDisk>,
    groups: u32,
    last: Vec<u64>,
    bytes: usize,
}

impl Stand {
    /// A fresh log with so many groups.
    #[must_use]
    pub(crate) fn new(groups: u32) -> Self {
        let disk = NullDisk::default();
        let directory = Path::new("data/log-1");
        let options = LogOptions::default();
        disk.run(format_log(&disk, directory, 1, &options))
            .expect("nothing fails here");
        let recovery = RecoveryOptions {
            log: options,
            process_life: ProcessLife::new(1),
            peers: Peers::Some,
        };
        let recovered = disk.run(recover(disk.clone(), directory, &recovery));
        let log = recovered.expect("nothing fails here").log;
        let mut stand = Self {
            disk,
            log,
            groups,
            last: vec![0; groups as usize],
            bytes: 0,
        };
        for number in 0..groups {
            let created = created();
            let born = stand.log.create_group(group(number), &created);
            born.expect("there is room for the births");
        }
        stand.settle();
        stand
    }

    /// Makes a fresh log when this one has taken what it may.
    pub(crate) fn renew_when_full(&mut self) {
        if self.bytes >= BYTES_MAX || !self.log.has_room(ROOM_BYTES) {
            *self = Self::new(self.groups);
        }
    }

    /// Appends a command to a group.
    pub(crate) fn append(&mut self, number: u32, payload: &[u8]) {
        let last = &mut self.last[number as usize];
        *last += 1;
        let entry = NewEntry {
            group: group(number),
            position: Position {
                term: Term::new(1),
                index: Index::new(*last),
            },
            kind: EntryKind::CommandPlain,
            log_time: LogTime::new(*last),
            payload: &[payload],
        };
        let appended = self.log.append_entry(&entry, WriteId(*last));
        appended.expect("the log is renewed before it is full");
        self.bytes += payload.len() + margay::storage::record::RECORD_HEADER_BYTES;
    }

    /// Writes until everything appended is durable, and gives how many groups were told so.
    pub(crate) fn settle(&mut self) -> usize {
        let mut told = 0;
        self.log.submit().expect("nothing fails here");
        while let Some((token, bytes)) = self.disk.take_write() {
            let groups = self.log.on_written(token, Ok(bytes));
            told += groups.expect("nothing fails here").len();
            self.log.submit().expect("nothing fails here");
        }
        told
    }
}

fn group(number: u32) -> GroupId {
    GroupId::new(number + 1)
}

fn created() -> Created {
    Created {
        incarnation: Incarnation::new([1; 16]),
        replica: ReplicaNumber::new(1),
        recovery_number: 0,
        machine: "bench".to_owned(),
        description: Vec::new(),
    }
}
