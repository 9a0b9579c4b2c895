//! What every answer must be, and what is said when one is not.
//!
//! * Output `n` of a session has count `n` and the hash of the chain there.
//! * Totals of a group grow with the index, and none comes twice.
//! * A command that is sent a second time, on another connection, gets the first output.
//! * No session is lost, nothing is pending at the end, and the group's total has grown by the sum of the
//!   counts.
//!
//! The first rule that breaks is kept: what follows is mostly its consequence.

use crate::accounts::Seen;
use crate::chain::Chain;
use crate::failure::{Exit, Failure};
use crate::totals::{Totals, TotalsFault};
use margay_machine::Decode;
use margay_resources::bench::Appended;
use margay_types::{GroupId, Index, SequenceNumber, SessionId};
use std::collections::BTreeMap;

/// Which command an answer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The group.
    pub(crate) group: GroupId,
    /// The session in it.
    pub(crate) session: SessionId,
    /// The command's number in the session.
    pub(crate) sequence: SequenceNumber,
    /// Index of its entry.
    pub(crate) index: Index,
}

/// The first output of a command that was sent twice, or the second, whichever came first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Twice {
    Nothing,
    First(Index, Appended),
    Second(Index, Appended),
}

/// All rules over one run.
#[derive(Debug)]
pub(crate) struct Check {
    totals: BTreeMap<GroupId, Totals>,
    twice: BTreeMap<(GroupId, SessionId, SequenceNumber), Twice>,
    repeats_compared: u64,
    broken: Option<Failure>,
}

/// Says which rule broke.
fn broken(rule: &str) -> Failure {
    Failure::new(Exit::ConditionFalse, format!("the check failed: {rule}"))
}

fn broken_at(rule: &str, place: Place) -> Failure {
    broken(rule)
        .with(
            "command",
            format!(
                "{} of session {} in group {}",
                place.sequence, place.session, place.group
            ),
        )
        .with("index", place.index)
}

fn shown(count: u64, hash: u64) -> String {
    format!("count {count}, hash {hash:016x}")
}

impl Check {
    /// Rules over these groups, with so many commands outstanding.
    pub(crate) fn new(groups: &[GroupId], outstanding: usize) -> Self {
        let totals = groups
            .iter()
            .map(|group| (*group, Totals::new(outstanding)));
        Self {
            totals: totals.collect(),
            twice: BTreeMap::new(),
            repeats_compared: 0,
            broken: None,
        }
    }

    /// Commands sent twice whose outputs were compared.
    pub(crate) const fn repeats_compared(&self) -> u64 {
        self.repeats_compared
    }

    /// An error with the first rule that broke.
    pub(crate) fn verdict(&self) -> Result<(), Failure> {
        self.broken.clone().map_or(Ok(()), Err)
    }

    /// A command was answered; `chain` is what its session must have come to.
    pub(crate) fn on_output(&mut self, place: Place, chain: Chain, output: &[u8]) {
        if self.broken.is_none()
            && let Err(failure) = self.try_output(place, chain, output)
        {
            self.broken = Some(failure);
        }
    }

    fn try_output(&mut self, place: Place, chain: Chain, output: &[u8]) -> Result<(), Failure> {
        let appended = decode(place, output)?;
        let (count, hash) = (appended.count.get(), appended.hash.get());
        let rule = if count != chain.count() {
            Some("a count differs: commands of the session were lost or doubled")
        } else if hash != chain.hash() {
            Some("a hash differs: commands of the session were swapped or changed")
        } else {
            None
        };
        if let Some(rule) = rule {
            return Err(broken_at(rule, place)
                .with("expected", shown(chain.count(), chain.hash()))
                .with("got", shown(count, hash)));
        }
        self.check_total(place, appended.total.get())?;
        self.compare(place, Twice::First(place.index, appended))
    }

    fn check_total(&mut self, place: Place, total: u64) -> Result<(), Failure> {
        let Some(totals) = self.totals.get_mut(&place.group) else {
            return Ok(());
        };
        totals
            .on_total(total, place.index.number())
            .map_err(|fault| match fault {
                TotalsFault::Doubled {
                    total, other_index, ..
                } => broken_at("two commands have one total", place)
                    .with("total", total)
                    .with("also at", format!("index {other_index}")),
                TotalsFault::OutOfOrder {
                    total,
                    other_total,
                    other_index,
                    ..
                } => broken_at("totals do not grow with the index", place)
                    .with("total", total)
                    .with("against", format!("{other_total} at index {other_index}")),
            })
    }

    /// A command is being sent twice.
    pub(crate) fn expect_repeat(&mut self, place: Place) {
        self.twice.insert(key(place), Twice::Nothing);
    }

    /// A repeat has no output to compare: it came too late, or its connection was lost.
    pub(crate) fn forget_repeat(&mut self, place: Place) {
        self.twice.remove(&key(place));
    }

    /// The second answer to a command.
    pub(crate) fn on_repeat(&mut self, place: Place, output: &[u8]) {
        if self.broken.is_some() {
            return;
        }
        let compared = decode(place, output)
            .and_then(|appended| self.compare(place, Twice::Second(place.index, appended)));
        if let Err(failure) = compared {
            self.broken = Some(failure);
        }
    }

    /// Compares the two outputs of a command once both are there.
    fn compare(&mut self, place: Place, news: Twice) -> Result<(), Failure> {
        // Most commands are sent once, and most of the time no repeat is under way at all.
        if self.twice.is_empty() {
            return Ok(());
        }
        let Some(known) = self.twice.get_mut(&key(place)) else {
            return Ok(());
        };
        let ((first_index, first), (second_index, second)) = match (*known, news) {
            (Twice::First(index, output), Twice::Second(later, again))
            | (Twice::Second(later, again), Twice::First(index, output)) => {
                ((index, output), (later, again))
            }
            (_, news) => {
                *known = news;
                return Ok(());
            }
        };
        self.twice.remove(&key(place));
        self.repeats_compared += 1;
        if (first_index, first) == (second_index, second) {
            return Ok(());
        }
        let shown = |index: Index, output: Appended| {
            let tally = shown(output.count.get(), output.hash.get());
            format!("{tally}, total {} at index {index}", output.total)
        };
        Err(
            broken_at("a command that was sent twice got two outputs", place)
                .with("first", shown(first_index, first))
                .with("second", shown(second_index, second)),
        )
    }

    /// A read of a session's tally: everything completed before it is in it, and nothing that was not issued.
    pub(crate) fn on_tally(&mut self, place: Place, count: u64, completed: u64) {
        let issued = place.sequence.number();
        if self.broken.is_none() && !(completed..=issued).contains(&count) {
            let failure = broken_at("a read saw what cannot be", place)
                .with("completed before it", completed)
                .with("issued after it", issued)
                .with("got", count);
            self.broken = Some(failure);
        }
    }

    /// A linearizable read of a group's total: whatever had been answered to anybody before is in it.
    pub(crate) fn on_total(&mut self, place: Place, got: Seen, before: Seen) {
        if self.broken.is_none() && (got.index < before.index || got.total < before.total) {
            let failure = broken_at("a read saw an older state than was answered before", place)
                .with("index before", before.index)
                .with("total before", before.total)
                .with("total", got.total);
            self.broken = Some(failure);
        }
    }

    /// A session ended that nobody closed.
    pub(crate) fn on_lost(&mut self, place: Place, why: &str) {
        let failure = broken_at("a session was lost", place).with("reason", why);
        self.broken.get_or_insert(failure);
    }

    /// Commands are pending although nothing is issued any more.
    pub(crate) fn on_pending(&mut self, count: usize, waited: std::time::Duration, why: &str) {
        let failure = broken("commands were never answered")
            .with("pending", count)
            .with("waited", format!("{} s", waited.as_secs()))
            .with("reason", why);
        self.broken.get_or_insert(failure);
    }

    /// The totals of a group before and after, against what its sessions counted.
    pub(crate) fn on_sum(&mut self, group: GroupId, (before, after): (u64, u64), counted: u64) {
        if before.checked_add(counted) == Some(after) {
            return;
        }
        let failure = broken("a group's total has not grown by what its sessions counted")
            .with("group", group)
            .with("total before", before)
            .with("total after", after)
            .with("counted", counted)
            .remedy("let nobody else write to the keyspace meanwhile");
        self.broken.get_or_insert(failure);
    }
}

fn key(place: Place) -> (GroupId, SessionId, SequenceNumber) {
    (place.group, place.session, place.sequence)
}

fn decode(place: Place, output: &[u8]) -> Result<Appended, Failure> {
    Appended::decode(output).map_err(|_| {
        broken_at("an output is none of the machine's", place).with("bytes", output.len())
    })
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
