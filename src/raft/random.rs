//! The one source of chance in the core: election timeouts, from a seed that the host passes in.
//!
//! SplitMix64 (Steele, Lea, Flood 2014): one addition and three multiplications, every seed is a good one, and the
//! same seed gives the same elections again.

/// A seeded generator.
#[derive(Clone, Debug)]
pub(crate) struct Random {
    state: u64,
}

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    fn draw(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number in `[low, high)`; `low` when the range is empty.
    pub(crate) fn between(&mut self, low: u32, high: u32) -> u32 {
        let width = u64::from(high.saturating_sub(low).max(1));
        let offset = u32::try_from(self.draw() % width).expect("a remainder is below its divisor");
        low.saturating_add(offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_numbers_within_the_range() {
        let (mut one, mut two) = (Random::new(7), Random::new(7));
        for _ in 0..1000 {
            let drawn = one.between(30, 60);
            assert_eq!(drawn, two.between(30, 60));
            assert!((30..60).contains(&drawn), "{drawn} out of range");
        }
    }

    #[test]
    fn an_empty_range_gives_its_start() {
        assert_eq!(Random::new(1).between(5, 5), 5);
    }
}
