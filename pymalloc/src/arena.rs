//! An arena: 256 KiB that hold pools of one size. When all are free they go back to the
//! system together; before, where too much is free, some of them may.
//!
//! # States
//! | state | on which list of `ArenaLists` |
//! |---|---|
//! | usable: some pools free | the one for its kind and number of free pools |
//! | full: no pool free | none |
//! | empty and dirty: all free, some touched | `dirty` |
//! | empty and clean: all free, none touched | `clean` |
//!
//! # Invariants
//! 1. `free` has a bit for each free pool, none above the kind's count; `dirty` is
//!    the part of it whose memory may hold old bytes, and be resident (but for what a huge
//!    page has brought: arena_list.rs). `out` has a bit for each pool that is neither free
//!    nor used: it is being given back.
//! 2. A pool whose bit is set is empty, and nobody holds it but the arenas' lock.
//!
//! # Access
//! All of it under the arenas' lock. (CPython's `arena_object`, which the GIL
//! guards; `nfreepools` is the number of bits in `free`.)

use core::cell::Cell;

use crate::config::{ARENA_SIZE, POOL_SIZE};
use crate::pool::Held;
use crate::region;
use crate::size_class::SizeClass;

/// How large an arena's pools are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// As many as fit.
    Small,
    /// Four smallest pools each.
    Middle,
    /// One pool: the arena.
    Whole,
}

impl Kind {
    /// The kind of arena in which pools of this class lie.
    pub(crate) fn of(class: SizeClass) -> Self {
        match class.pool_size() / POOL_SIZE {
            1 => Self::Small,
            4 => Self::Middle,
            _ => Self::Whole,
        }
    }

    /// Bytes of a pool.
    pub(crate) fn pool_size(self) -> usize {
        match self {
            Self::Small => POOL_SIZE,
            Self::Middle => 4 * POOL_SIZE,
            Self::Whole => ARENA_SIZE,
        }
    }

    /// Pools in an arena.
    pub(crate) fn count(self) -> u32 {
        (ARENA_SIZE / self.pool_size()) as u32
    }

    /// The pools of each page of the system's that holds several.
    fn pages(self, page_size: usize) -> impl Iterator<Item = u16> {
        let each = (page_size / self.pool_size()).min(self.count() as usize);
        let step = each.max(1);
        let starts = (0..self.count()).step_by(step).filter(move |_| each > 1);
        starts.map(move |start| (((1_u32 << step) - 1) << start) as u16)
    }

    /// A bit for each pool.
    pub(crate) fn all(self) -> u16 {
        (((1_u32) << self.count()) - 1) as u16
    }
}

/// The state of an arena.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Arena {
    pub(crate) next: Cell<Option<&'static Arena>>,
    pub(crate) prev: Cell<Option<&'static Arena>>,
    base: *mut u8,
    free: Cell<u16>,
    dirty: Cell<u16>,
    out: Cell<u16>,
    kind: Cell<Kind>,
}

#[cfg(not(loom))]
static_assertions::const_assert_eq!(size_of::<Arena>(), 32);

impl Arena {
    /// An empty, clean arena.
    pub(crate) fn new(base: *mut u8) -> Self {
        Self {
            next: Cell::new(None),
            prev: Cell::new(None),
            base,
            free: Cell::new(Kind::Small.all()),
            dirty: Cell::new(0),
            out: Cell::new(0),
            kind: Cell::new(Kind::Small),
        }
    }

    /// Its first byte.
    pub(crate) fn base(&self) -> *mut u8 {
        self.base
    }

    /// How large its pools are.
    pub(crate) fn kind(&self) -> Kind {
        self.kind.get()
    }

    /// The free pools, as bits.
    pub(crate) fn free(&self) -> u16 {
        self.free.get()
    }

    /// How many pools are free (CPython `nfreepools`).
    pub(crate) fn free_count(&self) -> u32 {
        self.free.get().count_ones()
    }

    /// Whether every pool is free.
    pub(crate) fn is_empty(&self) -> bool {
        self.free.get() == self.kind.get().all()
    }

    /// Bytes of free pools that may be resident.
    pub(crate) fn dirty_bytes(&self) -> usize {
        self.dirty.get().count_ones() as usize * self.kind.get().pool_size()
    }

    /// The pools in use, as bits.
    pub(crate) fn used(&self) -> u16 {
        self.kind.get().all() & !self.free.get() & !self.out.get()
    }

    /// The pools out to be given back, as bits.
    pub(crate) fn out(&self) -> u16 {
        self.out.get()
    }

    /// Gives an empty arena to pools of another size. What is dirty stays so, in
    /// the pools that cover it.
    pub(crate) fn set_kind(&self, kind: Kind) {
        debug_assert!(self.is_empty());
        if self.kind.get() != kind {
            // Not every part of a larger pool need have been touched; where one
            // was, the whole counts.
            if self.dirty.get() != 0 {
                self.dirty.set(kind.all());
            }
            self.kind.set(kind);
            self.free.set(kind.all());
        }
    }

    /// Takes a free pool, a resident one first, and makes it one of `class`; with
    /// the number of bytes in it that are resident already.
    pub(crate) fn take_pool(&self, class: SizeClass) -> (Held, usize) {
        debug_assert!(self.free.get() != 0);
        let dirty = self.dirty.get();
        let pick = if dirty != 0 { dirty } else { self.free.get() };
        let index = pick.trailing_zeros();
        let bit = 1 << index;
        self.free.set(self.free.get() & !bit);
        self.dirty.set(dirty & !bit);
        let pool = self.pool(index);
        pool.reset(class);
        for part in 1..self.kind.get().pool_size() / POOL_SIZE {
            let base = pool.pool().base().wrapping_add(part * POOL_SIZE);
            // SAFETY: the part lies in this arena, which was made.
            let descriptor = unsafe { region::pool_starting_at(base) };
            // SAFETY: the pool is no longer free, and not handed out yet.
            unsafe { Held::new(descriptor) }.reset_part(class);
        }
        let resident = if dirty & bit == 0 {
            0
        } else {
            self.kind.get().pool_size()
        };
        (pool, resident)
    }

    /// Takes back an empty pool of this arena.
    pub(crate) fn put_pool(&self, pool: Held) {
        let offset = pool.pool().base().addr() - self.base.addr();
        let bit = 1 << (offset / self.kind.get().pool_size());
        debug_assert_eq!(self.free.get() & bit, 0);
        self.free.set(self.free.get() | bit);
        self.dirty.set(self.dirty.get() | bit);
    }

    /// The descriptor of pool `index`.
    pub(crate) fn pool(&self, index: u32) -> Held {
        let offset = index as usize * self.kind.get().pool_size();
        // SAFETY: the pool lies in this arena, which was made.
        let pool = unsafe { region::pool_starting_at(self.base.wrapping_add(offset)) };
        // SAFETY: free pools are held by the arenas' lock (invariant 2); for a pool
        // in use the callers read only what anyone may.
        unsafe { Held::new(pool) }
    }

    /// The free pools that may be resident, as bits.
    pub(crate) fn dirty(&self) -> u16 {
        self.dirty.get()
    }

    /// Which of the pools that are out, and were given to the system, may be resident all the same: a
    /// page holds them and others that are free by now. Of that page nothing went, if those
    /// were given by another thread meanwhile.
    pub(crate) fn left_of(&self, given: u16, page_size: usize) -> u16 {
        let free = self.free.get() | given;
        let is_left = |page: &u16| free & page == *page && given & page != *page;
        let pages = self.kind.get().pages(page_size).filter(is_left);
        pages.fold(0, |left, page| left | given & page)
    }

    /// Whether invariant 1 holds.
    #[cfg(not(loom))]
    pub(crate) fn is_sound(&self) -> bool {
        let (free, dirty, out) = (self.free.get(), self.dirty.get(), self.out.get());
        let all = self.kind.get().all();
        (free | out) & !all == 0 && free & out == 0 && dirty & !free == 0
    }

    /// Takes free pools out, to be given back to the system while no lock is held.
    pub(crate) fn take_out(&self, bits: u16) {
        debug_assert_eq!(self.free.get() & bits, bits);
        self.free.set(self.free.get() & !bits);
        self.dirty.set(self.dirty.get() & !bits);
        self.out.set(self.out.get() | bits);
    }

    /// Returns what `take_out` took; some of it may be dirty.
    pub(crate) fn put_back(&self, bits: u16, dirty: u16) {
        debug_assert_eq!(self.out.get() & bits, bits);
        self.out.set(self.out.get() & !bits);
        self.free.set(self.free.get() | bits);
        self.dirty.set(self.dirty.get() | dirty);
    }

    /// The runs of neighbouring pools in `bits`, as offset and bytes.
    pub(crate) fn runs(&self, mut bits: u16) -> impl Iterator<Item = (usize, usize)> {
        let size = self.kind.get().pool_size();
        core::iter::from_fn(move || {
            if bits == 0 {
                return None;
            }
            let start = bits.trailing_zeros();
            let len = (bits >> start).trailing_ones();
            let mask = ((1_u32 << len) - 1) << start;
            bits &= !(mask as u16);
            Some((start as usize * size, len as usize * size))
        })
    }
}

/// The arena of a pool whose descriptor is at hand: where its descriptor lies.
pub(crate) fn arena_of(pool: Held) -> &'static Arena {
    // SAFETY: the pool lies in an arena that was made, in a region of ours.
    unsafe { region::arena_at(pool.pool().base().addr()) }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_page_that_two_threads_gave_in_parts_is_left() {
        const PAGE: usize = 64 << 10;
        let arena = Arena::new(core::ptr::null_mut());
        // Another page is in use.
        arena.take_out(0xff00);
        let (one, other) = (0b0011, 0b1100);
        arena.take_out(one);
        arena.take_out(other | 0x00f0);
        assert_eq!(arena.left_of(one, PAGE), 0, "the other is out");
        arena.put_back(one, 0);
        assert_eq!(arena.left_of(other | 0x00f0, PAGE), other);
        assert_eq!(arena.left_of(other | 0x00f0, 16 << 10), 0);
        assert_eq!(arena.left_of(other | 0x00f0, 4 << 10), 0);
    }

    #[test]
    fn pages_of_the_system_hold_pools_of_each_kind() {
        let pages = |kind: Kind, page_size| kind.pages(page_size).collect::<Vec<_>>();
        assert_eq!(pages(Kind::Small, 64 << 10), [0xf, 0xf0, 0xf00, 0xf000]);
        assert_eq!(pages(Kind::Small, 32 << 10).len(), 8);
        assert_eq!(pages(Kind::Small, 1 << 20), [0xffff]);
        assert_eq!(pages(Kind::Middle, 128 << 10), [0b11, 0b1100]);
        for kind in [Kind::Small, Kind::Middle, Kind::Whole] {
            assert_eq!(pages(kind, 4 << 10), []);
            assert_eq!(pages(kind, kind.pool_size()), []);
        }
    }
}
