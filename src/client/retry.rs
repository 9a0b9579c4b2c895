//! When to try again: growing delays with jitter, so that clients of a leader that is gone do not return as one.
//!
//! The n-th delay is drawn from `[d/2, d)` with `d = min · 2^n`, bounded. What a server asks for (`retry after`) is
//! a lower bound of it.

use margay_types::Random;

/// How often something failed in a row, and what that means for the next attempt.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// It worked.
    pub(crate) const fn reset(&mut self) {
        self.failures = 0;
    }

    pub(crate) const fn failures(self) -> u32 {
        self.failures
    }

    /// It failed: how long to wait, at least `least_ns`.
    pub(crate) fn delay_ns(
        &mut self,
        random: &mut Random,
        bounds: core::ops::Range<u64>,
        least_ns: u64,
    ) -> u64 {
        let doubled = bounds.start.saturating_mul(1 << self.failures.min(20));
        self.failures = self.failures.saturating_add(1);
        let longest = doubled.min(bounds.end).max(1);
        let jittered = longest / 2 + random.below(longest.div_ceil(2));
        if least_ns == 0 {
            jittered
        } else {
            least_ns + random.below((least_ns / 2 + jittered).max(1))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_to_a_bound_and_differ() {
        let (mut random, mut backoff) = (Random::new(7), Backoff::default());
        let delays: Vec<_> = (0..12)
            .map(|_| backoff.delay_ns(&mut random, 1_000..64_000, 0))
            .collect();
        assert!(delays[0] >= 500 && delays[0] < 1_000);
        assert!(delays[11] >= 32_000 && delays[11] < 64_000);
        assert_ne!(delays[10], delays[11]);
        backoff.reset();
        assert!(backoff.delay_ns(&mut random, 1_000..64_000, 0) < 1_000);
    }

    #[test]
    fn what_a_server_asks_for_is_a_lower_bound() {
        let (mut random, mut backoff) = (Random::new(7), Backoff::default());
        assert!(backoff.delay_ns(&mut random, 1_000..64_000, 50_000) >= 50_000);
    }
}
