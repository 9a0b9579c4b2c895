//! A shard as the loop drives it.

use super::clock::BootClock;
use super::disk::RingDisk;
use super::driven::{Core, Identity};
use super::outbox::RingOutbox;
use crate::codes::Code;
use crate::shard::{ConnectionId, NodeFacts, PeerId, Shard, ShardError, SiblingMessage};
use crate::storage::WriteToken;
use margay_types::{ClusterId, NodeId, ProcessLife, ShardId};
use margay_wire::{Frame, Hello};
use std::io;

/// The seams of a server: the ring's disk and sockets, and the machine's clock.
pub struct RingSeams;

impl crate::shard::Seams for RingSeams {
    type Disk = RingDisk;
    type Outbox = RingOutbox;
    type Clock = BootClock;
}

/// A server's shard.
pub struct ShardCore {
    shard: Shard<RingSeams>,
    facts: NodeFacts,
    failure: Option<Code>,
}

impl ShardCore {
    /// The shard of a node.
    #[must_use]
    pub fn new(facts: NodeFacts, shard: Shard<RingSeams>) -> Self {
        Self {
            shard,
            facts,
            failure: None,
        }
    }

    /// Stops at once, as after a write that failed: nothing more is acknowledged.
    pub(crate) fn give_up(&mut self, code: Code) {
        self.failure.get_or_insert(code);
    }
}

impl Core for ShardCore {
    fn identity(&self) -> Identity {
        let (cluster, node) = self
            .shard
            .membership()
            .unwrap_or((ClusterId::ZERO, NodeId::new(0)));
        Identity {
            cluster,
            node,
            incarnation: self.facts.incarnation,
            life: self.facts.life,
            shard: self.facts.shard,
            shard_count: self.facts.shard_count,
        }
    }

    fn begin_turn(&mut self) {
        self.shard.begin_turn();
    }

    fn on_tick(&mut self) {
        self.shard.on_tick();
    }

    fn on_client_open(&mut self, connection: ConnectionId, _: &Hello) {
        self.shard.on_client_open(connection);
    }

    fn on_client_frame(&mut self, connection: ConnectionId, frame: Frame<'_>) {
        self.shard.on_client_frame(connection, &frame);
    }

    fn on_client_closed(&mut self, connection: ConnectionId) {
        self.shard.on_client_closed(connection);
    }

    fn on_peer_up(&mut self, peer: PeerId, life: ProcessLife) {
        self.shard.on_peer_up(peer, life);
    }

    fn on_peer_frame(&mut self, peer: PeerId, frame: Frame<'_>) {
        self.shard.on_peer_frame(peer, &frame);
    }

    fn on_peer_down(&mut self, peer: PeerId) {
        self.shard.on_peer_down(peer);
    }

    fn on_sibling_message(&mut self, from: ShardId, message: SiblingMessage) {
        self.shard.on_sibling_message(from, message);
    }

    fn on_written(&mut self, token: WriteToken, result: io::Result<usize>) {
        self.shard.on_written(token, result);
    }

    fn end_turn(&mut self) {
        self.shard.end_turn();
        let Some(failure) = self.shard.take_failure() else {
            return;
        };
        if self.failure.is_none() && self.shard.is_ready_to_stop() {
            // What leaving cancels, such as the filling of a spare, is no failure of the device.
            return;
        }
        let code = code_of(&failure);
        tracing::error!(%code, "the shard stops: {failure}");
        self.failure.get_or_insert(code);
    }

    fn has_more(&self) -> bool {
        self.failure.is_none() && self.shard.has_more()
    }

    fn request_stop(&mut self) {
        self.shard.request_stop();
    }

    fn is_stopped(&self) -> bool {
        self.failure.is_some() || self.shard.is_ready_to_stop()
    }

    fn failure(&self) -> Option<Code> {
        self.failure
    }
}

const fn code_of(failure: &ShardError) -> Code {
    match failure {
        ShardError::Storage(_) => Code::LogDeviceFailed,
        ShardError::Host { .. } | ShardError::Birth { .. } => Code::DirectoryFailed,
    }
}
