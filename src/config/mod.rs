//! The settings of one node: few, strict, and each knows where its value comes from.
//!
//! ```text
//!   default  <  profile  <  file  <  MARGAY_* of the environment  <  --set and other flags
//! ```
//!
//! Every source gives texts by key; [`Layers`] keeps the last one with its [`Source`]; [`Config`] is what they
//! mean. A key that does not exist is refused, with the name that comes nearest, and a value out of range is
//! refused with the place where it stands. All [`Problems`] are found at once, whoever asks. There is no setting that
//! weakens durability.
//!
//! What all nodes must agree on is not here: it is committed in group 0.

mod cores;
mod file;
mod layers;
mod nearest;
mod problem;
mod profile;
mod setting;
mod source;
mod value;

pub use cores::Cores;
pub use layers::Layers;
pub(crate) use nearest::distance;
pub use problem::{Problem, Problems, Subject};
pub use setting::{Range, Restart, SETTINGS, Setting};
pub use source::Source;

use core::net::SocketAddr;
use std::path::PathBuf;

/// What a node is told. The texts beside each setting are in [`SETTINGS`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `data`: where everything that the node remembers lies.
    pub data: PathBuf,
    /// `listen`: the well-known address of the node.
    pub listen: SocketAddr,
    /// `shards.cores`: one shard per core.
    pub cores: Cores,
    /// `log.*`.
    pub log: LogConfig,
}

/// Settings of the log of each shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// `log.in_flight_writes`: durable writes under way at once.
    pub in_flight_writes: u64,
    /// `log.segment_bytes`: size of one segment file.
    pub segment_bytes: u64,
    /// `log.spares`: filled segments kept ready.
    pub spares: u64,
}

impl Config {
    /// What the layers mean.
    ///
    /// # Errors
    /// Everything that is wrong with any of them, each with the place where it stands.
    pub fn new(layers: &Layers) -> Result<Self, Problems> {
        let mut problems = layers.problems();
        let config = Self::read(layers, &mut problems);
        match (Problems::sorted(problems), config) {
            (None, Some(config)) => Ok(config),
            (None, None) => unreachable!("a setting without a value is a problem"),
            (Some(problems), _) => Err(problems),
        }
    }

    /// Looks at every setting before it gives up.
    fn read(layers: &Layers, problems: &mut Vec<Problem>) -> Option<Self> {
        let data = layers.value(&setting::DATA, value::path, problems);
        let listen = layers.value(&setting::LISTEN, value::address, problems);
        let cores = layers.value(&setting::CORES, Cores::parse, problems);
        let in_flight_writes = layers.value(&setting::IN_FLIGHT_WRITES, value::number, problems);
        let segment_bytes = layers.value(&setting::SEGMENT_BYTES, value::blocks, problems);
        let spares = layers.value(&setting::SPARES, value::number, problems);
        Some(Self {
            data: data?,
            listen: listen?,
            cores: cores?,
            log: LogConfig {
                in_flight_writes: in_flight_writes?,
                segment_bytes: segment_bytes?,
                spares: spares?,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codes::Code;

    #[test]
    fn the_defaults_and_a_directory_make_a_configuration() {
        let mut layers = Layers::new();
        layers.add_set("data=/data/n1");
        let config = Config::new(&layers).expect("nothing is wrong");
        assert_eq!(config.data, PathBuf::from("/data/n1"));
        assert_eq!(config.cores, Cores::Auto);
    }

    #[test]
    fn everything_that_is_wrong_is_found_at_once() {
        let mut layers = Layers::new();
        for assignment in [
            "log.spares=1",
            "listen=here",
            "spare=3",
            "log.segment_bytes",
        ] {
            layers.add_set(assignment);
        }
        let problems = Config::new(&layers).expect_err("four things are wrong, one is missing");
        let codes: Vec<Code> = problems.all().iter().map(|problem| problem.code).collect();
        let count = |code| codes.iter().filter(|found| **found == code).count();
        assert_eq!(count(Code::ValueRefused), 3, "{codes:?}");
        assert_eq!(count(Code::UnknownSetting), 1, "{codes:?}");
        assert_eq!(codes.last(), Some(&Code::ValueMissing));
    }

    #[test]
    fn a_value_that_another_stands_above_must_make_sense_all_the_same() {
        let mut layers = Layers::new();
        for assignment in ["data=/data/n1", "log.spares=1", "log.spares=2"] {
            layers.add_set(assignment);
        }
        let problems = Config::new(&layers).expect_err("the first of them is out of range");
        assert_eq!(problems.all().len(), 1);
    }
}
