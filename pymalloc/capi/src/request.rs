//! What a C call asks for, as a layout; and C's ways to fail.

use core::alloc::{GlobalAlloc, Layout};
use core::ffi::{CStr, c_int, c_void};
use core::fmt::{self, Write};
use core::ptr::null_mut;

use allocator::PyMalloc;

/// The alignment of every block (glibc `MALLOC_ALIGNMENT`, C `max_align_t`).
pub(crate) const ALIGNMENT: usize = 16;

/// Up to here the allocator's inlined path serves.
const SMALL: usize = 512;

/// A block; null and `ENOMEM` if memory has run out, or there can be no such block.
#[inline(always)]
pub(crate) fn alloc(size: usize, alignment: usize) -> *mut c_void {
    let block = alloc_at_hand(size, alignment);
    if block.is_null() {
        return alloc_or_fail(size, alignment);
    }
    block
}

/// The same without a word in `errno`.
#[inline(always)]
pub(crate) fn alloc_quietly(size: usize, alignment: usize) -> *mut c_void {
    let block = alloc_at_hand(size, alignment);
    if block.is_null() {
        return alloc_other(size, alignment);
    }
    block
}

/// A small block that the thread has at hand: the usual case. All others are for
/// `alloc_other`, the last thing to be called then, so that this needs no stack.
#[inline(always)]
pub(crate) fn alloc_at_hand(size: usize, alignment: usize) -> *mut c_void {
    // The small ones first: they need no comparison with the largest there can be.
    if size.wrapping_sub(1) < SMALL && alignment == ALIGNMENT {
        // SAFETY: the alignment is a power of two, and far below where sizes overflow.
        let layout = unsafe { Layout::from_size_align_unchecked(size, ALIGNMENT) };
        return allocator::alloc_at_hand(layout).cast();
    }
    null_mut()
}

#[inline(never)]
fn alloc_or_fail(size: usize, alignment: usize) -> *mut c_void {
    let block = alloc_other(size, alignment);
    if block.is_null() {
        return out_of_memory();
    }
    block
}

#[inline(never)]
fn alloc_other(size: usize, alignment: usize) -> *mut c_void {
    match Layout::from_size_align(size, alignment) {
        // SAFETY: PyMalloc takes any layout, an empty one too.
        Ok(layout) => unsafe { PyMalloc.alloc(layout) }.cast(),
        Err(_) => null_mut(),
    }
}

/// Frees a block, a null pointer is none; `foreign` is told of an address that is no block's.
///
/// Null is looked for last: it lies in no pool.
///
/// # Safety
/// The caller gives up a block of ours, or calls what ends the process.
#[inline(always)]
pub(crate) unsafe fn free(block: *mut c_void, foreign: fn(*mut u8)) {
    if is_aligned(block) {
        // SAFETY: the caller's promise.
        unsafe { allocator::dealloc_unsized_or(block.cast(), foreign) };
    } else {
        refuse_misaligned(block, foreign);
    }
}

#[cold]
#[inline(never)]
fn refuse_misaligned(block: *mut c_void, foreign: fn(*mut u8)) {
    foreign(block.cast());
}

/// What `free` is to call: reports an address as `report_foreign` does, but for null.
macro_rules! refuse {
    ($function:literal) => {
        |block: *mut u8| {
            if !block.is_null() {
                $crate::request::report_foreign(block.cast(), $function)
            }
        }
    };
}
pub(crate) use refuse;

/// Whether a block may start there.
#[inline(always)]
pub(crate) fn is_aligned(block: *mut c_void) -> bool {
    block.addr().is_multiple_of(ALIGNMENT)
}

/// Null, with `ENOMEM`.
#[cold]
#[inline(never)]
pub(crate) fn out_of_memory() -> *mut c_void {
    set_errno(libc::ENOMEM);
    null_mut()
}

/// Null, with `EINVAL`.
#[cold]
#[inline(never)]
pub(crate) fn invalid() -> *mut c_void {
    set_errno(libc::EINVAL);
    null_mut()
}

/// The thread's `errno`.
pub(crate) fn errno() -> c_int {
    // SAFETY: no requirements.
    let place = unsafe { libc::__errno_location() };
    // SAFETY: it points to the thread's own variable.
    unsafe { *place }
}

/// Sets it.
pub(crate) fn set_errno(value: c_int) {
    // SAFETY: no requirements.
    let place = unsafe { libc::__errno_location() };
    // SAFETY: it points to the thread's own variable.
    unsafe { *place = value };
}

/// Writes all of `bytes` to standard error; an error where it takes no more.
///
/// By the call's number: the C library's own function is a cancellation point, and none of ours
/// may be one.
pub(crate) fn write_stderr(mut bytes: &[u8]) -> fmt::Result {
    while !bytes.is_empty() {
        // SAFETY: the bytes are valid for their length.
        let written = unsafe { libc::syscall(libc::SYS_write, 2, bytes.as_ptr(), bytes.len()) };
        match usize::try_from(written) {
            // A signal came first.
            Err(_) if errno() == libc::EINTR => {}
            Ok(0) | Err(_) => return Err(fmt::Error),
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
        }
    }
    Ok(())
}

/// Says on standard error that an address is not a block of ours, and aborts, as glibc does
/// on `free(): invalid pointer`. To go on would leak at best.
#[cold]
#[inline(never)]
pub(crate) fn report_foreign(block: *mut c_void, function: &CStr) -> ! {
    let mut line = Line::new();
    let function = function.to_str().unwrap_or_default();
    let _ = writeln!(
        line,
        "pymalloc: {function}({block:?}): not a block of this allocator: \
         never allocated, or by another malloc in this process"
    );
    line.print_and_abort()
}

/// A line of text on the stack; what does not fit is left out.
pub(crate) struct Line {
    bytes: [u8; 256],
    len: usize,
}

impl Line {
    pub(crate) const fn new() -> Self {
        Self {
            bytes: [0; 256],
            len: 0,
        }
    }

    pub(crate) fn print_and_abort(&self) -> ! {
        let text = self.bytes.get(..self.len).unwrap_or_default();
        // There is nobody to tell of an error.
        let _ = write_stderr(text);
        // SAFETY: no requirements.
        unsafe { libc::abort() }
    }
}

impl fmt::Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.len + text.len();
        let room = self.bytes.get_mut(self.len..end).ok_or(fmt::Error)?;
        room.copy_from_slice(text.as_bytes());
        self.len = end;
        Ok(())
    }
}
