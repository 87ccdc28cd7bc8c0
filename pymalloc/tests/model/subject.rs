//! What the model asks of the allocator that it drives.

use std::alloc::GlobalAlloc;

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

    /// Bytes in live blocks, large ones included.
    fn bytes_in_use(&self) -> usize {
        let stats = pymalloc::stats();
        stats.bytes_in_use + stats.bytes_large
    }
}

impl Subject for PyMalloc {}
