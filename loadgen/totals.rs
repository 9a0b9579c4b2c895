//! The totals of one group: every command takes exactly one, and they grow with the index.
//!
//! Answers of different sessions come in any order. So each total is kept with its index in a ring for a
//! while, and compared with its two neighbours when both are there; neighbours that are in order, one by
//! one, make the whole order.
//!
//! ```text
//!   total     ...  7    8    9   10  ...        9 arrives at index 31:
//!   index         22   30    ·   34              30 < 31 < 34, and nobody else had it
//! ```

/// A total that contradicts another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TotalsFault {
    /// Two commands have the same total: one of them was counted for the other, or twice.
    Doubled {
        total: u64,
        index: u64,
        other_index: u64,
    },
    /// A greater total at a smaller index.
    OutOfOrder {
        total: u64,
        index: u64,
        other_total: u64,
        other_index: u64,
    },
}

/// A total, and the index at which it was true.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    total: u64,
    index: u64,
}

/// The newest totals of one group.
#[derive(Debug)]
pub(crate) struct Totals {
    ring: Vec<Seen>,
    mask: u64,
}

impl Totals {
    /// Keeps totals for at least `outstanding` commands in flight.
    pub(crate) fn new(outstanding: usize) -> Self {
        let size = (outstanding * 4).next_power_of_two().max(4_096);
        Self {
            ring: vec![Seen::default(); size],
            mask: size as u64 - 1,
        }
    }

    /// A command was answered with this total, at this index.
    pub(crate) fn on_total(&mut self, total: u64, index: u64) -> Result<(), TotalsFault> {
        if let Some(twin) = self.find(total) {
            return Err(TotalsFault::Doubled {
                total,
                index,
                other_index: twin.index,
            });
        }
        let below = total.checked_sub(1).and_then(|below| self.find(below));
        let above = self.find(total + 1);
        let wrong_below = below.filter(|below| below.index >= index);
        let wrong_above = above.filter(|above| above.index <= index);
        if let Some(other) = wrong_below.or(wrong_above) {
            return Err(TotalsFault::OutOfOrder {
                total,
                index,
                other_total: other.total,
                other_index: other.index,
            });
        }
        let at = self.slot(total);
        self.ring[at] = Seen { total, index };
        Ok(())
    }

    fn find(&self, total: u64) -> Option<Seen> {
        let seen = self.ring[self.slot(total)];
        (seen.total == total && seen.index > 0).then_some(seen)
    }

    fn slot(&self, total: u64) -> usize {
        usize::try_from(total & self.mask).expect("the ring is in memory, so its places fit")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_that_grow_with_the_index_pass_in_any_order_of_arrival() {
        let mut totals = Totals::new(4);
        for (total, index) in [(1, 10), (4, 17), (3, 16), (2, 11), (5, 18)] {
            assert_eq!(totals.on_total(total, index), Ok(()));
        }
    }

    #[test]
    fn a_total_that_comes_twice_is_doubled() {
        let mut totals = Totals::new(4);
        totals.on_total(9, 31).expect("the first one");
        let fault = totals.on_total(9, 32);
        let doubled = TotalsFault::Doubled {
            total: 9,
            index: 32,
            other_index: 31,
        };
        assert_eq!(fault, Err(doubled));
    }

    #[test]
    fn a_greater_total_at_a_smaller_index_is_out_of_order() {
        for (first, second) in [((9, 31), (10, 30)), ((10, 30), (9, 31))] {
            let mut totals = Totals::new(4);
            totals.on_total(first.0, first.1).expect("the first one");
            let fault = totals.on_total(second.0, second.1);
            assert!(matches!(fault, Err(TotalsFault::OutOfOrder { .. })));
        }
    }
}
