//! From what storage recovered to what a shard starts with: checkpoints are read, and the last log time of every group.

use crate::shard::birth::Description;
use crate::shard::checkpoints::Stream;
use crate::storage::payload::Created;
use crate::storage::recovery::{FoundCheckpoint, GroupStatus, Peers, RecoveredGroup};
use crate::storage::{Disk, Log, StorageError, record};
use margay_raft::{Configuration, Position, TermRun};
use margay_types::{GroupId, Index, LogTime};
use xxhash_rust::xxh3::xxh3_128;

/// Why a replica that storage found whole cannot be started.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RestoreError {
    /// Its records cannot be read back.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// Its birth, its checkpoint or a change of its members makes no sense to this version. Run the version that wrote
    /// it.
    #[error("{what} of group {group} cannot be read by this version")]
    Unreadable {
        /// Which group.
        group: GroupId,
        /// What cannot be read.
        what: &'static str,
    },
    /// Every part of its checkpoint is as it was written, and together they are another one than its pointer names. To
    /// be treated as damage.
    #[error("the checkpoint of group {group} is not the one that was written")]
    OtherCheckpoint {
        /// Which group.
        group: GroupId,
    },
}

/// What ends when a replica cannot be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    /// Its part in the group: other replicas on this node have nothing to do with it.
    Replica,
    /// The start of the node.
    Start,
}

impl RestoreError {
    /// A binary that cannot read a group refuses the group, and damage that is read is a matter of the groups that it
    /// hits. But a cluster of one has no other copy of what is damaged, and a disk that does not answer says nothing
    /// about a replica: both are the operator's decision.
    fn reach(&self, peers: Peers) -> Reach {
        match (self, peers) {
            (Self::Unreadable { .. }, Peers::Some | Peers::None)
            | (
                Self::OtherCheckpoint { .. }
                | Self::Storage(
                    StorageError::Record { .. }
                    | StorageError::Misplaced { .. }
                    | StorageError::Absent { .. },
                ),
                Peers::Some,
            ) => Reach::Replica,
            (Self::OtherCheckpoint { .. } | Self::Storage(_), Peers::Some | Peers::None) => {
                Reach::Start
            }
        }
    }
}

/// A replica as the log tells of it, ready to be started.
pub struct FoundGroup {
    pub(crate) group: GroupId,
    pub(crate) created: Created,
    pub(crate) description: Description,
    pub(crate) raft: margay_raft::Restored,
    /// The machine's host part of the checkpoint; `None` when the birth is the checkpoint.
    pub(crate) host: Option<Vec<u8>>,
    pub(crate) checkpoint_bytes: u64,
    pub(crate) log_time_max: LogTime,
}

/// A replica that takes no part in anything until its damage is repaired, or another binary is run.
#[derive(Clone, Debug)]
pub struct DamagedGroup {
    /// Which group.
    pub group: GroupId,
    /// What it lost, in words.
    pub reason: String,
    /// Of group 0: the genesis, as far as it can still be read.
    pub genesis: Option<Vec<u8>>,
}

/// All replicas of a log, sorted by whether they can be started.
#[derive(Default)]
pub struct Found {
    /// These start.
    pub whole: Vec<FoundGroup>,
    /// These are named.
    pub damaged: Vec<DamagedGroup>,
}

impl Found {
    /// Reads what storage recovered. The log's restart batch is durable already, and nothing was promised yet. A
    /// replica that cannot be started is named, and the others start.
    ///
    /// # Errors
    /// The disk does not give back what was found whole; or it is damaged, and there are no `peers` to repair it from.
    pub async fn read<D: Disk>(
        log: &Log<D>,
        groups: Vec<RecoveredGroup>,
        peers: Peers,
    ) -> Result<Self, RestoreError> {
        let mut found = Self::default();
        for group in groups {
            let reason = match &group.status {
                GroupStatus::Serves => match read_group(log, &group).await {
                    Ok(whole) => {
                        found.whole.push(whole);
                        continue;
                    }
                    Err(error) => match error.reach(peers) {
                        Reach::Replica => error.to_string(),
                        Reach::Start => return Err(error),
                    },
                },
                GroupStatus::Damaged { range, reason } => {
                    format!("entries {} to {}: {reason}", range.start(), range.end())
                }
            };
            found.damaged.push(DamagedGroup {
                group: group.group,
                reason,
                genesis: read_genesis(log, &group).await,
            });
        }
        Ok(found)
    }
}

/// What group 0 was born with, although it is damaged: it names the nodes, without which no other group here would find
/// its members.
async fn read_genesis<D: Disk>(log: &Log<D>, found: &RecoveredGroup) -> Option<Vec<u8>> {
    if found.group != GroupId::SYSTEM {
        return None;
    }
    let base = read_base(log, found).await;
    base.ok().map(|base| base.description.options)
}

/// What stands below all entries of a group that the log still holds: its newest checkpoint, or its birth.
struct Base {
    created: Created,
    description: Description,
    configuration: (Index, Configuration),
    /// The machine's host part; a birth has none.
    host: Option<Vec<u8>>,
    checkpoint_bytes: u64,
}

async fn read_group<D: Disk>(
    log: &Log<D>,
    found: &RecoveredGroup,
) -> Result<FoundGroup, RestoreError> {
    let group = found.group;
    let checkpoint = found.checkpoint.as_ref().map(|it| it.pointer.at);
    let checkpoint = checkpoint.unwrap_or(Position::ZERO);
    let base = read_base(log, found).await?;
    let term_runs = found.term_runs.iter().map(|run| TermRun {
        first: run.first,
        term: run.term,
    });
    let raft = margay_raft::Restored {
        hard_state: found.hard_state,
        floor: found.floor,
        term_runs: term_runs.collect(),
        last_index: found.last.index,
        commit_index: checkpoint.index,
        configurations: configurations_from(group, base.configuration, &found.configurations)?,
    };
    let log_time_max = last_log_time(log, group, checkpoint.index, found.last.index).await?;
    Ok(FoundGroup {
        group,
        created: base.created,
        description: base.description,
        raft,
        host: base.host,
        checkpoint_bytes: base.checkpoint_bytes,
        log_time_max,
    })
}

async fn read_base<D: Disk>(log: &Log<D>, found: &RecoveredGroup) -> Result<Base, RestoreError> {
    match &found.checkpoint {
        Some(checkpoint) => {
            let stream = read_stream(log, found.group, checkpoint).await?;
            base_of_checkpoint(found.group, &stream)
        }
        None => {
            let created = found.created.as_ref().map(|(created, _)| created.clone());
            base_of_birth(found.group, created)
        }
    }
}

fn base_of_checkpoint(group: GroupId, bytes: &[u8]) -> Result<Base, RestoreError> {
    let stream = Stream::decode(bytes).ok_or(RestoreError::Unreadable {
        group,
        what: "the checkpoint",
    })?;
    Ok(Base {
        created: stream.created,
        description: stream.description,
        configuration: stream.configuration,
        host: Some(stream.host),
        checkpoint_bytes: bytes.len() as u64,
    })
}

fn base_of_birth(group: GroupId, created: Option<Created>) -> Result<Base, RestoreError> {
    let unreadable = RestoreError::Unreadable {
        group,
        what: "the birth",
    };
    let read = created.and_then(|created| {
        let description = Description::decode(&created.description)?;
        let configuration = (Index::ZERO, description.configuration()?);
        Some(Base {
            created,
            description,
            configuration,
            host: None,
            checkpoint_bytes: 0,
        })
    });
    read.ok_or(unreadable)
}

/// The members in force at the base, and the changes above it, oldest first.
fn configurations_from(
    group: GroupId,
    base: (Index, Configuration),
    changes: &[(Index, Vec<u8>)],
) -> Result<Vec<(Index, Configuration)>, RestoreError> {
    let mut configurations = vec![base];
    for (index, payload) in changes {
        let configuration =
            Configuration::decode(payload).map_err(|_| RestoreError::Unreadable {
                group,
                what: "a change of the members",
            })?;
        if configurations.last().is_some_and(|(last, _)| last < index) {
            configurations.push((*index, configuration));
        }
    }
    Ok(configurations)
}

async fn read_stream<D: Disk>(
    log: &Log<D>,
    group: GroupId,
    checkpoint: &FoundCheckpoint,
) -> Result<Vec<u8>, RestoreError> {
    let pointer = &checkpoint.pointer;
    let at = (group, pointer.at.index);
    let mut stream = Vec::new();
    for number in 0..pointer.chunks {
        let chunk = log.load_chunk_at(at, number, checkpoint.chunk(number));
        stream.extend_from_slice(&chunk.await?);
    }
    if xxh3_128(&stream).to_le_bytes() != pointer.stream_hash {
        return Err(RestoreError::OtherCheckpoint { group });
    }
    Ok(stream)
}

/// Log time of the last entry above the checkpoint: a leader goes on from there.
async fn last_log_time<D: Disk>(
    log: &Log<D>,
    group: GroupId,
    checkpoint: Index,
    last: Index,
) -> Result<LogTime, RestoreError> {
    if last <= checkpoint {
        return Ok(LogTime::ZERO);
    }
    let loaded = log.load(group, last, last, 1).await?;
    let record = record::records(&loaded.bytes).next().and_then(Result::ok);
    Ok(record
        .and_then(|record| record.log_time())
        .unwrap_or(LogTime::ZERO))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUP: GroupId = GroupId::new(3);

    /// What another version wrote is whole, and somebody can read it: the group alone waits for that.
    #[test]
    fn what_this_version_cannot_read_is_a_matter_of_its_group() {
        let unreadable = RestoreError::Unreadable {
            group: GROUP,
            what: "the birth",
        };
        for peers in [Peers::Some, Peers::None] {
            assert_eq!(unreadable.reach(peers), Reach::Replica);
        }
    }

    #[test]
    fn damage_ends_a_start_where_there_is_no_other_copy() {
        let absent = StorageError::Absent {
            group: GROUP,
            index: Index::new(7),
        };
        let other = RestoreError::OtherCheckpoint { group: GROUP };
        for damage in [other, absent.into()] {
            assert_eq!(damage.reach(Peers::Some), Reach::Replica);
            assert_eq!(damage.reach(Peers::None), Reach::Start);
        }
    }

    #[test]
    fn a_disk_that_does_not_answer_says_nothing_about_a_replica() {
        let cause = std::io::Error::from_raw_os_error(libc::EMFILE);
        let failed = StorageError::io("read", "segment".as_ref(), cause);
        assert_eq!(RestoreError::from(failed).reach(Peers::Some), Reach::Start);
    }
}
