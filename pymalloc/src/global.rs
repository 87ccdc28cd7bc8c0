//! `PyMalloc`: from the `GlobalAlloc` interface to the heap, and the statics.
//!
//! ```text
//!  Box::new ─▶ alloc ─▶ class of the layout ─▶ this thread's front ─▶ block
//!                │ not small                       │ empty
//!                ▼                                 ▼
//!            alloc_other                        refill
//! ```
//! The part before the first empty front is inlined into the caller; with a constant
//! layout, and link-time optimisation, it is five instructions. All else is behind calls
//! marked cold.
//!
//! Invariant: the thread's heap lives in thread-local memory that needs no destructor
//! of Rust's, so it can be used at any time; the thread's exit is learned from a pthread
//! key, whose destructors run after all of Rust's on glibc.
//!
//! # Calls that may come back
//! Where `malloc` is this allocator too, these functions of the C library may allocate while
//! they serve it: `pthread_setspecific` for a key beyond the first 32; `pthread_atfork` and
//! `atexit` beyond their first dozens of entries, with a lock of theirs held. All are
//! called with no lock of ours held, in `Heap::as_guest`, and a guest needs none of them;
//! the last two never from within an allocation. The others that are called never allocate:
//! `pthread_key_create`, `getenv`, `sysconf(_SC_PAGESIZE)`, `open` and `read` of `/proc`,
//! stdio's list's lock, the mapping calls, and `syscall`, under std's locks too.
//!
//! With `PYMALLOC_STACKS=1` the unwinder is called, from within allocations: it may allocate, which
//! stack.rs is prepared for, and takes locks of the loader's and its own, which nothing here can
//! help. A program that has the unwinder allocate while it holds its lock, by throwing through code
//! that was made at run time (`__register_frame`, libgcc before 13), waits for itself then.

use core::alloc::{GlobalAlloc, Layout};
use core::ptr::{NonNull, null_mut};

use crate::arena_stats::{self, ArenaStats};
use crate::by_address::class_of;
use crate::debug::{self, Expect};
use crate::front::Hand;
use crate::heap::Heap;
use crate::os;
use crate::process::exit_key;
use crate::shared::Shared;
use crate::size_class::SizeClass;
use crate::stats::Stats;
use crate::thread_heap::with_heap;
use crate::trace;
use crate::verify::{self, HeapError};

pub(crate) static SHARED: Shared = Shared::new();

/// CPython's obmalloc as a global allocator.
///
/// It holds nothing: all of the type's values are the one allocator of the process.
///
/// Requests of up to 512 bytes come from size classes 8 bytes apart, requests of up to
/// 64 KiB from classes an eighth apart, larger ones from mappings of their own. A
/// request for no bytes gets a block of its own. When memory has run out every method
/// returns null; none panics.
///
/// A block may be freed by any thread.
///
/// # Examples
///
/// ```
/// use pymalloc::PyMalloc;
///
/// #[global_allocator]
/// static GLOBAL: PyMalloc = PyMalloc;
///
/// let numbers: Vec<u64> = (0..1000).collect();
/// assert!(pymalloc::owns(numbers.as_ptr().cast()));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PyMalloc;

// SAFETY: blocks in use never overlap (a block is out of its pool or mapping once), are
// as large and aligned as their layout says (size_class.rs, invariant 2; large.rs), and
// stay where they are until they are freed. Nothing here unwinds.
unsafe impl GlobalAlloc for PyMalloc {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match SizeClass::of_small(layout) {
            Some(class) => alloc_block(class, layout.size()),
            None => alloc_other(layout),
        }
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        match SizeClass::of_small(layout) {
            // SAFETY: the caller gives up a block of this layout, hence of this class.
            Some(class) => unsafe { free_block(class, block) },
            // SAFETY: the caller gives up a block of this layout.
            None => unsafe { free_other(block, layout) },
        }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        match SizeClass::of_small(layout) {
            Some(class) => zeroed(alloc_block(class, layout.size()), layout.size()),
            None => alloc_other_zeroed(layout),
        }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller promises that the new size, rounded up to the alignment,
        // does not overflow.
        let new = unsafe { Layout::from_size_align_unchecked(new_size, layout.align()) };
        match (SizeClass::of_small(layout), SizeClass::of_small(new)) {
            (Some(old), Some(new)) if old == new => {
                resized_in_place(block, new_size);
                block
            }
            // SAFETY: the caller's block of that layout.
            _ => unsafe { resize(block, layout, new) },
        }
    }
}

/// A block that the calling thread has at hand, of a layout of 1 to 512 bytes; null where
/// there is none, or the layout is another: then [`GlobalAlloc::alloc`] may still have one.
///
/// Takes no lock and calls nothing: for a caller whose own failure path is longer than this.
///
/// # Examples
///
/// ```
/// use std::alloc::{GlobalAlloc, Layout};
/// use pymalloc::PyMalloc;
///
/// let layout = Layout::new::<[u64; 5]>();
/// // SAFETY: the layout is not empty; the blocks are freed with the same layout.
/// unsafe {
///     PyMalloc.dealloc(PyMalloc.alloc(layout), layout);
///     let block = pymalloc::alloc_at_hand(layout);
///     assert!(!block.is_null());
///     PyMalloc.dealloc(block, layout);
/// }
/// ```
#[inline]
pub fn alloc_at_hand(layout: Layout) -> *mut u8 {
    match SizeClass::of_small(layout) {
        Some(class) => with_heap(|heap| {
            if heap.trace.spend_if_enough(layout.size()) {
                heap.hand(class).pop().cast()
            } else {
                null_mut()
            }
        }),
        None => null_mut(),
    }
}

#[inline(always)]
fn alloc_block(class: SizeClass, size: usize) -> *mut u8 {
    with_heap(|heap| {
        if heap.trace.spend(size) {
            return trace::alloc(heap, class, size);
        }
        take(heap, class)
    })
}

/// A block that no tracer is told of.
#[inline(always)]
pub(crate) fn take(heap: &Heap, class: SizeClass) -> *mut u8 {
    let hand = heap.hand(class);
    let block = hand.pop();
    if block.is_null() {
        refill(heap, hand)
    } else {
        block.cast()
    }
}

/// # Safety
/// The caller gives up a block of that class.
#[inline(always)]
unsafe fn free_block(class: SizeClass, block: *mut u8) {
    with_heap(|heap| {
        if trace::may_be_sample(block) {
            // SAFETY: the caller's promise.
            unsafe { trace::free_aligned(block, class, heap) };
        } else {
            // SAFETY: the caller's promise.
            unsafe { give(heap, class, block) };
        }
    });
}

/// # Safety
/// The caller gives up a block that lies in a pool of that class.
#[inline(always)]
pub(crate) unsafe fn give(heap: &Heap, class: SizeClass, block: *mut u8) {
    let hand = heap.hand(class);
    // SAFETY: the caller's promise.
    if !unsafe { hand.push(block.cast()) } {
        spill(heap, hand);
    }
}

/// Tells the tracer of a block's new size, if it is told of every block.
#[inline(always)]
pub(crate) fn resized_in_place(block: *mut u8, size: usize) {
    with_heap(|heap| {
        if heap.trace.is_exact() {
            trace::resized(heap, block, size);
        }
    });
}

#[inline(always)]
fn zeroed(block: *mut u8, size: usize) -> *mut u8 {
    if !block.is_null() {
        // SAFETY: the block is new and at least that long.
        unsafe { block.write_bytes(0, size) };
    }
    block
}

#[cold]
#[inline(never)]
fn refill(heap: &Heap, hand: &Hand) -> *mut u8 {
    if debug::is_on() {
        return debug::alloc_of(heap.class_of(hand));
    }
    refill_raw(heap, hand)
}

fn refill_raw(heap: &Heap, hand: &Hand) -> *mut u8 {
    let class = heap.class_of(hand);
    if heap.is_new() {
        enlist(heap);
    }
    let block = heap.refill(&SHARED, class);
    if block.is_null() && SHARED.large.trim() > 0 {
        return heap.refill(&SHARED, class);
    }
    block
}

#[cold]
#[inline(never)]
fn spill(heap: &Heap, hand: &Hand) {
    if debug::is_on() {
        return spill_checked(heap, hand, Expect::Class(heap.class_of(hand)));
    }
    spill_raw(heap, hand);
}

/// The same for a block whose layout nobody says.
pub(crate) fn spill_unsized(heap: &Heap, hand: &Hand) {
    if debug::is_on() {
        return spill_checked(heap, hand, Expect::Anything);
    }
    spill_raw(heap, hand);
}

/// Frees the one block that a front without room was given, under the debug hooks.
fn spill_checked(heap: &Heap, hand: &Hand, expect: Expect) {
    let block = heap.take_back(heap.class_of(hand));
    // SAFETY: the caller of the free gave the block up.
    unsafe { debug::release(block, expect) };
}

fn spill_raw(heap: &Heap, hand: &Hand) {
    let class = heap.class_of(hand);
    if heap.is_new() && heap.has_freed_many() {
        enlist(heap);
    }
    if trace::absorbs(heap, class) {
        return;
    }
    heap.spill(&SHARED, class);
}

/// A block that is not small.
#[inline(never)]
fn alloc_other(layout: Layout) -> *mut u8 {
    match SizeClass::of(layout) {
        Some(class) => alloc_block(class, layout.size()),
        None => alloc_large(layout, false),
    }
}

fn alloc_large(layout: Layout, zeroed: bool) -> *mut u8 {
    if debug::is_on() {
        return debug::alloc(layout, zeroed);
    }
    let block = SHARED.large.alloc(layout, zeroed);
    with_heap(|heap| trace::allocated_large(heap, block, layout.size()));
    block
}

#[inline(never)]
fn alloc_other_zeroed(layout: Layout) -> *mut u8 {
    match SizeClass::of(layout) {
        Some(class) => zeroed(alloc_block(class, layout.size()), layout.size()),
        None => alloc_large(layout, true),
    }
}

/// # Safety
/// The caller gives up a large block.
pub(crate) unsafe fn free_large(block: NonNull<u8>) {
    with_heap(|heap| trace::freed_large(heap, block));
    // SAFETY: the caller's promise.
    unsafe { SHARED.large.dealloc(block) };
}

/// Gives a large block, of `old_size` bytes, another size; null, and the block unchanged, where
/// that cannot be done without a copy.
///
/// # Safety
/// The caller's large block, of an alignment of at most a page.
pub(crate) unsafe fn resize_large(block: NonNull<u8>, old_size: usize, size: usize) -> *mut u8 {
    // Its addresses may be another block's before this returns.
    with_heap(|heap| trace::freed_large(heap, block));
    // SAFETY: the caller's promise.
    let moved = unsafe { SHARED.large.resize(block, size) };
    let (now, size) = if moved.is_null() {
        (block.as_ptr(), old_size)
    } else {
        (moved, size)
    };
    with_heap(|heap| trace::allocated_large(heap, now, size));
    moved
}

/// # Safety
/// The caller gives up a block of that layout.
#[inline(never)]
unsafe fn free_other(block: *mut u8, layout: Layout) {
    match (SizeClass::of(layout), NonNull::new(block)) {
        // SAFETY: the caller's promise.
        (Some(class), _) => unsafe { free_block(class, block) },
        // SAFETY: the caller's promise.
        (None, Some(_)) if debug::is_on() => unsafe {
            debug::release(block, Expect::Layout(layout));
        },
        // SAFETY: the caller's promise; the tier is a function of the layout.
        (None, Some(block)) => unsafe { free_large(block) },
        (None, None) => {}
    }
}

/// A block of the allocator itself, whatever hooks are on; null if memory has run out.
pub(crate) fn alloc_raw(layout: Layout) -> *mut u8 {
    let Some(class) = SizeClass::of(layout) else {
        return SHARED.large.alloc(layout, false);
    };
    with_heap(|heap| {
        let hand = heap.hand(class);
        let block = hand.pop();
        if block.is_null() {
            refill_raw(heap, hand)
        } else {
            block.cast()
        }
    })
}

/// Frees one.
///
/// # Safety
/// The caller gives up a block of `alloc_raw`, of that layout.
pub(crate) unsafe fn free_raw(block: *mut u8, layout: Layout) {
    match (SizeClass::of(layout), NonNull::new(block)) {
        (Some(class), _) => with_heap(|heap| {
            let hand = heap.hand(class);
            // SAFETY: the caller's promise.
            if !unsafe { hand.push(block.cast()) } {
                spill_raw(heap, hand);
            }
        }),
        // SAFETY: the caller's promise; the tier is a function of the layout.
        (None, Some(block)) => unsafe { free_large(block) },
        (None, None) => {}
    }
}

/// Gives a block another layout of the same alignment: in place within a class, by
/// moving pages where both are large, else by a copy.
///
/// # Safety
/// The caller's block, of layout `old`, is given up unless null is returned.
#[inline(never)]
unsafe fn resize(block: *mut u8, old: Layout, new: Layout) -> *mut u8 {
    let (old_class, new_class) = (SizeClass::of(old), SizeClass::of(new));
    if old_class.is_some() && old_class == new_class {
        resized_in_place(block, new.size());
        return block;
    }
    let are_large = old_class.is_none() && new_class.is_none() && !debug::is_on();
    if are_large && old.align() <= os::MIN_PAGE_SIZE {
        let moved = match NonNull::new(block) {
            // SAFETY: the caller's large block.
            Some(block) => unsafe { resize_large(block, old.size(), new.size()) },
            None => null_mut(),
        };
        if !moved.is_null() {
            return moved;
        }
    }
    // SAFETY: any layout may be asked for.
    let moved = unsafe { PyMalloc.alloc(new) };
    if !moved.is_null() {
        // SAFETY: both are at least that long, and the new one is nobody's yet.
        unsafe { moved.copy_from_nonoverlapping(block, old.size().min(new.size())) };
        // SAFETY: the caller's block.
        unsafe { PyMalloc.dealloc(block, old) };
    }
    moved
}

/// Enlists the calling thread, which allocates or frees for the first time. Under the debug
/// hooks every thread is a guest, so that its fronts stay closed.
fn enlist(heap: &Heap) {
    if debug::is_on() {
        return heap.enlist(&SHARED, false);
    }
    let willing = heap.as_guest(|| {
        exit_key().is_some_and(|key| {
            let heap: *const Heap = heap;
            // SAFETY: the key is never deleted; the heap outlives the thread's use of it.
            unsafe { libc::pthread_setspecific(key, heap.cast()) == 0 }
        })
    });
    heap.enlist(&SHARED, willing);
}

/// The size of the block that `ptr` points to, in bytes: never less than was asked for
/// (glibc `malloc_usable_size`).
///
/// All of it may be used, but a `Layout` passed to `dealloc` is still the one that was
/// asked for. Costs a few loads, for a large block a lock and a search among the large
/// blocks. 0 for a pointer that is not this allocator's.
///
/// # Safety
///
/// `ptr` was allocated by [`PyMalloc`] and not freed since, or is not this allocator's.
///
/// # Examples
///
/// ```
/// use std::alloc::{GlobalAlloc, Layout};
/// use pymalloc::PyMalloc;
///
/// let layout = Layout::array::<u8>(1000)?;
/// // SAFETY: the layout is not empty; the block is freed below, with the same layout.
/// unsafe {
///     let block = PyMalloc.alloc(layout);
///     assert_eq!(pymalloc::usable_size(block), 1024);
///     PyMalloc.dealloc(block, layout);
/// }
/// # Ok::<(), std::alloc::LayoutError>(())
/// ```
pub unsafe fn usable_size(ptr: *const u8) -> usize {
    if debug::is_on() {
        return debug::size_of(ptr).unwrap_or(0);
    }
    match class_of(ptr) {
        Some(class) => class.block_size(),
        None => SHARED.large.size_at(ptr.addr()).unwrap_or(0),
    }
}

/// Whether `ptr` points into memory of this allocator: an arena, in use or not, or a
/// large block in use (CPython `address_in_range`).
///
/// Any address may be asked about; nothing is read from it. Costs two loads for an
/// address in an arena, else a lock and a search among the large blocks.
///
/// # Examples
///
/// ```
/// use std::alloc::{GlobalAlloc, Layout};
/// use pymalloc::PyMalloc;
///
/// let on_the_stack = 0_u8;
/// assert!(!pymalloc::owns(&on_the_stack));
/// assert!(!pymalloc::owns(std::ptr::null()));
///
/// let layout = Layout::new::<u64>();
/// // SAFETY: the layout is not empty; the block is freed with the same layout.
/// unsafe {
///     let block = PyMalloc.alloc(layout);
///     assert!(pymalloc::owns(block));
///     PyMalloc.dealloc(block, layout);
/// }
/// ```
pub fn owns(ptr: *const u8) -> bool {
    SHARED.arenas.map.contains(ptr.addr()) || SHARED.large.size_at(ptr.addr()).is_some()
}

/// Counts what the heap holds (CPython `sys._debugmallocstats`).
///
/// Does not allocate. Costs a walk over the descriptors of all pools, during which no
/// pool can be taken or given back. `Display` prints CPython's table.
pub fn stats() -> Stats {
    with_heap(|heap| Stats::read(&SHARED, heap))
}

/// Reads what each arena that has memory holds, as many arenas as there is room for; how
/// many there are.
///
/// Does not allocate, and costs as [`stats`] does. Arenas come and go, so give room for a few
/// more than an earlier call has counted.
///
/// # Examples
///
/// ```
/// # #[global_allocator]
/// # static GLOBAL: pymalloc::PyMalloc = pymalloc::PyMalloc;
/// let mut arenas = vec![pymalloc::ArenaStats::default(); pymalloc::arenas(&mut []) + 8];
/// let count = pymalloc::arenas(&mut arenas).min(arenas.len());
/// for arena in &arenas[..count] {
///     let used = arena.pools().iter().filter(|pool| pool.block_size > 0);
///     println!("{:#x}: {} pools in use", arena.address(), used.count());
/// }
/// # assert!(count > 0);
/// ```
pub fn arenas(into: &mut [ArenaStats]) -> usize {
    arena_stats::read(&SHARED, into)
}

/// Gives every empty page back to the system now; about how many bytes, those included
/// that other threads happen to give back meanwhile.
///
/// A pool counts whole, however little of it was touched, and so does what a huge page may have
/// brought; where a page of the system's holds several pools, the number is rough. Other threads
/// that want a pool wait while it goes through each 32 MiB.
///
/// That is the memory of empty pools and arenas, and of cached large blocks, after the
/// calling thread's free blocks have gone back to their pools. What lies in other
/// threads' fronts stays with them, and so do pools that others emptied for an owner who
/// has not looked since. The allocator does most of this by itself (see
/// the README); this is for a program that knows it will be idle (glibc `malloc_trim`).
///
/// # Examples
///
/// ```
/// let given_back = pymalloc::trim();
/// println!("{given_back} bytes");
/// ```
pub fn trim() -> usize {
    let before = SHARED.arenas.lock().given_back;
    with_heap(|heap| heap.flush(&SHARED));
    SHARED.arenas.trim();
    let after = SHARED.arenas.lock().given_back;
    after.saturating_sub(before) + SHARED.large.trim()
}

/// Walks the heap and checks its invariants: lists, counts, every free block the calling
/// thread may look at.
///
/// Costs as much as the heap is large; for tests, and for a hunt after a wild write.
///
/// # Errors
///
/// The first thing found wrong.
///
/// # Examples
///
/// ```
/// assert_eq!(pymalloc::verify_heap(), Ok(()));
/// ```
pub fn verify_heap() -> Result<(), HeapError> {
    with_heap(|heap| verify::heap(&SHARED, heap))
}
