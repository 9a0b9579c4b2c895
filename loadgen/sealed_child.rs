//! A program that cannot outlive the generator.
//!
//! A spawned server must end with the generator, even when that is killed outright. The kernel does so
//! for a process that asks; it keeps the wish over `exec`. So the generator starts itself, as this hidden
//! verb, which asks and then becomes the server: no `unsafe`, and no window in which nobody asked.

use crate::failure::{Exit, Failure};
use clap::Args;
use rustix::process::{Pid, Signal, getpid, getppid, set_parent_process_death_signal};
use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

/// Become a program that ends with its parent
#[derive(Args, Debug)]
pub(crate) struct SealedChild {
    /// Who must live
    #[arg(long)]
    parent: i32,

    /// The program and its arguments
    #[arg(last = true, required = true)]
    program: Vec<OsString>,
}

impl SealedChild {
    /// Becomes the program; says why when it could not.
    pub(crate) fn become_program(&self) -> Failure {
        let Some((program, arguments)) = self.program.split_first() else {
            return Failure::new(Exit::Configuration, "no program is named");
        };
        if let Err(error) = set_parent_process_death_signal(Some(Signal::KILL)) {
            return Failure::of_io("tie a process to its parent", &error.into());
        }
        // A parent that ended before the wish was known is not noticed any more.
        if getppid() != Pid::from_raw(self.parent) {
            return Failure::new(Exit::NotReached, "the parent has ended");
        }
        let error = Command::new(program).args(arguments).exec();
        Failure::of_path("start", Path::new(program), &error)
    }
}

/// A command that runs `program` and ends with this process.
///
/// The kernel ties the child to the *thread* that starts it: call this on the main thread.
pub(crate) fn sealed(program: &Path) -> io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    let parent = getpid().as_raw_nonzero().to_string();
    command
        .args(["sealed-child", "--parent", &parent, "--"])
        .arg(program)
        // Ctrl-C is for the generator, which ends its children in its own order.
        .process_group(0);
    Ok(command)
}
