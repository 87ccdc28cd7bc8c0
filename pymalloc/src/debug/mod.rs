//! CPython's debug hooks: every block between pads, and nothing freed that is used at once.
//!
//! ```text
//!  PyMallocDebug ── alloc, dealloc ─┐
//!  PYMALLOC=debug ─ refill, spill ──┴▶ block.rs: pads, checks ─▶ global.rs: alloc_raw
//!                                        │ freed                     ▲ free_raw
//!                                        └▶ quarantine.rs ───────────┘
//! ```
//! A misuse that is found is said on standard error, and the process aborts (report.rs).
//!
//! Under `PYMALLOC=debug` the fronts of [`PyMalloc`](crate::PyMalloc) never open: every
//! thread is a guest, every allocation finds its front empty and every free finds it full
//! (front.rs, invariant 1), and the slow ways come here. So the quick ways pay nothing for
//! it. They know a class, and no layout: see the limits at [`PyMallocDebug`].
//!
//! Source: CPython 3.11 `Objects/obmalloc.c`: `_PyMem_DebugRawAlloc`,
//! `_PyMem_DebugCheckAddress`, `_PyObject_DebugDumpAddress`.

use core::alloc::{GlobalAlloc, Layout};
use core::ptr::null_mut;

mod block;
mod dump;
mod quarantine;

use block::DebugBlock;
pub(crate) use block::Expect;

use crate::settings;
use crate::size_class::SizeClass;

/// [`PyMalloc`](crate::PyMalloc) with CPython's debug hooks (`PYTHONMALLOC=debug`).
///
/// ```text
///  ┌──────┬────┬───────┬────┬──────────────┬─────────┬────────┐
///  │ size │ id │ align │ fd │ data         │ fd × 8  │ serial │
///  └──────┴────┴───────┴────┴──────────────┴─────────┴────────┘
///    8      1    1       6    cd when new,             8 bytes
///                             dd when freed
/// ```
/// `fd`, `cd` and `dd` are CPython's FORBIDDENBYTE, CLEANBYTE and DEADBYTE. A freed block is
/// kept from use until a thousand others, or 16 MiB, have been freed; then, and when the
/// program exits, it is looked at once more.
///
/// Found, when a block is freed or resized: a write just before or behind it, a second free,
/// an address that is no block's start, a layout other than the one it was allocated with.
/// Found later: a write to a freed block. The report names the block, its size and
/// serial number, and shows the bytes around; with `PYMALLOC_STACKS=1` also where it was
/// allocated and freed. Then the process aborts.
///
/// A block costs 32 bytes more, or its alignment where that is larger than 16, and 384 more
/// with stacks; an allocation a few hundred instructions, microseconds with stacks. Stacks are
/// taken by the unwinder, whose locks a program may hold that allocates in C, from within it.
///
/// # Without a rebuild
///
/// `PYMALLOC=debug` in the environment does the same for a program whose global allocator
/// is `PyMalloc`, and for C's `malloc` from libpymalloc. The hooks then know no more than
/// the size class: an overflow that stays within the block's size, rounded up to its class,
/// is not seen, nor is a layout of the same class.
///
/// # Examples
///
/// ```
/// use pymalloc::PyMallocDebug;
///
/// #[global_allocator]
/// static GLOBAL: PyMallocDebug = PyMallocDebug;
///
/// let words = vec![String::from("spam"), String::from("eggs")];
/// assert_eq!(words.concat(), "spameggs");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PyMallocDebug;

// SAFETY: a block of `alloc_raw` has room for the data between the pads, at an address
// that suits the alignment; it is nobody else's until `release`.
unsafe impl GlobalAlloc for PyMallocDebug {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        alloc(layout, false)
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller gives it up; what is no block is found out.
        unsafe { release(block, Expect::Layout(layout)) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        alloc(layout, true)
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller promises that the new size, rounded up to the alignment,
        // does not overflow.
        let new = unsafe { Layout::from_size_align_unchecked(new_size, layout.align()) };
        // SAFETY: the caller's block.
        unsafe { resize(block, Expect::Layout(layout), new) }
    }
}

/// Whether the hooks are on for `PyMalloc` itself.
#[inline]
pub(crate) fn is_on() -> bool {
    settings::is_debug()
}

/// A block between pads; null if memory has run out.
pub(crate) fn alloc(layout: Layout, zeroed: bool) -> *mut u8 {
    DebugBlock::new(layout, zeroed).map_or(null_mut(), DebugBlock::data)
}

/// A block for whatever layout has this class: the size and the alignment are the largest
/// that the class serves.
pub(crate) fn alloc_of(class: SizeClass) -> *mut u8 {
    let size = class.block_size();
    let align = 1 << size.trailing_zeros();
    Layout::from_size_align(size, align).map_or(null_mut(), |layout| alloc(layout, false))
}

/// Frees a block, after a look at it.
///
/// # Safety
/// Nobody uses the block any more, if it is one.
pub(crate) unsafe fn release(data: *mut u8, expect: Expect) {
    if !data.is_null() {
        quarantine::put(DebugBlock::check(data, expect).kill());
    }
}

/// Gives a block another layout: always a new block, so that whoever still uses the old
/// one is found out (CPython `_PyMem_DebugRawRealloc`).
///
/// # Safety
/// The caller's block, if it is one, is given up unless null is returned.
pub(crate) unsafe fn resize(data: *mut u8, expect: Expect, layout: Layout) -> *mut u8 {
    let old = DebugBlock::check(data, expect);
    let Some(new) = DebugBlock::new(layout, false) else {
        return null_mut();
    };
    let len = old.size().min(layout.size());
    // SAFETY: both are at least that long, and the new one is nobody's yet.
    unsafe { new.data().copy_from_nonoverlapping(data, len) };
    quarantine::put(old.kill());
    new.data()
}

/// The size that was asked for.
pub(crate) fn size_of(data: *const u8) -> Option<usize> {
    DebugBlock::live_at(data.cast_mut()).map(DebugBlock::size)
}

/// Holds the quarantine still during a fork.
pub(crate) fn lock() -> Held {
    quarantine::lock()
}

pub(crate) use quarantine::Held;
