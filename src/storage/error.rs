//! What storage can say when it cannot do what it was asked: what the caller can conclude, and what helps.

use super::manifest::ManifestError;
use super::record::RecordError;
use super::segment::SegmentError;
use margay_types::{GroupId, Index};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Why storage did not do what it was asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StorageError {
    /// A durable write failed or was short. What it held may or may not be on the disk; nothing is written to
    /// this log again in this process life. The shard stops; restart the node once the device is well.
    #[error("write of batch {sequence} at {offset_bytes} of segment {segment} failed: {cause}")]
    Write {
        /// The batch.
        sequence: u64,
        /// The file it was for.
        segment: u32,
        /// Where.
        offset_bytes: u64,
        /// What the device said.
        cause: Arc<io::Error>,
    },
    /// An operation of cold work failed. What it was for did not happen; the log itself goes on, unless the
    /// operation was a sync or a manifest.
    #[error("{action} {}: {cause}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// What the device said.
        cause: Arc<io::Error>,
    },
    /// No memory or no segment is left for a write that cannot wait. The caller did not heed
    /// [`super::log::Log::has_room`]; the shard stops before it promises anything. Free disk space and restart.
    #[error("no room left for a write that cannot wait")]
    OutOfRoom,
    /// Both copies of a manifest are bad, or one is of a newer version. Nothing was changed. Run the newer
    /// version, or remove the node's data and add it again as a new member.
    #[error("manifest of {}: {cause}", directory.display())]
    Manifest {
        /// Where the copies lie.
        directory: PathBuf,
        /// What is wrong.
        cause: ManifestError,
    },
    /// The header of a segment is bad, or of a newer version. What the segment held must be repaired from other
    /// members; a newer version must be run.
    #[error("segment {segment}: {cause}")]
    Segment {
        /// The file.
        segment: u32,
        /// What is wrong.
        cause: SegmentError,
    },
    /// A record that was durable reads back damaged. The entry must be repaired from other members; until then
    /// the replica neither applies nor serves past it.
    #[error("group {group} entry {index} at {offset_bytes} of segment {segment}: {cause}")]
    Record {
        /// Whose it is.
        group: GroupId,
        /// Which entry.
        index: Index,
        /// The file.
        segment: u32,
        /// Where what was read starts.
        offset_bytes: u64,
        /// What is wrong.
        cause: RecordError,
    },
    /// What was asked for is not where the index says: another record stands there. To be treated as damage.
    #[error("group {group} entry {index} is not at {offset_bytes} of segment {segment}")]
    Misplaced {
        /// Whose it is.
        group: GroupId,
        /// Which entry.
        index: Index,
        /// The file.
        segment: u32,
        /// Where what was read starts.
        offset_bytes: u64,
    },
    /// The entries are not in the log any more, or never were. Ask for a stream.
    #[error("group {group} has no entry {index} here")]
    Absent {
        /// The group.
        group: GroupId,
        /// The first that is missing.
        index: Index,
    },
}

impl StorageError {
    /// An operation on a file failed.
    #[must_use]
    pub fn io(action: &'static str, path: &Path, cause: io::Error) -> Self {
        Self::Io {
            action,
            path: path.to_owned(),
            cause: Arc::new(cause),
        }
    }
}
