//! The way of a pool out of its arena, and of memory back to the system.
//!
//! ```text
//!  take_pool ──▶ arena_list.rs: the fullest arena with a free pool ──▶ pool, held
//!  release_pool ──▶ its arena ──▶ more free than may be retained?
//!                                      │ take_excess: out of the lists
//!                                      ▼
//!                                   Wash: madvise, no lock held ──▶ put_back, clean
//! ```
//! While the system takes its memory, a pool is neither free nor used: nobody else can
//! have it, and the lock is free.
//!
//! Model: `both_pools_of_an_arena_released_at_once` in `loom-tests`.

use core::ptr::NonNull;

use crate::arena::Arena;
use crate::arena_list::ArenaLists;
use crate::arena_map::ArenaMap;
use crate::config::HUGE_PAGE;
use crate::os;
use crate::pool::Held;
use crate::size_class::SizeClass;
use crate::sync::{Mutex, MutexGuard, lock};

/// All arenas, and the map of their addresses.
#[derive(Debug)]
pub(crate) struct Arenas {
    lists: Mutex<ArenaLists>,
    pub(crate) map: ArenaMap,
}

/// Free pools of an arena, out to be given back to the system.
#[derive(Debug)]
pub(crate) struct Wash {
    pub(crate) arena: &'static Arena,
    pub(crate) bits: u16,
    /// Bytes of those that may be resident.
    pub(crate) dirty_bytes: usize,
    /// The arena's chunk, if it is for a huge page; afterwards, if it is no longer.
    pub(crate) huge_chunk: Option<NonNull<u8>>,
}

impl Arenas {
    crate::sync::const_fn! {
        /// No arenas yet.
        pub(crate) fn new() -> Self {
            Self {
                lists: Mutex::new(ArenaLists::new()),
                map: ArenaMap::new(),
            }
        }
    }

    /// Locks the lists, for a fork, for statistics and for checks.
    pub(crate) fn lock(&self) -> MutexGuard<'_, ArenaLists> {
        lock(&self.lists)
    }

    /// A new pool of this class, which grows or does not, held by the caller, and how many bytes
    /// the heap has grown by: idle pools have paid for them if there were any, and what else lies idle should.
    /// `None` if memory has run out.
    pub(crate) fn take_pool(&self, class: SizeClass, grows: bool) -> Option<(Held, usize)> {
        let mut lists = self.lock();
        let pool = lists.take_pool(class, grows, &self.map)?;
        let growth = lists.take_growth();
        if growth > 0
            && let Some(wash) = lists.take_idle()
        {
            drop(lists);
            drop(self.give_back(wash));
        }
        Some((pool, growth))
    }

    /// Gives what is out to the system, while nobody holds the lock (but of what a huge page has
    /// brought besides: `ArenaLists::make_small`, once a chunk).
    fn give_back(&self, mut wash: Wash) -> MutexGuard<'_, ArenaLists> {
        let bytes = wash.give_back();
        let mut lists = self.lock();
        lists.given_back += bytes;
        lists.put_clean(&wash);
        lists
    }

    /// Takes back a pool that the caller holds and that is empty; gives memory back
    /// to the system where more is free than may be retained.
    pub(crate) fn release_pool(&self, pool: Held) {
        debug_assert!(pool.is_empty() && !pool.is_listed());
        let mut lists = self.lock();
        lists.put_pool(pool);
        while let Some(wash) = lists.take_excess() {
            drop(lists);
            lists = self.give_back(wash);
        }
    }

    /// Gives every empty pool's memory back, of the regions that there are when it begins, under
    /// the lock: nobody takes a pool meanwhile, but between two regions.
    pub(crate) fn trim(&self) {
        let mut region = self.lock().newest_region();
        while let Some(current) = region {
            let mut lists = self.lock();
            for arena in lists.arenas_of(current) {
                if let Some(mut wash) = lists.take_dirty(arena) {
                    lists.given_back += wash.give_back();
                    lists.put_clean(&wash);
                }
                lists.give_back_unwanted(arena);
            }
            region = current.previous();
        }
        self.lock().give_back_unmade();
    }
}

#[cfg(not(loom))]
impl Arenas {
    /// Puts back what other threads had out when this process was forked.
    pub(crate) fn recover(&self) {
        let mut lists = self.lock();
        let mut region = lists.newest_region();
        while let Some(current) = region {
            for arena in lists.arenas_of(current).filter(|arena| arena.out() != 0) {
                let bits = arena.out();
                let wash = Wash {
                    arena,
                    bits,
                    dirty_bytes: 0,
                    huge_chunk: None,
                };
                lists.put_back(&wash, bits);
            }
            region = current.previous();
        }
    }
}

impl Wash {
    /// Gives the pools back; how many bytes went, of no more than may have been resident (which
    /// ones is not known where a page holds several pools). Where the
    /// system refuses, because the memory is locked, or a page holds other pools as
    /// well, nothing can be done, and the pools count as clean all the same, so that it
    /// is not asked again and again.
    fn give_back(&mut self) -> usize {
        // Where the system refuses, the next part of the chunk that is given back asks again.
        self.huge_chunk = self.huge_chunk.filter(|chunk| {
            // SAFETY: the chunk lies in a region, which is mapped.
            unsafe { os::avoid_huge_pages(*chunk, HUGE_PAGE) }
        });
        let mut given_back = 0;
        for (offset, bytes) in self.arena.runs(self.bits) {
            let start = self.arena.base().wrapping_add(offset);
            if self.huge_chunk.is_some() {
                // SAFETY: as for the chunk.
                unsafe { os::split_huge_page(start, bytes) };
            }
            // SAFETY: the pools are empty, and out of the arena: nobody knows them.
            given_back += unsafe { os::discard(start, bytes) };
        }
        given_back.min(self.dirty_bytes)
    }
}
