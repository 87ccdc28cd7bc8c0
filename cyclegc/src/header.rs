//! The object header and its flag bits.
//!
//! ```text
//!                 Gc<T> points here
//!                         |
//!                         v
//!  +---------+-----------++-------+------------+--------+-----------+
//!  | length  |  aux | idx || count | weak|flags | vtable | value ... |
//!  +---------+-----------++-------+------------+--------+-----------+
//!   8 bytes    4     4        4         4          8
//!   slices     tracked        every object
//! ```
//!
//! As in CPython, what only the collector needs lies *before* the object
//! (`PyGC_Head`), and only tracked objects have it: 24 bytes for them, 16 for
//! the others. A slice stores its length in front, so that it can be destroyed
//! through a thin pointer.
//!
//! # Invariants
//!
//! 1. A `NonNull<Header>` that this crate holds was derived from the pointer
//!    which `gc_box` allocated, so it may reach the whole allocation, and it
//!    stays allocated while `weak` is not 0.
//! 2. `count` low 31 bits = handles (`Gc`, `AnyGc`) that exist. While a handle
//!    exists the value is initialised and is not being dropped, except for
//!    handles inside a dead set that `delete` is destroying.
//! 3. `weak` = `Weak` handles + 1 while the value is not yet dropped; a `weak`
//!    that reaches its maximum stays there, and the box is never given back.
//! 4. `TRACKED` never changes and says that a `TrackedHead` lies before the
//!    header.
//! 5. `SUSPECT` without `COLLECTING`: `aux` is the slot in
//!    `state.suspects[gen]`, with `gen` in the flag bits, and `count` is quiet.
//!    `COLLECTING`: the object is a candidate of the collection that runs, which
//!    also owns one `weak` of a dead value's box; `aux` means nothing then.
//!    Neither: `aux` is the birth epoch (see [`crate::generation`]).
//! 6. `DEAD` says that there is no value: it is not made yet, or it has been
//!    dropped, before which `DEAD` is set.
//!
//! # Access
//!
//! One thread. Every field is a `Cell`; no reference to a field outlives the
//! expression that made it, and none to `value` is made here.
//!
//! Source: CPython 3.11 `Include/internal/pycore_gc.h`: `PyGC_Head`.

use std::alloc::Layout;
use std::any::TypeId;
use std::cell::Cell;
use std::ptr::NonNull;

use crate::edge::EdgeTracer;

use crate::trace::Tracer;

/// `count` bit: a drop that is not the last must take the slow way, which
/// makes the object a suspect.
pub(crate) const LOUD: u32 = 1 << 31;
/// `count` bits that hold the number of handles.
pub(crate) const COUNT_MASK: u32 = LOUD - 1;

/// The object has a [`TrackedHead`]: it can be part of a cycle.
pub(crate) const TRACKED: u32 = 1 << 0;
/// The object saw a drop that was not the last.
pub(crate) const SUSPECT: u32 = 1 << 1;
/// The object is a candidate of the collection that runs.
pub(crate) const COLLECTING: u32 = 1 << 2;
/// The type has a finalizer, and it has not run.
pub(crate) const TO_FINALIZE: u32 = 1 << 3;
/// The value has been dropped, or is about to be, or is not made yet.
pub(crate) const DEAD: u32 = 1 << 4;
/// `get_mut` handed out a `&mut` that may still live if the count is 1.
pub(crate) const MUT_TAKEN: u32 = 1 << 5;
/// `state.cells` has an entry for this object.
pub(crate) const HAS_CELLS: u32 = 1 << 6;
/// Plain `Weak` handles were cleared, but the object was resurrected.
pub(crate) const WEAK_CUT: u32 = 1 << 7;
/// `trace` panicked for this object: its edges are unknown from then on.
pub(crate) const OPAQUE: u32 = 1 << 8;
/// Generation of a suspect, two bits.
pub(crate) const GENERATION_SHIFT: u32 = 9;
pub(crate) const GENERATION_MASK: u32 = 3 << GENERATION_SHIFT;

/// The object is not in a pool.
pub(crate) const ALONE: u32 = 1 << 11;
/// A snapshot of the object graph has given the object a number.
pub(crate) const NUMBERED: u32 = 1 << 12;

const WEAK_SHIFT: u32 = 13;
const FLAG_MASK: u32 = (1 << WEAK_SHIFT) - 1;
/// Largest weak count; it sticks there.
pub(crate) const WEAK_MAX: u32 = u32::MAX >> WEAK_SHIFT;

/// What can be done with an object whose type is not known.
pub(crate) struct VTable {
    pub(crate) type_name: fn() -> &'static str,
    pub(crate) type_id: fn() -> TypeId,
    /// Layout of the box's block, and how far in it the header lies; reads no
    /// part of the value.
    pub(crate) layout: unsafe fn(NonNull<Header>) -> (Layout, usize),
    /// Size of the value in bytes.
    pub(crate) value_size: unsafe fn(NonNull<Header>) -> usize,
    pub(crate) trace: unsafe fn(NonNull<Header>, &mut Tracer<'_>),
    pub(crate) trace_edges: unsafe fn(NonNull<Header>, &mut EdgeTracer<'_>),
    pub(crate) has_finalizer: fn() -> bool,
    pub(crate) finalize: unsafe fn(NonNull<Header>),
    pub(crate) drop_value: unsafe fn(NonNull<Header>),
    /// What `Gc::drop` does when the last handle goes.
    pub(crate) last_drop: unsafe fn(NonNull<Header>),
}

/// What every object starts with.
#[repr(C)]
pub(crate) struct Header {
    count: Cell<u32>,
    /// Low 13 bits flags, high 19 bits weak count.
    word: Cell<u32>,
    vtable: &'static VTable,
}

/// What lies before the header of a tracked object.
#[repr(C)]
pub(crate) struct TrackedHead {
    /// Two meanings, see invariant 5.
    pub(crate) aux: Cell<u32>,
    /// Which candidate the object is, while it is `COLLECTING`.
    pub(crate) index: Cell<u32>,
}

static_assertions::const_assert_eq!(size_of::<Header>(), 16);
static_assertions::const_assert_eq!(size_of::<Header>() + size_of::<TrackedHead>(), 24);

impl Header {
    pub(crate) fn new(count: u32, flags: u32, vtable: &'static VTable) -> Self {
        Header {
            count: Cell::new(count),
            word: Cell::new(flags | 1 << WEAK_SHIFT),
            vtable,
        }
    }

    pub(crate) fn vtable(&self) -> &'static VTable {
        self.vtable
    }

    /// Number of handles.
    #[inline]
    pub(crate) fn count(&self) -> u32 {
        self.count.get() & COUNT_MASK
    }

    #[inline]
    pub(crate) fn raw_count(&self) -> u32 {
        self.count.get()
    }

    #[inline]
    pub(crate) fn set_raw_count(&self, count: u32) {
        self.count.set(count);
    }

    /// One more handle; aborts when 2^31 - 1 exist.
    #[inline]
    pub(crate) fn increment(&self) {
        let count = self.count.get().wrapping_add(1);
        self.count.set(count);
        if count & COUNT_MASK == 0 {
            count_overflow();
        }
    }

    /// One handle less; returns the raw count, with [`LOUD`].
    #[inline]
    pub(crate) fn decrement(&self) -> u32 {
        let count = self.count.get().wrapping_sub(1);
        self.count.set(count);
        count
    }

    #[inline]
    pub(crate) fn set_loud(&self) {
        self.count.set(self.count.get() | LOUD);
    }

    #[inline]
    pub(crate) fn set_quiet(&self) {
        self.count.set(self.count.get() & COUNT_MASK);
    }

    #[inline]
    pub(crate) fn flags(&self) -> u32 {
        self.word.get() & FLAG_MASK
    }

    #[inline]
    pub(crate) fn has(&self, flag: u32) -> bool {
        self.word.get() & flag != 0
    }

    #[inline]
    pub(crate) fn set(&self, flags: u32) {
        self.word.set(self.word.get() | flags);
    }

    #[inline]
    pub(crate) fn clear(&self, flags: u32) {
        self.word.set(self.word.get() & !flags);
    }

    /// `Weak` handles, plus 1 while the value lives.
    #[inline]
    pub(crate) fn weak(&self) -> u32 {
        self.word.get() >> WEAK_SHIFT
    }

    #[inline]
    pub(crate) fn weak_increment(&self) {
        if self.weak() < WEAK_MAX {
            self.word.set(self.word.get() + (1 << WEAK_SHIFT));
        }
    }

    /// One `weak` less; true if none is left and the box must be given back.
    #[inline]
    #[must_use]
    pub(crate) fn weak_decrement(&self) -> bool {
        if self.weak() == WEAK_MAX {
            return false;
        }
        self.word.set(self.word.get() - (1 << WEAK_SHIFT));
        self.weak() == 0
    }

    /// No weak handle exists, no collection looks at the object, and it is in
    /// a pool.
    #[inline]
    pub(crate) fn ends_plainly(&self) -> bool {
        self.word.get() & !(FLAG_MASK & !(COLLECTING | ALONE)) == 1 << WEAK_SHIFT
    }

    /// Generation index of a suspect.
    #[inline]
    pub(crate) fn suspect_generation(&self) -> usize {
        ((self.word.get() & GENERATION_MASK) >> GENERATION_SHIFT) as usize
    }

    #[inline]
    pub(crate) fn set_suspect_generation(&self, generation: usize) {
        let bits = u32::try_from(generation).unwrap_or(3) << GENERATION_SHIFT;
        self.word
            .set(self.word.get() & !GENERATION_MASK | bits & GENERATION_MASK);
    }
}

impl TrackedHead {
    pub(crate) fn new(aux: u32) -> Self {
        TrackedHead {
            aux: Cell::new(aux),
            index: Cell::new(0),
        }
    }
}

/// The collector's part of a tracked object.
///
/// # Safety
///
/// `header` obeys invariant 1 and its object is `TRACKED`; the reference is
/// used while the object is allocated.
#[inline]
pub(crate) unsafe fn tracked_head<'a>(header: NonNull<Header>) -> &'a TrackedHead {
    // SAFETY: invariant 4: a tracked object has its head right before it.
    let head = unsafe { header.cast::<TrackedHead>().sub(1) };
    // SAFETY: invariants 1 and 4: it is initialised and in the allocation.
    unsafe { head.as_ref() }
}

#[cold]
#[inline(never)]
fn count_overflow() -> ! {
    crate::debug::abort(format_args!("more than {COUNT_MASK} handles to one object"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        Header::new(1, TRACKED, crate::gc_box::vtable_of::<u8>())
    }

    #[test]
    fn flags_and_weak_count_share_a_word_without_meeting() {
        let header = header();
        header.set(SUSPECT | WEAK_CUT);
        header.set_suspect_generation(3);
        header.weak_increment();
        assert_eq!(header.weak(), 2);
        assert_eq!(header.suspect_generation(), 3);
        header.clear(SUSPECT);
        header.set_suspect_generation(1);
        assert!(!header.weak_decrement());
        assert!(header.has(WEAK_CUT) && !header.has(SUSPECT));
        assert_eq!(header.suspect_generation(), 1);
        assert!(header.weak_decrement());
    }

    #[test]
    fn a_full_weak_count_sticks_and_keeps_the_box() {
        let header = header();
        for _ in 0..WEAK_MAX + 5 {
            header.weak_increment();
        }
        assert_eq!(header.weak(), WEAK_MAX);
        for _ in 0..10 {
            assert!(!header.weak_decrement());
        }
        assert_eq!(header.weak(), WEAK_MAX);
        assert_eq!(header.flags(), TRACKED);
    }

    #[test]
    fn loudness_is_apart_from_the_count() {
        let header = header();
        header.set_loud();
        header.increment();
        assert_eq!(header.count(), 2);
        assert_eq!(header.decrement(), LOUD | 1);
        header.set_quiet();
        assert_eq!(header.raw_count(), 1);
    }
}
