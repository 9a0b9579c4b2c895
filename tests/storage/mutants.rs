//! Do power cuts notice? A rule is broken on purpose in a process of its own, which must fail.
//!
//! Only with the feature `mutants`: `cargo test -p margay --features mutants --test storage mutants`.

use std::process::Command;

/// Rule, test that stands guard.
const BY_CUT: [(&str, &str); 1] = [(
    "restart-unsynced",
    "crash_points::power_cuts_at_drawn_operations_of_many_workloads_lose_nothing",
)];

/// Runs one test, perhaps with a rule broken: did it pass?
fn passes(mutant: Option<&str>, test: &str) -> bool {
    let program = std::env::current_exe().unwrap();
    let mut command = Command::new(program);
    command.args(["--exact", test]).env_remove("MARGAY_MUTANT");
    if let Some(mutant) = mutant {
        command.env("MARGAY_MUTANT", mutant);
    }
    command.output().unwrap().status.success()
}

#[test]
fn a_broken_rule_of_recovery_loses_what_was_acknowledged() {
    for (mutant, test) in BY_CUT {
        assert!(passes(None, test), "{test} fails with no rule broken");
        assert!(!passes(Some(mutant), test), "{test} allows {mutant}");
    }
}
