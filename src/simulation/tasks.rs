//! A tiny deterministic executor: a set of tasks, polled in an order that a seed decides.
//!
//! No threads and no queues between them. A waker only raises a flag; whoever drives the world polls the
//! tasks whose flag is up until none is, moves time on, and polls again.

use margay_types::Random;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

/// Work that ends by itself or is dropped with its owner.
pub type Task = Pin<Box<dyn Future<Output = ()>>>;

/// Raised when a task may go on.
#[derive(Debug)]
pub(crate) struct Flag(AtomicBool);

impl Flag {
    /// A flag that is up: a new task wants its first poll.
    pub(crate) fn raised() -> Arc<Self> {
        Arc::new(Self(AtomicBool::new(true)))
    }

    /// Takes the flag down; was it up?
    pub(crate) fn take(&self) -> bool {
        self.0.swap(false, Ordering::Relaxed)
    }
}

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A task, and whether it was woken.
struct Slot {
    task: Task,
    flag: Arc<Flag>,
}

/// The tasks of one shard or of one test.
pub struct Tasks {
    slots: Vec<Slot>,
    random: Random,
}

impl Tasks {
    /// No tasks; `seed` decides who is polled first.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            slots: Vec::new(),
            random: Random::new(seed),
        }
    }

    /// Takes a task in; it is polled at the next turn.
    pub fn push(&mut self, task: Task) {
        self.slots.push(Slot {
            task,
            flag: Flag::raised(),
        });
    }

    /// Drops all tasks: their owner is gone.
    pub fn clear(&mut self) {
        self.slots.clear();
    }

    /// How many tasks have not ended.
    #[must_use]
    pub fn count(&self) -> usize {
        self.slots.len()
    }

    /// Polls every task that may go on once; was there one?
    pub fn turn(&mut self) -> bool {
        let mut order: Vec<usize> = (0..self.slots.len()).collect();
        self.random.shuffle(&mut order);
        let mut ended = Vec::new();
        let mut polled = false;
        for at in order {
            let Some(slot) = self.slots.get_mut(at) else {
                continue;
            };
            if !slot.flag.take() {
                continue;
            }
            polled = true;
            let waker = Waker::from(Arc::clone(&slot.flag));
            match slot.task.as_mut().poll(&mut Context::from_waker(&waker)) {
                Poll::Ready(()) => ended.push(at),
                Poll::Pending => {}
            }
        }
        ended.sort_unstable();
        for at in ended.into_iter().rev() {
            drop(self.slots.remove(at));
        }
        polled
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;
    use std::rc::Rc;

    fn order_of(seed: u64) -> Vec<u32> {
        let seen = Rc::new(RefCell::new(Vec::new()));
        let mut tasks = Tasks::new(seed);
        for number in 0..6 {
            let seen = Rc::clone(&seen);
            tasks.push(Box::pin(async move { seen.borrow_mut().push(number) }));
        }
        while tasks.turn() {}
        assert_eq!(tasks.count(), 0);
        seen.take()
    }

    #[test]
    fn the_seed_decides_the_order_and_everyone_is_polled() {
        assert_eq!(order_of(1), order_of(1));
        assert!((2..10).any(|seed| order_of(seed) != order_of(1)));
        let mut all = order_of(5);
        all.sort_unstable();
        assert_eq!(all, vec![0, 1, 2, 3, 4, 5]);
    }

    #[test]
    fn a_task_without_news_is_left_alone() {
        let mut tasks = Tasks::new(1);
        tasks.push(Box::pin(std::future::pending()));
        assert!(tasks.turn());
        assert!(!tasks.turn());
        assert_eq!(tasks.count(), 1);
    }
}
