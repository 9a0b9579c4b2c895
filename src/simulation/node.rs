//! A simulated node: a disk that lives on, and one process life after another that boots and drives a real shard.
//!
//! ```text
//!   Down ──start──> Booting (recovery is a cold task) ──> Running ──crash──> Down
//! ```
//!
//! The calls into the shard come in the order in which the core's loop makes them: one `begin_turn`, everything that is
//! there, `end_turn`, and then what was put out leaves.

use crate::booting::{boot_all, write_blank};
use crate::disk::{Completion, DiskOptions, VirtualDisk};
use crate::disk_fault::Loss;
use crate::mailboxes::Mailboxes;
use crate::network::{ConnectionNumber, Keep, Network, Place};
use crate::seams::{Outgoing, VirtualClock, VirtualOutbox, VirtualSeams};
use crate::sockets::{Sockets, WholeFrame};
use margay::shard::{BootError, ConnectionId, NodeFacts, PeerId, ReplicaView, Restored, Shard};
use margay::storage::{Disk, LogOptions};
use margay_machine::Registry;
use margay_types::{ClusterId, Incarnation, NodeId, ProcessLife, ShardId};
use margay_wire::admin::{Durability, IoSettings};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

/// A tick of the shard.
const TICK_NS: u64 = 10_000_000;

/// What the recovery of all shards leaves, once it has ended.
type Booted = Rc<RefCell<Option<Result<Vec<Restored<VirtualDisk>>, BootError>>>>;

/// Where a node's process stands.
pub enum Phase {
    /// There is none.
    Down,
    /// It reads its log.
    Booting(Booted),
    /// It serves: its shards, by number.
    Running(Vec<Core>),
}

/// A shard of a running process, with what is its own.
pub struct Core {
    shard: Box<Shard<VirtualSeams>>,
    inputs: Vec<Input>,
}

/// What happened at a node, for one of its shards.
#[derive(Debug)]
pub enum Input {
    /// A client's hello was accepted.
    ClientOpen(ConnectionId),
    /// A frame of a client.
    ClientFrame(ConnectionId, WholeFrame),
    /// A client is gone.
    ClientClosed(ConnectionId),
    /// A peer is there.
    PeerUp(PeerId, ProcessLife),
    /// A frame of a peer.
    PeerFrame(PeerId, WholeFrame),
    /// A peer is gone.
    PeerDown(PeerId),
}

/// Why a process ended by itself.
#[derive(Debug)]
pub struct Ended {
    /// In words.
    pub reason: String,
    /// Can an injected fault of the disk explain it?
    pub is_excused: bool,
}

/// A node.
pub struct Node {
    /// Its place in the network, from 0.
    pub place: Place,
    /// Its data directory's identity.
    pub incarnation: Incarnation,
    /// `host:port`.
    pub address: String,
    /// What it writes to.
    pub disk: VirtualDisk,
    /// Where its process stands.
    pub phase: Phase,
    /// Counts its processes.
    pub life: u64,
    /// Its connections.
    pub sockets: Sockets,
    /// Until then its process is stopped, and everything waits.
    pub paused_until_ns: u64,
    /// Shards of its process.
    pub shard_count: u16,
    /// What happened since its last turn.
    pub inputs: Vec<(ShardId, Input)>,
    /// Nanoseconds that its clock is ahead of the world's.
    pub clock_ahead_ns: u64,
    /// Parts per million that its clock is fast.
    pub clock_fast_ppm: u64,
    /// Was a fault of its disk injected in this life?
    pub is_disk_faulty: bool,
    /// Has its disk no room?
    pub is_disk_full: bool,
    /// Has its process not had its first turn?
    is_fresh: bool,
    outboxes: Vec<VirtualOutbox>,
    clock: VirtualClock,
    next_tick_ns: u64,
    early: Vec<Completion>,
    mailboxes: Mailboxes,
    seed: u64,
}

/// Small segments, so that logs move on and are cleaned; batches that take a checkpoint's chunk.
#[must_use]
pub fn log_options() -> LogOptions {
    LogOptions {
        segment_bytes: 1 << 20,
        batch_bytes_max: 640 << 10,
        record_bytes_max: 288 << 10,
        pool_bytes: 4 << 20,
        retained_bytes: 512 << 10,
        writes_in_flight: 1,
        spares: 2,
        segments_max: 64,
        witness_idle: Duration::from_millis(5),
        fill_pause: Duration::from_millis(1),
    }
}

impl Node {
    /// A formatted node whose process does not run.
    ///
    /// # Panics
    /// When a blank disk cannot be formatted.
    #[must_use]
    pub fn format(place: Place, seed: u64, shard_count: u16, options: DiskOptions) -> Self {
        let disk = VirtualDisk::new(options);
        let mut bytes = [0_u8; 16];
        let (low, high) = bytes.split_at_mut(8);
        low.copy_from_slice(
            &(seed ^ place as u64)
                .wrapping_mul(0x9E37_79B9_7F4A_7C15)
                .to_be_bytes(),
        );
        high.copy_from_slice(&(place as u64 + 1).to_be_bytes());
        let incarnation = Incarnation::new(bytes);
        disk.run(write_blank(disk.clone(), incarnation))
            .expect("a blank disk takes a manifest");
        Self {
            place,
            incarnation,
            address: format!("node-{place}:7400"),
            disk,
            phase: Phase::Down,
            life: 0,
            sockets: Sockets::default(),
            paused_until_ns: 0,
            shard_count,
            inputs: Vec::new(),
            clock_ahead_ns: 0,
            clock_fast_ppm: 0,
            is_disk_faulty: false,
            is_disk_full: false,
            is_fresh: false,
            outboxes: Vec::new(),
            clock: VirtualClock::default(),
            next_tick_ns: 0,
            early: Vec::new(),
            mailboxes: Mailboxes::new(seed),
            seed,
        }
    }

    /// This process.
    #[must_use]
    pub fn process_life(&self) -> ProcessLife {
        ProcessLife::new(((self.place as u64 + 1) << 32) | self.life)
    }

    /// Starts a process: it boots.
    pub fn start(&mut self, now_ns: u64) {
        assert!(
            matches!(self.phase, Phase::Down),
            "a node has one process at a time"
        );
        self.life += 1;
        self.is_fresh = true;
        self.outboxes = self
            .shards_by_number()
            .map(|_| VirtualOutbox::default())
            .collect();
        self.mailboxes.clear();
        self.next_tick_ns = now_ns + TICK_NS;
        self.disk
            .advance(Duration::from_nanos(now_ns).max(self.disk.now()));
        let booted: Booted = Rc::default();
        let (disk, life, result) = (self.disk.clone(), self.process_life(), Rc::clone(&booted));
        let count = self.shard_count;
        self.disk.spawn(Box::pin(async move {
            let restored = boot_all(&disk, (life, count), log_options()).await;
            *result.borrow_mut() = Some(restored);
        }));
        self.phase = Phase::Booting(booted);
    }

    /// The process dies; its disk loses what `loss` says, and every connection ends.
    pub fn crash(&mut self, now_ns: u64, loss: &Loss, network: &mut Network) {
        self.phase = Phase::Down;
        self.disk = self.disk.crash(loss);
        self.inputs.clear();
        self.early.clear();
        self.paused_until_ns = 0;
        self.is_disk_faulty = false;
        for connection in self.sockets.take_all() {
            network.close(now_ns, connection, self.place, Keep::SomeBytes);
        }
    }

    /// Its shards, by number; none while it does not run.
    pub fn shards(&self) -> impl Iterator<Item = &Shard<VirtualSeams>> {
        let cores: &[Core] = match &self.phase {
            Phase::Running(cores) => cores,
            Phase::Down | Phase::Booting(_) => &[],
        };
        cores.iter().map(|core| &*core.shard)
    }

    /// All replicas of the node.
    pub fn replicas(&self) -> impl Iterator<Item = ReplicaView<'_>> {
        self.shards().flat_map(Shard::replicas)
    }

    /// Does a process run that takes connections?
    #[must_use]
    pub fn is_listening(&self) -> bool {
        matches!(self.phase, Phase::Running(_))
    }

    /// Its cluster and number, once it has them.
    #[must_use]
    pub fn membership(&self) -> Option<(ClusterId, NodeId)> {
        self.shards().next()?.membership()
    }

    /// The numbers of its shards.
    pub fn shards_by_number(&self) -> impl Iterator<Item = ShardId> + use<> {
        (0..self.shard_count).map(ShardId::new)
    }

    /// Whom each of its shards wants connections to.
    #[must_use]
    pub fn wanted(&self) -> Vec<Rc<[margay::shard::PeerAddress]>> {
        self.outboxes.iter().map(VirtualOutbox::wanted).collect()
    }

    /// When it must be looked at next.
    #[must_use]
    pub fn next_event_ns(&self) -> Option<u64> {
        let disk_ns = self.disk.next_event().map(nanoseconds);
        let own_ns = match self.phase {
            Phase::Down => return None,
            Phase::Booting(_) if self.is_fresh => Some(0),
            Phase::Booting(_) => disk_ns,
            Phase::Running(_) => [
                disk_ns,
                self.mailboxes.next_event_ns(),
                Some(self.next_tick_ns),
            ]
            .into_iter()
            .flatten()
            .min(),
        };
        own_ns.map(|at_ns| at_ns.max(self.paused_until_ns))
    }

    /// Lets everything happen that is there; gives what the shard put out.
    ///
    /// # Errors
    /// When the process ended by itself.
    pub fn turn(
        &mut self,
        now_ns: u64,
        registry: fn() -> Registry,
    ) -> Result<Vec<(ShardId, Outgoing)>, Ended> {
        if now_ns < self.paused_until_ns || matches!(self.phase, Phase::Down) {
            return Ok(Vec::new());
        }
        self.is_fresh = false;
        self.disk
            .advance(Duration::from_nanos(now_ns).max(self.disk.now()));
        let fast_ns = now_ns / 1_000_000 * self.clock_fast_ppm;
        self.clock.set(now_ns + fast_ns + self.clock_ahead_ns);
        self.disk.turn();
        self.finish_boot(registry)?;
        if self.disk.is_crashed() {
            return Err(self.ended("the power went off".to_owned()));
        }
        let mut gathered = Vec::new();
        let mut completions = std::mem::take(&mut self.early);
        let mut is_tick = now_ns >= self.next_tick_ns;
        loop {
            completions.extend(self.disk.take_completions());
            if !self.is_listening() {
                self.early = completions;
                return Ok(gathered);
            }
            if is_tick {
                self.next_tick_ns = (self.next_tick_ns + TICK_NS).max(now_ns);
            }
            let returned = std::mem::take(&mut completions);
            let has_more = self.turn_of_each(now_ns, is_tick, returned, &mut gathered)?;
            is_tick = false;
            let ran = self.disk.turn();
            if !ran && !has_more {
                return Ok(gathered);
            }
        }
    }

    /// One turn of every shard. Says whether another one should follow at once.
    fn turn_of_each(
        &mut self,
        now_ns: u64,
        is_tick: bool,
        mut completions: Vec<Completion>,
        gathered: &mut Vec<(ShardId, Outgoing)>,
    ) -> Result<bool, Ended> {
        let Phase::Running(cores) = &mut self.phase else {
            return Ok(false);
        };
        for (shard, input) in std::mem::take(&mut self.inputs) {
            if let Some(core) = cores.get_mut(usize::from(shard.number())) {
                core.inputs.push(input);
            }
        }
        let mut has_more = false;
        let mut failed = None;
        for (number, core) in (0..).map(ShardId::new).zip(cores) {
            let shard = &mut core.shard;
            shard.begin_turn();
            for completion in completions.extract_if(.., |it| it.shard == number) {
                shard.on_written(completion.token, completion.result);
            }
            if is_tick {
                shard.on_tick();
            }
            while let Some((from, message)) = self.mailboxes.take(number, now_ns) {
                shard.on_sibling_message(from, message);
            }
            core.inputs.drain(..).for_each(|input| tell(shard, input));
            shard.end_turn();
            shard.check();
            has_more |= shard.has_more();
            failed = failed.or_else(|| shard.take_failure());
            let mut put = self.outboxes[usize::from(number.number())].take();
            for (to, message) in put.siblings.drain(..) {
                self.mailboxes.post(now_ns, (number, to), message);
            }
            gathered.push((number, put));
        }
        if self.disk.is_crashed() {
            return Err(self.ended("the power went off".to_owned()));
        }
        if let Some(failure) = failed {
            return Err(self.ended(format!("the shard stops: {failure}")));
        }
        Ok(has_more || self.mailboxes.has_due(now_ns))
    }

    fn ended(&self, reason: String) -> Ended {
        let is_excused = self.is_disk_faulty || self.is_disk_full || self.disk.is_crashed();
        Ended { reason, is_excused }
    }

    fn finish_boot(&mut self, registry: fn() -> Registry) -> Result<(), Ended> {
        let Phase::Booting(booted) = &self.phase else {
            return Ok(());
        };
        let Some(result) = booted.borrow_mut().take() else {
            return Ok(());
        };
        let restored = result.map_err(|error| self.ended(format!("cannot boot: {error}")))?;
        let mut cores = Vec::new();
        for (number, restored) in self.shards_by_number().zip(restored) {
            if let Some(damaged) = restored.found.damaged.first() {
                let reason = format!("group {} is damaged: {}", damaged.group, damaged.reason);
                return Err(self.ended(reason));
            }
            let shard = Shard::new(
                self.facts(number),
                registry(),
                restored,
                self.outboxes[usize::from(number.number())].clone(),
                self.clock.clone(),
            );
            cores.push(Core {
                shard: Box::new(shard),
                inputs: Vec::new(),
            });
        }
        self.phase = Phase::Running(cores);
        Ok(())
    }

    fn facts(&self, shard: ShardId) -> NodeFacts {
        NodeFacts {
            incarnation: self.incarnation,
            life: self.process_life(),
            address: self.address.clone(),
            version: "simulated".to_owned(),
            durability: Durability::Memory,
            io: IoSettings {
                write_unit_bytes: 4096,
                in_flight_writes_max: 1,
                registered_buffers: false,
                sync: "virtual".to_owned(),
                device: "virtual".to_owned(),
            },
            raft: margay_raft::Options::default(),
            // In a third of all lives leadership moves all the time.
            homing_ticks: match self.process_life().number() % 3 {
                0 => 30,
                1 => 300,
                _ => margay::limits::HOMING_TICKS,
            },
            seed: self.seed
                ^ self
                    .process_life()
                    .number()
                    .wrapping_mul(0xD134_2543_DE82_EF95),
            shard,
            shard_count: self.shard_count,
            shard_ports: Vec::new(),
        }
    }

    /// Tells a shard how much waits on the way to a peer.
    pub fn set_backlog(
        &self,
        (shard, peer): (ShardId, PeerId),
        connection: ConnectionNumber,
        network: &Network,
    ) {
        let bytes = network.backlog_bytes(connection, self.place);
        if let Some(outbox) = self.outboxes.get(usize::from(shard.number())) {
            outbox.set_backlog_bytes(peer, bytes);
        }
    }
}

fn tell(shard: &mut Shard<VirtualSeams>, input: Input) {
    match input {
        Input::ClientOpen(connection) => shard.on_client_open(connection),
        Input::ClientFrame(connection, frame) => {
            shard.on_client_frame(connection, &frame.lend());
        }
        Input::ClientClosed(connection) => shard.on_client_closed(connection),
        Input::PeerUp(peer, life) => shard.on_peer_up(peer, life),
        Input::PeerFrame(peer, frame) => shard.on_peer_frame(peer, &frame.lend()),
        Input::PeerDown(peer) => shard.on_peer_down(peer),
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).expect("virtual time has 64 bits")
}
