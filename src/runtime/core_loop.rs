//! The loop of a core: one task of its executor, which blocks in the core's ring and nowhere else.
//!
//! ```text
//!     turn     completions -> shard;  letters;  end_turn;  sends, writes and cold requests -> ring
//!     slice    for at most 200 µs: wake one cold task, yield; what it asks for -> ring
//!     enter    block without a time limit when nothing can go on, else take what is there
//! ```
//!
//! Invariants:
//! * The foreground's requests are submitted before cold code runs.
//! * The loop blocks only after a yield that ran nothing: a task that was woken by a task may sit behind the loop
//!   in the executor's queue.
//! * It ends only when the kernel has completed everything and every cold task has ended.

use super::clock::{BootClock, nanoseconds};
use super::cold::{Io, Request};
use super::disk::RingDisk;
use super::driven::Core;
use super::error::RuntimeError;
use super::executor::Shards;
use super::facts::Facts;
use super::handover::HandedSocket;
use super::helper::Helper;
use super::letters::{Letter, Visit};
use super::limits::{SLICE, TICK};
use super::mailbox::{Mailbox, MailboxSender};
use super::network::{Network, Surroundings};
use super::operation::{Descriptor, Operation, Purpose};
use super::ring::{Completion, Product, Ring, Wait};
use crate::codes::Code;
use crate::shard::{Clock, SiblingMessage};
use crate::storage::{ColdTask, WriteToken};
use io_uring::types::Timespec;
use margay_types::ShardId;
use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// A shard that is being made, or why it cannot be.
pub(super) type Made<C> = Rc<RefCell<Option<Result<C, RuntimeError>>>>;

/// Where the loop stands.
pub(super) enum Stage {
    /// The shard is being made; its log is read.
    Starting,
    /// Everything runs.
    Running,
    /// Last bytes leave, until this time at most.
    Leaving { until_ns: u64 },
    /// What the kernel still has is awaited.
    Draining,
}

/// The executor, as far as the loop needs it.
pub(super) struct Tasks<Y> {
    /// Hands a task to the executor.
    pub(super) spawn: fn(ColdTask),
    /// Lets every task that is ready run once.
    pub(super) yield_once: Y,
}

/// What a loop is made of.
pub(super) struct Parts<C> {
    pub(super) ring: Ring,
    pub(super) io: Rc<Io>,
    pub(super) disk: RingDisk,
    pub(super) network: Network,
    /// This core.
    pub(super) shard: ShardId,
    pub(super) listener: Descriptor,
    pub(super) mailbox: Mailbox<Letter<C>>,
    pub(super) helper: Helper<Letter<C>>,
    /// The signals, on the one core that reads them.
    pub(super) signals: Option<Descriptor>,
    pub(super) made: Made<C>,
    pub(super) facts: Arc<Facts>,
    /// All shards of the process: a signal is for all of them.
    pub(super) shards: Shards<C>,
}

/// The loop of a core.
pub(super) struct CoreLoop<C> {
    pub(super) parts: Parts<C>,
    pub(super) sender: MailboxSender<Letter<C>>,
    pub(super) core: Option<C>,
    pub(super) stage: Stage,
    pub(super) failure: Option<RuntimeError>,
    /// Writes of the shard that is being made; it hears of them when it is there.
    pub(super) early_writes: Vec<(WriteToken, io::Result<usize>)>,
    /// Visits of a shard that is being made.
    pub(super) early_visits: Vec<Visit<C>>,
    /// Sockets for it.
    pub(super) early_sockets: Vec<HandedSocket>,
    /// What its siblings have told it.
    pub(super) early_messages: Vec<(ShardId, SiblingMessage)>,
    /// Something waits for a sibling whose mailbox is full.
    pub(super) has_undelivered: bool,
    pub(super) next_tick_ns: u64,
    pub(super) stop_by_ns: Option<u64>,
    pub(super) accept_again: bool,
}

impl<C: Core + 'static> CoreLoop<C> {
    /// A loop that has not begun.
    pub(super) fn new(parts: Parts<C>) -> Self {
        Self {
            sender: parts.mailbox.sender(),
            parts,
            core: None,
            stage: Stage::Starting,
            failure: None,
            early_writes: Vec::new(),
            early_visits: Vec::new(),
            early_sockets: Vec::new(),
            early_messages: Vec::new(),
            has_undelivered: false,
            next_tick_ns: 0,
            stop_by_ns: None,
            accept_again: false,
        }
    }

    /// Runs until the core has stopped; gives the shard back, for its last words, unless it was stopped before the
    /// shard was there.
    pub(super) async fn run<Y: AsyncFn()>(
        mut self,
        tasks: Tasks<Y>,
    ) -> Result<Option<C>, RuntimeError> {
        self.arm().map_err(|source| RuntimeError::Kernel {
            what: "watch the mailbox",
            source,
        })?;
        // The first slice starts the tasks that were spawned before the loop began.
        let mut again = true;
        loop {
            self.turn();
            let mut ran = false;
            if again || self.parts.io.has_ready() {
                self.enter(Wait::Poll)?;
                (again, ran) = self.slice(&tasks).await;
                self.start_cold();
            }
            let has_more = self.has_undelivered || self.core.as_ref().is_some_and(Core::has_more);
            let is_quiet = !again && !ran && !has_more && !self.parts.io.has_ready();
            if is_quiet && self.is_drained() {
                break;
            }
            if is_quiet && self.parts.mailbox.prepare_sleep() {
                self.enter(Wait::Block)?;
                self.parts.mailbox.awake();
            } else {
                self.enter(Wait::Poll)?;
            }
        }
        match self.failure {
            None => Ok(self.core),
            Some(failure) => Err(failure),
        }
    }

    fn enter(&mut self, wait: Wait) -> Result<(), RuntimeError> {
        self.parts
            .ring
            .enter(wait)
            .map_err(|source| RuntimeError::Kernel {
                what: "enter the ring",
                source,
            })
    }

    fn arm(&mut self) -> io::Result<()> {
        let bell = Rc::new(self.parts.mailbox.bell()?);
        self.parts
            .ring
            .start(Purpose::Bell, Operation::Watch { file: bell });
        self.arm_signals();
        self.arm_tick(BootClock.now_ns());
        Ok(())
    }

    fn arm_signals(&mut self) {
        if let Some(file) = self.parts.signals.clone() {
            self.parts
                .ring
                .start(Purpose::Signal, Operation::ReadSignal { file });
        }
    }

    /// The next tick is one tick after the one before, unless the process slept through it. The ring is told how long
    /// to wait and not until when: it counts by the machine's clock, which is another one in a name space of time.
    fn arm_tick(&mut self, now_ns: u64) {
        self.next_tick_ns = (self.next_tick_ns + nanoseconds(TICK)).max(now_ns);
        let wait_ns = self.next_tick_ns - BootClock.now_ns().min(self.next_tick_ns);
        let duration = Timespec::from(Duration::from_nanos(wait_ns));
        self.parts
            .ring
            .start(Purpose::Tick, Operation::Pause { duration });
    }

    pub(super) fn arm_accept(&mut self) {
        let listener = Rc::clone(&self.parts.listener);
        self.parts
            .ring
            .start(Purpose::Accept, Operation::Accept { listener });
    }

    /// Everything that is there, once.
    fn turn(&mut self) {
        let now_ns = BootClock.now_ns();
        if let Some(core) = &mut self.core {
            core.begin_turn();
        }
        while let Some(completion) = self.parts.ring.next_completion() {
            self.on_completion(completion, now_ns);
        }
        while let Some(letter) = self.parts.mailbox.take() {
            self.on_letter(letter, now_ns);
        }
        self.advance_stage(now_ns);
        self.hand_sockets_over(now_ns);
        self.parts.facts.count_turn();
        if let Some(core) = &mut self.core {
            core.end_turn();
            self.parts
                .network
                .flush(&mut self.parts.ring, &mut Surroundings { core, now_ns });
        }
        self.tell_siblings();
        self.start_cold();
    }

    /// Hands to the ring what the disk and cold tasks ask for.
    pub(super) fn start_cold(&mut self) {
        let Parts {
            ring,
            io,
            disk,
            helper,
            facts,
            ..
        } = &mut self.parts;
        if let Some((pool, count)) = disk.take_registration() {
            match ring.register(&pool, count) {
                Ok(()) => facts.set_registered_blocks(ring.registered_count()),
                Err(error) => tracing::warn!(
                    code = %Code::BuffersNotRegistered,
                    %error,
                    "durable writes come from unregistered memory: raise the memory-lock limit"
                ),
            }
        }
        while let Some((token, write)) = disk.take_write() {
            ring.start(Purpose::Write(token), write);
        }
        while let Some(request) = io.take_request() {
            match request {
                Request::Start(key, operation) => {
                    ring.start(Purpose::Cold(key), operation);
                }
                Request::Cancel(key) => ring.cancel_for(Purpose::Cold(key)),
            }
        }
        while let Some((key, job)) = io.take_job() {
            if let Err(job) = helper.send(job, key, self.sender.clone()) {
                io.answer(key, job.refused());
            }
        }
    }

    /// Lets cold tasks run. Says whether more of them can go on, and whether any ran.
    async fn slice<Y: AsyncFn()>(&mut self, tasks: &Tasks<Y>) -> (bool, bool) {
        let io = Rc::clone(&self.parts.io);
        let begin_ns = BootClock.now_ns();
        let begin_polls = io.polls();
        loop {
            let polls = io.polls();
            io.wake_one();
            let mut woke = io.take_woken();
            while let Some(task) = io.take_spawned() {
                (tasks.spawn)(task);
                woke = true;
            }
            (tasks.yield_once)().await;
            let ran = io.polls() != polls;
            if !ran && !woke && !io.has_ready() {
                return (false, io.polls() != begin_polls);
            }
            if BootClock.now_ns() - begin_ns > nanoseconds(SLICE) {
                return (true, true);
            }
        }
    }

    fn on_completion(&mut self, completion: Completion, now_ns: u64) {
        match completion.purpose {
            Purpose::Accept => self.on_accept(completion, now_ns),
            Purpose::Receive(_) | Purpose::Send(_) | Purpose::Connect(_) => {
                self.on_socket(completion, now_ns);
            }
            Purpose::Write(token) => {
                let result = completion
                    .result
                    .map(|count| usize::try_from(count).expect("a count of 32 bits"));
                match &mut self.core {
                    Some(core) => core.on_written(token, result),
                    None => self.early_writes.push((token, result)),
                }
            }
            Purpose::Cold(key) => self.parts.io.complete(key, completion),
            Purpose::Bell => {
                self.parts.mailbox.hush();
                if let Some(watch) = completion.operation
                    && self.is_armed()
                {
                    self.parts.ring.start(Purpose::Bell, watch);
                }
            }
            Purpose::Signal => {
                if let Product::Signal(number) = completion.product {
                    tracing::info!(signal = number, "asked to stop by a signal");
                    self.parts.shards.stop();
                }
                if self.is_armed() {
                    self.arm_signals();
                }
            }
            Purpose::Tick => self.on_tick(now_ns),
            Purpose::Nobody => {}
        }
    }

    /// Are many-shot requests still wanted?
    fn is_armed(&self) -> bool {
        !matches!(self.stage, Stage::Draining)
    }

    fn on_accept(&mut self, completion: Completion, now_ns: u64) {
        if let Product::Descriptor(socket) = completion.product
            && matches!(self.stage, Stage::Running)
            && let Some(core) = &mut self.core
        {
            let Parts { ring, network, .. } = &mut self.parts;
            network.on_accepted(ring, socket, &mut Surroundings { core, now_ns });
        }
        match completion.result {
            Ok(_) if matches!(self.stage, Stage::Running) => self.arm_accept(),
            Ok(_) => {}
            // Leaving cancels it.
            Err(_) if !matches!(self.stage, Stage::Running) => {}
            Err(error) => {
                // Out of descriptors, most likely: the next tick tries again.
                self.accept_again = true;
                self.parts.network.on_accept_failed(&error, now_ns);
            }
        }
    }

    fn on_socket(&mut self, completion: Completion, now_ns: u64) {
        let core = self
            .core
            .as_mut()
            .expect("sockets are opened when the shard is there");
        let Parts { ring, network, .. } = &mut self.parts;
        let mut around = Surroundings { core, now_ns };
        match completion.purpose {
            Purpose::Receive(key) => network.on_received(ring, key, completion, &mut around),
            Purpose::Send(key) => network.on_sent(ring, key, completion, &mut around),
            Purpose::Connect(key) => {
                network.on_connected(ring, key, completion.result, &mut around);
            }
            other @ (Purpose::Accept
            | Purpose::Write(_)
            | Purpose::Cold(_)
            | Purpose::Bell
            | Purpose::Signal
            | Purpose::Tick
            | Purpose::Nobody) => unreachable!("{other:?} is no socket's"),
        }
    }

    fn on_tick(&mut self, now_ns: u64) {
        if !self.is_armed() {
            return;
        }
        self.arm_tick(now_ns);
        if !matches!(self.stage, Stage::Running | Stage::Leaving { .. }) {
            return;
        }
        if std::mem::take(&mut self.accept_again) && matches!(self.stage, Stage::Running) {
            self.arm_accept();
        }
        if let Some(core) = &mut self.core {
            core.on_tick();
            let Parts {
                ring, network, io, ..
            } = &mut self.parts;
            network.on_tick(ring, io, &mut Surroundings { core, now_ns });
            self.parts.facts.set_connections(
                self.parts.network.connection_count(),
                self.parts.network.client_count(),
            );
        }
    }
}
