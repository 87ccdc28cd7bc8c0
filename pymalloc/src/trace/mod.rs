//! Tells a tracer of allocations: each of them, or samples (feature `trace`).
//!
//! ```text
//!  off      alloc: the budget has bytes left ──▶ as ever; two instructions more
//!           free:  not at a multiple of 16 KiB ▶ as ever; two instructions more
//!
//!  exact    the budget stays spent, and fronts have no room: so that every step is a slow one
//!           alloc ─▶ alloc ─▶ take a block ─▶ Tracer::allocated ─▶ entry, kept beside the pool
//!           free ──▶ push ──▶ absorbs: take the entry out ─▶ Tracer::freed
//!
//!  sampled  the budget is an exponential draw: who spends it is a sample
//!           alloc ─▶ alloc ─▶ a block of 16 KiB, of another class ─▶ entry, beside that pool
//!           free ──▶ at a multiple of 16 KiB: free_aligned ─▶ the descriptor's class is not
//!                    the layout's: a sample: take the entry out, free it where it lies
//! ```
//! The tracer returns a number with each allocation that it wants to hear the end of, the
//! *entry*. Entries lie in arrays beside the pools (`entries.rs`), so that a free looks nothing
//! up. Large blocks have none: the tracer keeps a table of these.
//!
//! The `tracemalloc` crate is the tracer this is made for.
//!
//! # When a thread notices
//! The state is one word that threads read when they take a slow step: within 64 KiB of
//! allocation, or a front full of frees. The thread that calls [`start`] or [`stop`] notices at
//! once, as does one that is new. Until then a thread's allocations are not recorded, and a
//! block that it frees keeps its entry, though another may lie there: until one there is
//! recorded, or freed by a thread that has noticed. The tracer is told then. Of a pool that is for
//! another class by then, such entries are found no more, and told of with its first entry.
//!
//! # Invariants
//! 1. Where the heap's state is exact, its budget is negative and its fronts' capacity 0.
//! 2. A sample lies in a pool of a class whose blocks are multiples of 16 KiB, at such a
//!    multiple; every other block at such a multiple lies in a pool of its layout's class.
//! 3. The tracer is called with no lock held: it may be interrupted by a signal handler that
//!    allocates, which is then not traced. It is told of a new block once that is out of the heap's
//!    lists, and of the end of one once its entry is gone: the block may be at hand already, and be
//!    what the tracer is given if it allocates.

mod entries;
mod heap_trace;
mod slab;

use core::alloc::Layout;
use core::ptr::NonNull;
use core::sync::atomic::AtomicU32;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::OnceLock;

use crate::debug;
use crate::global::{give, take};
use crate::heap::Heap;
use crate::region;
use crate::size_class::SizeClass;
use crate::thread_heap::with_heap;

pub(crate) use heap_trace::HeapTrace;

/// Samples lie at multiples of this many bytes.
const SAMPLE_ALIGN: usize = 16 << 10;

/// What is told of allocations.
///
/// Every method is called from inside the allocator, on the thread that allocates or frees, and
/// no lock is held. It may allocate: that is not traced. It must not unwind. Who finds an entry by
/// [`each`] or [`find`] sees what the tracer wrote before it gave it.
pub trait Tracer: Sync {
    /// A block was allocated, or given another size in place. The answer is its entry, kept
    /// until the block is freed; 0 for none.
    fn allocated(&self, block: *mut u8, size: usize) -> u64;

    /// A block that has an entry is freed.
    fn freed(&self, block: *mut u8, entry: u64);

    /// A block of more than 64 KiB was allocated, or its end was told, but it stays as it was. It
    /// has no entry.
    fn allocated_large(&self, block: *mut u8, size: usize);

    /// A block of more than 64 KiB is freed, whether or not it was told of.
    fn freed_large(&self, block: *mut u8);

    /// How many bytes the thread will allocate before the next sample: a draw from an
    /// exponential distribution.
    fn bytes_to_next_sample(&self) -> u64;
}

/// Which allocations a tracer is told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// All.
    Exact,
    /// Those in which the bytes of [`Tracer::bytes_to_next_sample`] run out.
    Sampled,
}

static TRACER: OnceLock<&'static dyn Tracer> = OnceLock::new();

/// The mode in the two lowest bits; above them a count, so that no state is the same as the one
/// before, but for two that are set at the same moment with one mode.
static STATE: AtomicU32 = AtomicU32::new(OFF);
const OFF: u32 = 0;
const EXACT: u32 = 1;
const SAMPLED: u32 = 2;
const MODE_BITS: u32 = 3;

fn state() -> u32 {
    // ORDERING: Acquire receives the tracer, and what it set up before `start`; pairs with
    // `set_mode`.
    STATE.load(Acquire)
}

fn set_mode(mode: u32) {
    let next = (STATE.load(Relaxed) | MODE_BITS).wrapping_add(1) | mode;
    // ORDERING: Release publishes the tracer; pairs with `state`.
    STATE.store(next, Release);
    with_heap(Heap::notice);
}

/// Another tracer was started before: a process has one for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OtherTracer;

/// Starts telling a tracer of allocations; where that is done already, changes the mode. Under
/// `PYMALLOC=debug` nothing is told but ends of large blocks.
///
/// Tracers are told apart by their address. One without size may share it with another: give it
/// a field, and make it a `static`.
///
/// # Errors
///
/// [`OtherTracer`] where a different tracer has been given before.
pub fn start(tracer: &'static dyn Tracer, mode: Mode) -> Result<(), OtherTracer> {
    let first = *TRACER.get_or_init(|| tracer);
    let same_size = size_of_val(first) == size_of_val(tracer);
    if !core::ptr::addr_eq(first, tracer) || !same_size {
        return Err(OtherTracer);
    }
    // Blocks of the debug hooks lie in pools of other classes than their layouts say.
    if !debug::is_on() {
        set_mode(match mode {
            Mode::Exact => EXACT,
            Mode::Sampled => SAMPLED,
        });
    }
    Ok(())
}

/// Ends what [`start`] began. Entries stay, and are told of no more; [`clear`] forgets them.
pub fn stop() {
    set_mode(OFF);
}

/// Calls `f`; what this thread allocates meanwhile is not traced.
pub fn untraced<R>(f: impl FnOnce() -> R) -> R {
    struct Ends(bool);
    impl Drop for Ends {
        fn drop(&mut self) {
            with_heap(|heap| heap.trace.set_quiet(self.0));
        }
    }
    let _ends = Ends(with_heap(|heap| heap.trace.set_quiet(true)));
    f()
}

/// Whether the calling thread is inside a call of its tracer's: for a signal handler.
pub fn is_inside() -> bool {
    with_heap(|heap| heap.trace.is_inside())
}

/// Start and entry of the block that an address lies in, if it is no large one and has one.
pub fn find(address: *const u8) -> Option<(*const u8, u64)> {
    let class = crate::by_address::class_of(address)?;
    entries::find(class, address)
}

/// Calls `f` with start and entry of every block that has one, in no order, while other threads
/// go on: what they allocate or free meanwhile may be among them or not.
pub fn each(f: impl FnMut(*const u8, u64)) {
    entries::each(f);
}

/// Forgets all entries.
pub fn clear() {
    entries::clear();
}

/// Bytes of memory that entries take.
pub fn memory_bytes() -> usize {
    entries::memory_bytes()
}

/// Whether a block may be a sample: one block of each 16 KiB may.
#[inline(always)]
pub(crate) fn may_be_sample(block: *mut u8) -> bool {
    block.addr() & (SAMPLE_ALIGN - 1) == 0
}

/// The class that a sample of this class is taken from: of the smallest blocks that are
/// multiples of 16 KiB and hold it.
fn sample_class(class: SizeClass) -> SizeClass {
    let size = class.block_size().next_multiple_of(SAMPLE_ALIGN);
    let layout = Layout::from_size_align(size, 1).unwrap_or(Layout::new::<()>());
    SizeClass::of(layout).unwrap_or(class)
}

/// A block for a thread whose budget is spent.
#[cold]
#[inline(never)]
pub(crate) fn alloc(heap: &Heap, class: SizeClass, size: usize) -> *mut u8 {
    if !heap.is_due() {
        return take(heap, class);
    }
    if heap.trace.is_exact() {
        return recorded(heap, class, take(heap, class), size);
    }
    let sample_class = sample_class(class);
    let block = take(heap, sample_class);
    if block.is_null() {
        return take(heap, class);
    }
    recorded(heap, sample_class, block, size)
}

/// Tells the tracer of a block of this class; the block.
#[inline(always)]
fn recorded(heap: &Heap, class: SizeClass, block: *mut u8, size: usize) -> *mut u8 {
    if !block.is_null() {
        heap.trace.inside(|| {
            let Some(tracer) = TRACER.get() else { return };
            let entry = tracer.allocated(block, size);
            let stale = |block, entry| tracer.freed(block, entry);
            // SAFETY: a block of ours, of this class, in use.
            if !unsafe { entries::replace(class, block, entry, stale) } {
                // No memory for an entry: the tracer hears the end now.
                tracer.freed(block, entry);
            }
        });
    }
    block
}

/// Tells the tracer of the end of a block of this class, if it has an entry.
///
/// # Safety
/// The block is of this class, and nobody uses it.
#[inline(always)]
unsafe fn forget(heap: &Heap, class: SizeClass, block: *mut u8) {
    // SAFETY: the caller's promise.
    let entry = unsafe { entries::take(class, block) };
    if entry != 0 {
        heap.trace.inside_even_if_quiet(|| {
            if let Some(tracer) = TRACER.get() {
                tracer.freed(block, entry);
            }
        });
    }
}

/// Frees a block at a multiple of 16 KiB: of the class given, or a sample.
///
/// # Safety
/// The caller gives up a block of a layout of this class, or of that class itself.
#[cold]
#[inline(never)]
pub(crate) unsafe fn free_aligned(block: *mut u8, class: SizeClass, heap: &Heap) {
    if debug::is_on() {
        // SAFETY: the caller's promise.
        return unsafe { give(heap, class, block) };
    }
    // SAFETY: blocks of all classes lie in regions.
    let found = unsafe { region::class_at(block.addr()) };
    let class = found.unwrap_or(class);
    if class.block_size().is_multiple_of(SAMPLE_ALIGN) {
        // SAFETY: the caller's block; the descriptor says its class.
        unsafe { forget(heap, class, block) };
    }
    // SAFETY: as above.
    unsafe { give(heap, class, block) };
}

/// In the exact mode, takes note of the block that was just pushed; whether the front has
/// room for it.
#[inline(always)]
pub(crate) fn absorbs(heap: &Heap, class: SizeClass) -> bool {
    heap.notice();
    if !heap.trace.is_exact() {
        return false;
    }
    // SAFETY: a block of the front's, which the thread just freed.
    unsafe { forget(heap, class, heap.freed_last(class)) };
    !heap.is_overfull(class)
}

/// Takes note of another size of a block in use, of at most 64 KiB. For the exact mode:
/// samples keep the size they were taken with.
#[cold]
#[inline(never)]
pub(crate) fn resized(heap: &Heap, block: *mut u8, size: usize) {
    heap.notice();
    // SAFETY: blocks of all classes lie in regions.
    let class = unsafe { region::class_at(block.addr()) };
    if let Some(class) = class
        && heap.trace.is_exact()
    {
        recorded(heap, class, block, size);
    }
}

/// Takes note of a new large block, which may be null.
pub(crate) fn allocated_large(heap: &Heap, block: *mut u8, size: usize) {
    if !block.is_null() && heap.trace.spend(size) && heap.is_due() {
        heap.trace.inside(|| {
            if let Some(tracer) = TRACER.get() {
                tracer.allocated_large(block, size);
            }
        });
    }
}

/// Takes note of the end of a large block, before anyone else can have its addresses.
pub(crate) fn freed_large(heap: &Heap, block: NonNull<u8>) {
    if let Some(tracer) = TRACER.get() {
        heap.trace
            .inside_even_if_quiet(|| tracer.freed_large(block.as_ptr()));
    }
}
