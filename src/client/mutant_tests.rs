//! Do the client's own tests notice? A rule is broken on purpose in a process of its own, which must fail.
//!
//! Only with the feature `mutants`: `cargo test -p margay-client --features mutants mutant`.

use margay_types::mutant::{self, Guard, Mutant};

/// Rule, test that stands guard.
const BY_TEST: [(Mutant, &str); 1] = [(
    Mutant::OlderMapTaken,
    "routing::tests::a_map_that_is_older_is_not_taken",
)];

#[test]
fn a_broken_rule_of_the_client_turns_its_test_red() {
    mutant::demand_noticed(BY_TEST.map(|(mutant, test)| Guard::of(mutant, test)));
}
