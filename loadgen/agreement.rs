//! Do all replicas of a group have one effect chain?
//!
//! Every replica hashes everything that applying produced, entry by entry. Two replicas with the same
//! value at the same index have computed the same, all the way. They are not always at the same index, so
//! each tells some earlier values too, and they are asked until they have one index in common that lies
//! behind everything that this run did.

use crate::cluster::Cluster;
use crate::failure::{Exit, Failure};
use crate::stop::Stop;
use margay_client::operator;
use margay_types::{GroupId, Index, NodeId};
use margay_wire::admin::{Chain, ChainLink};
use std::collections::BTreeMap;
use std::time::Duration;

/// Between two questions.
const PAUSE: Duration = Duration::from_millis(100);

/// Questions until the replicas must agree: about five seconds.
const QUESTIONS_MAX: usize = 50;

/// The longest that one answer takes.
const ASK_TIME: Duration = Duration::from_secs(1);

/// One link that all replicas have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Agreed {
    /// The entry.
    pub(crate) index: Index,
    /// The chain behind it.
    pub(crate) hash: [u8; 16],
    /// How many replicas have it.
    pub(crate) replicas: usize,
}

/// What the replicas of a group say.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Opinion {
    One(ChainLink),
    /// No index in common, or not everybody answered.
    None,
    /// Different values at one index: these two contradict each other.
    Many(Index, [NodeId; 2]),
}

/// Asks all replicas of all groups; the link of the group with the greatest index. `reached` is the greatest index
/// that this run has seen in each group.
pub(crate) fn agree(
    cluster: &Cluster,
    reached: &BTreeMap<GroupId, Index>,
    stop: &Stop,
) -> Result<Agreed, Failure> {
    let mut greatest: Option<Agreed> = None;
    for group in cluster.groups() {
        let reached = reached.get(group).copied().unwrap_or_default();
        let agreed = agree_on(cluster, *group, reached, stop)?;
        let is_greater = greatest.is_none_or(|known| known.index < agreed.index);
        if is_greater {
            greatest = Some(agreed);
        }
    }
    greatest.ok_or_else(|| Failure::new(Exit::Refused, "the keyspace has no group"))
}

fn agree_on(
    cluster: &Cluster,
    group: GroupId,
    reached: Index,
    stop: &Stop,
) -> Result<Agreed, Failure> {
    let members = cluster.members(group);
    let mut chains = Vec::new();
    for _ in 0..QUESTIONS_MAX {
        let ask = |(node, address): &(NodeId, String)| {
            let chain = operator::chain(address, group, ASK_TIME).ok()?;
            Some((*node, chain))
        };
        chains = members.iter().filter_map(ask).collect();
        match opinion(&chains, members.len()) {
            Opinion::One(link) if link.index >= reached => {
                return Ok(Agreed {
                    index: link.index,
                    hash: link.hash,
                    replicas: members.len(),
                });
            }
            Opinion::One(_) | Opinion::None => stop.pause(PAUSE)?,
            Opinion::Many(index, nodes) => return Err(contradiction(group, index, nodes, &chains)),
        }
    }
    Err(no_common_index(group, members.len(), &chains).with("wanted", format!("index {reached}")))
}

/// The greatest index that all replicas name, if nobody contradicts anybody.
fn opinion(chains: &[(NodeId, Chain)], members: usize) -> Opinion {
    let mut said: BTreeMap<Index, BTreeMap<NodeId, [u8; 16]>> = BTreeMap::new();
    for (node, chain) in chains {
        for link in chain.samples.iter().chain([&chain.applied]) {
            said.entry(link.index).or_default().insert(*node, link.hash);
        }
    }
    let mut common = Opinion::None;
    for (index, hashes) in said {
        let Some((first, hash)) = hashes.first_key_value() else {
            continue;
        };
        if let Some((other, _)) = hashes.iter().find(|(_, other)| *other != hash) {
            return Opinion::Many(index, [*first, *other]);
        }
        if hashes.len() == members {
            common = Opinion::One(ChainLink { index, hash: *hash });
        }
    }
    common
}

fn contradiction(
    group: GroupId,
    index: Index,
    nodes: [NodeId; 2],
    chains: &[(NodeId, Chain)],
) -> Failure {
    let title = "the check failed: replicas have computed different things";
    let mut failure = Failure::new(Exit::ConditionFalse, title)
        .with("group", group)
        .with("index", index);
    for (node, chain) in chains.iter().filter(|(node, _)| nodes.contains(node)) {
        let hash = chain.at(index).map(|hash| hex(&hash)).unwrap_or_default();
        failure = failure.with("chain", format!("{hash} on node {node}"));
    }
    failure
}

fn no_common_index(group: GroupId, members: usize, chains: &[(NodeId, Chain)]) -> Failure {
    let title = "the check failed: replicas do not reach one index";
    let mut failure = Failure::new(Exit::ConditionFalse, title)
        .with("group", group)
        .with(
            "answered",
            format!("{} of {members} replicas", chains.len()),
        );
    for (node, chain) in chains {
        let at = format!("index {} on node {node}", chain.applied.index);
        failure = failure.with("applied", at);
    }
    failure
}

/// Bytes as people compare them.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(index: u64, value: u8) -> ChainLink {
        ChainLink {
            index: Index::new(index),
            hash: [value; 16],
        }
    }

    fn chain(node: u16, applied: ChainLink, samples: &[ChainLink]) -> (NodeId, Chain) {
        let chain = Chain {
            applied,
            samples: samples.to_vec(),
        };
        (NodeId::new(node), chain)
    }

    #[test]
    fn replicas_at_one_index_agree_when_they_have_one_value() {
        let chains = [chain(1, link(9, 5), &[]), chain(2, link(9, 5), &[])];
        assert_eq!(opinion(&chains, 2), Opinion::One(link(9, 5)));
    }

    #[test]
    fn the_greatest_index_in_common_counts() {
        let samples = [link(4_096, 1), link(8_192, 2)];
        let chains = [
            chain(1, link(9_000, 5), &samples),
            chain(2, link(8_192, 2), &samples[..1]),
            chain(3, link(8_500, 4), &samples),
        ];
        assert_eq!(opinion(&chains, 3), Opinion::One(link(8_192, 2)));
    }

    #[test]
    fn a_replica_that_does_not_answer_or_is_elsewhere_leaves_it_open() {
        let one = [chain(1, link(9, 5), &[])];
        assert_eq!(opinion(&one, 2), Opinion::None);
        let apart = [chain(1, link(9, 5), &[]), chain(2, link(8, 4), &[])];
        assert_eq!(opinion(&apart, 2), Opinion::None);
    }

    #[test]
    fn two_values_at_one_index_are_a_contradiction_even_among_few() {
        let chains = [
            chain(1, link(9_000, 5), &[link(4_096, 1)]),
            chain(3, link(9_001, 7), &[link(4_096, 2)]),
        ];
        let nodes = [NodeId::new(1), NodeId::new(3)];
        assert_eq!(opinion(&chains, 3), Opinion::Many(Index::new(4_096), nodes));
        let failure = contradiction(GroupId::new(2), Index::new(4_096), nodes, &chains);
        assert_eq!(failure.exit(), Exit::ConditionFalse);
        assert!(failure.to_string().contains(&"02".repeat(16)));
    }
}
