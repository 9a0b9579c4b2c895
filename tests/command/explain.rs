//! Codes are explained by the binary alone, and every error says where.

use super::margay;
use serde_json::Value;

#[test]
fn a_code_is_explained_whatever_its_case() {
    let run = margay(&["explain", "M212"]);
    let text = run.succeeds().to_owned();
    for words in [
        "M212 little space for the log",
        "meaning",
        "danger",
        "Margay did",
        "do not",
        "log.spares",
    ] {
        assert!(text.contains(words), "{words:?} is missing: {text}");
    }
    assert_eq!(margay(&["explain", "m212"]).succeeds(), text);
    assert_eq!(margay(&["explain", "212"]).succeeds(), text);
}

#[test]
fn a_code_is_one_object_for_programs() {
    let run = margay(&["explain", "m110", "-o", "json"]);
    let report: Value = serde_json::from_str(run.succeeds()).expect("JSON");
    assert_eq!(report["schema"], 1);
    assert_eq!(report["code"], 110);
    assert_eq!(report["title"], "the data directory is locked");
    assert_eq!(report["exit"], 20);
    for part in ["meaning", "danger", "done", "remedy", "avoid"] {
        assert!(
            report[part].as_str().is_some_and(|text| !text.is_empty()),
            "{part}"
        );
    }
    let concerns = report["concerns"].as_array().expect("a list");
    assert!(concerns.contains(&Value::from("--data")), "{concerns:?}");
}

#[test]
fn an_unknown_code_is_usage_and_the_nearest_is_named() {
    margay(&["explain", "M2121"]).fails_with(2, &["M212", "little space"]);
    margay(&["explain", "slow"]).fails_with(2, &["such as M212"]);
    margay(&["explain", "22"]).fails_with(2, &["exit code", "M201"]);
}

#[test]
fn without_a_code_all_are_listed() {
    let run = margay(&["explain"]);
    let text = run.succeeds();
    assert!(text.starts_with("CODE "), "{text}");
    for words in ["M101", "M123", "M408", "the log device failed"] {
        assert!(text.contains(words), "{words:?} is missing: {text}");
    }
    let run = margay(&["explain", "-o", "json"]);
    let report: Value = serde_json::from_str(run.succeeds()).expect("JSON");
    let codes = report["codes"].as_array().expect("a list");
    assert_eq!(codes[0]["code"], 101);
    assert_eq!(codes[0]["exit"], 23);
    let reported = codes
        .iter()
        .find(|code| code["code"] == 407)
        .expect("it is one");
    assert_eq!(reported["exit"], Value::Null);
    // Whatever is listed is explained.
    for code in codes {
        margay(&["explain", &code["code"].to_string()]).succeeds();
    }
}

#[test]
fn an_error_names_its_explanation() {
    margay(&["run"]).fails_with(3, &["margay explain M125"]);
    margay(&["run", "--data", "/nowhere/n1"]).fails_with(3, &["margay explain M111"]);
    let refused = ["status", "-e", "no-such-node.invalid:7400"];
    margay(&refused).fails_with(4, &["margay explain M140"]);
}
