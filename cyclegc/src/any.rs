//! `AnyGc`: a handle to an object of any type.

use std::any::TypeId;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::mem::ManuallyDrop;
use std::ptr::NonNull;

use crate::dealloc;
use crate::edge::EdgeTracer;
use crate::gc::Gc;
use crate::gc_box::GcBox;
use crate::generation::Generation;
use crate::header::{Header, TO_FINALIZE, TRACKED};
use crate::state;
use crate::trace::{Trace, Tracer};

/// A counted handle to an object whose type is not known.
///
/// What [`objects`](crate::objects), [`referrers`](crate::referrers) and
/// [`garbage`](crate::garbage) list. Handles are equal if they refer to the
/// same object. One word.
///
/// ```
/// use cyclegc::{AnyGc, Gc};
///
/// let any: AnyGc = Gc::new(5_u8).into();
/// assert_eq!(any.type_name(), "u8");
/// assert_eq!(any.size(), 1);
/// assert_eq!(any.downcast::<u8>().as_deref(), Some(&5));
/// ```
pub struct AnyGc {
    object: NonNull<Header>,
    #[cfg(cyclegc_provenance)]
    origin: crate::origin::Origin,
}

impl AnyGc {
    /// Takes over a handle that the count of `object` includes.
    #[inline]
    #[cfg_attr(cyclegc_provenance, track_caller)]
    fn from_header(object: NonNull<Header>) -> AnyGc {
        AnyGc {
            object,
            #[cfg(cyclegc_provenance)]
            origin: crate::origin::Origin::here(object.cast()),
        }
    }

    /// As [`Gc::identity`].
    #[inline]
    pub(crate) fn identity(&self) -> usize {
        #[cfg(cyclegc_provenance)]
        return self.origin.number();
        #[cfg(not(cyclegc_provenance))]
        std::ptr::from_ref(self).addr()
    }

    /// A new handle to `object`.
    ///
    /// # Safety
    ///
    /// The object's value is alive, and no `&mut` to it exists.
    #[inline]
    pub(crate) unsafe fn share(object: NonNull<Header>) -> AnyGc {
        // SAFETY: the caller's object is allocated.
        unsafe { object.as_ref() }.increment();
        AnyGc::from_header(object)
    }

    /// Takes over one handle that the count of `object` includes.
    ///
    /// # Safety
    ///
    /// The object's value is alive, and the handle is nobody else's.
    pub(crate) unsafe fn adopt(object: NonNull<Header>) -> AnyGc {
        AnyGc::from_header(object)
    }

    #[inline]
    pub(crate) fn header(&self) -> NonNull<Header> {
        self.object
    }

    #[inline]
    pub(crate) fn head(&self) -> &Header {
        // SAFETY: a handle keeps its box allocated.
        unsafe { self.object.as_ref() }
    }

    /// The name of the object's type (Python's `type(x).__name__`).
    ///
    /// ```
    /// use cyclegc::{AnyGc, Gc};
    ///
    /// assert_eq!(AnyGc::from(Gc::<str>::from("x")).type_name(), "str");
    /// ```
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        (self.head().vtable().type_name)()
    }

    /// The size of the value in bytes, without the header.
    ///
    /// CPython: `sys.getsizeof`; for all it owns see
    /// [`deep_size_of`](crate::deep_size_of).
    ///
    /// ```
    /// use cyclegc::{AnyGc, Gc};
    ///
    /// assert_eq!(AnyGc::from(Gc::<[u16]>::from([1, 2, 3])).size(), 6);
    /// ```
    #[must_use]
    pub fn size(&self) -> usize {
        // SAFETY: a handle keeps the value alive.
        unsafe { (self.head().vtable().value_size)(self.object) }
    }

    /// The size in bytes of the whole allocation, header included.
    ///
    /// ```
    /// use cyclegc::{AnyGc, Gc};
    ///
    /// assert_eq!(AnyGc::from(Gc::new(1_u64)).allocation_size(), 16 + 8);
    /// ```
    #[must_use]
    pub fn allocation_size(&self) -> usize {
        // SAFETY: a handle keeps its box allocated.
        unsafe { (self.head().vtable().layout)(self.object) }
            .0
            .size()
    }

    /// A number that no other live object has (Python's `id`).
    ///
    /// ```
    /// use cyclegc::{AnyGc, Gc};
    ///
    /// let (one, two) = (AnyGc::from(Gc::new(1)), AnyGc::from(Gc::new(1)));
    /// assert_eq!(one.address(), one.clone().address());
    /// assert_ne!(one.address(), two.address());
    /// ```
    #[must_use]
    pub fn address(&self) -> usize {
        self.object.addr().get()
    }

    /// The number of handles to the object, this one included.
    ///
    /// CPython: `sys.getrefcount`, without the 1 that asking adds there.
    ///
    /// ```
    /// use cyclegc::{AnyGc, Gc};
    ///
    /// let one = Gc::new(1);
    /// assert_eq!(AnyGc::from(&one).ref_count(), 2);
    /// ```
    #[must_use]
    pub fn ref_count(&self) -> usize {
        self.head().count() as usize
    }

    /// Whether the collector knows the object (CPython `gc.is_tracked`).
    ///
    /// ```
    /// use cyclegc::{AnyGc, Gc};
    ///
    /// assert!(!AnyGc::from(Gc::new(1)).is_tracked());
    /// assert!(AnyGc::from(Gc::new([Gc::new(1)])).is_tracked());
    /// ```
    #[must_use]
    pub fn is_tracked(&self) -> bool {
        self.head().has(TRACKED)
    }

    /// Whether the finalizer has run (CPython `gc.is_finalized`).
    ///
    /// ```
    /// use cyclegc::{AnyGc, Gc};
    ///
    /// assert!(!AnyGc::from(Gc::new(1)).is_finalized());
    /// ```
    #[must_use]
    pub fn is_finalized(&self) -> bool {
        !self.head().has(TO_FINALIZE) && (self.head().vtable().has_finalizer)()
    }

    /// The object's generation; `None` if it is untracked or frozen.
    ///
    /// ```
    /// use cyclegc::{AnyGc, Gc, Generation};
    ///
    /// let list = AnyGc::from(Gc::new(vec![Gc::new(1)]));
    /// assert_eq!(list.generation(), Some(Generation::Young));
    /// cyclegc::collect_generation(Generation::Young);
    /// assert_eq!(list.generation(), Some(Generation::Middle));
    /// ```
    #[must_use]
    pub fn generation(&self) -> Option<Generation> {
        if !self.is_tracked() {
            return None;
        }
        // SAFETY: the object is tracked and a handle keeps it.
        let index = state::with(|state| unsafe { state.generation_of(self.object) });
        Generation::try_from(index).ok()
    }

    /// A typed handle, if `T` is the object's type.
    ///
    /// ```
    /// use cyclegc::{AnyGc, Gc};
    ///
    /// let any = AnyGc::from(Gc::new('x'));
    /// assert!(any.downcast::<u8>().is_none());
    /// assert_eq!(*any.downcast::<char>().unwrap(), 'x');
    /// ```
    #[must_use]
    #[cfg_attr(cyclegc_provenance, track_caller)]
    pub fn downcast<T: Trace>(&self) -> Option<Gc<T>> {
        if (self.head().vtable().type_id)() != TypeId::of::<T>() {
            return None;
        }
        self.head().increment();
        Some(Gc::from_box(self.object.cast::<GcBox<T>>()))
    }
}

impl<T: ?Sized> From<Gc<T>> for AnyGc {
    /// The same handle, its type forgotten.
    #[cfg_attr(cyclegc_provenance, track_caller)]
    fn from(gc: Gc<T>) -> Self {
        AnyGc::from_header(gc.into_box().cast())
    }
}

impl<T: ?Sized> From<&Gc<T>> for AnyGc {
    /// One more handle, its type forgotten.
    #[cfg_attr(cyclegc_provenance, track_caller)]
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
    #[cfg_attr(cyclegc_provenance, track_caller)]
    fn clone(&self) -> Self {
        self.head().increment();
        AnyGc::from_header(self.object)
    }
}

impl Drop for AnyGc {
    /// One handle less; the last one ends the object.
    #[inline]
    fn drop(&mut self) {
        let left = self.head().decrement();
        if left.cast_signed() > 0 {
            return;
        }
        let count = left & crate::header::COUNT_MASK;
        if count == 0 {
            // SAFETY: the last handle goes.
            unsafe { dealloc::last_drop(self.object) };
        } else {
            // SAFETY: a loud object is tracked, and other handles keep it.
            state::with(|state| unsafe { state.suspect(self.object) });
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
        tracer.visit_any(self);
    }

    fn trace_edges(&self, tracer: &mut EdgeTracer<'_>) {
        tracer.visit_any(self);
    }

    fn never_panics(&self) -> bool {
        true
    }
}

/// Gives up a handle without ending the object when the count becomes 0; the
/// caller has made sure that somebody else ends it.
pub(crate) fn forget(any: AnyGc) {
    let any = ManuallyDrop::new(any);
    #[cfg(cyclegc_provenance)]
    any.origin.end();
    any.head().decrement();
}

#[cfg(not(cyclegc_provenance))]
static_assertions::assert_eq_size!(Option<AnyGc>, usize);
