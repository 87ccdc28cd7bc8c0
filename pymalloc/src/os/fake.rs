//! Memory for the models: from the process's heap, aligned as asked, and kept for
//! the next execution of the same model.

use std::alloc::Layout;
use std::cell::{Cell, RefCell};
use std::ptr::NonNull;

thread_local! {
    /// loom runs an execution's threads on one system thread.
    static MAPPED: RefCell<Mapped> = const { RefCell::new(Mapped { used: Vec::new(), free: Vec::new() }) };
    static PAGE_SIZE: Cell<usize> = const { Cell::new(1) };
}

struct Mapped {
    used: Vec<(NonNull<u8>, Layout)>,
    free: Vec<(NonNull<u8>, Layout)>,
}

/// Maps `size` bytes at a multiple of `align`.
pub(crate) fn map_aligned(size: usize, align: usize) -> Option<NonNull<u8>> {
    let layout = Layout::from_size_align(size, align).ok()?;
    MAPPED.with_borrow_mut(|mapped| {
        let found = mapped.free.iter().position(|(_, free)| *free == layout);
        let start = match found {
            Some(index) => mapped.free.swap_remove(index).0,
            // SAFETY: the layout is not empty.
            None => NonNull::new(unsafe { std::alloc::alloc(layout) })?,
        };
        mapped.used.push((start, layout));
        Some(start)
    })
}

/// Bytes of a page, as the model wants them.
pub(crate) fn page_size() -> usize {
    PAGE_SIZE.get()
}

/// Forgets what the last execution mapped, so that the next may have it; pages have this size.
pub(crate) fn reset(page_size: usize) {
    PAGE_SIZE.set(page_size);
    MAPPED.with_borrow_mut(|mapped| {
        let Mapped { used, free } = mapped;
        free.append(used);
    });
}

/// Does nothing: the models keep no secret in discarded memory. A part of a page would not go.
///
/// # Safety
/// As for the real one.
pub(crate) unsafe fn discard(_start: *mut u8, size: usize) -> usize {
    size - size % page_size()
}

/// Does nothing.
///
/// # Safety
/// As for the real one.
pub(crate) unsafe fn use_huge_pages(_start: NonNull<u8>, _size: usize) -> bool {
    true
}

/// Does nothing.
///
/// # Safety
/// As for the real one.
pub(crate) unsafe fn split_huge_page(_start: *mut u8, _size: usize) {}

/// Does nothing.
///
/// # Safety
/// As for the real one.
pub(crate) unsafe fn avoid_huge_pages(_start: NonNull<u8>, _size: usize) -> bool {
    true
}
