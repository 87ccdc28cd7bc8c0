//! What the allocator asks about tracing, where it is built without the feature `trace`:
//! nothing, and no instruction is spent on it.

use core::ptr::NonNull;

use crate::heap::Heap;
use crate::size_class::SizeClass;

/// What a heap knows of tracing.
#[derive(Debug)]
pub(crate) struct HeapTrace;

impl HeapTrace {
    pub(crate) const fn new() -> Self {
        Self
    }

    #[inline(always)]
    pub(crate) fn spend(&self, _size: usize) -> bool {
        false
    }

    #[inline(always)]
    pub(crate) fn spend_if_enough(&self, _size: usize) -> bool {
        true
    }

    #[inline(always)]
    pub(crate) fn is_exact(&self) -> bool {
        false
    }
}

#[inline(always)]
pub(crate) fn may_be_sample(_block: *mut u8) -> bool {
    false
}

pub(crate) fn alloc(_heap: &Heap, _class: SizeClass, _size: usize) -> *mut u8 {
    core::ptr::null_mut()
}

/// # Safety
/// None: there is nothing to call it.
pub(crate) unsafe fn free_aligned(_block: *mut u8, _class: SizeClass, _heap: &Heap) {}

#[inline(always)]
pub(crate) fn absorbs(_heap: &Heap, _class: SizeClass) -> bool {
    false
}

#[inline(always)]
pub(crate) fn resized(_heap: &Heap, _block: *mut u8, _size: usize) {}

#[inline(always)]
pub(crate) fn allocated_large(_heap: &Heap, _block: *mut u8, _size: usize) {}

#[inline(always)]
pub(crate) fn freed_large(_heap: &Heap, _block: NonNull<u8>) {}
