//! The other nodes as this shard sees them: where replicas live, which connections stand, what waits to leave.
//!
//! Small messages of all groups for one peer gather during a turn and leave in one frame at its end; appends are
//! frames of their own, whose records go straight from the batch. What is for a peer that is not connected is
//! dropped: the cores repeat whatever matters.

use crate::limits::{FOLLOWER_WINDOW_BYTES, PEER_BACKLOG_BYTES_MAX};
use crate::shard::Seams;
use crate::shard::outbox::{Outbox, PeerAddress, PeerId};
use crate::shard::shard::Shard;
use crate::storage::Slice;
use crate::storage::record::{self, RecordView};
use margay_raft::{AppendEntries, Message};
use margay_types::{GroupId, NodeId, ProcessLife, ShardId};
use margay_wire::admin::MapNode;
use margay_wire::frame::{Frame, FrameKind};
use margay_wire::peer::{self, AppendHead, Envelope, MessagesWriter};
use std::collections::BTreeMap;

/// A standing connection to a peer.
#[derive(Debug)]
struct Link {
    gathered: Vec<u8>,
    messages: MessagesWriter,
}

/// The way of a message: from one replica to another, on which node.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Route {
    /// The node of the receiver.
    pub(crate) node: NodeId,
    /// Group, sender and receiver.
    pub(crate) envelope: Envelope,
}

/// All peers of a shard.
#[derive(Debug, Default)]
pub(crate) struct Peers {
    addresses: Vec<PeerAddress>,
    /// Shards of each node.
    shards: BTreeMap<NodeId, u16>,
    links: BTreeMap<PeerId, Link>,
    scratch: Vec<u8>,
}

impl Peers {
    /// The nodes that the cluster consists of, but for this one: connections are kept to their shards that share
    /// groups with shard `own` of the `own_count` here.
    pub(crate) fn set_nodes(
        &mut self,
        nodes: &[MapNode],
        (own, own_count): (ShardId, u16),
        outbox: &mut impl Outbox,
    ) {
        self.shards = nodes.iter().map(|node| (node.node, node.shards)).collect();
        let addresses = nodes.iter().flat_map(|node| {
            sharing_shards(own, own_count, node.shards).map(|shard| PeerAddress {
                peer: PeerId {
                    node: node.node,
                    shard,
                },
                incarnation: node.incarnation,
                address: node.address.clone(),
            })
        });
        let addresses: Vec<PeerAddress> = addresses.collect();
        if self.addresses != addresses {
            outbox.set_peers(&addresses);
            self.addresses = addresses;
        }
    }

    /// The shard that has a group on a node.
    pub(crate) fn peer_of(&self, node: NodeId, group: GroupId) -> PeerId {
        let count = self.shards.get(&node).copied().unwrap_or(1);
        PeerId {
            node,
            shard: group.shard(count),
        }
    }

    /// A connection stands; messages of this life of the peer follow.
    pub(crate) fn on_up(&mut self, peer: PeerId) {
        let link = Link {
            gathered: Vec::new(),
            messages: MessagesWriter::new(),
        };
        self.links.insert(peer, link);
    }

    /// The connection is gone, with everything that waited for it.
    pub(crate) fn on_down(&mut self, peer: PeerId) {
        self.links.remove(&peer);
    }

    /// Lets a message leave at the end of the turn.
    pub(crate) fn send(&mut self, node: NodeId, envelope: Envelope, message: &Message) {
        let peer = self.peer_of(node, envelope.group);
        if let Some(link) = self.links.get_mut(&peer) {
            link.messages.push(&mut link.gathered, envelope, message);
        }
    }

    /// May records leave for this node, or is too much waiting for it already?
    pub(crate) fn can_append(&self, node: NodeId, group: GroupId, outbox: &impl Outbox) -> bool {
        let peer = self.peer_of(node, group);
        self.links.contains_key(&peer)
            && outbox.peer_backlog_bytes(peer) < FOLLOWER_WINDOW_BYTES as u64
    }

    /// Sends an append whose records are lent from batches.
    pub(crate) fn append(
        &mut self,
        route: Route,
        append: &AppendEntries,
        records: &[Slice],
        outbox: &mut impl Outbox,
    ) {
        let peer = self.peer_of(route.node, route.envelope.group);
        let records_bytes = records.iter().map(|slice| slice.len()).sum();
        self.append_head(route, append, records_bytes, outbox);
        for slice in records {
            outbox.send_peer_records(peer, slice.clone());
        }
    }

    /// Sends an append whose records were read from disk.
    pub(crate) fn append_bytes(
        &mut self,
        route: Route,
        append: &AppendEntries,
        records: &[u8],
        outbox: &mut impl Outbox,
    ) {
        self.append_head(route, append, records.len(), outbox);
        let peer = self.peer_of(route.node, route.envelope.group);
        outbox.send_peer(peer, records);
    }

    fn append_head(
        &mut self,
        route: Route,
        append: &AppendEntries,
        records_bytes: usize,
        outbox: &mut impl Outbox,
    ) {
        self.scratch.clear();
        AppendHead::new(route.envelope, append).write(&mut self.scratch, records_bytes);
        let peer = self.peer_of(route.node, route.envelope.group);
        outbox.send_peer(peer, &self.scratch);
    }

    /// Hands everything gathered to the outbox: the turn ends. A peer that takes nothing any more gets nothing more.
    pub(crate) fn flush(&mut self, outbox: &mut impl Outbox) {
        for (peer, link) in &mut self.links {
            if link.messages.is_open() {
                link.messages.close(&mut link.gathered);
            }
            let has_room = outbox.peer_backlog_bytes(*peer) < PEER_BACKLOG_BYTES_MAX;
            if !link.gathered.is_empty() && has_room {
                outbox.send_peer(*peer, &link.gathered);
            }
            link.gathered.clear();
        }
    }
}

/// The shards of another node that may share a group with shard `own`: a group lives on the shard of its id modulo
/// their number, on either node, so the two numbers are equal modulo the greatest common divisor.
fn sharing_shards(own: ShardId, own_count: u16, count: u16) -> impl Iterator<Item = ShardId> {
    let (mut divisor, mut rest) = (own_count.max(1), count.max(1));
    while rest > 0 {
        (divisor, rest) = (rest, divisor % rest);
    }
    (own.number() % divisor..count.max(1))
        .step_by(usize::from(divisor))
        .map(ShardId::new)
}

impl<S: Seams> Shard<S> {
    /// The nodes of the cluster: whom to keep connections to.
    pub(crate) fn set_nodes(&mut self, mut nodes: Vec<MapNode>) {
        let means = &mut self.means;
        nodes.retain(|node| node.node != means.node);
        let own = (self.facts.shard, self.facts.shard_count);
        means.peers.set_nodes(&nodes, own, &mut means.outbox);
    }

    /// A connection to a peer stands. It concerns the groups that live on that very shard there.
    pub fn on_peer_up(&mut self, peer: PeerId, life: ProcessLife) {
        self.means.peers.on_up(peer);
        for (group, hosted) in &mut self.groups {
            if self.means.peers.peer_of(peer.node, *group) != peer {
                continue;
            }
            let numbers: Vec<_> = hosted
                .replica
                .configuration()
                .members()
                .filter(|member| member.node == peer.node)
                .map(|member| member.number)
                .collect();
            if hosted.peer_lives.insert(peer.node, life) == Some(life) {
                continue;
            }
            for number in numbers {
                hosted.on_new_life(&mut self.means, number);
            }
        }
    }

    /// The connection to a peer is gone.
    pub fn on_peer_down(&mut self, peer: PeerId) {
        self.means.peers.on_down(peer);
    }

    /// A frame of a peer.
    pub fn on_peer_frame(&mut self, peer: PeerId, frame: &Frame<'_>) {
        match frame.kind {
            FrameKind::PeerAppend => self.on_peer_append(peer, frame.body),
            FrameKind::PeerMessages => {
                for message in peer::messages(frame.body) {
                    let Ok((envelope, message)) = message else {
                        return;
                    };
                    let Some(hosted) = self.groups.get_mut(&envelope.group) else {
                        continue;
                    };
                    if hosted.accepts(&envelope, peer.node)
                        && self.means.peers.peer_of(peer.node, envelope.group) == peer
                    {
                        hosted.on_message(&mut self.means, envelope.from, message);
                    }
                }
            }
            FrameKind::Open
            | FrameKind::Attach
            | FrameKind::Command
            | FrameKind::Query
            | FrameKind::KeepAlive
            | FrameKind::Close
            | FrameKind::Map
            | FrameKind::Response
            | FrameKind::Event
            | FrameKind::NodeInfo
            | FrameKind::Bootstrap
            | FrameKind::KeyspaceCreate
            | FrameKind::KeyspaceList
            | FrameKind::Status
            | FrameKind::Chain => {}
        }
    }

    fn on_peer_append(&mut self, peer: PeerId, body: &[u8]) {
        let Ok((envelope, append, records)) = peer::append(body) else {
            return;
        };
        let Some(hosted) = self.groups.get_mut(&envelope.group) else {
            return;
        };
        let is_its_way = self.means.peers.peer_of(peer.node, envelope.group) == peer;
        if !is_its_way || !hosted.accepts(&envelope, peer.node) {
            return;
        }
        let records: Result<Vec<RecordView<'_>>, _> = record::records(records).collect();
        let Ok(records) = records else { return };
        if records
            .iter()
            .all(|record| record.group() == envelope.group)
        {
            hosted.on_append(&mut self.means, envelope.from, &append, &records);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shard::outbox::ConnectionId;
    use crate::shard::siblings::SiblingMessage;
    use margay_raft::message::ReadIndex;
    use margay_types::{ReplicaNumber, Term};

    const NODE: NodeId = NodeId::new(2);
    const GROUP: GroupId = GroupId::new(3);
    const PEER: PeerId = PeerId {
        node: NODE,
        shard: ShardId::FIRST,
    };

    /// A peer that takes nothing.
    #[derive(Default)]
    struct Stuck {
        backlog_bytes: u64,
    }

    impl Outbox for Stuck {
        fn send_client(&mut self, _: ConnectionId, _: &[u8]) {}
        fn send_peer(&mut self, _: PeerId, bytes: &[u8]) {
            self.backlog_bytes += bytes.len() as u64;
        }
        fn send_peer_records(&mut self, _: PeerId, records: Slice) {
            self.backlog_bytes += records.len() as u64;
        }
        fn peer_backlog_bytes(&self, _: PeerId) -> u64 {
            self.backlog_bytes
        }
        fn close(&mut self, _: ConnectionId) {}
        fn set_peers(&mut self, _: &[PeerAddress]) {}
        fn send_sibling(&mut self, _: ShardId, _: SiblingMessage) {}
    }

    /// Appends stop at the window; what is small goes on up to twice that, and is lost then.
    #[test]
    fn what_waits_for_a_peer_that_takes_nothing_is_bounded() {
        let envelope = Envelope {
            group: GROUP,
            from: ReplicaNumber::new(1),
            to: ReplicaNumber::new(2),
        };
        let mut peers = Peers::default();
        let mut outbox = Stuck::default();
        peers.on_up(PEER);
        assert!(peers.can_append(NODE, GROUP, &outbox));
        outbox.backlog_bytes = FOLLOWER_WINDOW_BYTES as u64;
        assert!(!peers.can_append(NODE, GROUP, &outbox));
        let question = Message::ReadIndex(ReadIndex {
            term: Term::new(1),
            request: 1,
        });
        let mut before = 0;
        while outbox.backlog_bytes > before {
            before = outbox.backlog_bytes;
            (0..1_000).for_each(|_| peers.send(NODE, envelope, &question));
            peers.flush(&mut outbox);
        }
        assert!((PEER_BACKLOG_BYTES_MAX..2 * PEER_BACKLOG_BYTES_MAX).contains(&before));
        outbox.backlog_bytes = 0;
        peers.flush(&mut outbox);
        assert_eq!(outbox.backlog_bytes, 0, "what was lost does not gather");
        peers.send(NODE, envelope, &question);
        peers.flush(&mut outbox);
        assert!(outbox.backlog_bytes > 0);
    }

    /// Whatever the two counts are, each group's two shards keep a connection, from both sides.
    #[test]
    fn shards_that_share_a_group_are_connected_and_no_others() {
        for (here, there) in [(1, 1), (2, 2), (1, 3), (4, 6), (6, 4), (3, 5)] {
            for group in (0..60).map(GroupId::new) {
                let (own, other) = (group.shard(here), group.shard(there));
                assert!(sharing_shards(own, here, there).any(|shard| shard == other));
                assert!(sharing_shards(other, there, here).any(|shard| shard == own));
            }
            let pairs: usize = (0..here)
                .map(|own| sharing_shards(ShardId::new(own), here, there).count())
                .sum();
            let needed = (0..u32::from(here) * u32::from(there)).map(|group| {
                (
                    GroupId::new(group).shard(here),
                    GroupId::new(group).shard(there),
                )
            });
            let needed: std::collections::BTreeSet<_> = needed.collect();
            assert_eq!(pairs, needed.len(), "{here} and {there} shards");
        }
    }
}
