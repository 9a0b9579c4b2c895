//! How another thread reaches a core: a bounded queue, and a bell in the core's ring.
//!
//! ```text
//!     sender    push; fence; was the core asleep?  ── yes ──> write the eventfd
//!     core      asleep := yes; fence; look again; block in the ring, which watches the eventfd
//! ```
//!
//! Whoever comes second sees what the first did: either the sender sees `asleep` and rings, or the core sees the
//! letter and does not sleep. A core that is awake costs its senders no system call.

use crossbeam::queue::ArrayQueue;
use std::fmt;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering, fence};

/// What senders and the core share.
struct Shared<T> {
    letters: ArrayQueue<T>,
    asleep: AtomicBool,
    is_abandoned: AtomicBool,
    bell: OwnedFd,
}

/// The side of the other threads; cheap to clone.
pub(super) struct MailboxSender<T> {
    shared: Arc<Shared<T>>,
}

/// The core's side.
pub(super) struct Mailbox<T> {
    shared: Arc<Shared<T>>,
}

impl<T> Mailbox<T> {
    /// A mailbox for at most `letters_max` letters.
    pub(super) fn new(letters_max: usize) -> std::io::Result<Self> {
        let flags = rustix::event::EventfdFlags::CLOEXEC | rustix::event::EventfdFlags::NONBLOCK;
        Ok(Self {
            shared: Arc::new(Shared {
                letters: ArrayQueue::new(letters_max),
                asleep: AtomicBool::new(false),
                is_abandoned: AtomicBool::new(false),
                bell: rustix::event::eventfd(0, flags)?,
            }),
        })
    }

    /// A sender for another thread.
    pub(super) fn sender(&self) -> MailboxSender<T> {
        MailboxSender {
            shared: Arc::clone(&self.shared),
        }
    }

    /// A descriptor that becomes readable when a sender rings, for the ring to watch.
    pub(super) fn bell(&self) -> std::io::Result<OwnedFd> {
        self.shared.bell.try_clone()
    }

    /// Takes the oldest letter.
    pub(super) fn take(&self) -> Option<T> {
        self.shared.letters.pop()
    }

    /// May the core sleep? Yes unless a letter is there; senders ring from now on.
    pub(super) fn prepare_sleep(&self) -> bool {
        self.shared.asleep.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        let may_sleep = self.shared.letters.is_empty();
        if !may_sleep {
            self.awake();
        }
        may_sleep
    }

    /// The core is awake: senders need not ring.
    pub(super) fn awake(&self) {
        self.shared.asleep.store(false, Ordering::Relaxed);
    }

    /// The bell was heard: makes it silent again.
    pub(super) fn hush(&self) {
        let mut count = [0; 8];
        // Nothing to read means that it was silent already.
        let _ = rustix::io::read(self.shared.bell.as_fd(), &mut count);
    }
}

impl<T> MailboxSender<T> {
    /// Puts a letter in.
    ///
    /// # Errors
    /// Gives the letter back when the mailbox is full.
    pub(super) fn send(&self, letter: T) -> Result<(), T> {
        self.shared.letters.push(letter)?;
        fence(Ordering::SeqCst);
        if self.shared.asleep.swap(false, Ordering::Relaxed) {
            // A counter of the kernel can only be full when the bell is ringing anyway.
            let _ = rustix::io::write(self.shared.bell.as_fd(), &1_u64.to_ne_bytes());
        }
        Ok(())
    }
}

impl<T> MailboxSender<T> {
    /// Has the core gone, so that only senders are left?
    pub(super) fn is_abandoned(&self) -> bool {
        self.shared.is_abandoned.load(Ordering::Relaxed)
    }
}

impl<T> Drop for Mailbox<T> {
    fn drop(&mut self) {
        self.shared.is_abandoned.store(true, Ordering::Relaxed);
        while self.take().is_some() {}
    }
}

impl<T> Clone for MailboxSender<T> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<T> fmt::Debug for MailboxSender<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "a mailbox with {} letters",
            self.shared.letters.len()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::event::{PollFd, PollFlags, poll};

    fn rings(mailbox: &Mailbox<u32>) -> bool {
        let bell = mailbox.bell().unwrap();
        let now = rustix::time::Timespec::default();
        poll(&mut [PollFd::new(&bell, PollFlags::IN)], Some(&now)).unwrap() == 1
    }

    #[test]
    fn a_sender_rings_only_for_a_core_that_sleeps() {
        let mailbox = Mailbox::new(4).unwrap();
        mailbox.sender().send(1).unwrap();
        assert!(!rings(&mailbox));
        assert!(!mailbox.prepare_sleep(), "a letter is there");
        assert_eq!(mailbox.take(), Some(1));
        assert!(mailbox.prepare_sleep());
        mailbox.sender().send(2).unwrap();
        assert!(rings(&mailbox));
        mailbox.hush();
        assert!(!rings(&mailbox));
    }

    #[test]
    fn a_full_mailbox_gives_the_letter_back() {
        let mailbox = Mailbox::new(1).unwrap();
        mailbox.sender().send(1).unwrap();
        assert_eq!(mailbox.sender().send(2), Err(2));
    }
}
