//! Weak references that can be cleared one by one.
//!
//! As in the flavour for one thread: a weak reference with a callback, and one to an object
//! that was resurrected after its weak references were cleared, also has a *cell*: a tracked
//! object, so that the collector knows whether the reference itself is garbage.
//!
//! # Invariants
//!
//! 1. A cell whose `target` is set is in `cells[target]`, the target's `HAS_CELLS` is set,
//!    and its memory is there: by the weak handle that owns the cell, or, if that is gone
//!    before the cell, because who ends the target clears its cells first. Both change under
//!    the lock of `cells`, where no code of a user runs.
//! 2. A listed cell's memory is there: a cell unlists itself before its value is gone.
//!
//! Source: CPython 3.11 `Objects/weakrefobject.c`: `PyObject_ClearWeakRefs`.

use std::collections::BTreeMap;
use std::ptr;
use std::sync::atomic::Ordering::Relaxed;

use crate::sync::domain::domain;
use crate::sync::gc::Gc;
use crate::sync::gc_box::GcBox;
use crate::sync::header::{Header, Object};
use crate::sync::second_word::HAS_CELLS;
use crate::sync::types::{AtomicPtr, Mutex, lock, maybe_const};
use crate::trace::{Trace, Tracer};

/// What runs when the target dies.
pub(crate) type Callback = Box<dyn FnOnce() + Send>;

/// See the module.
pub(crate) struct WeakCell {
    /// Null when cleared.
    target: AtomicPtr<Header>,
    callback: Mutex<Option<Callback>>,
}

/// The cells of all objects, by target.
pub(crate) struct Cells(Mutex<BTreeMap<Object, Vec<Object>>>);

impl Cells {
    maybe_const! {
        pub(crate) fn new() -> Self {
            Cells(Mutex::new(BTreeMap::new()))
        }
    }
}

impl WeakCell {
    /// A cell for `target`, which a handle of the caller's keeps, whose `callback` runs when
    /// it dies.
    pub(crate) fn attach(target: Object, callback: Option<Callback>) -> Gc<WeakCell> {
        let cell = Gc::new(WeakCell {
            target: AtomicPtr::new(target.0.as_ptr()),
            callback: Mutex::new(callback),
        });
        let mut cells = lock(&domain().cells.0);
        cells.entry(target).or_default().push(cell.object());
        // SAFETY: the caller's target is alive.
        unsafe { target.head() }.second.set(HAS_CELLS);
        // INVARIANT: 1.
        drop(cells);
        cell
    }

    /// The target is alive and the reference to it was not cleared.
    pub(crate) fn is_set(&self) -> bool {
        // ORDERING: Relaxed: after a successful upgrade, `CountWord::upgrade` has
        // acquired what the collector did before.
        !self.target.load(Relaxed).is_null()
    }

    /// Clears the reference; its callback will not run.
    pub(crate) fn detach(&self) {
        let mut cells = lock(&domain().cells.0);
        // ORDERING: Relaxed, here and below: writes are under the lock.
        let target = self.target.swap(ptr::null_mut(), Relaxed);
        let Some(target) = ptr::NonNull::new(target).map(Object) else {
            return;
        };
        let Some(list) = cells.get_mut(&target) else {
            return;
        };
        // SAFETY: invariant 2.
        list.retain(|cell| !ptr::eq(unsafe { value_of(*cell) }, self));
        if list.is_empty() {
            cells.remove(&target);
            // SAFETY: invariant 1: the target's memory is there.
            unsafe { target.head() }.second.clear(HAS_CELLS);
        }
    }
}

/// # Safety
///
/// The object is a cell, whose memory is there.
unsafe fn value_of(cell: Object) -> *const WeakCell {
    let cell = cell.0.cast::<GcBox<WeakCell>>();
    // SAFETY: the caller's.
    unsafe { &raw const (*cell.as_ptr()).value }
}

/// Whether an object is a cell, and so no user's.
///
/// # Safety
///
/// The object's memory is kept.
pub(crate) unsafe fn is_cell(object: Object) -> bool {
    // SAFETY: the caller's.
    let vtable = unsafe { object.head() }.vtable;
    (vtable.type_id)() == std::any::TypeId::of::<WeakCell>()
}

/// The cell that an object is.
///
/// # Safety
///
/// The object is alive, and stays so while the reference is used.
pub(crate) unsafe fn as_cell<'a>(object: Object) -> Option<&'a WeakCell> {
    // SAFETY: the caller's.
    if !unsafe { is_cell(object) } {
        return None;
    }
    // SAFETY: the type was just tested.
    let cell = unsafe { value_of(object) };
    // SAFETY: the caller's.
    Some(unsafe { &*cell })
}

impl Drop for WeakCell {
    fn drop(&mut self) {
        self.detach();
    }
}

// SAFETY: it reports nothing: what a callback captured is not looked into.
unsafe impl Trace for WeakCell {
    fn trace(&self, _: &mut Tracer<'_>) {}
}

/// Clears all cells of `target`, whose memory the caller keeps, and returns the callbacks to
/// run, those of the newest references first, as CPython does. `may_run` is asked about
/// each cell.
pub(crate) fn clear_all(target: Object, may_run: impl Fn(Object) -> bool) -> Vec<Callback> {
    let mut callbacks = Vec::new();
    let mut cells = lock(&domain().cells.0);
    let list = cells.remove(&target);
    // SAFETY: the caller's.
    unsafe { target.head() }.second.clear(HAS_CELLS);
    for cell in list.into_iter().flatten().rev() {
        // SAFETY: invariant 2.
        let head = unsafe { cell.head() };
        // SAFETY: listed objects are cells.
        let value = unsafe { value_of(cell) };
        // SAFETY: invariant 2: a cell that ends waits for the lock to unlist itself.
        let value = unsafe { &*value };
        value.target.store(ptr::null_mut(), Relaxed);
        // A cell without a handle, or that is garbage, goes with its callback.
        if head.count.count() > 0 && !head.count.is_dead() && may_run(cell) {
            callbacks.extend(lock(&value.callback).take());
        }
    }
    drop(cells);
    callbacks
}
