//! The numbers that a client is told: timeouts and bounds.

/// Who is asked queries outside of a session.
///
/// Wherever the answer comes from, it is as fresh as the query's level demands: a follower confirms a linearizable
/// read with the leader, and answers once it has applied that far. It costs the leader a word instead of the work.
///
/// Queries of a session go to the leader all the same: it has the session's commands that are under way, in order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReadFrom {
    /// The leader of the group.
    #[default]
    Leader,
    /// Its other members, in turn; the leader when there is no other.
    Followers,
    /// All members, in turn.
    Any,
}

/// Settings of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// After this time without a word from its client a session ends.
    pub session_timeout_ms: u32,
    /// Connections to each shard; sessions are spread over them.
    pub connections_per_shard: u16,
    /// A connection on which something was asked and nothing came for this long is given up.
    pub silence_ns: u64,
    /// First delay before something is tried again.
    pub retry_ns_min: u64,
    /// Longest delay before something is tried again.
    pub retry_ns_max: u64,
    /// Bytes of commands that one session may have in flight.
    pub session_bytes_max: usize,
    /// Largest payload of a command.
    pub command_bytes_max: usize,
    /// Who is asked queries outside of a session.
    pub read_from: ReadFrom,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            session_timeout_ms: 5_000,
            connections_per_shard: 1,
            silence_ns: 2_000_000_000,
            retry_ns_min: 5_000_000,
            retry_ns_max: 100_000_000,
            session_bytes_max: 8 << 20,
            command_bytes_max: 1 << 20,
            read_from: ReadFrom::Leader,
        }
    }
}
