//! What stands behind an option, read before anybody is asked: a slip of the finger is no matter for a cluster.

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

#[cfg(test)]
mod tests {
    use super::*;

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
