//! `Weak<T>`: a handle that does not keep its object alive.

use std::fmt;
use std::marker::PhantomData;
use std::ptr::{self, NonNull};

use crate::edge::EdgeTracer;
use crate::gc::{Gc, HeaderOf};
use crate::gc_box::GcBox;
use crate::header::{DEAD, Header, WEAK_CUT};
use crate::state;
use crate::trace::{Trace, Tracer};
use crate::type_depth::TypeDepth;
use crate::weak_cell::WeakCell;

/// A handle that does not keep its object alive (CPython `weakref.ref`).
///
/// When the object dies by counting, its finalizer still sees weak handles
/// work; when it dies in a collection, they are cleared before the finalizers
/// run. Both as in CPython 3.11. A cleared handle stays cleared even if the
/// object is resurrected.
///
/// While weak handles exist the box of a dead object stays allocated, as with
/// [`rc::Weak`](std::rc::Weak); its value does not.
///
/// ```
/// use cyclegc::{Gc, Weak};
///
/// let strong = Gc::new(String::from("here"));
/// let weak: Weak<String> = Gc::downgrade(&strong);
/// assert_eq!(*weak.upgrade().unwrap(), "here");
/// drop(strong);
/// assert!(weak.upgrade().is_none());
/// ```
pub struct Weak<T: ?Sized> {
    object: NonNull<GcBox<T>>,
    cell: Option<Gc<WeakCell>>,
    /// As in [`Gc`].
    invariant: PhantomData<*mut GcBox<T>>,
}

impl<T> Weak<T> {
    /// A handle to nothing.
    ///
    /// ```
    /// assert!(cyclegc::Weak::<u8>::new().upgrade().is_none());
    /// ```
    #[must_use]
    pub const fn new() -> Weak<T> {
        let nowhere: *mut GcBox<T> = ptr::without_provenance_mut(usize::MAX);
        Weak {
            // SAFETY: the address is not null.
            object: unsafe { NonNull::new_unchecked(nowhere) },
            cell: None,
            invariant: PhantomData,
        }
    }
}

impl<T: ?Sized> Weak<T> {
    /// Takes over one weak count of the box.
    pub(crate) fn from_box(object: NonNull<GcBox<T>>) -> Weak<T> {
        Weak {
            object,
            cell: None,
            invariant: PhantomData,
        }
    }

    pub(crate) fn to(gc: &Gc<T>) -> Weak<T> {
        let cell = gc.head().has(WEAK_CUT).then(|| {
            // SAFETY: `gc` keeps the target alive.
            unsafe { WeakCell::attach(gc.header(), None) }
        });
        gc.head().weak_increment();
        Weak {
            object: gc.as_box(),
            cell,
            invariant: PhantomData,
        }
    }

    /// A weak handle whose `callback` runs when the object dies.
    ///
    /// The callback runs once, with the object already out of reach, unless
    /// all clones of this handle are dropped first, or are themselves part of
    /// the garbage that dies. Of several callbacks the newest runs first.
    /// Handles that `callback` captures are not seen by the collector: a cycle
    /// through them leaks. CPython: `weakref.ref(object, callback)`.
    ///
    /// ```
    /// use std::cell::Cell;
    /// use std::rc::Rc;
    /// use cyclegc::{Gc, Weak};
    ///
    /// let told = Rc::new(Cell::new(false));
    /// let strong = Gc::new(1);
    /// let tell = told.clone();
    /// let weak = Weak::with_callback(&strong, move || tell.set(true));
    /// drop(strong);
    /// assert!(told.get() && weak.upgrade().is_none());
    /// ```
    ///
    /// # Panics
    ///
    /// Not here; a panic in `callback` goes to
    /// [`set_unraisable_hook`](crate::set_unraisable_hook).
    #[must_use]
    pub fn with_callback(gc: &Gc<T>, callback: impl FnOnce() + 'static) -> Weak<T> {
        // SAFETY: `gc` keeps the target alive.
        let cell = unsafe { WeakCell::attach(gc.header(), Some(Box::new(callback))) };
        gc.head().weak_increment();
        Weak {
            object: gc.as_box(),
            cell: Some(cell),
            invariant: PhantomData,
        }
    }

    fn head(&self) -> Option<&Header> {
        if self.object.cast::<()>().addr().get() == usize::MAX {
            return None;
        }
        // SAFETY: a weak handle keeps the box allocated.
        Some(unsafe { self.object.header_ref() })
    }

    /// The object, if it is alive and the handle not cleared.
    pub(crate) fn target(&self) -> Option<NonNull<Header>> {
        self.alive().map(|_| self.object.cast())
    }

    /// The header of the object, if it is alive and the handle not cleared.
    fn alive(&self) -> Option<&Header> {
        let head = self.head()?;
        let cleared = match &self.cell {
            Some(cell) => !cell.is_set(),
            None => head.has(WEAK_CUT),
        };
        (!cleared && !head.has(DEAD) && head.count() != 0).then_some(head)
    }

    /// A handle that keeps the object alive, if it still is (Python: calling
    /// the reference).
    ///
    /// Costs an increment.
    ///
    /// ```
    /// use cyclegc::Gc;
    ///
    /// let strong = Gc::new(1);
    /// let weak = Gc::downgrade(&strong);
    /// assert_eq!(weak.upgrade(), Some(strong));
    /// assert_eq!(weak.upgrade(), None);
    /// ```
    #[must_use]
    #[cfg_attr(cyclegc_provenance, track_caller)]
    pub fn upgrade(&self) -> Option<Gc<T>> {
        self.alive()?.increment();
        Some(Gc::from_box(self.object))
    }

    /// The number of handles that keep the object alive; 0 if it is dead.
    ///
    /// ```
    /// use cyclegc::Gc;
    ///
    /// let strong = Gc::new(1);
    /// assert_eq!(Gc::downgrade(&strong).ref_count(), 1);
    /// ```
    #[must_use]
    pub fn ref_count(&self) -> usize {
        self.alive().map_or(0, |head| head.count() as usize)
    }

    /// Whether both handles were made for the same object.
    ///
    /// ```
    /// use cyclegc::Gc;
    ///
    /// let strong = Gc::new(1);
    /// assert!(Gc::downgrade(&strong).ptr_eq(&Gc::downgrade(&strong)));
    /// ```
    #[must_use]
    pub fn ptr_eq(&self, other: &Weak<T>) -> bool {
        self.object.cast::<()>() == other.object.cast::<()>()
    }

    /// Whether an upgrade would give an object.
    ///
    /// ```
    /// let weak = cyclegc::Gc::downgrade(&cyclegc::Gc::new(1));
    /// assert!(!weak.is_alive());
    /// ```
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.alive().is_some()
    }
}

impl<T: ?Sized> Clone for Weak<T> {
    /// One more weak handle; clones share the callback.
    fn clone(&self) -> Self {
        if let Some(head) = self.head() {
            head.weak_increment();
        }
        Weak {
            object: self.object,
            cell: self.cell.clone(),
            invariant: PhantomData,
        }
    }
}

impl<T: ?Sized> Drop for Weak<T> {
    fn drop(&mut self) {
        // A cell with a target reads the target's box: it goes first.
        drop(self.cell.take());
        let Some(head) = self.head() else { return };
        if head.weak_decrement() {
            // SAFETY: no handle is left: the value's own count is gone too.
            state::with(|state| unsafe { state.heap.free_any(self.object.cast()) });
        } else if head.weak() == 1 {
            // Only the value's own count: no cleared handle is left.
            head.clear(WEAK_CUT);
        }
    }
}

impl<T> Default for Weak<T> {
    fn default() -> Self {
        Weak::new()
    }
}

impl<T: ?Sized> fmt::Debug for Weak<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(Weak)")
    }
}

// SAFETY: the cell is an owned handle and reported once.
unsafe impl<T: ?Sized + 'static> Trace for Weak<T> {
    fn trace(&self, tracer: &mut Tracer<'_>) {
        if let Some(cell) = &self.cell {
            tracer.visit(cell);
        }
    }

    fn trace_edges(&self, tracer: &mut EdgeTracer<'_>) {
        tracer.visit_weak(self);
    }

    fn never_panics(&self) -> bool {
        true
    }

    fn may_hold_gc(_: TypeDepth) -> bool {
        true
    }
}
