//! Where things are printed: results to standard output; progress there too for people, and beside it
//! when the result is an object for programs.

use crate::failure::Failure;
use crate::options::Output;
use std::io::{Write, stderr, stdout};

/// The terminal or the pipes behind a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Console {
    output: Output,
}

impl Console {
    pub(crate) const fn new(output: Output) -> Self {
        Self { output }
    }

    pub(crate) const fn output(self) -> Output {
        self.output
    }

    /// One stage is over. A reader that closed the pipe has seen enough, so failures are left alone.
    pub(crate) fn stage(self, line: &str) {
        let _ = match self.output {
            Output::Table => writeln!(stdout(), "{line}"),
            Output::Json => writeln!(stderr(), "{line}"),
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
