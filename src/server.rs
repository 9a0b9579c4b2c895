//! The entry of a binary that is a Margay server with the whole command line.
//!
//! ```no_run
//! fn main() -> std::process::ExitCode {
//!     margay::Server::new().main()
//! }
//! ```

use crate::command;
use std::process::ExitCode;

/// A server binary: the command line, and the machines that its groups may run.
#[derive(Debug, Default)]
pub struct Server {}

impl Server {
    /// A server that brings no machine yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Does what the arguments of the process say, and tells how it went.
    #[must_use]
    pub fn main(self) -> ExitCode {
        command::main(std::env::args_os()).into()
    }
}
