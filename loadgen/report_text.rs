//! The report for people: one line per stage, and a table.
//!
//! Numbers are rounded to what a reader compares; all digits are in `run.json`.

use crate::facts::{Disk, Host};
use crate::floor::FloorLine;
use crate::report::{Checked, Margay, Operation, Report};
use std::path::Path;

/// Columns before the remark at the end of a line.
const REMARK_COLUMN: usize = 92;

/// Digits of an effect chain that are shown.
const CHAIN_DIGITS: usize = 6;

/// Who is measured, and where.
pub(crate) fn head(margay: &Margay, host: &Host) -> String {
    let commit = margay.commit.as_deref();
    let commit = commit.map(|commit| format!(" ({commit})"));
    let mut line = format!(
        "margay {}{}  kernel {}  {} cores",
        margay.version,
        commit.unwrap_or_default(),
        host.kernel,
        host.cores
    );
    if let Some(disk) = &host.disk {
        line += &format!("  data {} ({})", disk.path, disk.file_system);
    }
    if host.is_virtual {
        line += "   virtual machine";
    }
    line
}

/// What disk and network take by themselves.
pub(crate) fn floor(floor: FloorLine) -> String {
    let line = format!(
        "floor   4 KiB O_DSYNC write p50 {} p99 {}   loopback round trip p50 {}",
        time(floor.sync_write_us_p50),
        time(floor.sync_write_us_p99),
        time(floor.round_trip_us_p50)
    );
    let least = time(floor.replicated_write_us());
    format!("{line:<REMARK_COLUMN$} => a replicated write cannot beat {least} here")
}

/// How much the numbers can be trusted.
pub(crate) fn note(host: &Host) -> String {
    format!(
        "note    servers and load share {} cores: this shows that it works, not how fast it is \
         (tuning/README.md#measuring)",
        host.cores
    )
}

/// The table of operations, below an empty line.
pub(crate) fn table(report: &Report) -> String {
    let mut lines = vec![
        String::new(),
        row(
            " op",
            [
                "offered", "done/s", "p50", "p90", "p99", "p99.9", "max", "errors",
            ]
            .map(str::to_owned),
        ),
    ];
    let operations = [
        (" set", report.operations.write),
        (" get", report.operations.read),
    ];
    for (name, operation) in operations {
        if let Some(operation) = operation {
            lines.push(row(name, cells(operation)));
        }
    }
    lines.join("\n")
}

fn cells(operation: Operation) -> [String; 8] {
    let latency = operation.latency_us;
    [
        "closed".to_owned(),
        count(rounded(operation.per_s)),
        time(latency.p50),
        time(latency.p90),
        time(latency.p99),
        time(latency.p999),
        time(latency.max),
        count(operation.errors),
    ]
}

fn row(name: &str, cells: [String; 8]) -> String {
    let mut line = format!("{name:<6}");
    for (cell, width) in cells.iter().zip([9, 9, 7, 7, 7, 7, 8, 0]) {
        line += &format!(" {cell:<width$}");
    }
    line
}

/// What was proven.
pub(crate) fn checked(check: &Checked) -> String {
    let digits = check.effect_chain.get(..CHAIN_DIGITS);
    format!(
        "checked  {} commands: each applied exactly once, in order; {replicas} of {replicas} \
         replicas agree at index {} (effect chain {}..)",
        count(check.commands),
        count(check.index),
        digits.unwrap_or(&check.effect_chain),
        replicas = check.replicas,
    )
}

/// What a durable write is worth here, and where the report lies.
pub(crate) fn durable(report: &Report, directory: Option<&Path>) -> String {
    let unknown = Disk::default();
    let disk = report.host.disk.as_ref().unwrap_or(&unknown);
    let device = if report.host.is_virtual && report.cluster.spawned {
        "; virtual device"
    } else {
        ""
    };
    let facts = if report.cluster.spawned {
        format!(" ({}{device})", disk.cache_text())
    } else {
        String::new()
    };
    let line = match report.durable {
        Some("proven") => format!("durable  proven: synchronous writes flush{facts}"),
        Some("unproven") => format!("durable  unproven: no flush was seen{facts}"),
        Some(_) => "durable  no: the log is in memory only".to_owned(),
        None => "durable  unknown: no node told".to_owned(),
    };
    match directory {
        Some(directory) => format!(
            "{line:<REMARK_COLUMN$} report  {}/  (run.json)",
            directory.display()
        ),
        None => line,
    }
}

/// A time in the unit in which it has few digits.
fn time(us: f64) -> String {
    if us < 1_000.0 {
        format!("{us:.0} us")
    } else if us < 10_000.0 {
        format!("{:.1} ms", us / 1e3)
    } else if us < 1_000_000.0 {
        format!("{:.0} ms", us / 1e3)
    } else {
        format!("{:.1} s", us / 1e6)
    }
}

/// A count with its thousands apart.
fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A rate as a whole number.
fn rounded(rate: f64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rate is not negative, and far below 2^53"
    )]
    let whole = rate.round() as u64;
    whole
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::report;

    #[test]
    fn a_run_reads_as_its_journey_says() {
        let report = report();
        let line = FloorLine {
            sync_write_us_p50: 380.0,
            sync_write_us_p99: 1_240.0,
            round_trip_us_p50: 21.0,
        };
        let text = [
            head(&report.margay, &report.host),
            floor(line),
            note(&report.host),
            table(&report),
            checked(report.check.as_ref().expect("it was checked")),
            durable(&report, Some(Path::new("loadgen-out/20251125-0012"))),
        ]
        .join("\n");
        let golden = include_str!("report_text_golden.txt");
        assert_eq!(text + "\n", golden);
    }

    #[test]
    fn a_cluster_elsewhere_has_no_disk_here() {
        let mut report = report();
        report.cluster.spawned = false;
        report.host.disk = None;
        report.durable = None;
        assert_eq!(durable(&report, None), "durable  unknown: no node told");
        assert!(!head(&report.margay, &report.host).contains("data"));
    }

    #[test]
    fn times_and_counts_have_few_digits() {
        let times = [12.4, 999.4, 1_234.0, 12_345.0, 61_000.0, 2_340_000.0].map(time);
        assert_eq!(
            times,
            ["12 us", "999 us", "1.2 ms", "12 ms", "61 ms", "2.3 s"]
        );
        assert_eq!(
            [0, 999, 1_000, 1_234_567].map(count),
            ["0", "999", "1,000", "1,234,567"]
        );
    }
}
