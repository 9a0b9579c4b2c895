//! What one client does: opens sessions in groups, submits commands and asks queries, and closes sessions now and then.

use crate::history::{Asked, Question};
use margay_client::SessionKey;
use margay_machine::{Encode, OperationId};
use margay_resources::bench;
use margay_resources::map::{CompareAndSet, Delete, Get, Put};
use margay_types::{GroupId, Index, Random, SequenceNumber, SessionId};
use margay_wire::client::QueryLevel;
use std::collections::VecDeque;

/// One command in so many names an operation that no machine has: it is refused, and its number is skipped.
const UNKNOWN_OPERATION_EVERY: u64 = 64;
const UNKNOWN_OPERATION: u16 = 77;

/// Which machine a group runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MachineKind {
    /// `bench`.
    Bench,
    /// `map`.
    Map,
}

/// Rates of a world, drawn per seed.
#[derive(Clone, Copy, Debug)]
pub struct WorkloadOptions {
    /// Clients.
    pub client_count: usize,
    /// Sessions that one client has at a time.
    pub sessions_per_client: usize,
    /// Commands of one session under way.
    pub in_flight_max: usize,
    /// Shortest pause between two actions of a client.
    pub think_ns_min: u64,
    /// Longest.
    pub think_ns_max: u64,
    /// Of 1000 actions, so many close a session.
    pub close_permille: u64,
    /// Of 1000 actions, so many send again what is under way.
    pub repeat_permille: u64,
    /// Of 1000 actions, so many are queries.
    pub query_permille: u64,
    /// Keys of a map.
    pub key_count: u64,
    /// Largest filler of a command.
    pub filler_bytes_max: u64,
    /// Connections of a client to a node.
    pub connections_per_node: u16,
    /// Timeout of sessions.
    pub session_timeout_ms: u32,
}

/// A command under way.
#[derive(Clone, Debug)]
pub struct Submitted {
    /// Its number.
    pub sequence: SequenceNumber,
    /// What.
    pub asked: Asked,
    /// What anybody knew to have happened when it was submitted.
    pub floor: Index,
    /// When.
    pub at_ns: u64,
}

/// A session as its client sees it.
#[derive(Debug)]
pub struct OwnSession {
    /// Its name.
    pub key: SessionKey,
    /// Where.
    pub group: GroupId,
    /// Of which machine.
    pub machine: MachineKind,
    /// Once it is open.
    pub id: Option<SessionId>,
    /// Was it asked to close?
    pub is_closing: bool,
    /// Commands under way, in order.
    pub submitted: VecDeque<Submitted>,
    /// The highest index that an answer of this session told.
    pub seen: Index,
    /// Index of its last command that was done.
    pub last_command: Index,
    /// Sequential queries that were answered: they saw this index, and had to see every command up to this number.
    pub promised: Vec<(SequenceNumber, Index)>,
    /// Of `bench`: commands that were done.
    pub count: u64,
    /// Of `bench`: the hash over them.
    pub hash: u64,
}

impl OwnSession {
    /// A session that is being opened.
    #[must_use]
    pub fn new(key: SessionKey, group: GroupId, machine: MachineKind) -> Self {
        Self {
            key,
            group,
            machine,
            id: None,
            is_closing: false,
            submitted: VecDeque::new(),
            seen: Index::ZERO,
            last_command: Index::ZERO,
            promised: Vec::new(),
            count: 0,
            hash: 0,
        }
    }

    /// Takes the command that completes now: they complete in order.
    ///
    /// # Errors
    /// Another one should have.
    pub fn take_submitted(&mut self, sequence: SequenceNumber) -> Result<Submitted, String> {
        match self.submitted.pop_front() {
            Some(submitted) if submitted.sequence == sequence => Ok(submitted),
            other => Err(format!(
                "command {sequence} of session {:?} completes, but {:?} should",
                self.id,
                other.map(|submitted| submitted.sequence)
            )),
        }
    }

    /// A command was done: judges its index and, where the output proves something, its output.
    ///
    /// # Errors
    /// In words.
    pub fn on_done(
        &mut self,
        submitted: &Submitted,
        index: Index,
        output: &[u8],
    ) -> Result<(), String> {
        let (id, sequence) = (self.id, submitted.sequence);
        if index <= self.last_command {
            return Err(format!(
                "command {sequence} of session {id:?} stands at {index}, the one before it at {}",
                self.last_command
            ));
        }
        self.last_command = index;
        for (up_to, saw) in &self.promised {
            if sequence <= *up_to && index > *saw {
                return Err(format!(
                    "a sequential query of session {id:?} saw {saw}, but command {sequence}, issued before it, stands \
                     at {index}"
                ));
            }
        }
        self.promised.retain(|(up_to, _)| *up_to > sequence);
        if let Asked::Append(payload) = &submitted.asked {
            self.count += 1;
            self.hash = bench::next_hash(self.hash, payload);
            let told = bench_output(output)?;
            if told.0 != self.count || told.1 != self.hash {
                return Err(format!(
                    "command {sequence} of session {id:?} is number {} of it with hash {:x}; it should be number {} \
                     with {:x}: lost, doubled or swapped",
                    told.0, told.1, self.count, self.hash
                ));
            }
        }
        self.seen = self.seen.max(index);
        Ok(())
    }
}

/// Count, hash and total of an output of `bench`.
///
/// # Errors
/// It is no such output.
pub fn bench_output(output: &[u8]) -> Result<(u64, u64, u64), String> {
    let numbers: Vec<u64> = output
        .chunks_exact(8)
        .map(|bytes| u64::from_le_bytes(bytes.try_into().expect("8 bytes")))
        .collect();
    match numbers[..] {
        [count, hash, total] if output.len() == 24 => Ok((count, hash, total)),
        _ => Err(format!("an output of bench has {} bytes", output.len())),
    }
}

/// Draws the next command of a session. `number` makes it differ from all others.
pub fn draw_command(
    random: &mut Random,
    machine: MachineKind,
    options: &WorkloadOptions,
    number: u64,
) -> (OperationId, Asked) {
    let filler = random.below(options.filler_bytes_max + 1);
    let mut value = number.to_le_bytes().to_vec();
    value.resize(8 + usize::try_from(filler).unwrap_or(0), 7);
    if machine == MachineKind::Bench {
        return (OperationId::new(1), Asked::Append(value));
    }
    let key = draw_key(random, options);
    let (key, value) = (key.as_slice(), value.as_slice());
    let (operation, bytes) = match random.below(4) {
        0 => (2, postcard::to_allocvec(&Delete { key })),
        1 => {
            let expected = random.chance(1, 2).then(|| random.below(200));
            (
                3,
                postcard::to_allocvec(&CompareAndSet {
                    key,
                    expected,
                    value,
                }),
            )
        }
        _ => (1, postcard::to_allocvec(&Put { key, value })),
    };
    let bytes = bytes.expect("plain data encodes");
    (OperationId::new(operation), Asked::Map(operation, bytes))
}

fn draw_key(random: &mut Random, options: &WorkloadOptions) -> Vec<u8> {
    format!("key-{}", random.below(options.key_count.max(1))).into_bytes()
}

/// The command with this number, if it is one that every machine refuses.
#[must_use]
pub fn unknown_command(number: u64) -> Option<(OperationId, Asked)> {
    let is_unknown = number % UNKNOWN_OPERATION_EVERY == UNKNOWN_OPERATION_EVERY - 1;
    let asked = Asked::Map(UNKNOWN_OPERATION, Vec::new());
    is_unknown.then_some((OperationId::new(UNKNOWN_OPERATION), asked))
}

/// Draws a query: its operation, its bytes, what it asks, and how fresh the answer must be.
pub fn draw_query(
    random: &mut Random,
    machine: MachineKind,
    options: &WorkloadOptions,
) -> (OperationId, Vec<u8>, Question, QueryLevel) {
    let level = match random.below(4) {
        0 => QueryLevel::Causal,
        1 => QueryLevel::Sequential,
        2 => QueryLevel::BoundedLinearizable,
        _ => QueryLevel::Linearizable,
    };
    if machine == MachineKind::Map {
        let key = draw_key(random, options);
        let bytes = postcard::to_allocvec(&Get { key: &key }).expect("plain data encodes");
        return (OperationId::new(1), bytes, Question::Get(key), level);
    }
    let mut bytes = Vec::new();
    if random.chance(1, 2) {
        bench::Mine {}.encode(&mut bytes);
        (OperationId::new(1), bytes, Question::Mine, level)
    } else {
        bench::Total {}.encode(&mut bytes);
        (OperationId::new(2), bytes, Question::Total, level)
    }
}
