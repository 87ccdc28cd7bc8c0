//! `AtomicGc<T>`: a handle that threads replace while others read it.
//!
//! # Invariants
//!
//! 1. `pointer` is null or a handle that it owns, with [`MARK`] in its lowest bit if a proof
//!    left that there (see `visit.rs`).
//! 2. A handle that is displaced is dropped when all who may have read it before are unpinned:
//!    while a thread is pinned, the target of what it read has a handle.
//!
//! # Orderings
//!
//! Writes are Release, and reads Acquire: the target's memory.

use std::fmt;
use std::marker::PhantomData;
use std::ptr::{self, NonNull};
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};

use crate::edge::EdgeTracer;
use crate::sync::any::AnyGc;
use crate::sync::epoch;
use crate::sync::gc::Gc;
use crate::sync::gc_box::GcBox;
use crate::sync::header::{Header, Object};
use crate::sync::types::{AtomicPtr, look_ptr};
use crate::sync::visit::MARK;
use crate::trace::{Trace, Tracer};
use crate::type_depth::TypeDepth;

/// A place for a [`Gc`], or none, that threads read and replace without a lock.
///
/// As `arc_swap::ArcSwapOption`, and its cycles are collected. Reading costs an increment;
/// no thread waits for another, but for a push on a list now and then. An object that is
/// displaced may live on until threads that were reading have finished, and until somebody
/// writes to an `AtomicGc`, collects or takes a snapshot: its destructor runs in that thread,
/// never in one that only reads.
///
/// ```
/// use cyclegc::sync::{AtomicGc, Gc};
///
/// let place = AtomicGc::new(Gc::new(1));
/// std::thread::scope(|scope| {
///     scope.spawn(|| place.store(Gc::new(2)));
///     assert!([1, 2].contains(&*place.load().unwrap()));
/// });
/// ```
pub struct AtomicGc<T> {
    pointer: AtomicPtr<Header>,
    of: PhantomData<Gc<T>>,
}

/// The error of [`AtomicGc::compare_exchange`]: what is there, and what was to be.
///
/// ```
/// use cyclegc::sync::{AtomicGc, Gc};
///
/// let (one, two) = (Gc::new(1), Gc::new(2));
/// let place = AtomicGc::new(one.clone());
/// let error = place.compare_exchange(Some(&two), two.clone()).unwrap_err();
/// assert_eq!((error.current, error.new), (Some(one), Some(two)));
/// ```
pub struct CompareExchangeError<T> {
    /// What is there instead.
    pub current: Option<Gc<T>>,
    /// What would have been put there.
    pub new: Option<Gc<T>>,
}

impl<T> fmt::Debug for CompareExchangeError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CompareExchangeError")
            .finish_non_exhaustive()
    }
}

impl<T> fmt::Display for CompareExchangeError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("another object is there")
    }
}

impl<T> std::error::Error for CompareExchangeError<T> {}

fn without_mark(pointer: *mut Header) -> *mut Header {
    pointer.map_addr(|address| address & !MARK)
}

fn into_pointer<T>(gc: Option<Gc<T>>) -> *mut Header {
    gc.map_or(ptr::null_mut(), |gc| gc.into_box().as_ptr().cast())
}

/// # Safety
///
/// The pointer is null or a handle to a `T` that the caller has, marked or not.
unsafe fn from_pointer<T>(pointer: *mut Header) -> Option<Gc<T>> {
    let object = NonNull::new(without_mark(pointer))?;
    Some(Gc::from_box(object.cast::<GcBox<T>>()))
}

/// One more handle to what a pointer refers to.
///
/// # Safety
///
/// Its target has a handle while this runs: the thread is pinned since before it was read.
unsafe fn share<T>(pointer: *mut Header) -> Option<Gc<T>> {
    let object = NonNull::new(without_mark(pointer))?;
    // SAFETY: the caller's. No `&mut` comes from a handle in an `AtomicGc`.
    let again = std::mem::ManuallyDrop::new(unsafe { AnyGc::share(Object(object)) });
    Some(Gc::from_box(again.object().0.cast::<GcBox<T>>()))
}

impl<T> AtomicGc<T> {
    /// A place with a handle in it, or none.
    ///
    /// ```
    /// use cyclegc::sync::AtomicGc;
    ///
    /// let place = AtomicGc::<u8>::new(None);
    /// assert_eq!(place.load(), None);
    /// ```
    #[must_use]
    pub fn new(gc: impl Into<Option<Gc<T>>>) -> AtomicGc<T> {
        AtomicGc {
            pointer: AtomicPtr::new(into_pointer(gc.into())),
            of: PhantomData,
        }
    }

    /// A handle to what is there.
    ///
    /// ```
    /// use cyclegc::sync::{AtomicGc, Gc};
    ///
    /// assert_eq!(AtomicGc::new(Gc::new(1)).load().as_deref(), Some(&1));
    /// ```
    #[inline]
    #[must_use]
    pub fn load(&self) -> Option<Gc<T>> {
        let _pinned = epoch::pin();
        // ORDERING: Acquire: pairs with `exchange`.
        let pointer = self.pointer.load(Acquire);
        // SAFETY: invariant 2.
        unsafe { share(pointer) }
    }

    /// Puts a handle there, or none.
    ///
    /// ```
    /// use cyclegc::sync::{AtomicGc, Gc};
    ///
    /// let place = AtomicGc::new(Gc::new(1));
    /// place.store(None);
    /// assert_eq!(place.load(), None);
    /// ```
    pub fn store(&self, gc: impl Into<Option<Gc<T>>>) {
        let pinned = epoch::pin();
        let new = into_pointer(gc.into());
        // ORDERING: AcqRel: pairs with itself and with `load`.
        let before = self.pointer.swap(new, AcqRel);
        Self::displace(pinned, before);
    }

    /// Puts a handle there, or none, and returns what was there.
    ///
    /// That has one handle more until no thread can be reading it any more, so that
    /// [`Gc::get_mut`] may not be had of it yet.
    ///
    /// ```
    /// use cyclegc::sync::{AtomicGc, Gc};
    ///
    /// let place = AtomicGc::new(Gc::new(1));
    /// assert_eq!(place.swap(Gc::new(2)).as_deref(), Some(&1));
    /// assert_eq!(place.load().as_deref(), Some(&2));
    /// ```
    #[must_use]
    pub fn swap(&self, gc: impl Into<Option<Gc<T>>>) -> Option<Gc<T>> {
        let pinned = epoch::pin();
        let new = into_pointer(gc.into());
        // ORDERING: as in `store`.
        let before = self.pointer.swap(new, AcqRel);
        // SAFETY: the displaced handle is ours until it is deferred.
        let returned = unsafe { share(before) };
        Self::displace(pinned, before);
        returned
    }

    /// Puts a handle there if what is there refers to the same object as `current`; returns
    /// what was there.
    ///
    /// # Errors
    ///
    /// What is there instead, and `new`.
    ///
    /// ```
    /// use cyclegc::sync::{AtomicGc, Gc};
    ///
    /// let one = Gc::new(1);
    /// let place = AtomicGc::new(one.clone());
    /// assert_eq!(place.compare_exchange(Some(&one), Gc::new(2)).unwrap(), Some(one));
    /// assert!(place.compare_exchange(None, None).is_err());
    /// ```
    pub fn compare_exchange(
        &self,
        current: Option<&Gc<T>>,
        new: impl Into<Option<Gc<T>>>,
    ) -> Result<Option<Gc<T>>, CompareExchangeError<T>> {
        let pinned = epoch::pin();
        let wanted = current.map_or(ptr::null_mut(), |gc| gc.object().0.as_ptr());
        let new = into_pointer(new.into());
        let mut before = look_ptr(&self.pointer);
        loop {
            if without_mark(before) != wanted {
                // ORDERING: Acquire: as in `load`.
                before = self.pointer.load(Acquire);
                if without_mark(before) == wanted {
                    continue;
                }
                return Err(CompareExchangeError {
                    // SAFETY: invariant 2.
                    current: unsafe { share(before) },
                    // SAFETY: it was ours, and is again.
                    new: unsafe { from_pointer(new) },
                });
            }
            // ORDERING: as in `store`; a mark comes and goes by itself.
            match self
                .pointer
                .compare_exchange_weak(before, new, AcqRel, Relaxed)
            {
                Ok(_) => break,
                Err(newer) => before = newer,
            }
        }
        // SAFETY: the displaced handle is ours until it is deferred.
        let returned = unsafe { share(before) };
        Self::displace(pinned, before);
        Ok(returned)
    }

    /// Drops a handle that was there, when nobody can be reading it.
    fn displace(pinned: epoch::Guard, before: *mut Header) {
        // SAFETY: the caller took it out.
        if let Some(gc) = unsafe { from_pointer::<T>(before) } {
            pinned.defer(gc.into());
            drop(pinned);
            epoch::flush();
        }
    }

    /// What is there.
    ///
    /// ```
    /// use cyclegc::sync::{AtomicGc, Gc};
    ///
    /// assert_eq!(AtomicGc::new(Gc::new(1)).into_inner().as_deref(), Some(&1));
    /// ```
    #[must_use]
    pub fn into_inner(self) -> Option<Gc<T>> {
        let this = std::mem::ManuallyDrop::new(self);
        // ORDERING: Relaxed: nobody else has it.
        // SAFETY: `this` is not used again.
        unsafe { from_pointer(this.pointer.load(Relaxed)) }
    }
}

impl<T> Drop for AtomicGc<T> {
    fn drop(&mut self) {
        // ORDERING: Relaxed: nobody else has it.
        let pointer = self.pointer.load(Relaxed);
        // SAFETY: it is not used again, and nobody is reading it.
        drop(unsafe { from_pointer::<T>(pointer) });
    }
}

impl<T> Default for AtomicGc<T> {
    fn default() -> Self {
        AtomicGc::new(None)
    }
}

impl<T> From<Gc<T>> for AtomicGc<T> {
    fn from(gc: Gc<T>) -> Self {
        AtomicGc::new(gc)
    }
}

impl<T: fmt::Debug> fmt::Debug for AtomicGc<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AtomicGc").field(&self.load()).finish()
    }
}

// SAFETY: the handle is reported once. Where it may leave, the proof is told (`Visit`).
unsafe impl<T: 'static> Trace for AtomicGc<T> {
    fn trace(&self, tracer: &mut Tracer<'_>) {
        if let Some(visit) = tracer.visiting() {
            // SAFETY: the collector keeps the value, and is pinned.
            unsafe { visit.pointer(&self.pointer) };
        }
    }

    fn trace_edges(&self, tracer: &mut EdgeTracer<'_>) {
        if tracer.is_shared() {
            // ORDERING: Acquire: as in `load`.
            let target = without_mark(self.pointer.load(Acquire));
            if let Some(target) = NonNull::new(target) {
                // The thread is pinned (`EdgeTracer::shared`): invariant 2.
                tracer.strong_shared(Object(target), 0);
            }
        }
    }

    fn never_panics(&self) -> bool {
        true
    }

    fn may_hold_gc(_: TypeDepth) -> bool {
        true
    }
}

static_assertions::assert_impl_all!(AtomicGc<u64>: Send, Sync);
static_assertions::assert_not_impl_any!(AtomicGc<std::cell::Cell<u8>>: Send, Sync);
