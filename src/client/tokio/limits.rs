//! How much one client may have under way. What is beyond is refused as `QueueFull`, and was not sent.

/// Requests that the task has not looked at yet, when all sessions are open; every session less leaves room for one
/// more.
pub const REQUESTS_MAX: usize = 1_024;

/// Sessions that are open, opening or closing.
pub const SESSIONS_MAX: usize = 4_096;

/// Commands of one session that wait for room in its window.
pub const WAITING_COMMANDS_MAX: usize = 1_024;

/// Bytes of them.
pub const WAITING_BYTES_MAX: usize = 8 << 20;

/// Queries without an answer.
pub const QUERIES_MAX: usize = 4_096;

/// Calls that wait for a map.
pub const MAP_CALLS_MAX: usize = 256;

/// Requests looked at before sockets have their turn.
pub(super) const REQUESTS_PER_TURN: usize = 128;

/// Bytes taken from one connection per turn.
pub(super) const RECEIVE_BYTES: usize = 256 << 10;

/// Places of the queue: each session holds one for its end, so that a handle can be dropped without waiting.
pub(super) const QUEUE_PLACES: usize = REQUESTS_MAX + SESSIONS_MAX;
