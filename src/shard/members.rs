//! On which node each member of a group lives: what every message in and out asks for.
//!
//! It says what the configuration in force says, but lies in the replica's own memory and not behind three pointers:
//! with a thousand groups that is most of what a heartbeat costs.

use margay_raft::Configuration;
use margay_raft::configuration::MEMBERS_MAX;
use margay_types::{NodeId, ReplicaNumber};

/// The members of one group; 0 is nobody's number.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Members {
    list: [(ReplicaNumber, NodeId); MEMBERS_MAX],
}

impl Members {
    /// The members of this configuration.
    pub(crate) fn of(configuration: &Configuration) -> Self {
        let mut members = Self::default();
        assert!(
            configuration.members().count() <= MEMBERS_MAX,
            "more members than a configuration may have"
        );
        for (place, member) in members.list.iter_mut().zip(configuration.members()) {
            *place = (member.number, member.node);
        }
        members
    }

    /// The node that holds a member.
    pub(crate) fn node_of(&self, number: ReplicaNumber) -> Option<NodeId> {
        let nobody = ReplicaNumber::new(0);
        let known = self.list.iter().take_while(|(known, _)| *known != nobody);
        known
            .into_iter()
            .find(|(known, _)| *known == number)
            .map(|(_, node)| *node)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use margay_raft::Member;

    #[test]
    fn a_member_lives_where_the_configuration_says() {
        let member = |number, node| Member {
            number: ReplicaNumber::new(number),
            node: NodeId::new(node),
        };
        let configuration = Configuration {
            voters: vec![member(1, 4), member(2, 5)],
            outgoing_voters: vec![member(1, 4), member(3, 6)],
            learners: vec![member(7, 8)],
        };
        let members = Members::of(&configuration);
        for number in 0..10 {
            let number = ReplicaNumber::new(number);
            assert_eq!(members.node_of(number), configuration.node_of(number));
        }
    }
}
