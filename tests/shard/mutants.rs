//! Do these schedules notice? A rule is broken on purpose in a process of its own, which must fail.
//!
//! Only with the feature `mutants`: `cargo test -p margay --features mutants --test shard mutants`.

use std::process::Command;

/// Rule, test that stands guard.
const BY_SCHEDULE: [(&str, &str); 2] = [
    (
        "next-from-table-alone",
        "exactly_once::a_leader_whose_tail_is_on_disk_counts_it_before_it_takes_commands",
    ),
    (
        "keep-alives-unwritten",
        "sessions::a_session_that_is_heard_from_outlives_its_leaders",
    ),
];

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
fn a_broken_rule_of_a_shard_turns_its_schedule_red() {
    for (mutant, test) in BY_SCHEDULE {
        assert!(passes(None, test), "{test} fails with no rule broken");
        assert!(!passes(Some(mutant), test), "{test} allows {mutant}");
    }
}
