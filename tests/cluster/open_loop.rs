//! The load generator at a given rate, as a process against real nodes.
//!
//! It is a binary of another package, which Cargo does not build for the tests of this one: so the test asks it to,
//! into the same folder.

use crate::harness::{Cluster, KEYSPACE, text};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// What a run ends with whose generator was late.
const INVALID: i32 = 11;

/// Builds the generator beside the server.
fn generator() -> PathBuf {
    let beside = Path::new(env!("CARGO_BIN_EXE_margay")).parent();
    let profile = beside.expect("a binary lies in a folder");
    let target = profile.parent().expect("a profile has a folder of its own");
    let profile_name = match text(profile).rsplit('/').next() {
        Some("debug") | None => "dev",
        Some(other) => other,
    };
    let built = Command::new(env!("CARGO"))
        .args([
            "build",
            "--locked",
            "--package",
            "loadgen",
            "--bin",
            "loadgen",
        ])
        .args(["--profile", profile_name, "--target-dir", text(target)])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("whoever runs this test has Cargo");
    assert!(built.status.success(), "{built:?}");
    profile.join("loadgen")
}

fn run(generator: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(generator);
    command.arg("run").args(arguments);
    command.output().expect("it was built")
}

fn demand_all_of_it(report: &Value) {
    let count = |kind: &str, key: &str| report["operations"][kind][key].as_u64();
    let (writes, reads) = (count("write", "count"), count("read", "count"));
    assert_eq!(writes.zip(reads).map(|(w, r)| w + r), Some(400), "{report}");
    assert_eq!(
        (count("write", "errors"), count("read", "errors")),
        (Some(0), Some(0))
    );
    assert_eq!(report["workload"]["rate_per_s"], 200);
    assert_eq!(report["workload"]["arrival"], "constant");
    assert_eq!(report["check"]["applied_exactly_once"], true);
    // Whether it is valid depends on who else uses this machine; that it is said, here and by the exit code, does not.
    let verdict = &report["generator"];
    assert!(
        verdict["late_us_p99"].is_f64() && verdict["valid"].is_boolean(),
        "{report}"
    );
    let seconds = report["per_second"].as_array().map_or(0, Vec::len);
    assert!(seconds >= 2, "{report}");
}

/// Look at the counts: every send that was due in the measured time was answered, no more and no less, and the
/// cluster applied each once.
#[test]
fn a_rate_is_offered_as_it_was_asked_for_and_all_of_it_is_told() {
    let generator = generator();
    let cluster = Cluster::with_groups(2);
    let endpoints = cluster.endpoints().join(",");
    let out = cluster.directory().join("out");
    let target = [
        "-e",
        &endpoints,
        "--keyspace",
        KEYSPACE,
        "--out",
        text(&out),
    ];
    let load = "--rate 200 --reads 0.25 --warmup 200ms --duration 2s --check -o json";
    let arguments: Vec<&str> = target.into_iter().chain(load.split(' ')).collect();
    let output = run(&generator, &arguments);
    let progress = output.stderr.iter().filter(|byte| **byte == b'\r').count();
    assert_eq!(progress, 0, "a pipe is no terminal");
    let report: Value = serde_json::from_slice(&output.stdout).expect("one object");
    demand_all_of_it(&report);
    let exit = match report["generator"]["valid"].as_bool() {
        Some(true) => 0,
        Some(false) | None => INVALID,
    };
    assert_eq!(output.status.code(), Some(exit), "{output:?}");
    for name in ["run.json", "write.hlog", "read.hlog"] {
        let kept = std::fs::read_to_string(out.join(name)).expect("it is kept");
        assert!(!kept.is_empty(), "{name} is empty");
    }
    cluster.finish();
}

#[test]
fn options_that_make_no_sense_together_are_usage_errors() {
    let generator = generator();
    for (arguments, told) in [
        (["--arrival", "poisson"], "--rate 5000"),
        (["--rate", "0"], "closed loop"),
        (["--rate", "fast"], "200k"),
    ] {
        let output = run(&generator, &arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.contains(told), "{arguments:?}: {said}");
    }
}
