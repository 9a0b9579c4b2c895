//! A process that cannot outlive whoever started it.
//!
//! Nodes that `dev` or the load generator starts must end with it, even when that is killed outright. The kernel
//! does so for a process that asks. It watches the *thread* that started the process, so that has to be one that
//! lives as long as its process: the main one.

use crate::codes::{Code, Failure};
use rustix::process::{Pid, Signal, getpid, getppid, set_parent_process_death_signal};
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Asks the kernel to end this process with `parent`.
///
/// # Errors
/// When the kernel refuses, or `parent` is not the parent, because it has ended already.
pub(super) fn end_with(parent: i32) -> Result<(), Failure> {
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(|error| {
        Failure::new(Code::KernelRefused)
            .with("call", "tie a process to its parent")
            .with("reason", error)
    })?;
    // A parent that ended before the wish was known is not noticed any more.
    if getppid() == Pid::from_raw(parent) {
        return Ok(());
    }
    Err(Failure::new(Code::ParentEnded).with("parent", parent))
}

/// A command that runs this very program with these arguments, and ends with this process. Call it on the main
/// thread.
///
/// # Errors
/// When the kernel does not tell which program this is.
pub(super) fn own_program(arguments: &[&str]) -> io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command
        .arg("--parent")
        .arg(getpid().as_raw_nonzero().to_string())
        .args(arguments)
        // Ctrl-C is for the parent, which ends its children in its own order.
        .process_group(0);
    Ok(command)
}
