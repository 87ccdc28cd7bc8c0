//! The hardened allocator: nothing about a block lies near it, nothing freed is used at
//! once, and what is given back is looked at.
//!
//! ```text
//!  PyMallocSecure ── class ── thread.rs ── cache.rs ── pools.rs ── region.rs ── os
//!        │                      hand, quarantine    a lock a class   guards, states
//!        │ address              canary.rs, zeros.rs: what is looked at
//!        ├─ map.rs ── region ── state
//!        └─ large.rs: pages between guards
//! ```
//! It shares with the quick allocator the size classes, the map of large blocks, the system
//! calls and the reports; its memory is apart from that of `PyMalloc`.
//!
//! Free blocks have no links: what is free is told by bits and bytes elsewhere. So there is
//! nothing to encode, and nothing in a freed block that a stray write could bend.
//!
//! Source: D. Micay, hardened_malloc, README: the layout by classes, metadata apart,
//! quarantine by queue and chance, zeros and their check.

use core::alloc::{GlobalAlloc, Layout};
use core::ptr::null_mut;
use core::sync::atomic::Ordering::Relaxed;

mod cache;
mod canary;
mod chance;
mod dump;
mod large;
mod map;
mod pools;
mod region;
mod thread;
mod zeros;

use crate::config::MEDIUM_MAX;
use crate::os;
use crate::size_class::SizeClass;
use region::{Slot, state};
use thread::Own;

/// A hardened allocator beside [`PyMalloc`](crate::PyMalloc), for programs that handle what
/// they cannot trust.
///
/// - Which blocks are free is written apart from the blocks, between guard pages. A size
///   class has addresses of its own, where no other class ever is.
/// - A second free, a free of what is no block's start, and a layout of another class end
///   the process, whichever thread frees; of the same class, too, but where sizes above 512
///   bytes agree in their low 7 bits and nothing else is amiss.
/// - Eight secret bytes behind each block tell of an overflow when it is freed.
/// - A freed block is zeroed, kept from use until 16 more of its class were freed in the
///   thread (fewer above 1 KiB, one above 8) or the thread has exited, then used again in an
///   order that chance decides (above 8 KiB the thread's own in the order of the frees). It must
///   still be zeros then, and when its memory goes back to the system, or the process ends.
/// - Every 256 KiB of blocks end in a guard page. A block of more than 64 KiB lies between
///   two, and its addresses stay out of reach for a while after it is freed.
///
/// The report names what was found and where; then the process aborts.
///
/// An allocation and a free together cost some 200 instructions, and for blocks of more than
/// some KiB the time to clear and to check them; a block 9 bytes more. SECURITY.md
/// in the repository has the measurements, and what is not promised.
///
/// The blocks are not `PyMalloc`'s: [`owns`](crate::owns), [`usable_size`](crate::usable_size)
/// and [`stats`](crate::stats) know nothing of them.
///
/// # Examples
///
/// ```
/// use pymalloc::PyMallocSecure;
///
/// #[global_allocator]
/// static GLOBAL: PyMallocSecure = PyMallocSecure;
///
/// let mut secret = vec![7_u8; 32];
/// secret.push(8);
/// assert_eq!(secret.len(), 33);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PyMallocSecure;

// SAFETY: a block is handed out while its state says that it is free, which it is not until
// it is freed; it is as large and aligned as its layout, by its class or its pages.
unsafe impl GlobalAlloc for PyMallocSecure {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match class_of(layout) {
            Some(class) => alloc_in(Own::get(), class, layout.size()),
            None => large::alloc(layout),
        }
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        match class_of(layout) {
            Some(class) => free_in(Own::get(), class, block, layout),
            None => large::dealloc(block, layout),
        }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // Every free block is zeros, unless somebody wrote where nothing was his.
        // SAFETY: any layout may be asked for.
        unsafe { self.alloc(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller promises that the new size, rounded up to the alignment,
        // does not overflow.
        let new = unsafe { Layout::from_size_align_unchecked(new_size, layout.align()) };
        match (class_of(layout), class_of(new)) {
            (Some(old), Some(class)) if old == class => {
                resize_in(class, block, layout, new_size);
                return block;
            }
            (None, None) if layout.align() <= os::page_size() => {
                let resized = large::resize(block, layout, new_size);
                if !resized.is_null() {
                    return resized;
                }
            }
            _ => {}
        }
        // Before anything is read or changed.
        match class_of(layout) {
            Some(class) => {
                check(class, block, layout);
            }
            None => large::check(block, layout),
        }
        // SAFETY: any layout may be asked for.
        let moved = unsafe { self.alloc(new) };
        if !moved.is_null() {
            let len = layout.size().min(new_size);
            // SAFETY: both are at least that long, and the new one is nobody's yet.
            unsafe { moved.copy_from_nonoverlapping(block, len) };
            // SAFETY: the caller's block.
            unsafe { self.dealloc(block, layout) };
        }
        moved
    }
}

/// The class of a layout and a canary; `None` for a large one.
#[inline(always)]
fn class_of(layout: Layout) -> Option<SizeClass> {
    if layout.size() > MEDIUM_MAX - canary::SIZE || layout.align() > MEDIUM_MAX {
        return None;
    }
    let size = layout.size() + canary::SIZE;
    // SAFETY: the alignment is a layout's; the size is far below where it overflows.
    let padded = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
    SizeClass::of_small(padded).or_else(|| SizeClass::of(padded))
}

/// What the state of a used block of this size is.
#[inline(always)]
fn used(size: usize) -> u8 {
    state::USED | size as u8
}

/// A block with a canary behind `size` bytes; null if memory has run out.
#[inline(never)]
fn alloc_in(own: Own, class: SizeClass, size: usize) -> *mut u8 {
    let at_hand = own.with(|thread| {
        let (cache, chance) = thread.cache(class);
        cache.take(chance)
    });
    match at_hand.flatten() {
        Some(slot) => hand_out(slot, class, size),
        None => alloc_from_pools(class, size),
    }
}

#[cold]
#[inline(never)]
fn alloc_from_pools(class: SizeClass, size: usize) -> *mut u8 {
    let slot = thread::with_any(class, |thread| {
        let (cache, chance) = thread.cache(class);
        cache.refill(class, chance)?;
        Ok(cache.take(chance))
    });
    match slot.flatten() {
        Some(slot) => hand_out(slot, class, size),
        None => null_mut(),
    }
}

/// Makes a free block one in use.
#[inline(always)]
fn hand_out(slot: Slot, class: SizeClass, size: usize) -> *mut u8 {
    let Slot { block, state: now } = slot;
    // ORDERING: Relaxed, here and below: see region.rs, Access; a block comes from a thread
    // to another by a lock, or by the program's own doing.
    match now.load(Relaxed) {
        // As the kernel gave it, and never seen by the program.
        state::AT_HAND_FRESH if !zeros::is_fresh_looked_at(class) => {}
        state::AT_HAND | state::AT_HAND_FRESH => must_be_zero(block, class),
        _ => dump::in_use_twice(block, class),
    }
    now.store(used(size), Relaxed);
    // SAFETY: the class has room for the size and a canary.
    unsafe { canary::write(block, size) };
    block
}

/// Nobody has written to a free block.
#[inline(always)]
fn must_be_zero(block: *mut u8, class: SizeClass) {
    // SAFETY: a block of the class, which was at hand: it is the thread's, and lies in pages that
    // may be touched.
    if !unsafe { zeros::is_zero(block, class) } {
        dump::not_zero(block, class);
    }
}

/// The slot of a block in use, of that layout; what is none ends the process.
#[inline(always)]
fn check(class: SizeClass, block: *mut u8, layout: Layout) -> Slot {
    let slot = match map::region_at(block.addr()) {
        Some(region) if region.class() == class => region.slot_at(block),
        _ => dump::no_block(block, layout),
    };
    let Ok(slot) = slot else {
        dump::no_block(block, layout);
    };
    let now = slot.state.load(Relaxed);
    if now != used(layout.size()) {
        dump::bad_state(block, now, layout);
    }
    // SAFETY: a block of the class, in use.
    if !unsafe { canary::is_intact(block, layout.size()) } {
        damaged(slot, layout);
    }
    slot
}

#[cold]
#[inline(never)]
fn damaged(slot: Slot, layout: Layout) -> ! {
    let (block, size) = (slot.block, layout.size());
    let now = slot.state.load(Relaxed);
    if now != used(size) {
        // Another thread frees the block at this moment, and has made it zeros.
        dump::bad_state(block, now, layout);
    }
    // SAFETY: a block in use, with room for a canary there.
    let at = unsafe { canary::damage(block, size) };
    dump::overflow(block, size, at.unwrap_or(block.wrapping_add(size)))
}

#[inline(never)]
fn free_in(own: Own, class: SizeClass, block: *mut u8, layout: Layout) {
    let slot = check(class, block, layout);
    if let Err(now) = slot.change(used(layout.size()), state::AT_HAND) {
        dump::bad_state(block, now, layout);
    }
    let len = layout.size() + canary::SIZE;
    if own.with(|thread| thread.cache(class).0.put(slot)) == Some(true) {
        // SAFETY: the block is given up, and that long; it is in the quarantine of this thread, which
        // is still here.
        unsafe { block.write_bytes(0, len) };
    } else {
        free_to_pools(class, slot, len);
    }
}

#[cold]
#[inline(never)]
fn free_to_pools(class: SizeClass, slot: Slot, len: usize) {
    // SAFETY: the block is given up, and that long; it is at nobody's hand yet.
    unsafe { slot.block.write_bytes(0, len) };
    // Without memory for a record the block is lost, zeroed.
    thread::with_any(class, |thread| {
        let cache = thread.cache(class).0;
        cache.make_room(class)?;
        Ok(cache.put(slot))
    });
}

/// Gives a block another size of its class.
fn resize_in(class: SizeClass, block: *mut u8, old: Layout, new_size: usize) {
    let slot = check(class, block, old);
    if let Err(now) = slot.change(used(old.size()), used(new_size)) {
        dump::bad_state(block, now, old);
    }
    // The old canary goes, and what would else outlive the block.
    let end = (old.size() + canary::SIZE).min(class.block_size());
    let from = old.size().min(new_size);
    // SAFETY: within the block, behind what the program keeps.
    unsafe { block.wrapping_add(from).write_bytes(0, end - from) };
    // SAFETY: the class has room for the new size and a canary.
    unsafe { canary::write(block, new_size) };
}

/// Every lock, held.
pub(crate) struct AllHeld {
    _large: std::sync::MutexGuard<'static, large::State>,
    _pools: pools::AllHeld,
    _threads: thread::AllHeld,
}

/// Takes every lock, for a fork.
pub(crate) fn lock_all() -> AllHeld {
    let threads = thread::lock_all();
    let pools = pools::lock_all();
    AllHeld {
        _large: large::state(),
        _pools: pools,
        _threads: threads,
    }
}

pub(crate) use thread::reseed;
