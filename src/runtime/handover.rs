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
    /// Bytes behind the hello; one more than may go along says that they were too many.
    behind: Vec<u8>,
    is_cancelled: bool,
}

impl Handover {
    /// Takes bytes behind the hello. Of those that are too many nothing is kept.
    pub(super) fn take(&mut self, bytes: &[u8]) {
        let room = HANDOVER_BYTES_MAX + 1 - self.behind.len();
        self.behind.extend(bytes.iter().take(room));
    }
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
        if let Some(connection) = self.connections.find_mut(key)
            && let Phase::HandingOver(handover) = &mut connection.phase
            && let Some(receive) = connection.receive
            && !std::mem::replace(&mut handover.is_cancelled, true)
        {
            ring.cancel(receive);
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

#[cfg(test)]
mod tests {
    use super::super::network::NetworkLimits;
    use super::super::outbox::Outgoing;
    use super::*;
    use margay_types::ClusterId;
    use margay_wire::HelloKind;
    use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, recv, socketpair};

    /// A connection whose hello named another core, and which then said `behind`, in pieces. What goes to that core, if
    /// anything, and the other side's socket.
    fn hand_over(behind: &[u8]) -> (Option<HandedSocket>, OwnedFd) {
        let limits = NetworkLimits {
            clients_max: 1,
            handshake_timeout_ns: 1,
        };
        let mut network = Network::new(ShardId::FIRST, Outgoing::new(1), limits, 1);
        let (ours, theirs) = socketpair(
            AddressFamily::UNIX,
            SocketType::STREAM,
            SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
            None,
        )
        .unwrap();
        let key = network.open(ours, Phase::Greeting(Greeting::new(None)), 0);
        let hello = Hello::of_client(HelloKind::Client, ClusterId::ZERO);
        network.begin_handover(key, ShardId::new(1), &hello);
        let connection = network.connections.find_mut(key).unwrap();
        let Phase::HandingOver(handover) = &mut connection.phase else {
            panic!("its handover has begun");
        };
        for piece in behind.chunks(1_000) {
            handover.take(piece);
        }
        assert!(handover.behind.len() <= HANDOVER_BYTES_MAX + 1);
        network.hand_over(key);
        (network.handed.pop_front().map(|(_, handed)| handed), theirs)
    }

    fn received(socket: &OwnedFd) -> rustix::io::Result<usize> {
        recv(socket, &mut [0_u8; 1][..], RecvFlags::empty()).map(|(count, _)| count)
    }

    #[test]
    fn so_many_bytes_behind_a_hello_go_along_and_more_end_the_connection() {
        let mut behind: Vec<u8> = (0..=250).cycle().take(HANDOVER_BYTES_MAX).collect();
        let (handed, theirs) = hand_over(&behind);
        assert_eq!(handed.unwrap().behind, behind, "all, in order");
        behind.push(7);
        drop(theirs);
        let (handed, theirs) = hand_over(&behind);
        assert!(handed.is_none(), "nobody takes it");
        assert_eq!(received(&theirs), Ok(0), "it is closed");
    }
}
