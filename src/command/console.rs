//! Where verbs print: results to standard output, everything else to standard error.

use super::arguments::{Color, Globals, Output};
use crate::codes::Failure;
use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;
use std::io::{IsTerminal, Write, stderr, stdout};

const RED: &str = "\x1b[1;31m";
const PLAIN: &str = "\x1b[0m";

/// The terminal or pipes behind a command.
#[derive(Clone, Copy, Debug)]
pub(super) struct Console {
    output: Output,
    is_coloured: bool,
    is_quiet: bool,
    is_verbose: bool,
}

impl Console {
    pub(super) fn new(globals: &Globals) -> Self {
        let is_coloured = match globals.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none(),
        };
        Self {
            output: globals.output,
            is_coloured,
            is_quiet: globals.quiet,
            is_verbose: globals.verbose,
        }
    }

    /// The form of results, for those that are printed piece by piece.
    pub(super) fn output(&self) -> Output {
        self.output
    }

    /// Prints a result: the object for programs, or the text for people.
    pub(super) fn result<T: Serialize>(&self, object: &T, text: impl FnOnce(&T) -> String) {
        let line = match self.output {
            Output::Json => serde_json::to_string(object).expect("reports have keys of text"),
            Output::Table => text(object),
        };
        // A reader that closed the pipe has seen enough.
        let _ = writeln!(stdout(), "{line}");
    }

    /// Tells how things go.
    pub(super) fn note(&self, text: &str) {
        if !self.is_quiet {
            let _ = writeln!(stderr(), "{text}");
        }
    }

    /// Tells what only those want to know who asked for more.
    pub(super) fn detail(&self, text: &str) {
        if self.is_verbose {
            let _ = writeln!(stderr(), "{text}");
        }
    }

    /// Prints why a verb gave up.
    pub(super) fn fail(&self, failure: &Failure) {
        let mut text = failure.to_string();
        if self.is_coloured {
            let code = failure.code().to_string();
            text = text.replacen(&code, &format!("{RED}{code}{PLAIN}"), 1);
        }
        let _ = writeln!(stderr(), "{text}");
    }
}

/// Rows below a header, in columns.
pub(super) fn table(header: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.set_header(header);
    aligned(table, rows)
}

/// Rows alone, in columns.
pub(super) fn columns(rows: impl Iterator<Item = Vec<String>>) -> String {
    aligned(Table::new(), rows)
}

fn aligned(mut table: Table, rows: impl Iterator<Item = Vec<String>>) -> String {
    table.load_style(presets::NOTHING).add_rows(rows);
    // The library pads every cell; the first column stands at the margin.
    let lines: Vec<String> = table
        .lines()
        .map(|line| {
            line.strip_prefix(' ')
                .unwrap_or(&line)
                .trim_end()
                .to_owned()
        })
        .collect();
    lines.join("\n")
}

/// As wide as the narrowest console that somebody on call may sit at.
const PAGE_COLUMNS: u16 = 80;

/// Texts beside their names, broken to the width of a page.
pub(super) fn paragraphs(texts: &[(&str, &str)]) -> String {
    let mut table = Table::new();
    table
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(PAGE_COLUMNS);
    let rows = texts.iter().map(|(name, text)| [*name, *text]);
    aligned(table, rows.map(|row| row.map(str::to_owned).to_vec()))
}

#[cfg(test)]
mod tests {
    use super::table;

    #[test]
    fn columns_stand_under_their_header_and_at_the_margin() {
        let rows = [["a", "1"], ["long", "2"]].map(|row| row.map(str::to_owned).to_vec());
        let text = table(&["NAME", "N"], rows.into_iter());
        assert_eq!(text, "NAME  N\na     1\nlong  2");
    }
}
