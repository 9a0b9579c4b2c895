//! Do scripts and seeds notice? Each rule of the core that can be broken on purpose is broken in a process of its own,
//! which must fail.
//!
//! Only with the feature `mutants`: `cargo test -p margay-raft --features mutants --test protocol mutants`.

use std::process::Command;

/// Rule, script that stands guard.
const BY_SCRIPT: [(&str, &str); 5] = [
    (
        "vote-not-durable",
        "a_vote_is_durable_before_its_answer_leaves",
    ),
    (
        "old-term-by-counting",
        "a_leader_counts_only_entries_of_its_term",
    ),
    (
        "match-from-last-index",
        "a_short_or_old_append_truncates_nothing",
    ),
    (
        "acknowledged-before-write",
        "an_acknowledgement_waits_for_the_contiguous_prefix",
    ),
    (
        "read-by-earlier-round",
        "a_read_is_confirmed_by_a_round_that_started_after_it",
    ),
];

/// Plays one script, perhaps with a rule broken: did it pass?
fn passes(mutant: Option<&str>, script: &str) -> bool {
    let program = std::env::current_exe().expect("a test knows its own file");
    let mut command = Command::new(program);
    command.args(["--exact", "scripts::every_script_gives_its_trace"]);
    command
        .env("MARGAY_SCRIPT", script)
        .env_remove("MARGAY_MUTANT");
    if let Some(mutant) = mutant {
        command.env("MARGAY_MUTANT", mutant);
    }
    let output = command.output().expect("a test can be run");
    output.status.success()
}

#[test]
fn a_broken_rule_of_the_core_turns_its_script_red() {
    for (mutant, script) in BY_SCRIPT {
        assert!(passes(None, script), "{script} fails with no rule broken");
        assert!(!passes(Some(mutant), script), "{script} allows {mutant}");
    }
}
