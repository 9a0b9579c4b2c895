//! Do the tests of single files notice? A rule is broken on purpose in a process of its own, which must fail.
//!
//! Only with the feature `mutants`: `cargo test -p margay --features mutants --lib mutant`.

use std::process::Command;

/// Rule, test that stands guard.
const BY_TEST: [(&str, &str); 6] = [
    (
        "manifest-before-siblings",
        "shard::sibling_births::tests::the_manifest_waits_for_the_records_on_all_shards",
    ),
    (
        "spanning-write-early",
        "storage::log::tests::a_write_that_spans_batches_is_reported_by_the_last_of_them",
    ),
    (
        "durable-out-of-order",
        "storage::log::tests::completions_out_of_order_are_reported_as_a_prefix",
    ),
    (
        "released-uncovered",
        "storage::log::tests::space::a_checkpoint_lets_entries_go_only_when_it_is_covered",
    ),
    (
        "floor-forgotten",
        "storage::log::tests::space::the_term_at_the_floor_is_known_after_every_restart",
    ),
    (
        "epoch-not-raised",
        "storage::recovery::outline::tests::every_life_of_a_log_has_an_epoch_of_its_own",
    ),
];

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
fn a_broken_rule_turns_its_test_red() {
    for (mutant, test) in BY_TEST {
        assert!(passes(None, test), "{test} fails with no rule broken");
        assert!(!passes(Some(mutant), test), "{test} allows {mutant}");
    }
}
