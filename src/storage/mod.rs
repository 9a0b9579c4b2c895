//! The log of a shard: the only store. Entries, votes, marks and checkpoints are records in it; beside it there
//! are only the manifests.
//!
//! ```text
//!  <data>/manifest.{a,b}              the node
//!  <data>/log-<id>/manifest.{a,b}     which segments are alive
//!  <data>/log-<id>/<number>.segment   header · batch · batch · ...
//!                                              └─ header · records · directory · witness · padding
//! ```
//!
//! Reading order: what bytes mean (`record`, `payload`, `directory`, `witness`, `batch`, `segment`, `manifest`,
//! `node_manifest`, `log_manifest`); how they are written (`disk`, `block`, `open_batch`, `group_commit`, `log`,
//! `append`, `tail`, `heads`, `checkpoint`); how they are found again (`index`, `batch_memory`, `lent`, `load`); how
//! room is kept (`space`, `spares`); how a log comes back (`recovery`, `resume`).
//!
//! Not done: copying what lives out of mostly dead segments (record kind `copy`) and moving groups between logs
//! (`adopt`); both kinds have their numbers. Scrubbing.

mod append;
pub mod batch;
mod batch_memory;
pub mod block;
mod checkpoint;
pub mod directory;
pub mod disk;
pub mod error;
mod group_commit;
mod group_log;
mod heads;
pub mod index;
mod lent;
mod load;
pub mod log;
pub mod log_manifest;
pub mod manifest;
pub mod node_manifest;
pub mod open_batch;
pub mod options;
pub mod payload;
pub mod record;
pub mod recovery;
pub mod resume;
pub mod segment;
mod space;
mod spares;
mod tail;
#[cfg(test)]
mod test_disk;
pub mod witness;

pub use append::NewEntry;
pub use batch_memory::Entries;
pub use block::{Block, Pool, Slice};
pub use disk::{ColdTask, Disk, OpenMode, WriteToken};
pub use error::StorageError;
pub use lent::Lent;
pub use load::Loaded;
pub use log::Log;
pub use options::{LogOptions, Sequence};
pub use resume::Resume;
pub use space::Room;
pub use spares::format_log;
