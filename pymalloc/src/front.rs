//! A thread's front for one size class: the free blocks at hand.
//!
//! ```text
//!   alloc pops             free pushes
//!        ▲                      │
//!        └────── current ◀──────┘        room = capacity - length
//!                  │  ▲
//!   current is at  │  │ current is
//!   capacity       ▼  │ empty
//!                 older ──▶ back to the pools, when another list comes
//! ```
//! Two lists, so that neither a run of frees nor a run of allocations that starts
//! anywhere goes to the pools before a whole list is used up. A list that came from a
//! pool may be longer than the capacity; `room` is negative then.
//!
//! A block in a front belongs to no pool's free list, whoever owns the pool: a free
//! asks nothing, and blocks of other threads' pools are used again here first. They go
//! home in runs (heap.rs).
//!
//! It is in two parts: the [`Hand`] is what the hit paths touch, the [`Rest`] what only
//! the slow ones do. The hands of all classes lie side by side.
//!
//! # Invariants
//! 1. `room = capacity - length of current`. The capacity is 0, and both lists empty,
//!    before a thread is enlisted and after its exit, so that the first step of
//!    either kind takes the slow way.
//!
//! # Access
//! The thread alone.

use core::cell::Cell;
use core::ptr::null_mut;

use crate::block::{Block, Taken};
use crate::pool_list::PoolList;

/// What the hit paths touch. Sixteen bytes, so that four classes share a cache line and
/// a class is found by one shift.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Hand {
    current: Cell<*mut Block>,
    room: Cell<i32>,
    /// How long the current list may become.
    capacity: Cell<u32>,
}

/// What the slow paths touch besides.
#[derive(Debug)]
pub(crate) struct Rest {
    older: Cell<*mut Block>,
    older_len: Cell<u32>,
    /// How many times blocks were borrowed from the commons, and smallest pools' worth of
    /// new pools taken, since the front was last emptied; counted no further than need be.
    appetite: Cell<u8>,
    pools: PoolList,
}

/// The front of a class.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Front<'a> {
    hand: &'a Hand,
    rest: &'a Rest,
}

#[cfg(not(loom))]
static_assertions::const_assert_eq!(size_of::<Hand>(), 16);
#[cfg(not(loom))]
static_assertions::const_assert_eq!(size_of::<Rest>(), 24);

impl Hand {
    crate::sync::const_fn! {
        /// No room and no blocks.
        pub(crate) fn new() -> Self {
            Self {
                current: Cell::new(null_mut()),
                room: Cell::new(0),
                capacity: Cell::new(0),
            }
        }
    }

    /// Takes a block; null if there is none.
    #[inline(always)]
    pub(crate) fn pop(&self) -> *mut Block {
        let block = self.current.get();
        if !block.is_null() {
            // SAFETY: the front's blocks are the thread's.
            self.current.set(unsafe { Block::next(block) });
            self.room.set(self.room.get().wrapping_add(1));
        }
        block
    }

    /// Adds a block; false if the list is now over its capacity and must be rotated.
    ///
    /// # Safety
    /// The caller gives up the block, which is of the front's class.
    #[inline(always)]
    #[must_use]
    pub(crate) unsafe fn push(&self, block: *mut Block) -> bool {
        // SAFETY: the caller's block until now.
        unsafe { Block::set_next(block, self.current.get()) };
        self.current.set(block);
        let room = self.room.get().wrapping_sub(1);
        self.room.set(room);
        room >= 0
    }
}

impl Rest {
    crate::sync::const_fn! {
        /// No blocks and no pools.
        pub(crate) fn new() -> Self {
            Self {
                older: Cell::new(null_mut()),
                older_len: Cell::new(0),
                appetite: Cell::new(0),
                pools: PoolList::new(),
            }
        }
    }
}

impl<'a> Front<'a> {
    /// The front that these two are.
    pub(crate) fn new(hand: &'a Hand, rest: &'a Rest) -> Self {
        Self { hand, rest }
    }

    /// Pools that have, or may have, free blocks (CPython `usedpools`).
    pub(crate) fn pools(self) -> &'a PoolList {
        &self.rest.pools
    }

    /// How much was fetched from elsewhere since the front was last emptied, in steps.
    pub(crate) fn appetite(self) -> &'a Cell<u8> {
        &self.rest.appetite
    }

    /// Makes room in a closed front, which may have one block too many.
    pub(crate) fn open(self, capacity: u32) {
        self.hand.capacity.set(capacity);
        self.hand
            .room
            .set(self.hand.room.get().wrapping_add_unsigned(capacity));
    }

    /// Gives a front another capacity, and leaves its lists as they are.
    #[cfg(all(feature = "trace", not(any(loom, miri))))]
    pub(crate) fn reopen(self, capacity: u32) {
        self.set_room(capacity, self.current_len());
    }

    /// The block that comes next; null if there is none.
    #[cfg(all(feature = "trace", not(any(loom, miri))))]
    pub(crate) fn first(self) -> *mut Block {
        self.hand.current.get()
    }

    /// Takes both lists out and leaves the front empty, with no room.
    pub(crate) fn close(self) -> [Option<Taken>; 2] {
        let len = self.current_len();
        let first = self.hand.current.replace(null_mut());
        self.set_room(0, 0);
        self.rest.appetite.set(0);
        let current = (!first.is_null()).then_some(Taken { first, len });
        [current, self.take_older()]
    }

    /// Makes a new list the current one, less its first block, which is returned.
    pub(crate) fn load(self, taken: Taken, capacity: u32) -> *mut Block {
        debug_assert!(self.hand.current.get().is_null());
        // SAFETY: a taken list has a block, which is the taker's.
        self.hand.current.set(unsafe { Block::next(taken.first) });
        self.set_room(capacity, taken.len - 1);
        taken.first
    }

    /// Takes the older list.
    pub(crate) fn take_older(self) -> Option<Taken> {
        let first = self.rest.older.replace(null_mut());
        if first.is_null() {
            return None;
        }
        let len = self.rest.older_len.get();
        self.rest.older_len.set(0);
        Some(Taken { first, len })
    }

    /// Makes the current list the older one and returns the one that was; the new
    /// current list may become `capacity` long.
    pub(crate) fn rotate(self, capacity: u32) -> Option<Taken> {
        let out = self.take_older();
        self.rest.older_len.set(self.current_len());
        self.rest.older.set(self.hand.current.replace(null_mut()));
        self.set_room(capacity, 0);
        out
    }

    /// Lets the current list become twice as long as one that went home with `len` blocks,
    /// up to `most`; never shorter than it may.
    pub(crate) fn lengthen(self, len: u32, most: u32) {
        let capacity = len.saturating_mul(2).min(most);
        if capacity > self.hand.capacity.get() {
            let len = self.current_len();
            self.set_room(capacity, len);
        }
    }

    /// Restores invariant 1 for a current list of `len` blocks.
    fn set_room(self, capacity: u32, len: u32) {
        self.hand.capacity.set(capacity);
        self.hand
            .room
            .set(capacity.cast_signed().wrapping_sub_unsigned(len));
    }

    /// How many blocks the current list has.
    pub(crate) fn current_len(self) -> u32 {
        let capacity = self.hand.capacity.get().cast_signed();
        capacity.wrapping_sub(self.hand.room.get()).cast_unsigned()
    }

    /// How many blocks lie here.
    pub(crate) fn len(self) -> u32 {
        self.current_len().wrapping_add(self.rest.older_len.get())
    }

    /// The blocks of both lists, for the thread itself.
    pub(crate) fn blocks(self) -> impl Iterator<Item = *mut Block> {
        [self.hand.current.get(), self.rest.older.get()]
            .into_iter()
            .flat_map(|list| {
                core::iter::successors((!list.is_null()).then_some(list), |block| {
                    // SAFETY: the front's blocks are the thread's, who calls.
                    let next = unsafe { Block::next(*block) };
                    (!next.is_null()).then_some(next)
                })
            })
    }
}
