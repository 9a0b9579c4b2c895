//! The three worlds outside of a simulated shard: its disk is virtual, and so are its clock and its network.

use crate::disk::VirtualDisk;
use margay::shard::{Clock, ConnectionId, Outbox, PeerAddress, PeerId, Seams, SiblingMessage};
use margay::storage::Slice;
use margay_types::ShardId;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

/// The seams of a simulated node.
pub struct VirtualSeams;

impl Seams for VirtualSeams {
    type Disk = VirtualDisk;
    type Outbox = VirtualOutbox;
    type Clock = VirtualClock;
}

/// A node's clock: says what the world last told it.
#[derive(Clone, Debug, Default)]
pub struct VirtualClock(Rc<Cell<u64>>);

impl VirtualClock {
    /// Time goes on, never back.
    pub fn set(&self, now_ns: u64) {
        self.0.set(self.0.get().max(now_ns));
    }
}

impl Clock for VirtualClock {
    fn now_ns(&self) -> u64 {
        self.0.get()
    }
}

/// What one turn of a shard put out.
#[derive(Debug, Default)]
pub struct Outgoing {
    /// Bytes for clients and operators.
    pub clients: BTreeMap<ConnectionId, Vec<u8>>,
    /// Bytes for peers: whole frames.
    pub peers: BTreeMap<PeerId, Vec<u8>>,
    /// Connections to close once their bytes have left.
    pub closing: Vec<ConnectionId>,
    /// For other shards of the node.
    pub siblings: Vec<(ShardId, SiblingMessage)>,
}

/// What the shard put out and the world has not taken.
#[derive(Debug, Default)]
struct State {
    outgoing: Outgoing,
    wanted: Rc<[PeerAddress]>,
    backlog_bytes: BTreeMap<PeerId, u64>,
}

/// Gathers what a shard puts out, until the world takes it at the end of the turn.
#[derive(Clone, Debug, Default)]
pub struct VirtualOutbox(Rc<RefCell<State>>);

impl VirtualOutbox {
    /// Takes what the turn put out.
    #[must_use]
    pub fn take(&self) -> Outgoing {
        std::mem::take(&mut self.0.borrow_mut().outgoing)
    }

    /// Whom the shard wants connections to.
    #[must_use]
    pub fn wanted(&self) -> Rc<[PeerAddress]> {
        Rc::clone(&self.0.borrow().wanted)
    }

    /// So much is on its way to a peer.
    pub fn set_backlog_bytes(&self, peer: PeerId, bytes: u64) {
        self.0.borrow_mut().backlog_bytes.insert(peer, bytes);
    }
}

impl Outbox for VirtualOutbox {
    fn send_client(&mut self, connection: ConnectionId, frame: &[u8]) {
        let clients = &mut self.0.borrow_mut().outgoing.clients;
        clients
            .entry(connection)
            .or_default()
            .extend_from_slice(frame);
    }

    fn send_peer(&mut self, peer: PeerId, bytes: &[u8]) {
        let peers = &mut self.0.borrow_mut().outgoing.peers;
        peers.entry(peer).or_default().extend_from_slice(bytes);
    }

    fn send_peer_records(&mut self, peer: PeerId, records: Slice) {
        self.send_peer(peer, &records);
    }

    fn peer_backlog_bytes(&self, peer: PeerId) -> u64 {
        let state = self.0.borrow();
        let waiting = state
            .outgoing
            .peers
            .get(&peer)
            .map_or(0, |bytes| bytes.len() as u64);
        waiting + state.backlog_bytes.get(&peer).copied().unwrap_or(0)
    }

    fn close(&mut self, connection: ConnectionId) {
        self.0.borrow_mut().outgoing.closing.push(connection);
    }

    fn set_peers(&mut self, peers: &[PeerAddress]) {
        self.0.borrow_mut().wanted = peers.into();
    }

    fn send_sibling(&mut self, shard: ShardId, message: SiblingMessage) {
        let siblings = &mut self.0.borrow_mut().outgoing.siblings;
        siblings.push((shard, message));
    }
}
