//! A driver for many sessions on one thread: sockets of the protocol behind one epoll.
//!
//! One turn sends what is unsent, waits for something to happen, and hands what arrived to the protocol. Bytes of one
//! connection leave in one send per turn, and arrive in one receive.
//!
//! Interest is level-triggered; writability is only asked for while a connection is being made, or is full.

use crate::clock::now_ns;
use crate::connection::ConnectionId;
use crate::protocol::{Dial, Protocol};
use crate::socket_options;
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, connect, recv, send, socket_with,
    sockopt,
};
use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};

/// Bytes taken from one connection at a time.
const RECEIVE_BYTES: usize = 256 << 10;

/// Events taken in one turn.
const EVENTS_MAX: usize = 256;

/// How far a socket is.
#[derive(Debug, PartialEq, Eq)]
enum SocketState {
    Connecting,
    Open,
    /// The kernel takes no more bytes for now.
    Full,
}

/// A connection of the protocol, as the kernel has it.
#[derive(Debug)]
struct Socket {
    fd: OwnedFd,
    state: SocketState,
}

/// A protocol with its sockets.
pub struct Driver {
    /// The protocol; submit to it and take its completions between turns.
    pub protocol: Protocol,
    epoll: OwnedFd,
    sockets: BTreeMap<ConnectionId, Socket>,
    events: Vec<epoll::Event>,
    received: Vec<u8>,
}

impl core::fmt::Debug for Driver {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        formatter
            .debug_struct("Driver")
            .field("protocol", &self.protocol)
            .field("sockets", &self.sockets)
            .finish_non_exhaustive()
    }
}

impl Driver {
    /// Gives a protocol sockets, and tells it the time: silence and pauses count from here on.
    ///
    /// # Errors
    /// When the kernel has no epoll to give.
    pub fn new(mut protocol: Protocol) -> io::Result<Self> {
        protocol.on_time(now_ns());
        Ok(Self {
            protocol,
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            sockets: BTreeMap::new(),
            events: Vec::with_capacity(EVENTS_MAX),
            received: vec![0; RECEIVE_BYTES],
        })
    }

    /// The time that the protocol counts in.
    #[must_use]
    pub fn now_ns(&self) -> u64 {
        now_ns()
    }

    /// Sends, waits until something happens, at most until `until_ns`, and takes what came.
    ///
    /// # Errors
    /// When epoll itself fails; connections that fail are the protocol's business.
    pub fn turn(&mut self, until_ns: u64) -> io::Result<()> {
        self.protocol.on_time(now_ns());
        self.flush();
        let wait_ns = until_ns
            .min(self.protocol.due_ns())
            .saturating_sub(now_ns());
        self.wait(wait_ns)?;
        let events = core::mem::take(&mut self.events);
        for event in &events {
            let connection = connection_of(event.data.u64());
            self.on_event(connection, event.flags);
        }
        self.events = events;
        self.protocol.on_time(now_ns());
        self.flush();
        Ok(())
    }

    /// Makes, closes and sends what the protocol wants, without waiting.
    pub fn flush(&mut self) {
        while let Some(connection) = self.protocol.next_hangup() {
            self.sockets.remove(&connection);
        }
        while let Some(dial) = self.protocol.next_dial() {
            if let Err(error) = self.dial(&dial) {
                self.fail(dial.connection, &error.to_string());
            }
        }
        while let Some(connection) = self.protocol.next_unsent() {
            self.send(connection);
        }
    }

    fn wait(&mut self, wait_ns: u64) -> io::Result<()> {
        self.events.clear();
        let timeout = Timespec {
            tv_sec: i64::try_from(wait_ns / 1_000_000_000).unwrap_or(i64::MAX),
            tv_nsec: i64::try_from(wait_ns % 1_000_000_000).unwrap_or_default(),
        };
        match epoll::wait(
            &self.epoll,
            spare_capacity(&mut self.events),
            Some(&timeout),
        ) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn dial(&mut self, dial: &Dial) -> io::Result<()> {
        let addresses: Vec<SocketAddr> = dial.address.to_socket_addrs()?.collect();
        let turn = usize::try_from(dial.connection.life).unwrap_or_default();
        let address = turn
            .checked_rem(addresses.len())
            .and_then(|at| addresses.get(at))
            .ok_or_else(|| io::Error::other("the name has no address"))?;
        let family = match address {
            SocketAddr::V4(_) => AddressFamily::INET,
            SocketAddr::V6(_) => AddressFamily::INET6,
        };
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let fd = socket_with(family, SocketType::STREAM, flags, None)?;
        socket_options::prepare(&fd)?;
        match connect(&fd, address) {
            Ok(()) | Err(Errno::INPROGRESS) => {}
            Err(error) => return Err(error.into()),
        }
        let data = epoll::EventData::new_u64(token_of(dial.connection));
        epoll::add(&self.epoll, &fd, data, epoll::EventFlags::OUT)?;
        self.sockets.insert(
            dial.connection,
            Socket {
                fd,
                state: SocketState::Connecting,
            },
        );
        Ok(())
    }

    fn on_event(&mut self, connection: ConnectionId, flags: epoll::EventFlags) {
        let Some(socket) = self.sockets.get_mut(&connection) else {
            return;
        };
        match socket.state {
            SocketState::Connecting => {
                let failure = match sockopt::socket_error(&socket.fd) {
                    Ok(Ok(())) => None,
                    Ok(Err(error)) | Err(error) => Some(error.to_string()),
                };
                if let Some(reason) = failure {
                    self.fail(connection, &reason);
                    return;
                }
                socket.state = SocketState::Open;
                self.want(connection, epoll::EventFlags::IN);
                self.protocol.on_connected(connection, now_ns());
                return;
            }
            SocketState::Full if flags.contains(epoll::EventFlags::OUT) => {
                socket.state = SocketState::Open;
                self.want(connection, epoll::EventFlags::IN);
                self.send(connection);
            }
            SocketState::Full | SocketState::Open => {}
        }
        let ended = epoll::EventFlags::HUP | epoll::EventFlags::ERR;
        if flags.intersects(epoll::EventFlags::IN | ended) {
            self.receive(connection);
        }
    }

    fn receive(&mut self, connection: ConnectionId) {
        let Some(socket) = self.sockets.get(&connection) else {
            return;
        };
        match recv(&socket.fd, self.received.as_mut_slice(), RecvFlags::empty()) {
            Ok((0, _)) => self.fail(connection, "the server closed the connection"),
            Ok((bytes, _)) => {
                let received = self.received.get(..bytes).unwrap_or_default();
                self.protocol.on_received(connection, received, now_ns());
            }
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(error) => self.fail(connection, &error.to_string()),
        }
    }

    fn send(&mut self, connection: ConnectionId) {
        loop {
            let Some(socket) = self.sockets.get_mut(&connection) else {
                return;
            };
            let unsent = self.protocol.unsent(connection);
            if socket.state != SocketState::Open || unsent.is_empty() {
                return;
            }
            match send(&socket.fd, unsent, SendFlags::NOSIGNAL) {
                Ok(bytes) => self.protocol.on_sent(connection, bytes),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    socket.state = SocketState::Full;
                    self.want(connection, epoll::EventFlags::IN | epoll::EventFlags::OUT);
                    return;
                }
                Err(error) => {
                    self.fail(connection, &error.to_string());
                    return;
                }
            }
        }
    }

    /// Changes what a socket is watched for. A failure shows at its next use.
    fn want(&mut self, connection: ConnectionId, flags: epoll::EventFlags) {
        let Some(socket) = self.sockets.get(&connection) else {
            return;
        };
        let data = epoll::EventData::new_u64(token_of(connection));
        if let Err(error) = epoll::modify(&self.epoll, &socket.fd, data, flags) {
            self.fail(connection, &error.to_string());
        }
    }

    fn fail(&mut self, connection: ConnectionId, reason: &str) {
        self.sockets.remove(&connection);
        self.protocol.on_closed(connection, now_ns(), reason);
    }
}

const fn token_of(connection: ConnectionId) -> u64 {
    (connection.link as u64) << 32 | connection.life as u64
}

fn connection_of(token: u64) -> ConnectionId {
    let half = |bits: u64| u32::try_from(bits & u64::from(u32::MAX)).unwrap_or_default();
    ConnectionId {
        link: half(token >> 32),
        life: half(token),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Options;
    use crate::socket_options::demand_prepared;
    use margay_types::ClientId;

    #[test]
    fn a_connection_asks_whether_the_server_is_still_there() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let client = ClientId::new([1; 16]);
        let protocol = Protocol::new(Options::default(), vec![address], client, 1);
        let mut driver = Driver::new(protocol).unwrap();
        driver.protocol.refresh_map();
        driver.flush();
        let socket = driver.sockets.values().next().expect("it dials");
        demand_prepared(&socket.fd);
    }
}
