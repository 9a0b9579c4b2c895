//! What every node of a cluster says of itself, asked one by one.
//!
//! ```text
//!   any endpoint ──> map ──> each node of the map: its whole state, page by page; and its own map
//!                             └─ or why there is none: it is seen as down
//! ```
//!
//! A map is as new as the replica of group 0 that it comes from. The newest of all is taken: in an older one a group
//! that was just created does not exist, and nobody would miss its leader.
//!
//! Each node gets an equal share of the time that is left, so that a silent one does not take the turn of others.

use super::operator_failure::{Named, operator_failure};
use crate::codes::{Code, Failure};
use margay_client::operator::{Deadline, OperatorError, ask, ask_cluster};
use margay_types::{GroupId, NodeId};
use margay_wire::admin::{Formation, Map, MapNode, MapRequest, Status, StatusRequest};
use std::collections::BTreeMap;

/// Groups in one answer.
const PAGE_GROUPS: u32 = 1024;

/// A cluster, from here.
#[derive(Clone, Debug)]
pub(super) struct Survey {
    /// Who belongs to it, and what it has.
    pub(super) map: Map,
    /// What was seen of each node of the map.
    pub(super) seen: BTreeMap<NodeId, Seen>,
}

/// A node, from here.
#[derive(Clone, Debug)]
pub(super) enum Seen {
    /// It answers.
    Up(Box<Status>),
    /// It does not, or what answers there is not it; and why.
    Down(Failure),
}

impl Survey {
    /// Asks the cluster behind `endpoints` who belongs to it, and then each of these.
    ///
    /// # Errors
    /// Why no endpoint knows the cluster. A node of it that cannot be asked is no error, but seen as down.
    pub(super) fn of(endpoints: &[String], deadline: Deadline) -> Result<Self, Failure> {
        Self::with(endpoints, deadline, all_pages)
    }

    /// The same, but of all replicas only those of one group are asked for.
    ///
    /// # Errors
    /// As [`Self::of`].
    pub(super) fn of_group(
        endpoints: &[String],
        group: GroupId,
        deadline: Deadline,
    ) -> Result<Self, Failure> {
        Self::with(endpoints, deadline, |address, share| {
            page(address, group, 1, share)
        })
    }

    fn with(
        endpoints: &[String],
        deadline: Deadline,
        status: impl Fn(&str, Deadline) -> Result<Status, OperatorError>,
    ) -> Result<Self, Failure> {
        let mut map = ask_cluster(endpoints, &MapRequest, deadline)
            .map_err(|error| operator_failure(error, Named::ByEndpoints))?;
        let mut seen = BTreeMap::new();
        let next = |map: &Map, seen: &BTreeMap<NodeId, Seen>| {
            let mut nodes = map.nodes.iter();
            nodes.find(|node| !seen.contains_key(&node.node)).cloned()
        };
        while let Some(node) = next(&map, &seen) {
            let share = deadline.share(map.nodes.len().saturating_sub(seen.len()));
            let found = see(&map, &node, status(&node.address, share));
            if matches!(found, Seen::Up(_))
                && let Ok(own) = ask(&node.address, &MapRequest, share)
                && own.version > map.version
            {
                map = own;
            }
            seen.insert(node.node, found);
        }
        Ok(Self { map, seen })
    }

    /// The nodes that answer, with what they say.
    pub(super) fn up(&self) -> impl Iterator<Item = (&MapNode, &Status)> {
        let status = |node: &MapNode| self.status(node.node);
        self.map
            .nodes
            .iter()
            .filter_map(move |node| Some((node, status(node)?)))
    }

    /// What a node says; `None` when it does not answer.
    pub(super) fn status(&self, node: NodeId) -> Option<&Status> {
        match self.seen.get(&node)? {
            Seen::Up(status) => Some(status),
            Seen::Down(_) => None,
        }
    }

    /// Why a node does not answer; `None` when it does.
    pub(super) fn failure(&self, node: NodeId) -> Option<&Failure> {
        match self.seen.get(&node)? {
            Seen::Up(_) => None,
            Seen::Down(failure) => Some(failure),
        }
    }

    /// What a node is called, also when the map does not know it.
    pub(super) fn address(&self, node: NodeId) -> String {
        match self.map.node(node) {
            Some(known) => known.address.clone(),
            None => format!("node {node}"),
        }
    }
}

fn see(map: &Map, node: &MapNode, answer: Result<Status, OperatorError>) -> Seen {
    match answer {
        Ok(status) => match stranger(map, node, &status) {
            Some(failure) => Seen::Down(failure),
            None => Seen::Up(Box::new(status)),
        },
        Err(error) => Seen::Down(operator_failure(error, Named::ByEndpoints)),
    }
}

/// Why what answers at a node's address is not that node, if it is not: its directory was formatted anew, or its
/// port belongs to somebody else now.
fn stranger(map: &Map, node: &MapNode, status: &Status) -> Option<Failure> {
    let failure = |code| Failure::new(code).with("node", &node.address);
    match &status.formation {
        Formation::Blank => Some(failure(Code::NotFormed).with(
            "reason",
            "a blank node answers at its address, with another data directory",
        )),
        Formation::Member { cluster, name, .. } if *cluster != map.cluster => {
            let reason = format!("a node of cluster {name} {cluster} answers at its address");
            Some(failure(Code::NodeNotBlank).with("reason", reason))
        }
        Formation::Member { node: other, .. } if *other != node.node => {
            let reason = format!("node {other} answers at its address");
            Some(failure(Code::DuplicateNode).with("reason", reason))
        }
        Formation::Member { .. } => None,
    }
}

fn all_pages(address: &str, deadline: Deadline) -> Result<Status, OperatorError> {
    let mut status = page(address, GroupId::SYSTEM, PAGE_GROUPS, deadline)?;
    while let Some(from_group) = status.more_from {
        let next = page(address, from_group, PAGE_GROUPS, deadline)?;
        status.groups.extend(next.groups);
        // A node that sends the same page for ever is not worth an endless loop.
        status.more_from = next.more_from.filter(|more| *more > from_group);
    }
    Ok(status)
}

fn page(
    address: &str,
    from_group: GroupId,
    groups_max: u32,
    deadline: Deadline,
) -> Result<Status, OperatorError> {
    let request = StatusRequest {
        from_group,
        groups_max,
    };
    ask(address, &request, deadline)
}

#[cfg(test)]
mod tests {
    use super::super::overview_samples::{ONE, TWO, map, up};
    use super::*;
    use margay_types::ClusterId;

    fn answering(formation: Formation) -> Option<Failure> {
        let Seen::Up(mut status) = up(ONE, Vec::new()) else {
            unreachable!("it is up")
        };
        status.formation = formation;
        let map = map(&[0]);
        let node = map.node(ONE).expect("it is in the map");
        stranger(&map, node, &status)
    }

    fn member(cluster: ClusterId, node: NodeId) -> Formation {
        Formation::Member {
            cluster,
            name: "prod".to_owned(),
            node,
        }
    }

    #[test]
    fn whoever_else_answers_at_the_address_of_a_node_is_not_taken_for_it() {
        let cluster = map(&[0]).cluster;
        assert_eq!(answering(member(cluster, ONE)), None);
        for (formation, code) in [
            (Formation::Blank, Code::NotFormed),
            (member(ClusterId::new([9; 16]), ONE), Code::NodeNotBlank),
            (member(cluster, TWO), Code::DuplicateNode),
        ] {
            let failure = answering(formation).expect("it is another one");
            assert_eq!(failure.code(), code);
        }
    }
}
