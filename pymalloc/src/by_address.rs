//! Free and realloc by the address alone, for callers that have no `Layout`: C's `free`.
//!
//! ```text
//!  address ─▶ arena_map: in a region? ─▶ descriptor: a class? ─▶ as if a layout had said so
//!              │ no                         │ no
//!              └▶ large_map: a large block that starts there? ─▶ large
//!                   │ no
//!                   └▶ ForeignBlock
//! ```
//! Two loads more than with a layout, one after the other.

use core::alloc::{GlobalAlloc, Layout};
use core::fmt;
use core::ptr::{NonNull, null_mut};

use crate::debug::{self, Expect};
use crate::global::{PyMalloc, SHARED, free_large, resize_large, resized_in_place, spill_unsized};
use crate::os;
use crate::region;
use crate::size_class::SizeClass;
use crate::thread_heap::with_heap;
use crate::trace;

/// The address given is not that of a block of this allocator's; nothing was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ForeignBlock;

impl fmt::Display for ForeignBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the address is not that of a block that pymalloc allocated")
    }
}

impl core::error::Error for ForeignBlock {}

/// Frees a block whose layout is not known, as C's `free` does. `errno` stays as it was.
///
/// With the layout, `dealloc` is quicker.
///
/// # Errors
///
/// [`ForeignBlock`] where `block` points neither into a pool nor to the start of a large
/// block. Not every mistake is noticed: an address inside a block of at most 64 KiB is
/// taken for a block. Under `PYMALLOC=debug` a mistake is reported, and ends the process.
///
/// # Safety
///
/// `block` was allocated by [`PyMalloc`], and is given up; or it points into no pool and to
/// the start of no large block, as every address outside this allocator's memory does.
///
/// # Examples
///
/// ```
/// use std::alloc::{GlobalAlloc, Layout};
/// use pymalloc::{ForeignBlock, PyMalloc};
///
/// let mut on_the_stack = 0_u8;
/// // SAFETY: the layout is not empty, the block is given up; the other is nobody's block.
/// unsafe {
///     let block = PyMalloc.alloc(Layout::new::<[u64; 5]>());
///     assert_eq!(pymalloc::dealloc_unsized(block), Ok(()));
///     assert_eq!(pymalloc::dealloc_unsized(&raw mut on_the_stack), Err(ForeignBlock));
/// }
/// ```
#[inline]
pub unsafe fn dealloc_unsized(block: *mut u8) -> Result<(), ForeignBlock> {
    match class_of(block) {
        Some(class) => {
            // SAFETY: the caller gives up a block, of the class its descriptor says.
            unsafe { free_block(class, block) };
            Ok(())
        }
        // SAFETY: the caller's promise.
        None => unsafe { dealloc_large(block) },
    }
}

/// [`dealloc_unsized`] for a caller with nothing to do afterwards: `foreign` is called with an
/// address that is no block's.
///
/// It is the last thing that happens, so that the usual case, inlined, needs no stack.
///
/// # Safety
///
/// As for [`dealloc_unsized`].
///
/// # Examples
///
/// ```
/// use std::alloc::{GlobalAlloc, Layout};
/// use pymalloc::PyMalloc;
///
/// let refuse = |address: *mut u8| panic!("{address:?} is not a block");
/// // SAFETY: the layout is not empty, the block is given up.
/// unsafe {
///     let block = PyMalloc.alloc(Layout::new::<[u64; 5]>());
///     pymalloc::dealloc_unsized_or(block, refuse);
/// }
/// ```
#[inline]
pub unsafe fn dealloc_unsized_or(block: *mut u8, foreign: fn(*mut u8)) {
    match class_of(block) {
        // SAFETY: the caller gives up a block, of the class its descriptor says.
        Some(class) => unsafe { free_block(class, block) },
        // SAFETY: the caller's promise.
        None => unsafe { dealloc_large_or(block, foreign) },
    }
}

/// # Safety
/// The caller gives up a block of that class.
#[inline(always)]
unsafe fn free_block(class: SizeClass, block: *mut u8) {
    with_heap(|heap| {
        if trace::may_be_sample(block) && !debug::is_on() {
            // SAFETY: the caller's promise.
            unsafe { free_aligned_quietly(block, class) };
            return;
        }
        // SAFETY: the caller's promise.
        if !unsafe { heap.hand(class).push(block.cast()) } {
            spill_quietly(class);
        }
    });
}

/// Gives a block whose layout is not known another layout, as C's `realloc` does; null, and
/// the block unchanged, if memory has run out.
///
/// The block stays where it is within its class, and also where no more than a quarter of
/// it falls away (CPython `pymalloc_realloc`); a large block grows by moving pages. Else the
/// contents are copied. `new` may have another alignment than the block.
///
/// # Errors
///
/// As for [`dealloc_unsized`].
///
/// # Safety
///
/// As for [`dealloc_unsized`]; the block is not given up where null or an error is returned.
///
/// # Examples
///
/// ```
/// use std::alloc::{GlobalAlloc, Layout};
/// use pymalloc::PyMalloc;
///
/// let (small, large) = (Layout::new::<[u8; 16]>(), Layout::array::<u8>(1000)?);
/// // SAFETY: the layouts are not empty; the block is given up, then its successor.
/// unsafe {
///     let block = PyMalloc.alloc_zeroed(small);
///     let block = pymalloc::realloc_unsized(block, large)?;
///     assert_eq!(*block.add(15), 0);
///     pymalloc::dealloc_unsized(block)?;
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub unsafe fn realloc_unsized(block: *mut u8, new: Layout) -> Result<*mut u8, ForeignBlock> {
    if debug::is_on() {
        // A free writes a word before it looks: every block has one.
        let size = new.size().max(1).checked_next_multiple_of(8);
        let whole = size.and_then(|size| Layout::from_size_align(size, new.align()).ok());
        return Ok(whole.map_or(null_mut(), |whole| {
            // SAFETY: the caller's block; what is none is reported.
            unsafe { debug::resize(block, Expect::Anything, whole) }
        }));
    }
    let old_class = class_of(block);
    let old_size = match old_class {
        Some(class) => class.block_size(),
        None => SHARED.large.size_from(block.addr()).ok_or(ForeignBlock)?,
    };
    let new_class = SizeClass::of(new);
    if let Some(class) = old_class {
        let shrinks_little = new.size() <= old_size && new.size() > old_size / 4 * 3;
        if new_class == Some(class) || shrinks_little && block.addr().is_multiple_of(new.align()) {
            resized_in_place(block, new.size());
            return Ok(block);
        }
    } else if new_class.is_none()
        && new.align() <= os::MIN_PAGE_SIZE
        && let Some(large) = NonNull::new(block)
    {
        // SAFETY: the caller's block, found to be a large one.
        let moved = unsafe { resize_large(large, old_size, new.size()) };
        if !moved.is_null() {
            return Ok(moved);
        }
    }
    // SAFETY: any layout may be asked for, an empty one too.
    let moved = unsafe { PyMalloc.alloc(new) };
    if moved.is_null() {
        let is_enough = new.size() <= old_size && block.addr().is_multiple_of(new.align());
        if is_enough && old_class.is_some() {
            resized_in_place(block, new.size());
        }
        return Ok(if is_enough { block } else { moved });
    }
    // SAFETY: both are at least that long, and the new one is nobody's yet.
    unsafe { moved.copy_from_nonoverlapping(block, old_size.min(new.size())) };
    // SAFETY: the caller's block.
    unsafe { dealloc_unsized(block) }?;
    Ok(moved)
}

/// The class of the block at an address in a pool; `None` elsewhere.
#[inline(always)]
pub(crate) fn class_of(block: *const u8) -> Option<SizeClass> {
    if !SHARED.arenas.map.has_region(block.addr()) {
        return None;
    }
    // SAFETY: the map says that the address lies in a region.
    unsafe { region::class_at(block.addr()) }
}

/// # Safety
/// As for `free_block`.
#[cold]
#[inline(never)]
unsafe fn free_aligned_quietly(block: *mut u8, class: SizeClass) {
    // SAFETY: the caller's promise.
    keeping_errno(|| with_heap(|heap| unsafe { trace::free_aligned(block, class, heap) }));
}

#[cold]
#[inline(never)]
fn spill_quietly(class: SizeClass) {
    keeping_errno(|| with_heap(|heap| spill_unsized(heap, heap.hand(class))));
}

/// # Safety
/// As for `dealloc_unsized`.
#[cold]
#[inline(never)]
unsafe fn dealloc_large(block: *mut u8) -> Result<(), ForeignBlock> {
    keeping_errno(|| {
        let start = NonNull::new(block).ok_or(ForeignBlock)?;
        if debug::is_on() {
            // SAFETY: the caller's block; what is none is reported.
            unsafe { debug::release(block, Expect::Anything) };
            return Ok(());
        }
        SHARED.large.size_from(block.addr()).ok_or(ForeignBlock)?;
        // SAFETY: a large block starts there; the caller gives it up.
        unsafe { free_large(start) };
        Ok(())
    })
}

/// # Safety
/// As for `dealloc_unsized`.
#[cold]
#[inline(never)]
unsafe fn dealloc_large_or(block: *mut u8, foreign: fn(*mut u8)) {
    // SAFETY: the caller's promise.
    if unsafe { dealloc_large(block) }.is_err() {
        foreign(block);
    }
}

/// Calls `f`, and puts `errno` back to what it was: a system call of a free that fails, or is
/// interrupted, is nobody's business.
fn keeping_errno<R>(f: impl FnOnce() -> R) -> R {
    let errno = os::errno();
    let result = f();
    os::set_errno(errno);
    result
}
