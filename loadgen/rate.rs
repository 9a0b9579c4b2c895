//! How many operations per second are offered, and how they are spread: what `--rate` and `--arrival` say.

use clap::ValueEnum;
use std::fmt;
use std::str::FromStr;

/// Greatest rate: a send every ten nanoseconds, which no generator comes near.
const RATE_MAX: u64 = 100_000_000;

/// Ends of a rate, with what they multiply it by.
const UNITS: [(char, u32); 2] = [('k', 3), ('M', 6)];

/// What a rate looks like, for whoever typed another thing.
const EXAMPLE: &str = "a rate is operations per second: 5000, 200k or 1.5M";

/// Operations per second, at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate(u64);

/// How sends are spread over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Arrival {
    /// One after another at the same distance.
    Constant,
    /// Each at its own moment, whatever the others do: what many independent users make.
    Poisson,
}

impl Rate {
    #[cfg(test)]
    pub(crate) const fn new(per_s: u64) -> Self {
        assert!(per_s > 0 && per_s <= RATE_MAX, "a rate is within its range");
        Self(per_s)
    }

    /// Operations per second.
    pub(crate) const fn per_s(self) -> u64 {
        self.0
    }
}

impl Arrival {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Constant => "constant",
            Self::Poisson => "poisson",
        }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.0)
    }
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let unit = UNITS
            .iter()
            .find_map(|(end, zeros)| Some((text.strip_suffix(*end)?, *zeros)));
        let (number, zeros) = unit.unwrap_or((text, 0));
        let per_s = scaled(number, zeros).ok_or_else(|| EXAMPLE.to_owned())?;
        match per_s {
            0 => Err(format!(
                "nothing would be sent; leave --rate away for a closed loop ({EXAMPLE})"
            )),
            1..=RATE_MAX => Ok(Self(per_s)),
            _ => Err("a rate is at most 100M".to_owned()),
        }
    }
}

/// A decimal number times a power of ten, when that is whole; no rounding.
fn scaled(number: &str, zeros: u32) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_digits(whole) || !is_digits(fraction) {
        return None;
    }
    let fraction = fraction.trim_end_matches('0');
    let missing = zeros.checked_sub(u32::try_from(fraction.len()).ok()?)?;
    let fraction: u64 = if fraction.is_empty() {
        0
    } else {
        fraction.parse().ok()?
    };
    let whole: u64 = whole.parse().ok()?;
    whole
        .checked_mul(10_u64.pow(zeros))?
        .checked_add(fraction * 10_u64.pow(missing))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_typed_as_people_say_them() {
        for (text, per_s) in [
            ("5000", 5_000),
            ("1", 1),
            ("200k", 200_000),
            ("1.5M", 1_500_000),
            ("0.25k", 250),
            ("7.0", 7),
            ("100M", 100_000_000),
        ] {
            assert_eq!(text.parse(), Ok(Rate(per_s)), "{text}");
        }
    }

    #[test]
    fn what_is_no_rate_is_answered_with_an_example_of_one() {
        for text in [
            "",
            "fast",
            "-5",
            "1e6",
            "5 k",
            "200K",
            "1.5",
            "1.2345k",
            ".5k",
            "5.",
            "k",
            "1.5.0M",
            "99999999999999999999",
        ] {
            assert_eq!(text.parse::<Rate>(), Err(EXAMPLE.to_owned()), "{text}");
        }
    }

    #[test]
    fn nothing_and_too_much_are_refused_with_the_reason() {
        for text in ["0", "0k", "0.0M"] {
            let refused = text.parse::<Rate>().expect_err("nothing is no rate");
            assert!(refused.contains("closed loop"), "{refused}");
        }
        for text in ["100000001", "101M", "9999999999999M"] {
            let refused = text.parse::<Rate>().expect_err("nobody can send so much");
            assert!(refused.contains("100M"), "{refused}");
        }
    }
}
