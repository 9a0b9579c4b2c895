//! The report of a run: one object, `run.json` and `-o json`. Its keys are an interface: they are only ever
//! added, and one that cannot be filled is absent.

use crate::facts::Host;
use crate::histogram::{Latencies, Second};
use crate::lateness::Punctuality;
use serde::Serialize;

/// Version of the layout.
pub(crate) const SCHEMA: u32 = 1;

/// The whole report.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) schema: u32,
    pub(crate) margay: Margay,
    pub(crate) host: Host,
    pub(crate) cluster: Topology,
    pub(crate) workload: Shape,
    pub(crate) operations: Operations,
    /// User and system time of all nodes, for each operation of the measured time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) server_cpu_us_per_operation: Option<f64>,
    /// The same of the generator.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) client_cpu_us_per_operation: Option<f64>,
    /// Of the node that had the most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) server_rss_bytes_max: Option<u64>,
    /// What all nodes that were started for the run gave to their disks, for each operation of the measured time: the
    /// log on every member, checkpoints, and the filling of spare segments.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) log_bytes_per_operation: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) floor: Option<Floor>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) durable: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) check: Option<Checked>,
    /// Of an open loop.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) generator: Option<Generator>,
    pub(crate) per_second: Vec<PerSecond>,
}

/// Which server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Margay {
    pub(crate) version: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) commit: Option<String>,
}

/// The cluster under load.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Topology {
    /// Was it started for this run?
    pub(crate) spawned: bool,
    pub(crate) nodes: usize,
    pub(crate) shards: usize,
    pub(crate) groups: usize,
    pub(crate) machine: &'static str,
}

/// What was asked for.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Shape {
    pub(crate) clients: u32,
    pub(crate) in_flight: u16,
    pub(crate) size_bytes: u32,
    pub(crate) reads: f64,
    pub(crate) level: &'static str,
    pub(crate) read_from: &'static str,
    /// Null: a closed loop.
    pub(crate) rate_per_s: Option<u64>,
    /// Null: a closed loop.
    pub(crate) arrival: Option<&'static str>,
    pub(crate) warmup_s: f64,
    pub(crate) duration_s: f64,
}

/// What was done, by kind.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Operations {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) write: Option<Operation>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) read: Option<Operation>,
}

/// One kind of operation.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Operation {
    pub(crate) count: u64,
    pub(crate) errors: u64,
    pub(crate) per_s: f64,
    pub(crate) latency_us: LatencyUs,
}

/// Service times of a closed loop, or times from the intended sends of an open one, in microseconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct LatencyUs {
    pub(crate) min: f64,
    pub(crate) p50: f64,
    pub(crate) p90: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
    pub(crate) p9999: f64,
    pub(crate) max: f64,
}

/// What disk and network take by themselves.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Floor {
    pub(crate) sync_write_us_p50: f64,
    pub(crate) round_trip_us_p50: f64,
}

/// What was proven.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Checked {
    /// All of the run, warm-up included.
    pub(crate) commands: u64,
    pub(crate) applied_exactly_once: bool,
    pub(crate) replicas_agree: bool,
    /// Where the replicas were compared, in the group where it is greatest.
    pub(crate) index: u64,
    /// Replicas that were compared in each group.
    pub(crate) replicas: usize,
    /// The effect chain at the index.
    pub(crate) effect_chain: String,
    /// Commands that were sent twice and whose outputs were compared.
    pub(crate) repeated: u64,
}

/// How well the generator kept its schedule.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Generator {
    /// What the generator itself was late, once a client had room.
    pub(crate) late_us_p99: f64,
    /// False: the latencies show the generator too.
    pub(crate) valid: bool,
    /// Sends that left more than a millisecond after their time, for whatever reason.
    pub(crate) late_count: u64,
    /// Sends that waited until a client had room.
    pub(crate) waited_count: u64,
    /// Sends that never left: they waited for room longer than the patience that was asked for.
    pub(crate) unsent_count: u64,
    /// Answers by which the cluster refused a command for now; the client sends each again.
    pub(crate) refused_count: u64,
}

/// One second of the measured time.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct PerSecond {
    pub(crate) second: u64,
    pub(crate) per_s: f64,
    pub(crate) p99_us: f64,
    pub(crate) max_us: f64,
}

impl Margay {
    /// Takes `0.1.0 (4be1c02)` apart.
    pub(crate) fn parse(text: &str) -> Self {
        let (version, behind) = text.split_once(' ').unwrap_or((text, ""));
        let commit = behind.trim().trim_start_matches('(').trim_end_matches(')');
        Self {
            version: version.to_owned(),
            commit: (!commit.is_empty()).then(|| commit.to_owned()),
        }
    }
}

impl Operation {
    /// What was measured in so many seconds.
    pub(crate) fn new(latencies: Latencies, errors: u64, elapsed_s: f64) -> Self {
        Self {
            count: latencies.count,
            errors,
            per_s: latencies.count as f64 / elapsed_s,
            latency_us: LatencyUs {
                min: latencies.min_us,
                p50: latencies.p50_us,
                p90: latencies.p90_us,
                p99: latencies.p99_us,
                p999: latencies.p999_us,
                p9999: latencies.p9999_us,
                max: latencies.max_us,
            },
        }
    }
}

impl Generator {
    /// Held against what was measured.
    pub(crate) fn new(
        punctuality: Punctuality,
        refused_count: u64,
        operations: &Operations,
    ) -> Self {
        let latencies = [operations.write, operations.read];
        let latencies = latencies
            .into_iter()
            .flatten()
            .filter(|operation| operation.count > 0)
            .map(|operation| operation.latency_us.p99);
        Self {
            late_us_p99: punctuality.late_us_p99,
            valid: punctuality.is_valid_for(latencies),
            late_count: punctuality.late_count,
            waited_count: punctuality.waited_count,
            unsent_count: punctuality.unsent_count,
            refused_count,
        }
    }
}

impl Operations {
    /// Operations of all kinds.
    pub(crate) fn count(&self) -> u64 {
        let count = |operation: Option<Operation>| operation.map_or(0, |operation| operation.count);
        count(self.write) + count(self.read)
    }
}

impl From<Second> for PerSecond {
    fn from(second: Second) -> Self {
        Self {
            second: second.second,
            per_s: second.per_s,
            p99_us: second.p99_us,
            max_us: second.max_us,
        }
    }
}

impl Report {
    /// The object.
    pub(crate) fn json(&self) -> String {
        serde_json::to_string(self).expect("reports have keys of text")
    }
}

#[cfg(test)]
#[path = "report_tests.rs"]
pub(crate) mod tests;
