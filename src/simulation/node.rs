//! A simulated node: a disk that lives on, and one process life after another that boots and drives a real shard.
//!
//! ```text
//!   Down ──start──> Booting (recovery is a cold task) ──> Running ──crash──> Down
//! ```
//!
//! The calls into the shard come in the order in which the core's loop makes them: one `begin_turn`, everything that is
//! there, `end_turn`, and then what was put out leaves.

use crate::disk::{Completion, DiskOptions, VirtualDisk};
use crate::disk_fault::Loss;
use crate::network::{ConnectionNumber, Keep, Network, Place};
use crate::seams::{Outgoing, VirtualClock, VirtualOutbox, VirtualSeams};
use crate::sockets::{Sockets, WholeFrame};
use margay::shard::{BootError, ConnectionId, NodeFacts, PeerId, Restored, Shard, boot};
use margay::storage::manifest::{ManifestCopy, ManifestKind};
use margay::storage::node_manifest::NodeManifest;
use margay::storage::{Block, Disk, LogOptions, OpenMode};
use margay_machine::Registry;
use margay_types::{ClusterId, Incarnation, NodeId, ProcessLife};
use margay_wire::admin::{Durability, IoSettings};
use std::cell::RefCell;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

/// A tick of the shard.
const TICK_NS: u64 = 10_000_000;

/// What a recovery leaves, once it has ended.
type Booted = Rc<RefCell<Option<Result<Restored<VirtualDisk>, BootError>>>>;

/// Where a node's process stands.
pub enum Phase {
    /// There is none.
    Down,
    /// It reads its log.
    Booting(Booted),
    /// It serves.
    Running(Box<Shard<VirtualSeams>>),
}

/// What happened at a node, for its shard.
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
    /// What happened since its last turn.
    pub inputs: Vec<Input>,
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
    outbox: VirtualOutbox,
    clock: VirtualClock,
    next_tick_ns: u64,
    early: Vec<Completion>,
    seed: u64,
}

/// The folder of a node's data.
fn data() -> PathBuf {
    PathBuf::from("data")
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
    pub fn format(place: Place, seed: u64, options: DiskOptions) -> Self {
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
            inputs: Vec::new(),
            clock_ahead_ns: 0,
            clock_fast_ppm: 0,
            is_disk_faulty: false,
            is_disk_full: false,
            is_fresh: false,
            outbox: VirtualOutbox::default(),
            clock: VirtualClock::default(),
            next_tick_ns: 0,
            early: Vec::new(),
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
        self.outbox = VirtualOutbox::default();
        self.next_tick_ns = now_ns + TICK_NS;
        self.disk
            .advance(Duration::from_nanos(now_ns).max(self.disk.now()));
        let booted: Booted = Rc::default();
        let (disk, life, result) = (self.disk.clone(), self.process_life(), Rc::clone(&booted));
        self.disk.spawn(Box::pin(async move {
            let restored = boot(&disk, &data(), life, log_options()).await;
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

    /// The shard, when it runs.
    #[must_use]
    pub fn shard(&self) -> Option<&Shard<VirtualSeams>> {
        match &self.phase {
            Phase::Running(shard) => Some(shard),
            Phase::Down | Phase::Booting(_) => None,
        }
    }

    /// Does a process run that takes connections?
    #[must_use]
    pub fn is_listening(&self) -> bool {
        self.shard().is_some()
    }

    /// Its cluster and number, once it has them.
    #[must_use]
    pub fn membership(&self) -> Option<(ClusterId, NodeId)> {
        self.shard()?.membership()
    }

    /// Whom its shard wants connections to.
    #[must_use]
    pub fn wanted(&self) -> Vec<margay::shard::PeerAddress> {
        self.outbox.wanted()
    }

    /// When it must be looked at next.
    #[must_use]
    pub fn next_event_ns(&self) -> Option<u64> {
        let disk_ns = self.disk.next_event().map(nanoseconds);
        let own_ns = match self.phase {
            Phase::Down => return None,
            Phase::Booting(_) if self.is_fresh => Some(0),
            Phase::Booting(_) => disk_ns,
            Phase::Running(_) => Some(disk_ns.unwrap_or(u64::MAX).min(self.next_tick_ns)),
        };
        own_ns.map(|at_ns| at_ns.max(self.paused_until_ns))
    }

    /// Lets everything happen that is there; gives what the shard put out.
    ///
    /// # Errors
    /// When the process ended by itself.
    pub fn turn(&mut self, now_ns: u64, registry: fn() -> Registry) -> Result<Outgoing, Ended> {
        if now_ns < self.paused_until_ns || matches!(self.phase, Phase::Down) {
            return Ok(Outgoing::default());
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
        let mut gathered = Outgoing::default();
        loop {
            let mut completions = std::mem::take(&mut self.early);
            completions.extend(self.disk.take_completions());
            let Phase::Running(shard) = &mut self.phase else {
                self.early = completions;
                return Ok(gathered);
            };
            shard.begin_turn();
            for completion in completions {
                shard.on_written(completion.token, completion.result);
            }
            if now_ns >= self.next_tick_ns {
                self.next_tick_ns = (self.next_tick_ns + TICK_NS).max(now_ns);
                shard.on_tick();
            }
            for input in std::mem::take(&mut self.inputs) {
                tell(shard, input);
            }
            shard.end_turn();
            let failure = shard.take_failure();
            let has_more = shard.has_more();
            if self.disk.is_crashed() {
                return Err(self.ended("the power went off".to_owned()));
            }
            gather(&mut gathered, self.outbox.take());
            if let Some(failure) = failure {
                return Err(self.ended(format!("the shard stops: {failure}")));
            }
            let ran = self.disk.turn();
            if !ran && !has_more {
                return Ok(gathered);
            }
        }
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
        if let Some(damaged) = restored.found.damaged.first() {
            let reason = format!("group {} is damaged: {}", damaged.group, damaged.reason);
            return Err(self.ended(reason));
        }
        let shard = Shard::new(
            self.facts(),
            registry(),
            restored,
            self.outbox.clone(),
            self.clock.clone(),
        );
        self.phase = Phase::Running(Box::new(shard));
        Ok(())
    }

    fn facts(&self) -> NodeFacts {
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
        }
    }

    /// Tells the shard how much waits on the way to a peer.
    pub fn set_backlog(&self, peer: PeerId, connection: ConnectionNumber, network: &Network) {
        let bytes = network.backlog_bytes(connection, self.place);
        self.outbox.set_backlog_bytes(peer, bytes);
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

fn gather(into: &mut Outgoing, more: Outgoing) {
    for (connection, bytes) in more.clients {
        into.clients.entry(connection).or_default().extend(bytes);
    }
    for (peer, bytes) in more.peers {
        into.peers.entry(peer).or_default().extend(bytes);
    }
    into.closing.extend(more.closing);
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).expect("virtual time has 64 bits")
}

/// Writes what formatting a data directory leaves: both copies of a blank node's manifest.
///
/// # Errors
/// What the disk fails with.
pub async fn write_blank(disk: VirtualDisk, incarnation: Incarnation) -> io::Result<()> {
    let copy = ManifestCopy {
        counter: 1,
        body: NodeManifest::blank(incarnation).encode(),
    };
    let bytes = copy.encode(ManifestKind::Node);
    disk.create_directory(&data()).await?;
    for name in ["manifest.a", "manifest.b"] {
        let file = disk.open(&data().join(name), OpenMode::New).await?;
        disk.allocate(&file, bytes.len() as u64).await?;
        disk.write(&file, 0, Block::holding(&bytes).whole()).await?;
        disk.sync(&file).await?;
    }
    disk.sync_directory(&data()).await?;
    disk.sync_directory(Path::new("")).await
}
