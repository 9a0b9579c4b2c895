//! The entry of a binary that is a Margay server with the whole command line.
//!
//! ```no_run
//! fn main() -> std::process::ExitCode {
//!     margay::Server::new().main()
//! }
//! ```

use crate::command::{self, Start};
use crate::runtime::{ExecutorConfig, RuntimeError, exit};
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
        command::main(std::env::args_os(), &|start| self.serve(start)).into()
    }

    /// Runs the shards of a node until it is asked to stop.
    #[expect(
        clippy::unused_self,
        reason = "the machines are handed on to the shards"
    )]
    fn serve(&self, start: Start) -> Result<u8, RuntimeError> {
        let Start { node, .. } = start;
        let message = format!(
            "no shard can be made for node incarnation {}",
            node.incarnation
        );
        let exit_code = exit::BUG;
        Err(RuntimeError::Core { message, exit_code })
    }
}
