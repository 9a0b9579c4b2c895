//! The `margay` binary: the server with the machines that come with Margay, and the operators' commands.

use std::process::ExitCode;

/// Many small buffers are made on one core and freed on it again: what this allocator is best at.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    margay::Server::new().ready_machines().main()
}
