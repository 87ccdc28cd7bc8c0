//! Under Miri: the same interface, forwarded to the system's allocator, which Miri
//! watches byte by byte.

use core::alloc::{GlobalAlloc, Layout};
use std::alloc::System;

use crate::arena_stats::ArenaStats;
use crate::heap::Heap;
use crate::shared::Shared;
use crate::stats::Stats;
use crate::verify::HeapError;

/// Forwards to the system's allocator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PyMalloc;

// SAFETY: every method is the system allocator's.
unsafe impl GlobalAlloc for PyMalloc {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's contract is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's contract is the same.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's contract is the same.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller's contract is the same.
        unsafe { System.realloc(block, layout, new_size) }
    }
}

/// Forwards to the allocator given: nothing is sampled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sampled<A>(A);

impl<A> Sampled<A> {
    /// As the real one.
    pub const fn new(allocator: A) -> Self {
        Self(allocator)
    }
}

// SAFETY: every method is the allocator's.
unsafe impl<A: GlobalAlloc> GlobalAlloc for Sampled<A> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's contract is the same.
        unsafe { self.0.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's contract is the same.
        unsafe { self.0.dealloc(block, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's contract is the same.
        unsafe { self.0.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller's contract is the same.
        unsafe { self.0.realloc(block, layout, new_size) }
    }
}

/// Does nothing.
pub fn set_sample_rate(_rate: u32) {}

/// 0: the size of a block is not known here.
///
/// # Safety
///
/// As for the real one.
pub unsafe fn usable_size(_ptr: *const u8) -> usize {
    0
}

/// False: the memory is the system's.
pub fn owns(_ptr: *const u8) -> bool {
    false
}

/// An empty heap.
pub fn stats() -> Stats {
    Stats::read(&Shared::new(), &Heap::new())
}

/// No arenas.
pub fn arenas(_into: &mut [ArenaStats]) -> usize {
    0
}

/// Nothing to give back.
pub fn trim() -> usize {
    0
}

/// Nothing to check.
///
/// # Errors
///
/// None.
pub fn verify_heap() -> Result<(), HeapError> {
    Ok(())
}
