//! The command line of a binary with Margay in it: one file per verb.
//!
//! ```text
//!   arguments ──> verb ──> exit code
//!                  │
//!                  ├─ format, run, ...   this machine: data directory, configuration, server
//!                  ├─ inspect            files of a node that does not run; nothing is written
//!                  ├─ explain            nothing at all: what the binary knows
//!                  └─ bootstrap, ...     a cluster: asks nodes over the network and prints
//! ```
//!
//! A verb returns what happened as a value; this file prints failures and turns them into exit codes, in one
//! place. A verb that does nothing yet does not exist.

mod argument_value;
mod arguments;
mod bootstrap;
mod check;
mod config;
mod console;
mod data_directory;
mod dev;
mod dev_folder;
mod dev_nodes;
mod effect_chains;
mod endpoint;
mod explain;
mod format;
mod group;
mod group_overview;
mod group_show;
mod health;
mod identity;
mod inspect;
mod keyspace;
mod logging;
mod node;
mod operator_failure;
mod overview;
#[cfg(test)]
mod overview_samples;
mod parent;
mod reason;
mod run;
mod runtime_failure;
mod settings;
mod status;
mod survey;
mod version;

use crate::codes::{Exit, Failure};
use arguments::{Arguments, Globals, Verb};
use clap::Parser;
use console::Console;
use std::ffi::OsString;

pub(crate) use run::{Serve, Start};

/// Does what the command line says: the first argument is the name of the program. `serve` runs the shards.
pub(crate) fn main(arguments: impl IntoIterator<Item = OsString>, serve: &Serve<'_>) -> Exit {
    let Arguments { globals, verb } = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(refusal) => return refuse(&refusal),
    };
    if let Err(refusal) = verb.demand_no_file(&globals) {
        return refuse(&refusal);
    }
    let console = Console::new(&globals);
    let outcome = execute(&console, &globals, verb, serve);
    match outcome {
        Ok(exit) => exit,
        Err(failure) => {
            console.fail(&failure);
            failure.exit()
        }
    }
}

fn execute(console: &Console, globals: &Globals, verb: Verb, serve: &Serve<'_>) -> Outcome {
    if let Some(parent) = globals.parent {
        parent::end_with(parent)?;
    }
    match verb {
        Verb::Format(format) => format.execute(console, globals),
        Verb::Run(run) => run.execute(console, globals, serve),
        Verb::Dev(dev) => dev.execute(console, globals),
        Verb::Bootstrap(bootstrap) => bootstrap.execute(console, globals),
        Verb::Keyspace(keyspace) => keyspace.execute(console, globals),
        Verb::Status(status) => status.execute(console, globals),
        Verb::Health(health) => health.execute(console, globals),
        Verb::Node(node) => node.execute(console, globals),
        Verb::Group(group) => group.execute(console, globals),
        Verb::Config(config) => config.execute(console, globals),
        Verb::Check(check) => check.execute(console, globals),
        Verb::Explain(explain) => explain.execute(console),
        Verb::Inspect(inspect) => inspect.execute(console, globals),
    }
}

/// What a verb comes to.
type Outcome = Result<Exit, Failure>;

/// Prints help, version or what is wrong with the arguments.
fn refuse(refusal: &clap::Error) -> Exit {
    // A reader who is gone needs no text.
    let _ = refusal.print();
    if refusal.exit_code() == 0 {
        Exit::Done
    } else {
        Exit::Usage
    }
}
