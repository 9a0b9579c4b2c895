//! The ways out of a shard that has siblings: what is for a client of another shard leaves by that shard.
//!
//! That shard may hang. Answers wait for it up to a limit; past it the client's connection is to be closed, because an
//! answer can be neither taken back nor left out.

use crate::limits::HOP_ANSWER_BYTES_MAX;
use crate::shard::crossing::Crossing;
use crate::shard::outbox::{ConnectionId, Outbox, PeerAddress, PeerId};
use crate::shard::siblings::{SiblingMessage, Word};
use crate::storage::Slice;
use margay_types::ShardId;

/// The driver's outbox, and whose it is.
#[derive(Debug)]
pub(crate) struct Exit<O> {
    outbox: O,
    own: ShardId,
    /// Bytes of answers that siblings have not taken.
    answers: Crossing,
}

impl<O> Exit<O> {
    /// The outbox of this shard.
    pub(crate) const fn new(outbox: O, own: ShardId) -> Self {
        Self {
            outbox,
            own,
            answers: Crossing::new(HOP_ANSWER_BYTES_MAX),
        }
    }

    /// A sibling took so many bytes of answers.
    pub(crate) fn on_answers_taken(&mut self, by: ShardId, bytes: usize) {
        self.answers.on_taken(by, bytes);
    }
}

impl<O: Outbox> Outbox for Exit<O> {
    fn send_client(&mut self, connection: ConnectionId, frame: &[u8]) {
        if connection.shard == self.own {
            self.outbox.send_client(connection, frame);
            return;
        }
        if !self.answers.try_cross(connection.shard, frame.len()) {
            self.close(connection);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::FRAME_BYTES_MAX;

    /// What left, and for which connection.
    #[derive(Debug, Default)]
    struct Left {
        answered_bytes: usize,
        closed: Vec<ConnectionId>,
    }

    impl Outbox for Left {
        fn send_client(&mut self, _: ConnectionId, frame: &[u8]) {
            self.answered_bytes += frame.len();
        }
        fn send_peer(&mut self, _: PeerId, _: &[u8]) {}
        fn send_peer_records(&mut self, _: PeerId, _: Slice) {}
        fn peer_backlog_bytes(&self, _: PeerId) -> u64 {
            0
        }
        fn close(&mut self, connection: ConnectionId) {
            self.closed.push(connection);
        }
        fn set_peers(&mut self, _: &[PeerAddress]) {}
        fn send_sibling(&mut self, _: ShardId, message: SiblingMessage) {
            if let Word::Answer { bytes, .. } = &message.0 {
                self.answered_bytes += bytes.len();
            } else if let Word::Close(connection) = message.0 {
                self.closed.push(connection);
            } else {
                panic!("only what is for clients leaves here: {message:?}");
            }
        }
    }

    fn at(shard: u16) -> ConnectionId {
        ConnectionId {
            shard: ShardId::new(shard),
            number: 7,
        }
    }

    /// The client's own shard hangs: what was asked is answered up to the limit, and then the connection is given up.
    #[test]
    fn a_sibling_that_takes_no_answers_is_given_so_many_and_no_more() {
        let mut exit = Exit::new(Left::default(), ShardId::FIRST);
        let frame = vec![0; FRAME_BYTES_MAX];
        while exit.outbox.closed.is_empty() {
            exit.send_client(at(1), &frame);
        }
        assert_eq!(exit.outbox.closed, [at(1)]);
        let most = HOP_ANSWER_BYTES_MAX / frame.len();
        assert_eq!(exit.outbox.answered_bytes, most * frame.len());
        exit.send_client(at(0), &frame);
        exit.send_client(at(2), &frame);
        assert_eq!(exit.outbox.answered_bytes, (most + 2) * frame.len());
        exit.on_answers_taken(ShardId::new(1), frame.len());
        exit.send_client(at(1), &frame);
        assert_eq!(exit.outbox.answered_bytes, (most + 3) * frame.len());
        assert_eq!(exit.outbox.closed, [at(1)], "nobody else was closed");
    }
}
