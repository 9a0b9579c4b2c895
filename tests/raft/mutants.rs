//! Do scripts and seeds notice? Each rule of the core that can be broken on purpose is broken in a process of its own,
//! which must fail.
//!
//! Only with the feature `mutants`: `cargo test -p margay-raft --features mutants --test protocol mutants`.

use std::process::Command;

/// Rule, script that stands guard.
const BY_SCRIPT: [(&str, &str); 14] = [
    (
        "vote-not-durable",
        "a_vote_is_durable_before_its_answer_leaves",
    ),
    (
        "vote-for-shorter-log",
        "a_later_leader_holds_what_was_committed",
    ),
    (
        "two-votes-in-one-term",
        "a_voter_that_crashed_after_its_vote_votes_for_nobody_else",
    ),
    (
        "append-without-check",
        "a_follower_that_missed_several_terms_catches_up",
    ),
    (
        "stale-append-truncates",
        "a_short_or_old_append_truncates_nothing",
    ),
    (
        "commit-past-proof",
        "a_follower_commits_only_what_the_leader_proved",
    ),
    ("quorum-of-half", "a_deposed_leader_serves_no_read"),
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
        "earlier-life-unnoticed",
        "a_read_of_an_earlier_life_is_not_answered_in_the_next",
    ),
    (
        "read-by-earlier-round",
        "a_read_is_confirmed_by_a_round_that_started_after_it",
    ),
    (
        "read-before-own-term",
        "no_read_before_the_first_entry_of_the_term_is_committed",
    ),
    (
        "follower-reads-own-commit",
        "a_follower_reads_at_an_index_that_its_leader_confirmed",
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
