//! Real nodes, a load that checks every answer, and faults.
//!
//! ```text
//!   test ──> Cluster ──> Node, Node, Node     processes: kill, stop, freeze, start again
//!     │                    ▲   ▲   ▲
//!     ├────> Dev                              a process that starts nodes of its own
//!     └────> Load ─────────┴───┴───┘          a thread: sessions, outputs, what they prove
//! ```

mod cluster;
mod dev;
mod host;
mod load;
mod node;
mod ports;
mod raw_client;
mod session_check;
mod signs;
mod waiting;
mod wire;

pub(crate) use cluster::{Cluster, KEYSPACE, replica};
pub(crate) use dev::Dev;
pub(crate) use host::{after, is_root, name_spaces, skip};
pub(crate) use load::{Load, Shape};
pub(crate) use node::{Node, margay, text};
pub(crate) use raw_client::RawClient;
pub(crate) use signs::{demand_hangup, demand_printed};
pub(crate) use waiting::{PATIENCE, eventually, now, pass};
pub(crate) use wire::Wire;
