//! Cold work: ordinary futures whose input and output go through the core's own ring.
//!
//! ```text
//!     future ── Io::run(operation) ──> requests ──> ring ──> kernel
//!       ^                                                      │
//!       └── polled <── loop wakes one at a time <── ready <── Io::complete
//! ```
//!
//! A completion only queues the waker; the loop wakes tasks between two turns, so that the foreground always
//! goes first. Answers of the helper thread arrive the same way.
//!
//! Invariants:
//! * The operation, with its memory, belongs to the ring until it completes; a future that is dropped leaves an
//!   orphan behind, whose operation is cancelled and whose completion frees the place.
//! * After `stop` nothing starts: what is asked for answers with ECANCELED at once.

use super::helper::{Job, JobAnswer};
use super::operation::Operation;
use super::ring::{Completion, Product};
use super::slots::{Key, Slots};
use crate::storage::ColdTask;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

/// What an operation of a cold task came to.
#[derive(Debug)]
pub(super) struct Finished {
    /// Bytes moved, or the error.
    pub(super) result: io::Result<u32>,
    /// What it made.
    pub(super) product: Product,
    /// The operation, with its memory.
    pub(super) operation: Operation,
}

/// Where a future waits.
enum Waiting {
    /// For the kernel.
    Kernel(Option<Waker>),
    /// For the helper thread.
    Helper(Option<Waker>),
    /// The kernel is done.
    Finished(Finished),
    /// The helper is done.
    Answered(JobAnswer),
    /// The core stops, and the helper's answer is not waited for.
    Stopped,
    /// The future is gone; the kernel or the helper is not done.
    Orphan,
}

impl Waiting {
    fn is_under_way(&self) -> bool {
        match self {
            Self::Kernel(_) | Self::Helper(_) | Self::Orphan => true,
            Self::Finished(_) | Self::Answered(_) | Self::Stopped => false,
        }
    }
}

/// What the loop takes out of [`Io`] for the ring.
pub(super) enum Request {
    /// Start this for that place.
    Start(Key, Operation),
    /// The future of that place is gone.
    Cancel(Key),
}

/// All cold work of a core.
pub(super) struct Io {
    waiting: RefCell<Slots<Waiting>>,
    requests: RefCell<VecDeque<Request>>,
    jobs: RefCell<VecDeque<(Key, Job)>>,
    ready: RefCell<VecDeque<Waker>>,
    spawned: RefCell<VecDeque<ColdTask>>,
    polls: Cell<u64>,
    live: Cell<usize>,
    stopping: Cell<bool>,
    woken: Arc<AtomicBool>,
}

impl Io {
    /// No cold work yet.
    pub(super) fn new() -> Rc<Self> {
        Rc::new(Self {
            waiting: RefCell::new(Slots::new()),
            requests: RefCell::default(),
            jobs: RefCell::default(),
            ready: RefCell::default(),
            spawned: RefCell::default(),
            polls: Cell::new(0),
            live: Cell::new(0),
            stopping: Cell::new(false),
            woken: Arc::default(),
        })
    }

    /// Runs one operation in the ring.
    pub(super) fn run(self: &Rc<Self>, operation: Operation) -> Running {
        if self.stopping.get() {
            return Running::Refused(Some(operation));
        }
        let key = self.waiting.borrow_mut().insert(Waiting::Kernel(None));
        self.requests
            .borrow_mut()
            .push_back(Request::Start(key, operation));
        Running::Started(Place {
            io: Rc::clone(self),
            key,
        })
    }

    /// Has the helper thread do something that may block.
    pub(super) async fn ask(self: &Rc<Self>, job: Job) -> io::Result<JobAnswer> {
        if self.stopping.get() {
            return Err(cancelled());
        }
        let key = self.waiting.borrow_mut().insert(Waiting::Helper(None));
        self.jobs.borrow_mut().push_back((key, job));
        let place = Place {
            io: Rc::clone(self),
            key,
        };
        match std::future::poll_fn(|context| place.poll(context)).await {
            Waiting::Answered(answer) => Ok(answer),
            Waiting::Stopped => Err(cancelled()),
            Waiting::Kernel(_) | Waiting::Helper(_) | Waiting::Finished(_) | Waiting::Orphan => {
                unreachable!("the helper answers what the helper was asked")
            }
        }
    }

    /// Starts a task; the loop runs it between two turns.
    pub(super) fn spawn(self: &Rc<Self>, task: ColdTask) {
        self.live.set(self.live.get() + 1);
        self.spawned.borrow_mut().push_back(Box::pin(Counted {
            io: Rc::clone(self),
            task,
        }));
    }

    /// Lets go of the tasks that never ran. They hold this, and it holds them: without it they would outlive a loop
    /// that could not begin, and whoever waits for what they own would wait for ever.
    pub(super) fn abandon_spawned(&self) {
        drop(self.spawned.take());
    }

    /// A task for the executor, if one was spawned.
    pub(super) fn take_spawned(&self) -> Option<ColdTask> {
        self.spawned.borrow_mut().pop_front()
    }

    /// Something for the ring, if anything was asked for.
    pub(super) fn take_request(&self) -> Option<Request> {
        self.requests.borrow_mut().pop_front()
    }

    /// Something for the helper thread, if anything was asked for.
    pub(super) fn take_job(&self) -> Option<(Key, Job)> {
        self.jobs.borrow_mut().pop_front()
    }

    /// The kernel completed the operation of `key`.
    pub(super) fn complete(&self, key: Key, completion: Completion) {
        let operation = completion.operation.expect("cold operations complete once");
        self.settle(
            key,
            Waiting::Finished(Finished {
                result: completion.result,
                product: completion.product,
                operation,
            }),
        );
    }

    /// The helper thread did the job of `key`.
    pub(super) fn answer(&self, key: Key, answer: JobAnswer) {
        // When the core stopped meanwhile, nobody waits any more.
        if self
            .waiting
            .borrow()
            .find(key)
            .is_some_and(Waiting::is_under_way)
        {
            self.settle(key, Waiting::Answered(answer));
        }
    }

    /// Wakes one task that can go on.
    pub(super) fn wake_one(&self) -> bool {
        let waker = self.ready.borrow_mut().pop_front();
        let woke = waker.is_some();
        if let Some(waker) = waker {
            waker.wake();
        }
        woke
    }

    /// Can a task go on?
    pub(super) fn has_ready(&self) -> bool {
        !self.ready.borrow().is_empty()
            || !self.spawned.borrow().is_empty()
            || self.woken.load(Ordering::Relaxed)
    }

    /// Was a task woken since the last call? It is in the executor's queue now.
    pub(super) fn take_woken(&self) -> bool {
        self.woken.swap(false, Ordering::Relaxed)
    }

    /// Polls of tasks so far; a yield that does not move it ran nothing.
    pub(super) fn polls(&self) -> u64 {
        self.polls.get()
    }

    /// Tasks that have not ended.
    pub(super) fn live_count(&self) -> usize {
        self.live.get()
    }

    /// From now on nothing starts, and what has not reached the ring is answered.
    pub(super) fn stop(&self) {
        self.stopping.set(true);
        let unsent: Vec<Request> = self.requests.borrow_mut().drain(..).collect();
        for request in unsent {
            match request {
                Request::Start(key, operation) => self.settle(
                    key,
                    Waiting::Finished(Finished {
                        result: Err(cancelled()),
                        product: Product::Nothing,
                        operation,
                    }),
                ),
                // The ring cancels all that waits when the core stops.
                Request::Cancel(_) => {}
            }
        }
        for key in self.keys_at_helper() {
            self.settle(key, Waiting::Stopped);
        }
    }

    fn keys_at_helper(&self) -> Vec<Key> {
        let waiting = self.waiting.borrow();
        let at_helper = waiting
            .iter()
            .filter(|(_, state)| matches!(state, Waiting::Helper(_)));
        at_helper.map(|(key, _)| key).collect()
    }

    fn settle(&self, key: Key, outcome: Waiting) {
        let mut waiting = self.waiting.borrow_mut();
        let place = waiting
            .find_mut(key)
            .expect("a place is kept until its completion");
        let waker = match std::mem::replace(place, outcome) {
            Waiting::Kernel(waker) | Waiting::Helper(waker) => waker,
            Waiting::Orphan => {
                let outcome = waiting.remove(key);
                drop(waiting);
                // An opened file is closed here, and blocks go back to their pools.
                drop(outcome);
                return;
            }
            Waiting::Finished(_) | Waiting::Answered(_) | Waiting::Stopped => {
                unreachable!("place {key} completed twice")
            }
        };
        drop(waiting);
        self.ready.borrow_mut().extend(waker);
    }
}

/// The error of what is not done because the core stops.
pub(super) fn cancelled() -> io::Error {
    io::Error::from_raw_os_error(libc::ECANCELED)
}

/// A future's place in the table.
pub(super) struct Place {
    io: Rc<Io>,
    key: Key,
}

impl Place {
    fn poll(&self, context: &mut Context<'_>) -> Poll<Waiting> {
        let mut waiting = self.io.waiting.borrow_mut();
        let state = waiting
            .find_mut(self.key)
            .expect("a future that ended is not polled");
        match state {
            Waiting::Kernel(waker) | Waiting::Helper(waker) => {
                *waker = Some(context.waker().clone());
                Poll::Pending
            }
            Waiting::Finished(_) | Waiting::Answered(_) | Waiting::Stopped => {
                Poll::Ready(waiting.remove(self.key).expect("found above"))
            }
            Waiting::Orphan => unreachable!("an orphan's future is gone"),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut waiting = self.io.waiting.borrow_mut();
        let outcome = match waiting.find_mut(self.key) {
            None => None,
            Some(state @ Waiting::Kernel(_)) => {
                *state = Waiting::Orphan;
                self.io
                    .requests
                    .borrow_mut()
                    .push_back(Request::Cancel(self.key));
                None
            }
            Some(state @ Waiting::Helper(_)) => {
                *state = Waiting::Orphan;
                None
            }
            Some(
                Waiting::Finished(_) | Waiting::Answered(_) | Waiting::Stopped | Waiting::Orphan,
            ) => waiting.remove(self.key),
        };
        drop(waiting);
        drop(outcome);
    }
}

/// The future of one operation.
pub(super) enum Running {
    /// It is under way.
    Started(Place),
    /// The core stops.
    Refused(Option<Operation>),
}

impl Future for Running {
    type Output = Finished;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Finished> {
        match self.get_mut() {
            Self::Started(place) => match place.poll(context) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(Waiting::Finished(finished)) => Poll::Ready(finished),
                Poll::Ready(
                    Waiting::Kernel(_)
                    | Waiting::Helper(_)
                    | Waiting::Answered(_)
                    | Waiting::Stopped
                    | Waiting::Orphan,
                ) => unreachable!("the ring answers what the ring was asked"),
            },
            Self::Refused(operation) => Poll::Ready(Finished {
                result: Err(cancelled()),
                product: Product::Nothing,
                operation: operation.take().expect("a future that ended is not polled"),
            }),
        }
    }
}

/// Counts the polls and the end of a task, and notices whoever wakes it.
struct Counted {
    io: Rc<Io>,
    task: ColdTask,
}

impl Future for Counted {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.io.polls.set(self.io.polls.get() + 1);
        let waker = Waker::from(Arc::new(Noticed {
            waker: context.waker().clone(),
            woken: Arc::clone(&self.io.woken),
        }));
        self.task.as_mut().poll(&mut Context::from_waker(&waker))
    }
}

/// Wakes a task and tells the loop that it did: a shard may wake tasks itself, and the executor cannot be asked
/// whether something is ready.
struct Noticed {
    waker: Waker,
    woken: Arc<AtomicBool>,
}

impl Wake for Noticed {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.store(true, Ordering::Relaxed);
        self.waker.wake_by_ref();
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.io.live.set(self.io.live.get() - 1);
    }
}

#[cfg(test)]
#[path = "cold_tests.rs"]
mod tests;
