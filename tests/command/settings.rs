//! Where settings come from, which one wins, and what is said about a wrong one.

use super::{margay, margay_with, text};
use std::fs;
use std::path::PathBuf;
use tempfile::TempDir;

/// A configuration file with this text.
pub(super) fn file(toml: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("there is room");
    let path = folder.path().join("margay.toml");
    fs::write(&path, toml).expect("it is writable");
    (folder, path)
}

/// What `run -v` prints about a setting before it refuses the directory that does not exist.
fn shown(key: &str, arguments: &[&str], variables: &[(&str, &str)]) -> String {
    let mut all = vec!["run", "-v", "--data", "/nowhere/n1"];
    all.extend(arguments);
    let run = margay_with(&all, variables);
    let line = run.stderr.lines().find(|line| line.starts_with(key));
    let line = line.unwrap_or_else(|| panic!("{key} is not shown: {run:?}"));
    line.split_whitespace()
        .skip(1)
        .collect::<Vec<_>>()
        .join(" ")
}

#[test]
fn each_source_wins_over_those_before_it() {
    let (_folder, path) = file("[log]\nspares = 3\n\n[log.x]\n");
    let path = text(&path);
    let key = "log.spares";
    assert_eq!(shown(key, &[], &[]), "2 default");
    assert_eq!(shown(key, &["-c", path], &[]), format!("3 file {path}:2"));
    let variable = [("MARGAY_LOG_SPARES", "4")];
    assert_eq!(
        shown(key, &["-c", path], &variable),
        "4 env MARGAY_LOG_SPARES"
    );
    let set = ["-c", path, "--set", "log.spares=5"];
    assert_eq!(shown(key, &set, &variable), "5 flag --set");
}

#[test]
fn a_profile_is_above_the_defaults_and_below_the_file() {
    let key = "log.segment_bytes";
    let profile = ["--profile", "laptop"];
    assert_eq!(shown(key, &profile, &[]), "8MiB profile laptop:6");
    let (_folder, path) = file("log.segment_bytes = \"16MiB\"\n");
    let both = ["--profile", "laptop", "-c", text(&path)];
    assert!(shown(key, &both, &[]).starts_with("16MiB file"));
}

#[test]
fn an_unknown_key_is_refused_with_its_line_and_the_nearest_name() {
    let (_folder, path) = file("listen = \"0.0.0.0:7400\"\n[log]\nspare = 3\n");
    let run = margay(&["run", "-c", text(&path)]);
    run.fails_with(
        3,
        &[
            "M122",
            "log.spare",
            "margay.toml:3",
            "did you mean `log.spares`?",
        ],
    );
    let run = margay(&["run", "--set", "lisen=0.0.0.0:1"]);
    run.fails_with(3, &["M122", "flag --set", "did you mean `listen`?"]);
}

#[test]
fn a_value_out_of_range_is_refused_with_its_place() {
    let run = margay_with(
        &["run", "--data", "/nowhere/n1"],
        &[("MARGAY_LOG_IN_FLIGHT_WRITES", "9")],
    );
    run.fails_with(
        3,
        &["M123", "env MARGAY_LOG_IN_FLIGHT_WRITES", "between 1 and 4"],
    );
}

#[test]
fn a_file_that_cannot_be_read_or_is_not_toml_is_named() {
    margay(&["run", "-c", "/nowhere/margay.toml"]).fails_with(3, &["M120", "/nowhere"]);
    let (_folder, path) = file("listen = \n");
    margay(&["run", "-c", text(&path)]).fails_with(3, &["M121", "margay.toml:1"]);
}

#[test]
fn the_data_directory_must_be_given() {
    margay(&["run"]).fails_with(3, &["M125", "data", "MARGAY_DATA"]);
}

#[test]
fn a_verb_that_reads_no_configuration_refuses_the_file_and_names_those_that_do() {
    let (_folder, path) = file("data = \"x\"\n");
    let path = text(&path);
    for verb in [
        &["status"][..],
        &["keyspace", "list"],
        &["bootstrap", "--name", "a", "--nodes", "n1"],
        &["config", "reference"],
        &["explain", "M212"],
    ] {
        let run = margay(&[verb, &["-c", path]].concat());
        run.fails_with(2, &["--config", path, "check config", "config show"]);
        assert_eq!(run.stdout, "", "{verb:?}");
        margay(&[&["--config", path], verb].concat()).fails_with(2, &["--config"]);
    }
    for verb in [&["check", "config"], &["config", "show"]] {
        margay(&[&verb[..], &["-c", path]].concat()).succeeds();
    }
}
