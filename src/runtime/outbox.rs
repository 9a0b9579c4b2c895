//! `shard::Outbox` over the sockets of a core: what a turn appends for one connection leaves in one send.
//!
//! ```text
//!     send_client, send_peer      copied behind what is queued
//!     send_peer_records           small: copied; large: the slice itself, pinned until it has left
//!
//!     queue   [ bytes | records | bytes ] ── flush ──> one send under way ──> next flush
//! ```
//!
//! Invariants:
//! * A connection has at most one send under way, so its bytes leave in order.
//! * A client's backlog is bounded: past the limit the connection is closed. A peer's is reported, and bounded by
//!   the shard.

use super::limits::{COPIED_RECORDS_BYTES_MAX, KEPT_SEND_BUFFER_BYTES_MAX};
use super::operation::Part;
use super::ring::SEND_PARTS_MAX;
use super::slots::{Key, Slots};
use crate::shard::{ConnectionId, Outbox, PeerAddress, PeerId, SiblingMessage};
use crate::storage::Slice;
use margay_types::ShardId;
use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

/// Bytes for one connection.
#[derive(Default)]
pub(super) struct Queue {
    parts: Vec<Part>,
    queued_bytes: u64,
    sending_bytes: u64,
    /// An empty buffer of an earlier send.
    spare: Vec<u8>,
    is_dirty: bool,
    wants_close: bool,
    overflowed: bool,
}

/// What a queue wants after a turn.
#[derive(Debug)]
pub(super) enum Wish {
    /// Nothing to do now.
    Nothing,
    /// Send these.
    Send(Vec<Part>),
    /// Everything has left, and the connection shall end.
    Close,
    /// The client does not read.
    Overflowed,
}

impl Queue {
    fn append(&mut self, bytes: &[u8]) {
        if !matches!(self.parts.last(), Some(Part::Bytes(_))) {
            self.parts
                .push(Part::Bytes(std::mem::take(&mut self.spare)));
        }
        if let Some(Part::Bytes(last)) = self.parts.last_mut() {
            last.extend_from_slice(bytes);
        }
        self.queued_bytes += bytes.len() as u64;
    }

    fn append_records(&mut self, records: Slice) {
        if records.len() <= COPIED_RECORDS_BYTES_MAX {
            self.append(&records);
        } else {
            self.queued_bytes += records.len() as u64;
            self.parts.push(Part::Records(records));
        }
    }

    fn backlog_bytes(&self) -> u64 {
        self.queued_bytes + self.sending_bytes
    }

    fn take_wish(&mut self) -> Wish {
        self.is_dirty = false;
        if self.overflowed {
            Wish::Overflowed
        } else if self.sending_bytes > 0 {
            Wish::Nothing
        } else if self.queued_bytes > 0 {
            Wish::Send(self.take_parts())
        } else if self.wants_close {
            Wish::Close
        } else {
            Wish::Nothing
        }
    }

    fn take_parts(&mut self) -> Vec<Part> {
        let count = self.parts.len().min(SEND_PARTS_MAX);
        let behind = self.parts.split_off(count);
        let parts = std::mem::replace(&mut self.parts, behind);
        let bytes: usize = parts.iter().map(|part| part.bytes().len()).sum();
        self.sending_bytes = bytes as u64;
        self.queued_bytes -= bytes as u64;
        parts
    }

    fn on_sent(&mut self, parts: Vec<Part>) {
        self.sending_bytes = 0;
        for part in parts {
            if let Part::Bytes(mut bytes) = part
                && bytes.capacity() <= KEPT_SEND_BUFFER_BYTES_MAX
            {
                bytes.clear();
                self.spare = bytes;
            }
        }
    }
}

/// All queues of a core, and what the shard wishes of its connections.
pub(super) struct Outgoing {
    queues: Slots<Queue>,
    dirty: Vec<Key>,
    peers: BTreeMap<PeerId, Key>,
    wanted: Option<Vec<PeerAddress>>,
    /// What waits for the mailbox of another core, in its order.
    siblings: BTreeMap<ShardId, VecDeque<SiblingMessage>>,
    client_backlog_bytes_max: u64,
}

impl Outgoing {
    /// No connections yet.
    pub(super) fn new(client_backlog_bytes_max: u64) -> Rc<RefCell<Self>> {
        Rc::new(RefCell::new(Self {
            queues: Slots::new(),
            dirty: Vec::new(),
            peers: BTreeMap::new(),
            wanted: None,
            siblings: BTreeMap::new(),
            client_backlog_bytes_max,
        }))
    }

    /// A queue for a new connection.
    pub(super) fn open(&mut self) -> Key {
        self.queues.insert(Queue::default())
    }

    /// The connection is gone, with what waited for it.
    pub(super) fn forget(&mut self, key: Key) {
        self.queues.remove(key);
    }

    /// Frames for `peer` go to connection `key` from now on.
    pub(super) fn bind_peer(&mut self, peer: PeerId, key: Key) {
        self.peers.insert(peer, key);
    }

    /// Frames for `peer` go nowhere from now on.
    pub(super) fn unbind_peer(&mut self, peer: PeerId) {
        self.peers.remove(&peer);
    }

    /// Appends bytes for a connection whatever it is: a hello.
    pub(super) fn append(&mut self, key: Key, bytes: &[u8]) {
        if let Some(queue) = self.queues.find_mut(key) {
            queue.append(bytes);
            mark(&mut self.dirty, queue, key);
        }
    }

    /// Ends a connection when what was appended has left.
    pub(super) fn close_after(&mut self, key: Key) {
        if let Some(queue) = self.queues.find_mut(key) {
            queue.wants_close = true;
            mark(&mut self.dirty, queue, key);
        }
    }

    /// Bytes wait, or are on their way, for any connection.
    pub(super) fn is_busy(&self) -> bool {
        self.queues
            .iter()
            .any(|(_, queue)| queue.backlog_bytes() > 0)
    }

    /// A connection that something changed for, and what it wants.
    pub(super) fn take_wish(&mut self) -> Option<(Key, Wish)> {
        loop {
            let key = self.dirty.pop()?;
            if let Some(queue) = self.queues.find_mut(key) {
                return Some((key, queue.take_wish()));
            }
        }
    }

    /// A send is over, and all of it has left.
    pub(super) fn on_sent(&mut self, key: Key, parts: Vec<Part>) {
        if let Some(queue) = self.queues.find_mut(key) {
            queue.on_sent(parts);
            mark(&mut self.dirty, queue, key);
        }
    }

    /// Hands what waits for other cores to `deliver`, which gives back what a full mailbox did not take: that is tried
    /// again, with all behind it, at the next turn. Says whether anything waits.
    pub(super) fn deliver_to_siblings(
        &mut self,
        mut deliver: impl FnMut(ShardId, SiblingMessage) -> Result<(), SiblingMessage>,
    ) -> bool {
        for (shard, waiting) in &mut self.siblings {
            while let Some(message) = waiting.pop_front() {
                if let Err(message) = deliver(*shard, message) {
                    waiting.push_front(message);
                    break;
                }
            }
        }
        self.siblings.values().any(|waiting| !waiting.is_empty())
    }

    /// The list of peers, if the shard has given a new one.
    pub(super) fn take_wanted(&mut self) -> Option<Vec<PeerAddress>> {
        self.wanted.take()
    }
}

fn mark(dirty: &mut Vec<Key>, queue: &mut Queue, key: Key) {
    if !queue.is_dirty {
        queue.is_dirty = true;
        dirty.push(key);
    }
}

/// The shard's handle to its sockets.
#[derive(Clone)]
pub struct RingOutbox {
    outgoing: Rc<RefCell<Outgoing>>,
}

impl RingOutbox {
    /// A handle to `outgoing`.
    pub(super) fn new(outgoing: Rc<RefCell<Outgoing>>) -> Self {
        Self { outgoing }
    }
}

impl Outbox for RingOutbox {
    fn send_client(&mut self, connection: ConnectionId, frame: &[u8]) {
        let mut outgoing = self.outgoing.borrow_mut();
        let Outgoing {
            queues,
            dirty,
            client_backlog_bytes_max,
            ..
        } = &mut *outgoing;
        let key = Key::from_number(connection.number);
        let Some(queue) = queues.find_mut(key) else {
            return;
        };
        if queue.wants_close {
            return;
        }
        if queue.backlog_bytes() + frame.len() as u64 > *client_backlog_bytes_max {
            queue.overflowed = true;
        } else {
            queue.append(frame);
        }
        mark(dirty, queue, key);
    }

    fn send_peer(&mut self, peer: PeerId, bytes: &[u8]) {
        let mut outgoing = self.outgoing.borrow_mut();
        if let Some(key) = outgoing.peers.get(&peer).copied() {
            outgoing.append(key, bytes);
        }
    }

    fn send_peer_records(&mut self, peer: PeerId, records: Slice) {
        let mut outgoing = self.outgoing.borrow_mut();
        let Outgoing {
            queues,
            dirty,
            peers,
            ..
        } = &mut *outgoing;
        if let Some(key) = peers.get(&peer).copied()
            && let Some(queue) = queues.find_mut(key)
        {
            queue.append_records(records);
            mark(dirty, queue, key);
        }
    }

    fn peer_backlog_bytes(&self, peer: PeerId) -> u64 {
        let outgoing = self.outgoing.borrow();
        let queue = outgoing
            .peers
            .get(&peer)
            .and_then(|key| outgoing.queues.find(*key));
        queue.map_or(0, Queue::backlog_bytes)
    }

    fn close(&mut self, connection: ConnectionId) {
        self.outgoing
            .borrow_mut()
            .close_after(Key::from_number(connection.number));
    }

    fn set_peers(&mut self, peers: &[PeerAddress]) {
        self.outgoing.borrow_mut().wanted = Some(peers.to_vec());
    }

    fn send_sibling(&mut self, shard: ShardId, message: SiblingMessage) {
        let siblings = &mut self.outgoing.borrow_mut().siblings;
        siblings.entry(shard).or_default().push_back(message);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(outgoing: &Rc<RefCell<Outgoing>>) -> Option<Wish> {
        outgoing.borrow_mut().take_wish().map(|(_, wish)| wish)
    }

    fn connection(key: Key) -> ConnectionId {
        ConnectionId {
            shard: ShardId::FIRST,
            number: key.number(),
        }
    }

    fn connected(limit: u64) -> (Rc<RefCell<Outgoing>>, RingOutbox, Key) {
        let outgoing = Outgoing::new(limit);
        let key = outgoing.borrow_mut().open();
        (Rc::clone(&outgoing), RingOutbox::new(outgoing), key)
    }

    #[test]
    fn what_a_turn_appends_leaves_in_one_send_and_the_next_waits_for_it() {
        let (outgoing, mut outbox, key) = connected(100);
        let connection = connection(key);
        outbox.send_client(connection, b"one ");
        outbox.send_client(connection, b"two");
        let Some(Wish::Send(parts)) = wish(&outgoing) else {
            panic!("nothing to send");
        };
        assert_eq!(parts[0].bytes(), b"one two");
        outbox.send_client(connection, b"three");
        assert!(
            matches!(wish(&outgoing), Some(Wish::Nothing)),
            "a send is under way"
        );
        outgoing.borrow_mut().on_sent(key, parts);
        assert!(matches!(wish(&outgoing), Some(Wish::Send(_))));
        assert!(wish(&outgoing).is_none());
    }

    #[test]
    fn a_client_that_does_not_read_overflows() {
        let (outgoing, mut outbox, key) = connected(8);
        outbox.send_client(connection(key), b"12345678");
        outbox.send_client(connection(key), b"9");
        assert!(matches!(wish(&outgoing), Some(Wish::Overflowed)));
    }

    #[test]
    fn a_connection_closes_after_its_last_bytes_have_left() {
        let (outgoing, mut outbox, key) = connected(100);
        outbox.send_client(connection(key), b"bye");
        outbox.close(connection(key));
        outbox.send_client(connection(key), b"never heard");
        let Some(Wish::Send(parts)) = wish(&outgoing) else {
            panic!("nothing to send");
        };
        assert_eq!(parts[0].bytes(), b"bye");
        outgoing.borrow_mut().on_sent(key, parts);
        assert!(matches!(wish(&outgoing), Some(Wish::Close)));
    }

    #[test]
    fn bytes_for_nobody_are_swallowed_and_a_peer_reports_its_backlog() {
        let (outgoing, mut outbox, key) = connected(100);
        let peer = PeerId {
            node: margay_types::NodeId::new(2),
            shard: margay_types::ShardId::new(0),
        };
        outbox.send_peer(peer, b"lost");
        assert_eq!(outbox.peer_backlog_bytes(peer), 0);
        outgoing.borrow_mut().bind_peer(peer, key);
        outbox.send_peer(peer, b"kept");
        assert_eq!(outbox.peer_backlog_bytes(peer), 4);
        outbox.send_client(connection(Key::from_number(u64::MAX)), b"lost");
    }
}
