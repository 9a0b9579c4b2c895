//! Do scripts and seeds notice? Each rule of the core that can be broken on purpose is broken in a process of its own,
//! which must fail.
//!
//! Only with the feature `mutants`: `cargo test -p margay-raft --features mutants --test protocol mutants`.

use margay_types::mutant::{self, Guard, Mutant};

/// Rule, script that stands guard.
const BY_SCRIPT: [(Mutant, &str); 14] = [
    (
        Mutant::VoteNotDurable,
        "a_vote_is_durable_before_its_answer_leaves",
    ),
    (
        Mutant::VoteForShorterLog,
        "a_later_leader_holds_what_was_committed",
    ),
    (
        Mutant::TwoVotesInOneTerm,
        "a_voter_that_crashed_after_its_vote_votes_for_nobody_else",
    ),
    (
        Mutant::AppendWithoutCheck,
        "a_follower_that_missed_several_terms_catches_up",
    ),
    (
        Mutant::StaleAppendTruncates,
        "a_short_or_old_append_truncates_nothing",
    ),
    (
        Mutant::CommitPastProof,
        "a_follower_commits_only_what_the_leader_proved",
    ),
    (Mutant::QuorumOfHalf, "a_deposed_leader_serves_no_read"),
    (
        Mutant::OldTermByCounting,
        "a_leader_counts_only_entries_of_its_term",
    ),
    (
        Mutant::MatchFromLastIndex,
        "a_short_or_old_append_truncates_nothing",
    ),
    (
        Mutant::AcknowledgedBeforeWrite,
        "an_acknowledgement_waits_for_the_contiguous_prefix",
    ),
    (
        Mutant::EarlierLifeUnnoticed,
        "a_read_of_an_earlier_life_is_not_answered_in_the_next",
    ),
    (
        Mutant::ReadByEarlierRound,
        "a_read_is_confirmed_by_a_round_that_started_after_it",
    ),
    (
        Mutant::ReadBeforeOwnTerm,
        "no_read_before_the_first_entry_of_the_term_is_committed",
    ),
    (
        Mutant::FollowerReadsOwnCommit,
        "a_follower_reads_at_an_index_that_its_leader_confirmed",
    ),
];

#[test]
fn a_broken_rule_of_the_core_turns_its_script_red() {
    let guard = |(mutant, script)| Guard {
        mutant,
        test: "scripts::every_script_gives_its_trace",
        script,
    };
    mutant::demand_noticed(BY_SCRIPT.map(guard));
}
