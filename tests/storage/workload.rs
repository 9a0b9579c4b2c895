//! What a log is told in a test: a seeded mix over several groups of entries, truncations, hard states, births, ends
//! and checkpoints, in batches of random size.

use crate::model::Told;
use crate::world::{World, created};
use margay::storage::NewEntry;
use margay::storage::payload::{CheckpointPointer, ChunkHeader, Tail};
use margay_raft::{EntryKind, HardState, Position, WriteId};
use margay_types::{GroupId, Index, LogTime, Random, ReplicaNumber, Term};
use std::rc::Rc;

pub(crate) struct Workload {
    random: Random,
    write: u64,
    groups: u64,
}

impl Workload {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            random: Random::new(seed),
            write: 0,
            groups: 4,
        }
    }

    /// Runs `steps` steps, or until the log fails or the power goes off.
    pub(crate) fn run(&mut self, world: &mut World, steps: usize) {
        for _ in 0..steps {
            if !self.step(world) || world.disk.is_crashed() {
                return;
            }
        }
    }

    fn step(&mut self, world: &mut World) -> bool {
        if !world.log.has_room(8 << 10) {
            return self.make_room(world);
        }
        let went_well = match self.random.below(24) {
            0..=11 => self.entry(world),
            12..=13 => self.hard_state(world),
            14 => self.truncate(world),
            15 => self.checkpoint(world),
            16..=18 => world.submit(),
            19..=21 => world.submit() && world.deliver(),
            22 => {
                world
                    .log
                    .on_idle(std::time::Duration::from_millis(9))
                    .is_ok()
                    && world.deliver()
            }
            _ => self.tend(world),
        };
        went_well && (!self.random.chance(1, 40) || world.pass_time())
    }

    fn next_write(&mut self) -> WriteId {
        self.write += 1;
        WriteId(self.write)
    }

    /// Checkpoints of those who hold the oldest segment let it go.
    fn make_room(&mut self, world: &mut World) -> bool {
        for group in world.log.oldest_holders() {
            if !self.checkpoint_of(world, group) {
                return false;
            }
        }
        let is_idle = std::time::Duration::from_millis(9);
        self.tend(world) && world.settle() && world.log.on_idle(is_idle).is_ok() && world.settle()
    }

    /// A group, born if it is not there.
    fn group(&mut self, world: &mut World) -> Option<GroupId> {
        let number = u32::try_from(self.random.below(self.groups)).unwrap();
        let group = GroupId::new(number);
        if world.model.state().contains_key(&group) {
            return Some(group);
        }
        let replica = world.model.next_replica();
        let result = world.log.create_group(group, &created(group, replica));
        world
            .note(Told::Create(group, replica), result)
            .then_some(group)
    }

    fn entry(&mut self, world: &mut World) -> bool {
        let Some(group) = self.group(world) else {
            return false;
        };
        let model = world.model.state()[&group].clone();
        let count = 1 + self.random.below(3);
        for number in 0..count {
            let term = model
                .hard_state
                .term
                .max(model.last().term)
                .max(Term::new(1));
            let index = Index::new(model.last().index.number() + 1 + number);
            let position = Position { term, index };
            let length = usize::try_from(self.random.below(1500)).unwrap();
            let mut payload = vec![self.random.below(256).to_le_bytes()[0]; length];
            payload.extend_from_slice(&index.number().to_le_bytes());
            let write = self.next_write();
            let entry = NewEntry {
                group,
                position,
                kind: EntryKind::CommandPlain,
                log_time: LogTime::new(index.number()),
                payload: &[&payload],
            };
            let result = world.log.append_entry(&entry, write);
            if !world.note(Told::Entry(group, position, Rc::new(payload)), result) {
                return false;
            }
        }
        true
    }

    /// A vote in the present term, if there is none yet, or a greater term.
    fn hard_state(&mut self, world: &mut World) -> bool {
        let Some(group) = self.group(world) else {
            return false;
        };
        let now = world.model.state()[&group].hard_state;
        let vote = ReplicaNumber::new(u16::try_from(1 + self.random.below(5)).unwrap());
        let next = match now.voted_for {
            None if now.term > Term::ZERO => HardState {
                voted_for: Some(vote),
                ..now
            },
            _ if self.random.chance(1, 2) => HardState {
                term: now.term.next(),
                voted_for: None,
            },
            _ => HardState {
                term: now.term.next(),
                voted_for: Some(vote),
            },
        };
        let write = self.next_write();
        let result = world.log.save_hard_state(group, next, write);
        world.note(Told::HardState(group, next), result)
    }

    fn truncate(&mut self, world: &mut World) -> bool {
        let Some(group) = self.group(world) else {
            return false;
        };
        let model = world.model.state()[&group].clone();
        let (low, high) = (model.checkpoint.index.number(), model.last().index.number());
        if high <= low {
            return true;
        }
        // Entries are only replaced by those of a later leader: index and term name one entry for ever.
        if model.last().term >= model.hard_state.term {
            let next = HardState {
                term: model.last().term.next(),
                voted_for: None,
            };
            let write = self.next_write();
            let result = world.log.save_hard_state(group, next, write);
            if !world.note(Told::HardState(group, next), result) {
                return false;
            }
        }
        let from = Index::new(high - self.random.below((high - low).min(4)));
        let write = self.next_write();
        let result = world.log.truncate(group, from, write);
        world.note(Told::Truncate(group, from), result)
    }

    /// A checkpoint of one to three chunks at an index of the log.
    fn checkpoint(&mut self, world: &mut World) -> bool {
        let Some(group) = self.group(world) else {
            return false;
        };
        self.checkpoint_of(world, group)
    }

    fn checkpoint_of(&mut self, world: &mut World, group: GroupId) -> bool {
        let model = world.model.state()[&group].clone();
        let (low, high) = (model.checkpoint.index.number(), model.last().index.number());
        if high <= low {
            return true;
        }
        let index = Index::new(low + 1 + self.random.below(high - low));
        let at = Position {
            term: model.entries[&index].0,
            index,
        };
        let chunks = u32::try_from(1 + self.random.below(3)).unwrap();
        for number in 0..chunks {
            let header = ChunkHeader {
                stream_epoch: 0,
                number,
            };
            let bytes = chunk_bytes(at, number);
            if world.log.write_chunk(group, index, header, &bytes).is_err() {
                return false;
            }
        }
        let pointer = CheckpointPointer {
            at,
            floor: world.log.floor(group),
            stream_epoch: 0,
            first_origin: 0,
            stream_bytes: 0,
            chunks,
            replica: model.replica,
            tail: Tail::Keep,
            stream_hash: [0; 16],
            live_hash: [0; 16],
            effect_chain: [0; 16],
        };
        let result = world.log.write_pointer(group, &pointer, Index::ZERO);
        world.note(Told::Checkpoint(group, at), result)
    }

    /// Lets go of what checkpoints stand for, so that segments are freed; now and then a group ends.
    fn tend(&mut self, world: &mut World) -> bool {
        let groups: Vec<GroupId> = world.model.state().keys().copied().collect();
        for group in groups {
            let to = world.log.checkpoint_covered(group);
            world.log.release(group, to);
        }
        world.log.tend();
        if self.random.chance(1, 8) {
            let Some(group) = self.group(world) else {
                return false;
            };
            let result = world.log.remove_group(group);
            return world.note(Told::Remove(group), result);
        }
        true
    }
}

/// What a chunk of a checkpoint holds: anything, as long as a test knows it again.
pub(crate) fn chunk_bytes(at: Position, number: u32) -> Vec<u8> {
    let mut bytes = vec![at.index.number().to_le_bytes()[0]; 700];
    bytes.extend_from_slice(&number.to_le_bytes());
    bytes
}
