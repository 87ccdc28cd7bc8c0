//! Memory of the recorder's own, straight from the system: what it needs inside a hook must not
//! come from the allocator that it is hooked into.

use std::ptr::{NonNull, null_mut};
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

/// Bytes in use by the recorder's tables: of what is mapped, the part that was written.
static USED: AtomicUsize = AtomicUsize::new(0);

/// The part of it that lies in blocks of the program's allocator.
#[cfg(any(feature = "framehop", feature = "pymalloc"))]
static USED_BLOCKS: AtomicUsize = AtomicUsize::new(0);

/// Counts bytes that are used from now on.
pub(super) fn add_used(bytes: usize) {
    USED.fetch_add(bytes, Relaxed);
}

/// Counts bytes that are used no more.
pub(super) fn sub_used(bytes: usize) {
    USED.fetch_sub(bytes, Relaxed);
}

/// Counts bytes of the program's allocator that are used from now on.
#[cfg(feature = "framehop")]
pub(super) fn add_used_blocks(bytes: usize) {
    add_used(bytes);
    USED_BLOCKS.fetch_add(bytes, Relaxed);
}

/// Counts bytes of the program's allocator that are used no more.
#[cfg(feature = "framehop")]
pub(super) fn sub_used_blocks(bytes: usize) {
    sub_used(bytes);
    USED_BLOCKS.fetch_sub(bytes, Relaxed);
}

/// Bytes in use.
pub(super) fn used_bytes() -> usize {
    USED.load(Relaxed)
}

/// The part of them that the program's allocator has in blocks.
#[cfg(feature = "pymalloc")]
pub(super) fn used_blocks_bytes() -> usize {
    USED_BLOCKS.load(Relaxed)
}

/// Zeroed memory that costs nothing until it is written; `None` if the system refuses.
pub(super) fn map(bytes: usize) -> Option<NonNull<u8>> {
    // SAFETY: an anonymous mapping at a place of the kernel's choice touches nothing that exists.
    let start = unsafe {
        libc::mmap(
            null_mut(),
            bytes,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
            -1,
            0,
        )
    };
    if start == libc::MAP_FAILED {
        return None;
    }
    NonNull::new(start.cast())
}

/// As much zeroed memory as the system will give, at most `most` bytes and at least `least`.
pub(super) fn map_up_to(most: usize, least: usize) -> Option<(NonNull<u8>, usize)> {
    let mut bytes = most;
    while bytes >= least {
        if let Some(start) = map(bytes) {
            return Some((start, bytes));
        }
        bytes /= 4;
    }
    None
}

/// Gives a mapping back.
///
/// # Safety
/// `map` gave these bytes, and nobody uses them.
pub(super) unsafe fn unmap(start: NonNull<u8>, bytes: usize) {
    // SAFETY: the caller's promise. If the kernel refuses, the memory is lost, and no more.
    let _ = unsafe { libc::munmap(start.as_ptr().cast(), bytes) };
}
