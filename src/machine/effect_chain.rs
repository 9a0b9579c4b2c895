//! The hash by which replicas notice that they have applied the same entries differently.
//!
//! ```text
//!  H(i) = xxh3-128( H(i-1) 16 | i u64 | output | events | releases | timer changes )
//! ```
//!
//! Each of the four is length-prefixed with u32. The output is a code u16 and the bytes of the
//! answer; the three lists are there from the first commit, and empty until machines publish,
//! release and schedule.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use margay_types::Index;
use xxhash_rust::xxh3::xxh3_128;

use crate::answers::Code;

/// The chain is remembered at multiples of this index.
pub const CHAIN_HISTORY_STRIDE: u64 = 4_096;
/// So many of them.
pub const CHAIN_HISTORY_COUNT: usize = 16;

const LENGTH_AT: usize = 24;
const CODE_AT: usize = LENGTH_AT + 4;
const OUTPUT_AT: usize = CODE_AT + 2;
const EMPTY_LISTS: [u8; 12] = [0; 12];

/// The chain up to the applied index, and the buffer in which the next link is written. The machine
/// writes its output straight into it, so hashing costs no copy and no allocation.
#[derive(Debug)]
pub(crate) struct EffectChain {
    value: [u8; 16],
    history: VecDeque<(Index, [u8; 16])>,
    link: Vec<u8>,
}

impl EffectChain {
    pub(crate) fn new() -> Self {
        Self::restore([0; 16], VecDeque::with_capacity(CHAIN_HISTORY_COUNT))
    }

    pub(crate) fn restore(value: [u8; 16], history: VecDeque<(Index, [u8; 16])>) -> Self {
        assert!(
            history.len() <= CHAIN_HISTORY_COUNT,
            "{} values of a chain",
            history.len()
        );
        Self {
            value,
            history,
            link: Vec::new(),
        }
    }

    pub(crate) fn value(&self) -> [u8; 16] {
        self.value
    }

    pub(crate) fn history(&self) -> &VecDeque<(Index, [u8; 16])> {
        &self.history
    }

    /// Starts the link of `index`, with an empty output.
    pub(crate) fn begin(&mut self, index: Index) {
        self.link.clear();
        self.link.extend_from_slice(&self.value);
        self.link.extend_from_slice(&index.number().to_le_bytes());
        self.link.extend_from_slice(&[0; OUTPUT_AT - LENGTH_AT]);
    }

    /// Where the output of this index is appended.
    pub(crate) fn output_mut(&mut self) -> &mut Vec<u8> {
        &mut self.link
    }

    /// The output of this index so far.
    pub(crate) fn output(&self) -> &[u8] {
        &self.link[OUTPUT_AT..]
    }

    /// Drops the output so far: something else is answered.
    pub(crate) fn clear_output(&mut self) {
        self.link.truncate(OUTPUT_AT);
    }

    /// Closes the link.
    pub(crate) fn finish(&mut self, index: Index, code: Code) {
        let length = u32::try_from(self.link.len() - CODE_AT).expect("an output is at most 64 KiB");
        self.link[LENGTH_AT..CODE_AT].copy_from_slice(&length.to_le_bytes());
        self.link[CODE_AT..OUTPUT_AT].copy_from_slice(&code.number().to_le_bytes());
        self.link.extend_from_slice(&EMPTY_LISTS);
        self.value = xxh3_128(&self.link).to_le_bytes();
        if index.number().is_multiple_of(CHAIN_HISTORY_STRIDE) {
            if self.history.len() == CHAIN_HISTORY_COUNT {
                self.history.pop_front();
            }
            self.history.push_back((index, self.value));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(chain: &mut EffectChain, index: u64, output: &[u8]) -> [u8; 16] {
        chain.begin(Index::new(index));
        chain.output_mut().extend_from_slice(output);
        chain.finish(Index::new(index), Code::Output);
        chain.value()
    }

    #[test]
    fn a_different_output_changes_all_that_follows() {
        let (mut one, mut other) = (EffectChain::new(), EffectChain::new());
        assert_ne!(link(&mut one, 1, b"a"), link(&mut other, 1, b"b"));
        assert_ne!(link(&mut one, 2, b"c"), link(&mut other, 2, b"c"));
    }

    #[test]
    fn a_link_is_hashed_over_the_decided_bytes() {
        let mut chain = EffectChain::new();
        let mut bytes = [0; 16].to_vec();
        bytes.extend_from_slice(&1_u64.to_le_bytes());
        bytes.extend_from_slice(&5_u32.to_le_bytes());
        bytes.extend_from_slice(&[0, 0]);
        bytes.extend_from_slice(b"abc");
        bytes.extend_from_slice(&[0; 12]);
        assert_eq!(link(&mut chain, 1, b"abc"), xxh3_128(&bytes).to_le_bytes());
    }

    #[test]
    fn the_last_sixteen_multiples_are_remembered() {
        let mut chain = EffectChain::new();
        for index in 1..=20 * CHAIN_HISTORY_STRIDE {
            link(&mut chain, index, b"");
        }
        assert_eq!(chain.history().len(), CHAIN_HISTORY_COUNT);
        assert_eq!(chain.history()[0].0, Index::new(5 * CHAIN_HISTORY_STRIDE));
        assert_eq!(
            chain.history()[15],
            (Index::new(20 * CHAIN_HISTORY_STRIDE), chain.value())
        );
    }
}
