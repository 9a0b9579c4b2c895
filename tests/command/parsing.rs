//! Help, version and arguments that make no sense.

use super::margay;

/// Every verb and every noun behind one, as help lists them: the root, too, as an empty path.
fn verbs() -> Vec<Vec<String>> {
    let mut all = vec![Vec::new()];
    let mut next = 0;
    while let Some(path) = all.get(next).cloned() {
        let mut arguments: Vec<&str> = path.iter().map(String::as_str).collect();
        arguments.push("--help");
        let run = margay(&arguments);
        for (verb, _) in listed(run.succeeds()) {
            all.push([&path[..], &[verb.to_owned()]].concat());
        }
        next += 1;
    }
    all
}

/// The verbs that a help lists, each with its sentence.
fn listed(help: &str) -> impl Iterator<Item = (&str, &str)> {
    let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    lines
        .take_while(|line| !line.is_empty())
        .map(|line| line.trim().split_once(' ').unwrap_or((line.trim(), "")))
}

#[test]
fn help_lists_every_verb_with_a_sentence_and_ends_well() {
    let all = verbs();
    for verb in ["format", "run", "bootstrap", "status", "check", "explain"] {
        assert!(all.contains(&vec![verb.to_owned()]), "{verb}");
    }
    assert!(all.len() > 10, "{all:?}");
    for path in all {
        let run = margay(&[&path[..], &["--help".to_owned()]].concat());
        for (verb, sentence) in listed(run.succeeds()) {
            assert!(sentence.trim().len() > 10, "{path:?} {verb}: {sentence}");
        }
    }
}

#[test]
fn every_verb_explains_itself() {
    for path in verbs() {
        let run = margay(&[&path[..], &["--help".to_owned()]].concat());
        assert!(run.succeeds().contains("Usage: margay"), "{run:?}");
    }
}

#[test]
fn help_fits_the_screen_and_is_the_same_long_and_short() {
    for path in verbs() {
        let help_by = |option: &str| margay(&[&path[..], &[option.to_owned()]].concat());
        let long = help_by("--help");
        let help = long.succeeds();
        assert_eq!(help, help_by("-h").succeeds(), "{path:?}");
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
        &["check"],
        &["config"],
        &["check", "config", "--profil", "x"],
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
        &["inspect"],
        &["inspect", "logs"],
        &["inspect", "log", "--group", "one"],
        &["inspect", "log", "--from", "1"],
        &["inspect", "log", "--group", "1", "--from", "2", "--to", "1"],
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
