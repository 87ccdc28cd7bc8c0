//! The slots: addresses for 64 blocks, each between guards, and what is known of each.
//!
//! ```text
//!  ├── 64 KiB ──┼── 64 KiB ──┼── 64 KiB ──┼─ ...
//!  │ # guard #  │ slot 0     │ # guard #  │ slot 1 ... # guard # │
//!                 ▓▓ block ░│   at its end, or start; ░ fd up to the page's end
//! ```
//! Pages of a slot can be touched only while they have a block.
//!
//! # Access
//! The records: under the lock. `BASE`: written once, under the lock, read by any.

use core::alloc::Layout;
use core::sync::atomic::AtomicUsize;
use core::sync::atomic::Ordering::{Acquire, Release};

use super::{dump, fault};
use crate::os;
use crate::stack::Stack;
use crate::sync::{Mutex, MutexGuard, lock as lock_mutex};

/// Blocks that can be sampled at one time.
const SLOTS: usize = 64;
/// Bytes of a slot, and of a guard: a multiple of every page size.
const SLOT: usize = 64 << 10;
/// From a slot to the next.
const STRIDE: usize = 2 * SLOT;
/// Bytes of all, guards at both ends included.
const SPAN: usize = SLOTS * STRIDE + SLOT;

/// The rest of a page that a block does not fill.
const PAD: u8 = 0xfd;

/// Where the slots start; before there are any, above all addresses of programs.
static BASE: AtomicUsize = AtomicUsize::new(NOWHERE);
const NOWHERE: usize = 1 << 63;

/// What is known of a slot's block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record {
    /// Null in a slot that was never used.
    pub(crate) block: *mut u8,
    pub(crate) layout: Layout,
    pub(crate) is_used: bool,
    pub(crate) allocated_by: i32,
    pub(crate) freed_by: i32,
    pub(crate) allocated_at: Stack,
    pub(crate) freed_at: Stack,
}

/// What the lock guards.
#[derive(Debug)]
pub(crate) struct Slots {
    base: *mut u8,
    records: [Record; SLOTS],
    /// Where to look for a slot next: the one that was freed first, or near it.
    next: usize,
}

// SAFETY: the addresses in it are touched by whoever has the lock, or the block.
unsafe impl Send for Slots {}

static SLOTS_LOCK: Mutex<Slots> = Mutex::new(Slots {
    base: core::ptr::null_mut(),
    records: [Record {
        block: core::ptr::null_mut(),
        layout: Layout::new::<()>(),
        is_used: false,
        allocated_by: 0,
        freed_by: 0,
        allocated_at: Stack::NONE,
        freed_at: Stack::NONE,
    }; SLOTS],
    next: 0,
});

/// The lock, held.
pub(crate) type Held = MutexGuard<'static, Slots>;

/// Takes the lock, also for a fork.
pub(crate) fn lock() -> Held {
    lock_mutex(&SLOTS_LOCK)
}

/// The lock, if nobody has it.
pub(super) fn try_lock() -> Option<Held> {
    SLOTS_LOCK.try_lock().ok()
}

/// Whether an address lies in a slot, or a guard.
#[inline(always)]
pub(super) fn contains(address: usize) -> bool {
    // ORDERING: Acquire; pairs with `reserve`. Whoever has a block has been handed it by a
    // thread that knew the base.
    lies_in(address, BASE.load(Acquire))
}

#[inline(always)]
fn lies_in(address: usize, base: usize) -> bool {
    address.wrapping_sub(base) < SPAN
}

/// A block in a slot of its own; `None` if it is too large, or all slots are used.
pub(super) fn alloc(layout: Layout) -> Option<*mut u8> {
    let fits = (1..=SLOT).contains(&layout.size()) && layout.align() <= os::MIN_PAGE_SIZE;
    if !fits {
        return None;
    }
    let stack = Stack::take();
    let mut slots = lock();
    if slots.base.is_null() {
        slots.reserve()?;
    }
    let index = slots.free_slot()?;
    let size = layout.size().next_multiple_of(os::page_size());
    let start = slots.start_of(index);
    // By turns: an underflow is as bad as an overflow, and rarer.
    let at_start = slots.next.is_multiple_of(4);
    let pages = if at_start {
        start
    } else {
        start.wrapping_add(SLOT - size)
    };
    // SAFETY: a free slot's pages.
    if !unsafe { os::allow(pages, size) } {
        return None;
    }
    let offset = if at_start {
        0
    } else {
        (size - layout.size()) & !(layout.align() - 1)
    };
    let block = pages.wrapping_add(offset);
    for (from, len) in rest_of(block, layout) {
        // SAFETY: within the pages, beside the block.
        unsafe { from.write_bytes(PAD, len) };
    }
    *slots.records.get_mut(index)? = Record {
        block,
        layout,
        is_used: true,
        allocated_by: os::thread_id(),
        freed_by: 0,
        allocated_at: stack,
        freed_at: Stack::NONE,
    };
    Some(block)
}

/// The parts of a block's pages before and behind it.
fn rest_of(block: *mut u8, layout: Layout) -> [(*mut u8, usize); 2] {
    let page = os::page_size();
    let before = block.addr() & (page - 1);
    let end = block.wrapping_add(layout.size());
    let behind = end.addr().next_multiple_of(page) - end.addr();
    [(block.wrapping_sub(before), before), (end, behind)]
}

/// Frees a slot's block. What is no live block of that layout ends the process.
pub(super) fn free(block: *mut u8, layout: Layout) {
    let stack = Stack::take();
    let mut slots = checked(block, layout);
    let start = block.addr() & !(os::page_size() - 1);
    let size = layout.size().next_multiple_of(os::page_size());
    let pages = block.wrapping_sub(block.addr() - start);
    let Some(record) = slots.record_at(block.addr()) else {
        return;
    };
    record.is_used = false;
    record.freed_by = os::thread_id();
    record.freed_at = stack;
    // Where the kernel refuses, the pages can be touched still: then nothing is reported.
    // SAFETY: the block was given up.
    let _ = unsafe { os::reserve_again(pages, size) };
}

/// A look at a live block.
pub(super) fn check(block: *mut u8, layout: Layout) {
    drop(checked(block, layout));
}

fn checked(block: *mut u8, layout: Layout) -> Held {
    let mut slots = lock();
    let record = slots.record_at(block.addr()).copied();
    let Some(record) = record.filter(|record| !record.block.is_null()) else {
        drop(slots);
        dump::never_allocated(block);
    };
    if !record.is_used || record.block != block || record.layout != layout {
        drop(slots);
        dump::bad_free(block, layout, &record);
    }
    for (from, len) in rest_of(block, layout) {
        // SAFETY: within the block's pages, which are not freed yet.
        let rest = unsafe { core::slice::from_raw_parts(from, len) };
        if let Some(at) = rest.iter().position(|byte| *byte != PAD) {
            drop(slots);
            dump::bad_rest(from.wrapping_add(at), &record);
        }
    }
    slots
}

impl Slots {
    fn reserve(&mut self) -> Option<()> {
        self.base = os::reserve(SPAN)?.as_ptr();
        fault::install();
        // ORDERING: Release publishes that there are slots; pairs with `contains`.
        BASE.store(self.base.addr(), Release);
        Some(())
    }

    fn start_of(&self, index: usize) -> *mut u8 {
        self.base.wrapping_add(index * STRIDE + SLOT)
    }

    /// A slot without a live block, the one that waited longest among those in order.
    fn free_slot(&mut self) -> Option<usize> {
        let index = (0..SLOTS)
            .map(|step| (self.next + step) % SLOTS)
            .find(|&index| {
                self.records
                    .get(index)
                    .is_some_and(|record| !record.is_used)
            })?;
        self.next = index + 1;
        Some(index)
    }

    fn record_at(&mut self, address: usize) -> Option<&mut Record> {
        let offset = address.wrapping_sub(self.base.addr()).wrapping_sub(SLOT);
        self.records.get_mut(offset / STRIDE)
    }

    /// The block that an address was probably meant for: the slot's, or from a guard the
    /// nearer of the neighbours, one in use first.
    pub(super) fn near(&self, address: usize) -> Option<Record> {
        let distance = |record: &Record| {
            let start = record.block.addr();
            let end = start + record.layout.size();
            start
                .saturating_sub(address)
                .max(address.saturating_sub(end))
        };
        let slot = address.wrapping_sub(self.base.addr()) / STRIDE;
        let around = self
            .records
            .get(slot.saturating_sub(1)..(slot + 1).min(SLOTS))?;
        let known = around.iter().filter(|record| !record.block.is_null());
        known.min_by_key(|record| distance(record)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_address_of_a_program_lies_in_slots_that_are_not_there() {
        // Null and its fields; where a program that is not relocated, and its heap, lie; the
        // last of 47, 48 and 56 bits.
        for address in [0, 64, 0x40_0000, 0x7f_ffff, 1 << 32] {
            assert!(!lies_in(address, NOWHERE), "{address:#x}");
        }
        for bits in [47, 48, 56] {
            assert!(!lies_in((1 << bits) - 1, NOWHERE), "{bits}");
        }
    }
}
