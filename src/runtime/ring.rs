//! The one io_uring of a core, and everything that the kernel was lent through it.
//!
//! ```text
//!      start(purpose, operation) ──> [ started: the operation, by key ] ──> submission queue ──> kernel
//!                                                  ^                                               │
//!      next_completion() <── purpose, result ──────┴── completion queue <── user_data = key ───────┘
//!                            and, with the last one, the operation back
//! ```
//!
//! The ring is created and entered by one thread (SINGLE_ISSUER), and completions are made when it is entered
//! (DEFER_TASKRUN), never in the middle of the core's work.
//!
//! Invariants:
//! * An operation is in `started` from its submission to its last completion, and what the kernel may touch is
//!   owned by it, on the heap, so moving the operation moves nothing that the kernel knows.
//! * A ring that goes while operations are started leaks them and the receive buffers: the kernel may still
//!   write to them. After a clean stop there are none.

use super::buffers::{ReceiveBufferSizes, ReceiveBuffers, ReceivedBuffer};
use super::listener;
use super::operation::{Operation, Purpose};
use super::request::{RECEIVE_GROUP, Scratch, entry_of, scratch_of};
use super::slots::{Key, Slots};
use crate::storage::Pool;
use io_uring::{IoUring, cqueue, squeue};
use std::collections::VecDeque;
use std::io;
use std::mem;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// Entries of the submission queue: about what one turn starts under load.
const SUBMISSIONS: u32 = 512;
/// Entries of the completion queue: what a turn of thousands of connections completes without overflow.
const COMPLETIONS: u32 = 4096;
/// Parts of one send; the kernel's own limit is 1,024.
pub(super) const SEND_PARTS_MAX: usize = 256;

/// An operation that the kernel has, with the small memory that its request points to.
struct Started {
    purpose: Purpose,
    operation: Operation,
    scratch: Option<Box<Scratch>>,
}

/// A completion as the core sees it.
#[derive(Debug)]
pub(super) struct Completion {
    /// For whom.
    pub(super) purpose: Purpose,
    /// Bytes moved, or zero; or the error.
    pub(super) result: io::Result<u32>,
    /// What the operation made.
    pub(super) product: Product,
    /// The operation, when this was its last completion.
    pub(super) operation: Option<Operation>,
}

/// What a completion brings beside its number.
#[derive(Debug)]
pub(super) enum Product {
    /// Nothing.
    Nothing,
    /// An accepted socket or an opened file.
    Descriptor(OwnedFd),
    /// Bytes from a socket.
    Received(ReceivedBuffer),
    /// The length of a file.
    SizeBytes(u64),
    /// The number of a signal.
    Signal(u32),
}

/// May the core sleep until something happens?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// Take what is there.
    Poll,
    /// Sleep until there is at least one completion.
    Block,
}

/// The ring.
pub(super) struct Ring {
    kernel: IoUring,
    started: Slots<Started>,
    /// Requests for which the submission queue had no room.
    unsent: VecDeque<squeue::Entry>,
    buffers: ReceiveBuffers,
    /// Regions that the kernel knows by number.
    registered_count: u16,
}

impl Ring {
    /// Makes a ring for the calling thread. The kernel holds on to `kept` until nothing of the ring is under way any
    /// more, even when the process was killed: registered files are let go of when all requests have ended
    /// (`io_ring_ctx_free` in `io_uring/io_uring.c`).
    pub(super) fn new(sizes: ReceiveBufferSizes, kept: Option<&OwnedFd>) -> io::Result<Self> {
        let kernel = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_cqsize(COMPLETIONS)
            .build(SUBMISSIONS)?;
        if let Some(kept) = kept {
            kernel.submitter().register_files(&[kept.as_raw_fd()])?;
        }
        let buffers = ReceiveBuffers::new(sizes);
        // SAFETY: the entries are page aligned and stay where they are until this ring is dropped; `Drop` below keeps
        // them alive if the kernel may still use them.
        unsafe {
            kernel.submitter().register_buf_ring_with_flags(
                buffers.entries_address(),
                buffers.count(),
                RECEIVE_GROUP,
                0,
            )?;
        }
        Ok(Self {
            kernel,
            started: Slots::new(),
            unsent: VecDeque::new(),
            buffers,
            registered_count: 0,
        })
    }

    /// Operations that the kernel has.
    pub(super) fn started_count(&self) -> usize {
        self.started.len()
    }

    /// Hands an operation to the kernel, at the next `submit` or `enter`.
    pub(super) fn start(&mut self, purpose: Purpose, operation: Operation) -> Key {
        let scratch = scratch_of(&operation).map(Box::new);
        let key = self.started.insert(Started {
            purpose,
            operation,
            scratch,
        });
        let started = self.started.find_mut(key).expect("inserted above");
        let entry = entry_of(
            &mut started.operation,
            started.scratch.as_deref_mut(),
            self.registered_count,
        )
        .user_data(key.number());
        self.unsent.push_back(entry);
        self.fill_submissions();
        key
    }

    /// Cancels every operation that may wait for ever on others.
    pub(super) fn cancel_waiting(&mut self) {
        let waiting: Vec<Key> = self
            .started
            .iter()
            .filter(|(_, started)| started.operation.waits_for_others())
            .map(|(key, _)| key)
            .collect();
        for operation in waiting {
            self.cancel(operation);
        }
    }

    /// Cancels an operation that was started.
    pub(super) fn cancel(&mut self, operation: Key) {
        self.start(Purpose::Nobody, Operation::Cancel { operation });
    }

    /// Cancels the operation that runs for `purpose`, if one does: seldom, because it is looked for.
    pub(super) fn cancel_for(&mut self, purpose: Purpose) {
        let found = self
            .started
            .iter()
            .find(|(_, started)| started.purpose == purpose);
        if let Some((operation, _)) = found {
            self.cancel(operation);
        }
    }

    /// Registers the first `count` blocks of a pool, so that the kernel need not look their pages up at each durable
    /// write. The memory-lock limit of an ordinary user may forbid it; then all writes are plain.
    pub(super) fn register(&mut self, pool: &Pool, count: u16) -> io::Result<()> {
        assert!(self.registered_count == 0, "memory is registered once");
        let regions = pool.register(count);
        let vectors: Vec<libc::iovec> = regions
            .iter()
            .map(|(pointer, length)| libc::iovec {
                iov_base: pointer.as_ptr().cast(),
                iov_len: *length,
            })
            .collect();
        // SAFETY: the regions are the pool's own memory. The kernel pins the pages, so they stay what they are for it
        // even when the pool is gone; it only ever reads from them, for slices that lie in them.
        unsafe { self.kernel.submitter().register_buffers(&vectors)? };
        self.registered_count = u16::try_from(regions.len()).expect("at most `count` regions");
        Ok(())
    }

    /// Blocks that durable writes need not look up.
    pub(super) fn registered_count(&self) -> u16 {
        self.registered_count
    }

    /// Gives the kernel what was started and lets it make completions.
    pub(super) fn enter(&mut self, wait: Wait) -> io::Result<()> {
        loop {
            self.fill_submissions();
            let last = self.unsent.is_empty();
            let want = usize::from(wait == Wait::Block && last);
            match self.enter_once(want) {
                Ok(()) if last => return Ok(()),
                Ok(()) => {}
                // Interrupted, or the completion queue is full: the core takes what is there and comes back.
                Err(error) if is_transient(&error) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    /// Takes the next completion that is there.
    pub(super) fn next_completion(&mut self) -> Option<Completion> {
        let entry = self.kernel.completion().next()?;
        let key = Key::from_number(entry.user_data());
        let more = cqueue::more(entry.flags());
        let result = match u32::try_from(entry.result()) {
            Ok(number) => Ok(number),
            Err(_) => Err(io::Error::from_raw_os_error(-entry.result())),
        };
        let started = self
            .started
            .find(key)
            .expect("the kernel completes what was started");
        let purpose = started.purpose;
        let product = match &result {
            Ok(number) => self.product_of(started, *number, cqueue::buffer_select(entry.flags())),
            Err(_) => Product::Nothing,
        };
        let operation = if more {
            None
        } else {
            self.started.remove(key).map(|started| started.operation)
        };
        Some(Completion {
            purpose,
            result,
            product,
            operation,
        })
    }

    /// The bytes of a received buffer.
    pub(super) fn received(&self, buffer: &ReceivedBuffer) -> &[u8] {
        self.buffers.bytes(buffer)
    }

    /// Gives a received buffer back to the kernel.
    pub(super) fn give_back(&mut self, buffer: ReceivedBuffer) {
        self.buffers.give_back(buffer);
    }

    fn product_of(&self, started: &Started, number: u32, buffer: Option<u16>) -> Product {
        if let Some(id) = buffer {
            return Product::Received(self.buffers.lend(id, number));
        }
        match (&started.operation, started.scratch.as_deref()) {
            (Operation::Accept { .. } | Operation::Open { .. }, _) => {
                let descriptor =
                    i32::try_from(number).expect("the kernel's descriptors are positive");
                // SAFETY: the kernel made this descriptor for this completion, and nobody else has its number.
                Product::Descriptor(unsafe { OwnedFd::from_raw_fd(descriptor) })
            }
            (Operation::Size { .. }, Some(Scratch::Metadata(metadata))) => {
                // SAFETY: the request succeeded, so the kernel has filled the structure; all of it is plain numbers.
                Product::SizeBytes(unsafe { metadata.assume_init_ref() }.stx_size)
            }
            (Operation::ReadSignal { .. }, Some(Scratch::Signal(bytes))) => {
                let [a, b, c, d, ..] = *bytes;
                Product::Signal(u32::from_ne_bytes([a, b, c, d]))
            }
            _ => Product::Nothing,
        }
    }

    fn fill_submissions(&mut self) {
        let mut queue = self.kernel.submission();
        while let Some(entry) = self.unsent.front() {
            // SAFETY: what the entry points to belongs to an operation in `started`, which stays there, in place on
            // the heap, until the kernel has completed the request for the last time.
            if unsafe { queue.push(entry) }.is_err() {
                break;
            }
            self.unsent.pop_front();
        }
    }

    fn enter_once(&mut self, want: usize) -> io::Result<()> {
        /// Ask the kernel to run deferred work and to post completions.
        const GET_EVENTS: u32 = 1;
        let submissions = self.kernel.submission().len();
        let to_submit = u32::try_from(submissions).expect("the queue has a small size");
        let want = u32::try_from(want).expect("zero or one");
        // SAFETY: no argument structure is passed, and the entries in the queue are valid, see `fill_submissions`.
        let entered = unsafe {
            self.kernel
                .submitter()
                .enter::<libc::sigset_t>(to_submit, want, GET_EVENTS, None)
        };
        entered.map(|_| ())
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        if self.started.len() == 0 {
            return;
        }
        // The thread is unwinding: the kernel takes its time to let go of a ring, and may write until then. The other
        // sides of our sockets need not wait for that.
        let left = self.started.take_all();
        for started in &left {
            if let Operation::Receive { socket } = &started.operation {
                listener::shut_down(socket);
            }
        }
        mem::forget(left);
        let empty = ReceiveBuffers::new(ReceiveBufferSizes {
            count: 1,
            buffer_bytes: 1,
        });
        mem::forget(mem::replace(&mut self.buffers, empty));
    }
}

/// Would the same call succeed after completions have been taken?
fn is_transient(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EINTR | libc::EAGAIN | libc::EBUSY)
    )
}
