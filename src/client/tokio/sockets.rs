//! The sockets of one client: what the protocol wants dialed, sent and closed, and what arrives.
//!
//! One task polls all of them: they are few, a lane per shard. Each gives at most one buffer of bytes per turn, so that
//! a busy connection does not starve the others.

use super::limits::RECEIVE_BYTES;
use crate::clock::now_ns;
use crate::connection::ConnectionId;
use crate::protocol::{Dial, Protocol};
use crate::socket_options;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};
use std::collections::BTreeMap;
use std::io;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, lookup_host};

type Dialing = Pin<Box<dyn Future<Output = io::Result<TcpStream>> + Send>>;

/// How far a socket is.
enum Socket {
    Dialing(Dialing),
    Open(TcpStream),
}

/// Did a turn change anything? If not, everything that may change it will wake the task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    Idle,
    Moved,
}

impl Turn {
    pub(super) fn and(self, other: Self) -> Self {
        if self == Self::Moved { self } else { other }
    }
}

/// The connections of a protocol, as tokio has them.
pub(super) struct Sockets {
    sockets: BTreeMap<ConnectionId, Socket>,
    received: Box<[u8]>,
}

impl Sockets {
    pub(super) fn new() -> Self {
        Self {
            sockets: BTreeMap::new(),
            received: vec![0; RECEIVE_BYTES].into_boxed_slice(),
        }
    }

    /// Makes and closes what the protocol wants, and moves bytes until nothing moves by itself.
    pub(super) fn poll(&mut self, protocol: &mut Protocol, context: &mut Context<'_>) -> Turn {
        while let Some(connection) = protocol.next_hangup() {
            self.sockets.remove(&connection);
        }
        while let Some(dial) = protocol.next_dial() {
            let connection = dial.connection;
            let dialing = Socket::Dialing(Box::pin(connect(dial)));
            self.sockets.insert(connection, dialing);
        }
        // Every socket is looked at below; who has bytes needs no list.
        while protocol.next_unsent().is_some() {}
        let mut turn = Turn::Idle;
        let received = &mut self.received;
        self.sockets.retain(|&connection, socket| {
            match socket.poll(connection, protocol, received, context) {
                Ok(moved) => {
                    turn = turn.and(moved);
                    true
                }
                Err(reason) => {
                    turn = Turn::Moved;
                    protocol.on_closed(connection, now_ns(), &reason);
                    false
                }
            }
        });
        turn
    }
}

impl Socket {
    /// Moves what can be moved, or says why the connection is over.
    fn poll(
        &mut self,
        connection: ConnectionId,
        protocol: &mut Protocol,
        received: &mut [u8],
        context: &mut Context<'_>,
    ) -> Result<Turn, String> {
        match self {
            Self::Dialing(dialing) => match dialing.as_mut().poll(context) {
                Poll::Pending => Ok(Turn::Idle),
                Poll::Ready(Err(error)) => Err(error.to_string()),
                Poll::Ready(Ok(stream)) => {
                    *self = Self::Open(stream);
                    protocol.on_connected(connection, now_ns());
                    Ok(Turn::Moved)
                }
            },
            Self::Open(stream) => {
                let sent = send(stream, connection, protocol, context)?;
                let mut buffer = ReadBuf::new(received);
                match Pin::new(stream).poll_read(context, &mut buffer) {
                    Poll::Pending => Ok(sent),
                    Poll::Ready(Err(error)) => Err(error.to_string()),
                    Poll::Ready(Ok(())) if buffer.filled().is_empty() => {
                        Err("the server closed the connection".to_owned())
                    }
                    Poll::Ready(Ok(())) => {
                        protocol.on_received(connection, buffer.filled(), now_ns());
                        Ok(Turn::Moved)
                    }
                }
            }
        }
    }
}

/// Sends until the kernel takes no more, or nothing is left.
fn send(
    stream: &mut TcpStream,
    connection: ConnectionId,
    protocol: &mut Protocol,
    context: &mut Context<'_>,
) -> Result<Turn, String> {
    let mut turn = Turn::Idle;
    loop {
        let unsent = protocol.unsent(connection);
        if unsent.is_empty() {
            return Ok(turn);
        }
        match Pin::new(&mut *stream).poll_write(context, unsent) {
            Poll::Pending => return Ok(turn),
            Poll::Ready(Err(error)) => return Err(error.to_string()),
            Poll::Ready(Ok(0)) => return Err("the connection takes no more bytes".to_owned()),
            Poll::Ready(Ok(bytes)) => {
                protocol.on_sent(connection, bytes);
                turn = Turn::Moved;
            }
        }
    }
}

/// Every dial of a name tries the next of its addresses.
async fn connect(dial: Dial) -> io::Result<TcpStream> {
    let addresses: Vec<_> = lookup_host(&dial.address).await?.collect();
    let turn = usize::try_from(dial.connection.life).unwrap_or_default();
    let address = turn
        .checked_rem(addresses.len())
        .and_then(|at| addresses.get(at))
        .ok_or_else(|| io::Error::other("the name has no address"))?;
    let stream = TcpStream::connect(address).await?;
    socket_options::prepare(&stream)?;
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::socket_options::demand_prepared;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn a_connection_asks_whether_the_server_is_still_there() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let connection = ConnectionId { link: 0, life: 0 };
        let dial = Dial {
            connection,
            address,
        };
        let stream = connect(dial).await.expect("somebody listens");
        demand_prepared(&stream);
    }
}
