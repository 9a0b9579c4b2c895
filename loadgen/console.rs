//! Where things are printed: results to standard output; stages there too for people, and beside it
//! when the result is an object for programs.
//!
//! On a terminal one more line shows how it goes, and is written over. In a pipe there is none of it.

use crate::failure::Failure;
use crate::options::Output;
use std::io::{IsTerminal, Write, stderr, stdout};

/// To the start of the line, and everything on it away.
const CLEAR: &str = "\r\x1b[K";

/// The terminal or the pipes behind a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Console {
    output: Output,
    is_terminal: bool,
}

impl Console {
    pub(crate) fn new(output: Output) -> Self {
        let is_terminal = match output {
            Output::Table => stdout().is_terminal(),
            Output::Json => stderr().is_terminal(),
        };
        Self {
            output,
            is_terminal,
        }
    }

    pub(crate) const fn output(self) -> Output {
        self.output
    }

    /// One stage is over. A reader that closed the pipe has seen enough, so failures are left alone.
    pub(crate) fn stage(self, line: &str) {
        self.print(&format!("{line}\n"));
    }

    /// How it goes, over the line that said so before; on a terminal.
    pub(crate) fn progress(self, line: &str) {
        if self.is_terminal {
            self.print(&format!("{CLEAR}{line}"));
        }
    }

    /// The line of progress goes away.
    pub(crate) fn end_progress(self) {
        self.progress("");
    }

    fn print(self, text: &str) {
        let _ = match self.output {
            Output::Table => stdout()
                .write_all(text.as_bytes())
                .and_then(|()| stdout().flush()),
            Output::Json => stderr().write_all(text.as_bytes()),
        };
    }

    /// The result itself.
    pub(crate) fn result(self, text: &str) {
        let _ = writeln!(stdout(), "{text}");
    }
}

/// Prints why a run gave up.
pub(crate) fn complain(failure: &Failure) {
    let _ = writeln!(stderr(), "{failure}");
}
