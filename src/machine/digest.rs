//! A hash over state, to compare a machine with its rebuilt self and with other replicas.

use crate::codec::Encode;
use alloc::vec::Vec;
use xxhash_rust::xxh3::Xxh3;

/// Collects what a state says, in an order that is the same everywhere.
pub struct Digest {
    hash: Xxh3,
    scratch: Vec<u8>,
}

impl Default for Digest {
    fn default() -> Self {
        Self::new()
    }
}

impl Digest {
    /// Nothing said yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            hash: Xxh3::new(),
            scratch: Vec::new(),
        }
    }

    /// Adds bytes with their length, so that neighbours do not run into each other.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.hash.update(&(bytes.len() as u64).to_le_bytes());
        self.hash.update(bytes);
    }

    /// Adds a number.
    pub fn number(&mut self, number: u64) {
        self.hash.update(&number.to_le_bytes());
    }

    /// Adds a value by its encoding.
    pub fn value<T: Encode>(&mut self, value: &T) {
        let mut scratch = core::mem::take(&mut self.scratch);
        scratch.clear();
        value.encode(&mut scratch);
        self.bytes(&scratch);
        self.scratch = scratch;
    }

    /// The hash of all that was added.
    #[must_use]
    pub fn finish(&self) -> [u8; 16] {
        self.hash.digest128().to_le_bytes()
    }
}
