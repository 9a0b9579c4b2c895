//! The table of settings: what can be set, in which unit and range, with which consequence.

use super::value::size_text;
use std::fmt;

/// What a number may be, its ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Range {
    /// So many of something.
    Count(u64, u64),
    /// A size, shown with its unit.
    Bytes(u64, u64),
}

impl Range {
    /// The least value.
    #[must_use]
    pub const fn least(self) -> u64 {
        match self {
            Self::Count(least, _) | Self::Bytes(least, _) => least,
        }
    }

    /// The greatest value.
    #[must_use]
    pub const fn greatest(self) -> u64 {
        match self {
            Self::Count(_, greatest) | Self::Bytes(_, greatest) => greatest,
        }
    }

    /// Both ends, as people write them.
    #[must_use]
    pub fn ends(self) -> [String; 2] {
        match self {
            Self::Count(least, greatest) => [least, greatest].map(|count| count.to_string()),
            Self::Bytes(least, greatest) => [least, greatest].map(size_text),
        }
    }
}

/// `4MiB..1GiB`.
impl fmt::Display for Range {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.ends().join(".."))
    }
}

/// When a new value acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restart {
    /// At the next start of the process.
    Needed,
}

/// One setting.
#[derive(Debug)]
pub struct Setting {
    /// Its name in files and behind `--set`.
    pub key: &'static str,
    /// What it is when nobody says anything; `None`: it must be given.
    pub default: Option<&'static str>,
    /// Least and greatest value of a number.
    pub range: Option<Range>,
    /// Unit, or form of the text.
    pub unit: &'static str,
    /// What follows from it: why one would change it, and what that costs.
    pub consequence: &'static str,
    /// When a new value acts.
    pub restart: Restart,
}

impl Setting {
    /// Its name in the environment: `MARGAY_LOG_SPARES` for `log.spares`.
    #[must_use]
    pub fn variable(&self) -> String {
        format!("MARGAY_{}", self.key.replace('.', "_").to_uppercase())
    }

    /// What it may be, in one column: `4MiB..1GiB, a multiple of 4096`, `2..64 segments`, `directory`.
    #[must_use]
    pub fn unit_and_range(&self) -> String {
        match self.range {
            // The ends have their units with them.
            Some(range @ Range::Bytes(..)) => {
                format!(
                    "{range}{}",
                    self.unit.strip_prefix("bytes").unwrap_or_default()
                )
            }
            Some(range @ Range::Count(..)) => format!("{range} {}", self.unit),
            None => self.unit.to_owned(),
        }
    }
}

const MEBIBYTE: u64 = 1 << 20;

pub(super) const DATA: Setting = Setting {
    key: "data",
    default: None,
    range: None,
    unit: "directory",
    consequence: "everything the node remembers lies there; it needs a file system with direct \
                  I/O; a device of its own keeps other programs' writes out of the log's way",
    restart: Restart::Needed,
};

pub(super) const LISTEN: Setting = Setting {
    key: "listen",
    default: Some("0.0.0.0:7400"),
    range: None,
    unit: "address:port",
    consequence: "the well-known port: clients, peers and operators start here, whichever shard \
                  they want",
    restart: Restart::Needed,
};

pub(super) const CORES: Setting = Setting {
    key: "shards.cores",
    default: Some("auto"),
    range: None,
    unit: "auto, cores, or anywhere:N",
    consequence: "a shard is pinned to each of these cores; auto takes all that the process may use, \
                  or as many as the directory was made for; keep interrupts and other programs off \
                  them; anywhere:N pins none of N, for nodes that share a machine",
    restart: Restart::Needed,
};

pub(super) const IN_FLIGHT_WRITES: Setting = Setting {
    key: "log.in_flight_writes",
    default: Some("1"),
    range: Some(Range::Count(1, 4)),
    unit: "writes",
    consequence: "more writes under way at once use a device with deep queues better; batches \
                  become smaller",
    restart: Restart::Needed,
};

pub(super) const SEGMENT_BYTES: Setting = Setting {
    key: "log.segment_bytes",
    default: Some("64MiB"),
    range: Some(Range::Bytes(4 * MEBIBYTE, 1024 * MEBIBYTE)),
    unit: "bytes, a multiple of 4096",
    consequence: "space is taken and given back in segments; new ones of another size follow the \
                  old ones",
    restart: Restart::Needed,
};

pub(super) const SPARES: Setting = Setting {
    key: "log.spares",
    default: Some("2"),
    range: Some(Range::Count(2, 64)),
    unit: "segments",
    consequence: "filled segments kept ready per shard; more of them carry longer bursts of \
                  writes",
    restart: Restart::Needed,
};

/// All settings, in the order of the reference.
pub const SETTINGS: [&Setting; 6] = [
    &DATA,
    &LISTEN,
    &CORES,
    &IN_FLIGHT_WRITES,
    &SEGMENT_BYTES,
    &SPARES,
];

/// More settings than an operator can keep in mind would be a fault of the design.
const SETTINGS_MAX: usize = 15;

const _: () = assert!(SETTINGS.len() <= SETTINGS_MAX);

/// The setting of that name.
pub(super) fn find(key: &str) -> Option<&'static Setting> {
    SETTINGS.into_iter().find(|setting| setting.key == key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unit_and_range_read_as_one() {
        assert_eq!(SPARES.unit_and_range(), "2..64 segments");
        assert_eq!(
            SEGMENT_BYTES.unit_and_range(),
            "4MiB..1GiB, a multiple of 4096"
        );
        assert_eq!(DATA.unit_and_range(), "directory");
        for setting in SETTINGS {
            let is_size = matches!(setting.range, Some(Range::Bytes(..)));
            assert!(
                !is_size || setting.unit.starts_with("bytes"),
                "{}",
                setting.key
            );
        }
    }
}
