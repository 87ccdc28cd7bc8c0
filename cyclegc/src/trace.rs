//! `unsafe trait Trace`: how the collector learns which handles a value holds.
//!
//! A value reports its *edges*: every `Gc` that it owns, once for each handle.
//! The collector compares the edges it finds with the counts, so the rule to
//! remember is: **reporting too few edges only leaks, reporting too many frees
//! what is alive.**

use std::ops::Deref;
use std::ptr::NonNull;

use crate::any::AnyGc;
use crate::edge::EdgeTracer;
use crate::gc::Gc;
use crate::header::Header;
use crate::sync;
use crate::sync::header::Object;
use crate::sync::visit::Visit;
use crate::type_depth::TypeDepth;

/// A value that can say which [`Gc`] handles it owns.
///
/// Use `#[derive(Trace)]`; it is right by construction. CPython calls this
/// `tp_traverse`.
///
/// ```
/// use std::cell::RefCell;
/// use cyclegc::{Gc, Trace};
///
/// #[derive(Trace)]
/// struct Node {
///     name: String,
///     links: RefCell<Vec<Gc<Node>>>,
/// }
///
/// let node = Gc::new(Node { name: "a".into(), links: RefCell::default() });
/// node.links.borrow_mut().push(node.clone());
/// drop(node);
/// assert_eq!(cyclegc::collect().collected, 1);
/// ```
///
/// A type that implements `Drop` cannot be derived, because its `drop` could
/// look at neighbours that are already destroyed; implement [`Finalize`]:
///
/// ```compile_fail
/// use cyclegc::{Gc, Trace};
///
/// #[derive(Trace)]
/// struct Noisy(Option<Gc<Noisy>>);
///
/// impl Drop for Noisy {
///     fn drop(&mut self) {}
/// }
/// ```
///
/// # Safety
///
/// An implementation by hand promises:
///
/// 1. `trace` reports only handles that the value owns, each at most once for
///    every handle. Handles behind an `Rc`, a reference or a raw pointer,
///    which others may report too, are not reported.
/// 2. While nothing changes the value, `trace` reports the same edges.
/// 3. `trace`, `trace_edges` and `edge_key` create, clone and drop no handle,
///    start no collection, and change no value that a `Cell` or `RefCell`
///    holds. A panic leaves them: they catch none, because a panic hook may
///    have done any of that, and the collector must hear of it.
/// 4. The type's `Drop`, if it has one, and those of its fields use no handle
///    that `trace` reports: its target may be destroyed already.
/// 5. `may_hold_gc` returns `true` if `trace` can ever report an edge, and always answers the
///    same.
/// 6. `never_panics` does nothing but answer. Where it answers `true`, the
///    functions of 3 do not panic, and they ask what the value owns through
///    [`Tracer::value`] and [`EdgeTracer`]'s methods only, not by calling its
///    functions.
/// 7. What is given to [`Tracer::value`] is part of what the value owns.
/// 8. If the type is `Sync`, a handle that `trace` reports leaves the value, while
///    that is shared, under a lock only, which `trace` takes without waiting and hands
///    to [`Tracer::locked`] before it asks what is inside.
///
/// Reporting too few edges, or panicking, is safe: what is missed counts as
/// referenced from outside and stays alive. So does what lies behind more than
/// 128 boxes or collections inside each other in one value, and, because of 6,
/// a type that is traced by hand inside a [`Cell`](std::cell::Cell).
pub unsafe trait Trace: 'static {
    /// Reports the handles that `self` owns; see [`Tracer`] for an example.
    ///
    /// Called during collections, once for each candidate and collection.
    ///
    /// # Panics
    ///
    /// A panic is caught by the collector and reported to
    /// [`set_unraisable_hook`](crate::set_unraisable_hook); the edges of that
    /// object count as unknown. A `Mutex` that was locked to look into it is
    /// poisoned, as by any panic, unless it was by a collection of [`sync`].
    fn trace(&self, tracer: &mut Tracer<'_>);

    /// Reports the handles that `self` owns with their names.
    ///
    /// Only visitors that ask pay for it: a collection never calls this. The
    /// default names edges by their number. See [`EdgeTracer`] for one of one's
    /// own.
    ///
    /// ```
    /// use cyclegc::{Gc, Trace, Tracer};
    ///
    /// struct Pair(Gc<str>, Gc<str>);
    ///
    /// // SAFETY: both handles are owned, and each is reported once.
    /// unsafe impl Trace for Pair {
    ///     fn trace(&self, tracer: &mut Tracer<'_>) {
    ///         tracer.visit(&self.0);
    ///         tracer.visit(&self.1);
    ///     }
    /// }
    ///
    /// let pair = Gc::new(Pair("a".into(), "b".into()));
    /// assert_eq!(cyclegc::edges(&pair)[1].name, "<1>");
    /// ```
    fn trace_edges(&self, tracer: &mut EdgeTracer<'_>) {
        tracer.by_number(self);
    }

    /// Whether values of this type can ever own a handle.
    ///
    /// Types that cannot are *untracked*: their objects have a smaller header
    /// and no collection knows them. `true` is always safe.
    ///
    /// ```
    /// use cyclegc::{Gc, Trace, Tracer, TypeDepth};
    ///
    /// struct Socket(i32);
    ///
    /// // SAFETY: it holds no handles.
    /// unsafe impl Trace for Socket {
    ///     fn trace(&self, _: &mut Tracer<'_>) {}
    ///     fn may_hold_gc(_: TypeDepth) -> bool {
    ///         false
    ///     }
    /// }
    ///
    /// assert!(!Gc::is_tracked(&Gc::new(Socket(3))));
    /// ```
    #[must_use]
    fn may_hold_gc(depth: TypeDepth) -> bool
    where
        Self: Sized,
    {
        let _ = depth;
        true
    }

    /// The type's finalizer, if it has one.
    ///
    /// The derive finds an `impl Finalize` by itself.
    ///
    /// ```
    /// use cyclegc::{Finalize, Gc, Trace, Tracer};
    ///
    /// struct Noisy;
    ///
    /// impl Finalize for Noisy {
    ///     fn finalize(&self) {
    ///         println!("bye");
    ///     }
    /// }
    ///
    /// // SAFETY: it holds no handles.
    /// unsafe impl Trace for Noisy {
    ///     fn trace(&self, _: &mut Tracer<'_>) {}
    ///     fn finalizer() -> Option<fn(&Self)> {
    ///         Some(Self::finalize)
    ///     }
    /// }
    ///
    /// drop(Gc::new(Noisy)); // bye
    /// ```
    #[must_use]
    fn finalizer() -> Option<fn(&Self)>
    where
        Self: Sized,
    {
        None
    }

    /// Whether tracing the value cannot panic.
    ///
    /// What a [`Cell`](std::cell::Cell) holds is looked into only then: nothing
    /// marks it as borrowed, so a panic hook could take it out and drop it while
    /// `trace` is using it. Derived types and those of std answer `true`. A type
    /// that is traced by hand is not looked into inside a cell, unless it says
    /// `true`, too; a `RefCell` has no such rule.
    ///
    /// ```
    /// use std::cell::Cell;
    /// use cyclegc::{Gc, Trace, Tracer};
    ///
    /// struct Link(Gc<Cell<Option<Link>>>);
    ///
    /// // SAFETY: the handle is reported once, and nothing here panics.
    /// unsafe impl Trace for Link {
    ///     fn trace(&self, tracer: &mut Tracer<'_>) {
    ///         tracer.value(&self.0);
    ///     }
    ///     fn never_panics(&self) -> bool {
    ///         true
    ///     }
    /// }
    ///
    /// let cell = Gc::new(Cell::new(None));
    /// cell.set(Some(Link(cell.clone())));
    /// drop(cell);
    /// assert_eq!(cyclegc::collect().collected, 1);
    /// ```
    fn never_panics(&self) -> bool {
        false
    }

    /// Whether `edge_key` cannot panic: that of a pointer or a tuple asks those
    /// of others.
    #[doc(hidden)]
    fn key_never_panics(&self) -> bool {
        self.never_panics()
    }

    /// How the value is written as a key in the name of an edge.
    ///
    /// Strings, integers and the like have one; the default is none.
    ///
    /// ```
    /// use cyclegc::Trace;
    ///
    /// assert_eq!((7, "seven").edge_key().as_deref(), Some(r#"(7, "seven")"#));
    /// assert_eq!(vec![7].edge_key(), None);
    /// ```
    fn edge_key(&self) -> Option<String> {
        None
    }
}

/// Code that runs once before an object dies, with everything still intact.
///
/// The finalizer of a member of a garbage cycle runs before any member is
/// destroyed. It may use all it can reach, and it may *resurrect* objects by
/// storing handles to them somewhere; a resurrected object is not finalized a
/// second time. CPython calls this `__del__` (PEP 442).
///
/// An object has the finalizer of its own type: `Gc<T>` that of `T`. A value
/// inside another, as in `Gc<RefCell<T>>` or `Gc<[T]>`, is not finalized.
///
/// `#[derive(Trace)]` picks the implementation up; if a generic type's
/// `Finalize` needs more bounds than its `Trace`, add `#[trace(finalize)]` and
/// the bounds.
///
/// ```
/// use std::cell::Cell;
/// use std::rc::Rc;
/// use cyclegc::{Finalize, Gc, Trace};
///
/// #[derive(Trace)]
/// struct Door {
///     closed: Rc<Cell<bool>>,
/// }
///
/// impl Finalize for Door {
///     fn finalize(&self) {
///         self.closed.set(true);
///     }
/// }
///
/// let closed = Rc::new(Cell::new(false));
/// drop(Gc::new(Door { closed: closed.clone() }));
/// assert!(closed.get());
/// ```
///
/// What a finalizer drops may end later than it returns: objects whose last
/// handle goes more than 16 KiB of stack below the outermost destructor wait
/// until that one is done.
///
/// # Panics
///
/// A panic in `finalize` is caught and reported to
/// [`set_unraisable_hook`](crate::set_unraisable_hook); the object then dies
/// as if the finalizer had returned.
pub trait Finalize {
    /// Runs once, before `self` is destroyed; see the trait for an example.
    fn finalize(&self);
}

/// Receives the edges of an object during a collection.
///
/// ```
/// use cyclegc::{Gc, Trace, Tracer};
///
/// struct Pair(Gc<str>, Gc<str>);
///
/// // SAFETY: both handles are owned, and each is reported once.
/// unsafe impl Trace for Pair {
///     fn trace(&self, tracer: &mut Tracer<'_>) {
///         tracer.visit(&self.0);
///         self.1.trace(tracer); // the same
///     }
/// }
/// ```
#[derive(Debug)]
pub struct Tracer<'a> {
    found: &'a mut Vec<NonNull<Header>>,
    /// How many `inside` run.
    depth: u32,
    /// How many `Cell`s are being looked into: if any, what may panic is left
    /// out.
    cells: u32,
    /// What a collection of [`sync`](crate::sync) is told; none in one of this
    /// thread's.
    shared: Option<&'a mut Visit>,
}

/// Levels of boxes and collections in one value that are looked into: a value
/// that is nested deeper must not overflow the stack of the collection.
pub(crate) const NESTING_LIMIT: u32 = 128;

impl<'a> Tracer<'a> {
    #[inline]
    pub(crate) fn new(found: &'a mut Vec<NonNull<Header>>) -> Self {
        Tracer {
            found,
            depth: 0,
            cells: 0,
            shared: None,
        }
    }

    /// Tells `visit` of handles to shared objects; others are found in vain.
    pub(crate) fn shared(visit: &'a mut Visit, unused: &'a mut Vec<NonNull<Header>>) -> Self {
        Tracer {
            shared: Some(visit),
            ..Tracer::new(unused)
        }
    }

    /// As if so many `Cell`s were being looked into.
    pub(crate) fn in_cells(mut self, cells: u32) -> Self {
        self.cells = cells;
        self
    }
}

impl Tracer<'_> {
    /// Runs `trace` for what the value owns elsewhere, unless that is nested
    /// too deep.
    ///
    /// For a pointer or a collection through which a type may contain itself,
    /// as `Box` and `Vec`. More than 128 levels inside each other are not
    /// looked into: handles there count as referenced from outside.
    ///
    /// ```
    /// use std::ptr::NonNull;
    /// use cyclegc::{Gc, Trace, Tracer};
    ///
    /// /// A box of one's own, which may hold one of its kind.
    /// struct Own<T: Trace>(NonNull<T>);
    ///
    /// // SAFETY: what the pointer owns is asked once.
    /// unsafe impl<T: Trace> Trace for Own<T> {
    ///     fn trace(&self, tracer: &mut Tracer<'_>) {
    ///         // SAFETY: it points to a value that `self` owns.
    ///         tracer.inside(|tracer| tracer.value(unsafe { self.0.as_ref() }));
    ///     }
    /// }
    /// # let own = Own(NonNull::from(Box::leak(Box::new(Gc::new(1)))));
    /// # assert_eq!(cyclegc::referents(&Gc::new(own)).len(), 1);
    /// ```
    #[inline]
    pub fn inside(&mut self, trace: impl FnOnce(&mut Self)) {
        if self.depth >= NESTING_LIMIT {
            return;
        }
        self.depth += 1;
        trace(self);
        self.depth -= 1;
    }

    /// Reports the handles of a value that the one being traced owns.
    ///
    /// As `value.trace(tracer)`, but leaves a value out that may panic while a
    /// `Cell` is being looked into. Costs nothing but the call for types of
    /// which that is known.
    ///
    /// ```
    /// use cyclegc::{Gc, Trace, Tracer};
    ///
    /// struct Row(Vec<Gc<str>>, String);
    ///
    /// // SAFETY: what is owned is asked once; the string holds no handles.
    /// unsafe impl Trace for Row {
    ///     fn trace(&self, tracer: &mut Tracer<'_>) {
    ///         tracer.value(&self.0);
    ///     }
    /// }
    /// # assert_eq!(cyclegc::edges(&Gc::new(Row(vec!["x".into()], String::new()))).len(), 1);
    /// ```
    #[inline]
    pub fn value<T: Trace + ?Sized>(&mut self, value: &T) {
        if self.cells == 0 || value.never_panics() {
            value.trace(self);
        }
    }

    /// Runs `trace` for what a `Cell` holds.
    #[inline]
    pub(crate) fn in_cell(&mut self, trace: impl FnOnce(&mut Self)) {
        self.cells += 1;
        trace(self);
        self.cells -= 1;
    }

    /// Reports one handle (CPython `Py_VISIT`).
    ///
    /// ```
    /// use cyclegc::{Gc, Trace, Tracer};
    ///
    /// struct Slot(Gc<str>);
    ///
    /// // SAFETY: the one owned handle is reported once.
    /// unsafe impl Trace for Slot {
    ///     fn trace(&self, tracer: &mut Tracer<'_>) {
    ///         tracer.visit(&self.0);
    ///     }
    /// }
    /// # assert_eq!(cyclegc::referents(&Gc::new(Slot("x".into()))).len(), 1);
    /// ```
    #[inline]
    pub fn visit<T: ?Sized>(&mut self, gc: &Gc<T>) {
        self.edge(gc.header());
    }

    /// Reports one type-erased handle.
    ///
    /// ```
    /// use cyclegc::{AnyGc, Gc, Trace, Tracer};
    ///
    /// struct Slot(AnyGc);
    ///
    /// // SAFETY: the one owned handle is reported once.
    /// unsafe impl Trace for Slot {
    ///     fn trace(&self, tracer: &mut Tracer<'_>) {
    ///         tracer.visit_any(&self.0);
    ///     }
    /// }
    /// # assert_eq!(cyclegc::referents(&Gc::new(Slot(Gc::new(1).into()))).len(), 1);
    /// ```
    #[inline]
    pub fn visit_any(&mut self, any: &AnyGc) {
        self.edge(any.header());
    }

    /// Reports one handle to an object that threads share.
    ///
    /// Each collector listens to its own handles: one of [`sync`](crate::sync) to these,
    /// and that of a thread to [`visit`](Self::visit)'s.
    ///
    /// ```
    /// use cyclegc::{Trace, Tracer, sync::Gc};
    ///
    /// struct Slot(Gc<str>);
    ///
    /// // SAFETY: the one owned handle is reported once.
    /// unsafe impl Trace for Slot {
    ///     fn trace(&self, tracer: &mut Tracer<'_>) {
    ///         tracer.visit_shared(&self.0);
    ///     }
    /// }
    /// # assert_eq!(cyclegc::sync::referents(&Gc::new(Slot("x".into()))).len(), 1);
    /// ```
    #[inline]
    pub fn visit_shared<T: ?Sized>(&mut self, gc: &sync::Gc<T>) {
        self.shared_edge(gc.object());
    }

    /// Reports one type-erased handle to an object that threads share.
    ///
    /// ```
    /// use cyclegc::{Trace, Tracer, sync::{AnyGc, Gc}};
    ///
    /// struct Slot(AnyGc);
    ///
    /// // SAFETY: the one owned handle is reported once.
    /// unsafe impl Trace for Slot {
    ///     fn trace(&self, tracer: &mut Tracer<'_>) {
    ///         tracer.visit_any_shared(&self.0);
    ///     }
    /// }
    /// # let slot = Gc::new(Slot(Gc::new(1).into()));
    /// # assert_eq!(cyclegc::sync::referents(&slot).len(), 1);
    /// ```
    #[inline]
    pub fn visit_any_shared(&mut self, any: &sync::AnyGc) {
        self.shared_edge(any.object());
    }

    #[inline]
    fn shared_edge(&mut self, target: Object) {
        if let Some(visit) = &mut self.shared {
            visit.edge(target);
        }
    }

    /// What a collection of [`sync`](crate::sync) is told, if this is one.
    pub(crate) fn visiting(&mut self) -> Option<&mut Visit> {
        self.shared.as_deref_mut()
    }

    /// Traces what a lock protects, and keeps the lock.
    ///
    /// A collection of [`sync`](crate::sync) may need that the handles it was told of stay
    /// where they are until it has decided; it drops `guard`, in this thread, then. Other
    /// visitors drop it when they have looked. For a lock of one's own, which must be taken
    /// without waiting:
    ///
    /// ```
    /// use std::sync::{Mutex, TryLockError};
    /// use cyclegc::{Trace, Tracer, sync::Gc};
    ///
    /// struct Locked(Mutex<Option<Gc<str>>>);
    ///
    /// // SAFETY: the handle is reported once, and leaves only under the lock, which is kept.
    /// unsafe impl Trace for Locked {
    ///     fn trace(&self, tracer: &mut Tracer<'_>) {
    ///         if let Ok(guard) = self.0.try_lock() {
    ///             // SAFETY: the guard borrows from `self` alone, and so is what it derefs to.
    ///             unsafe { tracer.locked(guard) };
    ///         }
    ///     }
    /// }
    /// # assert_eq!(cyclegc::sync::referents(&Gc::new(Locked(Mutex::default()))).len(), 0);
    /// ```
    ///
    /// # Safety
    ///
    /// What `guard` borrows is part of the value being traced, and stays where it is while
    /// that lives. What it derefs to lies there, not in the guard. Dropping it runs no code of
    /// a user.
    #[inline]
    pub unsafe fn locked<G: Deref<Target: Trace>>(&mut self, guard: G) {
        let target = &raw const *guard;
        // First: if what is inside panics, this lock is let go of after those inside it.
        let guard = match &mut self.shared {
            Some(visit) => {
                // SAFETY: the caller's; the collector keeps the value meanwhile.
                unsafe { visit.kept.push(guard) };
                None
            }
            None => Some(guard),
        };
        // SAFETY: the caller's: it did not move with the guard, which is here or kept.
        self.value(unsafe { &*target });
        drop(guard);
    }

    #[inline]
    fn edge(&mut self, target: NonNull<Header>) {
        crate::prefetch::header(target);
        self.found.push(target);
    }
}
