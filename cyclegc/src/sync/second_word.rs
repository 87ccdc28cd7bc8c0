//! The second word: who keeps the memory of an object, and what is known of it.
//!
//! ```text
//!  63      52        36                      0
//!  | flags | holds   | weak handles + value  |
//! ```
//!
//! # Invariants
//!
//! 1. The low bits count the `Weak` handles, and 1 for the value until it is dropped. Holds
//!    are places of the collector's: a list of suspects, the candidates; and what a thread
//!    copied from such a list. The memory is given back by whoever makes both 0, and used by
//!    nobody else then.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use crate::sync::types::{AtomicU64, fence, maybe_const};

/// The object has a `TrackedHead`: it can be part of a cycle.
pub(crate) const TRACKED: u64 = 1 << 52;
/// The type has a finalizer, and it has not run.
pub(crate) const TO_FINALIZE: u64 = 1 << 53;
/// The domain knows weak cells of this object.
pub(crate) const HAS_CELLS: u64 = 1 << 54;
/// Plain `Weak` handles were cleared, but the object was resurrected.
pub(crate) const WEAK_CUT: u64 = 1 << 55;
/// `trace` panicked for this object: it is not traced again.
pub(crate) const OPAQUE: u64 = 1 << 56;

/// A snapshot gave the object a number (`objgraph/ids.rs`).
pub(crate) const NUMBERED: u64 = 1 << 57;

const HOLD: u64 = 1 << 36;
const HOLDS: u64 = TRACKED - HOLD;
const WEAK: u64 = HOLD - 1;

/// See the module.
#[derive(Debug)]
pub(crate) struct SecondWord(AtomicU64);

impl SecondWord {
    maybe_const! {
        /// The value's own count, and flags.
        #[inline]
        pub(crate) fn new(flags: u64) -> Self {
            SecondWord(AtomicU64::new(flags | 1))
        }
    }

    #[inline]
    pub(crate) fn has(&self, flag: u64) -> bool {
        // ORDERING: Relaxed: what a flag guards is said where it is asked.
        self.0.load(Relaxed) & flag != 0
    }

    pub(crate) fn set(&self, flag: u64) {
        // ORDERING: Relaxed: as in `has`.
        self.0.fetch_or(flag, Relaxed);
    }

    /// Clears a flag; true if it was set.
    pub(crate) fn clear(&self, flag: u64) -> bool {
        // ORDERING: Release: the last use of the memory by who clears `HAS_CELLS`; pairs with
        // Acquire in `ends_plainly` and `less`. One of those who clear a flag sees it set.
        self.0.fetch_and(!flag, Release) & flag != 0
    }

    /// Number of `Weak` handles, and 1 for the value.
    pub(crate) fn weak(&self) -> u64 {
        // ORDERING: Acquire: pairs with Release in `release`, as `Arc`'s.
        self.0.load(Acquire) & WEAK
    }

    /// One more `Weak` handle; aborts when there are too many.
    pub(crate) fn downgrade(&self) {
        // ORDERING: Relaxed: the caller has a handle.
        let before = self.0.fetch_add(1, Relaxed);
        if before & WEAK > WEAK / 2 {
            crate::debug::abort(format_args!("too many weak handles to one object"));
        }
    }

    /// One `Weak` handle, or the value, less; true if the caller must give the memory back.
    #[must_use]
    pub(crate) fn release(&self) -> bool {
        self.less(1)
    }

    /// Keeps the memory. The caller knows that it is kept now.
    pub(crate) fn hold(&self) {
        // ORDERING: Relaxed: as in `downgrade`.
        let before = self.0.fetch_add(HOLD, Relaxed);
        if before & HOLDS > HOLDS / 2 {
            crate::debug::abort(format_args!("too many threads ask for all objects"));
        }
    }

    /// Ends a hold; true if the caller must give the memory back.
    #[must_use]
    pub(crate) fn release_hold(&self) -> bool {
        self.less(HOLD)
    }

    fn less(&self, part: u64) -> bool {
        // ORDERING: Release and, for the last, Acquire: all uses of the memory come
        // before its end.
        if self.0.fetch_sub(part, Release) & (WEAK | HOLDS) != part {
            return false;
        }
        // (ThreadSanitizer does not know fences.)
        if cfg!(tsan) {
            self.0.load(Acquire);
        } else {
            fence(Acquire);
        }
        true
    }

    /// The value's count, if the object has no flag but `TRACKED` and nobody else keeps it.
    /// The caller is about to give up the value: none comes to it any more.
    #[inline]
    pub(crate) fn ends_plainly(&self) -> bool {
        // ORDERING: Acquire: pairs with Release in `less`: others are done with it.
        self.0.load(Acquire) & !TRACKED == 1
    }

    /// Tells loom that the memory ends: a use that does not come before is reported.
    #[cfg(loom)]
    pub(crate) fn ends(&mut self) {
        self.0.with_mut(|_| ());
    }

    /// Whether the collector keeps the memory somewhere.
    #[cfg(all(test, not(loom)))]
    pub(crate) fn is_held(&self) -> bool {
        self.has(HOLDS)
    }
}
