//! `malloc` and its family.
//!
//! | call | answer |
//! |---|---|
//! | `malloc(0)`, `calloc(0, n)`, `realloc(NULL, 0)` | a block of its own |
//! | more than `PTRDIFF_MAX` bytes, or a product that overflows | null, `ENOMEM` |
//! | `realloc(p, 0)` | frees `p`, null, `errno` as it was (glibc) |
//! | a `realloc` that fails | null, `ENOMEM`, the block as it was |
//! | `free` of what is not a block | a line on standard error, `abort` |
//!
//! The sizes that `free_sized` and `free_aligned_sized` are told are not needed: a block may
//! be larger than its last size, after a `realloc` that left it where it was.
//!
//! The functions are `C-unwind`, although nothing here unwinds: around a `C` function the
//! compiler puts what would end the process if something did, and that needs a stack frame.
//!
//! Source: C23 7.24.3, POSIX.1-2024, `malloc(3)`.

use core::alloc::{GlobalAlloc, Layout};
use core::ffi::c_void;
use core::ptr::null_mut;

use allocator::PyMalloc;

use crate::request::{self, ALIGNMENT, is_aligned, out_of_memory, refuse, report_foreign};

#[unsafe(no_mangle)]
extern "C-unwind" fn malloc(size: usize) -> *mut c_void {
    request::alloc(size, ALIGNMENT)
}

#[unsafe(no_mangle)]
extern "C-unwind" fn calloc(count: usize, size: usize) -> *mut c_void {
    zeroed(count, size)
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn realloc(block: *mut c_void, size: usize) -> *mut c_void {
    // SAFETY: the caller's block.
    unsafe { resize(block, size) }
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn reallocarray(
    block: *mut c_void,
    count: usize,
    size: usize,
) -> *mut c_void {
    match count.checked_mul(size) {
        // SAFETY: the caller's block.
        Some(size) => unsafe { resize(block, size) },
        None => out_of_memory(),
    }
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn free(block: *mut c_void) {
    // SAFETY: the caller's block.
    unsafe { request::free(block, refuse!(c"free")) };
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn free_sized(block: *mut c_void, _size: usize) {
    // SAFETY: the caller's block.
    unsafe { request::free(block, refuse!(c"free_sized")) };
}

#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn free_aligned_sized(
    block: *mut c_void,
    _alignment: usize,
    _size: usize,
) {
    // SAFETY: the caller's block.
    unsafe { request::free(block, refuse!(c"free_aligned_sized")) };
}

#[inline(always)]
fn zeroed(count: usize, size: usize) -> *mut c_void {
    let Some(size) = count.checked_mul(size) else {
        return out_of_memory();
    };
    let block = request::alloc_at_hand(size, ALIGNMENT);
    if block.is_null() {
        return zeroed_or_fail(size);
    }
    // SAFETY: a new block, at least that long.
    unsafe { block.write_bytes(0, size) };
    block
}

#[inline(never)]
fn zeroed_or_fail(size: usize) -> *mut c_void {
    let Ok(layout) = Layout::from_size_align(size, ALIGNMENT) else {
        return out_of_memory();
    };
    // SAFETY: PyMalloc takes any layout, an empty one too.
    let block = unsafe { PyMalloc.alloc_zeroed(layout) };
    if block.is_null() {
        return out_of_memory();
    }
    block.cast()
}

/// # Safety
/// The block is the caller's, of ours, or null; else the process ends.
#[inline(always)]
unsafe fn resize(block: *mut c_void, size: usize) -> *mut c_void {
    if block.is_null() {
        return request::alloc(size, ALIGNMENT);
    }
    if size == 0 {
        // SAFETY: the caller's block.
        unsafe { request::free(block, refuse!(c"realloc")) };
        return null_mut();
    }
    let Ok(layout) = Layout::from_size_align(size, ALIGNMENT) else {
        return out_of_memory();
    };
    if !is_aligned(block) {
        report_foreign(block, c"realloc");
    }
    // SAFETY: the caller's block.
    match unsafe { allocator::realloc_unsized(block.cast(), layout) } {
        Ok(null) if null.is_null() => out_of_memory(),
        Ok(moved) => moved.cast(),
        Err(_) => report_foreign(block, c"realloc"),
    }
}

/// glibc's second names, which a few programs call, or take a block by and free by the first.
mod second_names {
    use super::{c_void, refuse, request, resize, zeroed};
    use crate::request::ALIGNMENT;

    #[unsafe(no_mangle)]
    extern "C-unwind" fn __libc_malloc(size: usize) -> *mut c_void {
        request::alloc(size, ALIGNMENT)
    }

    #[unsafe(no_mangle)]
    extern "C-unwind" fn __libc_calloc(count: usize, size: usize) -> *mut c_void {
        zeroed(count, size)
    }

    #[unsafe(no_mangle)]
    unsafe extern "C-unwind" fn __libc_realloc(block: *mut c_void, size: usize) -> *mut c_void {
        // SAFETY: the caller's block.
        unsafe { resize(block, size) }
    }

    #[unsafe(no_mangle)]
    unsafe extern "C-unwind" fn __libc_free(block: *mut c_void) {
        // SAFETY: the caller's block.
        unsafe { request::free(block, refuse!(c"free")) };
    }
}
