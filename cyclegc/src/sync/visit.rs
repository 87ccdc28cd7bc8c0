//! What tracing an object tells the collector: edges, and the locks they were found behind.
//!
//! # Invariants
//!
//! 1. A kept guard borrows from an object whose value the collector keeps; guards are
//!    dropped before that ends, in the thread that took them.
//! 2. A guard that lies behind another was kept after it, and is dropped before it: what it
//!    borrows may go when the other is gone.

use std::marker::PhantomData;
use std::mem::{MaybeUninit, align_of, size_of};
use std::ptr::NonNull;
use std::sync::atomic::Ordering::{Acquire, Relaxed};

use crate::sync::header::{Header, Object};
use crate::sync::types::{AtomicPtr, clear_bits, set_bits};

/// Receives the edges of objects.
#[derive(Debug)]
pub(crate) struct Visit {
    pub(crate) found: Vec<Object>,
    pub(crate) kept: Kept,
    /// Who the marks are for; none if none are to be left.
    member: Option<usize>,
    marks: Vec<Mark>,
}

/// A mark that was left in a pointer, which any write erases.
#[derive(Debug)]
struct Mark {
    pointer: *const AtomicPtr<Header>,
    member: usize,
}

/// The mark, in the low bits of an address.
pub(crate) const MARK: usize = 1;

impl Visit {
    pub(crate) const fn new() -> Self {
        Visit {
            found: Vec::new(),
            kept: Kept(Vec::new()),
            member: None,
            marks: Vec::new(),
        }
    }

    /// From here on, marks are left in pointers, for this member of a proof.
    pub(crate) fn marks_of(&mut self, member: usize) {
        self.member = Some(member);
    }

    /// The edge that a pointer is, which threads may write meanwhile.
    ///
    /// # Safety
    ///
    /// The pointer is part of a value that the collector keeps until [`Self::release`]. Its
    /// target is not freed while this thread is pinned (see `atomic.rs`).
    pub(crate) unsafe fn pointer(&mut self, pointer: &AtomicPtr<Header>) {
        let target = match self.member {
            // ORDERING: Acquire: the target's header; pairs with Release in `atomic.rs`.
            None => pointer.load(Acquire),
            Some(member) => {
                self.marks.push(Mark { pointer, member });
                // ORDERING: Acquire: as above. That a write erases the mark is seen in
                // this pointer's order.
                set_bits(pointer, MARK, Acquire)
            }
        };
        let target = target.map_addr(|address| address & !MARK);
        if let Some(target) = NonNull::new(target) {
            self.edge(Object(target));
        }
    }

    /// The members whose marks were erased.
    pub(crate) fn erased_marks(&self) -> impl Iterator<Item = usize> {
        self.marks.iter().filter_map(|mark| {
            // SAFETY: the value is kept.
            let pointer = unsafe { &*mark.pointer };
            // ORDERING: Relaxed: a write that matters came before a decrement that
            // `CountWord::pass_one` has seen.
            let is_there = pointer.load(Relaxed).addr() & MARK != 0;
            (!is_there).then_some(mark.member)
        })
    }

    /// Lets go of everything that was kept.
    pub(crate) fn release(&mut self) {
        for mark in self.marks.drain(..) {
            // SAFETY: the value is kept.
            let pointer = unsafe { &*mark.pointer };
            // ORDERING: Relaxed: the address stays the same.
            clear_bits(pointer, MARK, Relaxed);
        }
        self.kept.release();
    }

    #[inline]
    pub(crate) fn edge(&mut self, target: Object) {
        crate::prefetch::header(target.0.cast());
        self.found.push(target);
    }
}

/// Guards of any types, without their lifetimes.
#[derive(Debug, Default)]
pub(crate) struct Kept(Vec<Guard>);

/// As large as the guards of std's locks.
type Bytes = [usize; 2];

#[derive(Debug)]
struct Guard {
    bytes: MaybeUninit<Bytes>,
    drop: unsafe fn(*mut Bytes),
    /// Guards stay in their thread.
    not_send: PhantomData<*const ()>,
}

impl Kept {
    /// Keeps a guard.
    ///
    /// # Safety
    ///
    /// It is dropped while what it borrows is there (invariant 1), and those that it lies
    /// behind were pushed before (invariant 2).
    #[inline]
    pub(crate) unsafe fn push<G>(&mut self, guard: G) {
        if size_of::<G>() <= size_of::<Bytes>() && align_of::<G>() <= align_of::<Bytes>() {
            self.put(guard);
        } else {
            self.put(Box::new(guard));
        }
    }

    fn put<G>(&mut self, guard: G) {
        assert!(size_of::<G>() <= size_of::<Bytes>() && align_of::<G>() <= align_of::<Bytes>());
        let mut bytes = MaybeUninit::<Bytes>::uninit();
        // SAFETY: it fits.
        unsafe { bytes.as_mut_ptr().cast::<G>().write(guard) };
        let drop = drop_guard::<G>;
        self.0.push(Guard {
            bytes,
            drop,
            not_send: PhantomData,
        });
    }

    /// Drops all guards, the last first (invariant 2).
    pub(crate) fn release(&mut self) {
        while let Some(guard) = self.0.pop() {
            drop(guard);
        }
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.release();
    }
}

/// # Safety
///
/// `bytes` hold a `G` that is not used again.
unsafe fn drop_guard<G>(bytes: *mut Bytes) {
    // SAFETY: the caller's.
    unsafe { bytes.cast::<G>().drop_in_place() };
}

impl Drop for Guard {
    fn drop(&mut self) {
        // SAFETY: `push` wrote one there, of the type that `drop` is for.
        unsafe { (self.drop)(self.bytes.as_mut_ptr()) };
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex, RwLock};

    #[test]
    fn guards_of_any_size_are_dropped_once() {
        let (mutex, lock) = (Mutex::new(1), RwLock::new(2));
        let counted = Arc::new(());
        let mut kept = Kept::default();
        // SAFETY: what they borrow outlives `kept`.
        unsafe { kept.push(mutex.lock().unwrap()) };
        // SAFETY: as above.
        unsafe { kept.push(lock.read().unwrap()) };
        // SAFETY: it borrows nothing.
        unsafe { kept.push([counted.clone(), counted.clone(), counted.clone()]) };
        // SAFETY: it borrows nothing.
        unsafe { kept.push(()) };
        assert!(mutex.try_lock().is_err() && lock.try_write().is_err());
        assert_eq!(Arc::strong_count(&counted), 4);
        kept.release();
        assert!(mutex.try_lock().is_ok() && lock.try_write().is_ok());
        assert_eq!(Arc::strong_count(&counted), 1);
    }
}
