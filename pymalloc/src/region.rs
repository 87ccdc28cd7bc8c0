//! Regions: the address space arenas are carved from, and the one place where an
//! address is turned into a pool.
//!
//! ```text
//!  32 MiB, aligned to 32 MiB
//! ┌────────┬─────────────┬──────────────────┬─────────┬─────────┬───┬───────────┐
//! │ Region │ 128 × Arena │ 2048 × Pool      │ arena 1 │ arena 2 │...│ arena 127 │
//! └────────┴─────────────┴──────────────────┴─────────┴─────────┴───┴───────────┘
//!  arena 0: header, touched as far as it is used      256 KiB each
//! ```
//! The descriptors lie apart from what they describe: a pool's blocks start at its
//! first byte, so a block size that is a multiple of an alignment is aligned, and the
//! descriptors of many pools do not compete for one set of the cache, as CPython's
//! pool headers would at 16 KiB.
//!
//! Where less address space is left than a region, its front part is taken.
//! Regions stay reserved; their memory goes back to the system by pools and arenas.
//!
//! # Provenance
//! The mapping's provenance is exposed when it is made. `Region::of` is the one
//! function that makes a pointer from a masked address.

use core::cell::Cell;
use core::ptr::NonNull;

use static_assertions::const_assert;

use crate::arena::Arena;
use crate::config::{
    ARENA_SIZE, ARENAS_PER_REGION, HUGE_PAGE, POOL_SIZE, POOLS_PER_ARENA, POOLS_PER_REGION,
    REGION_SIZE,
};
use crate::os;
use crate::pool::Pool;
use crate::size_class::SizeClass;

const ARENAS_OFFSET: usize = size_of::<Header>();
const POOLS_OFFSET: usize =
    (ARENAS_OFFSET + ARENAS_PER_REGION * size_of::<Arena>()).next_multiple_of(align_of::<Pool>());
const SLOTS_OFFSET: usize = POOLS_OFFSET + POOLS_PER_REGION * size_of::<Pool>();
/// With the feature `trace`, a pointer for each descriptor.
const SLOT_SIZE: usize = if cfg!(feature = "trace") { 8 } else { 0 };
const HEADER_SIZE: usize = SLOTS_OFFSET + POOLS_PER_REGION * SLOT_SIZE;
/// Arenas that the header takes the place of.
const HEADER_ARENAS: usize = HEADER_SIZE.div_ceil(ARENA_SIZE);

const_assert!(HEADER_ARENAS < ARENAS_PER_REGION);
const_assert!(ARENAS_OFFSET.is_multiple_of(align_of::<Arena>()));

/// A region by its start. Only the holder of the arenas' lock asks it for more than
/// addresses and its size.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Region(NonNull<Header>);

/// The first bytes of a region.
#[derive(Debug)]
#[repr(C, align(64))]
struct Header {
    /// The region reserved before this one.
    previous: Option<Region>,
    /// Arenas in it, those under the header included.
    arenas: usize,
    /// A bit for each chunk that was made for a huge page, until something of it is given
    /// back. Under the arenas' lock.
    huge: Cell<u16>,
}

impl Header {
    fn new(previous: Option<Region>, arenas: usize) -> Self {
        Self {
            previous,
            arenas,
            huge: Cell::new(0),
        }
    }
}

impl Region {
    /// Reserves a region; a smaller one where address space is short; `None` if
    /// not even a single arena is to be had.
    pub(crate) fn reserve(previous: Option<Region>) -> Option<Self> {
        let mut arenas = ARENAS_PER_REGION;
        while arenas > HEADER_ARENAS {
            if let Some(start) = os::map_aligned(arenas * ARENA_SIZE, REGION_SIZE) {
                let _ = start.expose_provenance();
                // SAFETY: the new mapping.
                unsafe { os::avoid_huge_pages(start, arenas * ARENA_SIZE) };
                let header: NonNull<Header> = start.cast();
                // SAFETY: the mapping is ours, new, and longer than its header.
                unsafe { header.write(Header::new(previous, arenas)) };
                return Some(Self(header));
            }
            arenas /= 8;
        }
        None
    }

    /// The region whose bytes include `address`.
    pub(crate) fn of(address: usize) -> Self {
        let start = core::ptr::with_exposed_provenance_mut(address & !(REGION_SIZE - 1));
        // SAFETY: callers ask for addresses in regions, none of which is at 0.
        Self(unsafe { NonNull::new_unchecked(start) })
    }

    fn header(self) -> &'static Header {
        // SAFETY: written by `reserve`, but for a cell never again, never unmapped.
        unsafe { self.0.as_ref() }
    }

    fn at(self, offset: usize) -> *mut u8 {
        self.0.as_ptr().cast::<u8>().wrapping_add(offset)
    }

    /// The address it starts at.
    pub(crate) fn addr(self) -> usize {
        self.0.addr().get()
    }

    /// Bytes of address space.
    pub(crate) fn size(self) -> usize {
        self.header().arenas * ARENA_SIZE
    }

    /// The region reserved before this one.
    pub(crate) fn previous(self) -> Option<Region> {
        self.header().previous
    }

    /// The numbers of the arenas that can be used.
    pub(crate) fn usable(self) -> core::ops::Range<usize> {
        HEADER_ARENAS..self.header().arenas
    }

    /// Arena `index`, which was made.
    pub(crate) fn arena_address(self, index: usize) -> *mut Arena {
        self.at(ARENAS_OFFSET + index * size_of::<Arena>()).cast()
    }

    fn pool_address(self, index: usize) -> *mut Pool {
        self.at(POOLS_OFFSET + index * size_of::<Pool>()).cast()
    }

    /// Whether arena `index` is the first of a chunk that is in this region to its end.
    pub(crate) fn starts_chunk(self, index: usize) -> bool {
        let arenas = HUGE_PAGE / ARENA_SIZE;
        index.is_multiple_of(arenas) && index + arenas <= self.header().arenas
    }

    /// Asks for a huge page for the chunk that begins with arena `index`, untouched as yet.
    pub(crate) fn make_huge(self, index: usize) {
        let Some(start) = NonNull::new(self.at(index * ARENA_SIZE)) else {
            return;
        };
        // SAFETY: the chunk lies in the region, which is mapped.
        if unsafe { os::use_huge_pages(start, HUGE_PAGE) } {
            let huge = &self.header().huge;
            huge.set(huge.get() | Self::chunk_bit(start.as_ptr()));
        }
    }

    /// The chunk that an address in a region lies in, if it is for a huge page.
    pub(crate) fn huge_chunk_at(address: *mut u8) -> Option<NonNull<u8>> {
        let start = address.map_addr(|address| address & !(HUGE_PAGE - 1));
        let huge = Self::of(start.addr()).header().huge.get();
        NonNull::new(start).filter(|_| huge & Self::chunk_bit(start) != 0)
    }

    /// Notes that a chunk has small pages; whether it had not.
    pub(crate) fn make_small(chunk: NonNull<u8>) -> bool {
        let huge = &Self::of(chunk.addr().get()).header().huge;
        let before = huge.get();
        huge.set(before & !Self::chunk_bit(chunk.as_ptr()));
        huge.get() != before
    }

    fn chunk_bit(start: *mut u8) -> u16 {
        1 << (start.addr() % REGION_SIZE / HUGE_PAGE)
    }

    /// What lies between arena `index`, which was not made, and the end of its chunk, if
    /// that has begun: a huge page may have brought it along.
    pub(crate) fn rest_of_chunk(self, index: usize) -> Option<(*mut u8, usize)> {
        let arenas = HUGE_PAGE / ARENA_SIZE;
        let end = index.next_multiple_of(arenas).min(self.header().arenas);
        (index < end).then(|| (self.at(index * ARENA_SIZE), (end - index) * ARENA_SIZE))
    }

    /// Makes arena `index`, with a descriptor for each of its pools.
    ///
    /// # Safety
    /// `index` is usable and the arena was not made before.
    pub(crate) unsafe fn make_arena(self, index: usize) -> &'static Arena {
        let base = self.at(index * ARENA_SIZE);
        for part in 0..POOLS_PER_ARENA {
            let pool = self.pool_address(index * POOLS_PER_ARENA + part);
            // SAFETY: it lies in the header, which is mapped, and no reference to
            // it exists: the arena is new.
            unsafe { pool.write(Pool::new(base.wrapping_add(part * POOL_SIZE))) };
        }
        let arena = self.arena_address(index);
        // SAFETY: as for the pools.
        unsafe { arena.write(Arena::new(base)) };
        // SAFETY: just written; regions are never unmapped.
        unsafe { &*arena }
    }
}

/// The descriptor for an address in a pool of arenas that have been made: of the
/// smallest-sized part of the pool that the address is in.
///
/// # Safety
/// `address` lies in an arena that was made, of a region of ours.
unsafe fn part_of(address: usize) -> &'static Pool {
    let region = Region::of(address);
    let pool = region.pool_address((address - region.addr()) / POOL_SIZE);
    // SAFETY: the arena was made, its descriptors with it; they are never freed.
    unsafe { &*pool }
}

/// The pool that a block of this class lies in.
///
/// # Safety
/// `address` lies in a block of ours, of class `class`.
#[inline]
pub(crate) unsafe fn pool_of(address: usize, class: SizeClass) -> &'static Pool {
    // SAFETY: pools are aligned to their size, so the masked address is the start
    // of the block's pool, in the same arena.
    unsafe { part_of(address & !(class.pool_size() - 1)) }
}

/// The class of the block that an address lies in; of a pool that is not in use, its
/// last class; `None` where there never was a pool.
///
/// # Safety
/// A region of ours starts at the last multiple of `REGION_SIZE`.
#[cfg(not(loom))]
#[inline]
pub(crate) unsafe fn class_at(address: usize) -> Option<SizeClass> {
    let region = Region::of(address);
    let pool = region.pool_address((address - region.addr()) / POOL_SIZE);
    // SAFETY: the header has a place for each descriptor of a whole region, of zeros
    // until it is made: a descriptor is atomics and pointers, and zeros are one.
    unsafe { &*pool }.last_class()
}

/// Where the entries are kept of the pool that a block of this class lies in.
///
/// # Safety
/// A region of ours starts at the last multiple of `REGION_SIZE`.
#[cfg(all(feature = "trace", not(any(loom, miri))))]
#[inline]
pub(crate) unsafe fn slot_of(
    address: usize,
    class: SizeClass,
) -> &'static core::sync::atomic::AtomicPtr<core::sync::atomic::AtomicU64> {
    let region = Region::of(address);
    let index = (address - region.addr()) / POOL_SIZE;
    let index = index & !(class.pool_size() / POOL_SIZE - 1);
    let slot = region.at(SLOTS_OFFSET + index * SLOT_SIZE);
    // SAFETY: the header has a place for each slot, of zeros at first, which are a null.
    unsafe { &*slot.cast() }
}

/// The descriptor of the pool that starts at `base`.
///
/// # Safety
/// `base` is the start of a pool's part in an arena that was made.
pub(crate) unsafe fn pool_starting_at(base: *mut u8) -> &'static Pool {
    // SAFETY: the caller's promise.
    unsafe { part_of(base.addr()) }
}

/// The arena an address lies in.
///
/// # Safety
/// The arena was made, in a region of ours.
pub(crate) unsafe fn arena_at(address: usize) -> &'static Arena {
    let region = Region::of(address);
    let arena = region.arena_address((address - region.addr()) / ARENA_SIZE);
    // SAFETY: the caller's promise; arenas are never freed.
    unsafe { &*arena }
}
