//! A few blocks, picked by chance, between pages that nobody may touch.
//!
//! ```text
//!  Sampled<A> ── alloc ── one in RATE? ──▶ slots.rs: a page or more of its own
//!        │                  │ no                ▲            │ touched beyond, or when freed
//!        │                  └▶ A                │            ▼
//!        └───── dealloc ── in the slots? ───────┘         fault.rs: the report
//!                           └ no ▶ A
//! ```
//! Source: GWP-ASan, LLVM `compiler-rt/lib/gwp_asan` (its documentation).

use core::alloc::{GlobalAlloc, Layout};
use core::cell::Cell;
use core::sync::atomic::AtomicU32;
use core::sync::atomic::Ordering::Relaxed;

mod dump;
mod fault;
mod slots;

use crate::settings;
pub(crate) use slots::{Held, lock};

/// An allocator of which one allocation in many is put between guard pages, so that a
/// program in production reports an overflow or a use after free now and then, with the
/// stacks of the allocation, the free and the access, at next to no cost.
///
/// Off until the variable `PYMALLOC_SAMPLE` or [`set_sample_rate`] gives a rate. A sampled
/// block has pages of its own, at whose end or start it lies. An access beyond them, or
/// after the block is freed, is reported on standard error where it happens; then the
/// process gets the signal it would have got, so that its own handlers, and core
/// dumps, see the place. A second free, a free inside the block, a wrong layout and a
/// write to the rest of its page are reported when it is freed, and abort.
///
/// An allocation that is not sampled and its free cost eleven instructions more. A
/// sampled one costs some system calls and two stacks. 56 blocks of up to 64 KiB are
/// sampled at one time; while all are in use no other is. A freed one stays out of reach
/// until 8 others were sampled, or 63 where few are in use.
///
/// The first sampled block puts a handler before the process's for `SIGSEGV`. If that
/// is before `main`, the standard library's message for a stack overflow is lost.
///
/// # Examples
///
/// ```
/// use pymalloc::{PyMalloc, Sampled};
///
/// #[global_allocator]
/// static GLOBAL: Sampled<PyMalloc> = Sampled::new(PyMalloc);
///
/// // One allocation in 5000; the environment may say so, too: PYMALLOC_SAMPLE=5000.
/// pymalloc::set_sample_rate(5000);
/// let words = vec![String::from("spam"); 10];
/// assert_eq!(words.len(), 10);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sampled<A>(A);

impl<A> Sampled<A> {
    /// Samples what is allocated through `allocator`.
    pub const fn new(allocator: A) -> Self {
        Self(allocator)
    }
}

/// Puts one allocation in `rate`, on average, between guard pages, where the global
/// allocator is [`Sampled`]; none for 0, every one that can be for 1.
///
/// Threads that run get to know of it after up to 65,536 allocations, or at their next
/// sampled one.
pub fn set_sample_rate(rate: u32) {
    RATE.store(rate.min(MOST), Relaxed);
}

/// Allocations of a thread between two looks at a rate of 0.
const WHILE_OFF: u32 = 1 << 16;
const MOST: u32 = 1 << 30;
/// The rate was not asked for yet.
const UNREAD: u32 = u32::MAX;

static RATE: AtomicU32 = AtomicU32::new(UNREAD);

thread_local! {
    /// Allocations until the next sampled one, that one included; 0 in a new thread.
    static LEFT: Cell<u32> = const { Cell::new(0) };
    static CHANCE: Cell<u32> = const { Cell::new(0) };
}

// SAFETY: a block is the inner allocator's, or a slot's, which is as large and aligned as
// asked for and nobody else's; the address says whose.
unsafe impl<A: GlobalAlloc> GlobalAlloc for Sampled<A> {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if is_due()
            && let Some(block) = sample(layout)
        {
            return block;
        }
        // SAFETY: the caller's contract is the same.
        unsafe { self.0.alloc(layout) }
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if slots::contains(block.addr()) {
            return slots::free(block, layout);
        }
        // SAFETY: the caller's contract is the same.
        unsafe { self.0.dealloc(block, layout) }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // A slot's memory is new, or cleared.
        if is_due()
            && let Some(block) = sample(layout)
        {
            return block;
        }
        // SAFETY: the caller's contract is the same.
        unsafe { self.0.alloc_zeroed(layout) }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        if !slots::contains(block.addr()) {
            // SAFETY: the caller's contract is the same.
            return unsafe { self.0.realloc(block, layout, new_size) };
        }
        // SAFETY: the caller promises that the new size, rounded up to the alignment,
        // does not overflow.
        let new = unsafe { Layout::from_size_align_unchecked(new_size, layout.align()) };
        slots::check(block, layout);
        // SAFETY: the new size is not 0.
        let moved = unsafe { self.alloc(new) };
        if !moved.is_null() {
            let len = layout.size().min(new_size);
            // SAFETY: both are at least that long, and the new one is nobody's yet.
            unsafe { moved.copy_from_nonoverlapping(block, len) };
            slots::free(block, layout);
        }
        moved
    }
}

/// Counts an allocation; whether to look if it is to be sampled.
#[inline(always)]
fn is_due() -> bool {
    let left = LEFT.get();
    if left > 1 {
        LEFT.set(left - 1);
    }
    left <= 1
}

#[cold]
#[inline(never)]
fn sample(layout: Layout) -> Option<*mut u8> {
    let rate = rate();
    let is_sampled = rate == 1 || rate > 1 && LEFT.get() == 1;
    LEFT.set(if rate == 0 { WHILE_OFF } else { interval(rate) });
    if is_sampled {
        slots::alloc(layout)
    } else {
        None
    }
}

/// A number from 1 to twice the rate less one.
fn interval(rate: u32) -> u32 {
    // xorshift, seeded by where the thread's memory lies.
    let mut chance = CHANCE.get();
    if chance == 0 {
        chance = CHANCE.with(core::ptr::from_ref).addr() as u32 | 1;
    }
    chance ^= chance << 13;
    chance ^= chance >> 17;
    chance ^= chance << 5;
    CHANCE.set(chance);
    let span = u64::from(rate) * 2 - 1;
    1 + ((u64::from(chance) * span) >> 32) as u32
}

fn rate() -> u32 {
    // ORDERING: Relaxed, here and above: a number that stands for itself.
    match RATE.load(Relaxed) {
        UNREAD => {
            let rate = settings::sample_rate().min(MOST);
            // What was set meanwhile stays.
            let read = RATE.compare_exchange(UNREAD, rate, Relaxed, Relaxed);
            read.map_or_else(|set| set, |_| rate)
        }
        rate => rate,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_interval_is_the_rate() {
        assert!((0..100).all(|_| interval(1) == 1));
        for rate in [2, 100, 5000] {
            let sum: u64 = (0..20_000).map(|_| u64::from(interval(rate))).sum();
            let mean = sum as f64 / 20_000.0;
            // Seven standard deviations of the mean.
            assert!(
                (mean / f64::from(rate) - 1.0).abs() < 0.03,
                "{mean} for {rate}"
            );
        }
    }
}
