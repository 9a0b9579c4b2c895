//! All sockets of a core: accepts, greets, receives, sends, dials and closes them.
//!
//! Bytes go from the shared receive buffers straight into frames and from there into the shard; what the shard
//! answers is in the outbox and leaves when the turn ends.
//!
//! Invariants:
//! * A connection's key is the same in `connections` and in the outbox: both tables see the same opens and closes
//!   in the same order.
//! * `on_client_open` and `on_client_closed`, `on_peer_up` and `on_peer_down` come in pairs.
//! * The place of a connection is freed when the kernel has completed everything on its socket.

use super::cold::Io;
use super::connection::{Connection, Greeting, Phase};
use super::driven::Core;
use super::handover::HandedSocket;
use super::listener;
use super::notice::{Notice, Notices};
use super::operation::{Operation, Part, Purpose};
use super::outbox::{Outgoing, Wish};
use super::peer_link::PeerLinks;
use super::ring::{Completion, Product, Ring};
use super::slots::{Key, Slots};
use crate::shard::{ConnectionId, PeerAddress};
use margay_types::ShardId;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::rc::Rc;

/// Numbers that tests make small.
#[derive(Clone, Copy, Debug)]
pub(super) struct NetworkLimits {
    /// Clients and operators.
    pub(super) clients_max: usize,
    /// Time for a hello, and for last bytes.
    pub(super) handshake_timeout_ns: u64,
}

/// A name that was looked up, or not.
type Resolved = (PeerAddress, io::Result<SocketAddr>);

/// The sockets of a core.
pub(super) struct Network {
    /// The core that they belong to.
    pub(super) shard: ShardId,
    /// Sockets that other cores are to have.
    pub(super) handed: VecDeque<(ShardId, HandedSocket)>,
    pub(super) connections: Slots<Connection>,
    pub(super) outgoing: Rc<RefCell<Outgoing>>,
    pub(super) links: PeerLinks,
    pub(super) resolved: Rc<RefCell<VecDeque<Resolved>>>,
    /// Connections whose hello or whose end is awaited, by deadline.
    pub(super) deadlines: VecDeque<(u64, Key)>,
    pub(super) clients: usize,
    pub(super) limits: NetworkLimits,
    pub(super) notices: Notices,
}

/// What a call may use beside the sockets.
pub(super) struct Surroundings<'a, C> {
    pub(super) core: &'a mut C,
    pub(super) now_ns: u64,
}

impl Network {
    /// No sockets yet.
    pub(super) fn new(
        shard: ShardId,
        outgoing: Rc<RefCell<Outgoing>>,
        limits: NetworkLimits,
        seed: u64,
    ) -> Self {
        Self {
            shard,
            handed: VecDeque::new(),
            connections: Slots::new(),
            outgoing,
            links: PeerLinks::new(seed),
            resolved: Rc::default(),
            deadlines: VecDeque::new(),
            clients: 0,
            limits,
            notices: Notices::new(),
        }
    }

    /// Sockets that are open.
    pub(super) fn connection_count(&self) -> usize {
        self.connections.len()
    }

    /// Clients and operators that are connected.
    pub(super) fn client_count(&self) -> usize {
        self.clients
    }

    /// Someone connected.
    pub(super) fn on_accepted<C: Core>(
        &mut self,
        ring: &mut Ring,
        socket: OwnedFd,
        around: &mut Surroundings<'_, C>,
    ) {
        if !self.make_place(around) {
            return;
        }
        if let Err(error) = listener::prepare(&socket) {
            // It was closed before we could greet it.
            tracing::debug!(%error, "accepted socket is gone");
            return;
        }
        let greeting = Phase::Greeting(Greeting::new(None));
        let key = self.open(socket, greeting, around.now_ns);
        self.arm_receive(ring, key);
    }

    /// The kernel does not accept connections for us.
    pub(super) fn on_accept_failed(&mut self, error: &io::Error, now_ns: u64) {
        self.notices.tell(Notice::AcceptFailed, now_ns, error);
    }

    /// Something was received, or the other side is done.
    pub(super) fn on_received<C: Core>(
        &mut self,
        ring: &mut Ring,
        key: Key,
        completion: Completion,
        around: &mut Surroundings<'_, C>,
    ) {
        let armed = completion.operation.is_none();
        if let Product::Received(buffer) = completion.product {
            self.take_bytes(key, ring.received(&buffer), around);
            ring.give_back(buffer);
        }
        if armed {
            self.stop_receiving_for_handover(ring, key);
            return;
        }
        let connection = self
            .connections
            .find_mut(key)
            .expect("a socket under way is kept");
        connection.receive = None;
        let is_over = matches!(completion.result, Ok(0));
        let goes_on = match completion.result {
            Ok(0) => false,
            Ok(_) => true,
            // All shared buffers were full; they are empty again when this turn ends.
            Err(ref error) if error.raw_os_error() == Some(libc::ENOBUFS) => true,
            Err(ref error) => {
                self.tell_vanished(key, error, around.now_ns);
                false
            }
        };
        let connection = self
            .connections
            .find(key)
            .expect("a socket under way is kept");
        if matches!(connection.phase, Phase::Dead) {
            self.retire(key);
        } else if matches!(connection.phase, Phase::HandingOver(_)) {
            // Its receive was cancelled, or ended by itself; the other core arms its own.
            drop(completion.operation);
            if is_over {
                self.end(key, around);
            } else {
                self.hand_over(key);
            }
        } else if goes_on {
            self.arm_receive(ring, key);
        } else {
            self.end(key, around);
        }
    }

    /// A send is over.
    pub(super) fn on_sent<C: Core>(
        &mut self,
        ring: &mut Ring,
        key: Key,
        completion: Completion,
        around: &mut Surroundings<'_, C>,
    ) {
        let Some(Operation::Send {
            socket,
            parts,
            sent_bytes,
        }) = completion.operation
        else {
            unreachable!("a send completes once, with its parts")
        };
        let connection = self
            .connections
            .find_mut(key)
            .expect("a socket under way is kept");
        connection.is_sending = false;
        let total: usize = parts.iter().map(|part| part.bytes().len()).sum();
        match completion.result {
            Ok(count) if count > 0 => {
                let sent_bytes = sent_bytes + usize::try_from(count).expect("32 bits");
                if sent_bytes < total && !matches!(connection.phase, Phase::Dead) {
                    connection.is_sending = true;
                    let send = Operation::Send {
                        socket,
                        parts,
                        sent_bytes,
                    };
                    ring.start(Purpose::Send(key), send);
                    return;
                }
                self.outgoing.borrow_mut().on_sent(key, parts);
                self.retire(key);
            }
            Ok(_) => self.end(key, around),
            Err(error) => {
                self.tell_vanished(key, &error, around.now_ns);
                self.end(key, around);
            }
        }
    }

    /// Lets everything leave that the turn has appended, and does what the shard wishes.
    pub(super) fn flush<C: Core>(&mut self, ring: &mut Ring, around: &mut Surroundings<'_, C>) {
        let wanted = self.outgoing.borrow_mut().take_wanted();
        if let Some(wanted) = wanted {
            for dropped in self.links.set(wanted, around.now_ns) {
                self.end(dropped.0, around);
            }
        }
        loop {
            let wish = self.outgoing.borrow_mut().take_wish();
            let Some((key, wish)) = wish else { break };
            match wish {
                Wish::Nothing => {}
                Wish::Send(parts) => self.send(ring, key, parts),
                Wish::Close => self.leave(key, around),
                Wish::Overflowed => {
                    let client = self.remote(key);
                    self.notices
                        .tell(Notice::ClientDoesNotRead, around.now_ns, &client);
                    self.end(key, around);
                }
            }
        }
    }

    /// Time passes: deadlines, and peers to dial.
    pub(super) fn on_tick<C: Core>(
        &mut self,
        ring: &mut Ring,
        io: &Rc<Io>,
        around: &mut Surroundings<'_, C>,
    ) {
        while let Some((_, key)) = self
            .deadlines
            .pop_front_if(|(deadline_ns, _)| *deadline_ns <= around.now_ns)
        {
            self.on_deadline(ring, key, around);
        }
        self.look_up_due(io, &around.core.identity(), around.now_ns);
        self.dial_resolved(ring, around.now_ns);
    }

    /// The core stops: every connection ends when its last bytes have left.
    pub(super) fn leave_all<C: Core>(&mut self, around: &mut Surroundings<'_, C>) {
        self.links = PeerLinks::new(1);
        for key in self.keys() {
            self.announce_end(key, around);
            if let Some(connection) = self.connections.find_mut(key) {
                connection.phase = Phase::Leaving;
            }
            self.outgoing.borrow_mut().close_after(key);
        }
    }

    /// Do bytes wait that should leave?
    pub(super) fn is_busy(&self) -> bool {
        self.outgoing.borrow().is_busy()
    }

    /// The core stops now.
    pub(super) fn end_all<C: Core>(&mut self, around: &mut Surroundings<'_, C>) {
        for key in self.keys() {
            self.end(key, around);
        }
    }

    /// What the shards call a connection.
    pub(super) fn connection_id(&self, key: Key) -> ConnectionId {
        ConnectionId {
            shard: self.shard,
            number: key.number(),
        }
    }

    fn keys(&self) -> Vec<Key> {
        self.connections.iter().map(|(key, _)| key).collect()
    }

    pub(super) fn open(&mut self, socket: OwnedFd, phase: Phase, now_ns: u64) -> Key {
        let key = self
            .connections
            .insert(Connection::new(Rc::new(socket), phase));
        let queue = self.outgoing.borrow_mut().open();
        assert!(key == queue, "connection {key} has queue {queue}");
        self.deadlines
            .push_back((now_ns + self.limits.handshake_timeout_ns, key));
        key
    }

    pub(super) fn arm_receive(&mut self, ring: &mut Ring, key: Key) {
        let connection = self
            .connections
            .find_mut(key)
            .expect("a socket that receives is open");
        let socket = Rc::clone(&connection.socket);
        let receive = ring.start(Purpose::Receive(key), Operation::Receive { socket });
        connection.receive = Some(receive);
    }

    fn send(&mut self, ring: &mut Ring, key: Key, parts: Vec<Part>) {
        let connection = self
            .connections
            .find_mut(key)
            .expect("a queue has its connection");
        if matches!(connection.phase, Phase::Dead) {
            return;
        }
        connection.is_sending = true;
        let send = Operation::Send {
            socket: Rc::clone(&connection.socket),
            parts,
            sent_bytes: 0,
        };
        ring.start(Purpose::Send(key), send);
    }

    fn on_deadline<C: Core>(
        &mut self,
        ring: &mut Ring,
        key: Key,
        around: &mut Surroundings<'_, C>,
    ) {
        let Some(connection) = self.connections.find(key) else {
            return;
        };
        match connection.phase {
            Phase::Dialing(peer) => {
                let error = io::ErrorKind::TimedOut.into();
                self.tell_unreachable(peer, &error, around.now_ns);
                ring.cancel_for(Purpose::Connect(key));
                self.end(key, around);
            }
            Phase::Greeting(_) | Phase::HandingOver(_) => {
                self.notices
                    .tell(Notice::SlowHello, around.now_ns, &self.remote(key));
                self.end(key, around);
            }
            Phase::Leaving => self.end(key, around),
            Phase::Client | Phase::Peer(_) | Phase::Dead => {}
        }
    }

    /// The last bytes have left: waits for the other side to close, so that a reset cannot overtake them.
    fn leave<C: Core>(&mut self, key: Key, around: &mut Surroundings<'_, C>) {
        self.announce_end(key, around);
        let Some(connection) = self.connections.find_mut(key) else {
            return;
        };
        if matches!(connection.phase, Phase::Dead) {
            return;
        }
        connection.phase = Phase::Leaving;
        listener::shut_down_sending(&connection.socket);
        self.deadlines
            .push_back((around.now_ns + self.limits.handshake_timeout_ns, key));
    }

    /// Ends a connection at once.
    pub(super) fn end<C: Core>(&mut self, key: Key, around: &mut Surroundings<'_, C>) {
        self.announce_end(key, around);
        if let Some(connection) = self.connections.find_mut(key) {
            connection.phase = Phase::Dead;
            listener::shut_down(&connection.socket);
            self.retire(key);
        }
    }

    /// Tells the shard, and the links, that a connection is over.
    pub(super) fn announce_end<C: Core>(&mut self, key: Key, around: &mut Surroundings<'_, C>) {
        let Some(connection) = self.connections.find_mut(key) else {
            return;
        };
        match std::mem::replace(&mut connection.phase, Phase::Leaving) {
            Phase::Client => {
                self.clients -= 1;
                around.core.on_client_closed(self.connection_id(key));
            }
            Phase::Peer(peer) => {
                self.outgoing.borrow_mut().unbind_peer(peer);
                self.links.on_down(peer, key, around.now_ns);
                around.core.on_peer_down(peer);
            }
            Phase::Dialing(peer)
            | Phase::Greeting(Greeting {
                dialed: Some(peer), ..
            }) => self.links.on_down(peer, key, around.now_ns),
            Phase::Greeting(_) | Phase::HandingOver(_) | Phase::Leaving => {}
            Phase::Dead => connection.phase = Phase::Dead,
        }
    }

    /// Frees the place of a dead connection when the kernel is done with it.
    pub(super) fn retire(&mut self, key: Key) {
        let connection = self.connections.find(key);
        let is_over = |connection: &Connection| {
            matches!(connection.phase, Phase::Dead) && connection.is_idle()
        };
        if connection.is_some_and(is_over) {
            self.connections.remove(key);
            self.outgoing.borrow_mut().forget(key);
        }
    }
}
