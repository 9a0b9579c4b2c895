//! Every limit of the server that is not a setting, with the relations that must hold between them. Those of sockets,
//! mailboxes and threads stand in `runtime::limits`; those of sessions are a group's own, in `margay_machine::Limits`;
//! those of members and nodes where their formats are, in `margay_raft` and `margay_wire`.
//!
//! Numbers that end up in files (`*_BYTES_MAX` of batches, directories and records) are frozen: a smaller one
//! would refuse what an earlier version wrote. The others may be tuned; the assertions say how far.

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// Direct writes start and end at multiples of this, whatever smaller unit a device allows.
pub const WRITE_UNIT_BYTES: usize = 4 * KIB;

/// Largest command of a client, its operation and payload.
pub const COMMAND_BYTES_MAX: usize = MIB;
/// Largest frame between processes.
pub const FRAME_BYTES_MAX: usize = MIB + 4 * KIB;
/// Largest payload of a record: what the largest frame can carry.
pub const RECORD_BYTES_MAX: usize = FRAME_BYTES_MAX;
const _: () = assert!(
    COMMAND_BYTES_MAX + 4 * KIB <= FRAME_BYTES_MAX,
    "a command must fit into a frame with all headers"
);

/// Largest batch, everything included: what one durable write may carry.
pub const BATCH_BYTES_MAX: usize = 2 * MIB;
/// Largest directory of a batch. A full one closes its batch.
pub const DIRECTORY_BYTES_MAX: usize = 32 * KIB;
/// Most batches of which a witness may have to tell: the greatest number of writes in flight, and an idle
/// witness. Recovery takes this many for the window of a crash, whatever is configured.
pub const WITNESSED_BATCHES_MAX: usize = WRITES_IN_FLIGHT_MAX + 1;
/// Durable writes under way by default. One costs the least processor time, and more were no faster.
pub const WRITES_IN_FLIGHT: usize = 1;
/// Most that may be configured.
pub const WRITES_IN_FLIGHT_MAX: usize = 4;
const _: () = assert!(WRITES_IN_FLIGHT >= 1 && WRITES_IN_FLIGHT <= WRITES_IN_FLIGHT_MAX);
const _: () = assert!(
    RECORD_BYTES_MAX + (2 + WITNESSED_BATCHES_MAX) * (DIRECTORY_BYTES_MAX + 4 * KIB)
        <= BATCH_BYTES_MAX,
    "the largest record must fit into a batch whatever its witness has to tell"
);

/// Header of a segment: one write unit, so that it leaves in the same write as the first batch.
pub const SEGMENT_HEADER_BYTES: usize = WRITE_UNIT_BYTES;
/// Size of a segment by default.
pub const SEGMENT_BYTES: u64 = 64 * MIB as u64;
/// Smallest size of a segment: tests and simulations switch often.
pub const SEGMENT_BYTES_MIN: u64 = 64 * KIB as u64;
/// Largest size: offsets in a segment have 32 bits.
pub const SEGMENT_BYTES_MAX: u64 = 1 << 31;
const _: () = assert!(
    (SEGMENT_HEADER_BYTES + BATCH_BYTES_MAX) as u64 <= SEGMENT_BYTES,
    "the largest batch must fit into a fresh segment"
);
/// Segments of one log at most: its manifest has room for these from the start.
pub const SEGMENTS_MAX: usize = 4096;
/// Spare segments kept ready beside the reserve.
pub const SPARE_SEGMENTS: usize = 2;
/// Spare segments that only hard states, heads, checkpoints and restarts may use.
pub const RESERVE_SEGMENTS: usize = 1;
/// The share of a segment that the head records of all groups may take: 1 in this many.
pub const HEAD_SHARE: u64 = 16;
/// Bytes of one unsynced write when a spare is filled. Large ones make the next durable write slow.
pub const FILL_BYTES: usize = 128 * KIB;
/// After so many segments were begun, spares that were never needed meanwhile are removed. It takes in several
/// checkpoints of a hot group, between which the segments in use come and go.
pub const SPARES_REVIEW_SEGMENTS: usize = 8;
/// Bytes given back at a time when a segment is removed. Where freed room is passed on to the device, which the mount
/// option `discard` demands, the device does nothing else meanwhile: 18 ms for a segment at once were measured.
pub const REMOVE_BYTES: u64 = MIB as u64;
/// Pause between two pieces of either: 20 MB/s leave the foreground alone.
pub const FILL_PAUSE_MS: u64 = 6;
const _: () = assert!(
    FILL_BYTES as u64 * 1000 / FILL_PAUSE_MS <= 24_000_000,
    "filling must not crowd out the foreground"
);

/// Small records that memory is kept for per group, because they are written without asking: in a few elections one
/// after the other each a hard state, and of its last one a truncation and a no-op.
pub const UNASKED_RECORDS_PER_GROUP: usize = 8;

/// Memory for batches, per shard.
pub const BATCH_POOL_BYTES: usize = 64 * MIB;
/// Memory that written batches may keep, so that followers and machines are served without a read.
pub const BATCH_RETAINED_BYTES: usize = 32 * MIB;
const _: () = assert!(
    BATCH_RETAINED_BYTES + (WITNESSED_BATCHES_MAX + 2) * BATCH_BYTES_MAX <= BATCH_POOL_BYTES,
    "writes in flight, a waiting batch and an open one need memory beside what is kept"
);
/// Idle time after an acknowledged batch until a batch with nothing but its witness is written.
pub const WITNESS_IDLE_MS: u64 = 5;
/// Head records that one batch carries at most.
pub const HEADS_PER_BATCH: usize = 64;

/// Bytes of one chunk of a checkpoint's stream.
pub const CHECKPOINT_CHUNK_BYTES: usize = 256 * KIB;
const _: () = assert!(CHECKPOINT_CHUNK_BYTES + 4 * KIB <= RECORD_BYTES_MAX);
/// A checkpoint is due when this much was appended since the last one, or twice its size.
pub const CHECKPOINT_TRIGGER_BYTES: u64 = 64 * MIB as u64;
/// Replicas of one node at most.
pub const GROUPS_PER_NODE_MAX: usize = 16_384;
/// Logs that a node's manifest can list: those of the shards, and of earlier placements.
pub const LOGS_MAX: usize = 256;
/// Shards of a node at most: its genesis says how many it has.
pub const SHARDS_MAX: u16 = 256;
const _: () = assert!(SHARDS_MAX as usize <= LOGS_MAX, "every shard has a log");
/// Bytes of a cluster's name at most.
pub const CLUSTER_NAME_BYTES_MAX: usize = 64;

/// Bytes under way to one follower, over all groups of a pair of cores.
pub const FOLLOWER_WINDOW_BYTES: usize = 8 * MIB;
/// Messages under way to one follower, over all groups of a pair of cores.
pub const FOLLOWER_WINDOW_MESSAGES: usize = 256;
/// Bytes under way to one follower of one group.
pub const GROUP_WINDOW_BYTES: usize = MIB;
const _: () = assert!(GROUP_WINDOW_BYTES <= FOLLOWER_WINDOW_BYTES);

/// Proposals of one group that are appended and not applied.
pub const PROPOSALS_MAX: usize = 16_384;
/// Bytes of these.
pub const PROPOSAL_BYTES_MAX: usize = 64 * MIB;
/// The oldest of these may be as old as this. While it is older, nothing more is taken: what waits longer is of no use
/// any more to whoever sent it, and a queue in front of a slow disk is as long as one in front of a fast one.
pub const PROPOSAL_MS_MAX: u64 = 500;
/// Sessions attached to one connection.
pub const SESSIONS_PER_CONNECTION_MAX: usize = 65_536;
/// Sessions attached to all connections of a shard; one that is attached to two connections counts twice.
pub const ATTACHMENTS_MAX: usize = 1 << 20;
const _: () = assert!(SESSIONS_PER_CONNECTION_MAX <= ATTACHMENTS_MAX);
/// Reads of one group that wait.
pub const WAITING_READS_MAX: usize = 16_384;
/// Bytes of what they ask.
pub const WAITING_READ_BYTES_MAX: usize = 64 * MIB;
const _: () = assert!(
    FRAME_BYTES_MAX <= WAITING_READ_BYTES_MAX,
    "any read can wait alone"
);
/// How long a read waits.
pub const WAITING_READ_MS: u64 = 1_000;

/// A tick of the shard's clock, in which the core counts its timeouts.
pub const TICK_NS: u64 = 10_000_000;
/// A leader is heard from this often: 6 ticks.
pub const HEARTBEAT_NS: u64 = 6 * TICK_NS;
/// Waiting reads are looked through every so many ticks.
pub const HOUSE_TICKS: u64 = 10;
const _: () = assert!(
    HOUSE_TICKS * TICK_NS / 1_000_000 < WAITING_READ_MS,
    "a read that waits too long must be found in time"
);
/// Bytes of entries that are read from disk, or sent, at a time.
pub const APPEND_BYTES_MAX: usize = MIB;
const _: () = assert!(
    APPEND_BYTES_MAX + 4 * KIB <= FRAME_BYTES_MAX,
    "an append fits in a frame"
);
/// Reads of entries from disk under way, over all groups of a shard: each takes [`APPEND_BYTES_MAX`] of memory, and
/// while it goes on [`LOAD_SPAN_BYTES_MAX`] more.
pub const LOADS_MAX: usize = 32;
/// So many of these may be for followers. The others are for the machines here, which apply what is committed.
pub const LOADS_FOR_FOLLOWERS_MAX: usize = LOADS_MAX / 4 * 3;
const _: () = assert!(LOADS_FOR_FOLLOWERS_MAX < LOADS_MAX);
/// What such a read takes from a segment at once, unless one batch alone is larger. Several read for one follower, and
/// a durable write waits in the device's queue for all of them.
pub const LOAD_SPAN_BYTES_MAX: usize = 128 * KIB;
/// Bytes between two batches that are read along, because another read would take longer.
pub const LOAD_GAP_BYTES_MAX: usize = 64 * KIB;
/// Bytes of entries that one group applies in one turn, so that other groups have theirs.
pub const APPLY_BYTES_PER_TURN: usize = MIB / 2;
/// Bytes of entries that all groups of a shard apply in one turn: then input is handled and heartbeats leave, and those
/// whose turn it was not come first in the next.
pub const SHARD_APPLY_BYTES_PER_TURN: usize = MIB;
const _: () = assert!(
    APPLY_BYTES_PER_TURN < SHARD_APPLY_BYTES_PER_TURN,
    "a group with much to apply leaves something to the others"
);
/// When to ask again a leader that cannot answer yet.
pub const NOT_READY_RETRY_MS: u32 = 20;
/// When to ask again a leader that has too much to do, while few have to. The more there are, the later.
pub const OVERLOADED_RETRY_MS: u32 = 10;
/// However many are refused, they are asked to come again after this time at the latest.
pub const OVERLOADED_RETRY_MS_MAX: u32 = 500;
/// Those taken and those refused are counted for so long at least, and then anew.
pub const REFUSALS_COUNTED_NS: u64 = 100_000_000;
/// While more is refused than one for so many that are taken, whoever is refused is asked to come later than before.
pub const TAKEN_PER_REFUSAL: u64 = 4;
/// When to ask again a leader whose disks are full.
pub const NO_SPACE_RETRY_MS: u32 = 500;
/// A checkpoint is due, too, when this many times its last size was appended.
pub const CHECKPOINT_TRIGGER_FACTOR: u64 = 2;
/// Replicas in one page of a status.
pub const GROUPS_PER_STATUS_MAX: usize = 1_024;
/// Groups of one keyspace at most: its answer lists them.
pub const GROUPS_PER_KEYSPACE_MAX: u32 = 2_048;
/// Replicas of a group whose creator names no number.
pub const REPLICAS_DEFAULT: u16 = 3;
/// With more segments than this in use, whoever holds the oldest is asked for a checkpoint: an idle group holds none.
pub const SEGMENTS_BEFORE_CHECKPOINT: usize = 3;
/// The same when no segment can be made and few are left: all but the one that is written, however small the disk.
pub const SEGMENTS_BEFORE_CHECKPOINT_WHEN_SHORT: usize = 1;
/// Requests of one group that wait for an entry under way, duplicates that attached themselves included.
pub const WAITERS_MAX: usize = 2 * PROPOSALS_MAX;
/// For so many ticks a stopping shard waits for others to take over what it leads.
pub const STOP_TICKS: u64 = 50;
/// Leadership is handed to nobody who has been silent for so many ticks: it would not be taken.
pub const TRANSFER_SILENCE_TICKS: u32 = 30;
/// A leader that is not its group's home leads for so many ticks before it hands over: half a minute in peace.
pub const HOMING_TICKS: u64 = 3_000;
/// Each time that leadership comes back soon it waits twice as long, so many times: then a quarter of an hour.
pub const HOMING_DOUBLINGS_MAX: u32 = 5;
/// A shard sends at most one group home in so many ticks: four in a second.
pub const HOMING_PAUSE_TICKS: u64 = 25;
/// Groups that it looks at for that.
pub const HOMING_LOOKS: usize = 64;
/// A home that has been silent for so many ticks, two heartbeats, must prove itself anew.
pub const HOMING_SILENCE_TICKS: u32 = 12;
const _: () = assert!(
    HOMING_SILENCE_TICKS <= TRANSFER_SILENCE_TICKS,
    "who goes home without need is more careful than who must go"
);
/// Blocks of a shard's pool that are registered with its ring: the batch that is written, and the next.
pub const REGISTERED_BLOCKS: u16 = 2;
/// Bytes of frames that hopped to another shard of the node, and that it has not taken; past it no request hops there.
pub const HOP_BYTES_MAX: usize = 8 * MIB;
const _: () = assert!(FRAME_BYTES_MAX <= HOP_BYTES_MAX, "any frame can hop");
/// Bytes of answers for clients of another shard of the node, and that it has not taken. Past it who waits for another
/// one loses its connection, as whoever does not read does.
pub const HOP_ANSWER_BYTES_MAX: usize = 64 * MIB;
/// Answers that were taken are told to the shard that gave them in parts of this size: each one would wake it.
pub const HOP_ANSWER_BYTES_TOLD: usize = HOP_ANSWER_BYTES_MAX / 8;
const _: () = assert!(
    HOP_ANSWER_BYTES_TOLD + FRAME_BYTES_MAX <= HOP_ANSWER_BYTES_MAX,
    "any answer finds room when all others are taken"
);
/// Questions of operators under way that all shards of a node must be asked for; and those that one shard has not
/// answered, however long it hangs.
pub const SURVEYS_MAX: usize = 256;
/// So many ticks a shard has to answer one.
pub const SURVEY_TICKS: u64 = 100;
/// Operators that wait for the end of one formation.
pub const WAITING_FOUNDERS_MAX: usize = 64;
/// Bytes that may wait to leave for a peer before small messages to it are dropped, as a network may: more than the
/// appends that may be under way, so that these never crowd out votes and heartbeats.
pub const PEER_BACKLOG_BYTES_MAX: u64 = 2 * FOLLOWER_WINDOW_BYTES as u64;
