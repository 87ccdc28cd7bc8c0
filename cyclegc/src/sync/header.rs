//! The object header.
//!
//! ```text
//!                   Gc<T> points here
//!                           |
//!                           v
//!  +---------+-------+-------+-------+--------+--------+-----------+
//!  | length  | index | birth | count | second | vtable | value ... |
//!  +---------+-------+-------+-------+--------+--------+-----------+
//!   8 bytes      4       4       8       8        8
//!   slices     tracked only      every object
//! ```
//!
//! 32 bytes for tracked objects, 24 for others; `Arc` has 16, and no way to find cycles
//! or to forget a type.
//!
//! # Invariants
//!
//! 1. An [`Object`] was derived from the pointer which `gc_box` allocated, so it may reach
//!    the whole allocation. Whoever has one has a handle, a weak handle or a hold, or has
//!    found it in a cell that is still locked.
//! 2. `index` is written and read by the thread that has the collector's lock alone; 0 but
//!    for candidates.
//!
//! # Access
//!
//! Any thread, atomically; see `word.rs` and `second_word.rs`.

use std::alloc::Layout;
use std::any::TypeId;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use crate::edge::EdgeTracer;
use crate::sync::second_word::SecondWord;
use crate::sync::word::CountWord;
use crate::trace::Tracer;

/// What can be done with an object whose type is not known.
pub(crate) struct VTable {
    pub(crate) type_name: fn() -> &'static str,
    pub(crate) type_id: fn() -> TypeId,
    /// Layout of the box's block, and how far in it the header lies; reads no
    /// part of the value.
    pub(crate) layout: unsafe fn(Object) -> (Layout, usize),
    /// Size of the value in bytes.
    pub(crate) value_size: unsafe fn(Object) -> usize,
    pub(crate) trace: unsafe fn(Object, &mut Tracer<'_>),
    pub(crate) trace_edges: unsafe fn(Object, &mut EdgeTracer<'_>),
    pub(crate) has_finalizer: fn() -> bool,
    pub(crate) finalize: unsafe fn(Object),
    pub(crate) drop_value: unsafe fn(Object),
    /// What `Gc::drop` does when the last handle goes.
    pub(crate) last_drop: unsafe fn(Object),
}

/// What every object starts with.
#[repr(C)]
pub(crate) struct Header {
    pub(crate) count: CountWord,
    pub(crate) second: SecondWord,
    pub(crate) vtable: &'static VTable,
}

/// What lies before the header of a tracked object.
///
/// std's atomics, under loom too: the lock orders `index`, and any value of `birth` does.
#[repr(C)]
pub(crate) struct TrackedHead {
    index: AtomicU32,
    birth: AtomicU32,
}

#[cfg(not(loom))]
static_assertions::const_assert_eq!(size_of::<Header>(), 24);
#[cfg(not(loom))]
static_assertions::const_assert_eq!(size_of::<Header>() + size_of::<TrackedHead>(), 32);

impl TrackedHead {
    #[inline]
    pub(crate) fn new(birth: u32) -> Self {
        TrackedHead {
            index: AtomicU32::new(0),
            birth: AtomicU32::new(birth),
        }
    }

    /// Which candidate the object is, from 1 on; 0 if it is none.
    pub(crate) fn index(&self) -> u32 {
        // ORDERING: Relaxed: the collector's lock orders it (invariant 2).
        self.index.load(Relaxed)
    }

    pub(crate) fn set_index(&self, index: u32) {
        // ORDERING: Relaxed: as in `index`.
        self.index.store(index, Relaxed);
    }

    /// The epoch in which the object was born (see `crate::generation`).
    pub(crate) fn birth(&self) -> u32 {
        // ORDERING: Relaxed: only how early the object is looked at depends on it.
        self.birth.load(Relaxed)
    }

    pub(crate) fn set_birth(&self, birth: u32) {
        // ORDERING: Relaxed: as in `birth`.
        self.birth.store(birth, Relaxed);
    }
}

/// An object of any type, not counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub(crate) struct Object(pub(crate) NonNull<Header>);

// SAFETY: what can be reached through it is atomic, or a value of a type that is `Send`
// and `Sync`: `Gc::new` asks for both.
unsafe impl Send for Object {}
// SAFETY: as above.
unsafe impl Sync for Object {}

impl Object {
    /// # Safety
    ///
    /// Invariant 1, for as long as the reference is used.
    #[inline(always)]
    pub(crate) unsafe fn head<'a>(self) -> &'a Header {
        // SAFETY: the caller's.
        unsafe { self.0.as_ref() }
    }

    /// # Safety
    ///
    /// As for [`Self::head`]; the object is `TRACKED`.
    #[inline(always)]
    pub(crate) unsafe fn tracked<'a>(self) -> &'a TrackedHead {
        // SAFETY: a tracked object's header has a `TrackedHead` before it.
        let head = unsafe { self.0.cast::<TrackedHead>().sub(1) };
        // SAFETY: the caller's.
        unsafe { head.as_ref() }
    }

    pub(crate) fn address(self) -> usize {
        self.0.addr().get()
    }
}
