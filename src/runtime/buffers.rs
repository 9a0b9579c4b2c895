//! The receive buffers that all sockets of a core share.
//!
//! A socket owns no receive buffer: the kernel takes one from this ring when bytes arrive, so eight thousand
//! idle connections cost no memory. The core reads the bytes where they lie and gives the buffer back at once.
//!
//! ```text
//!     entries   [addr len id][addr len id] ...      shared with the kernel; the tail says how many are on offer
//!                    |             |
//!     memory    [ buffer 0 ][ buffer 1 ] ...        one allocation, page aligned
//! ```
//!
//! Invariants:
//! * A buffer is either on offer (the kernel may write to it) or lent to the core, by its [`ReceivedBuffer`].
//! * The memory outlives the ring that it is registered with: the ring owns this, and leaks it when it must go
//!   while the kernel still holds requests.

use io_uring::types::BufRingEntry;
use std::sync::atomic::{AtomicU16, Ordering};

/// One page, the alignment that the kernel asks of the entries.
#[repr(C, align(4096))]
#[derive(Clone)]
struct Page([u8; Page::SIZE]);

impl Page {
    const SIZE: usize = 4096;

    fn pages(bytes: usize) -> Box<[Self]> {
        vec![Self([0; Self::SIZE]); bytes.div_ceil(Self::SIZE)].into_boxed_slice()
    }
}

/// How many buffers of which size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceiveBufferSizes {
    /// Buffers; a power of two, at most 32,768.
    pub count: u16,
    /// Bytes in each.
    pub buffer_bytes: u32,
}

/// A buffer that the kernel filled and the core has not given back. It is neither `Clone` nor `Copy`: whoever
/// holds it is the only one who may read the buffer.
#[derive(Debug)]
pub(super) struct ReceivedBuffer {
    id: u16,
    bytes: u32,
}

/// The ring of buffers.
pub(super) struct ReceiveBuffers {
    entries: Box<[Page]>,
    memory: Box<[Page]>,
    sizes: ReceiveBufferSizes,
    tail: u16,
}

impl ReceiveBuffers {
    /// Allocates the buffers and offers all of them.
    pub(super) fn new(sizes: ReceiveBufferSizes) -> Self {
        assert!(
            sizes.count.is_power_of_two() && sizes.count <= 1 << 15,
            "{} receive buffers: the kernel takes powers of two up to 32,768",
            sizes.count
        );
        assert!(sizes.buffer_bytes > 0, "a receive buffer of no bytes");
        let count = usize::from(sizes.count);
        let mut buffers = Self {
            entries: Page::pages(count * size_of::<BufRingEntry>()),
            memory: Page::pages(count * sizes.buffer_bytes as usize),
            sizes,
            tail: 0,
        };
        for id in 0..sizes.count {
            buffers.offer(id);
        }
        buffers
    }

    /// Address of the entries, for the registration.
    pub(super) fn entries_address(&self) -> u64 {
        self.entries.as_ptr() as u64
    }

    /// Entries in the ring.
    pub(super) fn count(&self) -> u16 {
        self.sizes.count
    }

    /// Takes a buffer that a completion names.
    pub(super) fn lend(&self, id: u16, bytes: u32) -> ReceivedBuffer {
        assert!(
            id < self.sizes.count,
            "the kernel names buffer {id}, which does not exist"
        );
        assert!(
            bytes <= self.sizes.buffer_bytes,
            "the kernel put {bytes} bytes into a buffer of {}",
            self.sizes.buffer_bytes
        );
        ReceivedBuffer { id, bytes }
    }

    /// What the kernel wrote.
    pub(super) fn bytes(&self, buffer: &ReceivedBuffer) -> &[u8] {
        let offset = usize::from(buffer.id) * self.sizes.buffer_bytes as usize;
        // SAFETY: `lend` checked that the buffer lies inside `memory`. The kernel does not write to it: it is not on
        // offer until `give_back` consumes the one `ReceivedBuffer`, which cannot happen while it is borrowed here.
        unsafe {
            std::slice::from_raw_parts(
                self.memory.as_ptr().cast::<u8>().add(offset),
                buffer.bytes as usize,
            )
        }
    }

    /// Offers the buffer to the kernel again.
    pub(super) fn give_back(&mut self, buffer: ReceivedBuffer) {
        self.offer(buffer.id);
    }

    fn offer(&mut self, id: u16) {
        let offset = usize::from(id) * self.sizes.buffer_bytes as usize;
        let place = usize::from(self.tail & (self.sizes.count - 1));
        let entries = self.entries.as_mut_ptr().cast::<BufRingEntry>();
        self.tail = self.tail.wrapping_add(1);
        // SAFETY: `place` is below the entry count, for which `entries` was allocated, and entries at or behind the
        // tail belong to us until the tail passes them. The buffer's address lies inside `memory`. The tail shares
        // the first entry with fields that `set_*` writes beside it; the kernel reads it atomically.
        unsafe {
            let entry = &mut *entries.add(place);
            entry.set_addr(self.memory.as_ptr().cast::<u8>().add(offset) as u64);
            entry.set_len(self.sizes.buffer_bytes);
            entry.set_bid(id);
            let tail = BufRingEntry::tail(entries).cast::<AtomicU16>();
            (*tail).store(self.tail, Ordering::Release);
        }
    }
}
