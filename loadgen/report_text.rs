//! The report for people: one line per stage, and a table.
//!
//! Numbers are rounded to what a reader compares; all digits are in `run.json`.

use crate::facts::{Disk, Host};
use crate::floor::FloorLine;
use crate::histogram::Second;
use crate::report::{Checked, Generator, Margay, Operation, Report, Shape};
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
    let shape = &report.workload;
    let operations = [
        (" write", report.operations.write, 1.0 - shape.reads),
        (" read", report.operations.read, shape.reads),
    ];
    for (name, operation, share) in operations {
        if let Some(operation) = operation {
            lines.push(row(name, cells(operation, offered(shape, share))));
        }
    }
    lines.join("\n")
}

/// Operations that were offered per second, of a kind with that share.
fn offered(shape: &Shape, share: f64) -> String {
    match shape.rate_per_s {
        Some(rate) => count(rounded(rate as f64 * share)),
        None => "closed".to_owned(),
    }
}

fn cells(operation: Operation, offered: String) -> [String; 8] {
    let latency = operation.latency_us;
    [
        offered,
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

/// How well the generator kept its schedule, and whether the table can be believed.
pub(crate) fn generator(generator: &Generator, shape: &Shape) -> String {
    let verdict = if generator.valid {
        "valid"
    } else {
        "INVALID: more than 10 % of the p99 above, so the table shows the generator too"
    };
    let mut sends = format!(
        "{} left late, {} waited for room",
        count(generator.late_count),
        count(generator.waited_count)
    );
    if generator.unsent_count > 0 {
        sends += &format!(", {} never left", count(generator.unsent_count));
    }
    if generator.refused_count > 0 {
        sends += &format!(", {} refusals", count(generator.refused_count));
    }
    format!(
        "sends    {} arrivals; {sends}; the generator itself was late by p99 {}: {verdict}",
        shape.arrival.unwrap_or("unknown"),
        time(generator.late_us_p99),
    )
}

/// The second that has just ended.
pub(crate) fn progress(second: Second, errors: u64) -> String {
    format!(
        "{:>5} s   {} done/s   p99 {}   errors {}",
        second.second,
        count(rounded(second.per_s)),
        time(second.p99_us),
        count(errors)
    )
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
            "{line:<REMARK_COLUMN$} report  {}/  ({})",
            directory.display(),
            files(report)
        ),
        None => line,
    }
}

fn files(report: &Report) -> String {
    let mut files = vec!["run.json"];
    files.extend(report.operations.write.map(|_| "write.hlog"));
    files.extend(report.operations.read.map(|_| "read.hlog"));
    files.join(" ")
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
    use crate::report::tests::{open_report, report};

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
    fn an_open_loop_shows_what_was_offered_of_each_kind_and_whether_it_is_valid() {
        let mut report = open_report();
        let table = table(&report);
        let rows: Vec<&str> = table.lines().skip(2).collect();
        assert!(rows[0].starts_with(" write 150,000   200,000 "), "{table}");
        assert!(rows[1].starts_with(" read  50,000    200,000 "), "{table}");
        let line = |report: &Report| {
            let shown = report.generator.as_ref();
            generator(shown.expect("it is open"), &report.workload)
        };
        let valid = "sends    poisson arrivals; 1,204 left late, 1,100 waited for room; \
                     the generator itself was late by p99 62 us: valid";
        assert_eq!(line(&report), valid);
        let shown = report.generator.as_mut().expect("it is open");
        shown.valid = false;
        (shown.unsent_count, shown.refused_count) = (20_000, 7);
        let told = line(&report);
        assert!(told.contains(": INVALID"), "{told}");
        assert!(
            told.contains("1,100 waited for room, 20,000 never left, 7 refusals;"),
            "{told}"
        );
    }

    #[test]
    fn the_line_of_progress_fits_on_a_terminal() {
        let second = Second {
            second: 7,
            per_s: 1_234_567.0,
            p99_us: 4_800.0,
            max_us: 61_000.0,
        };
        assert_eq!(
            progress(second, 3),
            "    7 s   1,234,567 done/s   p99 4.8 ms   errors 3"
        );
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
