//! A socket goes from the core that accepted it to the one that its hello names: frames on it never hop.
//!
//! ```text
//!   Greeting ── hello for another core ──> HandingOver ── the receive has ended ──> mailbox ──> Greeting there
//! ```
//!
//! The well-known port belongs to one core. Bytes that arrive before its receive has ended go along, in order; a well
//! behaved peer sends none before it was greeted.

use super::connection::{Greeting, Phase};
use super::driven::Core;
use super::limits::HANDOVER_BYTES_MAX;
use super::listener;
use super::network::{Network, Surroundings};
use super::notice::Notice;
use super::operation::Purpose;
use super::ring::Ring;
use super::slots::Key;
use margay_types::ShardId;
use margay_wire::Hello;
use std::os::fd::OwnedFd;
use std::rc::Rc;

/// Where a connection goes, with what it has said so far.
#[derive(Debug)]
pub(super) struct Handover {
    to: ShardId,
    hello: Hello,
    /// Bytes behind the hello.
    pub(super) behind: Vec<u8>,
    is_cancelled: bool,
}

/// A socket on its way to another core.
#[derive(Debug)]
pub(super) struct HandedSocket {
    socket: OwnedFd,
    hello: Hello,
    behind: Vec<u8>,
}

impl Network {
    /// The hello asks for another core of this node.
    pub(super) fn begin_handover(&mut self, key: Key, to: ShardId, hello: &Hello) {
        let handover = Handover {
            to,
            hello: *hello,
            behind: Vec::new(),
            is_cancelled: false,
        };
        self.set_phase(key, Phase::HandingOver(Box::new(handover)));
    }

    /// Ends the receive of a connection that goes elsewhere: once, and the rest follows when it has ended.
    pub(super) fn stop_receiving_for_handover(&mut self, ring: &mut Ring, key: Key) {
        let phase = self.connections.find_mut(key).map(|it| &mut it.phase);
        if let Some(Phase::HandingOver(handover)) = phase
            && !std::mem::replace(&mut handover.is_cancelled, true)
        {
            ring.cancel(Purpose::Receive(key));
        }
    }

    /// Nothing of the kernel's is under way on the socket any more: it may go.
    pub(super) fn hand_over(&mut self, key: Key) {
        let connection = self.connections.remove(key);
        self.outgoing.borrow_mut().forget(key);
        let Some(connection) = connection else { return };
        let Phase::HandingOver(handover) = connection.phase else {
            unreachable!("only a connection that is being handed over is handed over");
        };
        let Ok(socket) = Rc::try_unwrap(connection.socket) else {
            unreachable!("no operation holds the socket of an idle connection");
        };
        if handover.behind.len() > HANDOVER_BYTES_MAX {
            // Whoever sends so much before it was greeted does not speak our protocol.
            listener::shut_down(&socket);
            return;
        }
        let handed = HandedSocket {
            socket,
            hello: handover.hello,
            behind: handover.behind,
        };
        self.handed.push_back((handover.to, handed));
    }

    /// The mailbox of the core that should have it is full.
    pub(super) fn on_not_handed(&mut self, handed: &HandedSocket, now_ns: u64) {
        listener::shut_down(&handed.socket);
        self.notices
            .tell(Notice::TooManyConnections, now_ns, &self.limits.clients_max);
    }

    /// Another core accepted a socket that is for this one.
    pub(super) fn on_handed<C: Core>(
        &mut self,
        ring: &mut Ring,
        handed: HandedSocket,
        around: &mut Surroundings<'_, C>,
    ) {
        if !self.make_place(around) {
            listener::shut_down(&handed.socket);
            return;
        }
        let greeting = Phase::Greeting(Greeting::new(None));
        let key = self.open(handed.socket, greeting, around.now_ns);
        self.greet(key, &handed.hello, around);
        self.arm_receive(ring, key);
        if !handed.behind.is_empty() {
            self.take_frames(key, &handed.behind, around);
        }
    }
}
