//! The log lines of a server: written by a thread of their own, so that no shard ever waits for a terminal.
//!
//! Under a service manager each line is an object, for whoever collects them; on a terminal it is a line for people.

use super::arguments::Globals;
use std::io::{self, IsTerminal};
use tracing::level_filters::LevelFilter;
use tracing_appender::non_blocking::WorkerGuard;

/// Set by the service manager when it collects standard output or error.
const COLLECTED: &str = "JOURNAL_STREAM";

/// Starts to write log lines to standard error; the rest of them leaves when the guard is dropped.
pub(super) fn start(globals: &Globals) -> WorkerGuard {
    let (writer, guard) = tracing_appender::non_blocking(io::stderr());
    let lines = tracing_subscriber::fmt()
        .with_writer(writer)
        .with_max_level(level(globals))
        .with_target(false)
        .with_ansi(io::stderr().is_terminal());
    if std::env::var_os(COLLECTED).is_some() {
        lines.json().flatten_event(true).init();
    } else {
        lines.init();
    }
    guard
}

const fn level(globals: &Globals) -> LevelFilter {
    if globals.quiet {
        LevelFilter::WARN
    } else if globals.verbose {
        LevelFilter::DEBUG
    } else {
        LevelFilter::INFO
    }
}
