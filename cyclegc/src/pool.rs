//! A pool: 16 KiB of blocks of one size, each for one object.
//!
//! ```text
//!  multiple of POOL_BYTES
//!  v
//!  +------+---------+---------+---------+-- - -+
//!  | Pool | block 0 | block 1 | block 2 |      |
//!  +------+---------+---------+---------+-- - -+
//! ```
//!
//! The header of an object finds its pool by its address. The pools of tracked
//! objects are the collector's list of them (CPython: the lists of `PyGC_Head`).
//!
//! An object too large for a class, or aligned to much, has a pool of its own.
//!
//! # Invariants
//!
//! 1. A pool lies at a multiple of [`POOL_BYTES`]; the headers of its objects
//!    lie in the `POOL_BYTES` after it, or right behind them.
//! 2. `used` has a one for every block that is handed out or that the class's
//!    current word holds, and for every place that is no block.
//! 3. Block `place` lies `first + place * block_bytes` after the pool, and the
//!    header of its object `prefix_bytes` after that, in tracked pools.
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

/// See the module.
#[repr(C)]
pub(crate) struct Pool {
    shape: Shape,
    /// 2^32 / `block_bytes`, rounded up; 0 where there is one block.
    inverse: u32,
    /// Frees until the pool must be listed, or is empty.
    countdown: Cell<u32>,
    kind: Kind,
    class: u8,
    /// In the class's list of pools with free blocks.
    pub(crate) listed: Cell<bool>,
    /// For one object, and unlisted.
    pub(crate) alone: bool,
    used: [Cell<u64>; WORDS],
    /// In the class's list.
    pub(crate) next: Cell<Option<NonNull<Pool>>>,
    pub(crate) previous: Cell<Option<NonNull<Pool>>>,
    /// Index in the heap's array of tracked pools.
    pub(crate) place_in_heap: Cell<usize>,
    prefix_bytes: usize,
    /// What the allocator gave for this pool.
    start: NonNull<u8>,
    layout: Layout,
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

/// Where the blocks of a pool lie.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// Where block 0 starts.
    first: u32,
    block_bytes: u32,
    block_count: u32,
}

impl Shape {
    /// As many blocks as fit; those of a multiple of 64 bytes are aligned to 64.
    #[allow(
        clippy::cast_possible_truncation,
        reason = "all are below `POOL_BYTES`"
    )]
    pub(crate) const fn of(block_bytes: usize) -> Shape {
        let align = match block_bytes.trailing_zeros() {
            0..6 => 1 << block_bytes.trailing_zeros(),
            _ => 64,
        };
        let first = size_of::<Pool>().next_multiple_of(align);
        Shape {
            first: first as u32,
            block_bytes: block_bytes as u32,
            block_count: ((POOL_LAYOUT.size() - first) / block_bytes) as u32,
        }
    }
}

/// Where the pool of a header at this address lies. Reckons from below the
/// header, so that one right behind `POOL_BYTES` finds it too.
#[inline(always)]
fn pool_address(header: usize) -> usize {
    header.wrapping_sub(size_of::<usize>()) & !(POOL_BYTES - 1)
}

impl Pool {
    /// The pool of an object.
    ///
    /// # Safety
    ///
    /// The object is allocated, and the pool is used only while it is.
    #[inline(always)]
    pub(crate) unsafe fn of<'a>(object: NonNull<Header>) -> &'a Pool {
        let pool = object.as_ptr().map_addr(pool_address).cast::<Pool>();
        // SAFETY: invariant 1: it lies in the allocation of the object. All
        // its fields that change are cells.
        unsafe { &*pool }
    }

    /// A pool with free blocks, in fresh memory or in what [`Self::give_up`]
    /// kept. `None` if there is no memory.
    pub(crate) fn new(
        shape: Shape,
        kind: Kind,
        class: u8,
        kept: Option<NonNull<u8>>,
    ) -> Option<NonNull<Pool>> {
        let start = match kept {
            Some(start) => start,
            // SAFETY: the layout is not empty.
            None => NonNull::new(unsafe { alloc(POOL_LAYOUT) })?,
        };
        let used = std::array::from_fn(|word| {
            let blocks = (shape.block_count as usize).saturating_sub(word * WORD);
            Cell::new(if blocks < WORD { u64::MAX << blocks } else { 0 })
        });
        let pool = start.cast::<Pool>();
        let fresh = Pool {
            shape,
            inverse: u32::MAX / shape.block_bytes + 1,
            countdown: Cell::new(0),
            kind,
            class,
            listed: Cell::new(false),
            alone: false,
            used,
            next: Cell::new(None),
            previous: Cell::new(None),
            place_in_heap: Cell::new(0),
            prefix_bytes: if kind == Kind::TrackedWide { 16 } else { 8 },
            start,
            layout: POOL_LAYOUT,
        };
        // SAFETY: the memory is a pool's, and nothing uses it.
        unsafe { pool.write(fresh) };
        Some(pool)
    }

    /// A pool for one object, and where its header lies. `None` if there is no
    /// memory, or cannot be so much.
    pub(crate) fn new_alone(
        block: Layout,
        prefix_bytes: usize,
        kind: Kind,
    ) -> Option<(NonNull<Pool>, NonNull<Header>)> {
        let first = size_of::<Pool>().next_multiple_of(block.align());
        let size = first.checked_add(block.size())?;
        let layout = Layout::from_size_align(size, block.align().max(POOL_BYTES)).ok()?;
        // SAFETY: the layout is not empty.
        let start = NonNull::new(unsafe { alloc(layout) })?;
        // SAFETY: the header lies in the block, and that in what was allocated.
        let header = unsafe { start.add(first + prefix_bytes) }.cast::<Header>();
        // INVARIANT: 1: for alignments up to `POOL_BYTES` this is `start`. For
        // larger ones `first` is the alignment, and this lies `POOL_BYTES`
        // before the header.
        let pool = header.as_ptr().map_addr(pool_address).cast::<Pool>();
        // SAFETY: it is not below `start`.
        let pool = unsafe { NonNull::new_unchecked(pool) };
        let fresh = Pool {
            shape: Shape {
                first: 0,
                block_bytes: 0,
                block_count: 1,
            },
            inverse: 0,
            countdown: Cell::new(1),
            kind,
            class: 0,
            listed: Cell::new(false),
            alone: true,
            used: std::array::from_fn(|_| Cell::new(u64::MAX)),
            next: Cell::new(None),
            previous: Cell::new(None),
            place_in_heap: Cell::new(0),
            // From the pool, since `first` is 0.
            prefix_bytes: header.addr().get() - pool.addr().get(),
            start,
            layout,
        };
        // SAFETY: the memory is fresh, and ends no earlier than the header.
        unsafe { pool.write(fresh) };
        Some((pool, header))
    }

    /// Gives the memory back to the allocator.
    ///
    /// # Safety
    ///
    /// Nothing uses the pool or a block of it.
    pub(crate) unsafe fn free(pool: NonNull<Pool>) {
        // SAFETY: the caller's pool is still there.
        let this = unsafe { pool.as_ref() };
        let (start, layout) = (this.start, this.layout);
        // SAFETY: `alloc` gave it with this layout.
        unsafe { dealloc(start.as_ptr(), layout) };
    }

    /// Memory for [`Self::new`], instead of [`Self::free`].
    ///
    /// # Safety
    ///
    /// As for `free`; the pool is not alone.
    pub(crate) unsafe fn give_up(pool: NonNull<Pool>) -> NonNull<u8> {
        // SAFETY: the caller's pool is still there.
        unsafe { pool.as_ref() }.start
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    pub(crate) fn class(&self) -> usize {
        usize::from(self.class)
    }

    fn address(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    /// Which block an object lies in.
    #[inline(always)]
    fn place_of(&self, object: NonNull<Header>) -> usize {
        let offset = object.addr().get() - self.address() - self.shape.first as usize;
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

    /// Gives blocks of a word back; true if the pool must be looked at.
    #[must_use]
    pub(crate) fn give_word_back(&self, word: usize, free: u64) -> bool {
        self.used[word].set(self.used[word].get() & !free);
        // INVARIANT: 4: the pool is listed.
        self.countdown.set(self.countdown.get() - free.count_ones());
        self.countdown.get() == 0
    }

    /// Frees an object's block; true if the pool must be listed or is empty.
    #[inline(always)]
    #[must_use]
    pub(crate) fn free_block(&self, object: NonNull<Header>) -> bool {
        let place = self.place_of(object);
        let used = &self.used[place / WORD % WORDS];
        // INVARIANT: 2.
        used.set(used.get() & !(1 << (place % WORD)));
        let countdown = self.countdown.get() - 1;
        self.countdown.set(countdown);
        countdown == 0
    }

    /// Blocks in use.
    pub(crate) fn used_count(&self) -> u32 {
        let ones: u32 = self.used.iter().map(|used| used.get().count_ones()).sum();
        let all = u32::try_from(WORDS * WORD).unwrap_or(u32::MAX);
        ones - (all - self.shape.block_count)
    }

    pub(crate) fn set_countdown(&self, frees: u32) {
        self.countdown.set(frees);
    }

    /// Where the first block of a word lies.
    pub(crate) fn word_start(pool: NonNull<Pool>, word: usize) -> *mut u8 {
        // SAFETY: the caller's pool is there.
        let shape = unsafe { pool.as_ref() }.shape;
        let offset = shape.first as usize + word * WORD * shape.block_bytes as usize;
        pool.as_ptr().cast::<u8>().wrapping_add(offset)
    }

    /// Which word of the pool starts there, if one does.
    pub(crate) fn word_at(&self, start: *mut u8) -> Option<usize> {
        let offset = start.addr().wrapping_sub(self.address());
        let word_bytes = WORD * self.shape.block_bytes as usize;
        (offset < POOL_BYTES).then(|| (offset - self.shape.first as usize) / word_bytes)
    }

    /// The headers of a tracked pool's objects, those of the blocks `held`
    /// (a word and its blocks) left out.
    pub(crate) fn objects(
        pool: NonNull<Pool>,
        held: Option<(usize, u64)>,
    ) -> impl Iterator<Item = NonNull<Header>> {
        // SAFETY: the caller's pool is there.
        let this = unsafe { pool.as_ref() };
        let (shape, prefix_bytes) = (this.shape, this.prefix_bytes);
        let places = (0..shape.block_count as usize).filter(move |place| {
            let (word, bit) = (place / WORD, 1 << (place % WORD));
            let free = held.is_some_and(|(held, blocks)| held == word && blocks & bit != 0);
            // SAFETY: as above.
            !free && unsafe { pool.as_ref() }.used[word].get() & bit != 0
        });
        places.map(move |place| {
            let offset = shape.first as usize + place * shape.block_bytes as usize;
            // SAFETY: invariant 3: the header lies in the pool.
            unsafe { pool.cast::<u8>().add(offset + prefix_bytes) }.cast()
        })
    }
}
