//! `Gc<T>`: the counted handle.

use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::ptr::NonNull;

use crate::edge::EdgeTracer;
use crate::sync::collect;
use crate::sync::dealloc;
use crate::sync::domain::domain;
use crate::sync::gc_box::{self, Erased, GcBox};
use crate::sync::header::{Header, Object};
use crate::sync::local::{self, Local};
use crate::sync::second_word::{TO_FINALIZE, TRACKED};
use crate::sync::suspects;
use crate::sync::weak::Weak;
use crate::sync::word::{CountWord, Take};
use crate::trace::{Trace, Tracer};
use crate::type_depth::TypeDepth;

/// A counted handle to a value that threads share, whose cycles are collected.
///
/// What [`Arc`](std::sync::Arc) is to `Rc`, this is to [`cyclegc::Gc`](crate::Gc): it has the
/// same methods, and may be sent to other threads. Cloning and dropping count, atomically; a
/// value dies at once when its last handle is dropped, in the thread that dropped it (or, if a
/// collection or a snapshot is looking at it just then, in that thread, a moment later). Handles
/// that refer to each other in a circle die at the next collection that covers their
/// generation, in the thread that collects. So a destructor may wait for other threads, but must
/// not wait until another object has died: that may be up to the same thread.
///
/// A handle is one word, and so is `Option<Gc<T>>`. Reading through it costs what reading
/// through an `Arc` costs, and so do `clone` and `drop`, but for the first `clone` of an
/// object, and the first after a full collection that found it with one handle: those list it
/// for the collector.
///
/// ```
/// use std::sync::Mutex;
/// use cyclegc::{Trace, sync::Gc};
///
/// #[derive(Trace)]
/// struct Point {
///     x: Mutex<i32>,
/// }
///
/// let point = Gc::new(Point { x: Mutex::new(3) });
/// let other = point.clone();
/// std::thread::spawn(move || *other.x.lock().unwrap() += 1).join().unwrap();
/// assert_eq!(*point.x.lock().unwrap(), 4);
/// ```
///
/// # Panics
///
/// Nothing here panics. A program that makes 2^57 handles to one object is aborted with a
/// message, as `Arc` aborts.
pub struct Gc<T: ?Sized> {
    object: NonNull<GcBox<T>>,
    /// Invariant in `T`: a handle of a supertype could write what another of
    /// the type that `AnyGc::downcast` compares must not read.
    invariant: PhantomData<*mut GcBox<T>>,
}

// SAFETY: a handle gives `&T` to several threads (`Sync`), and drops the value in any of
// them (`Send`), as `Arc`'s.
unsafe impl<T: ?Sized + Send + Sync> Send for Gc<T> {}
// SAFETY: as above.
unsafe impl<T: ?Sized + Send + Sync> Sync for Gc<T> {}

/// Counts a new object and returns its birth epoch; may collect.
#[inline(always)]
fn before_new() -> u32 {
    if local::with(Local::born) {
        collect::collect_if_due();
    }
    domain().census.epoch()
}

/// A panic came before the object that [`before_new`] counted.
fn was_not_born() {
    local::with(Local::died);
}

impl<T: Trace + Send + Sync> Gc<T> {
    /// Moves `value` into a new object.
    ///
    /// Costs what `Arc::new` costs, and two additions to numbers of the thread's own. If the
    /// type is tracked and the threshold of the young generation is exceeded, a collection
    /// runs first, and with it finalizers and callbacks, unless a
    /// [`Collector`](crate::sync::Collector) does that. CPython: `PyObject_GC_New`.
    ///
    /// ```
    /// let answer = cyclegc::sync::Gc::new(42);
    /// assert_eq!(*answer, 42);
    /// ```
    #[inline]
    pub fn new(value: T) -> Gc<T> {
        let birth = T::may_hold_gc(TypeDepth::START).then(before_new);
        Gc::from_box(gc_box::new(value, birth))
    }

    /// Makes an object that can hold a [`Weak`] handle to itself.
    ///
    /// `Weak::upgrade` gives `None` until `make` returns. A panic in `make`
    /// passes through, and nothing is leaked.
    ///
    /// ```
    /// use cyclegc::{Trace, sync::{Gc, Weak}};
    ///
    /// #[derive(Trace)]
    /// struct Widget {
    ///     me: Weak<Widget>,
    /// }
    ///
    /// let widget = Gc::new_cyclic(|me| Widget { me: me.clone() });
    /// assert!(Gc::ptr_eq(&widget, &widget.me.upgrade().unwrap()));
    /// ```
    pub fn new_cyclic(make: impl FnOnce(&Weak<T>) -> T) -> Gc<T> {
        let birth = T::may_hold_gc(TypeDepth::START).then(before_new);
        let object = gc_box::new_empty::<T>(birth);
        // The part of the memory that a box starts with belongs to the value; until there is
        // one, it belongs to `weak`.
        let weak = Weak::from_box(object);
        let unborn = Unborn(birth.is_some());
        let value = make(&weak);
        let _born = ManuallyDrop::new(unborn);
        // SAFETY: `new_empty` left the value out.
        unsafe { gc_box::fill(object, value) };
        // SAFETY: `weak` keeps the memory.
        let head = unsafe { Object(object.cast()).head() };
        head.second.downgrade();
        head.count.revive();
        Gc::from_box(object)
    }

    /// Takes the value out if this is the only handle.
    ///
    /// Weak handles are cleared and their callbacks run; the value is not
    /// finalized, since it lives on. Waits while a collector looks at the object, as
    /// [`get_mut`](Gc::get_mut) does.
    ///
    /// # Errors
    ///
    /// Gives the handle back if there are others.
    ///
    /// ```
    /// use cyclegc::sync::Gc;
    ///
    /// let text = Gc::new(String::from("moved"));
    /// assert_eq!(Gc::try_unwrap(text), Ok(String::from("moved")));
    /// ```
    pub fn try_unwrap(this: Gc<T>) -> Result<T, Gc<T>> {
        if !wait_for(|| this.head().count.take_last()) {
            return Err(this);
        }
        let this = ManuallyDrop::new(this);
        // SAFETY: the count is 0: the only handle is given up here.
        Ok(unsafe { dealloc::take_value(this.object) })
    }

    /// The value, if this is the last handle; of several threads that call this for all
    /// handles of an object, exactly one gets it.
    ///
    /// ```
    /// use cyclegc::sync::Gc;
    ///
    /// let (one, other) = (Gc::new(1), Gc::new(2));
    /// let again = one.clone();
    /// assert_eq!((Gc::into_inner(again), Gc::into_inner(one)), (None, Some(1)));
    /// # drop(other);
    /// ```
    #[must_use]
    pub fn into_inner(this: Gc<T>) -> Option<T> {
        let mut this = this;
        loop {
            match Gc::try_unwrap(this) {
                Ok(value) => return Some(value),
                Err(shared) => this = shared,
            }
            // Only a drop that leaves others may give up; a last one must take the value.
            if this.head().count.decrement_unless_last() {
                let _gone = ManuallyDrop::new(this);
                return None;
            }
            if local::with(|local| local.proving.get()) {
                // In a panic hook under the collector's lock: it ends the object.
                return None;
            }
        }
    }
}

/// An object that was counted before it is made: a panic takes that back.
struct Unborn(bool);

impl Drop for Unborn {
    fn drop(&mut self) {
        if self.0 {
            was_not_born();
        }
    }
}

/// Asks until the collector is not in the way; true if it was taken.
fn wait_for(take: impl Fn() -> Take) -> bool {
    loop {
        match take() {
            Take::Taken => return true,
            Take::Shared => return false,
            Take::Busy if local::with(|local| local.proving.get()) => return false,
            Take::Busy => collect::wait_for_collector(),
        }
    }
}

impl<T: Trace + Send + Sync + Clone> Gc<T> {
    /// A `&mut` to the value, which is cloned into a new object first if there
    /// are other handles, weak ones included.
    ///
    /// Waits while a collector looks at the object, as [`get_mut`](Gc::get_mut) does.
    ///
    /// ```
    /// use cyclegc::sync::Gc;
    ///
    /// let mut mine = Gc::new(1);
    /// let theirs = mine.clone();
    /// *Gc::make_mut(&mut mine) += 1;
    /// assert_eq!((*mine, *theirs), (2, 1));
    /// ```
    pub fn make_mut(this: &mut Gc<T>) -> &mut T {
        while !Gc::take_mut(this) {
            *this = Gc::new((**this).clone());
        }
        // SAFETY: just taken.
        unsafe { Gc::value_mut(this) }
    }
}

impl<T: ?Sized> Gc<T> {
    /// Wraps a box whose count already includes this handle.
    #[inline]
    pub(crate) fn from_box(object: NonNull<GcBox<T>>) -> Gc<T> {
        Gc {
            object,
            invariant: PhantomData,
        }
    }

    #[inline]
    pub(crate) fn as_box(&self) -> NonNull<GcBox<T>> {
        self.object
    }

    /// Gives up the handle, not its count.
    #[inline]
    pub(crate) fn into_box(self) -> NonNull<GcBox<T>> {
        ManuallyDrop::new(self).object
    }

    #[inline]
    pub(crate) fn object(&self) -> Object {
        Object(self.object.cast())
    }

    /// What no other handle has.
    pub(crate) fn identity(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    #[inline]
    pub(crate) fn head(&self) -> &Header {
        // SAFETY: a handle keeps its box allocated.
        unsafe { self.object().head() }
    }

    /// The number of `Gc` and `AnyGc` handles to the object, at some moment.
    ///
    /// CPython: `sys.getrefcount`, without the 1 that asking adds there.
    ///
    /// ```
    /// let one = cyclegc::sync::Gc::new('x');
    /// assert_eq!(cyclegc::sync::Gc::ref_count(&one), 1);
    /// ```
    #[inline]
    #[must_use]
    pub fn ref_count(this: &Gc<T>) -> usize {
        usize::try_from(this.head().count.count()).unwrap_or(usize::MAX)
    }

    /// The number of [`Weak`] handles to the object, at some moment.
    ///
    /// CPython: `weakref.getweakrefcount`.
    ///
    /// ```
    /// use cyclegc::sync::Gc;
    ///
    /// let one = Gc::new('x');
    /// let weak = Gc::downgrade(&one);
    /// assert_eq!(Gc::weak_count(&one), 1);
    /// # drop(weak);
    /// ```
    #[must_use]
    pub fn weak_count(this: &Gc<T>) -> usize {
        usize::try_from(this.head().second.weak() - 1).unwrap_or(usize::MAX)
    }

    /// Whether both handles refer to the same object (Python's `is`).
    ///
    /// ```
    /// use cyclegc::sync::Gc;
    ///
    /// let one = Gc::new(1);
    /// assert!(Gc::ptr_eq(&one, &one.clone()));
    /// assert!(!Gc::ptr_eq(&one, &Gc::new(1)));
    /// ```
    #[inline]
    #[must_use]
    pub fn ptr_eq(this: &Gc<T>, other: &Gc<T>) -> bool {
        this.object() == other.object()
    }

    /// The address of the value, valid while a handle exists (Python's `id`).
    ///
    /// ```
    /// let five = cyclegc::sync::Gc::new(5);
    /// assert!(std::ptr::eq(cyclegc::sync::Gc::as_ptr(&five), &*five));
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
    /// use cyclegc::sync::Gc;
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
    /// If a collector is looking at the object, waits until it has: for as long as it traces
    /// this one value, or, should the object be part of what it takes for garbage, until its
    /// verdict. `None` instead if this thread is that collector, as in a panic hook that runs
    /// because a `trace` panicked.
    ///
    /// ```
    /// use cyclegc::sync::Gc;
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
        if !Gc::take_mut(this) {
            return None;
        }
        // SAFETY: just taken.
        Some(unsafe { Gc::value_mut(this) })
    }

    /// Takes the right to a `&mut`; false if there are other handles.
    fn take_mut(this: &mut Gc<T>) -> bool {
        let head = this.head();
        if !wait_for(|| head.count.take_mut()) {
            return false;
        }
        // Weak handles cannot be upgraded from here on, so if there are none now, there are
        // none while the `&mut` lives.
        let is_only = head.second.weak() == 1;
        if !is_only {
            head.count.let_mut_go();
        }
        is_only
    }

    /// # Safety
    ///
    /// [`Self::take_mut`].
    unsafe fn value_mut(this: &mut Gc<T>) -> &mut T {
        // SAFETY: a handle keeps its box allocated.
        let value = unsafe { &raw mut (*this.object.as_ptr()).value };
        // SAFETY: the only handle is mutably borrowed, and the collector stays away
        // (invariant 3 of `word.rs`).
        unsafe { &mut *value }
    }

    /// Whether the collector knows the object: its type may hold handles.
    ///
    /// CPython: `gc.is_tracked`.
    ///
    /// ```
    /// use cyclegc::sync::Gc;
    ///
    /// assert!(!Gc::is_tracked(&Gc::new(1)));
    /// assert!(Gc::is_tracked(&Gc::new(vec![Gc::new(1)])));
    /// ```
    #[must_use]
    pub fn is_tracked(this: &Gc<T>) -> bool {
        this.head().second.has(TRACKED)
    }

    /// Whether the object's finalizer has run.
    ///
    /// Then the object was resurrected, or its finalizer is asking. CPython:
    /// `gc.is_finalized`.
    ///
    /// ```
    /// assert!(!cyclegc::sync::Gc::is_finalized(&cyclegc::sync::Gc::new(1)));
    /// ```
    #[must_use]
    pub fn is_finalized(this: &Gc<T>) -> bool {
        let head = this.head();
        !head.second.has(TO_FINALIZE) && (head.vtable.has_finalizer)()
    }
}

impl<T: ?Sized> crate::derive_support::Coerce for Gc<T> {
    type Target = T;
    type Other<U: ?Sized> = Gc<U>;

    unsafe fn coerce_with<U: ?Sized>(self, coerce: fn(*mut T) -> *mut U) -> Gc<U> {
        // The address is the box's, which an unsizing coercion does not read.
        let object = coerce(self.into_box().as_ptr() as *mut T) as *mut GcBox<U>;
        // SAFETY: the coercion kept the address, which is not null.
        Gc::from_box(unsafe { NonNull::new_unchecked(object) })
    }
}

impl<T: Trace + Send + Sync> Gc<[T]> {
    /// Moves a vector's values into one object.
    pub(crate) fn from_values(values: Vec<T>) -> Gc<[T]> {
        let birth = <[T]>::type_may_hold_gc().then(before_new);
        Gc::from_box(gc_box::from_vec(values, birth))
    }
}

impl<T: ?Sized> Clone for Gc<T> {
    /// One more handle to the same object.
    #[inline]
    fn clone(&self) -> Self {
        let before = self.head().count.increment();
        if !CountWord::is_plain(before) {
            // SAFETY: `self` is a handle, and its increment saw `before`.
            unsafe { cloned(self.object(), before) };
        }
        Gc::from_box(self.object)
    }
}

/// Does what an increment owes that saw flags.
///
/// # Safety
///
/// The caller has two handles, and the increment of the second saw `before`.
#[cold]
#[inline(never)]
pub(crate) unsafe fn cloned(object: Object, before: u64) {
    // SAFETY: the caller's handle keeps the object.
    if unsafe { object.head() }.count.settle_increment(before) {
        // SAFETY: the caller has a handle.
        unsafe { suspects::list(object) };
    }
}

impl<T: ?Sized> Deref for Gc<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: invariant 1 of `word.rs`: a handle keeps the value alive. Handles in a
        // dead set are not used: they are in values that are being dropped, whose types have
        // no `Drop` (contract of `Trace`, 4).
        unsafe { &(*self.object.as_ptr()).value }
    }
}

impl<T: ?Sized> Drop for Gc<T> {
    /// One handle less; the last one ends the object.
    #[inline]
    fn drop(&mut self) {
        let before = self.head().count.decrement();
        if !CountWord::leaves_others(before) {
            // SAFETY: the handle is gone, and its decrement saw `before`.
            unsafe { dealloc::handle_gone(self.object(), before) };
        }
    }
}

// SAFETY: the one handle is reported once.
unsafe impl<T: ?Sized + 'static> Trace for Gc<T> {
    #[inline]
    fn trace(&self, tracer: &mut Tracer<'_>) {
        tracer.visit_shared(self);
    }

    fn trace_edges(&self, tracer: &mut EdgeTracer<'_>) {
        tracer.visit_shared(self);
    }

    fn never_panics(&self) -> bool {
        true
    }
}

static_assertions::assert_eq_size!(Option<Gc<u64>>, usize);
static_assertions::assert_impl_all!(Gc<u64>: Send, Sync);
static_assertions::assert_not_impl_any!(Gc<std::cell::Cell<u8>>: Send, Sync);
static_assertions::assert_not_impl_any!(Gc<std::rc::Rc<u8>>: Send, Sync);
