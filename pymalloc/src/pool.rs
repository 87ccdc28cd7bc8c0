//! Pools: runs of blocks of one size class, and the descriptor of each.
//!
//! ```text
//!  descriptor (64 bytes, in the region's header)     pool (16, 64 or 256 KiB)
//! ┌─────────────────────────────────────────────┐   ┌─────┬─────┬─────┬───────────┐
//! │ remote │ tally  │ class │ listed │ owner    │   │ out │free │ out │ not carved │
//! │ home   │ free ──┼───────┼────────┼──────────┼──▶│     │ ▲   │     │            │
//! │ next   │ prev   │ base ─┼────────┼──────────┼─▶ └─────┴─┴───┴─────┴───────────┘
//! └─────────────────────────────────────────────┘         free blocks are chained
//! ```
//! Blocks are carved when first needed and never linked up front, so that memory
//! nobody asked for is not touched (CPython `pool_header.nextoffset`).
//!
//! # States (CPython's, plus what threads add)
//! | state | blocks out | on which list | who holds it |
//! |---|---|---|---|
//! | used | some | its owner's, or its shelf in the commons | the owner, or the shelf's lock |
//! | full | all | none | the owner; after the first remote free, whoever made it |
//! | empty | none | its arena's bits | the arenas' lock |
//!
//! # Invariants
//! 1. `free <= carved <= capacity`; blocks out = `carved - free`, those waiting on
//!    the remote list included.
//! 2. The free list has `free` blocks, each of this pool, none twice.
//! 3. `listed` is true exactly while the pool is on its owner's or its shelf's list.
//!
//! # Access
//! `remote` and `owner`: any thread. `class` and `base`: written before the pool is
//! handed out, read by anyone who has a block of it. `tally`: written by the holder,
//! read for statistics. All else: the holder alone, through [`Held`].

use core::ptr::{self, null_mut};
use core::sync::atomic::AtomicU8;
use core::sync::atomic::Ordering::Relaxed;

use crate::block::{Block, Chain, Taken};
use crate::mailbox::Mailbox;
use crate::remote_free::RemoteList;
use crate::size_class::SizeClass;
use crate::sync::{AtomicU64, Tally, UnsafeCell};

/// The name of a heap, never used twice. 0 is a heap that owns nothing.
pub(crate) type OwnerId = u64;

/// The owner of a pool that has none; no heap's name.
pub(crate) const NOBODY: OwnerId = u64::MAX;

/// The descriptor of a pool.
#[derive(Debug)]
#[repr(C, align(64))]
pub(crate) struct Pool {
    pub(crate) remote: RemoteList,
    /// Blocks carved (low half) and free (high half), so that one load sees both.
    tally: Tally,
    /// The number of the class, plus one; 0 in a pool that was never handed out, and
    /// in the zeros where an arena has yet to be made.
    class_plus_one: AtomicU8,
    listed: UnsafeCell<bool>,
    owner: AtomicU64,
    home: UnsafeCell<*const Mailbox>,
    free: UnsafeCell<*mut Block>,
    next: UnsafeCell<*mut Pool>,
    prev: UnsafeCell<*mut Pool>,
    base: *mut u8,
}

#[cfg(not(loom))]
static_assertions::const_assert_eq!(size_of::<Pool>(), 64);

// SAFETY: every field that is not an atomic is reached through `Held`, of which one
// thread at a time has the right to one; `base` is never written again.
unsafe impl Sync for Pool {}

impl Pool {
    /// The descriptor of the pool that starts at `base`.
    pub(crate) fn new(base: *mut u8) -> Self {
        Self {
            remote: RemoteList::new(),
            tally: Tally::new(0),
            class_plus_one: AtomicU8::new(0),
            listed: UnsafeCell::new(false),
            owner: AtomicU64::new(NOBODY),
            home: UnsafeCell::new(ptr::null()),
            free: UnsafeCell::new(null_mut()),
            next: UnsafeCell::new(null_mut()),
            prev: UnsafeCell::new(null_mut()),
            base,
        }
    }

    /// Where its blocks start.
    #[inline]
    pub(crate) fn base(&self) -> *mut u8 {
        self.base
    }

    /// The class of its blocks.
    #[inline]
    pub(crate) fn class(&self) -> SizeClass {
        self.last_class().unwrap_or(SizeClass::SMALLEST)
    }

    /// The class of its blocks, now or when it was last in use; `None` if it never was.
    #[inline]
    pub(crate) fn last_class(&self) -> Option<SizeClass> {
        // ORDERING: Relaxed; written under the arenas' lock before any block of
        // the pool existed, and whoever asks has such a block.
        let stored = self.class_plus_one.load(Relaxed);
        // SAFETY: `set_class` alone writes it: a class's number, plus one.
        let class = |index| unsafe { SizeClass::from_index_unchecked(index) };
        stored.checked_sub(1).map(class)
    }

    fn set_class(&self, class: SizeClass) {
        self.class_plus_one.store(class.index() as u8 + 1, Relaxed);
    }

    /// Whether the heap of that name owns the pool. A heap asks only for itself,
    /// and only it makes the answer yes: so the answer is never stale.
    #[inline]
    pub(crate) fn is_owned_by(&self, id: OwnerId) -> bool {
        // ORDERING: Relaxed, see above.
        self.owner.load(Relaxed) == id
    }

    /// Blocks carved and free, one moment's numbers.
    pub(crate) fn counts(&self) -> Counts {
        Counts::unpack(self.tally.get())
    }
}

/// How many blocks of a pool were ever carved, and how many of these are free.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counts {
    pub(crate) carved: u32,
    pub(crate) free: u32,
}

impl Counts {
    fn unpack(word: u32) -> Self {
        Self {
            carved: word & 0xffff,
            free: word >> 16,
        }
    }

    fn pack(self) -> u32 {
        self.carved | (self.free << 16)
    }

    /// Blocks outside the pool: in use, in a front, or on the remote list.
    pub(crate) fn out(self) -> u32 {
        self.carved - self.free
    }
}

/// The right to a pool's plain fields: whoever has it is the pool's holder.
///
/// It is passed from hand to hand: arena, owner, full, poster, mailbox, shelf. A
/// copy kept by somebody who passed it on must not be used.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Held(&'static Pool);

macro_rules! field {
    ($get:ident, $set:ident, $field:ident: $type:ty) => {
        #[inline]
        pub(crate) fn $get(self) -> $type {
            // SAFETY: the holder alone touches the cell (`Held::new`).
            self.0.$field.with(|value| unsafe { *value })
        }

        #[inline]
        pub(crate) fn $set(self, value: $type) {
            // SAFETY: the holder alone touches the cell (`Held::new`).
            self.0.$field.with_mut(|cell| unsafe { cell.write(value) });
        }
    };
}

impl Held {
    /// Claims a pool.
    ///
    /// # Safety
    /// The caller is the pool's holder by the table in the module's
    /// documentation, and stops using this when it passes the pool on.
    #[inline]
    pub(crate) unsafe fn new(pool: &'static Pool) -> Self {
        Self(pool)
    }

    field!(next, set_next, next: *mut Pool);
    field!(prev, set_prev, prev: *mut Pool);
    field!(is_listed, set_listed, listed: bool);
    field!(home, set_home, home: *const Mailbox);
    field!(free_list, set_free_list, free: *mut Block);

    /// The descriptor.
    #[inline]
    pub(crate) fn pool(self) -> &'static Pool {
        self.0
    }

    /// Makes the pool a new one of this class, with no block carved and no owner.
    /// For the arenas, before they hand it out.
    pub(crate) fn reset(self, class: SizeClass) {
        self.0.set_class(class);
        self.set_counts(Counts { carved: 0, free: 0 });
        self.set_free_list(null_mut());
        self.set_listed(false);
    }

    /// Names the class in the descriptor of a later part of a larger pool, which
    /// answers for addresses in that part.
    pub(crate) fn reset_part(self, class: SizeClass) {
        self.0.set_class(class);
    }

    /// Enters the heap of that name and mailbox as owner.
    pub(crate) fn set_owner(self, id: OwnerId, home: *const Mailbox) {
        self.set_home(home);
        // ORDERING: Relaxed; others only learn that they are not the owner.
        self.0.owner.store(id, Relaxed);
    }

    fn set_counts(self, counts: Counts) {
        self.0.tally.set(counts.pack());
    }

    /// Whether no block is out.
    pub(crate) fn is_empty(self) -> bool {
        self.0.counts().out() == 0
    }

    /// Whether a block can be had without looking at the remote list.
    pub(crate) fn has_room(self) -> bool {
        let counts = self.0.counts();
        counts.free > 0 || counts.carved < self.0.class().capacity()
    }

    /// Takes the whole free list.
    pub(crate) fn take_free(self) -> Option<Taken> {
        let counts = self.0.counts();
        if counts.free == 0 {
            return None;
        }
        let first = self.free_list();
        self.set_free_list(null_mut());
        self.set_counts(Counts { free: 0, ..counts });
        Some(Taken {
            first,
            len: counts.free,
        })
    }

    /// Takes up to `most` (at least one) free blocks, or carves them.
    pub(crate) fn take_some(self, most: u32) -> Option<Taken> {
        self.take_free_up_to(most).or_else(|| self.carve(most))
    }

    /// Takes up to `most` (at least one) blocks off the free list.
    pub(crate) fn take_free_up_to(self, most: u32) -> Option<Taken> {
        let counts = self.0.counts();
        if counts.free <= most {
            return self.take_free();
        }
        let first = self.free_list();
        let mut last = first;
        for _ in 1..most {
            // SAFETY: the list has more than `most` blocks (invariant 2), held
            // with the pool.
            last = unsafe { Block::next(last) };
        }
        // SAFETY: as above.
        self.set_free_list(unsafe { Block::next(last) });
        // SAFETY: as above.
        unsafe { Block::set_next(last, null_mut()) };
        self.set_counts(Counts {
            free: counts.free - most,
            ..counts
        });
        Some(Taken { first, len: most })
    }

    /// Carves up to `most` blocks that were never out, in address order; `None`
    /// if all were.
    pub(crate) fn carve(self, most: u32) -> Option<Taken> {
        let class = self.0.class();
        let counts = self.0.counts();
        let len = most.min(class.capacity() - counts.carved);
        if len == 0 {
            return None;
        }
        let mut next = null_mut();
        for index in (counts.carved..counts.carved + len).rev() {
            let start = self
                .0
                .base
                .wrapping_add(index as usize * class.block_size());
            // SAFETY: block `index` lies in the pool and was never carved.
            next = unsafe { Block::carve(start, next) };
        }
        self.set_counts(Counts {
            carved: counts.carved + len,
            ..counts
        });
        Some(Taken { first: next, len })
    }

    /// Puts a chain back on the free list.
    ///
    /// # Safety
    /// The caller holds the chain, whose blocks are all of this pool.
    pub(crate) unsafe fn put(self, chain: Chain) {
        // SAFETY: the caller's chain.
        unsafe { Block::set_next(chain.last, self.free_list()) };
        self.set_free_list(chain.first);
        let counts = self.0.counts();
        self.set_counts(Counts {
            free: counts.free + chain.len,
            ..counts
        });
    }

    /// Puts blocks from the remote list, or from `take_some`, on the free list.
    pub(crate) fn put_taken(self, taken: Taken) {
        let mut last = taken.first;
        if !self.free_list().is_null() {
            for _ in 1..taken.len {
                // SAFETY: a taken list has `len` blocks, held by the taker.
                last = unsafe { Block::next(last) };
            }
            // SAFETY: as above.
            unsafe { Block::set_next(last, self.free_list()) };
        }
        self.set_free_list(taken.first);
        let counts = self.0.counts();
        self.set_counts(Counts {
            free: counts.free + taken.len,
            ..counts
        });
    }

    /// Counts the free list again. In the child of a fork it may be that of a thread
    /// that was stopped between a list and its count; no other thread's ever differs.
    pub(crate) fn recount(self) {
        let counts = self.0.counts();
        let mut free = 0;
        let mut block = self.free_list();
        while !block.is_null() && free < counts.carved {
            free += 1;
            // SAFETY: the list's blocks are held with the pool.
            block = unsafe { Block::next(block) };
        }
        self.set_counts(Counts { free, ..counts });
    }

    /// Puts what came back from other threads on the free list. For the owner,
    /// while the pool is not full; whether there was anything.
    pub(crate) fn collect(self) -> bool {
        match self.0.remote.take(self.0.base) {
            Some(taken) => {
                self.put_taken(taken);
                true
            }
            None => false,
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::arenas::Arenas;

    fn blocks(taken: Option<Taken>) -> Vec<*mut Block> {
        let mut blocks = Vec::new();
        let mut next = taken.map_or(null_mut(), |taken| taken.first);
        while !next.is_null() {
            blocks.push(next);
            // SAFETY: a taken list is the test's, and ends with null.
            next = unsafe { Block::next(next) };
        }
        assert_eq!(blocks.len(), taken.map_or(0, |taken| taken.len as usize));
        blocks
    }

    #[test]
    fn a_part_of_the_free_list_is_cut_off_whole() {
        static ARENAS: Arenas = Arenas::new();
        let (pool, _) = ARENAS.take_pool(SizeClass::SMALLEST, false).unwrap();
        let carved = pool.carve(10).unwrap();
        assert_eq!((pool.pool().counts().carved, carved.len), (10, 10));
        pool.put_taken(carved);
        let first = blocks(pool.take_some(4));
        assert_eq!((first.len(), pool.pool().counts().free), (4, 6));
        let rest = blocks(pool.take_some(100));
        assert_eq!((rest.len(), pool.pool().counts().free), (6, 0));
        assert!(first.iter().all(|block| !rest.contains(block)));
        assert_eq!(blocks(pool.take_some(3)).len(), 3);
        assert_eq!(pool.pool().counts().out(), 13);
    }

    #[test]
    fn a_pool_carves_as_many_blocks_as_it_holds() {
        static ARENAS: Arenas = Arenas::new();
        for class in [0, 40, 63, 64, 100, 119].map(|index| SizeClass::from_index(index).unwrap()) {
            let (pool, _) = ARENAS.take_pool(class, false).unwrap();
            let mut all = Vec::new();
            while let Some(taken) = pool.carve(7) {
                all.append(&mut blocks(Some(taken)));
            }
            assert_eq!(all.len(), class.capacity() as usize);
            assert!(!pool.has_room());
            let last = all[all.len() - 1].addr() + class.block_size();
            assert!(last <= pool.pool().base().addr() + class.pool_size());
            assert!(all.is_sorted());
        }
    }

    #[test]
    fn a_wrong_count_is_put_right() {
        static ARENAS: Arenas = Arenas::new();
        let (pool, _) = ARENAS.take_pool(SizeClass::SMALLEST, false).unwrap();
        pool.put_taken(pool.carve(5).unwrap());
        for free in [0, 3] {
            pool.set_counts(Counts { carved: 5, free });
            pool.recount();
            assert_eq!(pool.pool().counts().free, 5);
        }
    }
}
