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
//! Reading order: what bytes mean (`record`, `payload`, `directory`, `witness`, `batch`, `segment`, `manifest`),
//! then how they come to be.

pub mod batch;
pub mod block;
pub mod directory;
pub mod disk;
pub mod error;
pub mod log_manifest;
pub mod manifest;
pub mod node_manifest;
pub mod payload;
pub mod record;
pub mod segment;
pub mod witness;

pub use block::{Block, Pool, Slice};
pub use disk::{ColdTask, Disk, OpenMode, WriteToken};
pub use error::StorageError;
