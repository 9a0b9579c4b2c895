//! Chance from one seed. Rates are in thousandths.

/// The generator of all, under seeds of its own, with rates as a swarm gives them.
pub(crate) struct Random(margay_types::Random);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        let scattered = seed.wrapping_mul(0x2545_F491_4F6C_DD1D) ^ 0x6A09_E667_F3BC_C908;
        Self(margay_types::Random::new(scattered))
    }

    /// In `[low, high)`; `low` when that is empty.
    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.0.below(high.saturating_sub(low).max(1))
    }

    pub(crate) fn chance(&mut self, per_mille: u64) -> bool {
        self.0.chance(per_mille, 1000)
    }

    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> Option<T> {
        let place = usize::try_from(self.0.below((from.len() as u64).max(1))).ok()?;
        from.get(place).copied()
    }
}
