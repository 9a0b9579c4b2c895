//! The state of a node: its shards, its replicas, its log, and what is wrong with them.

use super::Formation;
use margay_types::{
    GroupId, Incarnation, Index, NodeId, ProcessLife, ReplicaNumber, ShardId, Term,
};
use serde::{Deserialize, Serialize};

/// Asks a node for its state. Replicas come in pages, because a node may have many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusRequest {
    /// First group of the page.
    pub from_group: GroupId,
    /// Most groups in the answer.
    pub groups_max: u32,
}

/// The state of a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Version of its binary.
    pub version: String,
    /// Its data directory.
    pub incarnation: Incarnation,
    /// Its process.
    pub life: ProcessLife,
    /// Its cluster.
    pub formation: Formation,
    /// What its cluster calls it.
    pub address: String,
    /// Time since its process started.
    pub up_ms: u64,
    /// Its shards, in their order.
    pub shards: Vec<ShardStatus>,
    /// Its replicas from the asked group on, by group.
    pub groups: Vec<GroupStatus>,
    /// The first group of the next page, when there is one.
    pub more_from: Option<GroupId>,
    /// What is wrong; empty when nothing is.
    pub health: Vec<HealthReason>,
}

/// One core of a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardStatus {
    /// Which.
    pub shard: ShardId,
    /// Replicas that it hosts.
    pub replicas: u32,
    /// How many of them lead.
    pub leads: u32,
    /// Sessions of the groups that it leads.
    pub sessions: u32,
    /// Connections of clients and operators.
    pub connections: u32,
    /// Requests that came in through another shard.
    pub hopped_requests: u64,
    /// All requests.
    pub requests: u64,
    /// Turns of its loop: it stands still when the shard hangs.
    pub turns: u64,
    /// How full its log is.
    pub space: SpaceMark,
    /// Are durable writes known to be durable?
    pub durability: Durability,
    /// How it writes.
    pub io: IoSettings,
}

/// How full a shard's log is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum SpaceMark {
    /// There is room.
    Free,
    /// Leaders refuse ordinary commands when a quorum is here.
    Soft,
    /// Followers refuse appends.
    Hard,
}

/// What is known about writes that return.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Durability {
    /// Every write is forced to the medium, or followed by a flush that a probe saw.
    Proven,
    /// The probe could not see it.
    Unproven,
    /// In memory only, for tests.
    Memory,
}

/// How a shard writes its log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IoSettings {
    /// Every write is a multiple of this.
    pub write_unit_bytes: u32,
    /// Most writes under way at a time.
    pub in_flight_writes_max: u16,
    /// Are buffers registered with the ring?
    pub registered_buffers: bool,
    /// Write, then what, in words: `O_DIRECT RWF_DSYNC`, for example.
    pub sync: String,
    /// The file system and the device below the data directory, as far as they are known.
    pub device: String,
}

/// What a replica is to its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MemberType {
    /// Votes.
    Active,
    /// Has a full copy, and no vote.
    Passive,
    /// Is known, and has no copy.
    Reserve,
}

/// What a replica does now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReplicaRole {
    /// Recovering, or its group's machine stopped.
    Inactive,
    /// Takes entries from a leader, and does not vote.
    Passive,
    /// Takes entries from a leader.
    Follower,
    /// Asks whether an election could be won.
    PreCandidate,
    /// Asks for votes.
    Candidate,
    /// Orders the log.
    Leader,
}

/// One replica.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupStatus {
    /// Its group.
    pub group: GroupId,
    /// Its number in it.
    pub replica: ReplicaNumber,
    /// The keyspace of the group; empty for group 0.
    pub keyspace: String,
    /// The shard that hosts it.
    pub shard: ShardId,
    /// What it does.
    pub role: ReplicaRole,
    /// Its term.
    pub term: Term,
    /// The node that leads, as far as it knows.
    pub leader: Option<NodeId>,
    /// Everything up to here is committed.
    pub commit: Index,
    /// Everything up to here is applied.
    pub applied: Index,
    /// The end of its log.
    pub last: Index,
    /// Everything up to here is on its disk.
    pub durable: Index,
    /// Index of its newest checkpoint.
    pub checkpoint: Index,
    /// Open sessions.
    pub sessions: u32,
    /// Its configuration, with what a leader knows of each member.
    pub members: Vec<MemberStatus>,
    /// Has its machine stopped? Then why.
    pub stopped: Option<String>,
}

/// One member of a group, seen from a replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberStatus {
    /// Its node.
    pub node: NodeId,
    /// Its number in the group.
    pub replica: ReplicaNumber,
    /// What it is to the group.
    pub member_type: MemberType,
    /// Known to be durable there; only a leader knows.
    pub match_index: Option<Index>,
    /// Time since it last confirmed that it follows; only a leader knows.
    pub silent_ms: Option<u64>,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthReason {
    /// The number of the message's code: 212 for `M212`.
    pub code: u16,
    /// For how long.
    pub since_ms: u64,
    /// Shard, where it is of one.
    pub shard: Option<ShardId>,
    /// Group, where it is of one.
    pub group: Option<GroupId>,
    /// The facts, in words.
    pub text: String,
}
