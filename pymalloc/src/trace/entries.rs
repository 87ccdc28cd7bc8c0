//! The entries: an array beside each pool, with a word for each block.
//!
//! ```text
//!  region's header            array, from the slab
//! ┌───────────────────────┐   ┌───────┬───────┬───────┬─────┬──────┐
//! │ slot of pool 0        │   │ block │ block │ block │ ... │ link │  0: none
//! │ slot of pool 1 ───────┼──▶│   0   │   1   │   2   │     │      │
//! │ ...     └ and a class │   └───────┴───────┴───────┴─────┴──────┘
//! └───────────────────────┘
//! ```
//! A pool gets its array with its first entry, and keeps it when it goes back to its arena. One
//! that comes back for another class gives the array, with its first entry, to the next pool that
//! is in need of one so long. Until then the array's entries are nobody's, and are passed over.
//!
//! # Invariants
//! 1. A slot's low bits are the class that its array is for: arrays start at multiples of 128.
//! 2. An array has as many words as its class has blocks in a pool, and one more, which is the
//!    link's: no entry is ever there. In an idle array all entries are 0.
//! 3. A slot is changed only by a thread that has a block of the pool, and only while the array
//!    there, if any, is for another class than the block's. Then no block of the array's class is
//!    in use in the pool, and none is being freed.
//!
//! # Orderings
//! | here | pairs with |
//! |---|---|
//! | slot: exchange, `AcqRel` | slot: load, Acquire: the array is zeroed before it is seen |
//! | entry: store, Release, in `replace` | entry: load, Acquire, in `read`: what the tracer wrote before it gave the entry; and, of an entry of another pool's, that the slot has changed |
//! | entries of one's own block: Relaxed | a block passes from thread to thread by what the program does |
//! | links: Relaxed | the lock |

use core::ptr::{self, null_mut};
use core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use core::sync::atomic::{AtomicPtr, AtomicU64};
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

/// Arrays in no slot, by class, linked by their last word. Never waited for: a thread that
/// finds it locked, as a child of a fork may for good, takes a new array.
static IDLE: Mutex<[IdleList; SizeClass::COUNT]> =
    Mutex::new([const { IdleList(null_mut()) }; SizeClass::COUNT]);

struct IdleList(*mut AtomicU64);

// SAFETY: the arrays are touched by whoever has the lock.
unsafe impl Send for IdleList {}

/// Puts an entry, or 0, in the place of the one that a block has; false if there is no memory for
/// it. `stale` gets what is found besides: entries that were left by threads that had not noticed
/// that they were to take them out, and the blocks, long free, that they were for.
///
/// # Safety
/// The block is in use, of that class.
#[inline(always)]
pub(super) unsafe fn replace(
    class: SizeClass,
    block: *mut u8,
    entry: u64,
    mut stale: impl FnMut(*mut u8, u64),
) -> bool {
    // SAFETY: the block lies in a region.
    let slot = unsafe { region::slot_of(block.addr(), class) };
    let mut array = array_in(slot, class);
    if array.is_null() {
        if entry == 0 {
            return true;
        }
        let base = block.map_addr(|address| address & !(class.pool_size() - 1));
        match attach(slot, class, base, &mut stale) {
            Some(attached) => array = attached,
            None => return false,
        }
    }
    // SAFETY: the array is for this class, and stays while a block of it is in use
    // (invariant 3).
    let word = unsafe { word(array, index_of(class, block)) };
    let old = word.load(Relaxed);
    // ORDERING: Release publishes what the tracer wrote for the entry; pairs with `read`.
    word.store(entry, Release);
    if old != 0 {
        stale(block, old);
    }
    true
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
    // SAFETY: a pool of the class has more blocks than that.
    let entry = unsafe { read(slot, class, array, index) }?;
    let offset = address.addr() % class.pool_size() - index * class.block_size();
    Some((address.wrapping_sub(offset), entry))
}

/// Calls `f` with start and entry of every block that has one.
pub(super) fn each(mut f: impl FnMut(*const u8, u64)) {
    each_slot(|base, slot| {
        // ORDERING: Acquire, as in `array_in`.
        let Some((class, array)) = contents(slot.load(Acquire)) else {
            return;
        };
        // SAFETY: the slot's pool lies in a region.
        if unsafe { region::class_at(base.addr()) } != Some(class) {
            // What the pool was before left these.
            return;
        }
        for index in 0..class.capacity() as usize {
            // SAFETY: a pool of the class has more blocks than that.
            if let Some(entry) = unsafe { read(slot, class, array, index) } {
                f(base.wrapping_add(index * class.block_size()), entry);
            }
        }
    });
}

/// An entry of an array that was found in a slot; `None` if there is none, or the array is the
/// slot's no longer.
///
/// # Safety
/// A pool of this class has more than `index` blocks.
unsafe fn read(slot: &Slot, class: SizeClass, array: *mut AtomicU64, index: usize) -> Option<u64> {
    // SAFETY: the array has that many words; it is never unmapped.
    let word = unsafe { word(array, index) };
    // ORDERING: Acquire, here and below: receives what the tracer wrote; pairs with `replace`. If
    // the entry is another pool's, the slot is then seen without the array, or with the array
    // again: then the entry is seen gone.
    let mut entry = word.load(Acquire);
    while entry != 0 && array_in(slot, class) == array {
        let again = word.load(Acquire);
        if again == entry {
            return Some(entry);
        }
        entry = again;
    }
    None
}

/// Forgets all entries.
pub(super) fn clear() {
    each_slot(|_, slot| {
        // ORDERING: Acquire, as in `array_in`.
        if let Some((class, array)) = contents(slot.load(Acquire)) {
            wipe(class, array, |_, _| ());
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
    array_of(slot.load(Acquire), class)
}

/// The array that a slot's value says, if it is for this class; else null.
#[inline(always)]
fn array_of(tagged: *mut AtomicU64, class: SizeClass) -> *mut AtomicU64 {
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
/// The array is for a class whose pools have `index` blocks at least.
#[inline(always)]
unsafe fn word(array: *mut AtomicU64, index: usize) -> &'static AtomicU64 {
    // SAFETY: the caller's promise; arrays are never unmapped.
    unsafe { &*array.wrapping_add(index) }
}

/// The array of the pool of this class that starts at `base`, which gets one if it has none;
/// `None` if memory has run out. `stale` gets the entries of the array that was there for another
/// class, and where their blocks were.
#[cold]
fn attach(
    slot: &Slot,
    class: SizeClass,
    base: *mut u8,
    stale: &mut dyn FnMut(*mut u8, u64),
) -> Option<*mut AtomicU64> {
    // ORDERING: Acquire receives an array of zeros; pairs with the exchange.
    let before = slot.load(Acquire);
    let theirs = array_of(before, class);
    if !theirs.is_null() {
        // Another thread, with another block of the pool, has been quicker.
        return Some(theirs);
    }
    let array = idle_or_new(class)?;
    let tagged = array.map_addr(|address| address | class.index());
    // ORDERING: AcqRel: Release publishes the zeros; Acquire receives another thread's.
    match slot.compare_exchange(before, tagged, AcqRel, Acquire) {
        Ok(_) => {
            if let Some((class, old)) = contents(before) {
                wipe(class, old, |index, entry| {
                    stale(base.wrapping_add(index * class.block_size()), entry);
                });
                recycle(class, old);
            }
            Some(array)
        }
        // Another thread was quicker, since.
        Err(now) => {
            recycle(class, array);
            let theirs = array_of(now, class);
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
        let link = link_of(class, array).load(Relaxed);
        list.0 = ptr::with_exposed_provenance_mut(link as usize);
        return Some(array);
    }
    let bytes = (class.capacity() as usize + 1) * size_of::<u64>();
    let array = SLAB.cut(bytes.next_multiple_of(ARRAY_ALIGN))?;
    Some(array.as_ptr().cast())
}

/// The word of an array that is no entry.
fn link_of(class: SizeClass, array: *mut AtomicU64) -> &'static AtomicU64 {
    // SAFETY: an array has that word, too (invariant 2).
    unsafe { word(array, class.capacity() as usize) }
}

/// Keeps an array of zeros that is in no slot; without the lock it is lost.
fn recycle(class: SizeClass, array: *mut AtomicU64) {
    if let Ok(mut idle) = IDLE.try_lock()
        && let Some(list) = idle.get_mut(class.index())
    {
        link_of(class, array).store(list.0.expose_provenance() as u64, Relaxed);
        list.0 = array;
    }
}

/// Makes every entry 0; `each` gets those that were not.
fn wipe(class: SizeClass, array: *mut AtomicU64, mut each: impl FnMut(usize, u64)) {
    for index in 0..class.capacity() as usize {
        // SAFETY: the array has that many words.
        let word = unsafe { word(array, index) };
        if word.load(Relaxed) != 0 {
            // ORDERING: Relaxed; one that is wiped by two at once is told of by one.
            let entry = word.swap(0, Relaxed);
            if entry != 0 {
                each(index, entry);
            }
        }
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
    use core::alloc::{GlobalAlloc, Layout};
    use core::cell::UnsafeCell;
    use std::sync::{MutexGuard, PoisonError};

    use super::*;
    use crate::PyMalloc;
    use crate::unordered::in_two_threads;

    /// For tests that look at the entries of blocks, since `clear` forgets them all.
    fn alone() -> MutexGuard<'static, ()> {
        static ONE: Mutex<()> = Mutex::new(());
        ONE.lock().unwrap_or_else(PoisonError::into_inner)
    }

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

    fn class_of_size(size: usize) -> SizeClass {
        let layout = core::alloc::Layout::from_size_align(size, 1).expect("a legal layout");
        SizeClass::of(layout).expect("a class")
    }

    fn entries_of(class: SizeClass, array: *mut AtomicU64) -> Vec<u64> {
        (0..class.capacity() as usize)
            // SAFETY: the array has that many words.
            .map(|index| unsafe { word(array, index) }.load(Relaxed))
            .collect()
    }

    #[test]
    fn an_idle_array_has_a_link_and_no_entry() {
        let class = class_of_size(60_000);
        let arrays = [(); 3].map(|()| idle_or_new(class).expect("there is memory"));
        for array in arrays {
            recycle(class, array);
        }
        for array in arrays {
            assert!(entries_of(class, array).iter().all(|entry| *entry == 0));
        }
        let again = [(); 3].map(|()| idle_or_new(class).expect("there is memory"));
        assert_eq!(again, [arrays[2], arrays[1], arrays[0]]);
    }

    #[test]
    fn a_pool_has_one_array_whichever_of_its_threads_comes_first() {
        static SLOT: Slot = AtomicPtr::new(null_mut());
        let class = class_of_size(6_000);
        let base: *mut u8 = ptr::without_provenance_mut(1 << 30);
        let mut stale = Vec::new();
        let mut attach_one = || {
            let tell = &mut |block: *mut u8, entry| stale.push((block.addr(), entry));
            attach(&SLOT, class, base, tell).expect("there is memory")
        };
        let array = attach_one();
        // SAFETY: a pool of the class has more blocks.
        let entry = unsafe { word(array, 1) };
        entry.store(90, Relaxed);
        // As a thread does that found none a moment ago.
        assert_eq!(attach_one(), array);
        assert_eq!(entry.load(Relaxed), 90);
        assert_eq!(stale, []);
        entry.store(0, Relaxed);
    }

    #[test]
    fn what_a_pool_has_from_another_class_is_passed_over() {
        let _alone = alone();
        let (before, now) = (class_of_size(5_000), class_of_size(6_000));
        assert_eq!(before.pool_size(), now.pool_size());
        let layout = Layout::from_size_align(6_000, 1).expect("a legal layout");
        // SAFETY: the layout is not empty.
        let block = unsafe { PyMalloc.alloc(layout) };
        let base = block.map_addr(|address| address & !(now.pool_size() - 1));
        // SAFETY: the block lies in a region.
        let slot = unsafe { region::slot_of(block.addr(), now) };
        let found = |wanted: u64| {
            let mut count = 0;
            each(|_, entry| count += usize::from(entry == wanted));
            count
        };
        let mut stale = Vec::new();
        let mut set = |class, entry| {
            let tell = &mut |_: *mut u8, entry| stale.push(entry);
            let array = attach(slot, class, base, tell).expect("there is memory");
            // SAFETY: a pool of the class has a block.
            unsafe { word(array, 0) }.store(entry, Relaxed);
        };
        set(before, 0x5000);
        assert_eq!(found(0x5000), 0);
        set(now, 0x6000);
        assert_eq!((found(0x5000), found(0x6000)), (0, 1));
        set(now, 0);
        assert_eq!(stale, [0x5000]);
        // SAFETY: the block from above.
        unsafe { PyMalloc.dealloc(block, layout) };
    }

    #[test]
    fn an_array_that_makes_room_tells_what_was_left_in_it() {
        static SLOT: Slot = AtomicPtr::new(null_mut());
        let (first, second) = (class_of_size(5_000), class_of_size(50_000));
        let base: *mut u8 = ptr::without_provenance_mut(1 << 30);
        let mut stale = Vec::new();
        let mut tell = |block: *mut u8, entry| stale.push((block.addr(), entry));
        let array = attach(&SLOT, first, base, &mut tell).expect("there is memory");
        for index in [0, 3] {
            // SAFETY: a pool of the class has more blocks.
            unsafe { word(array, index) }.store(70 + index as u64, Relaxed);
        }
        // SAFETY: as above.
        let read_there = || unsafe { read(&SLOT, first, array, 3) };
        assert_eq!(read_there(), Some(73));
        attach(&SLOT, second, base, &mut tell).expect("there is memory");
        let at = |index| base.addr() + index * first.block_size();
        assert_eq!(stale, [(at(0), 70), (at(3), 73)]);
        assert_eq!(read_there(), None);
        // It may be another pool's by now: what is read there is not of this slot.
        // SAFETY: as above.
        unsafe { word(array, 3) }.store(80, Relaxed);
        assert_eq!(read_there(), None);
        // SAFETY: as above.
        unsafe { word(array, 3) }.store(0, Relaxed);
    }

    /// Leaves an array idle whose zeros this thread has written, as the kernel writes a new one's.
    fn leave_zeros(class: SizeClass) {
        let array = idle_or_new(class).expect("there is memory");
        for index in 0..class.capacity() as usize {
            // SAFETY: the array has that many words, and is nobody else's.
            unsafe { array.wrapping_add(index).cast::<u64>().write(0) };
        }
        recycle(class, array);
    }

    #[test]
    fn who_finds_an_array_finds_its_zeros() {
        static SLOT: Slot = AtomicPtr::new(null_mut());
        let class = class_of_size(40_000);
        in_two_threads(
            || {
                leave_zeros(class);
                let array = attach(&SLOT, class, null_mut(), &mut |_, _| ());
                array.expect("there is memory").addr()
            },
            |address| {
                let array = array_in(&SLOT, class);
                assert_eq!(array.addr(), address);
                assert!(entries_of(class, array).iter().all(|entry| *entry == 0));
            },
        );
    }

    #[test]
    fn who_would_attach_an_array_finds_the_zeros_of_another_threads() {
        static SLOT: Slot = AtomicPtr::new(null_mut());
        let class = class_of_size(30_000);
        let attach = || attach(&SLOT, class, null_mut(), &mut |_, _| ()).expect("there is memory");
        in_two_threads(
            || {
                leave_zeros(class);
                attach().addr()
            },
            |address| {
                let array = attach();
                assert_eq!(array.addr(), address);
                assert!(entries_of(class, array).iter().all(|entry| *entry == 0));
            },
        );
    }

    /// A block that has an entry, of which no lock was held since; not the first of its pool.
    fn block_with_entry(class: SizeClass) -> *mut u8 {
        let layout = Layout::from_size_align(class.block_size(), 1).expect("a legal layout");
        // SAFETY: the layout is not empty.
        let blocks = [(); 2].map(|()| unsafe { PyMalloc.alloc(layout) });
        leave_zeros(class);
        let block = blocks.into_iter().max().expect("there are two");
        // SAFETY: a block of this class, in use.
        assert!(unsafe { replace(class, block, 77, |_, _| ()) });
        block
    }

    #[test]
    fn who_goes_through_all_entries_finds_zeros_where_there_is_none() {
        let _alone = alone();
        let class = class_of_size(3_000);
        in_two_threads(
            || block_with_entry(class).addr(),
            |address| {
                let mut found = None;
                each(|block, entry| found = found.or((block.addr() == address).then_some(entry)));
                assert_eq!(found, Some(77));
            },
        );
        let class = class_of_size(3_500);
        in_two_threads(
            || block_with_entry(class).addr(),
            |address| {
                clear();
                assert!(find(class, ptr::without_provenance(address)).is_none());
            },
        );
    }

    #[test]
    fn who_finds_an_entry_sees_what_was_written_before_it() {
        struct Note(UnsafeCell<u64>);
        // SAFETY: it is written before there is an entry that says so, and read after that.
        unsafe impl Sync for Note {}
        static NOTE: Note = Note(UnsafeCell::new(0));
        let _alone = alone();
        let class = class_of_size(2_000);
        let address = block_with_entry(class).expose_provenance();
        in_two_threads(
            || {
                // SAFETY: nobody reads it yet.
                unsafe { NOTE.0.get().write(5) };
                let block = ptr::with_exposed_provenance_mut(address);
                // SAFETY: a block of this class, in use.
                assert!(unsafe { replace(class, block, 78, |_, _| ()) });
                78
            },
            |entry| {
                let found = find(class, ptr::without_provenance(address));
                assert!(found.is_some_and(|(_, found)| found == entry as u64));
                // SAFETY: the entry was found.
                assert_eq!(unsafe { NOTE.0.get().read() }, 5);
            },
        );
    }
}
