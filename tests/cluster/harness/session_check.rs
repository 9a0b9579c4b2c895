//! What one session was answered, against what it asked.
//!
//! The machine `bench` answers the n-th command of a session with n and with a hash over all n. Computing the same
//! chain from what was issued shows at once what was lost, doubled or swapped.

use margay_client::SessionKey;
use margay_machine::Decode;
use margay_resources::bench::{Appended, Tally, next_hash};
use margay_types::{GroupId, Index};
use std::collections::VecDeque;

/// A session of a load.
#[derive(Debug)]
pub(super) struct SessionCheck {
    pub(super) key: SessionKey,
    pub(super) group: GroupId,
    issued_count: u64,
    issued_hash: u64,
    /// Hashes that the answers under way must have, oldest first.
    expected: VecDeque<u64>,
    answered_count: u64,
    answered_index: Index,
}

impl SessionCheck {
    pub(super) fn new(key: SessionKey, group: GroupId) -> Self {
        Self {
            key,
            group,
            issued_count: 0,
            issued_hash: 0,
            expected: VecDeque::new(),
            answered_count: 0,
            answered_index: Index::ZERO,
        }
    }

    /// The next payload, of so many bytes: its number, and filler that depends on it.
    pub(super) fn next_payload(&mut self, bytes: usize) -> Vec<u8> {
        self.issued_count += 1;
        let mut payload = self.issued_count.to_le_bytes().to_vec();
        payload.resize(bytes.max(payload.len()), payload[0]);
        self.issued_hash = next_hash(self.issued_hash, &payload);
        self.expected.push_back(self.issued_hash);
        payload
    }

    /// Commands under way.
    pub(super) fn in_flight(&self) -> usize {
        self.expected.len()
    }

    /// Commands answered.
    pub(super) fn answered_count(&self) -> u64 {
        self.answered_count
    }

    /// Checks the next output, and gives the group's total in it.
    pub(super) fn on_output(&mut self, index: Index, output: &[u8]) -> u64 {
        let appended = Appended::decode(output).expect("an output of `Append`");
        let hash = self
            .expected
            .pop_front()
            .expect("every answer has a command");
        self.answered_count += 1;
        let found = (appended.count.get(), appended.hash.get());
        let expected = (self.answered_count, hash);
        assert_eq!(
            found, expected,
            "output at {index} of {:?} in {}",
            self.key, self.group
        );
        assert!(
            index > self.answered_index,
            "answered at {index} behind {}",
            self.answered_index
        );
        self.answered_index = index;
        appended.total.get()
    }

    /// Checks what the machine holds of the session when nothing is under way.
    pub(super) fn on_tally(&self, tally: Tally) {
        assert_eq!(self.in_flight(), 0, "asked too early");
        let found = (tally.count.get(), tally.hash.get());
        let expected = (self.issued_count, self.issued_hash);
        assert_eq!(found, expected, "tally of {:?} in {}", self.key, self.group);
    }
}
