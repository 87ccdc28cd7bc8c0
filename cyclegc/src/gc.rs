//! `Gc<T>`: the counted handle.

use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::ptr::NonNull;

use crate::dealloc;
use crate::derive_support::Coerce;
use crate::edge::EdgeTracer;
use crate::gc_box::{self, Erased, GcBox};
use crate::header::{COLLECTING, Header, MUT_TAKEN, SUSPECT, TO_FINALIZE, TRACKED};
use crate::state::{self, State};
use crate::trace::{Trace, Tracer};
use crate::type_depth::TypeDepth;
use crate::weak::Weak;

/// A counted handle to a value, whose cycles are collected.
///
/// Cloning and dropping count, as with [`Rc`](std::rc::Rc): a value dies at
/// once when its last handle is dropped. Handles that refer to each other in a
/// circle die at the next collection that covers their generation. Every
/// `PyObject *` of CPython is such a handle.
///
/// A handle is one word, and so is `Option<Gc<T>>`. It is neither `Send` nor
/// `Sync`.
///
/// ```
/// use cyclegc::{Gc, Trace};
///
/// #[derive(Trace)]
/// struct Point {
///     x: i32,
/// }
///
/// let point = Gc::new(Point { x: 3 });
/// let other = point.clone();
/// assert_eq!(other.x, 3);
/// assert_eq!(Gc::ref_count(&point), 2);
/// ```
///
/// # Panics
///
/// Nothing here panics. A program that makes 2^31 handles to one object is
/// aborted with a message, as `Rc` aborts.
pub struct Gc<T: ?Sized> {
    object: NonNull<GcBox<T>>,
    /// Invariant in `T`: a handle of a supertype could write what another of
    /// the type that `AnyGc::downcast` compares must not read.
    invariant: PhantomData<*mut GcBox<T>>,
    #[cfg(cyclegc_provenance)]
    origin: crate::origin::Origin,
}

impl<T: Trace> Gc<T> {
    /// Moves `value` into a new object.
    ///
    /// Costs less than `Rc::new`: a block of the thread's pools. If the type is tracked and the threshold of the
    /// young generation is exceeded, a collection runs first, and with it
    /// finalizers and callbacks. CPython: `PyObject_GC_New`.
    ///
    /// ```
    /// let answer = cyclegc::Gc::new(42);
    /// assert_eq!(*answer, 42);
    /// ```
    #[inline(always)]
    #[cfg_attr(cyclegc_provenance, track_caller)]
    pub fn new(value: T) -> Gc<T> {
        if !T::may_hold_gc(TypeDepth::START) {
            return Gc::first(gc_box::new(value, false));
        }
        state::with(State::before_new);
        let object = gc_box::new(value, true);
        // SAFETY: the object is tracked and new.
        state::with(|state| unsafe { state.born(object.cast()) });
        Gc::first(object)
    }

    /// Makes an object that can hold a [`Weak`] handle to itself.
    ///
    /// `Weak::upgrade` gives `None` until `make` returns. A panic in `make`
    /// passes through, and nothing is leaked.
    ///
    /// ```
    /// use cyclegc::{Gc, Trace, Weak};
    ///
    /// #[derive(Trace)]
    /// struct Widget {
    ///     me: Weak<Widget>,
    /// }
    ///
    /// let widget = Gc::new_cyclic(|me| Widget { me: me.clone() });
    /// assert!(Gc::ptr_eq(&widget, &widget.me.upgrade().unwrap()));
    /// ```
    #[cfg_attr(cyclegc_provenance, track_caller)]
    pub fn new_cyclic(make: impl FnOnce(&Weak<T>) -> T) -> Gc<T> {
        let tracked = T::may_hold_gc(TypeDepth::START);
        if tracked {
            state::with(State::before_new);
        }
        let object = gc_box::new_empty::<T>(tracked);
        // The count of weak handles that a box starts with belongs to the
        // value; until there is one, it belongs to `weak`.
        // SAFETY: `new_empty` wrote the header.
        let header = unsafe { object.header_ref() };
        let weak = Weak::from_box(object);
        let unborn = Unborn(tracked);
        let value = make(&weak);
        let _born = ManuallyDrop::new(unborn);
        // SAFETY: `new_empty` left the value out.
        unsafe { gc_box::fill(object, value) };
        header.weak_increment();
        if tracked {
            // SAFETY: the object is tracked and new.
            state::with(|state| unsafe { state.born(object.cast()) });
        }
        header.increment();
        Gc::first(object)
    }

    /// Takes the value out if this is the only handle.
    ///
    /// Weak handles are cleared and their callbacks run; the value is not
    /// finalized, since it lives on.
    ///
    /// # Errors
    ///
    /// Gives the handle back if there are others.
    ///
    /// ```
    /// use cyclegc::Gc;
    ///
    /// let text = Gc::new(String::from("moved"));
    /// assert_eq!(Gc::try_unwrap(text), Ok(String::from("moved")));
    /// ```
    pub fn try_unwrap(this: Gc<T>) -> Result<T, Gc<T>> {
        if Gc::ref_count(&this) != 1 {
            return Err(this);
        }
        let this = ManuallyDrop::new(this);
        #[cfg(cyclegc_provenance)]
        this.origin.end();
        // SAFETY: the only handle is given up here.
        Ok(unsafe { dealloc::take_value(this.object) })
    }
}

/// An object that was counted before it is made: a panic takes that back.
struct Unborn(bool);

impl Drop for Unborn {
    fn drop(&mut self) {
        if self.0 {
            state::with(State::was_not_born);
        }
    }
}

impl<T: Trace + Clone> Gc<T> {
    /// A `&mut` to the value, which is cloned into a new object first if there
    /// are other handles, weak ones included, or if a collection is looking at
    /// the object, as for [`get_mut`](Gc::get_mut).
    ///
    /// ```
    /// use cyclegc::Gc;
    ///
    /// let mut mine = Gc::new(1);
    /// let theirs = mine.clone();
    /// *Gc::make_mut(&mut mine) += 1;
    /// assert_eq!((*mine, *theirs), (2, 1));
    /// ```
    pub fn make_mut(this: &mut Gc<T>) -> &mut T {
        while !Gc::is_unique(this) {
            let copy = Gc::new((**this).clone());
            // Dropping the old handle may run any code, which must not find
            // the copy through `objects`.
            copy.head().set(MUT_TAKEN);
            drop(std::mem::replace(this, copy));
        }
        // SAFETY: just tested.
        unsafe { Gc::unique_mut(this) }
    }
}

impl<T: ?Sized> Gc<T> {
    /// Wraps a box whose count already includes this handle.
    #[inline]
    #[cfg_attr(cyclegc_provenance, track_caller)]
    pub(crate) fn from_box(object: NonNull<GcBox<T>>) -> Gc<T> {
        Gc {
            object,
            invariant: PhantomData,
            #[cfg(cyclegc_provenance)]
            origin: crate::origin::Origin::here(object.cast()),
        }
    }

    /// As `from_box`, for a new object.
    #[inline]
    #[cfg_attr(cyclegc_provenance, track_caller)]
    pub(crate) fn first(object: NonNull<GcBox<T>>) -> Gc<T> {
        #[cfg(cyclegc_provenance)]
        crate::origin::made(object.cast());
        Gc::from_box(object)
    }

    /// What no other handle of the thread has: its address, or its origin's number.
    #[inline]
    pub(crate) fn identity(&self) -> usize {
        #[cfg(cyclegc_provenance)]
        return self.origin.number();
        #[cfg(not(cyclegc_provenance))]
        std::ptr::from_ref(self).addr()
    }

    #[inline]
    pub(crate) fn as_box(&self) -> NonNull<GcBox<T>> {
        self.object
    }

    /// Gives up the handle, not its count.
    #[inline]
    pub(crate) fn into_box(self) -> NonNull<GcBox<T>> {
        let this = ManuallyDrop::new(self);
        #[cfg(cyclegc_provenance)]
        this.origin.end();
        this.object
    }

    #[inline]
    pub(crate) fn header(&self) -> NonNull<Header> {
        self.object.cast()
    }

    #[inline]
    pub(crate) fn head(&self) -> &Header {
        // SAFETY: a handle keeps its box allocated.
        unsafe { self.object.header_ref() }
    }

    /// The number of `Gc` and `AnyGc` handles to the object.
    ///
    /// CPython: `sys.getrefcount`, without the 1 that asking adds there.
    ///
    /// ```
    /// let one = cyclegc::Gc::new('x');
    /// assert_eq!(cyclegc::Gc::ref_count(&one), 1);
    /// ```
    #[inline]
    #[must_use]
    pub fn ref_count(this: &Gc<T>) -> usize {
        this.head().count() as usize
    }

    /// The number of [`Weak`] handles to the object.
    ///
    /// It stops at 524,286; the box of an object with as many is never given
    /// back. CPython: `weakref.getweakrefcount`.
    ///
    /// ```
    /// use cyclegc::Gc;
    ///
    /// let one = Gc::new('x');
    /// let weak = Gc::downgrade(&one);
    /// assert_eq!(Gc::weak_count(&one), 1);
    /// # drop(weak);
    /// ```
    #[must_use]
    pub fn weak_count(this: &Gc<T>) -> usize {
        this.head().weak() as usize - 1
    }

    /// Whether both handles refer to the same object (Python's `is`).
    ///
    /// ```
    /// use cyclegc::Gc;
    ///
    /// let one = Gc::new(1);
    /// assert!(Gc::ptr_eq(&one, &one.clone()));
    /// assert!(!Gc::ptr_eq(&one, &Gc::new(1)));
    /// ```
    #[inline]
    #[must_use]
    pub fn ptr_eq(this: &Gc<T>, other: &Gc<T>) -> bool {
        this.header() == other.header()
    }

    /// The address of the value, valid while a handle exists (Python's `id`).
    ///
    /// ```
    /// let five = cyclegc::Gc::new(5);
    /// assert!(std::ptr::eq(cyclegc::Gc::as_ptr(&five), &*five));
    /// ```
    #[inline]
    #[must_use]
    pub fn as_ptr(this: &Gc<T>) -> *const T {
        // SAFETY: a handle keeps its box allocated.
        unsafe { &raw const (*this.object.as_ptr()).value }
    }

    /// A handle that does not keep the object alive.
    ///
    /// Costs one increment. CPython: `weakref.ref(object)`.
    ///
    /// ```
    /// use cyclegc::Gc;
    ///
    /// let strong = Gc::new(7);
    /// let weak = Gc::downgrade(&strong);
    /// assert_eq!(weak.upgrade().as_deref(), Some(&7));
    /// drop(strong);
    /// assert!(weak.upgrade().is_none());
    /// ```
    #[must_use]
    pub fn downgrade(this: &Gc<T>) -> Weak<T> {
        Weak::to(this)
    }

    /// A `&mut` to the value if there is no other handle, weak or strong.
    ///
    /// [`objects`](crate::objects) does not list the object until it has been
    /// cloned, because the `&mut` may still exist.
    ///
    /// `None` also while a collection looks at the object: in a finalizer, a
    /// weak reference's callback or a panic hook that runs during one.
    ///
    /// ```
    /// use cyclegc::Gc;
    ///
    /// let mut five = Gc::new(5);
    /// *Gc::get_mut(&mut five).unwrap() += 1;
    /// let shared = five.clone();
    /// assert!(Gc::get_mut(&mut five).is_none());
    /// # drop(shared);
    /// ```
    #[inline]
    #[must_use]
    pub fn get_mut(this: &mut Gc<T>) -> Option<&mut T> {
        if !Gc::is_unique(this) {
            return None;
        }
        // SAFETY: just tested.
        Some(unsafe { Gc::unique_mut(this) })
    }

    /// Whether the collector knows the object: its type may hold handles.
    ///
    /// CPython: `gc.is_tracked`.
    ///
    /// ```
    /// use cyclegc::Gc;
    ///
    /// assert!(!Gc::is_tracked(&Gc::new(1)));
    /// assert!(Gc::is_tracked(&Gc::new(vec![Gc::new(1)])));
    /// ```
    #[must_use]
    pub fn is_tracked(this: &Gc<T>) -> bool {
        this.head().has(TRACKED)
    }

    /// Whether the object's finalizer has run.
    ///
    /// Then the object was resurrected, or its finalizer is asking. CPython:
    /// `gc.is_finalized`.
    ///
    /// ```
    /// assert!(!cyclegc::Gc::is_finalized(&cyclegc::Gc::new(1)));
    /// ```
    #[must_use]
    pub fn is_finalized(this: &Gc<T>) -> bool {
        let head = this.head();
        !head.has(TO_FINALIZE) && (head.vtable().has_finalizer)()
    }

    #[inline]
    fn is_unique(this: &Gc<T>) -> bool {
        let head = this.head();
        // A collection traces and finalizes its candidates whoever holds them.
        head.count() == 1 && head.weak() == 1 && !head.has(COLLECTING)
    }

    /// # Safety
    ///
    /// [`is_unique`](Self::is_unique).
    #[inline]
    unsafe fn unique_mut(this: &mut Gc<T>) -> &mut T {
        let head = this.head();
        if head.has(TRACKED) {
            if head.has(SUSPECT) {
                // The collector must not come here while the `&mut` exists: it
                // starts from suspects and follows handles, and the only
                // handle is borrowed.
                // SAFETY: a suspect that no collection holds.
                state::with(|state| unsafe { state.acquit(this.header()) });
            }
            head.set(MUT_TAKEN);
        }
        // SAFETY: a handle keeps its box allocated.
        let value = unsafe { &raw mut (*this.object.as_ptr()).value };
        // SAFETY: the only handle is mutably borrowed; the collector and
        // `objects` stay away, see above.
        unsafe { &mut *value }
    }
}

impl<T: ?Sized> Coerce for Gc<T> {
    type Target = T;
    type Other<U: ?Sized> = Gc<U>;

    #[cfg_attr(cyclegc_provenance, track_caller)]
    unsafe fn coerce_with<U: ?Sized>(self, coerce: fn(*mut T) -> *mut U) -> Gc<U> {
        // The address is the box's, which an unsizing coercion does not read.
        // `*mut`, so that a subtype is not coerced.
        let object = coerce(self.into_box().as_ptr() as *mut T) as *mut GcBox<U>;
        // SAFETY: the coercion kept the address, which is not null.
        Gc::from_box(unsafe { NonNull::new_unchecked(object) })
    }
}

/// The header of a box, without a reference to the value.
pub(crate) trait HeaderOf {
    /// # Safety
    ///
    /// The box is allocated for `'a`.
    unsafe fn header_ref<'a>(self) -> &'a Header;
}

impl<T: ?Sized> HeaderOf for NonNull<GcBox<T>> {
    #[inline]
    unsafe fn header_ref<'a>(self) -> &'a Header {
        // SAFETY: a box starts with its header (`repr(C)`).
        unsafe { self.cast::<Header>().as_ref() }
    }
}

impl<T: Trace> Gc<[T]> {
    /// Moves a vector's values into one object.
    #[cfg_attr(cyclegc_provenance, track_caller)]
    pub(crate) fn from_values(values: Vec<T>) -> Gc<[T]> {
        let tracked = <[T]>::type_may_hold_gc();
        if tracked {
            state::with(State::before_new);
        }
        let object = gc_box::from_vec(values, tracked);
        if tracked {
            // SAFETY: the object is tracked and new.
            state::with(|state| unsafe { state.born(object.cast()) });
        }
        Gc::first(object)
    }
}

impl<T: ?Sized> Clone for Gc<T> {
    /// One more handle to the same object.
    #[inline]
    #[cfg_attr(cyclegc_provenance, track_caller)]
    fn clone(&self) -> Self {
        self.head().increment();
        Gc::from_box(self.object)
    }
}

impl<T: ?Sized> Deref for Gc<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: invariant 2 of `header.rs`: a handle keeps the value alive.
        // Handles in a dead set are not used: they are in values that are
        // being dropped, whose types have no `Drop` (contract of `Trace`, 4).
        unsafe { &(*self.object.as_ptr()).value }
    }
}

impl<T: ?Sized> Drop for Gc<T> {
    /// One handle less; the last one ends the object.
    #[inline]
    fn drop(&mut self) {
        let left = self.head().decrement();
        if left.cast_signed() <= 0 {
            // SAFETY: the handle that goes kept the object.
            unsafe { dealloc::handle_gone(self.object, left) };
        }
    }
}

// SAFETY: the one handle is reported once.
unsafe impl<T: ?Sized + 'static> Trace for Gc<T> {
    #[inline]
    fn trace(&self, tracer: &mut Tracer<'_>) {
        tracer.visit(self);
    }

    fn trace_edges(&self, tracer: &mut EdgeTracer<'_>) {
        tracer.visit(self);
    }

    fn never_panics(&self) -> bool {
        true
    }
}

#[cfg(not(cyclegc_provenance))]
static_assertions::assert_eq_size!(Option<Gc<u64>>, usize);
static_assertions::assert_not_impl_any!(Gc<u64>: Send, Sync);

/// Changes a `Gc<T>` into a `Gc<dyn Trait>` or another unsized type.
///
/// Stable Rust cannot coerce handles of other crates by itself. Handles of
/// [`sync`](crate::sync) stay `Send` if the trait object is: `dyn Shape + Send + Sync`.
///
/// ```
/// use cyclegc::{Gc, Trace, into_dyn};
///
/// trait Shape: Trace {
///     fn area(&self) -> f64;
/// }
///
/// #[derive(Trace)]
/// struct Square(f64);
///
/// impl Shape for Square {
///     fn area(&self) -> f64 {
///         self.0 * self.0
///     }
/// }
///
/// let shape: Gc<dyn Shape> = into_dyn!(Gc::new(Square(2.0)) => dyn Shape);
/// assert_eq!(shape.area(), 4.0);
/// ```
#[macro_export]
macro_rules! into_dyn {
    ($gc:expr => $to:ty) => {{
        let gc = $gc;
        // SAFETY: the closure is an unsizing coercion or does not compile.
        unsafe { $crate::__derive::Coerce::coerce_with::<$to>(gc, |value| value) }
    }};
}
