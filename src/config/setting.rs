//! The table of settings: what can be set, in which unit and range, with which consequence.

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
    pub range: Option<(u64, u64)>,
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
    unit: "auto, a core, or anywhere:1",
    consequence: "the node's shard is pinned to this core; auto takes the first that the process \
                  may use; keep interrupts and other programs off it; anywhere:1 pins none, for \
                  nodes that share a machine",
    restart: Restart::Needed,
};

pub(super) const IN_FLIGHT_WRITES: Setting = Setting {
    key: "log.in_flight_writes",
    default: Some("1"),
    range: Some((1, 4)),
    unit: "writes",
    consequence: "more writes under way at once use a device with deep queues better; batches \
                  become smaller",
    restart: Restart::Needed,
};

pub(super) const SEGMENT_BYTES: Setting = Setting {
    key: "log.segment_bytes",
    default: Some("64MiB"),
    range: Some((4 * MEBIBYTE, 1024 * MEBIBYTE)),
    unit: "bytes, a multiple of 4096",
    consequence: "space is taken and given back in segments; new ones of another size follow the \
                  old ones",
    restart: Restart::Needed,
};

pub(super) const SPARES: Setting = Setting {
    key: "log.spares",
    default: Some("2"),
    range: Some((2, 64)),
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
