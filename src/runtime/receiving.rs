//! What arrives on a socket: its hello first, and then frames, straight out of the receive buffer.
//!
//! Nothing of what a stranger sends is kept beyond the 96 bytes of a hello; a frame that is not complete is kept by
//! the connection's splitter, which grows with what arrived and not with what was announced.

use super::connection::Phase;
use super::driven::Core;
use super::handshake::{self, Arrival};
use super::listener;
use super::network::{Network, Surroundings};
use super::notice::Notice;
use super::slots::Key;
use crate::shard::PeerId;
use margay_types::ProcessLife;
use margay_wire::client::{ResponseHead, write_refusal};
use margay_wire::hello::HELLO_BYTES;
use margay_wire::splitter::{FrameError, Frames};
use margay_wire::{Code, Frame, Hello, Refusal, WireError};
use std::io;

impl Network {
    pub(super) fn take_bytes<C: Core>(
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

    pub(super) fn take_frames<C: Core>(
        &mut self,
        key: Key,
        bytes: &[u8],
        around: &mut Surroundings<'_, C>,
    ) {
        let id = self.connection_id(key);
        let connection = self
            .connections
            .find_mut(key)
            .expect("a socket under way is kept");
        let broken = match connection.phase {
            Phase::Client => {
                let frames = connection.splitter.split(bytes);
                frames_to(frames, |frame| around.core.on_client_frame(id, frame))
            }
            Phase::Peer(peer) => {
                let frames = connection.splitter.split(bytes);
                frames_to(frames, |frame| around.core.on_peer_frame(peer, frame))
            }
            Phase::HandingOver(ref mut handover) => {
                handover.take(bytes);
                None
            }
            Phase::Greeting(_) | Phase::Dialing(_) | Phase::Leaving | Phase::Dead => None,
        };
        if let Some(error) = broken {
            self.refuse_frames(key, &error, around);
        }
    }

    /// A stream that lost its frames has no meaning any more: a client is told, a peer dials again.
    fn refuse_frames<C: Core>(
        &mut self,
        key: Key,
        error: &FrameError,
        around: &mut Surroundings<'_, C>,
    ) {
        let text = format!("{}: {error}", self.remote(key));
        self.notices
            .tell(Notice::BrokenFrames, around.now_ns, &text);
        let is_client = matches!(
            self.connections
                .find(key)
                .map(|connection| &connection.phase),
            Some(Phase::Client)
        );
        if !is_client {
            self.end(key, around);
            return;
        }
        let mut refusal = Vec::new();
        write_refusal(
            &mut refusal,
            0,
            ResponseHead::default(),
            &Refusal::BadRequest,
        );
        self.announce_end(key, around);
        let mut outgoing = self.outgoing.borrow_mut();
        outgoing.append(key, &refusal);
        outgoing.close_after(key);
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
            (Err(error @ WireError::OtherVersion { .. }), None) => {
                let text = format!("{}: {error}", self.remote(key));
                self.notices
                    .tell(Notice::HelloRefused, around.now_ns, &text);
                let answer = handshake::unread_answer(&around.core.identity());
                self.send_away(key, &answer);
            }
            (Err(error), _) => {
                let from = self.remote(key);
                self.notices
                    .tell(Notice::NotOurs, around.now_ns, &format!("{from}: {error}"));
                self.end(key, around);
            }
        }
    }

    /// Answers whoever connected to us.
    pub(super) fn greet<C: Core>(
        &mut self,
        key: Key,
        hello: &Hello,
        around: &mut Surroundings<'_, C>,
    ) {
        let me = around.core.identity();
        if let Some(to) = handshake::other_shard(hello, &me) {
            self.begin_handover(key, to, hello);
            return;
        }
        let judged = handshake::judge_arrival(hello, &me, &self.links.wanted());
        let judged = match judged {
            Ok(Arrival::Client) if !self.has_place_for(hello.kind) => Err(Code::TooManyConnections),
            judged => judged,
        };
        let answer = hello.answer(handshake::own_hello(&me, hello.kind), judged.err());
        match judged {
            Ok(Arrival::Client) => {
                self.outgoing.borrow_mut().append(key, &answer.encode());
                self.clients += 1;
                self.set_phase(key, Phase::Client);
                around.core.on_client_open(self.connection_id(key), hello);
            }
            Ok(Arrival::Peer(peer, life)) => {
                self.outgoing.borrow_mut().append(key, &answer.encode());
                self.become_peer(key, peer, life, around);
            }
            Err(code) => {
                let reason = handshake::describe(code, hello, &me);
                let text = format!("{}: {reason}", self.remote(key));
                self.notices
                    .tell(Notice::HelloRefused, around.now_ns, &text);
                self.send_away(key, &answer);
            }
        }
    }

    /// Ends a connection that was refused, once the answer has left.
    fn send_away(&mut self, key: Key, answer: &Hello) {
        self.set_phase(key, Phase::Leaving);
        let mut outgoing = self.outgoing.borrow_mut();
        outgoing.append(key, &answer.encode());
        outgoing.close_after(key);
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
                let reason = handshake::describe(code, hello, &me);
                let text = format!("{}: {reason}", wanted.address);
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
        if let Some(address) = self.links.missed(peer) {
            tracing::info!("peer reached again: {address}");
        }
        if let Some(older) = self.links.on_up(peer, key) {
            self.end(older.0, around);
        }
        self.outgoing.borrow_mut().bind_peer(peer, key);
        around.core.on_peer_up(peer, life);
    }

    pub(super) fn set_phase(&mut self, key: Key, phase: Phase) {
        self.connections
            .find_mut(key)
            .expect("the socket is open")
            .phase = phase;
    }

    /// Who is at the other end, for log lines: a peer by its name in the cluster, anybody else by its address.
    pub(super) fn remote(&self, key: Key) -> String {
        let Some(connection) = self.connections.find(key) else {
            return "gone".to_owned();
        };
        if let Phase::Peer(peer) | Phase::Dialing(peer) = connection.phase
            && let Some(wanted) = self.links.address_of(peer)
        {
            return format!("peer {}", wanted.address);
        }
        let remote = connection.remote;
        remote.map_or_else(|| "gone".to_owned(), |address| address.to_string())
    }

    /// Tells that the other side of a connection vanished, if that is what the kernel says.
    pub(super) fn tell_vanished(&mut self, key: Key, error: &io::Error, now_ns: u64) {
        if !listener::is_vanished(error) {
            return;
        }
        let text = format!("{}: {error}", self.remote(key));
        match self.connections.find(key).map(|found| &found.phase) {
            Some(Phase::Peer(_)) => self.notices.announce(Notice::Vanished, now_ns, &text),
            Some(Phase::Client) => {
                self.notices.tell(Notice::Vanished, now_ns, &text);
            }
            Some(
                Phase::Dialing(_)
                | Phase::Greeting(_)
                | Phase::HandingOver(_)
                | Phase::Leaving
                | Phase::Dead,
            )
            | None => {}
        }
    }
}

/// Hands frames on until they end or break.
fn frames_to<'a>(frames: Frames<'a>, mut taker: impl FnMut(Frame<'a>)) -> Option<FrameError> {
    for frame in frames {
        match frame {
            Ok(frame) => taker(frame),
            Err(error) => return Some(error),
        }
    }
    None
}
