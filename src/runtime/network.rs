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
use super::handshake::{self, Arrival};
use super::helper::{Job, JobAnswer};
use super::limits::PEERS_RESERVED;
use super::listener;
use super::notice::{Notice, Notices};
use super::operation::{Operation, Part, Purpose};
use super::outbox::{Outgoing, Wish};
use super::peer_link::PeerLinks;
use super::ring::{Completion, Product, Ring};
use super::slots::{Key, Slots};
use crate::shard::{ConnectionId, PeerAddress, PeerId};
use margay_types::ProcessLife;
use margay_wire::hello::HELLO_BYTES;
use margay_wire::{Code, Hello};
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
    connections: Slots<Connection>,
    outgoing: Rc<RefCell<Outgoing>>,
    links: PeerLinks,
    resolved: Rc<RefCell<VecDeque<Resolved>>>,
    /// Connections whose hello or whose end is awaited, by deadline.
    deadlines: VecDeque<(u64, Key)>,
    clients: usize,
    limits: NetworkLimits,
    notices: Notices,
}

/// What a call may use beside the sockets.
pub(super) struct Surroundings<'a, C> {
    pub(super) core: &'a mut C,
    pub(super) now_ns: u64,
}

impl Network {
    /// No sockets yet.
    pub(super) fn new(outgoing: Rc<RefCell<Outgoing>>, limits: NetworkLimits, seed: u64) -> Self {
        Self {
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
    pub(super) fn on_accepted(&mut self, ring: &mut Ring, socket: OwnedFd, now_ns: u64) {
        let full = self.connections.len() >= self.limits.clients_max + PEERS_RESERVED;
        if full {
            self.notices
                .tell(Notice::TooManyConnections, now_ns, &self.limits.clients_max);
            return;
        }
        if let Err(error) = listener::prepare(&socket) {
            // It was closed before we could greet it.
            tracing::debug!(%error, "accepted socket is gone");
            return;
        }
        let greeting = Phase::Greeting(Greeting::new(None));
        let key = self.open(socket, greeting, now_ns);
        self.arm_receive(ring, key);
    }

    /// The kernel does not accept connections for us.
    pub(super) fn on_accept_failed(&mut self, error: &io::Error, now_ns: u64) {
        self.notices.tell(Notice::AcceptFailed, now_ns, error);
    }

    /// A connection that we dialed stands, or does not.
    pub(super) fn on_connected<C: Core>(
        &mut self,
        ring: &mut Ring,
        key: Key,
        result: io::Result<u32>,
        around: &mut Surroundings<'_, C>,
    ) {
        let connection = self
            .connections
            .find_mut(key)
            .expect("a socket under way is kept");
        connection.is_sending = false;
        let Phase::Dialing(peer) = connection.phase else {
            self.retire(key);
            return;
        };
        let wanted = self.links.address_of(peer).cloned();
        match (result, wanted) {
            (Ok(_), Some(wanted)) => {
                let hello = handshake::dialing_hello(&around.core.identity(), &wanted);
                connection.phase = Phase::Greeting(Greeting::new(Some(peer)));
                self.outgoing.borrow_mut().append(key, &hello.encode());
                self.arm_receive(ring, key);
            }
            (Err(error), Some(wanted)) => {
                let text = format!("{}: {error}", wanted.address);
                self.notices
                    .tell(Notice::PeerUnreachable, around.now_ns, &text);
                self.end(key, around);
            }
            (_, None) => self.end(key, around),
        }
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
            return;
        }
        let connection = self
            .connections
            .find_mut(key)
            .expect("a socket under way is kept");
        connection.is_receiving = false;
        let goes_on = match completion.result {
            Ok(0) => false,
            Ok(_) => true,
            // All shared buffers were full; they are empty again when this turn ends.
            Err(error) => error.raw_os_error() == Some(libc::ENOBUFS),
        };
        match connection.phase {
            Phase::Dead => self.retire(key),
            _ if goes_on => self.arm_receive(ring, key),
            _ => self.end(key, around),
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
            Ok(_) | Err(_) => self.end(key, around),
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
                    self.notices
                        .tell(Notice::ClientDoesNotRead, around.now_ns, &key);
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
        let me = around.core.identity();
        for wanted in self.links.take_due(me.node, around.now_ns) {
            let (io, resolved) = (Rc::clone(io), Rc::clone(&self.resolved));
            io.clone().spawn(Box::pin(async move {
                let found = match io.ask(Job::Resolve(wanted.address.clone())).await {
                    Ok(JobAnswer::Resolved(found)) => found,
                    Ok(other) => unreachable!("a name was asked for, {other:?} came"),
                    Err(error) => Err(error),
                };
                resolved.borrow_mut().push_back((wanted, found));
            }));
        }
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

    fn keys(&self) -> Vec<Key> {
        self.connections.iter().map(|(key, _)| key).collect()
    }

    fn open(&mut self, socket: OwnedFd, phase: Phase, now_ns: u64) -> Key {
        let key = self
            .connections
            .insert(Connection::new(Rc::new(socket), phase));
        let queue = self.outgoing.borrow_mut().open();
        assert!(key == queue, "connection {key} has queue {queue}");
        self.deadlines
            .push_back((now_ns + self.limits.handshake_timeout_ns, key));
        key
    }

    fn arm_receive(&mut self, ring: &mut Ring, key: Key) {
        let connection = self
            .connections
            .find_mut(key)
            .expect("a socket that receives is open");
        connection.is_receiving = true;
        let socket = Rc::clone(&connection.socket);
        ring.start(Purpose::Receive(key), Operation::Receive { socket });
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

    fn take_bytes<C: Core>(
        &mut self,
        key: Key,
        mut bytes: &[u8],
        around: &mut Surroundings<'_, C>,
    ) {
        let connection = self
            .connections
            .find_mut(key)
            .expect("a socket under way is kept");
        if let Phase::Greeting(greeting) = &mut connection.phase
            && let Some(hello) = greeting.take(&mut bytes)
        {
            let dialed = greeting.dialed;
            self.take_hello(key, dialed, &hello, around);
        }
        if !bytes.is_empty() {
            self.take_frames(key, bytes, around);
        }
    }

    fn take_frames<C: Core>(&mut self, key: Key, bytes: &[u8], around: &mut Surroundings<'_, C>) {
        let connection = self
            .connections
            .find_mut(key)
            .expect("a socket under way is kept");
        let broken = match connection.phase {
            Phase::Client => {
                let id = ConnectionId(key.number());
                let frames = connection.splitter.split(bytes);
                frames_to(frames, |frame| around.core.on_client_frame(id, frame))
            }
            Phase::Peer(peer) => {
                let frames = connection.splitter.split(bytes);
                frames_to(frames, |frame| around.core.on_peer_frame(peer, frame))
            }
            Phase::Greeting(_) | Phase::Dialing(_) | Phase::Leaving | Phase::Dead => None,
        };
        if let Some(error) = broken {
            let from = self.remote(key);
            self.notices.tell(
                Notice::BrokenFrames,
                around.now_ns,
                &format!("{from}: {error}"),
            );
            self.end(key, around);
        }
    }

    fn take_hello<C: Core>(
        &mut self,
        key: Key,
        dialed: Option<PeerId>,
        bytes: &[u8; HELLO_BYTES],
        around: &mut Surroundings<'_, C>,
    ) {
        match (Hello::decode(bytes), dialed) {
            (Ok(hello), None) => self.greet(key, &hello, around),
            (Ok(hello), Some(peer)) => self.take_answer(key, peer, &hello, around),
            (Err(error), _) => {
                let from = self.remote(key);
                self.notices
                    .tell(Notice::NotOurs, around.now_ns, &format!("{from}: {error}"));
                self.end(key, around);
            }
        }
    }

    /// Answers whoever connected to us.
    fn greet<C: Core>(&mut self, key: Key, hello: &Hello, around: &mut Surroundings<'_, C>) {
        let me = around.core.identity();
        let judged = handshake::judge_arrival(hello, &me, &self.links.wanted());
        let judged = match judged {
            Ok(Arrival::Client) if self.clients >= self.limits.clients_max => {
                Err(Code::TooManyConnections)
            }
            judged => judged,
        };
        let answer = hello.answer(handshake::own_hello(&me, hello.kind), judged.err());
        self.outgoing.borrow_mut().append(key, &answer.encode());
        match judged {
            Ok(Arrival::Client) => {
                self.clients += 1;
                self.set_phase(key, Phase::Client);
                around
                    .core
                    .on_client_open(ConnectionId(key.number()), hello);
            }
            Ok(Arrival::Peer(peer, life)) => self.become_peer(key, peer, life, around),
            Err(code) => {
                let text = format!("{}: {}", self.remote(key), code.text());
                self.notices
                    .tell(Notice::HelloRefused, around.now_ns, &text);
                self.set_phase(key, Phase::Leaving);
                self.outgoing.borrow_mut().close_after(key);
            }
        }
    }

    /// Takes the answer of a peer that we dialed.
    fn take_answer<C: Core>(
        &mut self,
        key: Key,
        peer: PeerId,
        hello: &Hello,
        around: &mut Surroundings<'_, C>,
    ) {
        let me = around.core.identity();
        let Some(wanted) = self.links.address_of(peer) else {
            self.end(key, around);
            return;
        };
        match handshake::judge_answer(hello, &me, wanted) {
            Ok(life) => self.become_peer(key, peer, life, around),
            Err(code) => {
                let text = format!("{}: {}", wanted.address, code.text());
                self.notices
                    .tell(Notice::HelloRefused, around.now_ns, &text);
                self.end(key, around);
            }
        }
    }

    fn become_peer<C: Core>(
        &mut self,
        key: Key,
        peer: PeerId,
        life: ProcessLife,
        around: &mut Surroundings<'_, C>,
    ) {
        self.set_phase(key, Phase::Peer(peer));
        if let Some(older) = self.links.on_up(peer, key) {
            self.end(older.0, around);
        }
        self.outgoing.borrow_mut().bind_peer(peer, key);
        around.core.on_peer_up(peer, life);
    }

    fn set_phase(&mut self, key: Key, phase: Phase) {
        self.connections
            .find_mut(key)
            .expect("the socket is open")
            .phase = phase;
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
            Phase::Dialing(_) => {
                ring.cancel(Purpose::Connect(key));
                self.end(key, around);
            }
            Phase::Greeting(_) => {
                self.notices
                    .tell(Notice::SlowHello, around.now_ns, &self.remote(key));
                self.end(key, around);
            }
            Phase::Leaving => self.end(key, around),
            Phase::Client | Phase::Peer(_) | Phase::Dead => {}
        }
    }

    fn dial_resolved(&mut self, ring: &mut Ring, now_ns: u64) {
        loop {
            let next = self.resolved.borrow_mut().pop_front();
            let Some((wanted, found)) = next else { break };
            if !self.links.is_resolving(&wanted) {
                continue;
            }
            let dialed =
                found.and_then(|address| Ok((address, listener::dialing_socket(address)?)));
            match dialed {
                Ok((address, socket)) => {
                    let key = self.open(socket, Phase::Dialing(wanted.peer), now_ns);
                    self.links.on_dialing(wanted.peer, key);
                    let connection = self.connections.find_mut(key).expect("opened above");
                    connection.is_sending = true;
                    let socket = Rc::clone(&connection.socket);
                    ring.start(
                        Purpose::Connect(key),
                        Operation::Connect { socket, address },
                    );
                }
                Err(error) => {
                    let text = format!("{}: {error}", wanted.address);
                    self.notices.tell(Notice::PeerUnreachable, now_ns, &text);
                    self.links.on_failed(wanted.peer, now_ns);
                }
            }
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
    fn end<C: Core>(&mut self, key: Key, around: &mut Surroundings<'_, C>) {
        self.announce_end(key, around);
        if let Some(connection) = self.connections.find_mut(key) {
            connection.phase = Phase::Dead;
            listener::shut_down(&connection.socket);
            self.retire(key);
        }
    }

    /// Tells the shard, and the links, that a connection is over.
    fn announce_end<C: Core>(&mut self, key: Key, around: &mut Surroundings<'_, C>) {
        let Some(connection) = self.connections.find_mut(key) else {
            return;
        };
        match std::mem::replace(&mut connection.phase, Phase::Leaving) {
            Phase::Client => {
                self.clients -= 1;
                around.core.on_client_closed(ConnectionId(key.number()));
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
            Phase::Greeting(_) | Phase::Leaving => {}
            Phase::Dead => connection.phase = Phase::Dead,
        }
    }

    /// Frees the place of a dead connection when the kernel is done with it.
    fn retire(&mut self, key: Key) {
        let connection = self.connections.find(key);
        let is_over = |connection: &Connection| {
            matches!(connection.phase, Phase::Dead) && connection.is_idle()
        };
        if connection.is_some_and(is_over) {
            self.connections.remove(key);
            self.outgoing.borrow_mut().forget(key);
        }
    }

    fn remote(&self, key: Key) -> String {
        let socket = self
            .connections
            .find(key)
            .map(|connection| &connection.socket);
        let address = socket.and_then(|socket| listener::remote_address(socket));
        address.map_or_else(|| "gone".to_owned(), |address| address.to_string())
    }
}

/// Hands frames on until they end or break.
fn frames_to<'a>(
    frames: margay_wire::frame::Frames<'a>,
    mut taker: impl FnMut(margay_wire::Frame<'a>),
) -> Option<margay_wire::frame::FrameError> {
    for frame in frames {
        match frame {
            Ok(frame) => taker(frame),
            Err(error) => return Some(error),
        }
    }
    None
}
