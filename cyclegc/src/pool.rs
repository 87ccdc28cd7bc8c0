//! A pool: 16 KiB of blocks of one size, each for one object.
//!
//! ```text
//!  multiple of POOL_BYTES
//!  v
//!  +---------+---------+--+------+---+---------+-- - -+
//!  | block 0 | block 1 |  | Pool |   | block 4 |      |
//!  +---------+---------+--+------+---+---------+-- - -+
//! ```
//!
//! `Pool`, which describes it, lies over the blocks at one of [`COLORS`] places:
//! in all pools at the same, it would find room in few sets of the cache. The
//! blocks under it are never handed out.
//!
//! The header of an object finds its pool by its address. The pools of tracked
//! objects are the collector's list of them (CPython: the lists of `PyGC_Head`).
//!
//! # Invariants
//!
//! 1. A pool starts at a multiple of [`POOL_BYTES`], and the headers of its
//!    objects lie in the `POOL_BYTES` from there.
//! 2. `used` has a one for every block that is handed out or that the class's
//!    current word holds, and for every place that is no block or under `Pool`.
//! 3. Block `place` lies `place * block_bytes` after the start, and the header
//!    of its object `prefix_bytes` after that, in tracked pools.
//! 4. A listed pool's `countdown` is the number of its blocks in use; that of
//!    another is 1.
//!
//! Source: CPython 3.11 `Objects/obmalloc.c`: `struct pool_header`.

use std::alloc::{Layout, alloc, dealloc};
use std::cell::Cell;
use std::ptr::NonNull;

use crate::header::Header;

/// Bytes of a pool and its blocks.
pub(crate) const POOL_BYTES: usize = 16 * 1024;

/// What is asked of the allocator: with 16 bytes less, those that put a word
/// before a block lay pools side by side.
const POOL_LAYOUT: Layout = match Layout::from_size_align(POOL_BYTES - 16, POOL_BYTES) {
    Ok(layout) => layout,
    Err(_) => panic!("a pool has a layout"),
};

/// The smallest blocks.
pub(crate) const MIN_BLOCK_BYTES: usize = 32;
pub(crate) const WORD: usize = u64::BITS as usize;
const WORDS: usize = POOL_BYTES / MIN_BLOCK_BYTES / WORD;

/// Places for a `Pool` in its pool, each a line of the cache.
const COLORS: usize = 64;
const LINE: usize = 64;

/// See the module.
#[repr(C)]
pub(crate) struct Pool {
    block_bytes: u32,
    /// 2^32 / `block_bytes`, rounded up.
    inverse: u32,
    /// Frees until the pool must be listed, or is empty.
    countdown: Cell<u32>,
    kind: Kind,
    class: u8,
    /// In the class's list of pools with free blocks.
    pub(crate) listed: Cell<bool>,
    used: [Cell<u64>; WORDS],
    /// Ones of `used` that stand for no block.
    reserved_count: u32,
    prefix_bytes: usize,
    /// In the class's list.
    pub(crate) next: Cell<Option<NonNull<Pool>>>,
    pub(crate) previous: Cell<Option<NonNull<Pool>>>,
    /// Index in the heap's array of tracked pools.
    pub(crate) place_in_heap: Cell<usize>,
    /// What the allocator gave for this pool: where it starts.
    memory: NonNull<u8>,
}

/// Which objects lie in a pool.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Kind {
    Untracked = 0,
    /// Tracked, with the header 8 bytes after the start of the block.
    Tracked = 1,
    /// Tracked, with the header 16 bytes after it: a slice, or aligned to 16.
    TrackedWide = 2,
}

impl Kind {
    pub(crate) const COUNT: usize = 3;

    #[inline]
    pub(crate) const fn is_tracked(self) -> bool {
        !matches!(self, Kind::Untracked)
    }
}

/// Where the `Pool` lies of the pool that this address is in.
#[inline(always)]
fn pool_around(address: usize) -> usize {
    let start = address & !(POOL_BYTES - 1);
    start + start / POOL_BYTES % COLORS * LINE
}

impl Pool {
    /// The pool of an object.
    ///
    /// # Safety
    ///
    /// The object is allocated.
    #[inline(always)]
    pub(crate) unsafe fn of(object: NonNull<Header>) -> NonNull<Pool> {
        let pool = object.as_ptr().map_addr(pool_around);
        // SAFETY: invariant 1: it lies in the allocation of the object.
        unsafe { NonNull::new_unchecked(pool.cast()) }
    }

    /// The pool that a block is in.
    ///
    /// # Safety
    ///
    /// There is one.
    pub(crate) unsafe fn around(block: *mut u8) -> NonNull<Pool> {
        let pool = block.map_addr(pool_around);
        // SAFETY: the caller's.
        unsafe { NonNull::new_unchecked(pool.cast()) }
    }

    /// A pool with free blocks, in fresh memory or that of a pool which is
    /// used no more. `None` if there is no memory.
    pub(crate) fn new(
        kept: Option<NonNull<Pool>>,
        block_bytes: u32,
        kind: Kind,
        class: u8,
    ) -> Option<NonNull<Pool>> {
        let memory = match kept {
            // SAFETY: the caller's pool is there.
            Some(pool) => unsafe { pool.as_ref() }.memory,
            // SAFETY: the layout is not empty.
            None => NonNull::new(unsafe { alloc(POOL_LAYOUT) })?,
        };
        // SAFETY: it lies in the memory.
        let pool = unsafe { Self::around(memory.as_ptr()) };
        let own = pool.addr().get() - memory.addr().get();
        let size = block_bytes as usize;
        let used = std::array::from_fn(|word| {
            let blocks = (POOL_LAYOUT.size() / size).saturating_sub(word * WORD);
            Cell::new(if blocks < WORD { u64::MAX << blocks } else { 0 })
        });
        for place in own / size..(own + size_of::<Pool>()).div_ceil(size) {
            let word = &used[place / WORD];
            word.set(word.get() | 1 << (place % WORD));
        }
        let fresh = Pool {
            block_bytes,
            inverse: u32::MAX / block_bytes + 1,
            countdown: Cell::new(0),
            kind,
            class,
            listed: Cell::new(false),
            reserved_count: ones_of(&used),
            used,
            prefix_bytes: if kind == Kind::TrackedWide { 16 } else { 8 },
            next: Cell::new(None),
            previous: Cell::new(None),
            place_in_heap: Cell::new(0),
            memory,
        };
        // SAFETY: the memory is a pool's, and nothing uses it.
        unsafe { pool.write(fresh) };
        Some(pool)
    }

    /// Gives the memory back to the allocator.
    ///
    /// # Safety
    ///
    /// Nothing uses the pool or a block of it.
    pub(crate) unsafe fn free(pool: NonNull<Pool>) {
        // SAFETY: the caller's pool is still there.
        let memory = unsafe { pool.as_ref() }.memory;
        // SAFETY: `alloc` gave it with this layout.
        unsafe { dealloc(memory.as_ptr(), POOL_LAYOUT) };
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    pub(crate) fn class(&self) -> usize {
        usize::from(self.class)
    }

    /// Where the pool starts.
    #[inline(always)]
    fn start(&self) -> usize {
        std::ptr::from_ref(self).addr() & !(POOL_BYTES - 1)
    }

    /// Which block an object lies in.
    #[inline(always)]
    fn place_of(&self, object: NonNull<Header>) -> usize {
        let offset = object.addr().get() - self.start();
        // Exact: offsets and block sizes are below 2^14.
        ((offset as u64 * u64::from(self.inverse)) >> 32) as usize
    }

    /// Takes the free blocks of a word: its number, and a one for each block.
    /// `None` if the pool is full.
    pub(crate) fn take_word(&self) -> Option<(usize, u64)> {
        let word = self.used.iter().position(|used| used.get() != u64::MAX)?;
        // INVARIANT: 2 and 4.
        let free = !self.used[word].replace(u64::MAX);
        self.countdown.set(self.countdown.get() + free.count_ones());
        Some((word, free))
    }

    /// Gives blocks of the word at `base` back.
    pub(crate) fn give_back(&self, base: *mut u8, free: u64) {
        if let Some(word) = self.word_at(base) {
            // INVARIANT: 2 and 4: the pool is listed.
            self.used[word].set(self.used[word].get() & !free);
            self.countdown.set(self.countdown.get() - free.count_ones());
        }
    }

    /// Frees an object's block; true if the pool must be listed or is empty.
    #[inline(always)]
    #[must_use]
    pub(crate) fn free_block(&self, object: NonNull<Header>) -> bool {
        let place = self.place_of(object);
        let used = &self.used[place / WORD % WORDS];
        debug_assert!(used.get() >> (place % WORD) & 1 == 1, "freed twice");
        // INVARIANT: 2.
        used.set(used.get() & !(1 << (place % WORD)));
        let countdown = self.countdown.get() - 1;
        self.countdown.set(countdown);
        countdown == 0
    }

    /// Blocks in use.
    pub(crate) fn used_count(&self) -> u32 {
        ones_of(&self.used) - self.reserved_count
    }

    pub(crate) fn set_countdown(&self, frees: u32) {
        self.countdown.set(frees);
    }

    /// Where a word of blocks starts.
    ///
    /// # Safety
    ///
    /// The pool is there.
    pub(crate) unsafe fn word_start(pool: NonNull<Pool>, word: usize) -> NonNull<u8> {
        // SAFETY: the caller's.
        let this = unsafe { pool.as_ref() };
        let offset = word * WORD * this.block_bytes as usize;
        // SAFETY: the word has blocks, so it starts in the pool's memory.
        unsafe { this.memory.add(offset) }
    }

    /// Which word of this pool starts there, if one does.
    fn word_at(&self, start: *mut u8) -> Option<usize> {
        let offset = start.addr().wrapping_sub(self.start());
        (offset < POOL_BYTES).then(|| offset / (WORD * self.block_bytes as usize))
    }

    /// The headers of the objects of a tracked pool; the blocks `free` of the
    /// word at `base`, if that is in this pool, hold none.
    pub(crate) fn objects(
        &self,
        base: *mut u8,
        free: u64,
    ) -> impl Iterator<Item = NonNull<Header>> {
        let size = self.block_bytes as usize;
        let own = std::ptr::from_ref(self).addr() - self.start();
        let held = self.word_at(base);
        let is_used = move |place: &usize| {
            let (word, bit) = (place / WORD, 1 << (place % WORD));
            let is_held = held == Some(word) && free & bit != 0;
            self.used[word].get() & bit != 0 && !is_held && is_block(*place, size, own)
        };
        (0..WORDS * WORD).filter(is_used).map(move |place| {
            // SAFETY: invariant 3: the header lies in the pool's memory.
            unsafe { self.memory.add(place * size + self.prefix_bytes) }.cast()
        })
    }
}

/// Whether a block lies in its pool, and not under the `Pool` at `own`.
fn is_block(place: usize, block_bytes: usize, own: usize) -> bool {
    let (start, end) = (place * block_bytes, (place + 1) * block_bytes);
    end <= POOL_LAYOUT.size() && (end <= own || own + size_of::<Pool>() <= start)
}

fn ones_of(words: &[Cell<u64>]) -> u32 {
    words.iter().map(|word| word.get().count_ones()).sum()
}
