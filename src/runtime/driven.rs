//! What the loop of a core drives: the calls by which everything that happens outside reaches a shard.
//!
//! Calls come in turns. `begin_turn` comes first; all that is there is told, in the order in which it happened; then
//! `end_turn` comes, and then what the core put into its outbox and its disk leaves. Nothing here may block, and no
//! call comes while another one runs.

use crate::codes::Code;
use crate::shard::{ConnectionId, PeerId, SiblingMessage};
use crate::storage::WriteToken;
use margay_types::{ClusterId, Incarnation, NodeId, ProcessLife, ShardId};
use margay_wire::{Frame, Hello};
use std::io;

/// Who this core is towards others. It changes once, when a blank node becomes a member of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The cluster; zero while the node is blank.
    pub cluster: ClusterId,
    /// The node's number; 0 while the node is blank. Of two nodes the one with the smaller number dials.
    pub node: NodeId,
    /// The data directory.
    pub incarnation: Incarnation,
    /// This process.
    pub life: ProcessLife,
    /// This core.
    pub shard: ShardId,
    /// Cores of this node.
    pub shard_count: u16,
}

/// A shard, as the loop sees it.
pub trait Core {
    /// Who it is now.
    fn identity(&self) -> Identity;

    /// A turn begins: the time to read the clock once for all that follows.
    fn begin_turn(&mut self);

    /// About 10 ms have passed. Late ticks are not made up for.
    fn on_tick(&mut self);

    /// A client or an operator has connected; its hello was accepted.
    fn on_client_open(&mut self, connection: ConnectionId, hello: &Hello);

    /// A frame of a client or an operator, lent from where it was received.
    fn on_client_frame(&mut self, connection: ConnectionId, frame: Frame<'_>);

    /// The connection is gone; its id is not used again.
    fn on_client_closed(&mut self, connection: ConnectionId);

    /// A connection to a peer stands. Between two of these for one peer there is always an `on_peer_down`.
    fn on_peer_up(&mut self, peer: PeerId, life: ProcessLife);

    /// A frame of a peer that is up.
    fn on_peer_frame(&mut self, peer: PeerId, frame: Frame<'_>);

    /// The connection to a peer is gone, with whatever was on its way.
    fn on_peer_down(&mut self, peer: PeerId);

    /// Another core of this node says something.
    fn on_sibling_message(&mut self, from: ShardId, message: SiblingMessage);

    /// A durable write is over: the number of bytes that are durable now, or the error.
    fn on_written(&mut self, token: WriteToken, result: io::Result<usize>);

    /// Everything that was there has been told.
    fn end_turn(&mut self);

    /// Is work left that needs no event? Then the next turn comes at once, after what is there.
    fn has_more(&self) -> bool;

    /// The process is asked to end: take no new work and get ready.
    fn request_stop(&mut self);

    /// Is it ready to be dropped? Also true when it gave up by itself.
    fn is_stopped(&self) -> bool;

    /// Why this core stopped by itself; `None` when nothing is wrong.
    fn failure(&self) -> Option<Code>;
}
