//! A shard as the loop drives it.

use super::clock::BootClock;
use super::disk::RingDisk;
use super::driven::{Core, Identity};
use super::outbox::RingOutbox;
use crate::shard::{ConnectionId, NodeFacts, PeerId, Shard, ShardError};
use crate::storage::{StorageError, WriteToken};
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
    failure: Option<ShardError>,
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
}

/// Cold work that is cancelled because the core stops (a spare segment that was being filled) says nothing about the
/// device.
fn is_of_leaving(failure: &ShardError) -> bool {
    let cancelled = Some(libc::ECANCELED);
    matches!(
        failure,
        ShardError::Storage(StorageError::Io { cause, .. }) if cause.raw_os_error() == cancelled
    )
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
            shard: ShardId::new(0),
            shard_count: 1,
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

    fn on_written(&mut self, token: WriteToken, result: io::Result<usize>) {
        self.shard.on_written(token, result);
    }

    fn end_turn(&mut self) {
        self.shard.end_turn();
        let failure = self.shard.take_failure();
        if let Some(failure) = failure.filter(|failure| !is_of_leaving(failure)) {
            tracing::error!(code = "M201", "the shard stops: {failure}");
            self.failure.get_or_insert(failure);
        }
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

    fn exit_code(&self) -> u8 {
        match &self.failure {
            None => super::error::exit::DONE,
            Some(ShardError::Storage(_)) => super::error::exit::LOG_DEVICE_FAILED,
            Some(ShardError::Host { .. } | ShardError::Birth { .. }) => {
                super::error::exit::CONFIGURATION
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn a_spare_whose_filling_was_cancelled_is_no_failure_of_the_device() {
        let failed = |code| {
            let cause = io::Error::from_raw_os_error(code);
            ShardError::Storage(StorageError::io("fill", Path::new("7.segment"), cause))
        };
        assert!(is_of_leaving(&failed(libc::ECANCELED)));
        assert!(!is_of_leaving(&failed(libc::EIO)));
    }
}
