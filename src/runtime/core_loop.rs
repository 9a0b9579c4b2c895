//! The loop of a core: one task of its executor, which blocks in the core's ring and nowhere else.
//!
//! ```text
//!     turn     completions -> shard;  letters;  end_turn;  sends, writes and cold requests -> ring
//!     slice    for at most 200 µs: wake one cold task, yield; what it asks for -> ring
//!     enter    block without a time limit when nothing can go on, else take what is there
//! ```
//!
//! Stopping goes in steps, and each waits for the one before:
//!
//! ```text
//!     Starting ── the shard is made ──> Running ── is_stopped ──> Leaving ── sent ──> Draining ── 0 ──> end
//!         └────────────── stop, or the shard cannot be made ────────────────────────────^
//! ```
//!
//! Invariants:
//! * The foreground's requests are submitted before cold code runs.
//! * The loop blocks only after a yield that ran nothing: a task that was woken by a task may sit behind the loop
//!   in the executor's queue.
//! * It ends only when the kernel has completed everything and every cold task has ended.

use super::clock::{BootClock, NS_PER_SECOND};
use super::cold::{Io, Request};
use super::disk::RingDisk;
use super::driven::Core;
use super::error::RuntimeError;
use super::helper::{Helper, JobAnswer};
use super::limits::{LINGER, SLICE, STOP_TIMEOUT, TICK};
use super::mailbox::{Mailbox, MailboxSender};
use super::network::{Network, Surroundings};
use super::operation::{Descriptor, Operation, Purpose};
use super::ring::{Completion, Product, Ring, Wait};
use super::slots::Key;
use crate::shard::Clock;
use crate::storage::{ColdTask, WriteToken};
use io_uring::types::Timespec;
use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::time::Duration;

/// What other threads can put into a core's mailbox.
pub(super) enum Letter<C> {
    /// The helper thread has an answer for a cold task.
    Answer(Key, JobAnswer),
    /// Stop.
    Stop,
    /// Look at the shard, or ask it something, between two events.
    Visit(Box<dyn FnOnce(&mut C) + Send>),
}

impl<C> From<(Key, JobAnswer)> for Letter<C> {
    fn from((key, answer): (Key, JobAnswer)) -> Self {
        Self::Answer(key, answer)
    }
}

/// A shard that is being made, or why it cannot be.
pub(super) type Made<C> = Rc<RefCell<Option<Result<C, RuntimeError>>>>;

/// Where the loop stands.
enum Stage {
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
    pub(super) listener: Descriptor,
    pub(super) mailbox: Mailbox<Letter<C>>,
    pub(super) helper: Helper<Letter<C>>,
    /// The signals, on the one core that reads them.
    pub(super) signals: Option<Descriptor>,
    pub(super) made: Made<C>,
}

/// The loop of a core.
pub(super) struct CoreLoop<C> {
    parts: Parts<C>,
    sender: MailboxSender<Letter<C>>,
    core: Option<C>,
    stage: Stage,
    failure: Option<RuntimeError>,
    /// Writes of the shard that is being made; it hears of them when it is there.
    early_writes: Vec<(WriteToken, io::Result<usize>)>,
    next_tick_ns: u64,
    stop_by_ns: Option<u64>,
    accept_again: bool,
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
            next_tick_ns: 0,
            stop_by_ns: None,
            accept_again: false,
        }
    }

    /// Runs until the core has stopped; gives the shard back, for its last words.
    pub(super) async fn run<Y: AsyncFn()>(mut self, tasks: Tasks<Y>) -> Result<C, RuntimeError> {
        self.arm().map_err(|source| RuntimeError::Kernel {
            what: "watch the mailbox",
            source,
        })?;
        // The first slice starts the tasks that were spawned before the loop began.
        let mut again = true;
        while !self.is_over() {
            self.turn();
            let mut ran = false;
            if again || self.parts.io.has_ready() {
                self.enter(Wait::Poll)?;
                (again, ran) = self.slice(&tasks).await;
                self.start_cold();
            }
            let may_sleep = !again && !ran && !self.parts.io.has_ready() && !self.is_over();
            if may_sleep && self.parts.mailbox.prepare_sleep() {
                self.enter(Wait::Block)?;
                self.parts.mailbox.awake();
            } else {
                self.enter(Wait::Poll)?;
            }
        }
        match (self.failure, self.core) {
            (None, Some(core)) => Ok(core),
            (Some(failure), _) => Err(failure),
            (None, None) => Err(RuntimeError::Core {
                message: "stopped before the shard was there".to_owned(),
                exit_code: super::error::exit::DONE,
            }),
        }
    }

    fn is_over(&self) -> bool {
        let nothing_left = self.parts.ring.started_count() == 0 && self.parts.io.live_count() == 0;
        matches!(self.stage, Stage::Draining) && nothing_left && !self.parts.io.has_ready()
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

    /// The next tick is one tick after the one before, unless the process slept through it.
    fn arm_tick(&mut self, now_ns: u64) {
        self.next_tick_ns = (self.next_tick_ns + nanoseconds(TICK)).max(now_ns);
        let time = Timespec::from(Duration::from_nanos(self.next_tick_ns));
        self.parts
            .ring
            .start(Purpose::Tick, Operation::Until { time });
    }

    fn arm_accept(&mut self) {
        let listener = Rc::clone(&self.parts.listener);
        self.parts
            .ring
            .start(Purpose::Accept, Operation::Accept { listener });
    }

    /// Everything that is there, once.
    fn turn(&mut self) {
        let now_ns = BootClock.now_ns();
        while let Some(completion) = self.parts.ring.next_completion() {
            self.on_completion(completion, now_ns);
        }
        while let Some(letter) = self.parts.mailbox.take() {
            self.on_letter(letter, now_ns);
        }
        self.advance_stage(now_ns);
        if let Some(core) = &mut self.core {
            core.end_turn();
            self.parts
                .network
                .flush(&mut self.parts.ring, &mut Surroundings { core, now_ns });
        }
        self.start_cold();
    }

    /// Hands to the ring what the disk and cold tasks ask for.
    fn start_cold(&mut self) {
        let Parts {
            ring,
            io,
            disk,
            helper,
            ..
        } = &mut self.parts;
        if let Some((pool, count)) = disk.take_registration()
            && let Err(error) = ring.register(&pool, count)
        {
            tracing::warn!(code = "M108", %error, "durable writes come from memory that is not registered: raise the memory-lock limit (ulimit -l)");
        }
        while let Some((token, write)) = disk.take_write() {
            ring.start(Purpose::Write(token), write);
        }
        while let Some(request) = io.take_request() {
            match request {
                Request::Start(key, operation) => {
                    ring.start(Purpose::Cold(key), operation);
                }
                Request::Cancel(key) => ring.cancel(Purpose::Cold(key)),
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
            let mut woke = io.wake_one();
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
                    self.request_stop(now_ns);
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
        {
            self.parts
                .network
                .on_accepted(&mut self.parts.ring, socket, now_ns);
        }
        if completion.operation.is_none() {
            return;
        }
        match completion.result {
            Ok(_) if matches!(self.stage, Stage::Running) => self.arm_accept(),
            Ok(_) => {}
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
        }
    }

    fn on_letter(&mut self, letter: Letter<C>, now_ns: u64) {
        match letter {
            Letter::Answer(key, answer) => self.parts.io.answer(key, answer),
            Letter::Stop => self.request_stop(now_ns),
            Letter::Visit(visit) => {
                if let Some(core) = &mut self.core {
                    visit(core);
                }
            }
        }
    }

    fn request_stop(&mut self, now_ns: u64) {
        match (&self.stage, &mut self.core) {
            (Stage::Running, Some(core)) => {
                core.request_stop();
                self.stop_by_ns
                    .get_or_insert(now_ns + nanoseconds(STOP_TIMEOUT));
            }
            (Stage::Starting, _) => self.drain(),
            (Stage::Running, None) => unreachable!("a shard that runs is there"),
            (Stage::Leaving { .. } | Stage::Draining, _) => {}
        }
    }

    fn advance_stage(&mut self, now_ns: u64) {
        match self.stage {
            Stage::Starting => self.take_made(),
            Stage::Running => {
                let core = self.core.as_mut().expect("a shard that runs is there");
                let is_late = self.stop_by_ns.is_some_and(|by_ns| by_ns <= now_ns);
                if is_late {
                    tracing::error!(code = "M109", "the shard did not get ready to stop in time");
                }
                if core.is_stopped() || is_late {
                    let mut around = Surroundings { core, now_ns };
                    self.parts.network.leave_all(&mut around);
                    self.stage = Stage::Leaving {
                        until_ns: now_ns + nanoseconds(LINGER),
                    };
                }
            }
            Stage::Leaving { until_ns } => {
                if now_ns >= until_ns || !self.parts.network.is_busy() {
                    self.drain();
                }
            }
            Stage::Draining => {}
        }
    }

    /// The shard is there, or will never be.
    fn take_made(&mut self) {
        let made = self.parts.made.borrow_mut().take();
        match made {
            None => {}
            Some(Ok(mut core)) => {
                for (token, result) in self.early_writes.drain(..) {
                    core.on_written(token, result);
                }
                self.core = Some(core);
                self.stage = Stage::Running;
                self.arm_accept();
            }
            Some(Err(error)) => {
                self.failure = Some(error);
                self.drain();
            }
        }
    }

    /// No new work; what waits on others is cancelled, what the disk has is awaited.
    fn drain(&mut self) {
        self.stage = Stage::Draining;
        let now_ns = BootClock.now_ns();
        if let Some(core) = &mut self.core {
            self.parts
                .network
                .end_all(&mut Surroundings { core, now_ns });
        }
        self.start_cold();
        self.parts.io.stop();
        self.parts.ring.cancel_waiting();
    }
}

/// A span of time as the clock counts.
fn nanoseconds(duration: Duration) -> u64 {
    duration.as_secs() * NS_PER_SECOND + u64::from(duration.subsec_nanos())
}
