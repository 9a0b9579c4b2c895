//! Help, version and arguments that make no sense.

use super::margay;

#[test]
fn help_lists_every_verb_and_ends_well() {
    let run = margay(&["--help"]);
    let help = run.succeeds();
    for verb in ["format", "run", "bootstrap", "keyspace", "status"] {
        assert!(help.contains(verb), "{help}");
    }
}

#[test]
fn every_verb_explains_itself() {
    for verb in ["format", "run", "bootstrap", "keyspace", "status"] {
        let run = margay(&[verb, "--help"]);
        assert!(run.succeeds().contains("Usage: margay"), "{run:?}");
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
    ] {
        margay(arguments).fails_with(2, &[]);
    }
}

#[test]
fn a_slip_of_the_finger_gets_a_proposal() {
    margay(&["fromat"]).fails_with(2, &["format"]);
}
