//! The pools of each class, behind a lock each: blocks out to the threads' caches, and back.
//!
//! ```text
//!  used: pools with blocks out and blocks here ──▶ take: a few, picked by chance
//!  empty: all here; the first few keep their memory ◀── put: the last one out
//!  the region's next pool, which was never used
//! ```

use core::sync::atomic::Ordering::Relaxed;

use super::chance::Chance;
use super::dump::Found;
use super::large;
use super::map;
use super::region::{Pool, Region, Slot, state};
use crate::config::ARENA_SIZE;
use crate::size_class::SizeClass;
use crate::sync::{Mutex, MutexGuard, lock};

/// What a class's lock guards.
#[derive(Debug)]
pub(crate) struct Pools {
    used: Option<&'static Pool>,
    /// Empty pools that keep their memory, ...
    empty: Option<&'static Pool>,
    empty_count: usize,
    /// ... and those that gave it back, if they could.
    bare: Option<&'static Pool>,
    region: Option<&'static Region>,
    /// Pools of the region that were made, or passed over.
    made: usize,
}

static POOLS: [Mutex<Pools>; SizeClass::COUNT] = [const {
    Mutex::new(Pools {
        used: None,
        empty: None,
        empty_count: 0,
        bare: None,
        region: None,
        made: 0,
    })
}; SizeClass::COUNT];

/// All locks, held.
pub(crate) type AllHeld = [MutexGuard<'static, Pools>; SizeClass::COUNT];

/// Takes every lock, for a fork.
pub(crate) fn lock_all() -> AllHeld {
    core::array::from_fn(|index| lock(&POOLS[index]))
}

fn of(class: SizeClass) -> MutexGuard<'static, Pools> {
    // SAFETY: a class's number is below COUNT.
    lock(unsafe { POOLS.get_unchecked(class.index()) })
}

/// Fills places with blocks, as far as there are some at hand or there is memory for a pool.
/// How many it filled.
pub(crate) fn take(
    class: SizeClass,
    places: &mut [Option<Slot>],
    chance: &mut Chance,
) -> Result<usize, Found> {
    let mut pools = of(class);
    let mut taken = 0;
    while taken < places.len() {
        let Some(pool) = pools.with_room(class, taken == 0) else {
            break;
        };
        let places = places.get_mut(taken..).unwrap_or_default();
        let more = pool.take(places, class, chance);
        if pool.free() == 0 {
            pools.unlist(pool);
        }
        taken += more.map_err(|used| Found::InUse(used, class))?;
    }
    Ok(taken)
}

/// Takes blocks of one class back, but for those that are none.
pub(crate) fn put(class: SizeClass, slots: &[Option<Slot>]) -> Result<(), Found> {
    let mut pools = of(class);
    let mut result = Ok(());
    for slot in slots.iter().flatten() {
        result = result.and(pools.put(class, *slot));
    }
    result
}

impl Pools {
    fn put(&mut self, class: SizeClass, slot: Slot) -> Result<(), Found> {
        let Some(region) = map::region_at(slot.block.addr()) else {
            return Ok(());
        };
        let (pool, index) = region.place_of(slot.block);
        // ORDERING: Relaxed, here and below; a block's state is its holder's to write, and blocks
        // are passed on under the lock.
        let pooled = match slot.state.load(Relaxed) {
            state::AT_HAND => state::POOLED,
            state::AT_HAND_FRESH => state::FRESH,
            _ => return Err(Found::InUse(slot.block, class)),
        };
        if !pool.put(index) {
            return Err(Found::InUse(slot.block, class));
        }
        slot.state.store(pooled, Relaxed);
        if pool.is_empty() {
            return self.put_empty(pool, class);
        }
        if !pool.is_listed.get() {
            self.list(pool);
        }
        Ok(())
    }

    /// A pool with a block; one in use, or where the caller has nothing yet, an empty or a new one.
    fn with_room(&mut self, class: SizeClass, may_grow: bool) -> Option<&'static Pool> {
        if let Some(pool) = self.used {
            return Some(pool);
        }
        if !may_grow {
            return None;
        }
        let pool = match self.take_empty() {
            Some(pool) => pool,
            None => self.make_pool(class)?,
        };
        self.list(pool);
        Some(pool)
    }

    #[cold]
    #[inline(never)]
    fn make_pool(&mut self, class: SizeClass) -> Option<&'static Pool> {
        loop {
            let region = match self.region {
                Some(region) if self.made < region.pools() => region,
                _ => {
                    let region = large::insist(|| Region::reserve(class))?;
                    self.region = Some(region);
                    self.made = 0;
                    region
                }
            };
            let before = self.made;
            if let Some(pool) = region.make_pool(before) {
                self.made += 1;
                return Some(pool);
            }
            let is_first = before << class.pool_size().trailing_zeros() & (ARENA_SIZE - 1) == 0;
            if is_first {
                // The group could not be opened: memory has run out, for now.
                return None;
            }
            // All of it is guard.
            self.made += 1;
        }
    }

    fn list(&mut self, pool: &'static Pool) {
        pool.is_listed.set(true);
        pool.prev.set(None);
        pool.next.set(self.used);
        if let Some(next) = self.used {
            next.prev.set(Some(pool));
        }
        self.used = Some(pool);
    }

    fn unlist(&mut self, pool: &'static Pool) {
        pool.is_listed.set(false);
        match pool.prev.get() {
            Some(prev) => prev.next.set(pool.next.get()),
            None => self.used = pool.next.get(),
        }
        if let Some(next) = pool.next.get() {
            next.prev.set(pool.prev.get());
        }
    }

    /// An empty pool waits to be used again. Where those that wait have 64 KiB or more, it loses its
    /// memory, unless the system refuses or a page holds other pools as well.
    #[cold]
    #[inline(never)]
    fn put_empty(&mut self, pool: &'static Pool, class: SizeClass) -> Result<(), Found> {
        if pool.is_listed.get() {
            self.unlist(pool);
        }
        if self.empty_count * class.pool_size() < ARENA_SIZE / 4 {
            self.empty_count += 1;
            pool.next.set(self.empty);
            self.empty = Some(pool);
            return Ok(());
        }
        // One that was written to is on no list: nobody gets it while that is said.
        let discarded = pool.discard(class);
        discarded.map_err(|written| Found::Written(written, class))?;
        pool.next.set(self.bare);
        self.bare = Some(pool);
        Ok(())
    }

    /// An empty pool, one that keeps its memory if there is one.
    fn take_empty(&mut self) -> Option<&'static Pool> {
        if let Some(pool) = self.empty {
            self.empty = pool.next.get();
            self.empty_count -= 1;
            return Some(pool);
        }
        let pool = self.bare?;
        self.bare = pool.next.get();
        Some(pool)
    }
}
