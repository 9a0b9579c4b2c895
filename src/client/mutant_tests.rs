//! Do the client's own tests notice? A rule is broken on purpose in a process of its own, which must fail.
//!
//! Only with the feature `mutants`: `cargo test -p margay-client --features mutants mutant`.

use std::process::Command;

/// Rule, test that stands guard.
const BY_TEST: [(&str, &str); 1] = [(
    "older-map-taken",
    "routing::tests::a_map_that_is_older_is_not_taken",
)];

/// Runs one test, perhaps with a rule broken: did it pass?
fn passes(mutant: Option<&str>, test: &str) -> bool {
    let program = std::env::current_exe().expect("a test knows its own file");
    let mut command = Command::new(program);
    command.args(["--exact", test]).env_remove("MARGAY_MUTANT");
    if let Some(mutant) = mutant {
        command.env("MARGAY_MUTANT", mutant);
    }
    let output = command.output().expect("a test can be run");
    output.status.success()
}

#[test]
fn a_broken_rule_of_the_client_turns_its_test_red() {
    for (mutant, test) in BY_TEST {
        assert!(passes(None, test), "{test} fails with no rule broken");
        assert!(!passes(Some(mutant), test), "{test} allows {mutant}");
    }
}
