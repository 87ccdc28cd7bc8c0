//! The slots: addresses for 64 blocks, each between guards, and what is known of each.
//!
//! ```text
//!  ├── 64 KiB ──┼── 64 KiB ──┼── 64 KiB ──┼─ ...
//!  │ # guard #  │ slot 0     │ # guard #  │ slot 1 ... # guard # │
//!                 ▓▓ block ░│   at its end, or start; ░ fd up to the page's end
//! ```
//! Pages of a slot can be touched only while they have a block. Free slots are used in the
//! order in which they became free, the last few of them not at all: so every freed block is out
//! of reach for a while.
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

/// Slots there are.
const SLOTS: usize = 64;
/// Slots that stay free: so many others are used before one that was freed.
const RESERVE: usize = 8;
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
    /// How many were freed before, this one included; 0 in a slot that was never used.
    turn: u64,
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
    /// Blocks that were freed.
    freed: u64,
}

// SAFETY: the addresses in it are touched by whoever has the lock, or the block.
unsafe impl Send for Slots {}

static SLOTS_LOCK: Mutex<Slots> = Mutex::new(Slots {
    base: core::ptr::null_mut(),
    records: [Record {
        block: core::ptr::null_mut(),
        layout: Layout::new::<()>(),
        is_used: false,
        turn: 0,
        allocated_by: 0,
        freed_by: 0,
        allocated_at: Stack::NONE,
        freed_at: Stack::NONE,
    }; SLOTS],
    freed: 0,
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

/// A block in a slot of its own, but for the rest of its pages all zeros; `None` if it is too
/// large, or no more slots may be used.
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
    // An underflow is as bad as an overflow, and rarer.
    let at_start = index % 4 == 3;
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
        turn: 0,
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
    slots.freed += 1;
    let turn = slots.freed;
    let Some(record) = slots.record_at(block.addr()) else {
        return;
    };
    record.is_used = false;
    record.turn = turn;
    record.freed_by = os::thread_id();
    record.freed_at = stack;
    let size = layout.size().next_multiple_of(os::page_size());
    let pages = block.map_addr(|address| address & !(os::page_size() - 1));
    // SAFETY: the block was given up.
    if !unsafe { os::reserve_again(pages, size) } {
        // At the limit of mappings. They can be touched still, and nothing is reported then.
        // What was in them must not be in a new block.
        // SAFETY: the block's pages, as they were; nobody else has the slot under the lock.
        unsafe { pages.write_bytes(0, size) };
    }
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

    /// The free slot that has waited longest; `None` where too few are free.
    fn free_slot(&self) -> Option<usize> {
        let free = self.records.iter().enumerate();
        let free = free.filter(|(_, record)| !record.is_used);
        if free.clone().count() <= RESERVE {
            return None;
        }
        let (index, _) = free.min_by_key(|(_, record)| record.turn)?;
        Some(index)
    }

    fn record_at(&mut self, address: usize) -> Option<&mut Record> {
        let offset = address.wrapping_sub(self.base.addr()).wrapping_sub(SLOT);
        self.records.get_mut(offset / STRIDE)
    }

    /// The block that an address was probably meant for: the slot's, or from a guard the
    /// nearer of the neighbours.
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

    fn with(records: impl Fn(usize) -> (bool, u64)) -> Option<usize> {
        let mut slots = Slots {
            base: core::ptr::null_mut(),
            records: lock().records,
            freed: 0,
        };
        for (index, record) in slots.records.iter_mut().enumerate() {
            (record.is_used, record.turn) = records(index);
        }
        slots.free_slot()
    }

    #[test]
    fn the_slot_that_was_freed_first_is_used_first() {
        assert_eq!(with(|_| (false, 0)), Some(0));
        assert_eq!(with(|index| (index < 7, 0)), Some(7));
        // One that was never used before all that were.
        assert_eq!(with(|index| (false, u64::from(index != 40))), Some(40));
        // Slot 9 was freed, then slot 5, then those from 50 on.
        let freed = |index| match index {
            9 => (false, 1),
            5 => (false, 2),
            50.. => (false, index as u64),
            _ => (true, 0),
        };
        assert_eq!(with(freed), Some(9));
    }

    #[test]
    fn the_last_few_slots_stay_free() {
        let free = |count: usize| with(move |index| (index >= count, index as u64));
        assert_eq!(free(RESERVE + 1), Some(0));
        assert_eq!(free(RESERVE), None);
        assert_eq!(free(0), None);
    }
}
