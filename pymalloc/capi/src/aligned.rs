//! Blocks of a larger alignment.
//!
//! | call | alignment that is refused | how |
//! |---|---|---|
//! | `posix_memalign` | not a power of two, or no multiple of `sizeof(void *)` | returns `EINVAL` |
//! | `aligned_alloc` | not a power of two (glibc since 2.38, `malloc(3)`) | null, `EINVAL` |
//! | `memalign` | none: rounded up to a power of two (glibc); beyond the last, | null, `EINVAL` |
//!
//! Where memory has run out: null and `ENOMEM`; `posix_memalign` returns `ENOMEM` and leaves
//! `errno` and `*place` as they were.

use core::ffi::{c_int, c_void};

use crate::request::{ALIGNMENT, alloc, alloc_quietly, errno, invalid, out_of_memory, set_errno};

#[unsafe(no_mangle)]
extern "C" fn aligned_alloc(alignment: usize, size: usize) -> *mut c_void {
    if !alignment.is_power_of_two() {
        return invalid();
    }
    alloc(size, alignment.max(ALIGNMENT))
}

#[unsafe(no_mangle)]
extern "C" fn memalign(alignment: usize, size: usize) -> *mut c_void {
    rounded(alignment, size)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn posix_memalign(
    place: *mut *mut c_void,
    alignment: usize,
    size: usize,
) -> c_int {
    // SAFETY: the caller's place.
    unsafe { placed(place, alignment, size) }
}

#[unsafe(no_mangle)]
extern "C" fn valloc(size: usize) -> *mut c_void {
    alloc(size, page_size())
}

#[unsafe(no_mangle)]
extern "C" fn pvalloc(size: usize) -> *mut c_void {
    whole_pages(size)
}

fn rounded(alignment: usize, size: usize) -> *mut c_void {
    match alignment.checked_next_power_of_two() {
        Some(alignment) => alloc(size, alignment.max(ALIGNMENT)),
        None => invalid(),
    }
}

/// # Safety
/// A pointer can be written to `place`.
unsafe fn placed(place: *mut *mut c_void, alignment: usize, size: usize) -> c_int {
    if !alignment.is_power_of_two() || alignment < size_of::<*mut c_void>() {
        return libc::EINVAL;
    }
    let errno_before = errno();
    let block = alloc_quietly(size, alignment.max(ALIGNMENT));
    if block.is_null() {
        // The system said why in `errno`.
        set_errno(errno_before);
        return libc::ENOMEM;
    }
    // SAFETY: the caller's promise.
    unsafe { place.write(block) };
    0
}

fn whole_pages(size: usize) -> *mut c_void {
    let page = page_size();
    match size.checked_next_multiple_of(page) {
        Some(size) => alloc(size, page),
        None => out_of_memory(),
    }
}

fn page_size() -> usize {
    // SAFETY: a query without side effects.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(size).unwrap_or(4096)
}

/// glibc's second names, see `malloc.rs`.
mod second_names {
    use super::{alloc, c_int, c_void, page_size, placed, rounded, whole_pages};

    #[unsafe(no_mangle)]
    extern "C" fn __libc_memalign(alignment: usize, size: usize) -> *mut c_void {
        rounded(alignment, size)
    }

    #[unsafe(no_mangle)]
    extern "C" fn __libc_valloc(size: usize) -> *mut c_void {
        alloc(size, page_size())
    }

    #[unsafe(no_mangle)]
    extern "C" fn __libc_pvalloc(size: usize) -> *mut c_void {
        whole_pages(size)
    }

    #[unsafe(no_mangle)]
    unsafe extern "C" fn __posix_memalign(
        place: *mut *mut c_void,
        alignment: usize,
        size: usize,
    ) -> c_int {
        // SAFETY: the caller's place.
        unsafe { placed(place, alignment, size) }
    }
}
