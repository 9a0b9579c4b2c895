//! The ways out of a shard that has siblings: what is for a client of another shard leaves by that shard.

use crate::shard::outbox::{ConnectionId, Outbox, PeerAddress, PeerId};
use crate::shard::siblings::{SiblingMessage, Word};
use crate::storage::Slice;
use margay_types::ShardId;

/// The driver's outbox, and whose it is.
#[derive(Debug)]
pub(crate) struct Exit<O> {
    outbox: O,
    own: ShardId,
}

impl<O> Exit<O> {
    /// The outbox of this shard.
    pub(crate) const fn new(outbox: O, own: ShardId) -> Self {
        Self { outbox, own }
    }
}

impl<O: Outbox> Outbox for Exit<O> {
    fn send_client(&mut self, connection: ConnectionId, frame: &[u8]) {
        if connection.shard == self.own {
            self.outbox.send_client(connection, frame);
            return;
        }
        let bytes = frame.to_vec();
        let word = Word::Answer { connection, bytes };
        self.outbox
            .send_sibling(connection.shard, SiblingMessage(word));
    }

    fn send_peer(&mut self, peer: PeerId, bytes: &[u8]) {
        self.outbox.send_peer(peer, bytes);
    }

    fn send_peer_records(&mut self, peer: PeerId, records: Slice) {
        self.outbox.send_peer_records(peer, records);
    }

    fn peer_backlog_bytes(&self, peer: PeerId) -> u64 {
        self.outbox.peer_backlog_bytes(peer)
    }

    fn close(&mut self, connection: ConnectionId) {
        if connection.shard == self.own {
            self.outbox.close(connection);
        } else {
            let word = SiblingMessage(Word::Close(connection));
            self.outbox.send_sibling(connection.shard, word);
        }
    }

    fn set_peers(&mut self, peers: &[PeerAddress]) {
        self.outbox.set_peers(peers);
    }

    fn send_sibling(&mut self, shard: ShardId, message: SiblingMessage) {
        assert!(shard != self.own, "a shard needs no message to itself");
        self.outbox.send_sibling(shard, message);
    }
}
