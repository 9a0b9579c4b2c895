//! Who belongs to a group, and the bytes in which a configuration entry says so.
//!
//! While voters change there are two sets of them: `voters` as they will be and `outgoing_voters` as they were;
//! every decision needs a majority of both (joint consensus, thesis 4.3). Otherwise `outgoing_voters` is empty.
//!
//! ```text
//!   byte  0        1        2          3         4
//!         version  voters   outgoing   learners  members of the three lists, one after another:
//!                  (count)  (count)    (count)   number u16 · node u16, little endian
//! ```
//!
//! Invariants of every configuration that was decoded or checked:
//! * Each list is sorted by number without duplicates, and a number names one node in all lists.
//! * There is at least one voter; there are at most [`VOTERS_MAX`] in each half and [`MEMBERS_MAX`] members.
//! * No learner is in `voters`. It may be in `outgoing_voters`: a voter on its way to being a learner.

use crate::types::{NodeId, ReplicaNumber};
use alloc::vec::Vec;
use core::fmt;

/// Most voters in one half of a configuration.
pub const VOTERS_MAX: usize = 7;
/// Most members of a group, learners included.
pub const MEMBERS_MAX: usize = 16;

const VERSION: u8 = 1;
const HEADER_BYTES: usize = 4;
const MEMBER_BYTES: usize = 4;

const _: () = assert!(
    VOTERS_MAX <= MEMBERS_MAX && MEMBERS_MAX <= u8::MAX as usize,
    "counts are bytes"
);

/// One replica of the group and the node that holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Member {
    /// Its number, never given to another replica of the group.
    pub number: ReplicaNumber,
    /// The node that holds it.
    pub node: NodeId,
}

/// The set of voters and learners (thesis 4). The default one has no members: a new replica that was not told yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Configuration {
    /// Who votes; in a joint configuration, who will.
    pub voters: Vec<Member>,
    /// In a joint configuration, who voted before; otherwise empty.
    pub outgoing_voters: Vec<Member>,
    /// Who receives entries without a vote.
    pub learners: Vec<Member>,
}

/// Why members are no configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigurationError {
    /// The bytes end early or late: damaged.
    Length,
    /// Another version wrote it; this program is too old for it.
    Version(u8),
    /// Nobody would vote.
    NoVoters,
    /// More voters or members than a group may have.
    TooMany,
    /// Not sorted by number, or a number twice.
    Order,
    /// A number with two nodes, a learner that votes, or the number 0.
    Contradiction,
}

impl fmt::Display for ConfigurationError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length => write!(formatter, "the configuration's bytes are cut or too many"),
            Self::Version(version) => {
                write!(formatter, "configuration version {version} is unknown")
            }
            Self::NoVoters => write!(formatter, "the configuration has no voter"),
            Self::TooMany => {
                write!(
                    formatter,
                    "more than {VOTERS_MAX} voters or {MEMBERS_MAX} members"
                )
            }
            Self::Order => write!(
                formatter,
                "members are not in strict order of their numbers"
            ),
            Self::Contradiction => write!(formatter, "the lists of members contradict each other"),
        }
    }
}

impl core::error::Error for ConfigurationError {}

impl Configuration {
    /// Two halves decide.
    #[must_use]
    pub fn is_joint(&self) -> bool {
        !self.outgoing_voters.is_empty()
    }

    /// Does it vote, in either half?
    #[must_use]
    pub fn is_voter(&self, number: ReplicaNumber) -> bool {
        contains(&self.voters, number) || contains(&self.outgoing_voters, number)
    }

    /// Does it belong to the group in any way?
    #[must_use]
    pub fn is_member(&self, number: ReplicaNumber) -> bool {
        self.is_voter(number) || contains(&self.learners, number)
    }

    /// Is it the one and only voter?
    #[must_use]
    pub fn is_only_voter(&self, number: ReplicaNumber) -> bool {
        !self.is_joint() && self.voters.len() == 1 && contains(&self.voters, number)
    }

    /// Everybody once, voters first; in the order of the lists.
    pub fn members(&self) -> impl Iterator<Item = Member> + '_ {
        let leaving = self
            .outgoing_voters
            .iter()
            .filter(|member| !contains(&self.voters, member.number));
        let learning = self
            .learners
            .iter()
            .filter(|member| !contains(&self.outgoing_voters, member.number));
        self.voters.iter().chain(leaving).chain(learning).copied()
    }

    /// The node that holds a member.
    #[must_use]
    pub fn node_of(&self, number: ReplicaNumber) -> Option<NodeId> {
        self.members()
            .find(|member| member.number == number)
            .map(|member| member.node)
    }

    /// The configuration that follows a joint one.
    #[must_use]
    pub fn without_outgoing(&self) -> Self {
        assert!(
            self.is_joint(),
            "only a joint configuration has a final one: {self:?}"
        );
        Self {
            voters: self.voters.clone(),
            outgoing_voters: Vec::new(),
            learners: self.learners.clone(),
        }
    }

    /// Does it keep the invariants in this file's header?
    ///
    /// # Errors
    /// The first invariant that it breaks.
    pub fn check(&self) -> Result<(), ConfigurationError> {
        if self.voters.is_empty() {
            return Err(ConfigurationError::NoVoters);
        }
        if self.voters.len() > VOTERS_MAX || self.outgoing_voters.len() > VOTERS_MAX {
            return Err(ConfigurationError::TooMany);
        }
        for list in [&self.voters, &self.outgoing_voters, &self.learners] {
            if !list.is_sorted_by(|a, b| a.number < b.number) {
                return Err(ConfigurationError::Order);
            }
        }
        if self.members().count() > MEMBERS_MAX {
            return Err(ConfigurationError::TooMany);
        }
        let agrees = |member: &Member| {
            member.number.number() != 0 && self.node_of(member.number) == Some(member.node)
        };
        let lists = self
            .voters
            .iter()
            .chain(&self.outgoing_voters)
            .chain(&self.learners);
        let learner_votes = self
            .learners
            .iter()
            .any(|member| contains(&self.voters, member.number));
        if learner_votes || !lists.copied().all(|member| agrees(&member)) {
            return Err(ConfigurationError::Contradiction);
        }
        Ok(())
    }

    /// Appends the bytes of a configuration entry's payload.
    pub fn encode(&self, bytes: &mut Vec<u8>) {
        assert_eq!(self.check(), Ok(()), "only what can be decoded is encoded");
        bytes.push(VERSION);
        for list in [&self.voters, &self.outgoing_voters, &self.learners] {
            bytes.push(u8::try_from(list.len()).expect("checked against MEMBERS_MAX"));
        }
        for member in self
            .voters
            .iter()
            .chain(&self.outgoing_voters)
            .chain(&self.learners)
        {
            bytes.extend_from_slice(&member.number.number().to_le_bytes());
            bytes.extend_from_slice(&member.node.number().to_le_bytes());
        }
    }

    /// Reads the payload of a configuration entry.
    ///
    /// # Errors
    /// When the bytes are not what [`Configuration::encode`] writes, byte for byte.
    pub fn decode(bytes: &[u8]) -> Result<Self, ConfigurationError> {
        let (&[version, voters, outgoing, learners], rest) = bytes
            .split_first_chunk::<HEADER_BYTES>()
            .ok_or(ConfigurationError::Length)?;
        if version != VERSION {
            return Err(ConfigurationError::Version(version));
        }
        let counts = [voters, outgoing, learners].map(usize::from);
        let expected_bytes = counts.iter().sum::<usize>() * MEMBER_BYTES;
        if rest.len() != expected_bytes {
            return Err(ConfigurationError::Length);
        }
        let mut members = rest.chunks_exact(MEMBER_BYTES).filter_map(decode_member);
        let [voters, outgoing_voters, learners] =
            counts.map(|count| members.by_ref().take(count).collect());
        let configuration = Self {
            voters,
            outgoing_voters,
            learners,
        };
        configuration.check().map(|()| configuration)
    }
}

fn decode_member(bytes: &[u8]) -> Option<Member> {
    let &[number_low, number_high, node_low, node_high] = bytes.first_chunk::<MEMBER_BYTES>()?;
    Some(Member {
        number: ReplicaNumber::new(u16::from_le_bytes([number_low, number_high])),
        node: NodeId::new(u16::from_le_bytes([node_low, node_high])),
    })
}

fn contains(list: &[Member], number: ReplicaNumber) -> bool {
    list.iter().any(|member| member.number == number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn members(numbers: &[u16]) -> Vec<Member> {
        let member = |&n| Member {
            number: ReplicaNumber::new(n),
            node: NodeId::new(n.wrapping_add(10)),
        };
        numbers.iter().map(member).collect()
    }

    fn configuration(voters: &[u16], outgoing: &[u16], learners: &[u16]) -> Configuration {
        Configuration {
            voters: members(voters),
            outgoing_voters: members(outgoing),
            learners: members(learners),
        }
    }

    #[test]
    fn what_is_encoded_is_decoded() {
        for it in [
            configuration(&[1], &[], &[]),
            configuration(&[1, 2, 4], &[1, 2, 3], &[3, 5]),
            configuration(
                &[1, 2, 3, 4, 5, 6, 7],
                &[],
                &[8, 9, 10, 11, 12, 13, 14, 15, 16],
            ),
        ] {
            let mut bytes = Vec::new();
            it.encode(&mut bytes);
            assert_eq!(Configuration::decode(&bytes), Ok(it));
        }
    }

    #[test]
    fn bytes_that_are_cut_or_too_many_are_refused() {
        let mut bytes = Vec::new();
        configuration(&[1, 2], &[], &[3]).encode(&mut bytes);
        for cut in 0..bytes.len() {
            assert_eq!(
                Configuration::decode(&bytes[..cut]),
                Err(ConfigurationError::Length)
            );
        }
        bytes.push(0);
        assert_eq!(
            Configuration::decode(&bytes),
            Err(ConfigurationError::Length)
        );
    }

    #[test]
    fn a_newer_version_is_named() {
        let mut bytes = Vec::new();
        configuration(&[1], &[], &[]).encode(&mut bytes);
        bytes[0] = 9;
        assert_eq!(
            Configuration::decode(&bytes),
            Err(ConfigurationError::Version(9))
        );
    }

    #[test]
    fn contradictions_are_refused() {
        use ConfigurationError::{Contradiction, NoVoters, Order, TooMany};
        assert_eq!(configuration(&[], &[], &[1]).check(), Err(NoVoters));
        assert_eq!(configuration(&[2, 1], &[], &[]).check(), Err(Order));
        assert_eq!(configuration(&[1, 1], &[], &[]).check(), Err(Order));
        assert_eq!(
            configuration(&[1, 2], &[], &[2]).check(),
            Err(Contradiction)
        );
        assert_eq!(configuration(&[0, 2], &[], &[]).check(), Err(Contradiction));
        assert_eq!(
            configuration(&[1, 2, 3, 4, 5, 6, 7, 8], &[], &[]).check(),
            Err(TooMany)
        );
        let mut two_nodes = configuration(&[1, 2], &[], &[]);
        two_nodes.outgoing_voters = vec![Member {
            number: ReplicaNumber::new(1),
            node: NodeId::new(99),
        }];
        assert_eq!(two_nodes.check(), Err(Contradiction));
    }

    #[test]
    fn members_are_listed_once() {
        let joint = configuration(&[1, 2, 4], &[1, 2, 3], &[3, 5]);
        let numbers: Vec<u16> = joint
            .members()
            .map(|member| member.number.number())
            .collect();
        assert_eq!(numbers, [1, 2, 4, 3, 5]);
    }
}
