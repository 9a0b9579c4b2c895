//! The effect chains of a group's replicas, held side by side: do all machines compute the same?
//!
//! Replicas apply at their own pace. Two of them are compared at an index that both still know: the applied one of
//! each, and samples of earlier ones. While they move on there may be none for a moment, so it is asked again.

use super::survey::Survey;
use margay_client::operator::{Deadline, PAUSE, ask};
use margay_types::{GroupId, Index, NodeId};
use margay_wire::admin::{Chain, ChainLink, ChainRequest, GroupStatus};
use std::collections::{BTreeMap, BTreeSet};

/// How often replicas that move on are asked before they count as not compared.
const ROUNDS_MAX: usize = 8;

/// What each node that answers has computed.
#[derive(Debug, Default)]
pub(super) struct Chains(BTreeMap<NodeId, Chain>);

/// What the comparison says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// All had the same at this index, the greatest that all know.
    Agree {
        /// Where.
        index: Index,
    },
    /// Two had something else at this index, the least where that was seen.
    Differ {
        /// Where.
        index: Index,
    },
    /// There are not two, or they have no index in common.
    NotCompared,
}

impl Chains {
    /// Asks the nodes that answer and have a replica of the group.
    pub(super) fn of(survey: &Survey, group: GroupId, deadline: Deadline) -> Self {
        let has_replica =
            |groups: &[GroupStatus]| groups.iter().any(|replica| replica.group == group);
        let nodes: Vec<(NodeId, &str)> = survey
            .up()
            .filter(|(_, status)| has_replica(&status.groups))
            .map(|(node, _)| (node.node, node.address.as_str()))
            .collect();
        let mut chains = Self::default();
        for _ in 0..ROUNDS_MAX {
            chains = Self::round(&nodes, group, deadline);
            let is_done = chains.0.len() < 2 || chains.verdict() != Verdict::NotCompared;
            if is_done || !deadline.pause(PAUSE) {
                break;
            }
        }
        chains
    }

    fn round(nodes: &[(NodeId, &str)], group: GroupId, deadline: Deadline) -> Self {
        let chain = |(asked, (node, address)): (usize, &(NodeId, &str))| {
            let share = deadline.share(nodes.len() - asked);
            // A replica that does not tell its chain now has none in the comparison.
            let chain = ask(address, &ChainRequest { group }, share).ok()?;
            Some((*node, chain))
        };
        Self(nodes.iter().enumerate().filter_map(chain).collect())
    }

    /// Where a node's replica stands.
    pub(super) fn applied(&self, node: NodeId) -> Option<ChainLink> {
        self.0.get(&node).map(|chain| chain.applied)
    }

    /// Compares all of them.
    pub(super) fn verdict(&self) -> Verdict {
        let mut agreed = None;
        for index in self.indexes() {
            let mut hashes: Vec<[u8; 16]> = self.0.values().filter_map(|it| it.at(index)).collect();
            let count = hashes.len();
            hashes.sort_unstable();
            hashes.dedup();
            if hashes.len() > 1 {
                return Verdict::Differ { index };
            }
            if count == self.0.len() && count > 1 {
                agreed = Some(index);
            }
        }
        agreed.map_or(Verdict::NotCompared, |index| Verdict::Agree { index })
    }

    /// Every index that any of them knows, ascending.
    fn indexes(&self) -> BTreeSet<Index> {
        let links = self
            .0
            .values()
            .flat_map(|chain| std::iter::once(&chain.applied).chain(&chain.samples));
        links.map(|link| link.index).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chains(all: &[&[(u64, u8)]]) -> Chains {
        let link = |(index, byte): &(u64, u8)| ChainLink {
            index: Index::new(*index),
            hash: [*byte; 16],
        };
        let chain = |links: &&[(u64, u8)]| {
            let (applied, samples) = links.split_last().expect("a chain has a link");
            Chain {
                applied: link(applied),
                samples: samples.iter().map(link).collect(),
            }
        };
        let nodes = (1..).map(NodeId::new);
        Chains(nodes.zip(all.iter().map(chain)).collect())
    }

    #[test]
    fn replicas_agree_at_the_greatest_index_that_all_know() {
        let agree = |index| Verdict::Agree {
            index: Index::new(index),
        };
        assert_eq!(chains(&[&[(9, 1)], &[(9, 1)]]).verdict(), agree(9));
        let behind = chains(&[&[(8, 1), (9, 2)], &[(8, 1)]]);
        assert_eq!(behind.verdict(), agree(8));
    }

    #[test]
    fn one_replica_that_computed_something_else_is_enough() {
        let differ = Verdict::Differ {
            index: Index::new(8),
        };
        let all: [&[(u64, u8)]; 3] = [&[(8, 1), (9, 2)], &[(9, 2)], &[(8, 7), (9, 3)]];
        assert_eq!(chains(&all).verdict(), differ);
        let apart: [&[(u64, u8)]; 3] = [&[(8, 1)], &[(8, 7)], &[(3, 1)]];
        assert_eq!(chains(&apart).verdict(), differ);
    }

    #[test]
    fn one_alone_and_those_without_a_common_index_are_not_compared() {
        assert_eq!(chains(&[]).verdict(), Verdict::NotCompared);
        assert_eq!(chains(&[&[(9, 1)]]).verdict(), Verdict::NotCompared);
        let apart = chains(&[&[(8, 1)], &[(9, 1)]]);
        assert_eq!(apart.verdict(), Verdict::NotCompared);
    }
}
