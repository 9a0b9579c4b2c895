//! What can be set and what is set, as the binary tells it.

use super::settings::file;
use super::{margay, margay_with, text};

#[test]
fn the_reference_lists_every_setting_with_default_and_range() {
    let run = margay(&["config", "reference"]);
    let text = run.succeeds();
    assert!(text.starts_with("KEY "), "{text}");
    for words in [
        "must be given",
        "0.0.0.0:7400",
        "log.spares",
        "2..64",
        "longer bursts",
    ] {
        assert!(text.contains(words), "{words:?} is missing: {text}");
    }
}

#[test]
fn the_reference_is_one_object_for_programs() {
    let run = margay(&["config", "reference", "-o", "json"]);
    let report: serde_json::Value = serde_json::from_str(run.succeeds()).expect("JSON");
    assert_eq!(report["schema"], 1);
    let settings = report["settings"].as_array().expect("a list");
    let spares = settings
        .iter()
        .find(|setting| setting["key"] == "log.spares");
    let spares = spares.expect("it can be set");
    assert_eq!(spares["default"], "2");
    assert_eq!(spares["least"], 2);
    assert_eq!(spares["variable"], "MARGAY_LOG_SPARES");
    assert_eq!(spares["restart_needed"], true);
}

#[test]
fn the_values_are_shown_with_unit_and_range_and_on_demand_with_their_sources() {
    let (_folder, path) = file("listen = \"127.0.0.1:1\"\n\nlog.spares = 3\n");
    let path = text(&path);
    let all = [
        "config",
        "show",
        "-c",
        path,
        "--sources",
        "--profile",
        "laptop",
    ];
    let run = margay_with(&all, &[("MARGAY_SHARDS_CORES", "anywhere:1")]);
    let shown = run.succeeds();
    let row = |key: &str| {
        let line = shown.lines().find(|line| line.starts_with(key));
        let words: Vec<&str> = line.expect("it is shown").split_whitespace().collect();
        words.join(" ")
    };
    assert_eq!(row("KEY"), "KEY VALUE SOURCE UNIT/RANGE RESTART");
    assert_eq!(row("data"), "data must be given - directory yes");
    assert_eq!(
        row("listen"),
        format!("listen 127.0.0.1:1 file {path}:1 address:port yes")
    );
    assert!(row("shards.cores").starts_with("shards.cores anywhere:1 env MARGAY_SHARDS_CORES"));
    assert_eq!(
        row("log.in_flight_writes"),
        "log.in_flight_writes 1 default 1..4 writes yes"
    );
    assert!(
        row("log.segment_bytes").starts_with("log.segment_bytes 8MiB profile laptop:6 4MiB..1GiB")
    );
    assert_eq!(
        row("log.spares"),
        format!("log.spares 3 file {path}:3 2..64 segments yes")
    );

    let run = margay(&["config", "show", "-c", path]);
    let shown = run.succeeds();
    assert!(
        !shown.contains("SOURCE") && !shown.contains(path),
        "{shown}"
    );
}

#[test]
fn the_values_are_one_object_for_programs() {
    let run = margay(&["config", "show", "--set", "log.spares=4", "-o", "json"]);
    let report: serde_json::Value = serde_json::from_str(run.succeeds()).expect("JSON");
    assert_eq!(report["schema"], 1);
    let settings = report["settings"].as_array().expect("a list");
    let find = |key: &str| settings.iter().find(|setting| setting["key"] == key);
    let spares = find("log.spares").expect("it can be set");
    assert_eq!(spares["value"], "4");
    assert_eq!(spares["source"], "flag --set");
    assert_eq!(spares["greatest"], 64);
    let data = find("data").expect("it can be set");
    assert_eq!(data["value"], serde_json::Value::Null);
    assert_eq!(data["source"], serde_json::Value::Null);
}

#[test]
fn values_that_no_server_would_take_are_not_shown() {
    let run = margay(&[
        "config",
        "show",
        "--set",
        "log.spares=1",
        "--set",
        "listen=x",
    ]);
    run.fails_with(3, &["M123", "listen", "1 more", "margay check config"]);
    assert_eq!(run.stdout, "");
}
