//! Rules that a test breaks on purpose, one at a time, to see whether it is noticed.
//!
//! Only with the feature `mutants`, which no default turns on: without it neither this file nor any place that asks it
//! is compiled. Each variant is asked at the one place of its rule:
//!
//! ```text
//!   #[cfg(feature = "mutants")]
//!   if mutant::is(Mutant::TornTailKept) { .. what a wrong implementation would do .. }
//! ```
//!
//! The choice is the process's: `MARGAY_MUTANT=torn-tail-kept` breaks a rule in whatever was built with the
//! feature, the
//! server and every test; `--mutant` of the simulator and tests with several runs choose for themselves.

use core::sync::atomic::{AtomicU8, Ordering};
use std::env;
use std::process::Command;

/// A broken rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    // The core: votes, entries, commits.
    /// A vote leaves before it is durable.
    VoteNotDurable,
    /// A vote goes to a candidate whose log is shorter than the voter's.
    VoteForShorterLog,
    /// Who voted in a term votes in it again.
    TwoVotesInOneTerm,
    /// An append is taken although the entry before it is another one here.
    AppendWithoutCheck,
    /// Entries go that stand behind those of a late append, although nothing contradicts them.
    StaleAppendTruncates,
    /// A follower commits up to what its leader says, whether or not the logs are proven to agree there.
    CommitPastProof,
    /// Half of the voters, rounded down, are a quorum.
    QuorumOfHalf,
    /// An entry of an earlier term is committed by counting its copies.
    OldTermByCounting,
    /// A leader takes a follower's last index for what matches its own log.
    MatchFromLastIndex,
    /// A follower acknowledges entries before they are durable.
    AcknowledgedBeforeWrite,
    /// Nobody notices that a peer's process was restarted.
    EarlierLifeUnnoticed,
    // Reads.
    /// A read is confirmed by a round that started before it.
    ReadByEarlierRound,
    /// A new leader confirms reads before an entry of its own term is committed.
    ReadBeforeOwnTerm,
    /// A follower serves a linearizable read at its own commit index.
    FollowerReadsOwnCommit,
    /// A query does not wait for the commands that its session issued before it.
    QueryBeforeItsCommands,
    /// A query is answered from a state older than what its session has seen.
    QuerySeesLess,
    // Sessions.
    /// A command that is sent again is executed again.
    DuplicateExecuted,
    /// A new leader takes a session's next number from the applied table alone, whatever its unapplied tail holds.
    NextFromTableAlone,
    /// Outputs are dropped that their client has not acknowledged.
    OutputsDroppedEarly,
    /// A session ends when its end is applied, although it was heard from since that was proposed.
    ExpiresAlthoughHeard,
    /// What a leader heard from idle sessions is not written down.
    KeepAlivesUnwritten,
    /// The first entry of a term refreshes no session.
    NewTermRefreshesNobody,
    // The log on its disk.
    /// A write that goes on from one batch to the next is reported by the first.
    SpanningWriteEarly,
    /// A batch is reported as durable before those in front of it have returned.
    DurableOutOfOrder,
    /// Entries go when their checkpoint's pointer is written, not when it is covered.
    ReleasedUncovered,
    // Recovery.
    /// Recovery keeps a batch that was torn at the end of the log.
    TornTailKept,
    /// Recovery forgets the floor that the checkpoint's pointer tells.
    FloorForgotten,
    /// A new life of a log goes on in the epoch of the one before.
    EpochNotRaised,
    /// The restart batch is not synced.
    RestartUnsynced,
    // Births, and the shards of a node.
    /// The manifest passes births whose records are not durable on other shards.
    ManifestBeforeSiblings,
    /// A replica acts before the manifest knows of it.
    ActsBeforeManifest,
    /// A frame hops to a shard that did not give its attachment out.
    AttachmentHomeWrong,
    // The client.
    /// A client acknowledges outputs that it has not received.
    AcknowledgedUnreceived,
    /// A client that is bound again sends what is unanswered under the numbers that the leader expects next.
    RenumberedWhenBound,
    /// A client that is bound again sends only what the leader's log does not hold.
    UnansweredNotRepeated,
    /// A client takes a map that is older than the one it has.
    OlderMapTaken,
}

impl Mutant {
    /// All of them.
    pub const ALL: [Self; 36] = [
        Self::VoteNotDurable,
        Self::VoteForShorterLog,
        Self::TwoVotesInOneTerm,
        Self::AppendWithoutCheck,
        Self::StaleAppendTruncates,
        Self::CommitPastProof,
        Self::QuorumOfHalf,
        Self::OldTermByCounting,
        Self::MatchFromLastIndex,
        Self::AcknowledgedBeforeWrite,
        Self::EarlierLifeUnnoticed,
        Self::ReadByEarlierRound,
        Self::ReadBeforeOwnTerm,
        Self::FollowerReadsOwnCommit,
        Self::QueryBeforeItsCommands,
        Self::QuerySeesLess,
        Self::DuplicateExecuted,
        Self::NextFromTableAlone,
        Self::OutputsDroppedEarly,
        Self::ExpiresAlthoughHeard,
        Self::KeepAlivesUnwritten,
        Self::NewTermRefreshesNobody,
        Self::SpanningWriteEarly,
        Self::DurableOutOfOrder,
        Self::ReleasedUncovered,
        Self::TornTailKept,
        Self::FloorForgotten,
        Self::EpochNotRaised,
        Self::RestartUnsynced,
        Self::ManifestBeforeSiblings,
        Self::ActsBeforeManifest,
        Self::AttachmentHomeWrong,
        Self::AcknowledgedUnreceived,
        Self::RenumberedWhenBound,
        Self::UnansweredNotRepeated,
        Self::OlderMapTaken,
    ];

    /// Its name on command lines.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::VoteNotDurable => "vote-not-durable",
            Self::VoteForShorterLog => "vote-for-shorter-log",
            Self::TwoVotesInOneTerm => "two-votes-in-one-term",
            Self::AppendWithoutCheck => "append-without-check",
            Self::StaleAppendTruncates => "stale-append-truncates",
            Self::CommitPastProof => "commit-past-proof",
            Self::QuorumOfHalf => "quorum-of-half",
            Self::OldTermByCounting => "old-term-by-counting",
            Self::MatchFromLastIndex => "match-from-last-index",
            Self::AcknowledgedBeforeWrite => "acknowledged-before-write",
            Self::EarlierLifeUnnoticed => "earlier-life-unnoticed",
            Self::ReadByEarlierRound => "read-by-earlier-round",
            Self::ReadBeforeOwnTerm => "read-before-own-term",
            Self::FollowerReadsOwnCommit => "follower-reads-own-commit",
            Self::QueryBeforeItsCommands => "query-before-its-commands",
            Self::QuerySeesLess => "query-sees-less",
            Self::DuplicateExecuted => "duplicate-executed",
            Self::NextFromTableAlone => "next-from-table-alone",
            Self::OutputsDroppedEarly => "outputs-dropped-early",
            Self::ExpiresAlthoughHeard => "expires-although-heard",
            Self::KeepAlivesUnwritten => "keep-alives-unwritten",
            Self::NewTermRefreshesNobody => "new-term-refreshes-nobody",
            Self::SpanningWriteEarly => "spanning-write-early",
            Self::DurableOutOfOrder => "durable-out-of-order",
            Self::ReleasedUncovered => "released-uncovered",
            Self::TornTailKept => "torn-tail-kept",
            Self::FloorForgotten => "floor-forgotten",
            Self::EpochNotRaised => "epoch-not-raised",
            Self::RestartUnsynced => "restart-unsynced",
            Self::ManifestBeforeSiblings => "manifest-before-siblings",
            Self::ActsBeforeManifest => "acts-before-manifest",
            Self::AttachmentHomeWrong => "attachment-home-wrong",
            Self::AcknowledgedUnreceived => "acknowledged-unreceived",
            Self::RenumberedWhenBound => "renumbered-when-bound",
            Self::UnansweredNotRepeated => "unanswered-not-repeated",
            Self::OlderMapTaken => "older-map-taken",
        }
    }

    /// The one of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mutant| mutant.name() == name)
    }
}

/// The environment was not asked yet.
const UNASKED: u8 = u8::MAX;
/// No rule is broken.
const NONE: u8 = u8::MAX - 1;

static CHOSEN: AtomicU8 = AtomicU8::new(UNASKED);

/// Breaks this rule from now on, or none.
pub fn choose(mutant: Option<Mutant>) {
    let number = mutant.map_or(NONE, |mutant| mutant as u8);
    CHOSEN.store(number, Ordering::Relaxed);
}

/// Is this rule broken?
///
/// # Panics
/// When `MARGAY_MUTANT` is no mutant's name: a run that breaks nothing by mistake would prove nothing.
#[must_use]
pub fn is(mutant: Mutant) -> bool {
    if CHOSEN.load(Ordering::Relaxed) == UNASKED {
        choose(from_environment());
    }
    CHOSEN.load(Ordering::Relaxed) == mutant as u8
}

/// Does somebody notice? Each rule is broken in a process of its own, which runs one test of the calling program and
/// must fail; and pass when no rule is broken. `script` goes to the test as `MARGAY_SCRIPT`.
///
/// # Panics
/// When a test allows what it should notice, or fails anyway.
pub fn demand_noticed<'a>(guards: impl IntoIterator<Item = Guard<'a>>) {
    for guard in guards {
        let Guard {
            mutant,
            test,
            script,
        } = guard;
        assert!(
            guard.passes(None),
            "{test} {script} fails with no rule broken"
        );
        let is_allowed = guard.passes(Some(mutant));
        assert!(!is_allowed, "{test} {script} allows {}", mutant.name());
    }
}

/// A test that stands guard over a rule.
#[derive(Clone, Copy, Debug)]
pub struct Guard<'a> {
    /// The rule.
    pub mutant: Mutant,
    /// The whole name of the test.
    pub test: &'a str,
    /// Which of its scripts it plays; empty when it has none.
    pub script: &'a str,
}

impl Guard<'_> {
    /// A test without scripts.
    #[must_use]
    pub const fn of(mutant: Mutant, test: &str) -> Guard<'_> {
        Guard {
            mutant,
            test,
            script: "",
        }
    }

    fn passes(&self, broken: Option<Mutant>) -> bool {
        let program = env::current_exe().expect("a test knows its own file");
        let mut command = Command::new(program);
        command
            .args(["--exact", self.test])
            .env_remove("MARGAY_MUTANT");
        if !self.script.is_empty() {
            command.env("MARGAY_SCRIPT", self.script);
        }
        command.envs(broken.map(|broken| ("MARGAY_MUTANT", broken.name())));
        let output = command.output().expect("a test can be run");
        output.status.success()
    }
}

fn from_environment() -> Option<Mutant> {
    let name = env::var("MARGAY_MUTANT").ok()?;
    let mutant = Mutant::named(&name);
    assert!(
        mutant.is_some(),
        "MARGAY_MUTANT is {name}; mutants are {:?}",
        Mutant::ALL.map(Mutant::name)
    );
    mutant
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mutant_is_found_by_its_name() {
        for mutant in Mutant::ALL {
            assert_eq!(Mutant::named(mutant.name()), Some(mutant));
        }
        assert_eq!(Mutant::named("none"), None);
    }
}
