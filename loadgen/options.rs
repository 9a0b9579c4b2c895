//! What people type: verbs, options, and which of them contradict each other.

use crate::rate::{Arrival, Rate};
use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum, value_parser};
use margay_client::ReadFrom;
use margay_resources::bench::SEQUENCE_BYTES;
use margay_wire::client::QueryLevel;
use std::path::PathBuf;
use std::time::Duration;

/// Nodes of a cluster that the generator starts when none is given.
const SPAWN_DEFAULT: u16 = 3;

/// Connections per shard, unless they are given.
const CONNECTIONS_DEFAULT_MAX: u16 = 8;

/// Largest payload: what a group takes, without the header of a command.
const SIZE_BYTES_MAX: i64 = (1 << 20) - 24;

/// What a process ends with: see `failure`.
const EXIT_CODES: &str = "\
Exit codes:
   0  done, and the run is valid
   2  the command line makes no sense
   3  this machine or this installation lacks what the run needs
   4  not reached or not answered in time, or stopped before the end
   5  refused by the cluster
   6  it may have happened or not
  10  the check failed: a command was lost or applied twice, or replicas differ
  11  the run is invalid: the generator itself was late, and the latencies show it too";

/// Drives a Margay cluster, checks every answer and shows how long they took.
#[derive(Debug, Parser)]
#[command(name = "loadgen", version, disable_help_subcommand = true, after_help = EXIT_CODES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    Run(Run),
    Floor(Floor),
}

/// Form of what is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people.
    Table,
    /// One object, for programs.
    Json,
}

/// How fresh the answers to reads must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Level {
    /// Sees everything that was completed before it was asked.
    Linearizable,
    /// The same; reads by lease, which may be faster, do not exist yet.
    Bounded,
    /// Sees the commands of its own session.
    Sequential,
    /// Never goes back behind what its session has seen.
    Causal,
}

impl Level {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Linearizable => "linearizable",
            Self::Bounded => "bounded",
            Self::Sequential => "sequential",
            Self::Causal => "causal",
        }
    }

    pub(crate) const fn query_level(self) -> QueryLevel {
        match self {
            Self::Linearizable => QueryLevel::Linearizable,
            Self::Bounded => QueryLevel::BoundedLinearizable,
            Self::Sequential => QueryLevel::Sequential,
            Self::Causal => QueryLevel::Causal,
        }
    }
}

/// Who is asked reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Readers {
    /// The leader of each group.
    Leader,
    /// The others.
    Followers,
    /// All members.
    Any,
}

impl Readers {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Leader => "leader",
            Self::Followers => "followers",
            Self::Any => "any",
        }
    }

    pub(crate) const fn read_from(self) -> ReadFrom {
        match self {
            Self::Leader => ReadFrom::Leader,
            Self::Followers => ReadFrom::Followers,
            Self::Any => ReadFrom::Any,
        }
    }
}

/// Drive a cluster, in a closed loop or at a given rate; starts one when no endpoint is given
#[derive(Args, Clone, Debug, PartialEq)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct Run {
    /// The cluster to drive, by any of its nodes
    #[arg(short, long, value_name = "HOST:PORT,..", value_delimiter = ',')]
    pub(crate) endpoints: Vec<String>,

    /// Nodes of the cluster to start for this run [default: 3]
    #[arg(long, value_name = "NODES", conflicts_with = "endpoints")]
    #[arg(value_parser = value_parser!(u16).range(1..=9))]
    spawn: Option<u16>,

    /// The keyspace to drive; made when there is none of this name
    #[arg(long, default_value = "bench")]
    pub(crate) keyspace: String,

    /// Groups of the keyspace that is made
    #[arg(long, default_value_t = 4, value_parser = value_parser!(u32).range(1..=16_383))]
    pub(crate) groups: u32,

    /// Bytes of each command
    #[arg(long, value_name = "BYTES", default_value_t = 256)]
    #[arg(value_parser = value_parser!(u32).range(SEQUENCE_BYTES as i64..=SIZE_BYTES_MAX))]
    pub(crate) size: u32,

    /// Clients: each is one session in one group
    #[arg(long, default_value_t = 64, value_parser = value_parser!(u32).range(1..=65_536))]
    pub(crate) clients: u32,

    /// Operations that each client has outstanding: always so many in a closed loop, at most so many with
    /// --rate. Sends that find every client full wait in the generator, and their latency counts from
    /// when they were meant to leave
    #[arg(long, default_value_t = 16, value_parser = value_parser!(u16).range(1..=1_024))]
    pub(crate) in_flight: u16,

    /// Connections to each shard, shared by the clients [default: clients, at most 8]
    #[arg(long, value_parser = value_parser!(u16).range(1..=4_096))]
    connections: Option<u16>,

    /// Operations per second, offered whatever the cluster does (open loop): 5000, 200k, 1.5M. Latency
    /// counts from when each was meant to leave. Without it clients issue when they were answered (closed
    /// loop)
    #[arg(long, value_name = "PER_SECOND")]
    pub(crate) rate: Option<Rate>,

    /// How the sends of --rate are spread over time [default: constant]
    #[arg(long, value_enum)]
    arrival: Option<Arrival>,

    /// How long a send of --rate may wait for a client that has room. After that it is not sent, and counted
    /// [default: however long]
    #[arg(long, value_name = "TIME", requires = "rate", value_parser = humantime::parse_duration)]
    pub(crate) patience: Option<Duration>,

    /// Share of reads, 0 to 1
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = share)]
    pub(crate) reads: f64,

    /// How fresh the answers to reads must be [default: linearizable]
    #[arg(long, value_enum, requires = "reads")]
    level: Option<Level>,

    /// Who is asked the reads: the group's leader, its followers in turn, or all members [default: leader]
    #[arg(long, value_enum, requires = "reads")]
    read_from: Option<Readers>,

    /// Time before the measured one
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = humantime::parse_duration)]
    pub(crate) warmup: Duration,

    /// Measured time
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = humantime::parse_duration)]
    pub(crate) duration: Duration,

    /// Fail unless every command was applied exactly once and all replicas agree; a cluster that is
    /// started for the run is always checked
    #[arg(long)]
    check: bool,

    /// Directory for the report
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,

    /// Form of what is printed
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    pub(crate) output: Output,
}

/// Measure what the disk and the network take by themselves
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Floor {
    /// Directory on the disk to measure [default: where temporary files are]
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,

    /// Form of what is printed
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    pub(crate) output: Output,
}

impl Run {
    /// Nodes to start; `None` when a cluster is given.
    pub(crate) fn nodes_to_spawn(&self) -> Option<u16> {
        self.endpoints
            .is_empty()
            .then(|| self.spawn.unwrap_or(SPAWN_DEFAULT))
    }

    /// Does a broken rule fail the run?
    pub(crate) fn is_checked(&self) -> bool {
        self.check || self.endpoints.is_empty()
    }

    /// Connections to each shard.
    pub(crate) fn connections(&self) -> u16 {
        let clients = u16::try_from(self.clients).unwrap_or(u16::MAX);
        self.connections
            .unwrap_or(clients.min(CONNECTIONS_DEFAULT_MAX))
    }

    /// How fresh the answers to reads must be.
    pub(crate) fn level(&self) -> Level {
        self.level.unwrap_or(Level::Linearizable)
    }

    /// Who is asked reads.
    pub(crate) fn readers(&self) -> Readers {
        self.read_from.unwrap_or(Readers::Leader)
    }

    /// How the sends of an open loop are spread.
    pub(crate) fn arrival(&self) -> Arrival {
        self.arrival.unwrap_or(Arrival::Constant)
    }

    /// Operations outstanding over all clients.
    pub(crate) fn outstanding(&self) -> usize {
        usize::from(self.in_flight) * usize::try_from(self.clients).unwrap_or(usize::MAX >> 16)
    }

    /// Ends the process with a usage error when options contradict each other.
    pub(crate) fn demand_sense(&self) {
        if let Err(text) = self.contradiction() {
            Arguments::command()
                .error(ErrorKind::ArgumentConflict, text)
                .exit();
        }
    }

    fn contradiction(&self) -> Result<(), &'static str> {
        if self.duration.is_zero() {
            return Err("--duration must be longer than nothing");
        }
        if self.level.is_some() && self.reads == 0.0 {
            return Err("--level is for reads, and --reads is 0");
        }
        if self.read_from.is_some() && self.reads == 0.0 {
            return Err("--read-from is for reads, and --reads is 0");
        }
        if self.readers() != Readers::Leader && self.level() == Level::Sequential {
            return Err("--level sequential is for the leader: it has the commands of the session");
        }
        if u32::from(self.connections()) > self.clients {
            return Err("--connections above --clients: a client has one connection");
        }
        if self.arrival.is_some() && self.rate.is_none() {
            return Err("--arrival spreads the sends of --rate, which is not given (--rate 5000)");
        }
        Ok(())
    }
}

fn share(text: &str) -> Result<f64, String> {
    let share: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (0.0..=1.0).contains(&share) {
        Ok(share)
    } else {
        Err("a share is between 0 and 1".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Exit;

    fn parse(text: &str) -> Result<Run, ErrorKind> {
        let words = ["loadgen", "run"]
            .into_iter()
            .chain(text.split_whitespace());
        match Arguments::try_parse_from(words)
            .map_err(|error| error.kind())?
            .verb
        {
            Verb::Run(run) => Ok(run),
            Verb::Floor(_) => unreachable!("`run` was typed"),
        }
    }

    #[test]
    fn without_an_endpoint_three_nodes_are_started_and_checked() {
        let run = parse("").expect("nothing is needed");
        assert_eq!(run.nodes_to_spawn(), Some(3));
        assert!(run.is_checked());
        assert_eq!((run.connections(), run.level()), (8, Level::Linearizable));
        let run = parse("-e n1:7400,n2:7400 --clients 3").expect("a cluster is given");
        assert_eq!((run.nodes_to_spawn(), run.endpoints.len()), (None, 2));
        assert!(!run.is_checked());
        assert_eq!(run.connections(), 3);
    }

    #[test]
    fn the_line_that_measures_the_bars_parses() {
        let line = "--size 256 --clients 64 --in-flight 16 --groups 1 --warmup 1s --duration 5s \
                    --check --out somewhere -o json";
        let run = parse(line).expect("it is an interface");
        assert_eq!((run.outstanding(), run.groups), (1_024, 1));
        assert_eq!(run.duration, Duration::from_secs(5));
        assert_eq!((run.output, run.contradiction()), (Output::Json, Ok(())));
    }

    #[test]
    fn what_is_unknown_or_out_of_range_is_a_usage_error() {
        assert_eq!(parse("--sise 3"), Err(ErrorKind::UnknownArgument));
        assert_eq!(parse("--size 7"), Err(ErrorKind::ValueValidation));
        assert_eq!(parse("--in-flight 1025"), Err(ErrorKind::ValueValidation));
        assert_eq!(parse("--reads 1.5"), Err(ErrorKind::ValueValidation));
        assert_eq!(parse("--reads NaN"), Err(ErrorKind::ValueValidation));
        assert_eq!(parse("--duration soon"), Err(ErrorKind::ValueValidation));
        for rate in ["0", "fast", "1.5", "-3", "200K"] {
            let refused = parse(&format!("--rate={rate}"));
            assert_eq!(refused, Err(ErrorKind::ValueValidation), "{rate}");
        }
        assert_eq!(
            parse("--rate 5k --arrival late"),
            Err(ErrorKind::InvalidValue)
        );
        assert_eq!(parse("-o xml"), Err(ErrorKind::InvalidValue));
    }

    #[test]
    fn the_help_tells_every_exit_code() {
        let help = Arguments::command().render_help().to_string();
        let all = [
            Exit::Configuration,
            Exit::NotReached,
            Exit::Refused,
            Exit::OutcomeUnknown,
            Exit::ConditionFalse,
            Exit::Invalid,
        ];
        for exit in all {
            let line = format!("\n  {:>2}  ", exit.number());
            assert!(help.contains(&line), "{exit:?} in {help}");
        }
    }

    #[test]
    fn options_that_contradict_each_other_are_a_usage_error() {
        let both = parse("-e n1:7400 --spawn 3");
        assert_eq!(both, Err(ErrorKind::ArgumentConflict));
        for text in [
            "--level causal",
            "--duration 0s",
            "--clients 2 --connections 3",
            "--arrival poisson",
        ] {
            let contradiction = parse(text).map(|run| run.contradiction());
            assert!(!matches!(contradiction, Ok(Ok(()))), "{text}");
        }
        let open = parse("--rate 1.5M --arrival poisson").expect("it makes sense");
        assert_eq!(open.contradiction(), Ok(()));
        assert_eq!(open.rate.map(Rate::per_s), Some(1_500_000));
        assert_eq!(open.arrival(), Arrival::Poisson);
        let reads = parse("--reads 0.5 --level causal").expect("it makes sense");
        assert_eq!(reads.contradiction(), Ok(()));
    }
}
