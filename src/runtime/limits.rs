//! Every limit of the runtime, by name.

use std::time::Duration;

/// Time between two ticks of a core.
pub const TICK: Duration = Duration::from_millis(10);

/// How long a start waits for the writes of a process that was killed. What still hangs then is a matter for people.
pub const LOCK_PATIENCE: Duration = Duration::from_secs(10);

/// Pause between two looks at whether they have ended.
pub const LOCK_PAUSE: Duration = Duration::from_millis(5);

/// Longest time from a connection's start to its accepted hello, and from its last bytes to its end.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(2);

/// Clients and operators of one shard.
pub const CLIENTS_MAX: usize = 8_192;

/// Connections above [`CLIENTS_MAX`] whose hello is still read, so that peers always find a place.
pub const PEERS_RESERVED: usize = 256;

/// Operators above [`CLIENTS_MAX`], out of [`PEERS_RESERVED`]: whoever looks why there is no place finds one.
pub const OPERATORS_RESERVED: usize = 16;

/// Connections that had to make place for others, and that the kernel is not done with.
pub const DISPLACED_MAX: usize = 32;

/// Descriptors of a process, whatever runs in it: the standard streams, lock, signals, listing, name service.
pub const PROCESS_DESCRIPTORS: usize = 32;

/// Descriptors of a shard beside its segments and its connections: rings, bells, port, and files that are open for a
/// moment, such as manifests.
pub const SHARD_DESCRIPTORS: usize = 64;

/// Descriptors that a shard keeps for the segments of its log, however few there are.
pub const SEGMENTS_RESERVED: usize = 128;

/// Bytes that may wait for a client that does not read; past it the connection is closed. It is above the
/// largest answer, so that an idle client can always get one.
pub const CLIENT_BACKLOG_BYTES_MAX: u64 = 8 << 20;

/// Records up to this size are copied beside the frames before them; a send of one piece is cheaper than one of
/// three.
pub const COPIED_RECORDS_BYTES_MAX: usize = 4 << 10;

/// A send buffer above this size is not kept for the next send.
pub const KEPT_SEND_BUFFER_BYTES_MAX: usize = 256 << 10;

/// Letters that may wait for a core.
pub const LETTERS_MAX: usize = 4_096;

/// Sockets that wait for a core that still recovers; those who are turned away come again.
pub const EARLY_SOCKETS_MAX: usize = 256;

/// Shortest wait before a peer is dialed again.
pub const REDIAL_MIN: Duration = Duration::from_millis(20);

/// Bytes behind a hello that go along when its socket is handed to another core.
pub const HANDOVER_BYTES_MAX: usize = 64 << 10;

/// Different reasons why a peer is not reached that are told while it stays away.
pub const REASONS_TOLD_MAX: usize = 8;

/// Longest wait before a peer is dialed again.
pub const REDIAL_MAX: Duration = Duration::from_secs(1);

/// How long cold tasks may run between two turns.
pub const SLICE: Duration = Duration::from_micros(200);

/// How long a core may take to get ready to stop before it is dropped as it is.
pub const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// How long what was sent last may take to leave when the core stops.
pub const LINGER: Duration = Duration::from_secs(1);

/// Memory that each of the executor's own rings registers; it is charged to the user's locked memory.
pub const EXECUTOR_IO_MEMORY_BYTES: usize = 1 << 20;

const _: () = assert!(
    margay_wire::genesis::SHARDS_MAX == crate::limits::SHARDS_MAX,
    "a genesis takes what a node may have"
);

const _: () = assert!(
    margay_wire::genesis::NAME_BYTES_MAX == crate::limits::CLUSTER_NAME_BYTES_MAX,
    "a manifest takes the name that a genesis gives"
);

const _: () = assert!(
    margay_wire::FRAME_BYTES_MAX == crate::limits::FRAME_BYTES_MAX,
    "what the wire takes is what the log is made for"
);

const _: () = assert!(
    OPERATORS_RESERVED < PEERS_RESERVED,
    "operators leave most of what is kept for peers"
);

const _: () = assert!(
    CLIENT_BACKLOG_BYTES_MAX > margay_wire::FRAME_BYTES_MAX as u64,
    "one answer fits into an empty backlog"
);
