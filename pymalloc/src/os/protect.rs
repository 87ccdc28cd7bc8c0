//! Address space without memory, access and its loss, chance, and a safe look at any address:
//! what only the hardened modes ask of the system.

use core::ptr::NonNull;

use super::{errno, page_size, unmap};
use crate::fault::{self, Call};

/// Reserves `size` bytes of addresses, a multiple of the page size, that nobody may touch.
pub(crate) fn reserve(size: usize) -> Option<NonNull<u8>> {
    let start = reserve_anywhere(size)?;
    if start.addr().get().is_multiple_of(page_size()) {
        return Some(start);
    }
    // A test pretends that pages are larger.
    // SAFETY: just reserved, known to nobody.
    unsafe { unmap(start, size) };
    reserve_aligned(size, page_size())
}

/// Reserves `size` bytes at a multiple of the kernel's page size.
fn reserve_anywhere(size: usize) -> Option<NonNull<u8>> {
    if fault::refuses(Call::Map) {
        return None;
    }
    // SAFETY: an anonymous mapping at a place of the kernel's choice touches nothing that
    // exists.
    let start = unsafe {
        libc::mmap(
            core::ptr::null_mut(),
            size,
            libc::PROT_NONE,
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

/// Reserves `size` bytes at a multiple of `align`, a power of two and of the page size.
pub(crate) fn reserve_aligned(size: usize, align: usize) -> Option<NonNull<u8>> {
    let start = reserve_anywhere(size.checked_add(align)?)?;
    let skip = start.as_ptr().align_offset(align);
    // SAFETY: `skip` is less than `align`.
    let aligned = unsafe { start.add(skip) };
    if skip > 0 {
        // SAFETY: the part before, known to nobody.
        unsafe { unmap(start, skip) };
    }
    // SAFETY: the end of the part that is kept.
    let rest = unsafe { aligned.add(size) };
    // SAFETY: the part behind, known to nobody.
    unsafe { unmap(rest, align - skip) };
    Some(aligned)
}

/// Lets `size` bytes be read and written; false if the kernel refuses: memory has run out,
/// or the process has as many mappings as it may have.
///
/// # Safety
/// Whole pages that were reserved here, the caller's.
pub(crate) unsafe fn allow(start: *mut u8, size: usize) -> bool {
    if fault::refuses(Call::Map) {
        return false;
    }
    let access = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: the caller's promise.
    unsafe { libc::mprotect(start.cast(), size, access) == 0 }
}

/// Takes the memory behind `size` bytes away and keeps their addresses reserved; false, and all
/// as it was, if the kernel refuses: the process has as many mappings as it may have.
///
/// # Safety
/// Whole pages that were reserved here, the caller's, and nobody's to use any more.
pub(crate) unsafe fn reserve_again(start: *mut u8, size: usize) -> bool {
    if fault::refuses(Call::Map) {
        return false;
    }
    // SAFETY: the caller's own pages are replaced.
    let now = unsafe {
        libc::mmap(
            start.cast(),
            size,
            libc::PROT_NONE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_FIXED,
            -1,
            0,
        )
    };
    now != libc::MAP_FAILED
}

/// Moves pages to a place that was reserved for them, and more of them; false if the kernel
/// refuses: at a limit, or where the program has made several mappings of them (by `mlock` or
/// `madvise` of a part). Then they are where they were, but whose the place is is not known. For
/// some reasons a kernel refuses before it frees the place, for others after, and 6.17 changed
/// which; when it is free, another thread may map something there.
///
/// # Safety
/// `old` bytes at `start` are mapped, the caller's; so are `new` bytes at `to`, no fewer.
pub(crate) unsafe fn move_pages(start: *mut u8, old: usize, to: *mut u8, new: usize) -> bool {
    if fault::refuses(Call::Remap) {
        return false;
    }
    let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
    // SAFETY: the caller's promise.
    let moved = unsafe { libc::mremap(start.cast(), old, new, flags, to) };
    moved != libc::MAP_FAILED
}

/// A number nobody can guess. Where the kernel has none to give (before 3.17), one that
/// differs from process to process.
pub(crate) fn random() -> u64 {
    let mut bytes = [0_u8; 8];
    // By its number: the C library's own function may be a cancellation point.
    // SAFETY: the buffer is valid for its length.
    let got = unsafe {
        libc::syscall(
            libc::SYS_getrandom,
            bytes.as_mut_ptr(),
            bytes.len(),
            libc::GRND_NONBLOCK,
        )
    };
    if got == 8 {
        return u64::from_ne_bytes(bytes);
    }
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: it writes one time.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    let place = core::ptr::from_ref(&now).addr() as u64;
    place
        ^ now
            .tv_nsec
            .cast_unsigned()
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// Copies what lies at an address, whether anything does or not; how many bytes did.
pub(crate) fn peek(address: usize, into: &mut [u8]) -> usize {
    let local = libc::iovec {
        iov_base: into.as_mut_ptr().cast(),
        iov_len: into.len(),
    };
    let remote = libc::iovec {
        iov_base: core::ptr::without_provenance_mut(address),
        iov_len: into.len(),
    };
    // SAFETY: no requirements.
    let process = unsafe { libc::getpid() };
    // SAFETY: the kernel checks the address to read from; the buffer is ours.
    let read =
        unsafe { libc::process_vm_readv(process, &raw const local, 1, &raw const remote, 1, 0) };
    usize::try_from(read).unwrap_or(0)
}

/// Waits for some milliseconds, less than a second, whatever signals come. By the call's number,
/// as `write_stderr`.
pub(crate) fn sleep(milliseconds: i64) {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: milliseconds * 1_000_000,
    };
    // Where a signal ends it, what is left of the time takes its place.
    // SAFETY: the time is readable and writable.
    while unsafe { libc::syscall(libc::SYS_nanosleep, &raw const time, &raw mut time) } != 0
        && errno() == libc::EINTR
    {}
}

/// The calling thread's number.
pub(crate) fn thread_id() -> i32 {
    // By its number: the C library has the function since 2.30 only.
    // SAFETY: no requirements.
    unsafe { libc::syscall(libc::SYS_gettid) as i32 }
}
