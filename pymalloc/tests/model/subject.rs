//! What the model asks of the allocator that it drives.

use std::alloc::{GlobalAlloc, Layout};

use pymalloc::PyMalloc;

/// An allocator and its introspection.
pub(crate) trait Subject: GlobalAlloc + Sync + 'static {
    /// Bytes that the block's owner may use.
    ///
    /// # Safety
    ///
    /// `ptr` is a live block of this allocator.
    unsafe fn usable_size(&self, ptr: *const u8) -> usize {
        // SAFETY: the caller's promise.
        unsafe { pymalloc::usable_size(ptr) }
    }

    /// Whether the address lies in this allocator's memory.
    fn owns(&self, ptr: *const u8) -> bool {
        pymalloc::owns(ptr)
    }

    /// Walks the heap.
    ///
    /// # Errors
    ///
    /// What the walker found, in words.
    fn verify(&self) -> Result<(), String> {
        pymalloc::verify_heap().map_err(|error| format!("{error:?}"))
    }

    /// Gives what is empty back to the system.
    fn trim(&self) {
        pymalloc::trim();
    }

    /// Bytes in live blocks, large ones included.
    fn bytes_in_use(&self) -> usize {
        let stats = pymalloc::stats();
        stats.bytes_in_use + stats.bytes_large
    }
}

impl Subject for PyMalloc {}

/// `PyMalloc` as C sees it: what is freed or resized is known by its address alone.
#[derive(Debug)]
pub(crate) struct ByAddress;

// SAFETY: as for `PyMalloc`, whose blocks these are.
unsafe impl GlobalAlloc for ByAddress {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        unsafe { PyMalloc.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, _: Layout) {
        // SAFETY: the caller gives the block up.
        let freed = unsafe { pymalloc::dealloc_unsized(block) };
        assert_eq!(freed, Ok(()), "dealloc_unsized of a live block");
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        unsafe { PyMalloc.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        let new = Layout::from_size_align(new_size, layout.align()).expect("the caller's promise");
        // SAFETY: the caller's block.
        let moved = unsafe { pymalloc::realloc_unsized(block, new) };
        moved.expect("realloc_unsized of a live block")
    }
}

impl Subject for ByAddress {}
