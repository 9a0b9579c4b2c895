//! What can be set, as the binary tells it.

use super::margay;

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
