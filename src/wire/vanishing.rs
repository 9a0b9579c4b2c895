//! How soon either end of a connection notices that the other vanished without a word: a machine that lost its power,
//! a cable that was cut, a table of addresses that forgot the connection. Every end asks its kernel for the same.

use core::time::Duration;

/// Whoever acknowledges nothing of what was sent for this long is taken for gone, peer, client or server:
/// TCP_USER_TIMEOUT of every connection. The kernel then ends it, and what waits on the socket gets ETIMEDOUT (tcp(7)).
///
/// With the option set the kernel counts no unanswered probes of an idle connection, but ends it when nothing came for
/// this long and at least one probe is unanswered. So it bounds busy and idle connections alike, and a half-open one
/// holds its place for this long and one [`KEEPALIVE_INTERVAL`] at most.
pub const UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(5);

/// An idle connection is probed after this long: SO_KEEPALIVE with TCP_KEEPIDLE.
pub const KEEPALIVE_IDLE: Duration = Duration::from_secs(2);

/// Time between two probes of an idle connection that are not answered: TCP_KEEPINTVL.
pub const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(1);

const _: () = assert!(
    KEEPALIVE_IDLE.as_millis() + 2 * KEEPALIVE_INTERVAL.as_millis()
        < UNACKNOWLEDGED_MAX.as_millis(),
    "a probe may be lost, and its answer, without the connection being given up"
);
