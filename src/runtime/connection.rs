//! One socket's life.
//!
//! ```text
//!     accepted ───────────────┐              ┌─> Client ─┐
//!                             ├─> Greeting ──┤           ├─> Leaving ──> Dead
//!     Dialing ── connected ───┘     │        └─> Peer ───┘     ^          ^
//!        │                          └── refused ───────────────┘          │
//!        └── failed ──────────────────────────────────────────────────────┘
//! ```
//!
//! * `Greeting`: a hello is awaited; nothing else of what arrives is believed, and it is at most 96 bytes.
//! * `HandingOver`: the hello named another core; the receive ends, then the socket goes there with what came behind.
//! * `Leaving`: what was appended last is on its way; what arrives is thrown away until the other side closes, or
//!   the deadline passes.
//! * `Dead`: shut down; the place is freed when the kernel is done with it.

use super::handover::Handover;
use super::listener;
use super::operation::Descriptor;
use super::slots::Key;
use crate::shard::PeerId;
use margay_wire::Splitter;
use margay_wire::hello::HELLO_BYTES;
use std::net::SocketAddr;

/// Where a connection stands.
#[derive(Debug)]
pub(super) enum Phase {
    /// We connect to a peer.
    Dialing(PeerId),
    /// The other side's hello is awaited.
    Greeting(Greeting),
    /// Another core of this node is to have it.
    HandingOver(Box<Handover>),
    /// A client or an operator.
    Client,
    /// A peer that is up.
    Peer(PeerId),
    /// The last bytes leave.
    Leaving,
    /// Over.
    Dead,
}

/// The bytes of a hello, as far as they have arrived.
#[derive(Debug)]
pub(super) struct Greeting {
    /// The peer that we dialed, or nobody when the other side connected.
    pub(super) dialed: Option<PeerId>,
    bytes: [u8; HELLO_BYTES],
    count: usize,
}

impl Greeting {
    /// Nothing has arrived.
    pub(super) fn new(dialed: Option<PeerId>) -> Self {
        Self {
            dialed,
            bytes: [0; HELLO_BYTES],
            count: 0,
        }
    }

    /// Takes what belongs to the hello from the front of `bytes`; gives the hello when it is whole.
    pub(super) fn take(&mut self, bytes: &mut &[u8]) -> Option<[u8; HELLO_BYTES]> {
        let missing = HELLO_BYTES - self.count;
        let (taken, behind) = bytes.split_at(missing.min(bytes.len()));
        self.bytes[self.count..self.count + taken.len()].copy_from_slice(taken);
        self.count += taken.len();
        *bytes = behind;
        (self.count == HELLO_BYTES).then_some(self.bytes)
    }
}

/// A socket and what is known of it.
pub(super) struct Connection {
    pub(super) socket: Descriptor,
    /// Who connected to us, also when the kernel has forgotten it; nobody of a connection that we make.
    pub(super) remote: Option<SocketAddr>,
    pub(super) phase: Phase,
    pub(super) splitter: Splitter,
    /// The receive that is armed.
    pub(super) receive: Option<Key>,
    /// A send or a connect is under way.
    pub(super) is_sending: bool,
}

impl Connection {
    /// A connection that starts in `phase`.
    pub(super) fn new(socket: Descriptor, phase: Phase) -> Self {
        Self {
            remote: listener::remote_address(&socket),
            socket,
            phase,
            splitter: Splitter::default(),
            receive: None,
            is_sending: false,
        }
    }

    /// Is the kernel done with it?
    pub(super) fn is_idle(&self) -> bool {
        self.receive.is_none() && !self.is_sending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hello_in_pieces_is_put_together_and_what_follows_is_left() {
        let mut greeting = Greeting::new(None);
        let bytes: Vec<u8> = (0..100).collect();
        let (mut first, mut second) = bytes.split_at(95);
        assert_eq!(greeting.take(&mut first), None);
        let hello = greeting.take(&mut second).unwrap();
        assert_eq!(hello[..], bytes[..HELLO_BYTES]);
        assert_eq!(second, &bytes[HELLO_BYTES..]);
    }
}
