//! Help, version and arguments that make no sense.

use super::margay;

const VERBS: [&str; 10] = [
    "format",
    "run",
    "dev",
    "bootstrap",
    "keyspace",
    "status",
    "health",
    "node",
    "group",
    "config",
];

#[test]
fn help_lists_every_verb_and_ends_well() {
    let run = margay(&["--help"]);
    let help = run.succeeds();
    for verb in VERBS {
        assert!(help.contains(verb), "{help}");
    }
}

#[test]
fn every_verb_explains_itself() {
    for verb in VERBS {
        let run = margay(&[verb, "--help"]);
        assert!(run.succeeds().contains("Usage: margay"), "{run:?}");
    }
}

#[test]
fn help_fits_the_screen_and_is_the_same_long_and_short() {
    for verb in [
        &[][..],
        &["format"],
        &["run"],
        &["bootstrap"],
        &["keyspace"],
        &["keyspace", "create"],
        &["keyspace", "list"],
        &["status"],
        &["dev"],
        &["health"],
        &["node"],
        &["node", "list"],
        &["group"],
        &["group", "list"],
        &["group", "show"],
        &["config"],
        &["config", "reference"],
    ] {
        let (long, short) = ([verb, &["--help"]].concat(), [verb, &["-h"]].concat());
        let run = margay(&long);
        let help = run.succeeds();
        assert_eq!(help, margay(&short).succeeds(), "{verb:?}");
        for line in help.lines() {
            assert!(line.chars().count() <= 100, "{line}");
        }
    }
}

#[test]
fn the_version_is_that_of_the_package() {
    let run = margay(&["-V"]);
    assert!(
        run.succeeds()
            .starts_with(concat!("margay ", env!("CARGO_PKG_VERSION")))
    );
}

#[test]
fn arguments_that_make_no_sense_are_usage() {
    for arguments in [
        &[][..],
        &["fly"],
        &["format", "--date", "x"],
        &["status", "-o", "xml"],
        &["status", "--timeout", "soon"],
        &["status", "-e", "::1"],
        &["bootstrap", "--name", "x"],
        &["keyspace", "create", "orders"],
        &["status", "-q", "-v"],
        &["status", "--timeout", "0s"],
        &["bootstrap", "--name", "a b", "--nodes", "n1"],
        &["bootstrap", "--name", "a", "--nodes", ""],
        &["keyspace", "create", "a b", "--machine", "kv"],
        &["dev", "-n", "0"],
        &["dev", "-n", "8"],
        &["dev", "-n"],
        &["dev", "3"],
        &["dev", "--port", "0"],
        &["dev", "--port", "65535"],
        &["health", "--wait", "5s"],
        &["node"],
        &["group", "show"],
        &["group", "show", "x"],
        &["group", "show", "-1"],
        &["group", "list", "--keyspace", "a b"],
        &[
            "keyspace",
            "create",
            "a",
            "--machine",
            "kv",
            "--groups",
            "0",
        ],
        &[
            "keyspace",
            "create",
            "a",
            "--machine",
            "kv",
            "--replicas",
            "0",
        ],
    ] {
        margay(arguments).fails_with(2, &[]);
    }
}

#[test]
fn a_slip_of_the_finger_gets_a_proposal() {
    margay(&["fromat"]).fails_with(2, &["format"]);
}

#[test]
fn a_value_that_makes_no_sense_is_answered_with_one_that_does() {
    margay(&["status", "--timeout", "soon"]).fails_with(2, &["500ms, 5s or 1m"]);
    margay(&["status", "-e", "::1"]).fails_with(2, &["[::1]:7400"]);
    margay(&["status", "-e", "n1:"]).fails_with(2, &["1 to 65535"]);
    margay(&["bootstrap", "--name", "a b", "--nodes", "n1"]).fails_with(2, &["1 to 64 of a-z"]);
}
