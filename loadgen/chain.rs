//! What one session must have come to: the count and the hash that the `bench` machine keeps for it,
//! computed here from what was issued.

use margay_resources::bench::next_hash;

/// Count and hash over the commands of one session that are decided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Chain {
    count: u64,
    hash: u64,
}

impl Chain {
    /// One more command was applied.
    pub(crate) fn advance(&mut self, payload: &[u8]) {
        self.count += 1;
        self.hash = next_hash(self.hash, payload);
    }

    /// Commands so far.
    pub(crate) const fn count(self) -> u64 {
        self.count
    }

    /// The hash over them.
    pub(crate) const fn hash(self) -> u64 {
        self.hash
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chain_tells_the_order_of_what_was_applied() {
        let (mut forth, mut back) = (Chain::default(), Chain::default());
        forth.advance(b"one");
        forth.advance(b"two");
        back.advance(b"two");
        back.advance(b"one");
        assert_eq!((forth.count(), back.count()), (2, 2));
        assert_ne!(forth.hash(), back.hash());
    }

    #[test]
    fn it_is_the_chain_of_the_machine() {
        let mut chain = Chain::default();
        chain.advance(b"payload one");
        chain.advance(b"payload two");
        let hash = next_hash(next_hash(0, b"payload one"), b"payload two");
        assert_eq!(chain.hash(), hash);
    }
}
