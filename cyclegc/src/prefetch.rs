//! Asks the processor for memory that the collector will read soon.

use std::ptr::{self, NonNull};

use crate::header::Header;

/// Starts to load the cache line of a header.
#[inline(always)]
pub(crate) fn header(object: NonNull<Header>) {
    line(object.as_ptr().cast_const().cast());
}

/// Starts to load the cache line of an element, if there is one.
#[inline(always)]
pub(crate) fn element<T>(elements: &[T], index: usize) {
    if let Some(element) = elements.get(index) {
        line(ptr::from_ref(element).cast());
    }
}

#[inline(always)]
fn line(address: *const i8) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    // SAFETY: a prefetch reads nothing that a program can see.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(address);
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    let _ = address;
}
