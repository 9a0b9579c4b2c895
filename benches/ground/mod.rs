//! The ground under the benches of the log: a disk that costs nothing, and logs that lie on it.

mod null_disk;
mod stand;

pub(crate) use null_disk::NullDisk;
pub(crate) use stand::Stand;
