//! `margay inspect`: what lies in a data directory, while no server runs on it. Nothing is asked over the network,
//! and nothing is written: not a repair, not a lock, not a time stamp.
//!
//! ```text
//!   --data ──> data_directory: in use? whose? ──> manifest    who the node is, which files count
//!                     │                           log         what was written, batch by batch
//!              read_only_disk: storage's own      verify      what a start would make of it
//!                     code reads through it
//! ```
//!
//! A directory that a server runs on is refused (M110). Manifests and spare segments change in place, and a log grows
//! while it is read: what would be shown is not what ever was, and a view that calls a healthy node damaged is worse
//! than none. A running node tells its state itself (`margay status`). The check is made again when all was read, and
//! times and sizes of the files are compared, for a server in another container holds a lock that nobody sees here.

mod data_directory;
mod footprint;
mod log;
mod log_page;
mod manifest;
mod manifest_view;
mod read_only_disk;
mod refusal;
mod verdict;
mod verify;

use super::Outcome;
use super::arguments::Globals;
use super::console::Console;
use super::settings;
use crate::codes::Failure;
use clap::{Args, Subcommand};
use data_directory::DataDirectory;

/// Look at the files of a node that does not run; changes nothing
#[derive(Args, Debug)]
pub(super) struct Inspect {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Manifest(manifest::Manifest),
    Log(log::Log),
    Verify(verify::Verify),
}

/// Where to look.
#[derive(Args, Debug)]
struct Place {
    /// The node's data directory, or a copy of it
    #[arg(long, value_name = "DIR")]
    data: Option<String>,
}

impl Inspect {
    pub(super) fn execute(&self, console: &Console, globals: &Globals) -> Outcome {
        match &self.verb {
            Verb::Manifest(manifest) => manifest.execute(console, globals),
            Verb::Log(log) => log.execute(console, globals),
            Verb::Verify(verify) => verify.execute(console, globals),
        }
    }
}

impl Place {
    /// Opens the directory that the flag, the environment or the configuration names.
    fn open(&self, console: &Console, globals: &Globals) -> Result<DataDirectory, Failure> {
        let mut layers = settings::ambient(globals, None);
        if let Some(data) = &self.data {
            layers.add_flag("data", data.clone(), "--data");
        }
        let path = settings::resolve(console, &layers)?.data;
        DataDirectory::open(path, console)
    }
}
