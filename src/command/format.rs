//! `margay format`: makes a blank node out of an empty directory.
//!
//! The node incarnation is drawn here. It names this directory for ever: a node that lost its disk is formatted
//! anew, is another one, and can never vote with what the old one promised.

use super::Outcome;
use super::arguments::Globals;
use super::console::Console;
use super::data_directory::{
    LOCK_FILE, MANIFEST_FILES, UNFINISHED_FILE, demand_direct_io, demand_empty, failed,
};
use super::identity;
use super::runtime_failure::runtime_failure;
use super::settings;
use crate::codes::{Exit, Failure};
use crate::runtime::DirectoryLock;
use clap::Args;
use margay_types::Incarnation;
use rustix::rand::{GetRandomFlags, getrandom};
use serde::Serialize;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

/// Make a blank data directory
#[derive(Args, Debug)]
pub(super) struct Format {
    /// Directory to make or fill; it must be empty
    #[arg(long, value_name = "DIR")]
    data: Option<String>,
}

/// What was made.
#[derive(Serialize)]
struct Report {
    schema: u32,
    directory: String,
    incarnation: String,
}

impl Format {
    pub(super) fn execute(&self, console: &Console, globals: &Globals) -> Outcome {
        let mut layers = settings::ambient(globals, None);
        if let Some(data) = &self.data {
            layers.add_flag("data", data.clone(), "--data");
        }
        let directory = settings::resolve(console, &layers)?.data;
        let incarnation = format(&directory)?;
        let report = Report {
            schema: 1,
            directory: directory.display().to_string(),
            incarnation: incarnation.to_string(),
        };
        console.result(&report, |report| {
            format!(
                "formatted {} as node incarnation {}",
                report.directory, report.incarnation
            )
        });
        Ok(Exit::Done)
    }
}

fn format(directory: &Path) -> Result<Incarnation, Failure> {
    demand_empty(directory)?;
    let _lock = DirectoryLock::acquire(directory).map_err(runtime_failure)?;
    demand_direct_io(&directory.join(LOCK_FILE))?;
    let incarnation = draw().map_err(|error| failed(directory, &error))?;
    let bytes = identity::blank(incarnation);
    // A copy that has its name is whole: whatever interrupts this, the directory is blank or a node's.
    let unfinished = directory.join(UNFINISHED_FILE);
    for name in MANIFEST_FILES {
        let path = directory.join(name);
        write_durable(&unfinished, &bytes)
            .and_then(|()| fs::rename(&unfinished, &path))
            .map_err(|error| failed(&path, &error))?;
    }
    File::open(directory)
        .and_then(|folder| folder.sync_all())
        .map_err(|error| failed(directory, &error))?;
    Ok(incarnation)
}

fn draw() -> io::Result<Incarnation> {
    let mut bytes = [0; 16];
    let count = getrandom(&mut bytes[..], GetRandomFlags::empty())?;
    assert_eq!(
        count,
        bytes.len(),
        "the kernel gives 16 random bytes at once"
    );
    Ok(Incarnation::new(bytes))
}

fn write_durable(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}
