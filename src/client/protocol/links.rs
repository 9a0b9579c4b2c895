//! Connections come and go: whom to dial, the hello, bytes in and out.

use super::{Dial, Protocol, Timer};
use crate::connection::{ConnectionId, Link, LinkState, Target};
use crate::session::{Binding, SessionKey};
use margay_types::{ClusterId, Incarnation, NodeId, ShardId};
use margay_wire::hello::{HELLO_BYTES, Hello, HelloKind};
use margay_wire::{Frame, FrameKind};

impl Protocol {
    /// The next connection to dial. Report what became of it by `on_connected` or `on_closed`.
    pub fn next_dial(&mut self) -> Option<Dial> {
        self.dials.pop_front()
    }

    /// The next connection to close; it is forgotten already, and nothing needs to be reported.
    pub fn next_hangup(&mut self) -> Option<ConnectionId> {
        self.hangups.pop_front()
    }

    /// The next connection with bytes to send; it is named once, until it has more.
    pub fn next_unsent(&mut self) -> Option<ConnectionId> {
        self.unsent.pop_front()
    }

    /// The bytes to send on a connection; empty when it is gone.
    #[must_use]
    pub fn unsent(&self, connection: ConnectionId) -> &[u8] {
        self.link(connection)
            .map_or(&[], |link| &link.out[link.out_sent..])
    }

    /// So many of the bytes have left.
    ///
    /// # Panics
    /// When there were fewer.
    pub fn on_sent(&mut self, connection: ConnectionId, bytes: usize) {
        if let Some(link) = self.link_mut(connection) {
            link.on_sent(bytes);
        }
    }

    /// A dial succeeded.
    pub fn on_connected(&mut self, connection: ConnectionId, now_ns: u64) {
        self.now_ns = self.now_ns.max(now_ns);
        let cluster = self.router.map().map_or(ClusterId::ZERO, |map| map.cluster);
        let mut hello = Hello::of_client(HelloKind::Client, cluster);
        let Some(target) = self.link(connection).map(|link| link.target) else {
            return;
        };
        if let Target::Shard { node, shard, .. } = target {
            hello.to_shard = shard;
            let place = self.router.map().and_then(|map| map.node(node));
            hello.receiver = place.map_or(Incarnation::ZERO, |place| place.incarnation);
        }
        let Some(link) = self.link_mut(connection) else {
            return;
        };
        link.state = LinkState::Greeting;
        self.write(connection, |out| out.extend_from_slice(&hello.encode()));
    }

    /// A dial failed, or a connection ended; `reason` is for people.
    pub fn on_closed(&mut self, connection: ConnectionId, now_ns: u64, reason: &str) {
        self.now_ns = self.now_ns.max(now_ns);
        if self.link(connection).is_some() {
            self.fail_link(connection, reason);
        }
    }

    /// Bytes arrived.
    pub fn on_received(&mut self, connection: ConnectionId, bytes: &[u8], now_ns: u64) {
        self.now_ns = self.now_ns.max(now_ns);
        let Some(link) = self.link_mut(connection) else {
            return;
        };
        link.asked_at_ns = None;
        let mut bytes = bytes;
        if link.state == LinkState::Greeting {
            let Some((hello, behind)) = link.take_hello(bytes) else {
                return;
            };
            if !self.on_hello(connection, &hello) {
                return;
            }
            bytes = behind;
        }
        self.on_frames(connection, bytes);
    }

    fn on_frames(&mut self, connection: ConnectionId, bytes: &[u8]) {
        let Some(link) = self.link_mut(connection) else {
            return;
        };
        let mut splitter = core::mem::take(&mut link.splitter);
        let mut failure = None;
        for frame in splitter.split(bytes) {
            let result = frame
                .map_err(|error| error.to_string())
                .and_then(|frame| self.on_frame(connection, frame));
            if let Err(reason) = result {
                failure = Some(reason);
                break;
            }
        }
        if let Some(link) = self.link_mut(connection) {
            link.splitter = splitter;
        }
        if let Some(failure) = failure {
            self.hang_up(connection, &failure);
        }
    }

    fn on_frame(&mut self, connection: ConnectionId, frame: Frame<'_>) -> Result<(), String> {
        let result = if frame.kind == FrameKind::Response {
            self.on_response(connection, frame.request, frame.body)
        } else if frame.kind == FrameKind::Event {
            self.on_event(connection, frame.body)
        } else {
            return Err(format!("a server sent a {:?} frame", frame.kind));
        };
        result.map_err(|error| error.to_string())
    }

    /// Is the connection ready now?
    fn on_hello(&mut self, connection: ConnectionId, bytes: &[u8; HELLO_BYTES]) -> bool {
        let hello = match Hello::decode(bytes) {
            Ok(hello) => hello,
            Err(error) => {
                self.hang_up(connection, &error.to_string());
                return false;
            }
        };
        if let Some(code) = hello.refusal {
            self.hang_up(connection, code.text());
            return false;
        }
        let Some(link) = self.link_mut(connection) else {
            return false;
        };
        link.state = LinkState::Ready;
        link.backoff.reset();
        let waiting = core::mem::take(&mut link.waiting);
        for key in waiting {
            if self.is_waiting(key) {
                self.bind(key);
            }
        }
        self.ask_map();
        self.send_waiting_queries();
        self.link(connection).is_some()
    }

    fn is_waiting(&self, key: SessionKey) -> bool {
        self.sessions
            .get(key)
            .is_some_and(|session| session.binding == Binding::Waiting)
    }

    /// The link to a target, made where there is none.
    pub(super) fn link_to(&mut self, target: Target) -> u32 {
        if let Some(link) = self.link_of.get(&target) {
            return *link;
        }
        let number = u32::try_from(self.links.len()).expect("a client has few links");
        self.links.push(Link::new(target));
        self.link_of.insert(target, number);
        number
    }

    /// Dials a link, now or when its pause is over. Says whether it can ever be dialed.
    pub(super) fn want_link(&mut self, number: u32) {
        let Some(link) = self.links.get(number as usize) else {
            return;
        };
        if link.state != LinkState::Idle {
            return;
        }
        if link.retry_at_ns > self.now_ns {
            self.timers.insert((link.retry_at_ns, Timer::Dial(number)));
            return;
        }
        let address = match link.target {
            Target::Endpoint(place) => self.endpoints.get(place).cloned(),
            Target::Shard { node, shard, .. } => self.router.address(node, shard),
        };
        let Some(address) = address else { return };
        let Some(link) = self.links.get_mut(number as usize) else {
            return;
        };
        link.become_dialing();
        let connection = ConnectionId {
            link: number,
            life: link.life,
        };
        self.dials.push_back(Dial {
            connection,
            address,
        });
        self.expect_something(connection);
    }

    /// The protocol gives a connection up.
    pub(super) fn hang_up(&mut self, connection: ConnectionId, reason: &str) {
        if self.link(connection).is_some() {
            self.hangups.push_back(connection);
            self.fail_link(connection, reason);
        }
    }

    /// The life of a link ends: what used it goes on elsewhere.
    fn fail_link(&mut self, connection: ConnectionId, reason: &str) {
        self.last_failure = Some(self.describe(connection, reason));
        self.dials.retain(|dial| dial.connection != connection);
        let (now_ns, bounds) = (self.now_ns, self.retry_bounds());
        let Some(link) = self.links.get_mut(connection.link as usize) else {
            return;
        };
        let was_ready = link.is_ready();
        link.become_idle();
        link.retry_at_ns = now_ns + link.backoff.delay_ns(&mut self.random, bounds, 0);
        let target = link.target;
        let waiting = core::mem::take(&mut link.waiting);
        match target {
            Target::Endpoint(_) => self.endpoint_cursor += 1,
            Target::Shard { node, .. } => {
                self.router.on_unreachable(node);
                if !was_ready {
                    self.want_map();
                }
            }
        }
        self.on_map_link_lost(connection);
        let bound: Vec<_> = self
            .sessions
            .keys()
            .filter(|key| {
                self.sessions
                    .get(*key)
                    .is_some_and(|session| session.connection() == Some(connection))
            })
            .collect();
        for key in bound {
            self.rebind_later(key, 0);
        }
        for key in waiting {
            if self.is_waiting(key) {
                self.rebind_later(key, 0);
            }
        }
        self.on_query_link_lost(connection);
    }

    fn describe(&self, connection: ConnectionId, reason: &str) -> String {
        let target = self
            .links
            .get(connection.link as usize)
            .map(|link| link.target);
        let address = match target {
            Some(Target::Endpoint(place)) => self.endpoints.get(place).cloned(),
            Some(Target::Shard { node, shard, .. }) => self.router.address(node, shard),
            None => None,
        };
        format!("{}: {reason}", address.unwrap_or_default())
    }

    /// The node behind a connection, where the map told it.
    pub(super) fn node_of(&self, connection: ConnectionId) -> Option<NodeId> {
        match self.link(connection)?.target {
            Target::Endpoint(_) => None,
            Target::Shard { node, .. } => Some(node),
        }
    }

    /// The link to the shard of a node, in the lane of this slot.
    pub(super) fn shard_link(&mut self, node: NodeId, shard: ShardId, slot: u32) -> u32 {
        let lanes = u32::from(self.options.connections_per_shard.max(1));
        let lane = u16::try_from(slot % lanes).expect("there are at most 65,535 lanes");
        self.link_to(Target::Shard { node, shard, lane })
    }

    pub(super) fn link(&self, connection: ConnectionId) -> Option<&Link> {
        let link = self.links.get(connection.link as usize)?;
        (link.life == connection.life && link.state != LinkState::Idle).then_some(link)
    }

    pub(super) fn link_mut(&mut self, connection: ConnectionId) -> Option<&mut Link> {
        let link = self.links.get_mut(connection.link as usize)?;
        (link.life == connection.life && link.state != LinkState::Idle).then_some(link)
    }

    /// The name of a link's present life, when it is ready.
    pub(super) fn ready(&self, number: u32) -> Option<ConnectionId> {
        let link = self.links.get(number as usize)?;
        link.is_ready().then_some(ConnectionId {
            link: number,
            life: link.life,
        })
    }

    /// Lets `write` append frames to a connection.
    pub(super) fn write(&mut self, connection: ConnectionId, write: impl FnOnce(&mut Vec<u8>)) {
        let Some(link) = self.link_mut(connection) else {
            return;
        };
        let before_bytes = link.out.len();
        write(&mut link.out);
        self.on_written(connection, before_bytes);
    }

    /// Frames were appended behind `before_bytes`: they must leave, and an answer is awaited.
    pub(super) fn on_written(&mut self, connection: ConnectionId, before_bytes: usize) {
        if before_bytes == 0 {
            self.unsent.push_back(connection);
        }
        self.expect_something(connection);
    }

    /// Silence means something from here on.
    fn expect_something(&mut self, connection: ConnectionId) {
        let now_ns = self.now_ns;
        let Some(link) = self.link_mut(connection) else {
            return;
        };
        link.asked_at_ns.get_or_insert(now_ns);
        let was_armed = core::mem::replace(&mut link.is_silence_armed, true);
        if !was_armed {
            let due_ns = now_ns + self.options.silence_ns;
            self.timers.insert((due_ns, Timer::Silence(connection)));
        }
    }

    pub(super) fn retry_bounds(&self) -> core::ops::Range<u64> {
        self.options.retry_ns_min..self.options.retry_ns_max
    }
}
