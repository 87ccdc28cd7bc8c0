//! Linux: `mmap`, `mremap`, `madvise`, `munmap`.

use core::ptr::NonNull;
use core::sync::atomic::AtomicUsize;
use core::sync::atomic::Ordering::Relaxed;

use once_cell::race::OnceNonZeroUsize;

use crate::fault::{self, Call};

/// No kernel's pages are smaller, bytes: any mapping is aligned to this.
pub(crate) const MIN_PAGE_SIZE: usize = 4096;

/// The system's page size, bytes: 4, 16 or 64 KiB.
pub(crate) fn page_size() -> usize {
    static PAGE_SIZE: OnceNonZeroUsize = OnceNonZeroUsize::new();
    let read = || {
        // SAFETY: a query without side effects.
        let system = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
        let system = usize::try_from(system).unwrap_or(MIN_PAGE_SIZE);
        core::num::NonZeroUsize::new(fault::page_size(system))
            .unwrap_or(core::num::NonZeroUsize::MIN)
    };
    PAGE_SIZE.get_or_init(read).get()
}

/// Maps `size` bytes, a multiple of the page size.
pub(crate) fn map(size: usize) -> Option<NonNull<u8>> {
    map_at(0, size)
}

fn map_at(hint: usize, size: usize) -> Option<NonNull<u8>> {
    if fault::refuses(Call::Map) {
        return None;
    }
    let hint = core::ptr::without_provenance_mut(hint);
    // SAFETY: an anonymous mapping at a place of the kernel's choice touches
    // nothing that exists.
    let start = unsafe {
        libc::mmap(
            hint,
            size,
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

/// Maps `size` bytes at a multiple of `align`, a power of two.
///
/// Asks for the place below the last one first, which the kernel, mapping downwards,
/// usually has free; only then for more than it needs.
pub(crate) fn map_aligned(size: usize, align: usize) -> Option<NonNull<u8>> {
    if align <= MIN_PAGE_SIZE {
        return map(size);
    }
    static LAST: AtomicUsize = AtomicUsize::new(0);
    // ORDERING: Relaxed; a hint.
    let mut hint = LAST.load(Relaxed).saturating_sub(size) & !(align - 1);
    for _ in 0..2 {
        let start = map_at(hint, size)?;
        if start.addr().get().is_multiple_of(align) {
            LAST.store(start.addr().get(), Relaxed);
            return Some(start);
        }
        // SAFETY: mapped above, known to nobody.
        unsafe { unmap(start, size) };
        hint = start.addr().get() & !(align - 1);
    }
    let slack = align;
    let start = map(size.checked_add(slack)?)?;
    let skip = start.addr().get().wrapping_neg() & (align - 1);
    // SAFETY: `skip` is less than `slack`.
    let aligned = unsafe { start.add(skip) };
    if skip > 0 {
        // SAFETY: the part before, known to nobody.
        unsafe { unmap(start, skip) };
    }
    // SAFETY: the end of the part that is kept.
    let rest = unsafe { aligned.add(size) };
    // SAFETY: the part behind, known to nobody.
    unsafe { unmap(rest, slack - skip) };
    LAST.store(aligned.addr().get(), Relaxed);
    Some(aligned)
}

/// Gives a mapping back, addresses and all; false if the kernel refuses, which it
/// does where that would split a mapping and no more are allowed.
///
/// # Safety
/// `size` bytes at `start` are mapped, page by page, and nobody uses them.
pub(crate) unsafe fn unmap(start: NonNull<u8>, size: usize) -> bool {
    if fault::refuses(Call::Unmap) {
        return false;
    }
    // SAFETY: the caller's promise.
    unsafe { libc::munmap(start.as_ptr().cast(), size) == 0 }
}

/// Makes a mapping `new` bytes long, moving it if it cannot grow in place; its
/// contents move with it, page by page, without a copy.
///
/// # Safety
/// `old` bytes at `start` are one mapping of this module's, the caller's own.
pub(crate) unsafe fn remap(start: NonNull<u8>, old: usize, new: usize) -> Option<NonNull<u8>> {
    if fault::refuses(Call::Remap) {
        return None;
    }
    // SAFETY: the caller's promise.
    let moved = unsafe { libc::mremap(start.as_ptr().cast(), old, new, libc::MREMAP_MAYMOVE) };
    if moved == libc::MAP_FAILED {
        return None;
    }
    NonNull::new(moved.cast())
}

/// Gives the memory of `size` bytes at `start` back and keeps the addresses; how many bytes
/// went back, and read zero now. Of a page that they are a part of, nothing does.
///
/// # Safety
/// The bytes are mapped by this module and nobody uses them.
pub(crate) unsafe fn discard(start: *mut u8, size: usize) -> usize {
    let page = page_size();
    let first = start.map_addr(|address| address.next_multiple_of(page));
    let before = first.addr() - start.addr();
    let whole = size.saturating_sub(before) & !(page - 1);
    if whole == 0 || fault::refuses(Call::Discard) {
        return 0;
    }
    // SAFETY: the caller's promise; the whole pages lie among those bytes.
    let is_done = unsafe { libc::madvise(first.cast(), whole, libc::MADV_DONTNEED) == 0 };
    if is_done { whole } else { 0 }
}

/// Asks for ordinary pages where the kernel would else use huge ones: a pool that is
/// touched a page at a time must not cost 2 MiB. False if the kernel has no huge pages, or
/// would have to split a mapping where no more are allowed.
///
/// # Safety
/// The bytes are mapped by this module.
pub(crate) unsafe fn avoid_huge_pages(start: NonNull<u8>, size: usize) -> bool {
    if fault::refuses(Call::Advise) {
        return false;
    }
    // SAFETY: the caller's promise.
    unsafe { libc::madvise(start.as_ptr().cast(), size, libc::MADV_NOHUGEPAGE) == 0 }
}

/// Asks for huge pages: one fault for 2 MiB that will be filled. False as above.
///
/// # Safety
/// The bytes are mapped by this module.
pub(crate) unsafe fn use_huge_pages(start: NonNull<u8>, size: usize) -> bool {
    if fault::refuses(Call::Advise) {
        return false;
    }
    // SAFETY: the caller's promise.
    unsafe { libc::madvise(start.as_ptr().cast(), size, libc::MADV_HUGEPAGE) == 0 }
}

/// Has a huge page that `size` bytes at `start` are a part of taken apart, so that this part's
/// memory is free as soon as it is discarded, and not when memory is short. (`MADV_COLD`, of
/// part of a huge page, splits it: Linux, `mm/madvise.c`.)
///
/// # Safety
/// The bytes are mapped by this module.
pub(crate) unsafe fn split_huge_page(start: *mut u8, size: usize) {
    if fault::refuses(Call::Advise) {
        return;
    }
    // The answer does not matter: else (Linux before 5.4; a page that a forked child has, too) its
    // memory comes back when memory is short.
    // SAFETY: the caller's promise.
    let _ = unsafe { libc::madvise(start.cast(), size, libc::MADV_COLD) };
}

/// Writes all of `bytes` to standard error, as far as it goes.
///
/// By the call's number: in the C library's own function a thread that was cancelled would
/// end, and its report with it.
pub(crate) fn write_stderr(mut bytes: &[u8]) {
    while !bytes.is_empty() {
        // SAFETY: the buffer is valid for its length.
        let written = unsafe { libc::syscall(libc::SYS_write, 2, bytes.as_ptr(), bytes.len()) };
        match usize::try_from(written) {
            Err(_) if errno() == libc::EINTR => {}
            Ok(0) | Err(_) => return,
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
        }
    }
}

/// The C library's `errno` of the calling thread.
pub(crate) fn errno() -> i32 {
    // SAFETY: no requirements.
    let place = unsafe { libc::__errno_location() };
    // SAFETY: it points to the thread's own variable.
    unsafe { *place }
}

/// Sets it.
pub(crate) fn set_errno(value: i32) {
    // SAFETY: no requirements.
    let place = unsafe { libc::__errno_location() };
    // SAFETY: it points to the thread's own variable.
    unsafe { *place = value };
}
