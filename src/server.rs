//! The entry of a binary that is a Margay server with the whole command line.
//!
//! The stock binary brings the ready machines. A binary with machines of one's own is three lines:
//!
//! ```no_run
//! use margay_resources::bench::Bench;
//!
//! fn main() -> std::process::ExitCode {
//!     margay::Server::new().machine::<Bench>("mine").main()
//! }
//! ```

use crate::{command, service};
use margay_machine::{Operations, Registry};
use margay_resources::ready_machines;
use std::process::ExitCode;

/// A server binary: the command line, and the machines that its groups may run.
#[derive(Clone, Default)]
pub struct Server {
    machines: Registry,
}

impl Server {
    /// A server that brings no machine yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a machine, under the name that keyspaces know it by.
    ///
    /// # Panics
    /// When the name is taken: a mistake of whoever wrote the binary.
    #[must_use]
    pub fn machine<M: Operations>(self, name: &'static str) -> Self {
        Self {
            machines: self.machines.machine::<M>(name),
        }
    }

    /// Adds the machines that come with Margay.
    #[must_use]
    pub fn ready_machines(self) -> Self {
        Self {
            machines: ready_machines(self.machines),
        }
    }

    /// Does what the arguments of the process say, and tells how it went.
    #[must_use]
    pub fn main(self) -> ExitCode {
        command::main(std::env::args_os(), &|start| {
            service::run(&self.machines, start)
        })
        .into()
    }
}
