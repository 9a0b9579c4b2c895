//! Connecting to the peers that it is our turn to dial: look the name up, connect, say hello.

use super::cold::Io;
use super::connection::{Greeting, Phase};
use super::driven::{Core, Identity};
use super::handshake;
use super::helper::{Job, JobAnswer};
use super::listener;
use super::network::{Network, Surroundings};
use super::notice::Notice;
use super::operation::{Operation, Purpose};
use super::ring::Ring;
use super::slots::Key;
use std::io;
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
        for wanted in due {
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
}
