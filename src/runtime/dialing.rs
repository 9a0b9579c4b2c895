//! Connecting to the peers that it is our turn to dial: look the name up, connect, say hello.
//!
//! Why a peer is not reached is told once for each reason while it is away, and not at every try.

use super::cold::Io;
use super::connection::{Greeting, Phase};
use super::driven::{Core, Identity};
use super::handshake;
use super::helper::{Job, JobAnswer};
use super::listener;
use super::network::{Network, Surroundings};
use super::notice::Notice;
use super::operation::{Operation, Purpose};
use super::peer_link::Due;
use super::ring::Ring;
use super::slots::Key;
use crate::shard::{PeerAddress, PeerId};
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::rc::Rc;

impl Network {
    /// Has the names of all peers looked up that are to be dialed now.
    pub(super) fn look_up_due(&mut self, io: &Rc<Io>, me: &Identity, now_ns: u64) {
        // A blank node has no number yet, and nobody would let it in.
        let due = if me.cluster.is_zero() {
            Vec::new()
        } else {
            self.links.take_due(me.node, now_ns)
        };
        for Due { wanted, at } in due {
            if let Some(address) = at {
                self.resolved.borrow_mut().push_back((wanted, Ok(address)));
                continue;
            }
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
    }

    pub(super) fn dial_resolved(&mut self, ring: &mut Ring, now_ns: u64) {
        loop {
            let next = self.resolved.borrow_mut().pop_front();
            let Some((wanted, found)) = next else { break };
            if !self.links.is_resolving(&wanted) {
                continue;
            }
            let Some(address) = self.address_to_dial(&wanted, found, now_ns) else {
                self.links.on_failed(wanted.peer, now_ns);
                continue;
            };
            match listener::dialing_socket(address) {
                Ok(socket) => self.dial(ring, wanted.peer, (socket, address), now_ns),
                Err(error) => {
                    self.tell_unreachable(wanted.peer, &error, now_ns);
                    self.links.on_failed(wanted.peer, now_ns);
                }
            }
        }
    }

    /// Where to dial a peer: where its name says, or else where it was last.
    fn address_to_dial(
        &mut self,
        wanted: &PeerAddress,
        found: io::Result<SocketAddr>,
        now_ns: u64,
    ) -> Option<SocketAddr> {
        let error = match found {
            Ok(address) => return Some(address),
            Err(error) => error,
        };
        let last = self.links.last_address(wanted.peer);
        let instead = match last {
            Some(last) => format!("dialing {last} instead, where it was last"),
            None => "it cannot be dialed until the name resolves".to_owned(),
        };
        let text = format!("{}: {error}; {instead}", wanted.address);
        self.tell_once(Notice::NameUnresolved, wanted.peer, text, now_ns);
        last
    }

    fn dial(
        &mut self,
        ring: &mut Ring,
        peer: PeerId,
        (socket, address): (OwnedFd, SocketAddr),
        now_ns: u64,
    ) {
        let key = self.open(socket, Phase::Dialing(peer), now_ns);
        self.links.on_dialing(peer, key, address);
        let connection = self.connections.find_mut(key).expect("opened above");
        connection.is_sending = true;
        let socket = Rc::clone(&connection.socket);
        ring.start(
            Purpose::Connect(key),
            Operation::Connect { socket, address },
        );
    }

    /// Tells why a peer is not reached.
    pub(super) fn tell_unreachable(&mut self, peer: PeerId, error: &io::Error, now_ns: u64) {
        let address = self.links.address_of(peer).map(|wanted| &wanted.address);
        let text = format!("{}: {error}", address.map_or("", String::as_str));
        self.tell_once(Notice::PeerUnreachable, peer, text, now_ns);
    }

    /// Tells something of a peer that is away, if it is news.
    fn tell_once(&mut self, notice: Notice, peer: PeerId, text: String, now_ns: u64) {
        if self.links.is_news(peer, &text) && self.notices.tell(notice, now_ns, &text) {
            self.links.on_told(peer, text);
        }
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
            (Err(error), Some(_)) => {
                self.tell_unreachable(peer, &error, around.now_ns);
                self.end(key, around);
            }
            (_, None) => self.end(key, around),
        }
    }
}
