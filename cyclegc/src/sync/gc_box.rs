//! Makes, describes and frees the box of an object.
//!
//! Owns the layout of `header.rs`'s picture: the only code that computes what lies before a
//! header. Memory is the global allocator's, whichever thread gives it back.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::any::TypeId;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ptr::{self, NonNull};

use crate::edge::EdgeTracer;
use crate::sync::header::{Header, Object, TrackedHead, VTable};
use crate::sync::second_word::{SecondWord, TO_FINALIZE, TRACKED};
use crate::sync::word::{CountWord, UNSHARED};
use crate::trace::{Trace, Tracer};
use crate::type_depth::TypeDepth;

/// An object: header and value.
#[repr(C)]
pub(crate) struct GcBox<T: ?Sized> {
    pub(crate) header: Header,
    pub(crate) value: T,
}

/// The block for a box whose header and value have `inner`, and where in it the header lies.
#[inline(always)]
fn block_around(inner: Layout, tracked: bool, slice: bool) -> (Layout, usize) {
    let needed = size_of::<TrackedHead>() * tracked as usize + size_of::<usize>() * slice as usize;
    let prefix_bytes = needed.next_multiple_of(inner.align());
    let Ok(layout) = Layout::from_size_align(inner.size() + prefix_bytes, inner.align()) else {
        too_large()
    };
    (layout, prefix_bytes)
}

/// Memory for a new box: where its header goes.
#[inline(always)]
fn allocate(inner: Layout, tracked: bool, slice: bool) -> NonNull<Header> {
    let (block, prefix_bytes) = block_around(inner, tracked, slice);
    // SAFETY: a block is not empty.
    let Some(start) = NonNull::new(unsafe { alloc(block) }) else {
        handle_alloc_error(block)
    };
    // SAFETY: the header lies in the block.
    unsafe { start.add(prefix_bytes) }.cast()
}

#[cold]
fn too_large() -> ! {
    panic!("an object of more than isize::MAX bytes")
}

/// A type whose objects can be found again from a thin pointer.
///
/// # Safety
///
/// `restore` returns a pointer to the same object with the provenance of its argument and
/// the metadata that the object was made with.
pub(crate) unsafe trait Erased: Trace {
    /// The length is stored before the header.
    const SLICE: bool;

    fn type_may_hold_gc() -> bool;

    fn type_finalizer() -> Option<fn(&Self)>;

    /// Layout of header and value; reads no part of the value.
    ///
    /// # Safety
    ///
    /// `object` is a `GcBox<Self>` that is still allocated.
    unsafe fn inner_layout(object: Object) -> Layout;

    /// # Safety
    ///
    /// `object` is a `GcBox<Self>` that is still allocated.
    unsafe fn restore(object: Object) -> NonNull<GcBox<Self>>;
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

    #[inline]
    unsafe fn inner_layout(_: Object) -> Layout {
        Layout::new::<GcBox<T>>()
    }

    #[inline]
    unsafe fn restore(object: Object) -> NonNull<GcBox<T>> {
        object.0.cast()
    }
}

/// The length of a slice.
///
/// # Safety
///
/// `object` is a slice box that is still allocated.
unsafe fn slice_length(object: Object) -> usize {
    // SAFETY: the caller's box is allocated.
    let tracked = unsafe { object.head() }.second.has(TRACKED);
    // SAFETY: a slice's length lies before its tracked head or header.
    let length = unsafe { object.0.cast::<usize>().sub(1 + usize::from(tracked)) };
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

    unsafe fn inner_layout(object: Object) -> Layout {
        // SAFETY: the caller's box is a slice's.
        slice_layout::<T>(unsafe { slice_length(object) })
    }

    unsafe fn restore(object: Object) -> NonNull<GcBox<[T]>> {
        // SAFETY: the caller's box is a slice's.
        let length = unsafe { slice_length(object) };
        let slice = ptr::slice_from_raw_parts_mut(object.0.as_ptr().cast::<T>(), length);
        // SAFETY: it is the object's address, which is not null.
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

    unsafe fn inner_layout(object: Object) -> Layout {
        // SAFETY: the caller's box is a string's, which is made as a slice.
        slice_layout::<u8>(unsafe { slice_length(object) })
    }

    unsafe fn restore(object: Object) -> NonNull<GcBox<str>> {
        // SAFETY: the caller's box is a string's, which is made as a slice.
        let length = unsafe { slice_length(object) };
        let slice = ptr::slice_from_raw_parts_mut(object.0.as_ptr().cast::<u8>(), length);
        // SAFETY: it is the object's address, which is not null.
        unsafe { NonNull::new_unchecked(slice as *mut GcBox<str>) }
    }
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
    /// For this and the functions below: `object` is a `GcBox<T>` that is allocated.
    unsafe fn layout(object: Object) -> (Layout, usize) {
        // SAFETY: the caller's.
        let tracked = unsafe { object.head() }.second.has(TRACKED);
        // SAFETY: the caller's.
        let inner = unsafe { T::inner_layout(object) };
        block_around(inner, tracked, T::SLICE)
    }

    unsafe fn value_size(object: Object) -> usize {
        // SAFETY: the caller's.
        let value = unsafe { Self::value(object) };
        // SAFETY: the caller's object is alive.
        size_of_val(unsafe { &*value })
    }

    unsafe fn value(object: Object) -> *mut T {
        // SAFETY: the caller's.
        let object = unsafe { T::restore(object) };
        // SAFETY: the box is allocated.
        unsafe { &raw mut (*object.as_ptr()).value }
    }

    unsafe fn trace(object: Object, tracer: &mut Tracer<'_>) {
        // SAFETY: the caller's.
        let value = unsafe { Self::value(object) };
        // SAFETY: the caller's object is alive, and no `&mut` to it exists
        // (invariant 3 of `word.rs`).
        unsafe { &*value }.trace(tracer);
    }

    unsafe fn trace_edges(object: Object, tracer: &mut EdgeTracer<'_>) {
        // SAFETY: the caller's.
        let value = unsafe { Self::value(object) };
        // SAFETY: as in `trace`.
        unsafe { &*value }.trace_edges(tracer);
    }

    fn has_finalizer() -> bool {
        T::type_finalizer().is_some()
    }

    unsafe fn finalize(object: Object) {
        if let Some(finalize) = T::type_finalizer() {
            // SAFETY: the caller's.
            let value = unsafe { Self::value(object) };
            // SAFETY: the caller's object is alive and held.
            finalize(unsafe { &*value });
        }
    }

    unsafe fn drop_value(object: Object) {
        // SAFETY: the caller's.
        let value = unsafe { Self::value(object) };
        // SAFETY: the caller drops each value once.
        unsafe { ptr::drop_in_place(value) };
    }

    unsafe fn last_drop(object: Object) {
        // SAFETY: the caller took the count to 0.
        unsafe { crate::sync::dealloc::last_drop_of::<T>(object) };
    }
}

/// Gives the memory of an object of type `T` back.
///
/// # Safety
///
/// `object` is a `GcBox<T>` whose value is gone, and nobody uses it any more.
#[inline]
pub(crate) unsafe fn free_box<T: Erased + ?Sized>(object: Object) {
    // SAFETY: the caller's.
    let inner = unsafe { T::inner_layout(object) };
    let (layout, prefix_bytes) = block_around(inner, T::type_may_hold_gc(), T::SLICE);
    // SAFETY: the caller's.
    unsafe { free_block(object, layout, prefix_bytes) };
}

/// The same for an object whose type is not known.
///
/// # Safety
///
/// As for [`free_box`].
pub(crate) unsafe fn free_any(object: Object) {
    // SAFETY: the caller's object is allocated.
    let vtable = unsafe { object.head() }.vtable;
    // SAFETY: as above.
    let (layout, prefix_bytes) = unsafe { (vtable.layout)(object) };
    // SAFETY: the caller's.
    unsafe { free_block(object, layout, prefix_bytes) };
}

#[inline]
unsafe fn free_block(object: Object, layout: Layout, prefix_bytes: usize) {
    #[cfg(loom)]
    // SAFETY: nobody uses the header any more.
    unsafe { &mut *object.0.as_ptr() }.second.ends();
    // SAFETY: nobody uses the header any more. (loom's atomics have destructors.)
    unsafe { ptr::drop_in_place(object.0.as_ptr()) };
    // SAFETY: so far before it its block starts.
    let start = unsafe { object.0.cast::<u8>().sub(prefix_bytes) };
    // SAFETY: `allocate` got it with this layout.
    unsafe { dealloc(start.as_ptr(), layout) };
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

/// Writes the tracked head and returns the header of a box with `count` handles.
///
/// # Safety
///
/// `place` is where the header of a fresh block of a `T` goes.
#[inline(always)]
unsafe fn header_at<T: Erased + ?Sized>(
    place: NonNull<Header>,
    count: u64,
    birth: Option<u32>,
) -> Header {
    let (mut word, mut flags) = (count, 0);
    if let Some(birth) = birth {
        word |= UNSHARED;
        flags |= TRACKED;
        // SAFETY: the block has room for it there.
        let head = unsafe { place.cast::<TrackedHead>().sub(1) };
        // SAFETY: as above.
        unsafe { head.write(TrackedHead::new(birth)) };
    }
    if T::type_finalizer().is_some() {
        flags |= TO_FINALIZE;
    }
    Header {
        count: CountWord::new(word),
        second: SecondWord::new(flags),
        vtable: Table::<T>::TABLE,
    }
}

/// A box around `value` with one handle; tracked if it has a birth epoch.
#[inline(always)]
pub(crate) fn new<T: Trace>(value: T, birth: Option<u32>) -> NonNull<GcBox<T>> {
    let place = allocate(Layout::new::<GcBox<T>>(), birth.is_some(), false);
    // SAFETY: the block was just made for a `T`.
    let header = unsafe { header_at::<T>(place, 1, birth) };
    let object = place.cast::<GcBox<T>>();
    // SAFETY: the block is fresh and as large as a `GcBox<T>` from here.
    unsafe { object.write(GcBox { header, value }) };
    object
}

/// A box without a value and without a handle; [`fill`] completes it.
pub(crate) fn new_empty<T: Trace>(birth: Option<u32>) -> NonNull<GcBox<T>> {
    let place = allocate(Layout::new::<GcBox<T>>(), birth.is_some(), false);
    // SAFETY: the block was just made for a `T`.
    let header = unsafe { header_at::<T>(place, 0, birth) };
    // SAFETY: the block is fresh and starts with a header from here.
    unsafe { place.write(header) };
    place.cast()
}

/// Puts the value into a box that [`new_empty`] made.
///
/// # Safety
///
/// The box has no value yet.
pub(crate) unsafe fn fill<T>(object: NonNull<GcBox<T>>, value: T) {
    // SAFETY: the box is allocated.
    let place = unsafe { &raw mut (*object.as_ptr()).value };
    // SAFETY: it has no value that this would overwrite.
    unsafe { place.write(value) };
}

/// A box that holds the `length` values at `source`, moved.
///
/// # Safety
///
/// `source` is valid for reads of `length` values, which the caller gives up; `T`'s element
/// type is `E`.
unsafe fn new_slice<T: Erased + ?Sized, E>(
    source: *const E,
    length: usize,
    birth: Option<u32>,
) -> Object {
    let place = allocate(slice_layout::<E>(length), birth.is_some(), true);
    // SAFETY: the block was just made for a `T`.
    let header = unsafe { header_at::<T>(place, 1, birth) };
    // SAFETY: the block is fresh and starts with a header from here.
    unsafe { place.write(header) };
    // SAFETY: `block_around` left a word for the length.
    let before = unsafe { place.cast::<usize>().sub(1 + usize::from(birth.is_some())) };
    // SAFETY: as above.
    unsafe { before.write(length) };
    let offset = size_of::<Header>().next_multiple_of(align_of::<E>());
    // SAFETY: the array follows the header at the next place that suits it.
    let values = unsafe { place.cast::<u8>().add(offset) }.cast::<E>();
    // SAFETY: `length` values fit there, and the caller gives them up.
    unsafe { values.as_ptr().copy_from_nonoverlapping(source, length) };
    Object(place)
}

/// A box that holds the vector's values.
pub(crate) fn from_vec<T: Trace>(values: Vec<T>, birth: Option<u32>) -> NonNull<GcBox<[T]>> {
    let mut values = ManuallyDrop::new(values);
    // SAFETY: the values are moved out: the vector's length becomes 0 below.
    let object = unsafe { new_slice::<[T], T>(values.as_ptr(), values.len(), birth) };
    // SAFETY: an empty vector is always valid.
    unsafe { values.set_len(0) };
    drop(ManuallyDrop::into_inner(values));
    // SAFETY: the box was just made as a `GcBox<[T]>`.
    unsafe { <[T]>::restore(object) }
}

/// A box that holds a copy of `text`.
pub(crate) fn from_str(text: &str) -> NonNull<GcBox<str>> {
    // SAFETY: bytes are copied, not moved.
    let object = unsafe { new_slice::<str, u8>(text.as_ptr(), text.len(), None) };
    // SAFETY: the box was just made as a `GcBox<str>`.
    unsafe { <str>::restore(object) }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn the_prefix_keeps_the_alignment_of_the_value() {
        #[repr(align(64))]
        struct Wide;
        let prefix = |tracked, slice, inner| block_around(inner, tracked, slice).1;
        let narrow = Layout::new::<GcBox<u64>>();
        assert_eq!(prefix(false, false, narrow), 0);
        assert_eq!(prefix(true, false, narrow), 8);
        assert_eq!(prefix(true, true, narrow), 16);
        assert_eq!(prefix(true, false, Layout::new::<GcBox<Wide>>()), 64);
    }
}
