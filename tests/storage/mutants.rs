//! Do power cuts notice? A rule is broken on purpose in a process of its own, which must fail.
//!
//! Only with the feature `mutants`: `cargo test -p margay --features mutants --test storage mutants`.

use margay_types::mutant::{self, Guard, Mutant};

/// Rule, test that stands guard.
const BY_CUT: [(Mutant, &str); 1] = [(
    Mutant::RestartUnsynced,
    "crash_points::power_cuts_at_drawn_operations_of_many_workloads_lose_nothing",
)];

#[test]
fn a_broken_rule_of_recovery_loses_what_was_acknowledged() {
    mutant::demand_noticed(BY_CUT.map(|(mutant, test)| Guard::of(mutant, test)));
}
