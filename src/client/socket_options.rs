//! What every connection of a client must have asked of its kernel, whichever driver has it.

use rustix::fd::AsFd;
use rustix::net::sockopt;
use std::time::Duration;

/// What a socket was prepared with, as its kernel tells.
pub(crate) fn demand_prepared(socket: impl AsFd) {
    let socket = socket.as_fd();
    assert_eq!(sockopt::tcp_nodelay(socket), Ok(true));
    assert_eq!(sockopt::socket_keepalive(socket), Ok(true));
    assert_eq!(sockopt::tcp_keepidle(socket), Ok(Duration::from_secs(2)));
    assert_eq!(sockopt::tcp_keepintvl(socket), Ok(Duration::from_secs(1)));
    assert_eq!(sockopt::tcp_user_timeout(socket), Ok(5_000));
}
