//! A mode as the subject of the model.

use std::alloc::{GlobalAlloc, Layout};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::model::Subject;

/// A mode, and what is live in it: what only `PyMalloc` can be asked, this knows.
#[derive(Debug)]
pub(crate) struct Mode<A> {
    allocator: A,
    live: Mutex<BTreeMap<usize, usize>>,
}

impl<A> Mode<A> {
    /// Nothing is live.
    pub(crate) const fn new(allocator: A) -> Self {
        Self {
            allocator,
            live: Mutex::new(BTreeMap::new()),
        }
    }

    fn live(&self) -> MutexGuard<'_, BTreeMap<usize, usize>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// SAFETY: every method is the mode's.
unsafe impl<A: GlobalAlloc> GlobalAlloc for Mode<A> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's contract is the same.
        let block = unsafe { self.allocator.alloc(layout) };
        self.live().insert(block.addr(), layout.size());
        block
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's contract is the same.
        let block = unsafe { self.allocator.alloc_zeroed(layout) };
        self.live().insert(block.addr(), layout.size());
        block
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        assert_eq!(self.live().remove(&block.addr()), Some(layout.size()));
        // SAFETY: the caller's contract is the same.
        unsafe { self.allocator.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // Before: the address may be another thread's at once.
        self.live().remove(&block.addr());
        // SAFETY: the caller's contract is the same.
        let moved = unsafe { self.allocator.realloc(block, layout, new_size) };
        let (at, size) = if moved.is_null() {
            (block, layout.size())
        } else {
            (moved, new_size)
        };
        self.live().insert(at.addr(), size);
        moved
    }
}

impl<A: GlobalAlloc + Sync + 'static> Subject for Mode<A> {
    unsafe fn usable_size(&self, ptr: *const u8) -> usize {
        self.live().get(&ptr.addr()).copied().unwrap_or(0)
    }

    fn owns(&self, ptr: *const u8) -> bool {
        let live = self.live();
        let before = live.range(..=ptr.addr()).next_back();
        before.is_some_and(|(start, size)| ptr.addr() - start <= *size)
    }

    fn verify(&self) -> Result<(), String> {
        Ok(())
    }

    fn bytes_in_use(&self) -> usize {
        self.live().values().sum()
    }
}
