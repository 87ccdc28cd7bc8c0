//! Regions of one class each, their pools, and a byte for each block that says what it is.
//!
//! ```text
//!  region, 32 MiB, of one class for good        its records, elsewhere
//! ┌───────────────────────┬─┬─────────────┬─┐  ┌────────┬────────────────────────────┬───
//! │ pool │ pool │ ... pool│#│ pool │ ...  │#│  │ Region │ Pool │ free bits │ states  │ ...
//! └───────────────────────┴─┴─────────────┴─┘  └────────┴────────────────────────────┴───
//!   a group, 256 KiB       └ a page that nobody may touch
//! ```
//! Nothing about a block lies in it, or beside it: a stray write reaches no record.
//!
//! # States of a block
//! | state | byte | who has it |
//! |---|---|---|
//! | fresh | 0 | its pool; it was never used, its memory is as the kernel gave it |
//! | pooled | 1 | its pool |
//! | at hand | 2, 3 if fresh | a thread's cache or quarantine |
//! | used | 128 and more: the size's low 7 bits | the program |
//!
//! A free of what is not used is a second free, or no block. Of two threads that free or resize
//! one block at the same moment one makes the change, by an exchange, and the other is found out.
//!
//! # Invariants
//! 1. A block that is not used is all zeros, once its free has ended, unless the program wrote
//!    to it.
//! 2. A pool's bit of a block is set exactly while the block is fresh or pooled.
//! 3. `free` is the number of set bits.
//!
//! # Access
//! `capacity` and the states: any thread; where they are too, once there is a capacity. All else in
//! a pool: under its class's lock.

use core::cell::Cell;
use core::ptr::NonNull;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use core::sync::atomic::{AtomicU8, AtomicU32};

use super::canary;
use super::chance::Chance;
use super::large;
use super::map;
use super::zeros;
use crate::config::{ARENA_SIZE, REGION_SIZE};
use crate::os;
use crate::size_class::SizeClass;

/// A region's record.
#[derive(Debug)]
#[repr(C, align(64))]
pub(crate) struct Region {
    base: *mut u8,
    /// The pools' records.
    records: *mut u8,
    class: SizeClass,
    pool_shift: u32,
    /// The pool's size less one.
    pool_mask: usize,
    /// `ceil(2^40 / block size)`: a division by the block size as a product.
    reciprocal: u64,
    block_size: usize,
    record_size: usize,
}

// SAFETY: the record is not written after it is published; `base` is an address.
unsafe impl Sync for Region {}
// SAFETY: as above.
unsafe impl Send for Region {}

/// A pool's record; its bits and states follow it.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Pool {
    /// Blocks in it; 0 before it is made.
    capacity: AtomicU32,
    free: Cell<u32>,
    words: Cell<u32>,
    pub(crate) is_listed: Cell<bool>,
    base: Cell<*mut u8>,
    /// What follows the record. (Not found by its own address: a reference to the record
    /// is a right to the record alone.)
    bits: Cell<*const Cell<u64>>,
    states: Cell<*const AtomicU8>,
    pub(crate) next: Cell<Option<&'static Pool>>,
    pub(crate) prev: Cell<Option<&'static Pool>>,
}

// SAFETY: see Access.
unsafe impl Sync for Pool {}
// SAFETY: see Access.
unsafe impl Send for Pool {}

/// States of a block.
pub(crate) mod state {
    pub(crate) const FRESH: u8 = 0;
    pub(crate) const POOLED: u8 = 1;
    pub(crate) const AT_HAND: u8 = 2;
    pub(crate) const AT_HAND_FRESH: u8 = 3;
    pub(crate) const USED: u8 = 0x80;
}

/// A block, and its state.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slot {
    pub(crate) block: *mut u8,
    pub(crate) state: &'static AtomicU8,
}

impl Slot {
    /// Gives a block another state, if it has this one; else what it has.
    #[inline(always)]
    pub(crate) fn change(self, from: u8, to: u8) -> Result<(), u8> {
        // ORDERING: Relaxed; it is decided who is first, and nothing is handed over.
        let changed = self.state.compare_exchange(from, to, Relaxed, Relaxed);
        changed.map(|_| ())
    }
}

/// Where an address is not a block's start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoBlock {
    /// Inside a block: this many bytes from its start.
    Inside(usize),
    /// Behind the last block of a pool, or where no pool is yet.
    Outside,
}

impl Region {
    /// Reserves a region for a class; `None` if memory has run out.
    pub(crate) fn reserve(class: SizeClass) -> Option<&'static Self> {
        let record_size = record_size(class);
        let pools = REGION_SIZE / class.pool_size();
        let page = os::page_size();
        canary::choose_secret();
        let records = (size_of::<Self>() + pools * record_size).next_multiple_of(page);
        // With a page that nobody may touch on both sides.
        let reserved = os::reserve(records + 2 * page)?;
        let record = reserved.as_ptr().wrapping_add(page);
        // SAFETY: the reservation just made.
        if !unsafe { os::allow(record, records) } {
            // SAFETY: known to nobody.
            unsafe { os::unmap(reserved, records + 2 * page) };
            return None;
        }
        let Some(base) = os::reserve_aligned(REGION_SIZE, REGION_SIZE) else {
            // SAFETY: known to nobody.
            unsafe { os::unmap(reserved, records + 2 * page) };
            return None;
        };
        let region: *mut Self = record.cast();
        let value = Self {
            base: base.as_ptr(),
            records: region.wrapping_add(1).cast(),
            class,
            pool_shift: class.pool_size().trailing_zeros(),
            pool_mask: class.pool_size() - 1,
            reciprocal: (1_u64 << 40).div_ceil(class.block_size() as u64),
            block_size: class.block_size(),
            record_size,
        };
        // SAFETY: new, long enough, aligned to a page.
        unsafe { region.write(value) };
        // SAFETY: just written; never unmapped from here on, but where nobody knows it.
        let region = unsafe { &*region };
        if map::insert(region) {
            return Some(region);
        }
        // SAFETY: known to nobody.
        unsafe { os::unmap(base, REGION_SIZE) };
        // SAFETY: known to nobody.
        unsafe { os::unmap(reserved, records + 2 * page) };
        None
    }

    /// The address it starts at.
    pub(crate) fn start(&self) -> usize {
        self.base.addr()
    }

    /// The class of all its blocks.
    #[inline]
    pub(crate) fn class(&self) -> SizeClass {
        self.class
    }

    /// Pools it has room for.
    pub(crate) fn pools(&self) -> usize {
        REGION_SIZE >> self.pool_shift
    }

    #[inline(always)]
    fn pool(&self, index: usize) -> &'static Pool {
        // SAFETY: the index is of a pool; its record, zeros until it is made, is a record.
        unsafe { &*self.record(index) }
    }

    #[inline(always)]
    fn record(&self, index: usize) -> *const Pool {
        self.records.wrapping_add(index * self.record_size).cast()
    }

    /// Makes pool `index`, which was not made before; `None` if memory has run out, or the
    /// pool would lie under a guard whole.
    pub(crate) fn make_pool(&self, index: usize) -> Option<&'static Pool> {
        let offset = index << self.pool_shift;
        let group = offset & !(ARENA_SIZE - 1);
        let usable = ARENA_SIZE - os::page_size();
        if offset == group {
            large::insist(|| self.open(group, usable).then_some(()))?;
        }
        let pool_size = 1 << self.pool_shift;
        let room = usable.saturating_sub(offset - group).min(pool_size);
        let capacity = (room / self.block_size) as u32;
        let pool = self.pool(index);
        pool.base.set(self.base.wrapping_add(offset));
        let words = self.class.capacity().div_ceil(64);
        let bits: *const Cell<u64> = self.record(index).wrapping_add(1).cast();
        pool.bits.set(bits);
        pool.states.set(bits.wrapping_add(words as usize).cast());
        pool.words.set(words);
        pool.free.set(capacity);
        for (word, bits) in pool.bits().iter().enumerate() {
            let left = capacity.saturating_sub(word as u32 * 64).min(64);
            bits.set(if left == 64 {
                u64::MAX
            } else {
                (1 << left) - 1
            });
        }
        // ORDERING: Release publishes the record; pairs with `slot_at`, which may be asked
        // about any address at any time.
        pool.capacity.store(capacity, Release);
        (capacity > 0).then_some(pool)
    }

    /// Lets a group be used. Where the kernel allows no more mappings, the guard before it
    /// is given up: then this one joins the group before.
    fn open(&self, group: usize, usable: usize) -> bool {
        let start = self.base.wrapping_add(group);
        // SAFETY: pages of this region's reservation that no pool has yet.
        if unsafe { os::allow(start, usable) } {
            let start = NonNull::new(start);
            // SAFETY: as above.
            start.is_some_and(|start| {
                // SAFETY: as above.
                unsafe { os::avoid_huge_pages(start, usable) };
                true
            })
        } else if group > 0 {
            let guard = ARENA_SIZE - usable;
            // SAFETY: as above; the guard before is nobody's.
            unsafe { os::allow(start.wrapping_sub(guard), guard + usable) }
        } else {
            false
        }
    }

    /// The block that starts at an address in the region.
    #[inline(always)]
    pub(crate) fn slot_at(&self, block: *mut u8) -> Result<Slot, NoBlock> {
        let (pool, index, inside) = self.place(block);
        // ORDERING: Acquire receives the record from `make_pool`.
        if index >= pool.capacity.load(Acquire) as usize {
            return Err(NoBlock::Outside);
        }
        if inside > 0 {
            return Err(NoBlock::Inside(inside));
        }
        Ok(Slot {
            block,
            state: pool.state(index),
        })
    }

    /// The pool and the number in it of a block.
    #[inline(always)]
    pub(crate) fn place_of(&self, block: *mut u8) -> (&'static Pool, usize) {
        let (pool, index, _) = self.place(block);
        (pool, index)
    }

    /// The pool that an address in the region lies in, the number that a block there would
    /// have, and the bytes from that block's start.
    #[inline(always)]
    fn place(&self, block: *mut u8) -> (&'static Pool, usize, usize) {
        let offset = block.addr().wrapping_sub(self.base.addr());
        let pool = self.pool(offset >> self.pool_shift);
        let rest = offset & self.pool_mask;
        // Exact: rest < 2^18 and the reciprocal is less than one too large, so the product is less
        // than 2^-22 too large; and a quotient that is no whole number is at least 2^-16 less than the next.
        let index = ((rest as u64 * self.reciprocal) >> 40) as usize;
        (pool, index, rest - index * self.block_size)
    }
}

/// Bytes of a pool's record.
fn record_size(class: SizeClass) -> usize {
    let capacity = class.capacity() as usize;
    let size = size_of::<Pool>() + capacity.div_ceil(64) * size_of::<u64>() + capacity;
    size.next_multiple_of(align_of::<Pool>())
}

impl Pool {
    fn bits(&'static self) -> &'static [Cell<u64>] {
        // SAFETY: the record goes on with that many words (`record_size`).
        unsafe { core::slice::from_raw_parts(self.bits.get(), self.words.get() as usize) }
    }

    #[inline(always)]
    fn state(&'static self, index: usize) -> &'static AtomicU8 {
        // SAFETY: the record goes on with a state for each block; the index is of one.
        unsafe { &*self.states.get().wrapping_add(index) }
    }

    /// Blocks that are not out.
    pub(crate) fn free(&self) -> u32 {
        self.free.get()
    }

    /// Whether all blocks are here.
    pub(crate) fn is_empty(&self) -> bool {
        // ORDERING: Relaxed; under the lock, as `make_pool`.
        self.free.get() == self.capacity.load(Relaxed)
    }

    /// Fills places with blocks that chance picks, as far as blocks are free. How many it filled;
    /// or a block that is in use, though it is marked as free.
    #[inline(never)]
    pub(crate) fn take(
        &'static self,
        places: &mut [Option<Slot>],
        class: SizeClass,
        chance: &mut Chance,
    ) -> Result<usize, *mut u8> {
        let bits = self.bits();
        let (base, block_size) = (self.base.get(), class.block_size());
        // ORDERING: as for `is_empty`.
        let capacity = self.capacity.load(Relaxed);
        let mut taken = 0;
        let mut result = Ok(());
        for place in places {
            // Of one word: the first that is free from there on, or from its front.
            let start = chance.below(capacity);
            let (first, turn) = (start as usize / 64, start % 64);
            let word = match bits.get(first) {
                Some(cell) if cell.get() != 0 => Some(first),
                _ => next_word(bits, first),
            };
            let Some((word, cell)) = word.and_then(|word| Some((word, bits.get(word)?))) else {
                break;
            };
            let bit = (cell.get().rotate_right(turn).trailing_zeros() + turn) % 64;
            cell.set(cell.get() & !(1 << bit));
            self.free.set(self.free.get() - 1);
            let index = word * 64 + bit as usize;
            let slot = Slot {
                block: base.wrapping_add(index * block_size),
                state: self.state(index),
            };
            // ORDERING: Relaxed; a block's state is its holder's to write, which the lock makes us.
            let at_hand = match slot.state.load(Relaxed) {
                state::FRESH => state::AT_HAND_FRESH,
                state::POOLED => state::AT_HAND,
                _ => {
                    result = Err(slot.block);
                    break;
                }
            };
            slot.state.store(at_hand, Relaxed);
            *place = Some(slot);
            taken += 1;
        }
        result.map(|()| taken)
    }

    /// Takes a block back; false if it is here already.
    #[inline(always)]
    pub(crate) fn put(&'static self, index: usize) -> bool {
        let Some(cell) = self.bits().get(index / 64) else {
            return false;
        };
        let bit = 1 << (index % 64);
        if cell.get() & bit != 0 {
            return false;
        }
        cell.set(cell.get() | bit);
        self.free.set(self.free.get() + 1);
        true
    }

    /// The first free block that would be looked at when it is handed out, and is not zeros.
    fn written_to(&'static self, class: SizeClass) -> Option<*mut u8> {
        // ORDERING: as for `is_empty`; the states, as in `take`.
        let capacity = self.capacity.load(Relaxed) as usize;
        (0..capacity)
            .filter(|index| match self.state(*index).load(Relaxed) {
                state::POOLED => true,
                state::FRESH => zeros::is_fresh_looked_at(class),
                _ => false,
            })
            .map(|index| self.base.get().wrapping_add(index * class.block_size()))
            // SAFETY: the pool is empty, and under its lock: its blocks are nobody's; they lie in front of
            // the guard.
            .find(|block| !unsafe { zeros::is_zero(*block, class) })
    }

    /// Gives the memory of an empty pool back to the system, unless what would tell of a write
    /// after a free went with it: then such a block.
    pub(crate) fn discard(&'static self, class: SizeClass) -> Result<(), *mut u8> {
        // ORDERING: as for `is_empty`.
        let capacity = self.capacity.load(Relaxed) as usize;
        let page = os::page_size();
        if page > class.pool_size() {
            // Others have a part of the page.
            return Ok(());
        }
        if let Some(written) = self.written_to(class) {
            return Err(written);
        }
        let bytes = (capacity * class.block_size()).next_multiple_of(page);
        // The blocks do not become fresh: the program may still have pointers to them.
        // SAFETY: the pool is empty: nobody uses its memory, of which these are whole pages.
        unsafe { os::discard(self.base.get(), bytes) };
        Ok(())
    }
}

/// The first word with a bit behind that one, or from the front.
#[cold]
#[inline(never)]
fn next_word(bits: &[Cell<u64>], after: usize) -> Option<usize> {
    let has_bit = |word: &usize| bits.get(*word).is_some_and(|cell| cell.get() != 0);
    (after + 1..bits.len()).chain(0..after).find(has_bit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::unordered::in_two_threads;

    fn region(class: SizeClass) -> &'static Region {
        Region::reserve(class).expect("there is memory")
    }

    #[test]
    fn every_address_of_a_pool_is_a_block_or_inside_one_or_outside() {
        for index in [0, 1, 5, 40, 63, 64, 77, 100, 119] {
            let class = SizeClass::from_index(index).expect("a class");
            let region = region(class);
            let pool = region.make_pool(0).expect("there is memory");
            let capacity = pool.free() as usize;
            assert!(capacity > 0 && capacity <= class.capacity() as usize);
            for offset in 0..class.pool_size() {
                let address = region.base.wrapping_add(offset);
                let (block, inside) = (offset / class.block_size(), offset % class.block_size());
                let found = region.slot_at(address).map(|slot| slot.block);
                let expected = match inside {
                    _ if block >= capacity => Err(NoBlock::Outside),
                    0 => Ok(address),
                    inside => Err(NoBlock::Inside(inside)),
                };
                assert_eq!(found, expected, "{offset} in a pool of {class:?}");
            }
            assert_eq!(
                region
                    .slot_at(region.base.wrapping_add(REGION_SIZE - 8))
                    .err(),
                Some(NoBlock::Outside)
            );
        }
    }

    #[test]
    fn a_pool_gives_each_block_once_and_takes_each_back_once() {
        let class = SizeClass::from_index(5).expect("a class");
        let region = region(class);
        let mut chance = Chance::new();
        // The last of a group, which a guard cuts short.
        region.make_pool(0).expect("there is memory");
        let last = ARENA_SIZE / class.pool_size() - 1;
        let pool = region.make_pool(last).expect("there is memory");
        let room = class.pool_size() - os::page_size();
        assert_eq!(pool.free() as usize, room / class.block_size());
        let mut blocks = Vec::new();
        loop {
            let mut places = [None; 7];
            let taken = pool
                .take(&mut places, class, &mut chance)
                .expect("none is used");
            let given = places.iter().flatten().map(|slot| slot.block.addr());
            assert_eq!(given.clone().count(), taken);
            blocks.extend(given);
            assert_eq!(
                pool.free() as usize,
                room / class.block_size() - blocks.len()
            );
            if taken < places.len() {
                break;
            }
        }
        let in_order = blocks.is_sorted();
        blocks.sort_unstable();
        blocks.dedup();
        assert_eq!(blocks.len(), room / class.block_size());
        assert!(!in_order, "no chance in it");
        for address in blocks {
            let address = region.base.wrapping_add(address - region.start());
            let (home, index) = region.place_of(address);
            assert!(core::ptr::eq(home, pool));
            assert!(pool.put(index) && !pool.put(index));
        }
        assert!(pool.is_empty());
    }

    #[test]
    fn every_block_of_a_pool_is_as_likely_the_first() {
        let mut chance = Chance::new();
        // 2048, 3 and 28 blocks; 341 in whole words and a part of one.
        for index in [0, 119, 96, 5] {
            let class = SizeClass::from_index(index).expect("a class");
            let pool = region(class).make_pool(0).expect("there is memory");
            let capacity = pool.free() as usize;
            let mut counts = vec![0_u32; capacity];
            let rounds = 400 * capacity;
            for _ in 0..rounds {
                let mut place = [None];
                assert_eq!(pool.take(&mut place, class, &mut chance), Ok(1));
                let slot = place[0].expect("a block");
                let block = (slot.block.addr() - pool.base.get().addr()) / class.block_size();
                counts[block] += 1;
                slot.state.store(state::FRESH, Relaxed);
                assert!(pool.put(block));
            }
            // Seven standard deviations.
            let is_fair = |count: &u32| count.abs_diff(400) < 140;
            assert!(counts.iter().all(is_fair), "{class:?}: {counts:?}");
        }
    }

    #[test]
    fn who_asks_about_an_address_finds_the_pools_record_whole() {
        let class = SizeClass::from_index(5).expect("a class");
        let region = region(class);
        in_two_threads(
            || {
                let pool = region.make_pool(0).expect("there is memory");
                pool.base.get().addr()
            },
            |address| {
                let slot = region.slot_at(core::ptr::without_provenance_mut(address));
                let state = slot.expect("a block").state;
                assert_eq!(state.load(Relaxed), state::FRESH);
            },
        );
    }

    #[test]
    fn of_two_who_free_a_block_at_once_one_does() {
        let class = SizeClass::from_index(5).expect("a class");
        let pool = region(class).make_pool(0).expect("there is memory");
        let mut place = [None];
        let taken = pool.take(&mut place, class, &mut Chance::new());
        assert_eq!(taken, Ok(1));
        let state = place[0].expect("a block").state;
        let used = state::USED | 40;
        state.store(used, Relaxed);
        // Both have seen that it is used.
        let answers = std::thread::scope(|scope| {
            let block = core::ptr::null_mut;
            let free = move || {
                Slot {
                    block: block(),
                    state,
                }
                .change(used, state::AT_HAND)
            };
            let other = scope.spawn(free);
            [free(), other.join().expect("it does not panic")]
        });
        assert!(answers.contains(&Ok(())) && answers.contains(&Err(state::AT_HAND)));
    }
}
