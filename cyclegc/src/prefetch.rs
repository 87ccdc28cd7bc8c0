//! Asks the processor for memory that the collector will read soon.

use std::ptr::NonNull;

use crate::header::Header;

/// Starts to load the cache line of a header.
#[inline(always)]
pub(crate) fn header(object: NonNull<Header>) {
    line(object.as_ptr().cast_const().cast());
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
