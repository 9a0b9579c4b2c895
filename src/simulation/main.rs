//! Runs seeds of the simulator: `margay-simulation --seeds 1..1000`.

use clap::Parser;
#[cfg(feature = "mutants")]
use margay_simulation::finder;
use margay_simulation::run::{RunOptions, run};
use margay_simulation::trace::{Echo, Trace};
#[cfg(feature = "mutants")]
use margay_types::mutant::{self, Mutant};
#[cfg(feature = "mutants")]
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

/// Disks, logs and messages of whole clusters come and go in memory.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Whole clusters in virtual time, from a seed each.
#[derive(Debug, Parser)]
struct Arguments {
    /// One seed, or a range `A..B` without its end.
    #[arg(long, default_value = "1..201")]
    seeds: String,
    /// Nodes of each cluster; drawn from the seed when not given.
    #[arg(long)]
    nodes: Option<usize>,
    /// Virtual milliseconds in which anything may fail.
    #[arg(long, default_value_t = 20_000)]
    faulty_ms: u64,
    /// Nothing fails.
    #[arg(long)]
    calm: bool,
    /// Breaks this rule on purpose.
    #[cfg(feature = "mutants")]
    #[arg(long)]
    mutant: Option<String>,
    /// Tries seeds until one notices, for the mutant or for all; prints the lines of `tests/simulation/noticed.txt`.
    #[cfg(feature = "mutants")]
    #[arg(long)]
    find: bool,
    /// Shows what changes as it goes.
    #[arg(long)]
    trace: bool,
    /// Lines of the story that are shown after a failure.
    #[arg(long, default_value_t = 60)]
    lines: usize,
}

fn seeds_of(text: &str) -> Option<std::ops::Range<u64>> {
    match text.split_once("..") {
        Some((from, to)) => Some(from.parse().ok()?..to.parse().ok()?),
        None => {
            let seed: u64 = text.parse().ok()?;
            Some(seed..seed + 1)
        }
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let Some(seeds) = seeds_of(&arguments.seeds) else {
        eprintln!("seeds are one number, or A..B");
        return ExitCode::from(2);
    };
    #[cfg(feature = "mutants")]
    if let Some(name) = &arguments.mutant {
        let Some(mutant) = Mutant::named(name) else {
            eprintln!("mutants are {:?}", Mutant::ALL.map(Mutant::name));
            return ExitCode::from(2);
        };
        mutant::choose(Some(mutant));
    }
    #[cfg(feature = "mutants")]
    if arguments.find {
        return find(&arguments, &seeds);
    }
    let mut failed = Vec::new();
    for seed in seeds {
        let options = RunOptions {
            seed,
            node_count: arguments.nodes,
            shard_count: None,
            faulty_ns: arguments.faulty_ms * 1_000_000,
            has_faults: !arguments.calm,
            echo: if arguments.trace {
                Echo::Loud
            } else {
                Echo::Quiet
            },
        };
        let trace = Trace::new(options.echo);
        let outcome = catch_unwind(AssertUnwindSafe(|| run(&options, &trace)));
        match outcome {
            Ok(Ok(report)) => eprintln!("seed {seed}: {report:?}"),
            Ok(Err(what)) => {
                failed.push(seed);
                tell_failure(seed, &arguments, &trace, &what);
            }
            Err(_) => {
                failed.push(seed);
                tell_failure(seed, &arguments, &trace, "a panic, see above");
            }
        }
    }
    if failed.is_empty() {
        return ExitCode::SUCCESS;
    }
    eprintln!("failed: {failed:?}");
    ExitCode::FAILURE
}

/// Short runs before long ones, and more of them: what a short one notices costs a test less.
#[cfg(feature = "mutants")]
fn find(arguments: &Arguments, seeds: &std::ops::Range<u64>) -> ExitCode {
    const SHORT_MS: u64 = 2_000;
    const SHORT_PER_LONG: u64 = 5;
    std::panic::set_hook(Box::new(|_| {}));
    let is_wanted = |mutant: &Mutant| {
        let name = arguments.mutant.as_deref();
        name.is_none_or(|name| name == mutant.name())
    };
    let count = seeds.end.saturating_sub(seeds.start);
    let long = seeds.start..=seeds.start + count / SHORT_PER_LONG;
    let short = seeds.start..=seeds.end.saturating_sub(1);
    let lengths = [(SHORT_MS, short), (arguments.faulty_ms, long)];
    for mutant in Mutant::ALL.into_iter().filter(is_wanted) {
        let line = match finder::find(mutant, &lengths) {
            Some(noticed) => noticed.to_string(),
            None => format!("# {}: none of these seeds", mutant.name()),
        };
        if writeln!(std::io::stdout(), "{line}").is_err() {
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn tell_failure(seed: u64, arguments: &Arguments, trace: &Trace, what: &str) {
    for line in trace.last_lines(arguments.lines) {
        eprintln!("  {line}");
    }
    let nodes = arguments
        .nodes
        .map_or_else(String::new, |count| format!(" --nodes {count}"));
    let calm = if arguments.calm { " --calm" } else { "" };
    eprintln!(
        "seed {seed} FAILED: {what}\nrepeat: cargo run --release -p margay-simulation -- --seeds {seed}{nodes}{calm} \
         --faulty-ms {} --trace",
        arguments.faulty_ms
    );
}
