//! When sends are meant to leave: a sequence of times that nothing which happens can change.
//!
//! ```text
//!   constant   |   |   |   |   |        send n at start + n / rate, exactly: no error adds up
//!   poisson    || |     |  |    |       distances drawn from the exponential distribution, by seed
//! ```

use crate::rate::{Arrival, Rate};
use margay_types::Random;

const SECOND_NS: u64 = 1_000_000_000;

/// The times of an open loop, in order.
#[derive(Debug)]
pub(crate) struct Schedule {
    rate: Rate,
    start_ns: u64,
    spread: Spread,
    next_ns: u64,
}

/// What the next time follows from.
#[derive(Debug)]
enum Spread {
    /// Sends so far.
    Constant { count: u64 },
    /// Time since the start, with its fraction.
    Poisson { random: Random, offset_ns: f64 },
}

impl Schedule {
    /// Sends from `start_ns` on.
    pub(crate) fn new(rate: Rate, arrival: Arrival, start_ns: u64, seed: u64) -> Self {
        let spread = match arrival {
            Arrival::Constant => Spread::Constant { count: 0 },
            Arrival::Poisson => Spread::Poisson {
                random: Random::new(seed),
                offset_ns: 0.0,
            },
        };
        Self {
            rate,
            start_ns,
            spread,
            next_ns: start_ns,
        }
    }

    /// When the next send is meant to leave.
    pub(crate) const fn next_ns(&self) -> u64 {
        self.next_ns
    }

    /// Takes the next send; the one after it is next then.
    pub(crate) fn take(&mut self) -> u64 {
        let taken_ns = self.next_ns;
        let per_s = self.rate.per_s();
        let offset_ns = match &mut self.spread {
            Spread::Constant { count } => {
                *count += 1;
                // Whole seconds apart from the rest, so that the product fits whatever the run's length.
                let (seconds, rest) = (*count / per_s, *count % per_s);
                seconds * SECOND_NS + rest * SECOND_NS / per_s
            }
            Spread::Poisson { random, offset_ns } => {
                *offset_ns += distance(random) * SECOND_NS as f64 / per_s as f64;
                whole(*offset_ns)
            }
        };
        self.next_ns = self.start_ns + offset_ns;
        assert!(
            self.next_ns >= taken_ns,
            "times grow: {taken_ns} before {}",
            self.next_ns
        );
        taken_ns
    }
}

/// A distance in mean distances: exponential, by inversion.
fn distance(random: &mut Random) -> f64 {
    // 53 bits are what a double holds; half a step more, so that the logarithm is of no 0.
    let part = ((random.next_number() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
    -part.ln()
}

fn whole(offset_ns: f64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "sums of positive distances, and the fraction is kept beside"
    )]
    let whole = offset_ns as u64;
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    const START_NS: u64 = 7_000_000_123;

    fn times(arrival: Arrival, per_s: u64, seed: u64, count: usize) -> Vec<u64> {
        let mut schedule = Schedule::new(Rate::new(per_s), arrival, START_NS, seed);
        (0..count).map(|_| schedule.take() - START_NS).collect()
    }

    #[test]
    fn constant_arrivals_have_one_distance_and_never_drift() {
        assert_eq!(
            times(Arrival::Constant, 200, 0, 4),
            [0, 5_000_000, 10_000_000, 15_000_000]
        );
        // A third of a second is no whole number; three of them are.
        let thirds = times(Arrival::Constant, 3, 0, 3_000_001);
        assert_eq!(thirds[1], 333_333_333);
        assert_eq!(thirds[3_000_000], 1_000_000 * SECOND_NS);
    }

    #[test]
    fn poisson_arrivals_follow_from_their_seed_and_have_the_rate() {
        let drawn = times(Arrival::Poisson, 1_000, 42, 100_001);
        assert_eq!(drawn, times(Arrival::Poisson, 1_000, 42, 100_001));
        assert_ne!(drawn, times(Arrival::Poisson, 1_000, 43, 100_001));
        let seconds = drawn[100_000] as f64 / SECOND_NS as f64;
        assert!((98.0..102.0).contains(&seconds), "{seconds} s");
        // Of exponential distances a share of 1/e is longer than the mean.
        let long = drawn
            .windows(2)
            .filter(|pair| pair[1] - pair[0] > 1_000_000);
        let long = long.count();
        assert!((36_000..37_600).contains(&long), "{long} of 100,000");
    }
}
