//! `AnyGc`: a handle to an object of any type.

use std::any::TypeId;
use std::fmt;
use std::hash::{Hash, Hasher};

use crate::edge::EdgeTracer;
use crate::generation::Generation;
use crate::sync::collect::wait_for_collector;
use crate::sync::dealloc;
use crate::sync::domain::domain;
use crate::sync::gc::{Gc, cloned};
use crate::sync::gc_box::GcBox;
use crate::sync::header::{Header, Object};
use crate::sync::second_word::{TO_FINALIZE, TRACKED};
use crate::sync::suspects;
use crate::sync::types::lock;
use crate::sync::word::{CountWord, Upgrade};
use crate::trace::{Trace, Tracer};

/// A counted handle to an object whose type is not known.
///
/// What [`objects`](crate::sync::objects), [`referrers`](crate::sync::referrers) and
/// [`garbage`](crate::sync::garbage) list. Handles are equal if they refer to the same
/// object. One word; it can be sent to other threads, as every object can.
///
/// ```
/// use cyclegc::sync::{AnyGc, Gc};
///
/// let any: AnyGc = Gc::new(5_u8).into();
/// assert_eq!(any.type_name(), "u8");
/// assert_eq!(any.size(), 1);
/// assert_eq!(any.downcast::<u8>().as_deref(), Some(&5));
/// ```
pub struct AnyGc {
    object: Object,
}

impl AnyGc {
    /// A new handle to `object`, if it has a value that this can be had of; waits for a
    /// verdict.
    ///
    /// # Safety
    ///
    /// The object's memory is kept, and the thread does not have the collector's lock.
    pub(crate) unsafe fn try_share(object: Object) -> Option<AnyGc> {
        // SAFETY: the caller's.
        let head = unsafe { object.head() };
        loop {
            match head.count.upgrade() {
                Upgrade::Made { must_list } => {
                    if must_list {
                        // SAFETY: the handle was just made.
                        unsafe { suspects::list(object) };
                    }
                    return Some(AnyGc { object });
                }
                Upgrade::UnderVerdict => wait_for_collector(),
                Upgrade::Dead | Upgrade::Busy => return None,
            }
        }
    }

    /// As [`Self::try_share`]; a hold on the object is given up.
    ///
    /// # Safety
    ///
    /// The caller has the hold, and not the collector's lock.
    pub(crate) unsafe fn from_held(object: Object) -> Option<AnyGc> {
        // SAFETY: the hold keeps the memory.
        let handle = unsafe { AnyGc::try_share(object) };
        // SAFETY: the caller's.
        unsafe { suspects::release_hold(object) };
        handle
    }

    /// One more handle to an object that cannot go meanwhile: it has one that is not in use.
    ///
    /// # Safety
    ///
    /// That handle exists until this returns, and no `&mut` to the value does.
    pub(crate) unsafe fn share(object: Object) -> AnyGc {
        // SAFETY: the caller's handle keeps the object.
        let before = unsafe { object.head() }.count.increment();
        if !CountWord::is_plain(before) {
            // SAFETY: the caller's handle, and the new one.
            unsafe { cloned(object, before) };
        }
        AnyGc { object }
    }

    #[inline]
    pub(crate) fn object(&self) -> Object {
        self.object
    }

    /// What no other handle has.
    pub(crate) fn identity(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    #[inline]
    fn head(&self) -> &Header {
        // SAFETY: a handle keeps its box allocated.
        unsafe { self.object.head() }
    }

    /// The name of the object's type (Python's `type(x).__name__`).
    ///
    /// ```
    /// use cyclegc::sync::{AnyGc, Gc};
    ///
    /// assert_eq!(AnyGc::from(Gc::<str>::from("x")).type_name(), "str");
    /// ```
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        (self.head().vtable.type_name)()
    }

    /// The size of the value in bytes, without the header.
    ///
    /// CPython: `sys.getsizeof`; for all it owns see
    /// [`deep_size_of`](crate::sync::deep_size_of).
    ///
    /// ```
    /// use cyclegc::sync::{AnyGc, Gc};
    ///
    /// assert_eq!(AnyGc::from(Gc::<[u16]>::from([1, 2, 3])).size(), 6);
    /// ```
    #[must_use]
    pub fn size(&self) -> usize {
        // SAFETY: a handle keeps the value alive.
        unsafe { (self.head().vtable.value_size)(self.object) }
    }

    /// The size in bytes of the whole allocation, header included.
    ///
    /// ```
    /// use cyclegc::sync::{AnyGc, Gc};
    ///
    /// assert_eq!(AnyGc::from(Gc::new(1_u64)).allocation_size(), 24 + 8);
    /// ```
    #[must_use]
    pub fn allocation_size(&self) -> usize {
        // SAFETY: a handle keeps its box allocated.
        unsafe { (self.head().vtable.layout)(self.object) }.0.size()
    }

    /// A number that no other live object has (Python's `id`).
    ///
    /// ```
    /// use cyclegc::sync::{AnyGc, Gc};
    ///
    /// let (one, two) = (AnyGc::from(Gc::new(1)), AnyGc::from(Gc::new(1)));
    /// assert_eq!(one.address(), one.clone().address());
    /// assert_ne!(one.address(), two.address());
    /// ```
    #[must_use]
    pub fn address(&self) -> usize {
        self.object.address()
    }

    /// The number of handles to the object, this one included, at some moment.
    ///
    /// CPython: `sys.getrefcount`, without the 1 that asking adds there.
    ///
    /// ```
    /// use cyclegc::sync::{AnyGc, Gc};
    ///
    /// let one = Gc::new(1);
    /// assert_eq!(AnyGc::from(&one).ref_count(), 2);
    /// ```
    #[must_use]
    pub fn ref_count(&self) -> usize {
        usize::try_from(self.head().count.count()).unwrap_or(usize::MAX)
    }

    /// Whether the collector knows the object (CPython `gc.is_tracked`).
    ///
    /// ```
    /// use cyclegc::sync::{AnyGc, Gc};
    ///
    /// assert!(!AnyGc::from(Gc::new(1)).is_tracked());
    /// assert!(AnyGc::from(Gc::new([Gc::new(1)])).is_tracked());
    /// ```
    #[must_use]
    pub fn is_tracked(&self) -> bool {
        self.head().second.has(TRACKED)
    }

    /// Whether the finalizer has run (CPython `gc.is_finalized`).
    ///
    /// ```
    /// use cyclegc::sync::{AnyGc, Gc};
    ///
    /// assert!(!AnyGc::from(Gc::new(1)).is_finalized());
    /// ```
    #[must_use]
    pub fn is_finalized(&self) -> bool {
        !self.head().second.has(TO_FINALIZE) && (self.head().vtable.has_finalizer)()
    }

    /// The object's generation; `None` if it is untracked or frozen.
    ///
    /// Waits while a collection looks for garbage.
    ///
    /// ```
    /// use cyclegc::{Generation, sync::{self, AnyGc, Gc}};
    ///
    /// let list = AnyGc::from(Gc::new(vec![Gc::new(1)]));
    /// assert_eq!(list.generation(), Some(Generation::Young));
    /// sync::collect_generation(Generation::Young);
    /// assert_eq!(list.generation(), Some(Generation::Middle));
    /// ```
    #[must_use]
    pub fn generation(&self) -> Option<Generation> {
        let index = lock(&domain().collector).epochs.generation(self.birth()?);
        Generation::try_from(index).ok()
    }

    /// The epoch in which the object was born, if it is tracked.
    pub(crate) fn birth(&self) -> Option<u32> {
        // SAFETY: a handle keeps the object, which is tracked.
        self.is_tracked()
            .then(|| unsafe { self.object.tracked() }.birth())
    }

    /// A typed handle, if `T` is the object's type.
    ///
    /// ```
    /// use cyclegc::sync::{AnyGc, Gc};
    ///
    /// let any = AnyGc::from(Gc::new('x'));
    /// assert!(any.downcast::<u8>().is_none());
    /// assert_eq!(*any.downcast::<char>().unwrap(), 'x');
    /// ```
    #[must_use]
    pub fn downcast<T: Trace + Send + Sync>(&self) -> Option<Gc<T>> {
        if (self.head().vtable.type_id)() != TypeId::of::<T>() {
            return None;
        }
        let again = std::mem::ManuallyDrop::new(self.clone());
        Some(Gc::from_box(again.object.0.cast::<GcBox<T>>()))
    }
}

impl<T: ?Sized> From<Gc<T>> for AnyGc {
    /// The same handle, its type forgotten.
    fn from(gc: Gc<T>) -> Self {
        AnyGc {
            object: Object(gc.into_box().cast()),
        }
    }
}

impl<T: ?Sized> From<&Gc<T>> for AnyGc {
    /// One more handle, its type forgotten.
    fn from(gc: &Gc<T>) -> Self {
        gc.clone().into()
    }
}

impl From<&AnyGc> for AnyGc {
    /// One more handle.
    fn from(any: &AnyGc) -> Self {
        any.clone()
    }
}

impl Clone for AnyGc {
    /// One more handle to the same object.
    #[inline]
    fn clone(&self) -> Self {
        // SAFETY: this handle is borrowed, and no `&mut` comes from an `AnyGc`.
        unsafe { AnyGc::share(self.object) }
    }
}

impl Drop for AnyGc {
    /// One handle less; the last one ends the object.
    #[inline]
    fn drop(&mut self) {
        let before = self.head().count.decrement();
        if !CountWord::leaves_others(before) {
            // SAFETY: the handle is gone, and its decrement saw `before`.
            unsafe { dealloc::handle_gone(self.object, before) };
        }
    }
}

impl PartialEq for AnyGc {
    fn eq(&self, other: &Self) -> bool {
        self.object == other.object
    }
}

impl Eq for AnyGc {}

impl Hash for AnyGc {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.object.hash(hasher);
    }
}

impl fmt::Debug for AnyGc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{} at {:#x}>", self.type_name(), self.address())
    }
}

// SAFETY: the one handle is reported once.
unsafe impl Trace for AnyGc {
    #[inline]
    fn trace(&self, tracer: &mut Tracer<'_>) {
        tracer.visit_any_shared(self);
    }

    fn trace_edges(&self, tracer: &mut EdgeTracer<'_>) {
        tracer.visit_any_shared(self);
    }

    fn never_panics(&self) -> bool {
        true
    }
}

static_assertions::assert_eq_size!(Option<AnyGc>, usize);
static_assertions::assert_impl_all!(AnyGc: Send, Sync);
