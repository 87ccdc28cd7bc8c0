//! Memory for arrays that are never given back: cut from mappings, without a lock.

use core::ptr::{NonNull, null_mut};
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use core::sync::atomic::{AtomicPtr, AtomicUsize};

use crate::os;

/// Bytes of a mapping.
const CHUNK: usize = 1 << 20;

/// All mappings; the newest is cut from.
#[derive(Debug)]
pub(super) struct Slab {
    newest: AtomicPtr<Chunk>,
    used_bytes: AtomicUsize,
}

/// The first bytes of a mapping.
#[derive(Debug)]
#[repr(C, align(128))]
struct Chunk {
    /// Bytes cut off, the head's included; more than there are once it is used up.
    cut: AtomicUsize,
}

impl Slab {
    /// No memory yet.
    pub(super) const fn new() -> Self {
        Self {
            newest: AtomicPtr::new(null_mut()),
            used_bytes: AtomicUsize::new(0),
        }
    }

    /// Zeroed bytes, a multiple of 128 and no more than 64 KiB; `None` if memory has run out.
    pub(super) fn cut(&self, size: usize) -> Option<NonNull<u8>> {
        debug_assert!(size.is_multiple_of(align_of::<Chunk>()) && size <= CHUNK / 16);
        loop {
            // ORDERING: Acquire receives the chunk's head; pairs with the exchange below.
            let newest = self.newest.load(Acquire);
            // SAFETY: chunks are never unmapped.
            if let Some(chunk) = unsafe { newest.as_ref() } {
                // ORDERING: Relaxed; the memory is nobody's until it is cut.
                let start = chunk.cut.fetch_add(size, Relaxed);
                if start <= CHUNK - size {
                    self.used_bytes.fetch_add(size, Relaxed);
                    return NonNull::new(newest.cast::<u8>().wrapping_add(start));
                }
            }
            let chunk: NonNull<Chunk> = os::map(CHUNK)?.cast();
            let cut = AtomicUsize::new(size_of::<Chunk>());
            // SAFETY: mapped above, and large enough.
            unsafe { chunk.write(Chunk { cut }) };
            // ORDERING: Release publishes the head; pairs with the load above.
            let won = self
                .newest
                .compare_exchange(newest, chunk.as_ptr(), Release, Relaxed);
            if won.is_err() {
                // SAFETY: mapped above, known to nobody.
                unsafe { os::unmap(chunk.cast(), CHUNK) };
            }
        }
    }

    /// Bytes cut.
    pub(super) fn used_bytes(&self) -> usize {
        self.used_bytes.load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::unordered::in_two_threads;

    #[test]
    fn who_cuts_from_another_threads_mapping_finds_its_head_whole() {
        static SLAB: Slab = Slab::new();
        let cut = || SLAB.cut(128).expect("there is memory").addr().get();
        in_two_threads(cut, |theirs| assert_eq!(cut(), theirs + 128));
    }
}
