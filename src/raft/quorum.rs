//! What a majority has in common: counted per half, and a joint configuration needs both (thesis 4.3).

use crate::configuration::{Configuration, Member, VOTERS_MAX};
use crate::types::ReplicaNumber;
#[cfg(feature = "mutants")]
use margay_types::mutant::{self, Mutant};

/// How an election stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tally {
    /// A quorum said yes.
    Won,
    /// No quorum can say yes any more.
    Lost,
    /// Not decided.
    Open,
}

/// The greatest number that a quorum has reached; 0 without voters.
pub(crate) fn reached(
    configuration: &Configuration,
    number_of: impl Fn(ReplicaNumber) -> u64,
) -> u64 {
    let incoming = reached_by(&configuration.voters, &number_of);
    if configuration.is_joint() {
        incoming.min(reached_by(&configuration.outgoing_voters, &number_of))
    } else {
        incoming
    }
}

/// Is it true of a quorum?
pub(crate) fn holds(
    configuration: &Configuration,
    is_true_of: impl Fn(ReplicaNumber) -> bool,
) -> bool {
    reached(configuration, |number| u64::from(is_true_of(number))) == 1
}

/// Counts votes; `None` is one that has not answered.
pub(crate) fn tally(
    configuration: &Configuration,
    vote_of: impl Fn(ReplicaNumber) -> Option<bool>,
) -> Tally {
    if holds(configuration, |number| vote_of(number) == Some(true)) {
        Tally::Won
    } else if holds(configuration, |number| vote_of(number) != Some(false)) {
        Tally::Open
    } else {
        Tally::Lost
    }
}

fn reached_by(voters: &[Member], number_of: &impl Fn(ReplicaNumber) -> u64) -> u64 {
    assert!(
        voters.len() <= VOTERS_MAX,
        "{} voters in one half",
        voters.len()
    );
    let mut numbers = [0; VOTERS_MAX];
    let numbers = &mut numbers[..voters.len()];
    for (number, voter) in numbers.iter_mut().zip(voters) {
        *number = number_of(voter.number);
    }
    numbers.sort_unstable();
    // Of n sorted upwards, the one at (n - 1) / 2 is reached by itself and all behind it: n / 2 + 1 of them.
    let at = voters.len().saturating_sub(1) / 2;
    #[cfg(feature = "mutants")]
    let at = if mutant::is(Mutant::QuorumOfHalf) {
        voters.len().saturating_sub((voters.len() / 2).max(1))
    } else {
        at
    };
    numbers.get(at).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::NodeId;
    use alloc::vec::Vec;

    fn half(numbers: &[u16]) -> Vec<Member> {
        let member = |&n| Member {
            number: ReplicaNumber::new(n),
            node: NodeId::new(n),
        };
        numbers.iter().map(member).collect()
    }

    fn configuration(voters: &[u16], outgoing: &[u16]) -> Configuration {
        Configuration {
            voters: half(voters),
            outgoing_voters: half(outgoing),
            learners: Vec::new(),
        }
    }

    #[test]
    fn a_majority_is_more_than_half() {
        let own = |number: ReplicaNumber| u64::from(number.number());
        for (voters, expected) in [
            (&[1][..], 1),
            (&[1, 2], 1),
            (&[1, 2, 3], 2),
            (&[1, 2, 3, 4], 2),
            (&[1, 2, 3, 4, 5], 3),
        ] {
            assert_eq!(
                reached(&configuration(voters, &[]), own),
                expected,
                "{voters:?}"
            );
        }
        assert_eq!(reached(&configuration(&[], &[]), own), 0);
    }

    #[test]
    fn a_joint_configuration_needs_both_halves() {
        let joint = configuration(&[4, 5, 6], &[1, 2, 3]);
        assert!(!holds(&joint, |number| number.number() >= 4));
        assert!(!holds(&joint, |number| number.number() <= 3));
        assert!(holds(&joint, |number| number.number() != 1
            && number.number() != 6));
    }

    #[test]
    fn an_election_is_lost_as_soon_as_no_quorum_is_left() {
        let three = configuration(&[1, 2, 3], &[]);
        assert_eq!(tally(&three, |_| None), Tally::Open);
        assert_eq!(
            tally(&three, |n| (n.number() == 1).then_some(false)),
            Tally::Open
        );
        assert_eq!(
            tally(&three, |n| (n.number() != 1).then_some(false)),
            Tally::Lost
        );
        assert_eq!(
            tally(&three, |n| (n.number() != 1).then_some(true)),
            Tally::Won
        );
    }
}
