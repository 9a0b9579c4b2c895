//! `loadgen run`: from a cluster to a report.
//!
//! ```text
//!   floor ──> cluster ready ──> totals before ──> worker ──> totals after ──> replicas agree ──> report
//! ```
//!
//! Whatever fails on the way, what was started for the run is removed: the cluster ends where it is dropped.

use crate::agreement::{Agreed, agree, hex};
use crate::cluster::{self, Cluster, NodeFacts};
use crate::console::Console;
use crate::directory::{Directory, wall_time};
use crate::facts::Host;
use crate::failure::{Exit, Failure};
use crate::floor::{FloorLine, measure_line};
use crate::load::Load;
use crate::options::{Output, Run};
use crate::processes::Processes;
use crate::rate::Rate;
use crate::report::{
    Checked, Floor, Generator, Margay, Operation, Operations, PerSecond, Report, SCHEMA, Shape,
    Topology,
};
use crate::report_text;
use crate::stop::Stop;
use crate::worker::{Tallied, Worker};
use crate::workload::Kind;
use margay_client::blocking::Client;
use margay_client::clock::now_ns;
use margay_machine::{Decode, Encode, Query};
use margay_resources::bench::{Bench, GrandTotal, Total};
use margay_types::GroupId;
use margay_wire::client::QueryLevel;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

/// The longest that one question takes, apart from the load.
const ASK_TIME: Duration = Duration::from_secs(5);

/// Runs, and prints as it goes.
pub(crate) fn run(options: &Run) -> Result<(), Failure> {
    let console = Console::new(options.output);
    let stop = Stop::on_signals()?;
    let out = Directory::of(options)?;
    let (cluster, facts, floor) = prepare(options, console, &stop)?;
    let host = Host::of(cluster.directory());
    let is_checked = options.is_checked();
    let before = totals(&cluster, is_checked)?;
    let mut worker = Worker::open(&cluster, options, console, &stop)?;
    worker.warm_up()?;
    let started = wall_time();
    let load = worker.measure(&cluster)?;
    let mut tallied = worker.finish()?;
    let check = if is_checked {
        let after = totals(&cluster, true)?;
        Some(judge(&cluster, &mut tallied, (&before, &after), &stop)?)
    } else {
        None
    };
    let report = report(options, &cluster, (facts, host, floor), &load, check);
    if let Some(out) = &out {
        out.keep(&report, &load.recorder, started)?;
    }
    show(console, &report, out.as_ref().map(Directory::path));
    demand_valid(&report)
}

/// What was measured is told either way; a script must not take it for what the cluster can do.
fn demand_valid(report: &Report) -> Result<(), Failure> {
    match &report.generator {
        Some(generator) if !generator.valid => {
            let late = format!("by {:.0} us (p99)", generator.late_us_p99);
            let title = "the run is invalid: the generator itself was late";
            Err(Failure::new(Exit::Invalid, title)
                .with("late", late)
                .remedy("offer less by --rate, or give the generator a core of its own"))
        }
        Some(_) | None => Ok(()),
    }
}

/// A cluster that is ready, with its stages told.
fn prepare(
    options: &Run,
    console: Console,
    stop: &Stop,
) -> Result<(Cluster, NodeFacts, Option<FloorLine>), Failure> {
    let Some(nodes) = options.nodes_to_spawn() else {
        let started_ns = now_ns();
        let cluster = Cluster::join(options, stop)?;
        let facts = cluster.node_facts();
        let host = Host::of(None);
        console.stage(&report_text::head(&Margay::parse(&facts.version), &host));
        cluster::announce(console, &cluster, &facts, since(started_ns));
        return Ok((cluster, facts, None));
    };
    let processes = Processes::prepare(nodes)?;
    let host = Host::of(Some(processes.directory()));
    let version = processes.version().unwrap_or_default();
    console.stage(&report_text::head(&Margay::parse(&version), &host));
    // Before the nodes start, so that they do not share the disk with the measurement.
    let floor = measure_line(processes.directory())?;
    let started_ns = now_ns();
    let cluster = Cluster::spawn(processes, options, stop)?;
    let facts = cluster.node_facts();
    cluster::announce(console, &cluster, &facts, since(started_ns));
    console.stage(&report_text::floor(floor));
    console.stage(&report_text::note(&host));
    Ok((cluster, facts, Some(floor)))
}

fn since(started_ns: u64) -> Duration {
    Duration::from_nanos(now_ns().saturating_sub(started_ns))
}

/// The total of every group; nothing when nobody needs them.
fn totals(cluster: &Cluster, is_checked: bool) -> Result<BTreeMap<GroupId, u64>, Failure> {
    let mut totals = BTreeMap::new();
    if !is_checked {
        return Ok(totals);
    }
    let failed = |error| Failure::of_client("read the totals", &error);
    let options = margay_client::Options::default();
    let mut client = Client::connect(cluster.endpoints(), options, ASK_TIME).map_err(failed)?;
    let mut question = Vec::new();
    Total {}.encode(&mut question);
    for group in cluster.groups() {
        let operation = <Total as Query<Bench>>::OPERATION;
        let reply = client
            .query(
                (*group, None),
                operation,
                QueryLevel::Linearizable,
                &question,
            )
            .map_err(failed)?;
        let total = GrandTotal::decode(&reply.bytes)
            .map_err(|error| failed(margay_client::ClientError::BadAnswer(error.to_string())))?;
        totals.insert(*group, total.total.get());
    }
    Ok(totals)
}

/// The rules that are left when everything was answered.
fn judge(
    cluster: &Cluster,
    tallied: &mut Tallied,
    (before, after): (&BTreeMap<GroupId, u64>, &BTreeMap<GroupId, u64>),
    stop: &Stop,
) -> Result<Checked, Failure> {
    for (group, total) in after {
        let before = before.get(group).copied().unwrap_or_default();
        let counted = tallied.counted.get(group).copied().unwrap_or_default();
        tallied.check.on_sum(*group, (before, *total), counted);
    }
    tallied.check.verdict()?;
    let agreed: Agreed = agree(cluster, &tallied.seen, stop).map_err(|failure| {
        // A node that has ended explains best why its replica does not answer.
        let ended = cluster.processes().map(Processes::check_alive);
        match ended {
            Some(Err(ended)) => {
                let ended = ended.to_string();
                failure.with("because", ended.trim_start_matches("loadgen: "))
            }
            Some(Ok(())) | None => failure,
        }
    })?;
    Ok(Checked {
        commands: tallied.counted.values().sum(),
        applied_exactly_once: true,
        replicas_agree: true,
        index: agreed.index.number(),
        replicas: agreed.replicas,
        effect_chain: hex(&agreed.hash),
        repeated: tallied.check.repeats_compared(),
    })
}

fn report(
    options: &Run,
    cluster: &Cluster,
    (facts, host, floor): (NodeFacts, Host, Option<FloorLine>),
    load: &Load,
    check: Option<Checked>,
) -> Report {
    let operations = operations(options, load);
    let count = operations.count();
    let per_operation = |cpu: Option<Duration>| {
        let cpu = cpu.filter(|_| count > 0)?;
        Some(cpu.as_secs_f64() * 1e6 / count as f64)
    };
    Report {
        schema: SCHEMA,
        margay: Margay::parse(&facts.version),
        host,
        cluster: topology(cluster, &facts),
        workload: shape(options),
        server_cpu_us_per_operation: per_operation(load.server_cpu),
        client_cpu_us_per_operation: per_operation(load.client_cpu),
        server_rss_bytes_max: load.server_resident_bytes_max,
        log_bytes_per_operation: load
            .server_written_bytes
            .filter(|_| count > 0)
            .map(|bytes| bytes as f64 / count as f64),
        floor: floor.map(|floor| Floor {
            sync_write_us_p50: floor.sync_write_us_p50,
            round_trip_us_p50: floor.round_trip_us_p50,
        }),
        durable: facts.durable,
        check,
        generator: load
            .punctuality
            .map(|punctuality| Generator::new(punctuality, load.refused_count, &operations)),
        operations,
        per_second: load
            .recorder
            .seconds()
            .iter()
            .copied()
            .map(PerSecond::from)
            .collect(),
    }
}

fn topology(cluster: &Cluster, facts: &NodeFacts) -> Topology {
    Topology {
        spawned: cluster.processes().is_some(),
        nodes: cluster.map().nodes.len(),
        shards: facts.shards,
        groups: cluster.groups().len(),
        machine: cluster::MACHINE,
    }
}

fn operations(options: &Run, load: &Load) -> Operations {
    let operation =
        |kind, errors| Operation::new(load.recorder.latencies(kind), errors, load.elapsed_s);
    Operations {
        write: (options.reads < 1.0).then(|| operation(Kind::Write, load.errors.writes)),
        read: (options.reads > 0.0).then(|| operation(Kind::Read, load.errors.reads)),
    }
}

fn shape(options: &Run) -> Shape {
    Shape {
        clients: options.clients,
        in_flight: options.in_flight,
        size_bytes: options.size,
        reads: options.reads,
        level: options.level().name(),
        read_from: options.readers().name(),
        rate_per_s: options.rate.map(Rate::per_s),
        arrival: options.rate.map(|_| options.arrival().name()),
        warmup_s: options.warmup.as_secs_f64(),
        duration_s: options.duration.as_secs_f64(),
    }
}

fn show(console: Console, report: &Report, directory: Option<&Path>) {
    console.stage(&report_text::table(report));
    if let Some(generator) = &report.generator {
        console.stage(&report_text::generator(generator, &report.workload));
    }
    if let Some(check) = &report.check {
        console.stage(&report_text::checked(check));
    }
    console.stage(&report_text::durable(report, directory));
    if console.output() == Output::Json {
        console.result(&report.json());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::report;

    fn late(valid: bool) -> Report {
        let generator = Generator {
            late_us_p99: 812.4,
            valid,
            late_count: 7,
            waited_count: 0,
            unsent_count: 0,
            refused_count: 0,
        };
        Report {
            generator: Some(generator),
            ..report()
        }
    }

    #[test]
    fn a_run_whose_generator_was_late_ends_with_a_code_of_its_own() {
        let failure = demand_valid(&late(false)).expect_err("its numbers are the generator's too");
        assert_eq!(failure.exit().number(), 11);
        assert!(failure.to_string().contains("by 812 us"), "{failure}");
        assert_eq!(demand_valid(&late(true)), Ok(()));
        assert_eq!(
            demand_valid(&report()),
            Ok(()),
            "a closed loop has no schedule"
        );
    }
}
