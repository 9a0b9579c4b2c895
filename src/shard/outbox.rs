//! The seam above the network: where a shard puts what must leave, and whom it wants to talk to.
//!
//! `runtime` implements it with sockets, the simulator with a virtual network. A shard appends frames; what one
//! turn appended for one connection leaves in one send when the turn ends. Nothing here waits, and nothing tells
//! whether bytes arrived: a connection that is gone swallows them.

use crate::shard::siblings::SiblingMessage;
use crate::storage::Slice;
use margay_types::{Incarnation, NodeId, ShardId};

/// A client's or an operator's connection; never used again in its process life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId {
    /// The shard whose driver has the socket.
    pub shard: ShardId,
    /// Its name there.
    pub number: u64,
}

/// One core of another node: what a peer connection leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId {
    /// The other node.
    pub node: NodeId,
    /// Its shard.
    pub shard: ShardId,
}

/// Whom the driver keeps a connection to. Of two nodes the one with the smaller id dials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerAddress {
    /// Which core of which node.
    pub peer: PeerId,
    /// The data directory that must answer there.
    pub incarnation: Incarnation,
    /// `host:port`, as the cluster calls the node.
    pub address: String,
}

/// Where a shard puts what must leave.
pub trait Outbox {
    /// Appends one frame for a client or an operator.
    fn send_client(&mut self, connection: ConnectionId, frame: &[u8]);

    /// Appends bytes for a peer: whole frames, or a frame's head whose records follow by `send_peer_records`.
    fn send_peer(&mut self, peer: PeerId, bytes: &[u8]);

    /// Appends records right behind the bytes before, out of a batch that the slice keeps alive.
    fn send_peer_records(&mut self, peer: PeerId, records: Slice);

    /// Bytes appended for a peer that have not left yet: the bound of what a slow one may hold up.
    fn peer_backlog_bytes(&self, peer: PeerId) -> u64;

    /// Closes a client's connection once what was appended has left.
    fn close(&mut self, connection: ConnectionId);

    /// The whole list of peers to keep connections to; replaces the list before.
    fn set_peers(&mut self, peers: &[PeerAddress]);

    /// Sends a message to another shard of this node. None is lost while the process lives, and those from one shard
    /// to another arrive in their order.
    fn send_sibling(&mut self, shard: ShardId, message: SiblingMessage);
}
