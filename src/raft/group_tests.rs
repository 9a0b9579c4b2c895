//! A small group in one thread: networks that lose, repeat and reorder, disks that are late, crashes that lose what
//! was not durable, changes of members. Seeded; the checks are those of the thesis (figure 3.2).

#![expect(
    clippy::cast_possible_truncation,
    reason = "indexes, counts and numbers of nodes are small here"
)]

use crate::configuration::{Configuration, Member};
use crate::effects::{Effect, ReadId, Role, WriteId};
use crate::entry::{EntryKind, EntryView, HardState, Position};
use crate::log::TermRun;
use crate::membership::Target;
use crate::message::{AppendEntries, Message};
use crate::options::Options;
use crate::replica::{Replica, Restored};
use crate::types::{Index, NodeId, ReplicaNumber, Term, Ticks};
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec;
use alloc::vec::Vec;
use margay_types::Random;

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    position: Position,
    kind: EntryKind,
    payload: Vec<u8>,
}

#[derive(Clone, Debug)]
enum Operation {
    HardState(HardState),
    Truncate(Index),
    Append(Vec<Entry>),
}

#[derive(Clone, Debug)]
enum Content {
    Message(Message),
    Append(AppendEntries, Vec<Entry>),
}

#[derive(Clone, Debug)]
struct Packet {
    from: ReplicaNumber,
    to: ReplicaNumber,
    content: Content,
}

#[derive(Clone, Debug, Default)]
struct Disk {
    hard_state: HardState,
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Node {
    replica: Replica,
    entries: Vec<Entry>,
    disk: Disk,
    writes: VecDeque<(WriteId, Operation)>,
}

struct Group {
    nodes: Vec<Node>,
    packets: Vec<Packet>,
    cut: Vec<(ReplicaNumber, ReplicaNumber)>,
    random: Random,
    initial: Configuration,
    committed: Vec<Entry>,
    leaders: BTreeMap<Term, ReplicaNumber>,
    reads: BTreeMap<(ReplicaNumber, u64), Index>,
    reads_served: u64,
    last_read: u64,
}

const NODES: u16 = 5;

fn number(number: u16) -> ReplicaNumber {
    ReplicaNumber::new(number)
}

fn members(numbers: &[u16]) -> Vec<Member> {
    numbers
        .iter()
        .map(|&n| Member {
            number: number(n),
            node: NodeId::new(n),
        })
        .collect()
}

fn options() -> Options {
    Options {
        election_ticks_min: Ticks::new(10),
        election_ticks_max: Ticks::new(20),
        heartbeat_ticks: Ticks::new(2),
        append_bytes_max: 200,
        tail_entries_max: 8,
        ..Options::default()
    }
}

impl Disk {
    fn perform(&mut self, operation: Operation) {
        match operation {
            Operation::HardState(hard_state) => self.hard_state = hard_state,
            Operation::Truncate(from) => self.entries.retain(|it| it.position.index < from),
            Operation::Append(entries) => self.entries.extend(entries),
        }
    }

    fn restore(&self, initial: &Configuration, floor: Index, commit_index: Index) -> Restored {
        let mut term_runs: Vec<TermRun> = vec![];
        let mut configurations = vec![(Index::ZERO, initial.clone())];
        for entry in &self.entries {
            let Position { term, index } = entry.position;
            if index > floor && term_runs.last().is_none_or(|run| run.term != term) {
                term_runs.push(TermRun { first: index, term });
            }
            if entry.kind == EntryKind::Configuration {
                configurations.push((index, Configuration::decode(&entry.payload).unwrap()));
            }
        }
        Restored {
            hard_state: self.hard_state,
            floor: floor
                .number()
                .checked_sub(1)
                .map_or(Position::ZERO, |before| {
                    self.entries[before as usize].position
                }),
            term_runs,
            last_index: Index::new(self.entries.len() as u64),
            commit_index,
            configurations,
        }
    }
}

impl Group {
    fn new(seed: u64, voters: &[u16]) -> Self {
        let initial = Configuration {
            voters: members(voters),
            ..Configuration::default()
        };
        let mut random = Random::new(seed);
        let nodes = (1..=NODES)
            .map(|n| Node {
                replica: Replica::new(
                    number(n),
                    options(),
                    Disk::default().restore(&initial, Index::ZERO, Index::ZERO),
                    u64::from(random.between(0, u32::MAX)),
                ),
                entries: vec![],
                disk: Disk::default(),
                writes: VecDeque::new(),
            })
            .collect();
        Self {
            nodes,
            packets: vec![],
            cut: vec![],
            random,
            initial,
            committed: vec![],
            leaders: BTreeMap::new(),
            reads: BTreeMap::new(),
            reads_served: 0,
            last_read: 0,
        }
    }

    fn chance(&mut self, percent: u32) -> bool {
        self.random.between(0, 100) < percent
    }

    fn pick(&mut self) -> usize {
        self.random.between(0, u32::from(NODES)) as usize
    }

    /// One turn of a node: an input, its effects, a flush.
    fn turn(&mut self, at: usize, input: impl FnOnce(&mut Replica, &mut Vec<Effect>)) {
        self.turn_with(at, &[], input);
    }

    fn turn_with(
        &mut self,
        at: usize,
        lent: &[Entry],
        input: impl FnOnce(&mut Replica, &mut Vec<Effect>),
    ) {
        let mut effects = vec![];
        input(&mut self.nodes[at].replica, &mut effects);
        self.execute(at, lent, effects);
        let mut effects = vec![];
        self.nodes[at].replica.flush(&mut effects);
        self.execute(at, &[], effects);
        self.check(at);
    }

    fn execute(&mut self, at: usize, lent: &[Entry], effects: Vec<Effect>) {
        let from = self.nodes[at].replica.number();
        for effect in effects {
            let node = &mut self.nodes[at];
            match effect {
                Effect::SaveHardState { write, hard_state } => {
                    node.writes
                        .push_back((write, Operation::HardState(hard_state)));
                }
                Effect::Truncate { write, from } => {
                    node.entries.retain(|it| it.position.index < from);
                    node.writes.push_back((write, Operation::Truncate(from)));
                }
                Effect::Store { write, first, last } => {
                    let wanted = |it: &&Entry| (first..=last).contains(&it.position.index);
                    let entries: Vec<Entry> = lent.iter().filter(wanted).cloned().collect();
                    node.entries.extend(entries.iter().cloned());
                    node.writes.push_back((write, Operation::Append(entries)));
                }
                Effect::StoreOwn {
                    write,
                    position,
                    kind,
                    payload,
                } => {
                    let entry = Entry {
                        position,
                        kind,
                        payload,
                    };
                    node.entries.push(entry.clone());
                    node.writes
                        .push_back((write, Operation::Append(vec![entry])));
                }
                Effect::Send { to, message } => {
                    self.packets.push(Packet {
                        from,
                        to,
                        content: Content::Message(message),
                    });
                }
                Effect::SendAppend { to, append } => self.send_append(at, to, append),
                Effect::Commit { index } => self.on_commit(at, index),
                Effect::ReadReady { read, index } => {
                    let least = self.reads.remove(&(from, read.0)).unwrap();
                    assert!(
                        index >= least,
                        "read at {index}, but {least} was committed before"
                    );
                    self.reads_served += 1;
                }
                Effect::ReadRefused { read, .. } => {
                    self.reads.remove(&(from, read.0)).unwrap();
                }
                Effect::RoleChanged { .. } | Effect::ConfigurationChanged { .. } => {}
            }
        }
    }

    /// The host's part: it adds the records, and shortens what it may shorten.
    fn send_append(&mut self, at: usize, to: ReplicaNumber, append: AppendEntries) {
        let node = &self.nodes[at];
        assert_eq!(
            append.term, node.disk.hard_state.term,
            "sent before its term is durable"
        );
        let last = if append.may_shorten {
            append.last.min(append.previous.index.plus(3))
        } else {
            append.last
        };
        let range = append.previous.index.number() as usize..last.number() as usize;
        let content = Content::Append(append, node.entries[range].to_vec());
        self.packets.push(Packet {
            from: node.replica.number(),
            to,
            content,
        });
    }

    /// State machine safety: at one index, one entry.
    fn on_commit(&mut self, at: usize, index: Index) {
        let node = &self.nodes[at];
        for (i, entry) in node
            .entries
            .iter()
            .take(index.number() as usize)
            .enumerate()
        {
            match self.committed.get(i) {
                Some(known) => assert_eq!(known, entry, "two entries committed at one index"),
                None => self.committed.push(entry.clone()),
            }
        }
        assert!(
            node.entries.len() as u64 >= index.number(),
            "committed what is not here"
        );
    }

    fn check(&mut self, at: usize) {
        let node = &self.nodes[at];
        node.replica.check();
        assert_eq!(
            node.entries.len() as u64,
            node.replica.last_index().number()
        );
        assert!(node.disk.entries.len() as u64 >= node.replica.durable_index().number());
        if node.replica.is_leader() {
            let (term, own) = (node.replica.term(), node.replica.number());
            let leader = *self.leaders.entry(term).or_insert(own);
            assert_eq!(leader, own, "two leaders in term {term}");
            // Leader completeness: what is committed is here, unless a newer leader committed it.
            if self.leaders.keys().next_back() == Some(&term) {
                assert!(
                    node.entries.starts_with(&self.committed),
                    "a leader lacks committed entries"
                );
            }
        }
    }

    fn deliver(&mut self, at: usize) {
        let packet = self.packets.remove(at);
        if self.cut.contains(&(packet.from, packet.to)) {
            return;
        }
        let Packet { from, to, content } = packet;
        let to = usize::from(to.number() - 1);
        match content {
            Content::Message(message) => {
                self.turn(to, |replica, effects| replica.step(from, message, effects));
            }
            Content::Append(append, entries) => {
                let views: Vec<EntryView<'_>> = entries
                    .iter()
                    .map(|it| EntryView {
                        position: it.position,
                        kind: it.kind,
                        size_bytes: 32 + u32::try_from(it.payload.len()).unwrap(),
                        payload: &it.payload,
                    })
                    .collect();
                self.turn_with(to, &entries, |replica, effects| {
                    replica.on_append(from, &append, &views, effects);
                });
            }
        }
    }

    fn complete_write(&mut self, at: usize) {
        if let Some((write, operation)) = self.nodes[at].writes.pop_front() {
            self.nodes[at].disk.perform(operation);
            // Sometimes the news of several writes comes as one.
            if self.nodes[at].writes.is_empty() || self.chance(70) {
                self.turn(at, |replica, effects| replica.on_written(write, effects));
            }
        }
    }

    fn crash(&mut self, at: usize) {
        let own = self.nodes[at].replica.number();
        let survived = self
            .random
            .between(0, 1 + self.nodes[at].writes.len() as u32);
        for _ in 0..survived {
            let (_, operation) = self.nodes[at].writes.pop_front().unwrap();
            self.nodes[at].disk.perform(operation);
        }
        // What is committed but not durable here is not known to be committed after a crash.
        let replica = &self.nodes[at].replica;
        let known = replica.commit_index().min(replica.durable_index()).number();
        let floor = self.nodes[at].replica.log_floor().index;
        let seed = u64::from(self.random.between(0, u32::MAX));
        let keeps_commit = self.chance(50);
        let node = &mut self.nodes[at];
        node.writes.clear();
        node.entries = node.disk.entries.clone();
        let commit = if keeps_commit {
            known.min(node.entries.len() as u64)
        } else {
            0
        };
        let restored = node
            .disk
            .restore(&self.initial, floor, Index::new(commit).max(floor));
        node.replica = Replica::new(own, options(), restored, seed);
        self.packets.retain(|it| it.from != own && it.to != own);
        self.reads.retain(|(reader, _), _| *reader != own);
        for other in (0..self.nodes.len()).filter(|other| *other != at) {
            self.turn(other, |replica, _| replica.on_new_life(own));
        }
    }

    fn propose(&mut self, at: usize) {
        let payload = vec![0; self.random.between(0, 60) as usize];
        let size_bytes = 32 + payload.len() as u32;
        let node = &mut self.nodes[at];
        if let Ok(proposed) = node.replica.propose(EntryKind::CommandPlain, size_bytes) {
            let position = proposed.position;
            let entry = Entry {
                position,
                kind: EntryKind::CommandPlain,
                payload,
            };
            node.entries.push(entry.clone());
            node.writes
                .push_back((proposed.write, Operation::Append(vec![entry])));
            self.turn(at, |_, _| {});
        }
    }

    fn read(&mut self, at: usize) {
        self.last_read += 1;
        let read = self.last_read;
        let own = self.nodes[at].replica.number();
        self.reads
            .insert((own, read), Index::new(self.committed.len() as u64));
        self.turn(at, |replica, effects| replica.read(ReadId(read), effects));
    }

    /// What every member has may go.
    fn raise_floor(&mut self, at: usize) {
        let replica = &self.nodes[at].replica;
        let stable = replica
            .stable_index()
            .min(replica.commit_index())
            .min(replica.durable_index());
        let back = u64::from(self.random.between(0, 3));
        let index = Index::new(stable.number().saturating_sub(back));
        let replica = &mut self.nodes[at].replica;
        if let Some(term) = replica.term_at(index) {
            replica.on_log_floor(Position { term, index });
        }
    }

    fn change_members(&mut self, at: usize) {
        let (mut voters, mut learners) = (vec![], vec![]);
        for n in 1..=NODES {
            match self.random.between(0, 4) {
                0 | 1 => voters.push(n),
                2 => learners.push(n),
                _ => {}
            }
        }
        let target = Target {
            voters: members(&voters),
            learners: members(&learners),
        };
        let expected = self.nodes[at].replica.configuration_index();
        self.turn(at, |replica, effects| {
            let _ = replica.change_members(expected, target, effects);
        });
    }

    fn act_at_random(&mut self, with_membership: bool) {
        let at = self.pick();
        match self.random.between(0, 1000) {
            0..=449 if !self.packets.is_empty() => self.deliver_one_at_random(),
            450..=699 => self.complete_write(at),
            700..=859 => self.turn(at, Replica::tick),
            860..=919 => self.propose(at),
            920..=959 => self.read(at),
            960..=963 => self.isolate_leader(),
            964..=965 => {
                let (from, to) = (self.pick() as u16 + 1, self.pick() as u16 + 1);
                self.cut.push((number(from), number(to)));
            }
            966..=971 => self.cut.clear(),
            972..=974 => self.crash(at),
            975..=979 => {
                let to = number(self.pick() as u16 + 1);
                self.turn(at, |replica, effects| {
                    let _ = replica.transfer(to, effects);
                });
            }
            980..=989 if with_membership => self.change_members(at),
            990..=995 if !with_membership => self.raise_floor(at),
            _ => {}
        }
    }

    /// The leader goes on alone for a while, with proposals that will not commit.
    fn isolate_leader(&mut self) {
        let Some(leader) = self.leader() else {
            return;
        };
        let own = self.nodes[leader].replica.number();
        for other in (1..=NODES).map(number).filter(|other| *other != own) {
            self.cut.push((own, other));
            self.cut.push((other, own));
        }
        for _ in 0..self.random.between(1, 5) {
            self.propose(leader);
        }
    }

    fn deliver_one_at_random(&mut self) {
        let last = self.packets.len() as u32;
        let in_order = self.chance(70);
        let at = if in_order {
            0
        } else {
            self.random.between(0, last) as usize
        };
        match self.random.between(0, 100) {
            0..=4 => {
                self.packets.remove(at);
            }
            5..=9 => {
                let packet = self.packets[at].clone();
                self.packets.push(packet);
                self.deliver(at);
            }
            _ => self.deliver(at),
        }
    }

    /// A time without faults: everything arrives in order, disks work at once.
    fn run_calmly(&mut self, ticks: u32) {
        self.cut.clear();
        (0..ticks).for_each(|_| self.tick_all());
    }

    /// A tick everywhere, and all that comes of it.
    fn tick_all(&mut self) {
        for at in 0..self.nodes.len() {
            self.turn(at, Replica::tick);
        }
        while !self.packets.is_empty() || self.nodes.iter().any(|it| !it.writes.is_empty()) {
            for at in 0..self.nodes.len() {
                while !self.nodes[at].writes.is_empty() {
                    self.complete_write(at);
                }
            }
            if !self.packets.is_empty() {
                self.deliver(0);
            }
        }
    }

    fn leader(&self) -> Option<usize> {
        let leads = |it: &&usize| self.nodes[**it].replica.role() == Role::Leader;
        let all: Vec<usize> = (0..self.nodes.len()).collect();
        all.iter()
            .filter(leads)
            .copied()
            .max_by_key(|it| self.nodes[*it].replica.term())
    }
}

/// After any faults a calm time brings a leader, and what it proposes reaches every member.
fn survives(seed: u64, with_membership: bool) -> u64 {
    let mut group = Group::new(seed, &[1, 2, 3]);
    for _ in 0..4000 {
        group.act_at_random(with_membership);
    }
    group.run_calmly(200);
    let leader = group
        .leader()
        .unwrap_or_else(|| panic!("nobody leads, seed {seed}"));
    group.propose(leader);
    let proposed = group.nodes[leader].replica.last_index();
    group.read(leader);
    group.run_calmly(40);
    let configuration = group.nodes[leader].replica.configuration().clone();
    for member in configuration.members() {
        let replica = &group.nodes[usize::from(member.number.number() - 1)].replica;
        assert!(
            replica.commit_index() >= proposed,
            "seed {seed}: {member:?} was left behind"
        );
    }
    assert!(
        group.reads.is_empty(),
        "seed {seed}: reads without an answer: {:?}",
        group.reads
    );
    group.reads_served
}

#[test]
fn a_group_keeps_its_promises_and_recovers_from_any_faults() {
    let served: u64 = (0..150).map(|seed| survives(seed, false)).sum();
    assert!(served > 1000, "only {served} reads were served");
}

#[test]
fn a_group_whose_members_change_keeps_its_promises() {
    let served: u64 = (1000..1150).map(|seed| survives(seed, true)).sum();
    assert!(served > 1000, "only {served} reads were served");
}

/// Leaders of many groups spread when each group prefers another member: by its first election, not by chance.
#[test]
fn the_preferred_member_wins_the_first_election() {
    for seed in 0..30 {
        for preferred in 1..=3 {
            let mut group = Group::new(seed, &[1, 2, 3]);
            for (late, node) in group.nodes.iter_mut().enumerate() {
                node.replica.prefer(number(preferred));
                // The others start up to an election timeout earlier or later.
                let ticks = (seed as u32 * 7 + late as u32 * 5) % 10;
                node.replica.advance(ticks, &mut vec![]);
            }
            group.run_calmly(40);
            let leader = group.leader().map(|at| at as u16 + 1);
            assert_eq!(leader, Some(preferred), "seed {seed}");
            assert_eq!(group.nodes[0].replica.term(), Term::new(1), "seed {seed}");
        }
    }
}

/// A preferred member that does not run costs the first election a longer timeout, and no later one anything.
#[test]
fn a_group_whose_preferred_member_is_dead_elects_another() {
    for seed in 0..30 {
        let mut group = Group::new(seed, &[1, 2, 3]);
        for node in &mut group.nodes {
            node.replica.prefer(number(3));
        }
        group.cut = vec![
            (number(1), number(3)),
            (number(2), number(3)),
            (number(3), number(1)),
            (number(3), number(2)),
        ];
        for _ in 0..300 {
            group.tick_all();
        }
        let leader = group.leader().map(|at| at as u16 + 1);
        assert!(matches!(leader, Some(1 | 2)), "seed {seed}: {leader:?}");
    }
}
