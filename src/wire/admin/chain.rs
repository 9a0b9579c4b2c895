//! The effect chain of a replica: what replicas compare to know that their machines agree.

use margay_types::{GroupId, Index};
use serde::{Deserialize, Serialize};

/// Links are sampled at multiples of this index, so that replicas at different indexes have some in common.
pub const CHAIN_SAMPLE_STEP: u64 = 4_096;

/// How many of the newest samples an answer holds.
pub const CHAIN_SAMPLES_MAX: usize = 16;

/// Asks a node for the chain of its replica of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainRequest {
    /// Which group.
    pub group: GroupId,
}

/// The chain's value behind one entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainLink {
    /// The entry.
    pub index: Index,
    /// H(index): hash over everything that applying up to it produced.
    pub hash: [u8; 16],
}

/// The chain of a replica, as far as it is applied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chain {
    /// At the applied index.
    pub applied: ChainLink,
    /// At the last [`CHAIN_SAMPLES_MAX`] multiples of [`CHAIN_SAMPLE_STEP`], ascending.
    pub samples: Vec<ChainLink>,
}

impl Chain {
    /// The link at `index`, if this answer holds it.
    #[must_use]
    pub fn at(&self, index: Index) -> Option<[u8; 16]> {
        core::iter::once(&self.applied)
            .chain(&self.samples)
            .find(|link| link.index == index)
            .map(|link| link.hash)
    }
}
