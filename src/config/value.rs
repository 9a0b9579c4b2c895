//! From the text of a setting to what it means.

use super::setting::Setting;
use core::net::SocketAddr;
use std::path::PathBuf;

/// Direct I/O writes whole blocks of this size, so files are made of them.
const BLOCK_BYTES: u64 = 4096;

/// Suffixes of sizes, the largest first; what has no other is of bytes.
const UNITS: [(&str, u64); 4] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("", 1),
];

pub(super) fn path(_: &Setting, text: &str) -> Result<PathBuf, String> {
    if text.is_empty() {
        return Err("it names no directory".to_owned());
    }
    Ok(PathBuf::from(text))
}

pub(super) fn address(_: &Setting, text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr = text
        .parse()
        .map_err(|_| "it must be an IP address with a port, such as 0.0.0.0:7400".to_owned())?;
    if address.port() == 0 {
        return Err("port 0 is no well-known port".to_owned());
    }
    Ok(address)
}

/// A count, within the setting's range.
pub(super) fn number(setting: &Setting, text: &str) -> Result<u64, String> {
    let number = text
        .parse()
        .map_err(|_| "it must be a whole number".to_owned())?;
    within(setting, number)
}

/// A size in bytes, within the setting's range and of whole blocks.
pub(super) fn blocks(setting: &Setting, text: &str) -> Result<u64, String> {
    let bytes = within(setting, bytes(text)?)?;
    if bytes % BLOCK_BYTES != 0 {
        return Err(format!("it must be a multiple of {BLOCK_BYTES}"));
    }
    Ok(bytes)
}

fn bytes(text: &str) -> Result<u64, String> {
    let parsed = UNITS.iter().find_map(|(suffix, factor)| {
        let digits = text.strip_suffix(suffix)?.trim_end();
        digits.parse::<u64>().ok()?.checked_mul(*factor)
    });
    parsed.ok_or_else(|| "it must be a size in bytes, such as 67108864 or 64MiB".to_owned())
}

/// A size in the largest unit that it is a multiple of.
pub(super) fn size_text(bytes: u64) -> String {
    let unit = UNITS
        .iter()
        .find(|(_, factor)| bytes.is_multiple_of(*factor));
    let (suffix, factor) = unit.expect("every size is a multiple of one byte");
    format!("{}{suffix}", bytes / factor)
}

fn within(setting: &Setting, number: u64) -> Result<u64, String> {
    match setting.range {
        Some(range) if number < range.least() || number > range.greatest() => {
            Err(format!("it must be between {}", range.ends().join(" and ")))
        }
        Some(_) | None => Ok(number),
    }
}

#[cfg(test)]
mod tests {
    use super::super::setting::{LISTEN, SEGMENT_BYTES, SPARES};
    use super::*;

    #[test]
    fn sizes_are_written_with_and_without_a_unit() {
        assert_eq!(blocks(&SEGMENT_BYTES, "8MiB"), Ok(8 << 20));
        assert_eq!(blocks(&SEGMENT_BYTES, "8388608"), Ok(8 << 20));
        assert_eq!(blocks(&SEGMENT_BYTES, "1 GiB"), Ok(1 << 30));
    }

    #[test]
    fn a_size_is_shown_in_the_largest_unit_that_fits() {
        for (bytes, text) in [(1, "1"), (4096, "4KiB"), (5 << 20, "5MiB")] {
            assert_eq!(size_text(bytes), text);
        }
        assert_eq!(
            blocks(&SEGMENT_BYTES, "1MiB"),
            Err("it must be between 4MiB and 1GiB".to_owned())
        );
    }

    #[test]
    fn a_value_out_of_range_or_form_is_refused() {
        for text in [
            "1MiB",
            "2GiB",
            "8388609",
            "MiB",
            "-8MiB",
            "99999999999999999GiB",
        ] {
            assert!(blocks(&SEGMENT_BYTES, text).is_err(), "{text}");
        }
        assert!(number(&SPARES, "1").is_err());
        assert!(address(&LISTEN, "localhost:7400").is_err());
        assert!(address(&LISTEN, "0.0.0.0:0").is_err());
    }
}
