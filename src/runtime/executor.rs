//! Starts the shards of a server, each on a thread and an executor of its own, and waits for them.
//!
//! This is the only file that knows glommio: it places and pins the threads and runs the cold tasks. The loop
//! sees two functions of it, `spawn` and `yield_once`.

use super::buffers::ReceiveBufferSizes;
use super::clock::BootClock;
use super::cold::Io;
use super::core_loop::{CoreLoop, Made, Parts, Tasks};
use super::disk::RingDisk;
use super::driven::Core;
use super::error::RuntimeError;
use super::facts::Facts;
use super::helper::Helper;
use super::letters::{Letter, Visit};
use super::limits::{
    CLIENT_BACKLOG_BYTES_MAX, EXECUTOR_IO_MEMORY_BYTES, HANDSHAKE_TIMEOUT, LETTERS_MAX,
};
use super::listener;
use super::mailbox::{Mailbox, MailboxSender};
use super::network::{Network, NetworkLimits};
use super::outbox::{Outgoing, RingOutbox};
use super::placement::ShardPlacement;
use super::probe;
use super::ring::Ring;
use super::signal::Signals;
use crate::codes::Code;
use crate::shard::Clock;
use glommio::{
    BuilderErrorKind, ExecutorJoinHandle, GlommioError, LocalExecutorBuilder, Placement,
};
use margay_types::ShardId;
use std::cell::RefCell;
use std::future::Future;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

/// What a server is started with.
#[derive(Clone, Debug)]
pub struct ExecutorConfig {
    /// One shard for each.
    pub shards: Vec<ShardPlacement>,
    /// Where shard 0 listens; the others listen on the same address, on ports that the kernel chooses. Port 0
    /// lets it choose all of them.
    pub listen: SocketAddr,
    /// Receive buffers of each shard.
    pub receive_buffers: ReceiveBufferSizes,
    /// Clients of each shard at most; the descriptor limit may allow fewer.
    pub clients_max: usize,
    /// Bytes that may wait for one client.
    pub client_backlog_bytes_max: u64,
    /// Time for a hello.
    pub handshake_timeout: Duration,
    /// What the kernel holds on to until nothing of any shard is under way: the lock of the data directory.
    pub kept: Option<Arc<OwnedFd>>,
}

impl ExecutorConfig {
    /// The usual numbers for shards placed so.
    #[must_use]
    pub fn new(shards: Vec<ShardPlacement>, listen: SocketAddr) -> Self {
        Self {
            shards,
            listen,
            receive_buffers: ReceiveBufferSizes {
                count: 256,
                buffer_bytes: 16 << 10,
            },
            clients_max: super::limits::CLIENTS_MAX,
            client_backlog_bytes_max: CLIENT_BACKLOG_BYTES_MAX,
            handshake_timeout: HANDSHAKE_TIMEOUT,
            kept: None,
        }
    }
}

/// What a shard is made with: its disk, its sockets, its clock, and where it stands.
#[derive(Clone)]
pub struct CoreSeams {
    /// The shard's number.
    pub shard: ShardId,
    /// How many there are.
    pub shard_count: u16,
    /// Where it listens.
    pub address: SocketAddr,
    /// Where all of them do, by number; a node is called by the first.
    pub addresses: Vec<SocketAddr>,
    /// Its disk; recovery may use it at once.
    pub disk: RingDisk,
    /// Its sockets.
    pub outbox: RingOutbox,
    /// Its clock.
    pub clock: BootClock,
    /// What the loop counts.
    pub facts: Arc<Facts>,
}

/// How a server ended when nothing is wrong with the runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit {
    /// Why a shard gave up; `None` when all stopped because they were asked to.
    pub failure: Option<Code>,
}

/// A running server.
pub struct Executor<C> {
    addresses: Vec<SocketAddr>,
    senders: Vec<MailboxSender<Letter<C>>>,
    facts: Vec<Arc<Facts>>,
    threads: Vec<ExecutorJoinHandle<Result<Option<Code>, RuntimeError>>>,
    helper: JoinHandle<()>,
}

/// Reaches the shards of a running server from other threads; cheap to clone.
pub struct Shards<C> {
    senders: Arc<[MailboxSender<Letter<C>>]>,
    facts: Arc<[Arc<Facts>]>,
}

/// Asks all shards to stop when one ends, however it ends.
struct StopOthers<C>(Shards<C>);

impl<C> Drop for StopOthers<C> {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// What one shard's thread takes with it.
struct Start<C> {
    config: ExecutorConfig,
    shard: ShardId,
    address: SocketAddr,
    addresses: Vec<SocketAddr>,
    listener: OwnedFd,
    mailbox: Mailbox<Letter<C>>,
    helper: Helper<Letter<C>>,
    signals: Option<OwnedFd>,
}

impl<C: Core + 'static> Executor<C> {
    /// Binds the ports, starts the threads, and has each shard made by `make_core` on its own thread. It returns
    /// when the threads run; recovery may take longer, and no connection is accepted before it is over.
    ///
    /// # Errors
    /// When the machine refuses what a server needs: see [`RuntimeError`].
    pub fn start<F, M>(
        config: ExecutorConfig,
        signals: Option<&Signals>,
        make_core: F,
    ) -> Result<Self, RuntimeError>
    where
        F: Fn(CoreSeams) -> M + Clone + Send + 'static,
        M: Future<Output = Result<C, RuntimeError>> + 'static,
    {
        assert!(!config.shards.is_empty(), "a server has at least one shard");
        probe::require_io_uring()?;
        let limits = probe::process_limits();
        let shares = probe::descriptor_shares(limits, config.shards.len())?;
        let clients_max = shares.clients_max.min(config.clients_max);
        let config = ExecutorConfig {
            clients_max,
            ..config
        };
        let (helper, helper_thread) = Helper::start().map_err(kernel("start the helper thread"))?;
        let mut executor = Self {
            addresses: Vec::new(),
            senders: Vec::new(),
            facts: Vec::new(),
            threads: Vec::new(),
            helper: helper_thread,
        };
        let mut starts = Vec::new();
        for number in 0..u16::try_from(config.shards.len()).expect("shards are cores") {
            let signals = signals.filter(|_| number == 0);
            let start = Start::new(&config, ShardId::new(number), signals, helper.clone())?;
            executor.addresses.push(start.address);
            executor.senders.push(start.mailbox.sender());
            executor.facts.push(Arc::default());
            starts.push(start);
        }
        drop(helper);
        for mut start in starts {
            start.addresses.clone_from(&executor.addresses);
            executor
                .threads
                .push(start.spawn(executor.shards(), make_core.clone())?);
        }
        Ok(executor)
    }

    /// Where the shards listen.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// A way to reach the shards from other threads.
    #[must_use]
    pub fn shards(&self) -> Shards<C> {
        Shards {
            senders: self.senders.iter().cloned().collect(),
            facts: self.facts.iter().cloned().collect(),
        }
    }

    /// Waits until all shards have stopped. When one ends, however it ends, the others are asked to stop.
    ///
    /// # Errors
    /// The first failure of a shard.
    pub fn wait(self) -> Result<Exit, RuntimeError> {
        let mut ended = Ok(Exit { failure: None });
        for (number, thread) in (0..).zip(self.threads) {
            let result = thread
                .join()
                .unwrap_or_else(|error| Err(failure_of(number, error)));
            match (result, &ended) {
                (Ok(failure), Ok(Exit { failure: None })) => ended = Ok(Exit { failure }),
                (Err(error), Ok(_)) => ended = Err(error),
                (Ok(_), Ok(_)) | (_, Err(_)) => {}
            }
        }
        self.helper.join().map_err(|_| RuntimeError::Kernel {
            what: "end the helper thread",
            source: std::io::Error::other("it panicked"),
        })?;
        ended
    }
}

impl<C> Shards<C> {
    /// Asks all shards to stop.
    pub fn stop(&self) {
        for sender in self.senders.iter() {
            // A full mailbox belongs to a core that is awake and takes letters: it has room at once.
            while sender.send(Letter::Stop).is_err() {
                if sender.is_abandoned() {
                    break;
                }
                std::thread::yield_now();
            }
        }
    }

    /// Puts a letter into a core's mailbox.
    ///
    /// # Errors
    /// Gives it back when the mailbox is full. To a core that is not there it is lost.
    pub(super) fn send(&self, to: ShardId, letter: Letter<C>) -> Result<(), Letter<C>> {
        match self.senders.get(usize::from(to.number())) {
            Some(sender) => sender.send(letter),
            None => Ok(()),
        }
    }

    /// All of them.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = ShardId> + use<C> {
        (0..).map(ShardId::new).take(self.senders.len())
    }

    /// What a shard's loop counts; it can be read while the shard hangs.
    ///
    /// # Panics
    /// When there is no such shard.
    #[must_use]
    pub fn facts_of(&self, shard: ShardId) -> Arc<Facts> {
        let facts = self.facts.get(usize::from(shard.number()));
        Arc::clone(facts.expect("the shards of a server are known by their number"))
    }

    /// Has a shard run `visit` between two events. The visitor answers by a channel of its own, and waits with a
    /// deadline: a shard that is still recovering, or hangs, does not answer.
    ///
    /// # Errors
    /// Gives false when there is no such shard, or its mailbox is full.
    #[must_use]
    pub fn visit(&self, shard: ShardId, visit: Visit<C>) -> bool {
        let sender = self.senders.get(usize::from(shard.number()));
        sender.is_some_and(|sender| sender.send(Letter::Visit(visit)).is_ok())
    }
}

impl<C> Clone for Shards<C> {
    fn clone(&self) -> Self {
        Self {
            senders: Arc::clone(&self.senders),
            facts: Arc::clone(&self.facts),
        }
    }
}

impl<C: Core + 'static> Start<C> {
    fn new(
        config: &ExecutorConfig,
        shard: ShardId,
        signals: Option<&Signals>,
        helper: Helper<Letter<C>>,
    ) -> Result<Self, RuntimeError> {
        let mut wanted = config.listen;
        if shard.number() > 0 {
            wanted.set_port(0);
        }
        let listener = listener::bind(wanted)?;
        let address = listener::local_address(&listener).map_err(kernel("read the port"))?;
        let signals = signals.map(Signals::descriptor).transpose();
        Ok(Self {
            config: config.clone(),
            shard,
            address,
            addresses: Vec::new(),
            listener,
            mailbox: Mailbox::new(LETTERS_MAX).map_err(kernel("make a mailbox"))?,
            helper,
            signals: signals.map_err(kernel("read signals"))?,
        })
    }

    fn spawn<F, M>(
        self,
        shards: Shards<C>,
        make_core: F,
    ) -> Result<ExecutorJoinHandle<Result<Option<Code>, RuntimeError>>, RuntimeError>
    where
        F: FnOnce(CoreSeams) -> M + Send + 'static,
        M: Future<Output = Result<C, RuntimeError>> + 'static,
    {
        let shard = self.shard.number();
        let placement = match self.config.shards.get(usize::from(shard)) {
            Some(ShardPlacement::Core(core)) => Placement::Fixed(*core),
            Some(ShardPlacement::Anywhere) | None => Placement::Unbound,
        };
        LocalExecutorBuilder::new(placement)
            .name(&format!("shard-{shard}"))
            .io_memory(EXECUTOR_IO_MEMORY_BYTES)
            .spawn(move || self.run(shards, make_core))
            .map_err(|error| RuntimeError::Executor {
                shard,
                reason: error.to_string(),
            })
    }

    async fn run<F, M>(self, shards: Shards<C>, make_core: F) -> Result<Option<Code>, RuntimeError>
    where
        F: FnOnce(CoreSeams) -> M,
        M: Future<Output = Result<C, RuntimeError>> + 'static,
    {
        let _end = StopOthers(shards.clone());
        let facts = shards.facts_of(self.shard);
        let io = Io::new();
        let _tasks = Tasked(Rc::clone(&io));
        let disk = RingDisk::new(Rc::clone(&io));
        let outgoing = Outgoing::new(self.config.client_backlog_bytes_max);
        let made: Made<C> = Rc::new(RefCell::new(None));
        let core = make_core(CoreSeams {
            shard: self.shard,
            shard_count: u16::try_from(self.config.shards.len()).expect("shards are cores"),
            address: self.address,
            addresses: self.addresses,
            disk: disk.clone(),
            outbox: RingOutbox::new(Rc::clone(&outgoing)),
            clock: BootClock,
            facts: Arc::clone(&facts),
        });
        let place = Rc::clone(&made);
        io.spawn(Box::pin(async move {
            let result = core.await;
            *place.borrow_mut() = Some(result);
        }));
        let limits = NetworkLimits {
            clients_max: self.config.clients_max,
            handshake_timeout_ns: u64::try_from(self.config.handshake_timeout.as_nanos())
                .expect("some seconds"),
        };
        let ring = Ring::new(self.config.receive_buffers, self.config.kept.as_deref())
            .map_err(kernel("make a ring"))?;
        let parts = Parts {
            ring,
            io,
            disk,
            network: Network::new(self.shard, outgoing, limits, BootClock.now_ns()),
            shard: self.shard,
            listener: Rc::new(self.listener),
            mailbox: self.mailbox,
            helper: self.helper,
            signals: self.signals.map(Rc::new),
            made,
            facts,
            shards,
        };
        let tasks = Tasks {
            // `Io` counts the task until it ends, and the loop waits for it.
            spawn: |task| drop(glommio::spawn_local(task).detach()),
            yield_once: async || glommio::executor().yield_now().await,
        };
        let core = CoreLoop::new(parts).run(tasks).await?;
        Ok(core.and_then(|core| core.failure()))
    }
}

/// The cold work of a core, which ends with its thread.
struct Tasked(Rc<Io>);

impl Drop for Tasked {
    fn drop(&mut self) {
        self.0.abandon_spawned();
    }
}

/// Why a shard's thread did not come to its end.
fn failure_of(shard: u16, error: GlommioError<()>) -> RuntimeError {
    let GlommioError::BuilderError(BuilderErrorKind::ThreadPanic(panic)) = error else {
        return RuntimeError::Executor {
            shard,
            reason: error.to_string(),
        };
    };
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    RuntimeError::Panicked {
        shard,
        message: text.unwrap_or_else(|| "without a message".to_owned()),
    }
}

fn kernel(what: &'static str) -> impl Fn(std::io::Error) -> RuntimeError {
    move |source| RuntimeError::Kernel { what, source }
}

#[cfg(test)]
#[path = "executor_tests.rs"]
mod tests;
