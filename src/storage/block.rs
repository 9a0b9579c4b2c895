//! Aligned memory that is written once from front to back and lent out while it still grows.
//!
//! A payload is copied once, from the socket into a block; the disk, the followers and the machine then read
//! those same bytes. So earlier parts of a block are already lent as [`Slice`]s while later parts are written:
//!
//! ```text
//!  0         reserved            written                capacity
//!  ├─ lent ──┼─ hole ──┼─ lent ──┼──── not yet written ──────┤
//! ```
//!
//! Invariants that make this sound:
//! * Only the one [`Block`] of a memory writes, behind `written` or into the hole.
//! * A slice lies below `written` and never touches the hole; once filled, the hole is gone.
//! * Memory is zeroed when it is made, so that every byte of it may always be read.
//!
//! Blocks of a [`Pool`] return to it when the block and all its slices are gone.

use crate::limits::WRITE_UNIT_BYTES;
use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::ops::{Deref, Range};
use std::ptr::NonNull;
use std::rc::Rc;

/// Was nothing ever written here? Looked at in words, since most of a segment may be blank.
#[must_use]
pub fn is_blank(bytes: &[u8]) -> bool {
    let (before, words, behind) = bytemuck::pod_align_to::<u8, u64>(bytes);
    words.iter().all(|word| *word == 0) && before.iter().chain(behind).all(|byte| *byte == 0)
}

/// Raw aligned memory with its number in the ring's table of registered buffers.
struct Region {
    pointer: NonNull<u8>,
    capacity: usize,
    registered: Option<u16>,
}

impl Region {
    fn new(capacity: usize, registered: Option<u16>) -> Self {
        assert!(capacity > 0, "a block of nothing");
        let layout = Self::layout(capacity);
        // SAFETY: the layout's size is not zero, as asserted above.
        let pointer = unsafe { alloc_zeroed(layout) };
        let pointer = NonNull::new(pointer).unwrap_or_else(|| handle_alloc_error(layout));
        Self {
            pointer,
            capacity,
            registered,
        }
    }

    fn layout(capacity: usize) -> Layout {
        Layout::from_size_align(capacity, WRITE_UNIT_BYTES)
            .expect("capacities are far from isize::MAX")
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: the pointer came from `alloc_zeroed` with this very layout and is freed only here.
        unsafe { dealloc(self.pointer.as_ptr(), Self::layout(self.capacity)) }
    }
}

/// A region with the pool that it returns to.
struct Memory {
    region: Option<Region>,
    pool: Option<Rc<PoolState>>,
}

impl Memory {
    fn region(&self) -> &Region {
        self.region.as_ref().expect("only `drop` takes the region")
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        if let (Some(region), Some(pool)) = (self.region.take(), self.pool.take()) {
            pool.free.borrow_mut().push(region);
        }
    }
}

/// Memory that grows from front to back; see the module.
pub struct Block {
    memory: Rc<Memory>,
    /// Its part of the memory: all of it, until it is split.
    part: Range<usize>,
    written: usize,
    hole: Option<Range<usize>>,
}

impl Block {
    /// An empty block outside any pool.
    ///
    /// # Panics
    /// If `capacity` is 0.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        let region = Region::new(capacity.next_multiple_of(WRITE_UNIT_BYTES), None);
        Self::of(Memory {
            region: Some(region),
            pool: None,
        })
    }

    /// A block that a read of `bytes` fills: it has its length from the start.
    #[must_use]
    pub fn for_reading(bytes: usize) -> Self {
        let mut block = Self::with_capacity(bytes);
        block.written = bytes;
        block
    }

    /// A block that holds a copy of `bytes`, for writes off the hot path.
    #[must_use]
    pub fn holding(bytes: &[u8]) -> Self {
        let mut block = Self::with_capacity(bytes.len());
        block.append(bytes);
        block
    }

    fn of(memory: Memory) -> Self {
        Self {
            part: 0..memory.region().capacity,
            memory: Rc::new(memory),
            written: 0,
            hole: None,
        }
    }

    /// Where it ends: the bytes that it can hold, unless it is what was split off another.
    #[must_use]
    pub fn capacity_bytes(&self) -> usize {
        self.part.end
    }

    /// Bytes written, the hole included; counted from the start of the memory, also in a block that was split off.
    #[must_use]
    pub fn written_bytes(&self) -> usize {
        self.written
    }

    /// Bytes that can still be written.
    #[must_use]
    pub fn room_bytes(&self) -> usize {
        self.capacity_bytes() - self.written
    }

    /// This block ends at `end`; what is behind becomes a block of its own, with the same places.
    ///
    /// # Panics
    /// If more is written, or the block has less.
    #[must_use]
    pub fn split_off(&mut self, end: usize) -> Self {
        assert!(
            (self.written..=self.part.end).contains(&end),
            "a block with {} of {} bytes written cannot end at {end}",
            self.written,
            self.part.end
        );
        let rest = Self {
            memory: Rc::clone(&self.memory),
            part: end..self.part.end,
            written: end,
            hole: None,
        };
        self.part.end = end;
        rest
    }

    /// Appends `bytes`; gives the place where they stand.
    ///
    /// # Panics
    /// If there is no room.
    pub fn append(&mut self, bytes: &[u8]) -> usize {
        let start = self.grow(bytes.len());
        self.copy_to(start, bytes);
        start
    }

    /// Appends zeros.
    ///
    /// # Panics
    /// If there is no room.
    pub fn append_zeros(&mut self, count: usize) -> usize {
        let start = self.grow(count);
        // SAFETY: `grow` asserted that `start + count` lies in the region; nothing behind `written` is lent.
        unsafe {
            self.memory
                .region()
                .pointer
                .add(start)
                .write_bytes(0, count)
        }
        start
    }

    /// Leaves a hole that is filled when what goes there is known; gives its place.
    ///
    /// # Panics
    /// If there is no room, or a hole already.
    pub fn reserve(&mut self, count: usize) -> usize {
        assert!(self.hole.is_none(), "a block has one hole at a time");
        let start = self.grow(count);
        self.hole = Some(start..start + count);
        start
    }

    /// Fills the hole; it can be lent from now on.
    ///
    /// # Panics
    /// If there is no hole, or one of another size.
    pub fn fill(&mut self, bytes: &[u8]) {
        let hole = self.hole.take().expect("a hole was reserved");
        assert!(
            hole.len() == bytes.len(),
            "{} bytes for a hole of {}",
            bytes.len(),
            hole.len()
        );
        self.copy_to(hole.start, bytes);
    }

    /// Lends what is written between two places.
    ///
    /// # Panics
    /// If the range is not written, or touches the hole.
    #[must_use]
    pub fn slice(&self, range: Range<usize>) -> Slice {
        assert!(
            self.part.start <= range.start && range.start <= range.end && range.end <= self.written,
            "{range:?} is not written"
        );
        if let Some(hole) = &self.hole {
            let apart = range.end <= hole.start || hole.end <= range.start;
            assert!(apart, "{range:?} touches the hole {hole:?}");
        }
        Slice {
            memory: Rc::clone(&self.memory),
            start: range.start,
            length: range.len(),
        }
    }

    /// Lends everything written.
    #[must_use]
    pub fn whole(&self) -> Slice {
        self.slice(self.part.start..self.written)
    }

    /// What is written.
    ///
    /// # Panics
    /// If it was split off another block, which may still write to what is before.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        assert!(self.part.start == 0, "slices show a part of a block");
        let region = self.memory.region();
        // SAFETY: `written` never exceeds the capacity, every byte is initialised, and writing needs `&mut self`.
        unsafe { std::slice::from_raw_parts(region.pointer.as_ptr(), self.written) }
    }

    /// What is written, to be read into or changed.
    ///
    /// # Panics
    /// If a slice of it is lent.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        assert!(
            Rc::strong_count(&self.memory) == 1,
            "a lent block cannot be changed"
        );
        let region = self.memory.region();
        // SAFETY: as for `bytes`; no slice exists, as asserted, and none can be made while `self` is borrowed.
        unsafe { std::slice::from_raw_parts_mut(region.pointer.as_ptr(), self.written) }
    }

    /// Is any of it lent?
    #[must_use]
    pub fn is_lent(&self) -> bool {
        Rc::strong_count(&self.memory) > 1
    }

    /// Its number in the ring's table of registered buffers.
    #[must_use]
    pub fn registered(&self) -> Option<u16> {
        self.memory.region().registered
    }

    fn grow(&mut self, count: usize) -> usize {
        assert!(
            count <= self.room_bytes(),
            "{count} bytes for a room of {}",
            self.room_bytes()
        );
        let start = self.written;
        self.written += count;
        start
    }

    /// Copies into a part that is not lent: behind what was written, or the hole.
    fn copy_to(&mut self, start: usize, bytes: &[u8]) {
        debug_assert!(
            start + bytes.len() <= self.written,
            "behind what is written"
        );
        // SAFETY: the callers took `start..start + len` from `grow` or from the hole, so it lies in the region
        // and no slice covers it; `bytes` is borrowed apart from it, because nothing there could be borrowed.
        unsafe {
            let to = self.memory.region().pointer.as_ptr().add(start);
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len());
        }
    }
}

impl fmt::Debug for Block {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "Block({} of {} bytes)",
            self.written,
            self.capacity_bytes()
        )
    }
}

/// A part of a block that will not change any more. Cloning it copies no bytes.
#[derive(Clone)]
pub struct Slice {
    memory: Rc<Memory>,
    start: usize,
    length: usize,
}

impl Slice {
    /// A part of it.
    ///
    /// # Panics
    /// If the range leads out of it.
    #[must_use]
    pub fn part(&self, range: Range<usize>) -> Self {
        assert!(
            range.start <= range.end && range.end <= self.length,
            "{range:?} leads out"
        );
        Self {
            memory: Rc::clone(&self.memory),
            start: self.start + range.start,
            length: range.len(),
        }
    }

    /// Number of its block in the ring's table of registered buffers.
    #[must_use]
    pub fn registered(&self) -> Option<u16> {
        self.memory.region().registered
    }
}

impl Deref for Slice {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        let region = self.memory.region();
        // SAFETY: a slice is made within what was written and outside the hole; the block never writes there
        // again, and the region lives as long as `memory`.
        unsafe {
            let pointer = region.pointer.as_ptr().add(self.start);
            std::slice::from_raw_parts(pointer, self.length)
        }
    }
}

impl fmt::Debug for Slice {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Slice({}+{})", self.start, self.length)
    }
}

/// Blocks of one size, bounded in number.
#[derive(Clone)]
pub struct Pool {
    state: Rc<PoolState>,
}

/// What all handles to a pool share.
struct PoolState {
    block_bytes: usize,
    blocks_max: usize,
    made: Cell<usize>,
    free: RefCell<Vec<Region>>,
}

impl Pool {
    /// A pool of at most `bytes_max` in blocks of `block_bytes`. Memory is taken when it is needed first.
    ///
    /// # Panics
    /// If it cannot hold a single block.
    #[must_use]
    pub fn new(block_bytes: usize, bytes_max: usize) -> Self {
        let blocks_max = bytes_max / block_bytes.max(1);
        assert!(
            blocks_max > 0,
            "a pool of {bytes_max} bytes for blocks of {block_bytes}"
        );
        let (made, free) = (Cell::new(0), RefCell::new(Vec::new()));
        Self {
            state: Rc::new(PoolState {
                block_bytes,
                blocks_max,
                made,
                free,
            }),
        }
    }

    /// Makes the first `count` blocks now and numbers them from 0, so that their memory can be registered with
    /// the ring in this order: pointer and length of each.
    ///
    /// # Panics
    /// If blocks were taken already.
    pub fn register(&self, count: u16) -> Vec<(NonNull<u8>, usize)> {
        assert!(
            self.state.made.get() == 0,
            "blocks are registered before they are used"
        );
        let count = count.min(u16::try_from(self.state.blocks_max).unwrap_or(u16::MAX));
        let regions: Vec<Region> = (0..count)
            .map(|number| Region::new(self.state.block_bytes, Some(number)))
            .collect();
        let table = regions
            .iter()
            .map(|region| (region.pointer, region.capacity))
            .collect();
        self.state.made.set(regions.len());
        self.state.free.borrow_mut().extend(regions);
        table
    }

    /// Takes an empty block, if one is free or may still be made.
    #[must_use]
    pub fn try_take(&self) -> Option<Block> {
        let free = self.state.free.borrow_mut().pop();
        let region = match free {
            Some(region) => region,
            None if self.state.made.get() < self.state.blocks_max => {
                self.state.made.set(self.state.made.get() + 1);
                Region::new(self.state.block_bytes, None)
            }
            None => return None,
        };
        Some(Block::of(Memory {
            region: Some(region),
            pool: Some(Rc::clone(&self.state)),
        }))
    }

    /// Blocks that could be taken now.
    #[must_use]
    pub fn available(&self) -> usize {
        self.state.blocks_max - self.state.made.get() + self.state.free.borrow().len()
    }

    /// Size of its blocks.
    #[must_use]
    pub fn block_bytes(&self) -> usize {
        self.state.block_bytes
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "Pool({} of {} available)",
            self.available(),
            self.state.blocks_max
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_parts_of_a_block_grow_apart_and_return_together() {
        let pool = Pool::new(8192, 8192);
        let mut block = pool.try_take().unwrap();
        block.append(b"first");
        let mut rest = block.split_off(4096);
        assert_eq!((block.room_bytes(), rest.room_bytes()), (4091, 4096));
        let start = rest.append(b"behind");
        block.append(b" and more");
        assert_eq!((start, &rest.whole()[..]), (4096, &b"behind"[..]));
        assert_eq!(&block.whole()[..], b"first and more");
        drop(block);
        assert_eq!(pool.available(), 0);
        drop(rest);
        assert_eq!(pool.available(), 1);
    }

    #[test]
    fn one_byte_anywhere_makes_it_written() {
        let mut bytes = [0_u8; 37];
        assert!(is_blank(&bytes[1..]));
        for at in 1..bytes.len() {
            bytes[at] = 1;
            assert!(!is_blank(&bytes[1..]), "byte {at}");
            bytes[at] = 0;
        }
    }

    #[test]
    fn what_is_lent_stays_while_the_block_grows() {
        let mut block = Block::with_capacity(100);
        let start = block.append(b"first");
        let slice = block.slice(start..block.written_bytes());
        block.append(b"second");
        assert_eq!(&slice[..], b"first");
        assert_eq!(&block.slice(5..11)[..], b"second");
        assert_eq!(&slice.part(1..3)[..], b"ir");
    }

    #[test]
    fn memory_is_aligned_for_direct_writes() {
        let block = Block::with_capacity(1);
        assert_eq!(block.capacity_bytes(), WRITE_UNIT_BYTES);
        assert!(
            block
                .bytes()
                .as_ptr()
                .addr()
                .is_multiple_of(WRITE_UNIT_BYTES)
        );
    }

    #[test]
    fn a_filled_hole_can_be_lent() {
        let mut block = Block::with_capacity(100);
        block.reserve(3);
        block.append(b"behind");
        let behind = block.slice(3..9);
        block.fill(b"abc");
        assert_eq!(&block.whole()[..], b"abcbehind");
        assert_eq!(&behind[..], b"behind");
    }

    #[test]
    #[should_panic(expected = "touches the hole")]
    fn a_hole_is_never_lent() {
        let mut block = Block::with_capacity(100);
        block.reserve(3);
        let _ = block.whole();
    }

    #[test]
    #[should_panic(expected = "a lent block cannot be changed")]
    fn a_lent_block_is_not_read_into() {
        let mut block = Block::for_reading(10);
        let _lent = block.whole();
        block.bytes_mut();
    }

    #[test]
    fn a_pool_is_bounded_and_takes_back_what_nobody_holds() {
        let pool = Pool::new(4096, 8192);
        let first = pool.try_take().unwrap();
        let mut second = pool.try_take().unwrap();
        second.append(b"x");
        let slice = second.whole();
        assert!(pool.try_take().is_none());
        drop(second);
        assert_eq!(pool.available(), 0, "a slice keeps its block");
        drop(slice);
        drop(first);
        assert_eq!(pool.available(), 2);
    }

    #[test]
    fn slices_outlive_their_pool() {
        let pool = Pool::new(4096, 4096);
        let mut block = pool.try_take().unwrap();
        block.append(b"alive");
        let slice = block.whole();
        drop((pool, block));
        assert_eq!(&slice[..], b"alive");
    }

    #[test]
    fn registered_blocks_are_numbered_in_order() {
        let pool = Pool::new(4096, 3 * 4096);
        let table = pool.register(2);
        let block = pool.try_take().unwrap();
        let number = usize::from(block.registered().unwrap());
        assert_eq!(
            table[number].0.as_ptr().cast_const(),
            block.bytes().as_ptr()
        );
        let others = [pool.try_take().unwrap(), pool.try_take().unwrap()];
        assert_eq!(
            others
                .iter()
                .filter(|block| block.registered().is_none())
                .count(),
            1
        );
    }
}
