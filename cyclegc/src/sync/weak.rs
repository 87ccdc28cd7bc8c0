//! `Weak<T>`: a handle that does not keep its object alive.

use std::fmt;
use std::marker::PhantomData;
use std::ptr::{self, NonNull};

use crate::edge::EdgeTracer;
use crate::sync::collect;
use crate::sync::dealloc;
use crate::sync::gc::Gc;
use crate::sync::gc_box::GcBox;
use crate::sync::header::{Header, Object};
use crate::sync::local;
use crate::sync::second_word::WEAK_CUT;
use crate::sync::suspects;
use crate::sync::weak_cell::WeakCell;
use crate::sync::word::Upgrade;
use crate::trace::{Trace, Tracer};
use crate::type_depth::TypeDepth;

/// A handle that does not keep its object alive (CPython `weakref.ref`).
///
/// When the object dies by counting, its finalizer still sees weak handles
/// work; when it dies in a collection, they are cleared before the finalizers
/// run. Both as in CPython 3.11. A cleared handle stays cleared even if the
/// object is resurrected.
///
/// While weak handles exist the memory of a dead object stays, as with
/// [`sync::Weak`](std::sync::Weak); its value does not.
///
/// ```
/// use cyclegc::sync::{Gc, Weak};
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

// SAFETY: as for `Gc`, which it can become.
unsafe impl<T: ?Sized + Send + Sync> Send for Weak<T> {}
// SAFETY: as above.
unsafe impl<T: ?Sized + Send + Sync> Sync for Weak<T> {}

impl<T> Weak<T> {
    /// A handle to nothing.
    ///
    /// ```
    /// assert!(cyclegc::sync::Weak::<u8>::new().upgrade().is_none());
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
    /// Takes over one part of the box's memory.
    pub(crate) fn from_box(object: NonNull<GcBox<T>>) -> Weak<T> {
        Weak {
            object,
            cell: None,
            invariant: PhantomData,
        }
    }

    pub(crate) fn to(gc: &Gc<T>) -> Weak<T> {
        let cell = gc
            .head()
            .second
            .has(WEAK_CUT)
            .then(|| WeakCell::attach(gc.object(), None));
        Self::with_cell(gc, cell)
    }

    fn with_cell(gc: &Gc<T>, cell: Option<Gc<WeakCell>>) -> Weak<T> {
        // `gc` is borrowed, so a `&mut` that came from it is gone. `upgrade` must not
        // wait for one.
        gc.head().count.let_mut_go();
        gc.head().second.downgrade();
        Weak {
            object: gc.as_box(),
            cell,
            invariant: PhantomData,
        }
    }

    /// A weak handle whose `callback` runs when the object dies.
    ///
    /// The callback runs once, with the object already out of reach, in the thread in which
    /// the object dies, unless all clones of this handle are dropped first, or are themselves
    /// part of the garbage that dies. No lock of this crate's is held. Of several callbacks
    /// the newest runs first. Handles that `callback` captures are not seen by the collector:
    /// a cycle through them leaks. CPython: `weakref.ref(object, callback)`.
    ///
    /// ```
    /// use std::sync::mpsc;
    /// use cyclegc::sync::{Gc, Weak};
    ///
    /// let (tell, told) = mpsc::channel();
    /// let strong = Gc::new(1);
    /// let weak = Weak::with_callback(&strong, move || tell.send(()).unwrap());
    /// std::thread::spawn(move || drop(strong)).join().unwrap();
    /// assert!(told.recv().is_ok() && weak.upgrade().is_none());
    /// ```
    ///
    /// # Panics
    ///
    /// Not here; a panic in `callback` goes to
    /// [`set_unraisable_hook`](crate::sync::set_unraisable_hook).
    #[must_use]
    pub fn with_callback(gc: &Gc<T>, callback: impl FnOnce() + Send + 'static) -> Weak<T> {
        let cell = WeakCell::attach(gc.object(), Some(Box::new(callback)));
        Self::with_cell(gc, Some(cell))
    }

    fn object(&self) -> Option<Object> {
        let object = self.object.cast::<Header>();
        (object.addr().get() != usize::MAX).then_some(Object(object))
    }

    /// The weak references that this handle is one of were cleared.
    fn is_cleared(&self, head: &Header) -> bool {
        match &self.cell {
            Some(cell) => !cell.is_set(),
            None => head.second.has(WEAK_CUT),
        }
    }

    /// A handle that keeps the object alive, if it still is (Python: calling
    /// the reference).
    ///
    /// Costs an increment. If a collector takes the object for garbage, waits for its
    /// verdict: for no longer than it takes to look at all that it takes for garbage. (Except
    /// where this thread is that collector, as in a panic hook that runs because a `trace`
    /// panicked: then it gives `None`.)
    ///
    /// ```
    /// use cyclegc::sync::Gc;
    ///
    /// let strong = Gc::new(1);
    /// let weak = Gc::downgrade(&strong);
    /// assert_eq!(weak.upgrade(), Some(strong));
    /// assert_eq!(weak.upgrade(), None);
    /// ```
    #[must_use]
    pub fn upgrade(&self) -> Option<Gc<T>> {
        self.try_upgrade().ok()
    }

    /// As `upgrade`. An error may have a handle, to be dropped where code of a user may run.
    pub(crate) fn try_upgrade(&self) -> Result<Gc<T>, Option<Gc<T>>> {
        let object = self.object().ok_or(None)?;
        // SAFETY: a weak handle keeps the memory.
        let head = unsafe { object.head() };
        loop {
            if self.is_cleared(head) {
                return Err(None);
            }
            match head.count.upgrade() {
                Upgrade::Made { must_list } => {
                    let gc = Gc::from_box(self.object);
                    if must_list {
                        // SAFETY: `gc` is a handle.
                        unsafe { suspects::list(object) };
                    }
                    // It may have been cleared while we waited, and the object be alive
                    // for its finalizer.
                    return if self.is_cleared(head) {
                        Err(Some(gc))
                    } else {
                        Ok(gc)
                    };
                }
                Upgrade::Dead => return Err(None),
                Upgrade::UnderVerdict if local::with(|local| local.proving.get()) => {
                    return Err(None);
                }
                Upgrade::UnderVerdict => collect::wait_for_collector(),
                Upgrade::Busy => crate::sync::types::yield_now(),
            }
        }
    }

    /// The number of handles that keep the object alive, at some moment; 0 if it is dead.
    ///
    /// ```
    /// use cyclegc::sync::Gc;
    ///
    /// let strong = Gc::new(1);
    /// assert_eq!(Gc::downgrade(&strong).ref_count(), 1);
    /// ```
    #[must_use]
    pub fn ref_count(&self) -> usize {
        let Some(object) = self.target() else {
            return 0;
        };
        // SAFETY: a weak handle keeps the memory.
        let count = unsafe { object.head() }.count.count();
        usize::try_from(count).unwrap_or(usize::MAX)
    }

    /// The object, if it is alive at some moment.
    pub(crate) fn target(&self) -> Option<Object> {
        let object = self.object()?;
        // SAFETY: a weak handle keeps the memory.
        let head = unsafe { object.head() };
        let is_gone = self.is_cleared(head) || head.count.is_dead() || head.count.count() == 0;
        (!is_gone).then_some(object)
    }

    /// Whether both handles were made for the same object.
    ///
    /// ```
    /// use cyclegc::sync::Gc;
    ///
    /// let strong = Gc::new(1);
    /// assert!(Gc::downgrade(&strong).ptr_eq(&Gc::downgrade(&strong)));
    /// ```
    #[must_use]
    pub fn ptr_eq(&self, other: &Weak<T>) -> bool {
        self.object.cast::<()>() == other.object.cast::<()>()
    }

    /// Whether an upgrade would have given an object, at some moment.
    ///
    /// ```
    /// let weak = cyclegc::sync::Gc::downgrade(&cyclegc::sync::Gc::new(1));
    /// assert!(!weak.is_alive());
    /// ```
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.ref_count() != 0
    }
}

impl<T: ?Sized> Clone for Weak<T> {
    /// One more weak handle; clones share the callback.
    fn clone(&self) -> Self {
        if let Some(object) = self.object() {
            // SAFETY: a weak handle keeps the memory.
            unsafe { object.head() }.second.downgrade();
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
        if let Some(object) = self.object() {
            // SAFETY: this handle's part is given up.
            unsafe { dealloc::release_weak(object) };
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
            tracer.visit_shared(cell);
        }
    }

    fn trace_edges(&self, tracer: &mut EdgeTracer<'_>) {
        tracer.visit_weak_shared(self);
    }

    fn never_panics(&self) -> bool {
        true
    }

    fn may_hold_gc(_: TypeDepth) -> bool {
        true
    }
}
