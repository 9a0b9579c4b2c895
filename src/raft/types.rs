//! The newtypes that the core speaks in.

pub use margay_types::{GroupId, Index, NodeId, ReplicaNumber, Term, Ticks};
