//! The entries: an array beside each pool, with a word for each block.
//!
//! ```text
//!  region's header            array, from the slab
//! ┌───────────────────────┐   ┌───────┬───────┬───────┬─────┐
//! │ slot of pool 0        │   │ block │ block │ block │ ... │  0: none
//! │ slot of pool 1 ───────┼──▶│   0   │   1   │   2   │     │
//! │ ...     └ and a class │   └───────┴───────┴───────┴─────┘
//! └───────────────────────┘
//! ```
//! A pool gets its array with its first entry, and keeps it when it goes back to its arena. One
//! that comes back for another class gives the array to the next pool that is in need of one so
//! long.
//!
//! # Invariants
//! 1. A slot's low bits are the class that its array is for: arrays start at multiples of 128.
//! 2. An array in a slot has as many words as its class has blocks in a pool; one that is in no
//!    slot is all zeros but for its first word.
//! 3. A slot is changed only by a thread that has a block of a class that its array is not for.
//!    Then no block of the array's class is in use, and none is being freed.
//!
//! # Orderings
//! | here | pairs with |
//! |---|---|
//! | slot: exchange, `AcqRel` | slot: load, Acquire: the array is zeroed before it is seen |
//! | entries: Relaxed | a block passes from thread to thread by what the program does |
//! | `recycle`: Release fence before the link | `each`: Acquire fence before the slot is read again: who sees the link sees that the slot has changed |

use core::ptr::{self, null_mut};
use core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use core::sync::atomic::{AtomicPtr, AtomicU64, fence};
use std::sync::Mutex;

use static_assertions::const_assert;

use super::slab::Slab;
use crate::config::{POOL_SIZE, POOLS_PER_REGION};
use crate::global::SHARED;
use crate::region::{self, Region};
use crate::size_class::SizeClass;

/// Where the array of a pool is: its address, and its class in the low bits.
pub(crate) type Slot = AtomicPtr<AtomicU64>;

const ARRAY_ALIGN: usize = 128;
const CLASS_BITS: usize = ARRAY_ALIGN - 1;
const_assert!(SizeClass::COUNT <= ARRAY_ALIGN);

static SLAB: Slab = Slab::new();

/// Arrays in no slot, by class, linked by their first word. Never waited for: a thread that
/// finds it locked, as a child of a fork may for good, takes a new array.
static IDLE: Mutex<[IdleList; SizeClass::COUNT]> =
    Mutex::new([const { IdleList(null_mut()) }; SizeClass::COUNT]);

struct IdleList(*mut AtomicU64);

// SAFETY: the arrays are touched by whoever has the lock.
unsafe impl Send for IdleList {}

/// Puts an entry, or 0, in the place of the one that a block has, which is returned; `None` if
/// there is no memory for it.
///
/// # Safety
/// The block is in use, of that class.
#[inline(always)]
pub(super) unsafe fn replace(class: SizeClass, block: *mut u8, entry: u64) -> Option<u64> {
    // SAFETY: the block lies in a region.
    let slot = unsafe { region::slot_of(block.addr(), class) };
    let mut array = array_in(slot, class);
    if array.is_null() {
        if entry == 0 {
            return Some(0);
        }
        array = attach(slot, class)?;
    }
    // SAFETY: the array is for this class, and stays while a block of it is in use
    // (invariant 3).
    let word = unsafe { word(array, index_of(class, block)) };
    let old = word.load(Relaxed);
    word.store(entry, Relaxed);
    Some(old)
}

/// Takes the entry out that a block has; 0 for none.
///
/// # Safety
/// The block is the caller's, of that class.
#[inline(always)]
pub(super) unsafe fn take(class: SizeClass, block: *mut u8) -> u64 {
    // SAFETY: the block lies in a region.
    let slot = unsafe { region::slot_of(block.addr(), class) };
    let array = array_in(slot, class);
    if array.is_null() {
        return 0;
    }
    // SAFETY: the array is for this class, and stays until the block is free.
    let word = unsafe { word(array, index_of(class, block)) };
    let entry = word.load(Relaxed);
    if entry != 0 {
        word.store(0, Relaxed);
    }
    entry
}

/// Start and entry of the block of this class that an address lies in.
pub(super) fn find(class: SizeClass, address: *const u8) -> Option<(*const u8, u64)> {
    // SAFETY: a class was found for the address: it lies in a region.
    let slot = unsafe { region::slot_of(address.addr(), class) };
    let array = array_in(slot, class);
    let index = index_of(class, address);
    if array.is_null() || index >= class.capacity() as usize {
        return None;
    }
    // SAFETY: the array has that many words; it is never unmapped.
    let entry = unsafe { word(array, index) }.load(Relaxed);
    let offset = address.addr() % class.pool_size() - index * class.block_size();
    (entry != 0).then(|| (address.wrapping_sub(offset), entry))
}

/// Calls `f` with start and entry of every block that has one.
pub(super) fn each(mut f: impl FnMut(*const u8, u64)) {
    each_slot(|base, slot| {
        let Some((class, array)) = contents(slot.load(Acquire)) else {
            return;
        };
        for index in 0..class.capacity() as usize {
            // SAFETY: the array has that many words; it is never unmapped.
            let entry = unsafe { word(array, index) }.load(Relaxed);
            if entry == 0 {
                continue;
            }
            // ORDERING: Acquire; pairs with the fence in `recycle`.
            fence(Acquire);
            if array_in(slot, class) != array {
                break;
            }
            f(base.wrapping_add(index * class.block_size()), entry);
        }
    });
}

/// Forgets all entries.
pub(super) fn clear() {
    each_slot(|_, slot| {
        if let Some((class, array)) = contents(slot.load(Acquire)) {
            wipe(class, array);
        }
    });
}

/// Bytes of all arrays.
pub(super) fn memory_bytes() -> usize {
    SLAB.used_bytes()
}

/// Which block of its pool an address lies in: a division by the block's size, which is no
/// constant, by a multiplication.
#[inline(always)]
fn index_of(class: SizeClass, address: *const u8) -> usize {
    let offset = address.addr() & (class.pool_size() - 1);
    // SAFETY: a class's number is below COUNT.
    let reciprocal = unsafe { RECIPROCALS.get_unchecked(class.index()) };
    ((offset as u64 * reciprocal) >> SHIFT) as usize
}

/// `ceil(2^SHIFT / size)` for each class. For sizes of up to `2^16` and offsets below `2^18` the
/// quotient is exact: it is too large by less than `2^16 * 2^18 / 2^SHIFT` of a block's part.
static RECIPROCALS: [u64; SizeClass::COUNT] = {
    let mut table = [0; SizeClass::COUNT];
    let mut index = 0;
    while index < table.len() {
        table[index] = (1_u64 << SHIFT).div_ceil(SizeClass::block_size_of(index) as u64);
        index += 1;
    }
    table
};
const SHIFT: u32 = 40;

/// The array in a slot, if it is for this class; else null.
#[inline(always)]
fn array_in(slot: &Slot, class: SizeClass) -> *mut AtomicU64 {
    // ORDERING: Acquire receives an array of zeros; pairs with the exchange in `attach`.
    let tagged = slot.load(Acquire);
    if tagged.addr() & CLASS_BITS != class.index() {
        return null_mut();
    }
    tagged.map_addr(|address| address & !CLASS_BITS)
}

/// What a slot's value says.
fn contents(tagged: *mut AtomicU64) -> Option<(SizeClass, *mut AtomicU64)> {
    let class = SizeClass::from_index(tagged.addr() & CLASS_BITS)?;
    let array = tagged.map_addr(|address| address & !CLASS_BITS);
    (!array.is_null()).then_some((class, array))
}

/// # Safety
/// The array is for a class whose pools have more than `index` blocks.
#[inline(always)]
unsafe fn word(array: *mut AtomicU64, index: usize) -> &'static AtomicU64 {
    // SAFETY: the caller's promise; arrays are never unmapped.
    unsafe { &*array.wrapping_add(index) }
}

/// Gives a pool of this class an array; `None` if memory has run out.
#[cold]
fn attach(slot: &Slot, class: SizeClass) -> Option<*mut AtomicU64> {
    let array = idle_or_new(class)?;
    let before = slot.load(Relaxed);
    let tagged = array.map_addr(|address| address | class.index());
    // ORDERING: AcqRel: Release publishes the zeros; Acquire receives what the array that was
    // there held.
    match slot.compare_exchange(before, tagged, AcqRel, Acquire) {
        Ok(_) => {
            if let Some((class, old)) = contents(before) {
                recycle(class, old);
            }
            Some(array)
        }
        // Another thread, with another block of the pool, was quicker.
        Err(_) => {
            recycle(class, array);
            let theirs = array_in(slot, class);
            (!theirs.is_null()).then_some(theirs)
        }
    }
}

fn idle_or_new(class: SizeClass) -> Option<*mut AtomicU64> {
    if let Ok(mut idle) = IDLE.try_lock()
        && let Some(list) = idle.get_mut(class.index())
        && !list.0.is_null()
    {
        let array = list.0;
        // SAFETY: an array has a word at least; this one is the list's.
        let first = unsafe { word(array, 0) };
        list.0 = ptr::with_exposed_provenance_mut(first.load(Relaxed) as usize);
        first.store(0, Relaxed);
        return Some(array);
    }
    let bytes = class.capacity() as usize * size_of::<u64>();
    let array = SLAB.cut(bytes.next_multiple_of(ARRAY_ALIGN))?;
    Some(array.as_ptr().cast())
}

/// Keeps an array that is in no slot any more; without the lock it is lost.
fn recycle(class: SizeClass, array: *mut AtomicU64) {
    // ORDERING: Release; pairs with the fence in `each`, which must not take the link for an
    // entry of the pool that the array was for.
    fence(Release);
    wipe(class, array);
    if let Ok(mut idle) = IDLE.try_lock()
        && let Some(list) = idle.get_mut(class.index())
    {
        // SAFETY: an array has a word at least.
        let first = unsafe { word(array, 0) };
        first.store(list.0.expose_provenance() as u64, Relaxed);
        list.0 = array;
    }
}

fn wipe(class: SizeClass, array: *mut AtomicU64) {
    for index in 0..class.capacity() as usize {
        // SAFETY: the array has that many words.
        unsafe { word(array, index) }.store(0, Relaxed);
    }
}

/// Calls `f` with base and slot of every smallest-sized pool there may be.
fn each_slot(mut f: impl FnMut(*const u8, &'static Slot)) {
    let mut region = SHARED.arenas.lock().newest_region();
    while let Some(current) = region {
        each_slot_of(current, &mut f);
        region = current.previous();
    }
}

fn each_slot_of(region: Region, f: &mut impl FnMut(*const u8, &'static Slot)) {
    let pools = region.size() / POOL_SIZE;
    for index in 0..pools.min(POOLS_PER_REGION) {
        let base = region.addr() + index * POOL_SIZE;
        // SAFETY: the address lies in the region.
        let slot = unsafe { region::slot_of(base, SizeClass::SMALLEST) };
        f(ptr::with_exposed_provenance(base), slot);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_of_every_block_finds_its_index() {
        for class in SizeClass::all() {
            let size = class.block_size();
            for index in 0..class.capacity() as usize {
                for offset in [index * size, index * size + 1, (index + 1) * size - 1] {
                    let address = ptr::without_provenance(offset + class.pool_size());
                    assert_eq!(index_of(class, address), index, "{size} at {offset}");
                }
            }
        }
    }
}
