//! What stands behind an option, read before anybody is asked: a slip of the finger is no matter for a cluster.

use crate::codes::{Code, Exit};
use crate::config::distance;
use margay_wire::genesis::check_name;
use std::time::Duration;

/// The name of a cluster, a keyspace or a machine.
///
/// # Errors
/// What names are made of.
pub(super) fn name(text: &str) -> Result<String, String> {
    check_name("name", text)
        .map(|()| text.to_owned())
        .map_err(|_| "a name has 1 to 64 of a-z A-Z 0-9 . _ -".to_owned())
}

/// A time to wait, with its unit.
///
/// # Errors
/// How times are written.
pub(super) fn time(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(time) if !time.is_zero() => Ok(time),
        Ok(_) => Err("it must be longer than that".to_owned()),
        Err(_) => Err("a time has a number and a unit, such as 500ms, 5s or 1m".to_owned()),
    }
}

/// A code as messages carry it, in either case, with or without its letter.
///
/// # Errors
/// The code that was probably meant.
pub(super) fn code(text: &str) -> Result<Code, String> {
    let digits = text.trim().trim_start_matches(['m', 'M']);
    let number = digits.parse().ok();
    if let Some(code) = number.and_then(Code::from_number) {
        return Ok(code);
    }
    let exiting = number.map_or_else(Vec::new, codes_of_exit);
    if digits == text && !exiting.is_empty() {
        return Err(format!(
            "{digits} is an exit code; a process ends with it for: {}",
            exiting.join(", ")
        ));
    }
    let resemblance = |code: &&Code| {
        let known = code.number().to_string();
        let apart = number.map_or(u16::MAX, |number| code.number().abs_diff(number));
        (distance(digits, &known), apart)
    };
    let nearest = Code::ALL.iter().min_by_key(resemblance);
    match nearest.filter(|_| digits.bytes().any(|byte| byte.is_ascii_digit())) {
        Some(nearest) => Err(format!(
            "there is no such code; did you mean {nearest} ({})?",
            nearest.title()
        )),
        None => Err("a code is M and a number, such as M212".to_owned()),
    }
}

fn codes_of_exit(number: u16) -> Vec<String> {
    let codes = Code::ALL
        .iter()
        .filter(|code| code.exit() != Exit::Done && u16::from(code.exit().number()) == number);
    codes.map(Code::to_string).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_read_in_either_case_and_without_its_letter() {
        for text in ["M212", "m212", "212", " M212 "] {
            assert_eq!(code(text), Ok(Code::LittleSpace), "{text}");
        }
    }

    #[test]
    fn a_code_that_does_not_exist_gets_the_nearest_and_an_exit_code_those_that_end_with_it() {
        for (text, words) in [
            ("m222", "M212"),
            ("M2122", "M212"),
            ("m155", "M154"),
            ("m999", "did you mean M"),
            ("22", "M201"),
            ("M21", "did you mean M121"),
            ("M", "such as M212"),
            ("slow disk", "such as M212"),
        ] {
            let refused = code(text).expect_err("there is none");
            assert!(refused.contains(words), "{text}: {refused}");
        }
    }

    #[test]
    fn what_no_cluster_would_take_as_a_name_is_refused() {
        assert_eq!(name("prod-1.a_B"), Ok("prod-1.a_B".to_owned()));
        let long = "a".repeat(65);
        for text in ["", "a b", "ä", "a/b", long.as_str()] {
            assert!(name(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_time_has_a_unit_and_is_not_nothing() {
        assert_eq!(time("100ms"), Ok(Duration::from_millis(100)));
        for text in ["", "soon", "5", "0s", "-1s"] {
            assert!(time(text).is_err(), "{text}");
        }
    }
}
