//! Makes and describes the box of an object.
//!
//! Owns the layout of `header.rs`'s picture: the only code that computes what
//! lies before a header. Blocks come from [`crate::heap`].

use std::alloc::Layout;
use std::any::TypeId;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ptr::{self, NonNull};

use crate::edge::EdgeTracer;
use crate::header::{DEAD, Header, LOUD, TO_FINALIZE, TRACKED, TrackedHead, VTable};

use crate::heap::Place;
use crate::state;
use crate::trace::{Trace, Tracer};
use crate::type_depth::TypeDepth;

/// An object: header and value.
#[repr(C)]
pub(crate) struct GcBox<T: ?Sized> {
    pub(crate) header: Header,
    pub(crate) value: T,
}

/// Bytes between the start of the allocation and the header.
#[inline]
const fn prefix_bytes(tracked: bool, slice: bool, align: usize) -> usize {
    let needed = size_of::<TrackedHead>() * tracked as usize + size_of::<usize>() * slice as usize;
    needed.next_multiple_of(align)
}

/// The block for a box whose header and value have `inner`, and where in it
/// the header lies.
#[inline(always)]
fn block_around(inner: Layout, tracked: bool, slice: bool) -> (Layout, usize) {
    let prefix_bytes = prefix_bytes(tracked, slice, inner.align());
    let size = inner.size() + prefix_bytes;
    let Ok(layout) = Layout::from_size_align(size, inner.align()) else {
        too_large()
    };
    (layout, prefix_bytes)
}

/// A block for a new box.
#[inline(always)]
fn allocate(inner: Layout, tracked: bool, slice: bool) -> Place {
    let (block, prefix_bytes) = block_around(inner, tracked, slice);
    state::with(|state| state.heap.allocate(block, prefix_bytes, tracked))
}

#[cold]
fn too_large() -> ! {
    panic!("an object of more than isize::MAX bytes")
}

/// A type whose objects can be found again from a thin pointer.
///
/// # Safety
///
/// `restore` returns a pointer to the same object with the provenance of its
/// argument and the metadata that the object was made with.
pub(crate) unsafe trait Erased: Trace {
    /// The length is stored before the header.
    const SLICE: bool;

    fn type_may_hold_gc() -> bool;

    fn type_finalizer() -> Option<fn(&Self)>;

    /// Layout of header and value; reads no part of the value.
    ///
    /// # Safety
    ///
    /// `header` is that of a `GcBox<Self>` that is still allocated.
    unsafe fn inner_layout(header: NonNull<Header>) -> Layout;

    /// # Safety
    ///
    /// `header` is that of a `GcBox<Self>` that is still allocated.
    unsafe fn restore(header: NonNull<Header>) -> NonNull<GcBox<Self>>;
}

// SAFETY: a sized box has no metadata.
unsafe impl<T: Trace> Erased for T {
    const SLICE: bool = false;

    #[inline]
    fn type_may_hold_gc() -> bool {
        T::may_hold_gc(TypeDepth::START)
    }

    #[inline]
    fn type_finalizer() -> Option<fn(&T)> {
        T::finalizer()
    }

    unsafe fn inner_layout(_: NonNull<Header>) -> Layout {
        Layout::new::<GcBox<T>>()
    }

    #[inline]
    unsafe fn restore(header: NonNull<Header>) -> NonNull<GcBox<T>> {
        header.cast()
    }
}

/// The length of the slice at `header`.
///
/// # Safety
///
/// `header` is that of a slice box that is still allocated.
unsafe fn slice_length(header: NonNull<Header>) -> usize {
    // SAFETY: the caller's box is allocated, so its header can be read.
    let tracked = unsafe { header.as_ref() }.has(TRACKED);
    let words = 1 + usize::from(tracked);
    // SAFETY: a slice's length lies before its tracked head or header.
    let length = unsafe { header.cast::<usize>().sub(words) };
    // SAFETY: `new_slice` wrote it.
    unsafe { length.read() }
}

// SAFETY: the length is read where `new_slice` stored it.
unsafe impl<T: Trace> Erased for [T] {
    const SLICE: bool = true;

    fn type_may_hold_gc() -> bool {
        T::may_hold_gc(TypeDepth::START)
    }

    fn type_finalizer() -> Option<fn(&[T])> {
        None
    }

    unsafe fn inner_layout(header: NonNull<Header>) -> Layout {
        // SAFETY: the caller's box is a slice's.
        slice_layout::<T>(unsafe { slice_length(header) })
    }

    unsafe fn restore(header: NonNull<Header>) -> NonNull<GcBox<[T]>> {
        // SAFETY: the caller's box is a slice's.
        let length = unsafe { slice_length(header) };
        let slice = ptr::slice_from_raw_parts_mut(header.as_ptr().cast::<T>(), length);
        // SAFETY: it is `header`, which is not null.
        unsafe { NonNull::new_unchecked(slice as *mut GcBox<[T]>) }
    }
}

// SAFETY: the length is read where `new_slice` stored it.
unsafe impl Erased for str {
    const SLICE: bool = true;

    fn type_may_hold_gc() -> bool {
        false
    }

    fn type_finalizer() -> Option<fn(&str)> {
        None
    }

    unsafe fn inner_layout(header: NonNull<Header>) -> Layout {
        // SAFETY: the caller's box is a string's, which is made as a slice.
        slice_layout::<u8>(unsafe { slice_length(header) })
    }

    unsafe fn restore(header: NonNull<Header>) -> NonNull<GcBox<str>> {
        // SAFETY: the caller's box is a string's, which is made as a slice.
        let length = unsafe { slice_length(header) };
        let slice = ptr::slice_from_raw_parts_mut(header.as_ptr().cast::<u8>(), length);
        // SAFETY: it is `header`, which is not null.
        unsafe { NonNull::new_unchecked(slice as *mut GcBox<str>) }
    }
}

/// The table of `T`.
pub(crate) fn vtable_of<T: Erased + ?Sized>() -> &'static VTable {
    Table::<T>::TABLE
}

struct Table<T: ?Sized>(PhantomData<T>);

impl<T: Erased + ?Sized> Table<T> {
    const TABLE: &'static VTable = &VTable {
        type_name: std::any::type_name::<T>,
        type_id: TypeId::of::<T>,
        layout: Self::layout,
        value_size: Self::value_size,
        trace: Self::trace,
        trace_edges: Self::trace_edges,
        has_finalizer: Self::has_finalizer,
        finalize: Self::finalize,
        drop_value: Self::drop_value,
        last_drop: Self::last_drop,
    };

    /// # Safety
    ///
    /// For this and the functions below: `header` is that of a `GcBox<T>` that
    /// is allocated.
    unsafe fn layout(header: NonNull<Header>) -> (Layout, usize) {
        // SAFETY: the caller's.
        let tracked = unsafe { header.as_ref() }.has(TRACKED);
        // SAFETY: the caller's.
        let inner = unsafe { T::inner_layout(header) };
        block_around(inner, tracked, T::SLICE)
    }

    unsafe fn value_size(header: NonNull<Header>) -> usize {
        // SAFETY: the caller's.
        let value = unsafe { Self::value(header) };
        // SAFETY: the caller's object is alive.
        size_of_val(unsafe { &*value })
    }

    unsafe fn value(header: NonNull<Header>) -> *mut T {
        // SAFETY: the caller's.
        let object = unsafe { T::restore(header) };
        // SAFETY: the box is allocated (invariant 1).
        unsafe { &raw mut (*object.as_ptr()).value }
    }

    unsafe fn trace(header: NonNull<Header>, tracer: &mut Tracer<'_>) {
        // SAFETY: the caller's.
        let value = unsafe { Self::value(header) };
        // SAFETY: the caller's object is alive, and no `&mut` to it exists:
        // see `collect.rs`.
        unsafe { &*value }.trace(tracer);
    }

    unsafe fn trace_edges(header: NonNull<Header>, tracer: &mut EdgeTracer<'_>) {
        // SAFETY: the caller's.
        let value = unsafe { Self::value(header) };
        // SAFETY: as in `trace`.
        unsafe { &*value }.trace_edges(tracer);
    }

    fn has_finalizer() -> bool {
        T::type_finalizer().is_some()
    }

    unsafe fn finalize(header: NonNull<Header>) {
        if let Some(finalize) = T::type_finalizer() {
            // SAFETY: the caller's.
            let value = unsafe { Self::value(header) };
            // SAFETY: the caller's object is alive and held.
            finalize(unsafe { &*value });
        }
    }

    unsafe fn drop_value(header: NonNull<Header>) {
        // SAFETY: the caller's.
        let value = unsafe { Self::value(header) };
        // SAFETY: the caller drops each value once (invariant 6).
        unsafe { ptr::drop_in_place(value) };
    }

    unsafe fn last_drop(header: NonNull<Header>) {
        // SAFETY: the caller's.
        let object = unsafe { T::restore(header) };
        // SAFETY: the caller's count is 0.
        unsafe { crate::dealloc::last_drop_of(object) };
    }
}

/// Layout of a slice's header and values; panics if it exceeds `isize::MAX`.
fn slice_layout<E>(length: usize) -> Layout {
    let Ok(array) = Layout::array::<E>(length) else {
        too_large()
    };
    let Ok((inner, _)) = Layout::new::<Header>().extend(array) else {
        too_large()
    };
    inner.pad_to_align()
}

fn header_of<T: Erased + ?Sized>(count: u32, tracked: bool, flags: u32) -> Header {
    let mut flags = flags;
    let mut count = count;
    if tracked {
        flags |= TRACKED;
        count |= LOUD;
    }
    if T::type_finalizer().is_some() {
        flags |= TO_FINALIZE;
    }
    Header::new(count, flags, vtable_of::<T>())
}

/// A box around `value` with one handle.
#[inline(always)]
pub(crate) fn new<T: Trace>(value: T, tracked: bool) -> NonNull<GcBox<T>> {
    let place = allocate(Layout::new::<GcBox<T>>(), tracked, false);
    let object = place.header.cast::<GcBox<T>>();
    let header = header_of::<T>(1, tracked, place.flags);
    // SAFETY: the block is fresh and as large as a `GcBox<T>` from here.
    unsafe { object.write(GcBox { header, value }) };
    object
}

/// A box without a value and without a handle; [`fill`] completes it.
pub(crate) fn new_empty<T: Trace>(tracked: bool) -> NonNull<GcBox<T>> {
    let place = allocate(Layout::new::<GcBox<T>>(), tracked, false);
    // INVARIANT: 6 of `header.rs`.
    let header = header_of::<T>(0, tracked, place.flags | DEAD);
    // SAFETY: the block is fresh and starts with a header from here.
    unsafe { place.header.write(header) };
    place.header.cast()
}

/// Puts the value into a box that [`new_empty`] made.
///
/// # Safety
///
/// The box has no value yet.
pub(crate) unsafe fn fill<T>(object: NonNull<GcBox<T>>, value: T) {
    // SAFETY: the box is allocated (invariant 1).
    let place = unsafe { &raw mut (*object.as_ptr()).value };
    // SAFETY: it has no value that this would overwrite.
    unsafe { place.write(value) };
    // SAFETY: a box starts with its header.
    unsafe { object.cast::<Header>().as_ref() }.clear(DEAD);
}

/// A box that holds the `length` values at `source`, moved.
///
/// # Safety
///
/// `source` is valid for reads of `length` values, which the caller gives up;
/// `T`'s element type is `E`.
unsafe fn new_slice<T: Erased + ?Sized, E>(
    source: *const E,
    length: usize,
    tracked: bool,
) -> NonNull<Header> {
    let Place { header, flags } = allocate(slice_layout::<E>(length), tracked, true);
    // SAFETY: the block is fresh and starts with a header from here.
    unsafe { header.write(header_of::<T>(1, tracked, flags)) };
    // SAFETY: `block_around` left a word for the length.
    let place = unsafe { header.cast::<usize>().sub(1 + usize::from(tracked)) };
    // SAFETY: as above.
    unsafe { place.write(length) };
    let offset = size_of::<Header>().next_multiple_of(align_of::<E>());
    // SAFETY: the array follows the header at the next place that suits it.
    let values = unsafe { header.cast::<u8>().add(offset) }.cast::<E>();
    // SAFETY: `length` values fit there, and the caller gives them up.
    unsafe { values.as_ptr().copy_from_nonoverlapping(source, length) };
    header
}

/// A box that holds the vector's values.
pub(crate) fn from_vec<T: Trace>(values: Vec<T>, tracked: bool) -> NonNull<GcBox<[T]>> {
    let mut values = ManuallyDrop::new(values);
    // SAFETY: the values are moved out: the vector's length becomes 0 below.
    let header = unsafe { new_slice::<[T], T>(values.as_ptr(), values.len(), tracked) };
    // SAFETY: an empty vector is always valid.
    unsafe { values.set_len(0) };
    drop(ManuallyDrop::into_inner(values));
    // SAFETY: the box was just made as a `GcBox<[T]>`.
    unsafe { <[T]>::restore(header) }
}

/// A box that holds a copy of `text`.
pub(crate) fn from_str(text: &str) -> NonNull<GcBox<str>> {
    // SAFETY: bytes are copied, not moved.
    let header = unsafe { new_slice::<str, u8>(text.as_ptr(), text.len(), false) };
    // SAFETY: the box was just made as a `GcBox<str>`.
    unsafe { <str>::restore(header) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[repr(align(64))]
    struct Wide;

    #[test]
    fn the_prefix_keeps_the_alignment_of_the_value() {
        assert_eq!(prefix_bytes(false, false, 8), 0);
        assert_eq!(prefix_bytes(true, false, 8), 8);
        assert_eq!(prefix_bytes(true, true, 8), 16);
        assert_eq!(prefix_bytes(true, false, align_of::<GcBox<Wide>>()), 64);
    }
}
