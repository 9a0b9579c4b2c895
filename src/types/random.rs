//! The one source of chance: a small seeded generator, so that a number repeats a run.
//!
//! SplitMix64 (Steele, Lea, Flood 2014): one addition and two multiplications for each number, and every seed is a
//! good one. The core draws election timeouts from it, clients their jitter, tests and the simulator their faults.
//! The numbers of a seed are part of what the tests rest on: changing them gives every seed another schedule.

/// A seeded generator.
#[derive(Clone, Debug)]
pub struct Random {
    state: u64,
}

impl Random {
    /// The sequence that belongs to `seed`.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The next number.
    pub const fn next_number(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number in `[0, bound)`.
    ///
    /// # Panics
    /// When `bound` is 0: there is no such number.
    pub fn below(&mut self, bound: u64) -> u64 {
        assert!(bound > 0, "a number below 0 was asked for");
        self.next_number() % bound
    }

    /// A number in `[low, high)`; `low` when the range is empty.
    pub fn between(&mut self, low: u32, high: u32) -> u32 {
        let width = u64::from(high.saturating_sub(low).max(1));
        let offset = u32::try_from(self.below(width)).expect("a remainder is below its divisor");
        low.saturating_add(offset)
    }

    /// True in `part` of `whole` cases.
    pub fn chance(&mut self, part: u64, whole: u64) -> bool {
        self.below(whole) < part
    }

    /// One of these.
    ///
    /// # Panics
    /// When there is none.
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        let count = u64::try_from(from.len()).expect("lengths fit in 64 bits");
        let position = usize::try_from(self.below(count)).expect("it is below a slice's length");
        &from[position]
    }

    /// Brings `items` into an order that the seed decides.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for end in (1..items.len()).rev() {
            let bound = u64::try_from(end).expect("lengths fit in 64 bits") + 1;
            let other = usize::try_from(self.below(bound)).expect("it is below a slice's length");
            items.swap(end, other);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_is_one_sequence() {
        let draw = |seed| {
            let mut random = Random::new(seed);
            [(); 8].map(|()| random.next_number())
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }

    #[test]
    fn numbers_lie_within_their_range_and_an_empty_one_gives_its_start() {
        let mut random = Random::new(7);
        for _ in 0..1000 {
            let drawn = random.between(30, 60);
            assert!((30..60).contains(&drawn), "{drawn} out of range");
        }
        assert_eq!(random.between(5, 5), 5);
    }

    #[test]
    fn a_shuffle_loses_nothing() {
        let mut items: [usize; 50] = core::array::from_fn(|at| at);
        let before = items;
        Random::new(3).shuffle(&mut items);
        assert_ne!(items, before);
        items.sort_unstable();
        assert_eq!(items, before);
    }
}
