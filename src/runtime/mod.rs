//! The only part of the server that touches Linux: it drives the shards with io_uring.
//!
//! ```text
//!     executor      starts a thread for each shard, and waits
//!      └ core_loop  turn: completions -> shard -> sends and writes;  slice: cold tasks;  stage
//!         ├ ring    the core's one io_uring    operation, request, buffers: what it lends to the kernel
//!         ├ network all sockets                receiving, dialing, connection, handshake, handover, places,
//!         │                                    peer_link, outbox
//!         ├ cold    futures of cold work       disk, helper
//!         └ mailbox letters of other threads
//!     before        probe, huge_pages, directory_lock, signal, placement
//!     beside        directory_watch
//! ```
//!
//! No protocol decision is made here: what happens is told to a [`Core`], and what it put into its outbox and its
//! disk is done.

mod address;
mod buffers;
mod clock;
mod cold;
mod connection;
mod core_loop;
mod dialing;
mod directory_lock;
mod directory_watch;
mod disk;
pub mod disk_probe;
mod driven;
mod error;
mod executor;
mod facts;
mod handover;
mod handshake;
mod helper;
pub mod huge_pages;
mod letters;
pub mod limits;
mod listener;
mod mailbox;
mod network;
mod notice;
mod operation;
mod outbox;
mod peer_link;
mod placement;
mod places;
pub mod probe;
mod receiving;
mod request;
mod ring;
mod shard_core;
mod signal;
mod slots;
mod stage;

pub use buffers::ReceiveBufferSizes;
pub use clock::BootClock;
pub use directory_lock::DirectoryLock;
pub(crate) use directory_watch::DirectoryWatch;
pub use disk::{RingDisk, RingFile};
pub use driven::{Core, Identity};
pub use error::RuntimeError;
pub use executor::{CoreSeams, Executor, ExecutorConfig, Exit, Shards};
pub use facts::Facts;
pub use outbox::RingOutbox;
pub use placement::{ShardPlacement, allowed_cores, parse_core_list};
pub use shard_core::{RingSeams, ShardCore};
pub use signal::Signals;
