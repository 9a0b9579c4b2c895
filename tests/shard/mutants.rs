//! Do these schedules notice? A rule is broken on purpose in a process of its own, which must fail.
//!
//! Only with the feature `mutants`: `cargo test -p margay --features mutants --test shard mutants`.

use margay_types::mutant::{self, Guard, Mutant};

/// Rule, test that stands guard.
const BY_SCHEDULE: [(Mutant, &str); 2] = [
    (
        Mutant::NextFromTableAlone,
        "exactly_once::a_leader_whose_tail_is_on_disk_counts_it_before_it_takes_commands",
    ),
    (
        Mutant::KeepAlivesUnwritten,
        "sessions::a_session_that_is_heard_from_outlives_its_leaders",
    ),
];

#[test]
fn a_broken_rule_of_a_shard_turns_its_schedule_red() {
    mutant::demand_noticed(BY_SCHEDULE.map(|(mutant, test)| Guard::of(mutant, test)));
}
