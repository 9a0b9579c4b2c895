//! What is issued: payloads and the mix of operations, from a seed.
//!
//! A payload is the sequence number and filler out of one pool of random bytes, at a place that follows
//! from client and number. So it can be written again when its answer comes, instead of being kept:
//!
//! ```text
//!   payload   sequence u64 | pool[place .. place + size - 8]        place = mix(client, sequence)
//! ```

use margay_resources::bench::SEQUENCE_BYTES;

/// Places in the pool; a power of two.
const PLACES: u64 = 1 << 16;

/// What a client does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A command.
    Write,
    /// A query.
    Read,
}

/// Payloads and the mix of operations.
#[derive(Debug)]
pub(crate) struct Workload {
    pool: Vec<u8>,
    filler_bytes: usize,
    /// Reads when the drawn number is below, of 2^32.
    reads_below: u64,
    state: u64,
}

impl Workload {
    /// Commands of `size` bytes, and a share of reads.
    pub(crate) fn new(size: u32, reads: f64, seed: u64) -> Self {
        let size = usize::try_from(size).expect("a payload is in memory");
        let filler_bytes = size
            .checked_sub(SEQUENCE_BYTES)
            .expect("the options leave room for the sequence number");
        let pool_bytes = usize::try_from(PLACES).expect("the pool is small") + filler_bytes;
        let pool = (0..pool_bytes.div_ceil(8) as u64)
            .flat_map(|number| mix(seed ^ mix(number)).to_le_bytes())
            .collect();
        Self {
            pool,
            filler_bytes,
            reads_below: parts_of_2_32(reads),
            state: seed,
        }
    }

    /// What comes next.
    pub(crate) fn draw(&mut self) -> Kind {
        if self.reads_below == 0 {
            return Kind::Write;
        }
        self.state = self.state.wrapping_add(1);
        if mix(self.state) >> 32 < self.reads_below {
            Kind::Read
        } else {
            Kind::Write
        }
    }

    /// Appends the payload of a client's command.
    pub(crate) fn write_payload(&self, client: usize, sequence: u64, out: &mut Vec<u8>) {
        let place = mix(((client as u64) << 40) ^ sequence) & (PLACES - 1);
        let place = usize::try_from(place).expect("the pool is small");
        out.extend_from_slice(&sequence.to_le_bytes());
        out.extend_from_slice(&self.pool[place..place + self.filler_bytes]);
    }
}

/// A share as a count of 2^32 parts.
fn parts_of_2_32(share: f64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share is between 0 and 1, so the product is between 0 and 2^32"
    )]
    let parts = (share * 4_294_967_296.0) as u64;
    parts
}

/// A permutation of 64 bits that leaves no pattern (the finalizer of SplitMix64).
pub(crate) const fn mix(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload(workload: &Workload, client: usize, sequence: u64) -> Vec<u8> {
        let mut payload = Vec::new();
        workload.write_payload(client, sequence, &mut payload);
        payload
    }

    #[test]
    fn a_payload_can_be_written_again_and_differs_from_all_others() {
        let workload = Workload::new(256, 0.0, 7);
        let first = payload(&workload, 3, 9);
        assert_eq!(first.len(), 256);
        assert_eq!(first[..8], 9_u64.to_le_bytes());
        assert_eq!(first, payload(&workload, 3, 9));
        assert_ne!(first[8..], payload(&workload, 3, 10)[8..]);
        assert_ne!(first[8..], payload(&workload, 4, 9)[8..]);
    }

    #[test]
    fn the_smallest_payload_is_its_sequence_number() {
        let workload = Workload::new(8, 0.0, 7);
        assert_eq!(payload(&workload, 0, 5), 5_u64.to_le_bytes());
    }

    #[test]
    fn the_filler_is_spread_evenly_over_all_bytes() {
        let workload = Workload::new(1 << 16, 0.0, 1);
        let payload = payload(&workload, 0, 1);
        let ones: u32 = payload.iter().map(|byte| byte.count_ones()).sum();
        let half = 4 << 16;
        assert!(ones.abs_diff(half) < half / 50, "{ones} of {}", 2 * half);
    }

    #[test]
    fn reads_have_the_share_that_was_asked_for() {
        for (share, least, most) in [(0.0, 0, 0), (0.9, 8_800, 9_200), (1.0, 10_000, 10_000)] {
            let mut workload = Workload::new(8, share, 42);
            let reads = (0..10_000)
                .filter(|_| workload.draw() == Kind::Read)
                .count();
            assert!(
                (least..=most).contains(&reads),
                "{reads} of 10,000 for {share}"
            );
        }
    }
}
