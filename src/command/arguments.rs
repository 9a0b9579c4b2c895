//! What people type: global options and verbs.

use super::argument_value;
use super::bootstrap::Bootstrap;
use super::check::Check;
use super::config::Config;
use super::dev::Dev;
use super::endpoint::Endpoint;
use super::explain::Explain;
use super::format::Format;
use super::group::Group;
use super::health::Health;
use super::inspect::Inspect;
use super::keyspace::Keyspace;
use super::node::Node;
use super::run::Run;
use super::status::Status;
use super::version::version;
use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;
use std::time::Duration;

/// A replicated state machine server for bare-metal Linux.
#[derive(Debug, Parser)]
#[command(name = "margay", version = version(), disable_help_subcommand = true)]
pub(super) struct Arguments {
    #[command(flatten)]
    pub(super) globals: Globals,
    #[command(subcommand)]
    pub(super) verb: Verb,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    Format(Format),
    Run(Run),
    Dev(Dev),
    Bootstrap(Bootstrap),
    Keyspace(Keyspace),
    Status(Status),
    Health(Health),
    Node(Node),
    Group(Group),
    Config(Config),
    Check(Check),
    Explain(Explain),
    Inspect(Inspect),
}

impl Verb {
    /// Does the verb read the configuration of a node? One that does not would leave `--config` without effect, and
    /// whoever gives it without knowing.
    const fn reads_file(&self) -> bool {
        match self {
            Self::Format(_) | Self::Run(_) | Self::Dev(_) | Self::Check(_) | Self::Inspect(_) => {
                true
            }
            Self::Config(config) => config.reads_file(),
            Self::Bootstrap(_)
            | Self::Keyspace(_)
            | Self::Status(_)
            | Self::Health(_)
            | Self::Node(_)
            | Self::Group(_)
            | Self::Explain(_) => false,
        }
    }

    /// Demands that `--config` is given only to verbs that read it.
    ///
    /// # Errors
    /// A refusal of the command line that names the verbs to which it belongs.
    pub(super) fn demand_no_file(&self, globals: &Globals) -> Result<(), clap::Error> {
        match &globals.config {
            Some(path) if !self.reads_file() => {
                let text = format!(
                    "this verb reads no configuration, so `--config {}` would do nothing\n\n  \
                     It belongs to: format, run, dev, inspect, check config, config show",
                    path.display()
                );
                Err(Arguments::command().error(ErrorKind::ArgumentConflict, text))
            }
            Some(_) | None => Ok(()),
        }
    }
}

/// Options that every verb takes.
#[derive(Args, Debug)]
#[command(next_help_heading = "Options of every verb")]
pub(super) struct Globals {
    /// Configuration of this node, for verbs that read it
    #[arg(short, long, global = true, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,

    /// Nodes to ask
    #[arg(
        short,
        long,
        global = true,
        value_name = "HOST:PORT,..",
        value_delimiter = ','
    )]
    #[arg(
        env = "MARGAY_ENDPOINTS",
        hide_env_values = true,
        default_value = "127.0.0.1:7400"
    )]
    pub(super) endpoints: Vec<Endpoint>,

    /// Form of results
    #[arg(
        short,
        long,
        global = true,
        value_enum,
        value_name = "FORM",
        default_value_t = Output::Table
    )]
    pub(super) output: Output,

    /// How long to wait for the cluster
    #[arg(long, global = true, value_name = "TIME", default_value = "5s")]
    #[arg(value_parser = argument_value::time)]
    pub(super) timeout: Duration,

    /// Print results and errors only
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(super) quiet: bool,

    /// Print what happens on the way, and where settings come from
    #[arg(short, long, global = true)]
    pub(super) verbose: bool,

    /// The process to end with, whoever started this one
    #[arg(long, global = true, hide = true, value_name = "PROCESS")]
    pub(super) parent: Option<i32>,

    /// Colours
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value_t = Color::Auto)]
    pub(super) color: Color,
}

impl Globals {
    /// The nodes to ask, by name.
    pub(super) fn addresses(&self) -> Vec<String> {
        self.endpoints.iter().map(Endpoint::to_string).collect()
    }
}

/// Form of what is printed: a table for people, or one object for programs.
///
/// Its values have no texts of their own: clap would print the help of every option over several lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Output {
    Table,
    Json,
}

/// When messages are coloured. `Auto` is on a terminal, unless `NO_COLOR` is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Color {
    Auto,
    Always,
    Never,
}
