//! `check config`: everything that is wrong is found at once, and nothing is started.

use super::settings::file;
use super::{margay, margay_with, text};
use serde_json::Value;

/// A file in which four things are wrong: lines 1, 4, 5 and 7.
const WRONG: &str = "\
listen = \"everywhere\"\n\
data = \"/data/n1\"\n\
[log]\n\
spare = 3\n\
in_flight_writes = 9\n\
segment_bytes = \"8MiB\"\n\
spares = [3]\n";

#[test]
fn a_good_configuration_ends_well_and_says_so() {
    let (_folder, path) = file("data = \"/data/n1\"\n[log]\nspares = 3\n");
    let run = margay(&["check", "config", "-c", text(&path)]);
    assert!(run.succeeds().starts_with("good"), "{run:?}");
    let run = margay(&["check", "config", "--data", "x", "--profile", "laptop"]);
    run.succeeds();
}

#[test]
fn all_problems_are_told_at_once_with_line_key_and_nearest_name() {
    let (_folder, path) = file(WRONG);
    let run = margay(&["check", "config", "-c", text(&path), "--set", "lisen=x"]);
    assert_eq!(run.exit, 10, "{run:?}");
    for words in [
        "margay.toml:1",
        "everywhere",
        "margay.toml:4",
        "did you mean `log.spares`?",
        "margay.toml:5",
        "log.in_flight_writes = 9",
        "between 1 and 4",
        "margay.toml:7",
        "flag --set",
        "did you mean `listen`?",
        "5 problems",
        "margay explain M121",
        "margay explain M122",
        "margay explain M123",
    ] {
        assert!(run.stdout.contains(words), "{words:?} is missing: {run:?}");
    }
    assert!(!run.stdout.contains("margay.toml:6"), "{run:?}");
    assert_eq!(run.stderr, "");
}

#[test]
fn problems_are_one_object_for_programs() {
    let (_folder, path) = file(WRONG);
    let run = margay(&["check", "config", "-c", text(&path), "-o", "json"]);
    assert_eq!(run.exit, 10, "{run:?}");
    let report: Value = serde_json::from_str(&run.stdout).expect("JSON");
    assert_eq!(report["schema"], 1);
    assert_eq!(report["good"], false);
    let problems = report["problems"].as_array().expect("a list");
    let lines: Vec<u64> = problems
        .iter()
        .map(|problem| problem["line"].as_u64().expect("it stands in the file"))
        .collect();
    assert_eq!(lines, [1, 4, 5, 7]);
    let unknown = &problems[1];
    assert_eq!(unknown["code"], 122);
    assert_eq!(unknown["file"], text(&path));
    assert_eq!(unknown["subject"], "setting");
    assert_eq!(unknown["name"], "log.spare");
    assert_eq!(unknown["nearest"], "log.spares");
    assert_eq!(problems[2]["value"], "9");

    let run = margay(&["check", "config", "--data", "x", "-o", "json"]);
    let report: Value = serde_json::from_str(run.succeeds()).expect("JSON");
    assert_eq!(report["good"], true);
    assert_eq!(report["problems"], Value::Array(Vec::new()));
}

#[test]
fn a_file_that_cannot_be_read_is_no_answer() {
    let run = margay(&[
        "check",
        "config",
        "-c",
        "/nowhere/m.toml",
        "--profile",
        "labtop",
    ]);
    assert_eq!(run.exit, 3, "{run:?}");
    for words in ["/nowhere/m.toml", "M120", "M124", "did you mean `laptop`?"] {
        assert!(run.stdout.contains(words), "{words:?} is missing: {run:?}");
    }
}

#[test]
fn what_is_missing_and_what_the_environment_says_are_looked_at_like_a_server_would() {
    let run = margay(&["check", "config"]);
    assert_eq!(run.exit, 10, "{run:?}");
    assert!(run.stdout.contains("M125"), "{run:?}");
    let run = margay_with(
        &["check", "config", "--data", "x"],
        &[("MARGAY_LISTN", "0.0.0.0:1"), ("MARGAY_LOG_SPARES", "1")],
    );
    assert_eq!(run.exit, 10, "{run:?}");
    for words in ["env MARGAY_LISTN", "MARGAY_LISTEN", "env MARGAY_LOG_SPARES"] {
        assert!(run.stdout.contains(words), "{words:?} is missing: {run:?}");
    }
}

#[test]
fn a_wrong_line_is_found_although_another_value_stands_above_it() {
    let (_folder, path) = file("data = \"x\"\nlog.spares = 99\n");
    let arguments = [
        "check",
        "config",
        "-c",
        text(&path),
        "--set",
        "log.spares=2",
    ];
    let run = margay(&arguments);
    assert_eq!(run.exit, 10, "{run:?}");
    assert!(run.stdout.contains("margay.toml:2"), "{run:?}");
}

#[test]
fn a_server_tells_the_first_problem_and_how_to_see_the_others() {
    let (_folder, path) = file(WRONG);
    let run = margay(&["run", "-c", text(&path)]);
    run.fails_with(3, &["margay.toml:1", "3 more", "margay check config"]);
}
