//! The settings of one node: few, strict, and each knows where its value comes from.
//!
//! ```text
//!   default  <  profile  <  file  <  MARGAY_* of the environment  <  --set and other flags
//! ```
//!
//! Every source gives texts by key; [`Layers`] keeps the last one with its [`Source`]; [`Config`] is what they
//! mean. A key that does not exist is refused, with the name that comes nearest, and a value out of range is
//! refused with the place where it stands. There is no setting that weakens durability.
//!
//! What all nodes must agree on is not here: it is committed in group 0.

mod cores;
mod file;
mod layers;
mod nearest;
mod profile;
mod setting;
mod source;
mod value;

pub use cores::Cores;
pub use layers::Layers;
pub use setting::{Restart, SETTINGS, Setting};
pub use source::Source;

use crate::codes::Failure;
use core::net::SocketAddr;
use std::path::PathBuf;

/// What a node is told. The texts beside each setting are in [`SETTINGS`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `data`: where everything that the node remembers lies.
    pub data: PathBuf,
    /// `listen`: the well-known address of the node.
    pub listen: SocketAddr,
    /// `shards.cores`: one shard per core.
    pub cores: Cores,
    /// `log.*`.
    pub log: LogConfig,
}

/// Settings of the log of each shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// `log.in_flight_writes`: durable writes under way at once.
    pub in_flight_writes: u64,
    /// `log.segment_bytes`: size of one segment file.
    pub segment_bytes: u64,
    /// `log.spares`: filled segments kept ready.
    pub spares: u64,
}

impl Config {
    /// What the layers mean.
    ///
    /// # Errors
    /// `ValueMissing` or `ValueRefused`, with the place where the value stands.
    pub fn new(layers: &Layers) -> Result<Self, Failure> {
        Ok(Self {
            data: layers.value(&setting::DATA, value::path)?,
            listen: layers.value(&setting::LISTEN, value::address)?,
            cores: layers.value(&setting::CORES, Cores::parse)?,
            log: LogConfig {
                in_flight_writes: layers.value(&setting::IN_FLIGHT_WRITES, value::number)?,
                segment_bytes: layers.value(&setting::SEGMENT_BYTES, value::blocks)?,
                spares: layers.value(&setting::SPARES, value::number)?,
            },
        })
    }
}
