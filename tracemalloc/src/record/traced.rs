//! `Traced<A>`: any allocator, traced from outside.

use std::alloc::{GlobalAlloc, Layout};

use super::hooks;
use super::sampling;
use super::settings::SETTINGS;
use super::thread;

/// Another allocator than `pymalloc`, whose blocks are traced.
///
/// It keeps a table by address, so that each free looks its block up while tracing is on: `pymalloc`
/// with the feature `pymalloc` of this crate does without, and is traced without this wrapper.
/// While tracing is off, it costs a load and a branch for each call.
///
/// ```
/// use std::alloc::System;
/// use tracemalloc::Traced;
///
/// #[global_allocator]
/// static GLOBAL: Traced<System> = Traced(System);
///
/// tracemalloc::start(25)?;
/// let kept: Vec<u8> = Vec::with_capacity(1000);
/// let (current, peak) = tracemalloc::get_traced_memory();
/// assert!(current >= 1000 && peak >= current);
/// # drop(kept);
/// # Ok::<(), tracemalloc::StartError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traced<A>(pub A);

// SAFETY: every method is the inner allocator's; what is done beside it touches no block.
unsafe impl<A: GlobalAlloc> GlobalAlloc for Traced<A> {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's contract is the same.
        let block = unsafe { self.0.alloc(layout) };
        if SETTINGS.is_recording() {
            note(block, layout.size());
        }
        block
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's contract is the same.
        let block = unsafe { self.0.alloc_zeroed(layout) };
        if SETTINGS.is_recording() {
            note(block, layout.size());
        }
        block
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // Its address may be another block's before the call returns.
        if SETTINGS.is_recording() {
            hooks::freed(0, block.addr());
        }
        // SAFETY: the caller's contract is the same.
        unsafe { self.0.dealloc(block, layout) };
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        if !SETTINGS.is_recording() {
            // SAFETY: the caller's contract is the same.
            return unsafe { self.0.realloc(block, layout, new_size) };
        }
        let before = hooks::take_out(0, block.addr());
        // SAFETY: the caller's contract is the same.
        let moved = unsafe { self.0.realloc(block, layout, new_size) };
        if moved.is_null() {
            if let Some(before) = before {
                hooks::put_back(before);
            }
        } else {
            note(moved, new_size);
        }
        moved
    }
}

/// Records a block, if it is to be recorded.
#[cold]
#[inline(never)]
fn note(block: *mut u8, size: usize) {
    if block.is_null() || thread::is_quiet() {
        return;
    }
    let chance = match SETTINGS.sampling() {
        None => 1.0,
        Some(period) => {
            let generation = SETTINGS.generation();
            if !thread::spend_foreign(size, generation, hooks::bytes_to_next_sample) {
                return;
            }
            sampling::chance(size.max(1), period)
        }
    };
    hooks::allocated(0, block.addr(), size, chance);
}
