//! Pools without an owner: those of threads that have exited, and those that many
//! threads draw single blocks from.
//!
//! ```text
//!                    borrow: a few blocks              adopt: the whole pool
//!  thread, new to    ◀──────────────────┐        ┌──────────────────────▶ thread that
//!  the class                            │        │                        needs many
//!                            shelf of the class: pools with room
//!                                       ▲        ▲
//!  free of a block of ──────────────────┘        └─────────────────────── thread that exits
//!  a common pool        free                      take_in
//! ```
//! A thread that needs one block of a class does not get a pool of its own for it:
//! two hundred threads that touch 64 sizes each share 64 pools.
//!
//! # Invariants
//! 1. The shelf's lock holds every common pool of its class, listed or full.
//! 2. A common pool is on its shelf exactly while it has room.
//! 3. No common pool is empty while the lock is free: the last free gives it back.
//!
//! Lock order: a shelf, then the arenas. Models: `adoption_by_two_threads`,
//! `thread_exit_against_remote_free`, `arena_release_against_last_free`.

use crate::arenas::Arenas;
use crate::block::{Chain, Taken};
use crate::mailbox::Mailbox;
use crate::pool::{Held, NOBODY, OwnerId};
use crate::pool_list::PoolList;
use crate::size_class::SizeClass;
use crate::sync::{Mutex, MutexGuard, lock};

/// A shelf for each class.
#[derive(Debug)]
pub(crate) struct Commons {
    shelves: [Mutex<Shelf>; SizeClass::COUNT],
}

/// The common pools of one class that have room.
#[derive(Debug)]
pub(crate) struct Shelf(PoolList);

// SAFETY: the pools on it are held by whoever has the shelf, that is, by the lock.
unsafe impl Send for Shelf {}

impl Commons {
    /// Empty shelves.
    #[cfg(not(loom))]
    pub(crate) const fn new() -> Self {
        Self {
            shelves: [const { Mutex::new(Shelf(PoolList::new())) }; SizeClass::COUNT],
        }
    }

    /// Empty shelves.
    #[cfg(loom)]
    pub(crate) fn new() -> Self {
        Self {
            shelves: std::array::from_fn(|_| Mutex::new(Shelf(PoolList::new()))),
        }
    }

    fn shelf(&self, class: SizeClass) -> MutexGuard<'_, Shelf> {
        // SAFETY: a class's number is below COUNT.
        lock(unsafe { self.shelves.get_unchecked(class.index()) })
    }

    /// Locks every shelf, in order, for a fork.
    #[cfg(not(loom))]
    pub(crate) fn lock_all(&self) -> [MutexGuard<'_, Shelf>; SizeClass::COUNT] {
        std::array::from_fn(|index| lock(&self.shelves[index]))
    }

    /// Up to `most` blocks of a common pool, a new one if need be, and how many bytes the
    /// heap has grown by, as `Arenas::take_pool` says; `None` if memory has run out.
    pub(crate) fn borrow(
        &self,
        arenas: &Arenas,
        class: SizeClass,
        most: u32,
    ) -> Option<(Taken, usize)> {
        let shelf = self.shelf(class);
        let (pool, growth) = match shelf.0.first() {
            Some(pool) => (pool, 0),
            None => {
                let (pool, growth) = arenas.take_pool(class, false)?;
                pool.set_owner(NOBODY, core::ptr::null());
                // A new pool is common already; nothing can be waiting in it.
                let waiting = pool.pool().remote.make_common(pool.pool().base());
                debug_assert!(waiting.is_none());
                shelf.0.push(pool);
                (pool, growth)
            }
        };
        let taken = pool.take_some(most);
        if !pool.has_room() {
            shelf.0.remove(pool);
        }
        Some((taken?, growth))
    }

    /// Gives a common pool with room to the heap of that name; it holds the pool
    /// then.
    pub(crate) fn adopt(
        &self,
        class: SizeClass,
        id: OwnerId,
        home: *const Mailbox,
    ) -> Option<Held> {
        let shelf = self.shelf(class);
        let pool = shelf.0.first()?;
        shelf.0.remove(pool);
        pool.set_owner(id, home);
        pool.pool().remote.make_owned();
        Some(pool)
    }

    /// Takes in a pool that the caller holds and has taken off its list, with what
    /// came back to it; if all its blocks have, it goes back to its arena.
    pub(crate) fn take_in(&self, arenas: &Arenas, pool: Held) {
        let shelf = self.shelf(pool.pool().class());
        pool.set_owner(NOBODY, core::ptr::null());
        if let Some(taken) = pool.pool().remote.make_common(pool.pool().base()) {
            pool.put_taken(taken);
        }
        settle(shelf, arenas, pool);
    }

    /// Frees blocks of a pool that was common when the caller looked; false if it
    /// has been adopted since: then they are still the caller's.
    ///
    /// # Safety
    /// The caller holds the chain, whose blocks are all of this pool.
    #[must_use]
    pub(crate) unsafe fn free(
        &self,
        arenas: &Arenas,
        pool: &'static crate::pool::Pool,
        chain: Chain,
    ) -> bool {
        let shelf = self.shelf(pool.class());
        if !pool.remote.is_common() {
            return false;
        }
        // SAFETY: invariant 1: the lock holds common pools, and this is one.
        let pool = unsafe { Held::new(pool) };
        // SAFETY: the caller's chain.
        unsafe { pool.put(chain) };
        settle(shelf, arenas, pool);
        true
    }

    /// Calls `f` for each common pool that has room.
    #[cfg(not(loom))]
    pub(crate) fn each_listed(&self, mut f: impl FnMut(Held)) {
        for class in SizeClass::all() {
            self.shelf(class).0.iter().for_each(&mut f);
        }
    }
}

/// Puts a common pool where invariants 2 and 3 want it, after blocks came back.
fn settle(shelf: MutexGuard<'_, Shelf>, arenas: &Arenas, pool: Held) {
    if pool.is_empty() {
        if pool.is_listed() {
            shelf.0.remove(pool);
        }
        // Nobody knows the pool any more; the shelf need not wait for the system.
        drop(shelf);
        arenas.release_pool(pool);
    } else if !pool.is_listed() && pool.has_room() {
        shelf.0.push(pool);
    }
}
