//! Who leads a group, as far as this client knows, and where that is.
//!
//! A route is a hint: the leader of the greatest term heard of, or nobody. Hints of smaller terms say nothing. Where
//! nobody is known the members are asked in order, from one that differs between clients.
//!
//! ```text
//!   hint(term >= known) ──> leader known ──unreachable, "not me"──> unknown: members[cursor], cursor + 1, ...
//! ```

#[cfg(feature = "mutants")]
use margay_types::mutant::{self, Mutant};
use margay_types::{GroupId, NodeId, ShardId, Term};
use margay_wire::admin::Map;
use std::collections::BTreeMap;

/// What is known of who leads a group.
#[derive(Debug, Default)]
struct Route {
    leader: Option<NodeId>,
    term: Term,
    cursor: usize,
}

/// The map, and what answers told since.
#[derive(Debug)]
pub(crate) struct Router {
    map: Option<Map>,
    routes: BTreeMap<GroupId, Route>,
    /// Where this client starts in a list of members.
    start: usize,
}

impl Router {
    pub(crate) const fn new(start: usize) -> Self {
        Self {
            map: None,
            routes: BTreeMap::new(),
            start,
        }
    }

    pub(crate) const fn map(&self) -> Option<&Map> {
        self.map.as_ref()
    }

    /// Takes a map, unless it is older than the one at hand; its hints count like any.
    pub(crate) fn install(&mut self, map: Map) {
        let known = self.map.as_ref();
        let is_older = known.is_some_and(|known| known.version > map.version);
        #[cfg(feature = "mutants")]
        let is_older = is_older && !mutant::is(Mutant::OlderMapTaken);
        if is_older {
            return;
        }
        for group in &map.groups {
            if let Some(hint) = group.leader {
                self.on_hint(group.group, Some(hint.node), hint.term, None);
            }
        }
        self.map = Some(map);
    }

    /// A node said who leads; `asked` is the node that said so and meant somebody else.
    pub(crate) fn on_hint(
        &mut self,
        group: GroupId,
        leader: Option<NodeId>,
        term: Term,
        asked: Option<NodeId>,
    ) {
        let route = self.routes.entry(group).or_default();
        if term > route.term || (term == route.term && leader.is_some()) {
            route.term = term;
            route.leader = leader;
        }
        if asked.is_some() && route.leader == asked {
            route.leader = None;
        }
        if route.leader.is_none() {
            route.pass_over(self.map.as_ref(), group, self.start, asked);
        }
    }

    /// The node answered as leader.
    pub(crate) fn on_leader(&mut self, group: GroupId, node: NodeId, term: Term) {
        let route = self.routes.entry(group).or_default();
        if term >= route.term {
            route.term = term;
            route.leader = Some(node);
        }
    }

    /// The node cannot be reached: whatever it led is led by somebody else soon.
    pub(crate) fn on_unreachable(&mut self, node: NodeId) {
        let map = self.map.as_ref();
        for (group, route) in &mut self.routes {
            let asked = route
                .leader
                .or_else(|| route.member(map, *group, self.start));
            if asked == Some(node) {
                route.leader = None;
                route.pass_over(map, *group, self.start, asked);
            }
        }
    }

    /// The node to ask about a group; `None` without a map, or when the map has no such group.
    pub(crate) fn target(&mut self, group: GroupId) -> Option<NodeId> {
        let route = self.routes.entry(group).or_default();
        let map = self.map.as_ref()?;
        if let Some(leader) = route.leader.filter(|leader| map.node(*leader).is_some()) {
            return Some(leader);
        }
        route.member(Some(map), group, self.start)
    }

    /// The members of a group; none without a map, or when the map has no such group.
    pub(crate) fn members(&self, group: GroupId) -> &[NodeId] {
        let known = self.map.as_ref().and_then(|map| map.group(group));
        known.map_or(&[], |group| &group.members)
    }

    /// Who leads a group, as far as this client knows.
    pub(crate) fn leader(&self, group: GroupId) -> Option<NodeId> {
        self.routes.get(&group).and_then(|route| route.leader)
    }

    /// The shard of a group on a node.
    pub(crate) fn shard(&self, node: NodeId, group: GroupId) -> ShardId {
        self.map
            .as_ref()
            .and_then(|map| map.node(node))
            .map_or(ShardId::ANY, |place| place.shard_of(group))
    }

    /// The address of a shard of a node, and the shard that the hello must name there.
    pub(crate) fn address(&self, node: NodeId, shard: ShardId) -> Option<String> {
        let place = self.map.as_ref()?.node(node)?;
        let port = place.shard_ports.get(usize::from(shard.number()));
        Some(match (port, place.address.rsplit_once(':')) {
            (Some(port), Some((host, _))) => format!("{host}:{port}"),
            _ => place.address.clone(),
        })
    }
}

impl Route {
    /// The member to ask while nobody is known to lead.
    fn member(&self, map: Option<&Map>, group: GroupId, start: usize) -> Option<NodeId> {
        let members = &map?.group(group)?.members;
        let at = start.wrapping_add(self.cursor).checked_rem(members.len())?;
        members.get(at).copied()
    }

    /// Asks the next member, one that is not the node asked just now, unless there is no other.
    fn pass_over(
        &mut self,
        map: Option<&Map>,
        group: GroupId,
        start: usize,
        asked: Option<NodeId>,
    ) {
        self.cursor = self.cursor.wrapping_add(1);
        if asked.is_some() && self.member(map, group, start) == asked {
            self.cursor = self.cursor.wrapping_add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use margay_types::{ClusterId, Incarnation, Index};
    use margay_wire::admin::{LeaderHint, MapGroup, MapNode};

    const GROUP: GroupId = GroupId::new(5);

    fn node(number: u16) -> NodeId {
        NodeId::new(number)
    }

    fn map(leader: Option<LeaderHint>) -> Map {
        let place = |number: u16| MapNode {
            node: node(number),
            incarnation: Incarnation::new([1; 16]),
            address: format!("n{number}:7400"),
            shards: 2,
            shard_ports: if number == 1 {
                vec![7401, 7402]
            } else {
                vec![]
            },
        };
        Map {
            cluster: ClusterId::new([1; 16]),
            version: Index::new(1),
            nodes: (1..=3).map(place).collect(),
            keyspaces: vec![],
            groups: vec![MapGroup {
                group: GROUP,
                incarnation: 0,
                members: (1..=3).map(node).collect(),
                leader,
            }],
        }
    }

    #[test]
    fn a_hint_of_a_smaller_term_says_nothing() {
        let mut router = Router::new(0);
        router.install(map(Some(LeaderHint {
            node: node(2),
            term: Term::new(5),
        })));
        router.on_hint(GROUP, Some(node(3)), Term::new(4), Some(node(1)));
        assert_eq!(router.target(GROUP), Some(node(2)));
        router.on_hint(GROUP, Some(node(3)), Term::new(6), Some(node(2)));
        assert_eq!(router.target(GROUP), Some(node(3)));
    }

    /// A node that was away answers with what it knew then: groups that came since must not be forgotten.
    #[test]
    fn a_map_that_is_older_is_not_taken() {
        let mut router = Router::new(0);
        router.install(map(None));
        let older = Map {
            version: Index::new(0),
            groups: vec![],
            ..map(None)
        };
        router.install(older);
        assert!(router.target(GROUP).is_some());
        let newer = Map {
            version: Index::new(2),
            groups: vec![],
            ..map(None)
        };
        router.install(newer);
        assert_eq!(router.target(GROUP), None);
    }

    #[test]
    fn without_a_leader_the_members_are_asked_in_order() {
        let mut router = Router::new(1);
        router.install(map(None));
        assert_eq!(router.target(GROUP), Some(node(2)));
        router.on_hint(GROUP, None, Term::new(1), Some(node(2)));
        assert_eq!(router.target(GROUP), Some(node(3)));
        router.on_unreachable(node(3));
        assert_eq!(router.target(GROUP), Some(node(1)));
    }

    #[test]
    fn a_node_that_denies_to_lead_is_not_asked_again_at_once() {
        let mut router = Router::new(0);
        router.install(map(Some(LeaderHint {
            node: node(2),
            term: Term::new(5),
        })));
        router.on_hint(GROUP, None, Term::new(5), Some(node(2)));
        assert_ne!(router.target(GROUP), Some(node(2)));
    }

    #[test]
    fn a_shard_with_a_port_of_its_own_is_reached_there() {
        let mut router = Router::new(0);
        router.install(map(None));
        let shard = router.shard(node(1), GROUP);
        assert_eq!(shard, ShardId::new(1));
        assert_eq!(router.address(node(1), shard).as_deref(), Some("n1:7402"));
        assert_eq!(router.address(node(2), shard).as_deref(), Some("n2:7400"));
    }
}
