//! Do the tests of single files notice? A rule is broken on purpose in a process of its own, which must fail.
//!
//! Only with the feature `mutants`: `cargo test -p margay --features mutants --lib mutant`.

use margay_types::mutant::{self, Guard, Mutant};

/// Rule, test that stands guard.
const BY_TEST: [(Mutant, &str); 6] = [
    (
        Mutant::ManifestBeforeSiblings,
        "shard::sibling_births::tests::the_manifest_waits_for_the_records_on_all_shards",
    ),
    (
        Mutant::SpanningWriteEarly,
        "storage::log::tests::a_write_that_spans_batches_is_reported_by_the_last_of_them",
    ),
    (
        Mutant::DurableOutOfOrder,
        "storage::log::tests::completions_out_of_order_are_reported_as_a_prefix",
    ),
    (
        Mutant::ReleasedUncovered,
        "storage::log::tests::space::a_checkpoint_lets_entries_go_only_when_it_is_covered",
    ),
    (
        Mutant::FloorForgotten,
        "storage::log::tests::space::the_term_at_the_floor_is_known_after_every_restart",
    ),
    (
        Mutant::EpochNotRaised,
        "storage::recovery::outline::tests::every_life_of_a_log_has_an_epoch_of_its_own",
    ),
];

#[test]
fn a_broken_rule_turns_its_test_red() {
    mutant::demand_noticed(BY_TEST.map(|(mutant, test)| Guard::of(mutant, test)));
}
