//! Nodes that are driven step by step: a step is one tick of every node, and what leaves in it arrives in the next.

use crate::machine;
use margay::shard::{
    BootPlace, Clock, ConnectionId, NodeFacts, Outbox, PeerAddress, PeerId, Seams, Shard,
    SiblingMessage, boot, prepare,
};
use margay::storage::log_manifest::LOG_DIRECTORY_PREFIX;
use margay::storage::options::Sequence;
use margay::storage::payload::Created;
use margay::storage::recovery::{Peers, RecoveryOptions, recover};
use margay::storage::{LogOptions, Slice};
use margay_simulation::booting::write_blank;
use margay_simulation::disk::{Completion, DiskOptions, VirtualDisk};
use margay_simulation::disk_fault::{Fate, Loss};
use margay_types::{GroupId, Incarnation, Index, NodeId, ProcessLife, ReplicaNumber, ShardId};
use margay_wire::Splitter;
use margay_wire::admin::{Durability, IoSettings};
use margay_wire::genesis::{Genesis, GenesisNode};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

const TICK_NS: u64 = 10_000_000;

pub(crate) struct TestSeams;

impl Seams for TestSeams {
    type Disk = VirtualDisk;
    type Outbox = TestOutbox;
    type Clock = TestClock;
}

#[derive(Clone, Default)]
pub(crate) struct TestClock(Rc<Cell<u64>>);

impl Clock for TestClock {
    fn now_ns(&self) -> u64 {
        self.0.get()
    }
}

#[derive(Default)]
struct Put {
    clients: BTreeMap<ConnectionId, Vec<u8>>,
    peers: BTreeMap<PeerId, Vec<u8>>,
    wanted: Vec<PeerAddress>,
}

/// Keeps what a shard puts out until the world takes it.
#[derive(Clone, Default)]
pub(crate) struct TestOutbox(Rc<RefCell<Put>>);

impl Outbox for TestOutbox {
    fn send_client(&mut self, connection: ConnectionId, frame: &[u8]) {
        let clients = &mut self.0.borrow_mut().clients;
        clients.entry(connection).or_default().extend(frame);
    }

    fn send_peer(&mut self, peer: PeerId, bytes: &[u8]) {
        self.0
            .borrow_mut()
            .peers
            .entry(peer)
            .or_default()
            .extend(bytes);
    }

    fn send_peer_records(&mut self, peer: PeerId, records: Slice) {
        self.send_peer(peer, &records);
    }

    fn peer_backlog_bytes(&self, _: PeerId) -> u64 {
        0
    }

    fn close(&mut self, _: ConnectionId) {}

    fn set_peers(&mut self, peers: &[PeerAddress]) {
        self.0.borrow_mut().wanted = peers.to_vec();
    }

    fn send_sibling(&mut self, shard: ShardId, _: SiblingMessage) {
        unreachable!("a node of one shard has no shard {shard}")
    }
}

/// Small, so that a test fills segments and pools in a moment.
pub(crate) fn log_options() -> LogOptions {
    LogOptions {
        segment_bytes: 1 << 20,
        batch_bytes_max: 640 << 10,
        record_bytes_max: 288 << 10,
        pool_bytes: 4 << 20,
        retained_bytes: 512 << 10,
        writes_in_flight: 1,
        spares: 2,
        segments_max: 24,
        witness_idle: Duration::from_millis(5),
        fill_pause: Duration::ZERO,
    }
}

pub(crate) struct Node {
    pub(crate) disk: VirtualDisk,
    pub(crate) shard: Option<Box<Shard<TestSeams>>>,
    /// Its durable writes do not return.
    pub(crate) holds_writes: bool,
    /// It has no turns.
    pub(crate) is_paused: bool,
    /// What its clock is ahead of the world's.
    pub(crate) ahead_ns: u64,
    /// What its turns came to, one by one, if somebody watches.
    pub(crate) watched: Option<Vec<Turn>>,
    pub(crate) incarnation: Incarnation,
    /// Replicas that its starts find, and cannot read.
    unreadable: Vec<GroupId>,
    held: Vec<Completion>,
    life: u64,
    outbox: TestOutbox,
    clock: TestClock,
    from_peers: Vec<(PeerId, Vec<u8>)>,
    from_clients: Vec<(ConnectionId, Vec<u8>)>,
}

/// How a node stands at the end of a turn.
#[derive(Clone, Debug)]
pub(crate) struct Turn {
    /// Of each group: what is applied, and what is committed.
    pub(crate) groups: BTreeMap<GroupId, (Index, Index)>,
    /// Bytes for other nodes since the step began.
    pub(crate) peer_bytes: usize,
}

impl Turn {
    fn of(shard: &Shard<TestSeams>, outbox: &TestOutbox) -> Self {
        let groups = shard.replicas().map(|view| {
            let (applied, committed) = (view.host.applied_index(), view.replica.commit_index());
            (view.group, (applied, committed))
        });
        Self {
            groups: groups.collect(),
            peer_bytes: outbox.0.borrow().peers.values().map(Vec::len).sum(),
        }
    }

    /// Is something committed and not applied?
    pub(crate) fn is_behind(&self, group: GroupId) -> bool {
        let (applied, committed) = self.groups[&group];
        applied < committed
    }
}

/// All nodes; number `n` has place `n - 1`.
pub(crate) struct World {
    pub(crate) nodes: Vec<Node>,
    /// Pairs of places between which nothing passes.
    pub(crate) cuts: BTreeSet<(usize, usize)>,
    /// What came back on each connection, as it came.
    pub(crate) answers: BTreeMap<(usize, ConnectionId), Vec<u8>>,
    up: BTreeSet<(usize, usize)>,
    now_ns: u64,
}

fn data() -> PathBuf {
    PathBuf::from("data")
}

fn peer(place: usize) -> PeerId {
    PeerId {
        node: NodeId::new(u16::try_from(place + 1).unwrap()),
        shard: ShardId::new(0),
    }
}

impl World {
    /// Blank nodes that run.
    pub(crate) fn blank(count: usize) -> Self {
        let mut world = Self {
            nodes: (0..count).map(Node::format).collect(),
            cuts: BTreeSet::new(),
            answers: BTreeMap::new(),
            up: BTreeSet::new(),
            now_ns: TICK_NS,
        };
        (0..count).for_each(|place| world.start(place));
        world
    }

    pub(crate) fn genesis(&self) -> Genesis {
        let node = |(place, node): (usize, &Node)| GenesisNode {
            incarnation: node.incarnation,
            address: format!("node-{place}:7400"),
            shards: 1,
        };
        let nodes = self.nodes.iter().enumerate().map(node).collect();
        Genesis::new("test".to_owned(), nodes).unwrap()
    }

    pub(crate) fn start(&mut self, place: usize) {
        let now_ns = self.now_ns;
        self.node(place).start(place, now_ns);
    }

    /// The power goes off; what was not durable is lost.
    pub(crate) fn crash(&mut self, place: usize) {
        let node = self.node(place);
        node.disk = node.disk.crash(&Loss::All(Fate::Lost));
        node.shard = None;
        node.held.clear();
        node.from_peers.clear();
        node.from_clients.clear();
        let others: Vec<usize> = (0..self.nodes.len())
            .filter(|other| *other != place)
            .collect();
        for other in others {
            self.disconnect(place, other);
        }
    }

    pub(crate) fn node(&mut self, place: usize) -> &mut Node {
        &mut self.nodes[place]
    }

    pub(crate) fn shard(&mut self, place: usize) -> &mut Shard<TestSeams> {
        self.nodes[place].shard.as_mut().expect("the node runs")
    }

    /// Nothing passes between this node and all others from now on.
    pub(crate) fn isolate(&mut self, place: usize) {
        let others: Vec<usize> = (0..self.nodes.len())
            .filter(|other| *other != place)
            .collect();
        for other in others {
            self.cuts.insert((place.min(other), place.max(other)));
            self.disconnect(place, other);
        }
    }

    fn disconnect(&mut self, a: usize, b: usize) {
        if !self.up.remove(&(a.min(b), a.max(b))) {
            return;
        }
        for (here, there) in [(a, b), (b, a)] {
            let node = &mut self.nodes[here];
            node.from_peers.retain(|(from, _)| *from != peer(there));
            if let Some(shard) = &mut node.shard {
                shard.on_peer_down(peer(there));
            }
        }
    }

    fn connect(&mut self) {
        for a in 0..self.nodes.len() {
            for b in a + 1..self.nodes.len() {
                let wants = |from: usize, to: usize| {
                    let put = self.nodes[from].outbox.0.borrow();
                    self.nodes[from].shard.is_some()
                        && put.wanted.iter().any(|address| address.peer == peer(to))
                };
                let pair = (a, b);
                let can = wants(a, b) && wants(b, a) && !self.cuts.contains(&pair);
                if !can || !self.up.insert(pair) {
                    continue;
                }
                for (here, there) in [(a, b), (b, a)] {
                    let life = self.nodes[there].process_life(there);
                    self.shard(here).on_peer_up(peer(there), life);
                }
            }
        }
    }

    pub(crate) fn tell(&mut self, place: usize, connection: ConnectionId, bytes: Vec<u8>) {
        self.nodes[place].from_clients.push((connection, bytes));
    }

    /// One tick everywhere.
    pub(crate) fn step(&mut self) {
        self.now_ns += TICK_NS;
        self.connect();
        let mut sent = Vec::new();
        for (place, node) in self.nodes.iter_mut().enumerate() {
            machine::enter(place);
            let put = node.step(self.now_ns);
            for (connection, bytes) in put.clients {
                self.answers
                    .entry((place, connection))
                    .or_default()
                    .extend(bytes);
            }
            sent.extend(put.peers.into_iter().map(|(to, bytes)| (place, to, bytes)));
        }
        for (from, to, bytes) in sent {
            let to = usize::from(to.node.number()) - 1;
            if self.up.contains(&(from.min(to), from.max(to))) {
                self.nodes[to].from_peers.push((peer(from), bytes));
            }
        }
    }

    pub(crate) fn steps(&mut self, count: usize) {
        (0..count).for_each(|_| self.step());
    }

    /// Steps until it is so.
    pub(crate) fn until<T>(
        &mut self,
        what: &str,
        mut look: impl FnMut(&mut Self) -> Option<T>,
    ) -> T {
        for _ in 0..1_000 {
            if let Some(found) = look(self) {
                return found;
            }
            self.step();
        }
        panic!("after ten seconds still not: {what}");
    }
}

impl Node {
    fn format(place: usize) -> Self {
        let options = DiskOptions {
            seed: place as u64,
            ..DiskOptions::default()
        };
        let disk = VirtualDisk::new(options);
        let incarnation = Incarnation::new([u8::try_from(place + 1).unwrap(); 16]);
        disk.run(write_blank(disk.clone(), incarnation)).unwrap();
        Self {
            disk,
            shard: None,
            holds_writes: false,
            is_paused: false,
            ahead_ns: 0,
            watched: None,
            incarnation,
            unreadable: Vec::new(),
            held: Vec::new(),
            life: 0,
            outbox: TestOutbox::default(),
            clock: TestClock::default(),
            from_peers: Vec::new(),
            from_clients: Vec::new(),
        }
    }

    fn process_life(&self, place: usize) -> ProcessLife {
        ProcessLife::new(place as u64 * 1_000 + self.life)
    }

    /// While it is down another version leaves a replica in its log that this version does not understand.
    pub(crate) fn write_unreadable(&mut self, group: GroupId) {
        let options = RecoveryOptions {
            log: log_options(),
            process_life: ProcessLife::new(u64::MAX),
            peers: Peers::Some,
        };
        let directory = data().join(format!("{LOG_DIRECTORY_PREFIX}0"));
        let recovering = recover(self.disk.clone(), &directory, &options);
        let mut log = self.disk.run(recovering).unwrap().log;
        let created = Created {
            incarnation: self.incarnation,
            replica: ReplicaNumber::new(1),
            recovery_number: 0,
            machine: "count".to_owned(),
            description: b"of a later version".to_vec(),
        };
        let Sequence(sequence) = log.create_group(group, &created).unwrap();
        while log.durable().0 < sequence {
            log.submit().unwrap();
            self.disk
                .advance(self.disk.now() + Duration::from_millis(1));
            self.disk.turn();
            for completion in self.disk.take_completions() {
                log.on_written(completion.token, completion.result).unwrap();
            }
        }
        self.unreadable.push(group);
    }

    fn start(&mut self, place: usize, now_ns: u64) {
        self.life += 1;
        self.outbox = TestOutbox::default();
        self.clock.0.set(now_ns + self.ahead_ns);
        self.holds_writes = false;
        let life = self.process_life(place);
        let (disk, path) = (self.disk.clone(), data());
        let booted = async {
            let node = prepare(&disk, &path, (life, 1), log_options()).await?;
            let place = BootPlace {
                data: &path,
                shard: ShardId::FIRST,
            };
            let parts = (node.manifest, Some(node.files));
            boot(&disk, place, parts, log_options()).await
        };
        let restored = self.disk.run(booted).unwrap();
        let damaged = restored.found.damaged.iter().map(|found| found.group);
        let damaged: Vec<GroupId> = damaged.collect();
        assert_eq!(damaged, self.unreadable, "nothing else was damaged");
        let facts = NodeFacts {
            incarnation: self.incarnation,
            life,
            address: format!("node-{place}:7400"),
            version: "test".to_owned(),
            durability: Durability::Memory,
            io: IoSettings {
                write_unit_bytes: 4096,
                in_flight_writes_max: 1,
                registered_buffers: false,
                sync: "virtual".to_owned(),
                device: "virtual".to_owned(),
            },
            raft: margay_raft::Options::default(),
            homing_ticks: margay::limits::HOMING_TICKS,
            seed: life.number() * 7919,
            shard: ShardId::FIRST,
            shard_count: 1,
            shard_ports: Vec::new(),
        };
        let (outbox, clock) = (self.outbox.clone(), self.clock.clone());
        let shard = Shard::new(facts, machine::registry(), restored, outbox, clock);
        self.shard = Some(Box::new(shard));
    }

    fn step(&mut self, now_ns: u64) -> Put {
        let Some(shard) = &mut self.shard else {
            return Put::default();
        };
        if self.is_paused {
            return Put::default();
        }
        self.clock.0.set(now_ns + self.ahead_ns);
        self.disk
            .advance(Duration::from_nanos(now_ns).max(self.disk.now()));
        let mut is_first = true;
        loop {
            self.disk.turn();
            self.held.extend(self.disk.take_completions());
            let returned = match self.holds_writes {
                true => Vec::new(),
                false => std::mem::take(&mut self.held),
            };
            if !is_first && returned.is_empty() && !shard.has_more() {
                break;
            }
            shard.begin_turn();
            for completion in returned {
                shard.on_written(completion.token, completion.result);
            }
            if is_first {
                shard.on_tick();
                for (from, bytes) in std::mem::take(&mut self.from_peers) {
                    for frame in Splitter::default().split(&bytes) {
                        shard.on_peer_frame(from, &frame.unwrap());
                    }
                }
                for (from, bytes) in std::mem::take(&mut self.from_clients) {
                    for frame in Splitter::default().split(&bytes) {
                        shard.on_client_frame(from, &frame.unwrap());
                    }
                }
            }
            is_first = false;
            shard.end_turn();
            shard.check();
            if let Some(watched) = &mut self.watched {
                watched.push(Turn::of(shard, &self.outbox));
            }
            if self.disk.is_crashed() {
                self.shard = None;
                return Put::default();
            }
            if let Some(failure) = shard.take_failure() {
                panic!("the shard stops: {failure}");
            }
        }
        let mut put = self.outbox.0.borrow_mut();
        Put {
            clients: std::mem::take(&mut put.clients),
            peers: std::mem::take(&mut put.peers),
            wanted: Vec::new(),
        }
    }
}
