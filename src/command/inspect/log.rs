//! `margay inspect log`: the batches and records of all logs of a node, in the order in which they were written.
//!
//! Records are read batch by batch and printed at once, so a log of any size takes little memory. What a start would
//! cut, and what is damaged, is shown where it stands; whether that matters is for `inspect verify` to say.

use super::super::Outcome;
use super::super::arguments::{Arguments, Globals};
use super::super::console::Console;
use super::Place;
use super::data_directory::{DataDirectory, LogDirectory};
use super::log_page::{BatchRow, LogHead, Page, RecordRow, Selection};
use super::manifest_view::{neither, unusable};
use super::read_only_disk::run;
use super::refusal::{demand_readable, unreadable};
use crate::codes::{Exit, Failure};
use crate::storage::log_manifest::LogManifest;
use crate::storage::recovery::outline::{BatchPlace, Fate, Outline, ReadBatch};
use crate::storage::recovery::window::Window;
use clap::error::ErrorKind;
use clap::{Args, CommandFactory};
use std::io::{self, BufWriter, Write, stderr, stdout};

/// Show what was written, batch by batch
#[derive(Args, Debug)]
pub(super) struct Log {
    #[command(flatten)]
    place: Place,

    /// Only records of this group
    #[arg(long, value_name = "ID")]
    group: Option<u32>,

    /// Only its records from this index on
    #[arg(long, value_name = "INDEX", requires = "group")]
    from: Option<u64>,

    /// Only its records up to this index
    #[arg(long, value_name = "INDEX", requires = "group")]
    to: Option<u64>,
}

/// Why a page ends before its end.
enum Broken {
    /// What is read.
    Failure(Failure),
    /// Where it goes.
    Output(io::Error),
}

impl From<Failure> for Broken {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

impl Log {
    pub(super) fn execute(&self, console: &Console, globals: &Globals) -> Outcome {
        if let (Some(from), Some(to)) = (self.from, self.to)
            && from > to
        {
            let text = format!("--from {from} lies behind --to {to}");
            // A reader who is gone needs no text.
            let _ = Arguments::command()
                .error(ErrorKind::ValueValidation, text)
                .print();
            return Ok(Exit::Usage);
        }
        let found = self.place.open(console, globals)?;
        match self.print(console, &found) {
            Ok(exit) => Ok(exit),
            Err(Broken::Failure(failure)) => Err(failure),
            // A reader that closed the pipe has seen enough.
            Err(Broken::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
                Ok(Exit::Done)
            }
            Err(Broken::Output(error)) => {
                // Nobody may take a part for the whole, however quiet it should be.
                let _ = writeln!(stderr(), "margay: standard output: {error}");
                Ok(Exit::Configuration)
            }
        }
    }

    fn print(&self, console: &Console, found: &DataDirectory) -> Result<Exit, Broken> {
        let selection = Selection {
            group: self.group,
            from: self.from,
            to: self.to,
        };
        let mut page = Page::new(BufWriter::new(stdout().lock()), console.output());
        page.begin(found, &selection)?;
        let mut exit = Exit::Done;
        for log in &found.logs {
            match &log.manifest.said {
                Ok(manifest) => print_log(found, (log, manifest), &selection, &mut page)?,
                Err(error) => {
                    page.unreadable_log(log.id, &neither(*error))?;
                    console.fail(&unusable(&log.path, Some(log.id), *error));
                    exit = Exit::ConditionFalse;
                }
            }
        }
        page.end()?;
        found.demand_unused()?;
        Ok(exit)
    }
}

fn print_log<W: Write>(
    found: &DataDirectory,
    (log, manifest): (&LogDirectory, &LogManifest),
    selection: &Selection,
    page: &mut Page<W>,
) -> Result<(), Broken> {
    let outline = run(Outline::take(&found.disk, &log.path, manifest));
    demand_readable(&found.disk)?;
    let outline = outline.map_err(|error| unreadable(&log.path, &error))?;
    page.begin_log(&LogHead::new(log, manifest, &outline))?;
    let mut window = Window::new(&found.disk, &log.path, manifest);
    for place in &outline.places {
        let read = run(place.read(&mut window));
        let records = read.as_ref().map(|read| rows(place, read));
        let mut records = records.unwrap_or_default();
        records.retain(|record| selection.takes(record));
        // What cannot be read may have been of any group.
        let may_hide = read.as_ref().is_none_or(|read| !read.directory_is_good);
        if selection.takes_all() || !records.is_empty() || may_hide {
            page.batch(&batch(place, read.as_ref()), &records)?;
        }
    }
    page.end_log(outline.next_sequence)?;
    Ok(())
}

fn batch(place: &BatchPlace, read: Option<&ReadBatch>) -> BatchRow {
    let header = read.and_then(|read| read.header);
    BatchRow {
        batch: place.sequence,
        segment: place.extent.map(|extent| extent.segment.number),
        offset: place.extent.map(|extent| extent.offset),
        bytes: place.extent.map(|extent| extent.length),
        state: match (place.fate, read) {
            (Fate::Kept, _) => "whole",
            (Fate::Damaged, _) | (Fate::Lost, Some(_)) => "damaged",
            (Fate::Lost, None) => "lost",
            (Fate::Cut, _) => "cut",
        },
        epoch: header.map(|header| header.recovery_epoch),
        durable: header.map(|header| header.durable_sequence),
        reason: reason(place, read),
        witness: read.map(|read| read.witness.into()),
    }
}

/// What is wrong with the batch itself; its records say their own.
fn reason(place: &BatchPlace, read: Option<&ReadBatch>) -> Option<&'static str> {
    match (place.fate, read) {
        (Fate::Cut, _) => Some("never acknowledged"),
        (_, None) => Some("gone, and nothing tells what it held"),
        (_, Some(read)) if read.header.is_none() => {
            Some("its header is damaged, a later batch tells of its records")
        }
        (_, Some(read)) if !read.directory_is_good => Some("its directory is damaged"),
        (_, Some(_)) => None,
    }
}

/// Good and bad records in the order of their places.
fn rows(place: &BatchPlace, read: &ReadBatch) -> Vec<RecordRow> {
    let base = place.extent.map_or(0, |extent| extent.offset);
    let good = read.records.good.iter();
    let bad = read.records.bad.iter();
    let mut rows: Vec<RecordRow> = good
        .map(|record| RecordRow::good(base, record))
        .chain(bad.map(|bad| RecordRow::bad(base, bad)))
        .collect();
    rows.sort_by_key(|row| row.offset);
    rows
}
