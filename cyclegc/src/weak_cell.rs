//! Weak references that can be cleared one by one.
//!
//! A plain `Weak` is a pointer and a count, as `rc::Weak`. A weak reference
//! with a callback, and one to an object that was resurrected after its weak
//! references were cleared, also has a *cell*: a tracked object, so that the
//! collector knows whether the reference itself is garbage, as CPython knows
//! because its weak references are objects. `state.cells` lists the cells of
//! each target.
//!
//! # Invariants
//!
//! 1. A cell whose `target` is set is in `state.cells[target]`, the target's
//!    `HAS_CELLS` is set, and its box is allocated.
//!
//! Source: CPython 3.11 `Objects/weakrefobject.c`: `PyObject_ClearWeakRefs`.

use std::cell::Cell;
use std::ptr::NonNull;

use crate::gc::{Gc, HeaderOf};
use crate::gc_box::GcBox;
use crate::header::{HAS_CELLS, Header};
use crate::state::{self, State};
use crate::trace::{Trace, Tracer};

/// What runs when the target dies.
pub(crate) type Callback = Box<dyn FnOnce()>;

/// A cell in `state.cells`, which does not own it.
pub(crate) type CellPtr = NonNull<GcBox<WeakCell>>;

/// See the module.
pub(crate) struct WeakCell {
    target: Cell<Option<NonNull<Header>>>,
    callback: Cell<Option<Callback>>,
}

impl WeakCell {
    /// A cell for `target`, whose `callback` runs when it dies.
    ///
    /// # Safety
    ///
    /// A handle keeps `target` alive.
    pub(crate) unsafe fn attach(
        target: NonNull<Header>,
        callback: Option<Callback>,
    ) -> Gc<WeakCell> {
        let cell = Gc::new(WeakCell {
            target: Cell::new(Some(target)),
            callback: Cell::new(callback),
        });
        state::with(|state| {
            let mut cells = state.cells.borrow_mut();
            cells
                .entry(target.addr().get())
                .or_default()
                .push(cell.as_box());
        });
        // SAFETY: the caller's target is alive.
        unsafe { target.as_ref() }.set(HAS_CELLS);
        // INVARIANT: 1.
        cell
    }

    /// The target is alive and the reference to it was not cleared.
    pub(crate) fn is_set(&self) -> bool {
        self.target.get().is_some()
    }

    /// Clears the reference; its callback will not run.
    pub(crate) fn detach(&self) {
        let Some(target) = self.target.take() else {
            return;
        };
        state::with(|state| {
            let mut cells = state.cells.borrow_mut();
            let key = target.addr().get();
            let Some(list) = cells.get_mut(&key) else {
                return;
            };
            list.retain(|cell| {
                // SAFETY: listed cells are allocated.
                let value = unsafe { &raw const (*cell.as_ptr()).value };
                !std::ptr::eq(value, self)
            });
            if list.is_empty() {
                cells.remove(&key);
                // SAFETY: invariant 1: the target is allocated.
                unsafe { target.as_ref() }.clear(HAS_CELLS);
            }
            drop(cells);
            state.free_empty_cells();
        });
    }
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

/// Clears all cells of `target` and returns the callbacks to run, those of the
/// newest references first, as CPython does. `may_run` is asked about the
/// cell's own header.
pub(crate) fn clear_all(
    state: &State,
    target: NonNull<Header>,
    may_run: impl Fn(&Header) -> bool,
) -> Vec<Callback> {
    let cells = state.cells.borrow_mut().remove(&target.addr().get());
    // SAFETY: the caller's target is allocated.
    unsafe { target.as_ref() }.clear(HAS_CELLS);
    state.free_empty_cells();
    let mut callbacks = Vec::new();
    for cell in cells.into_iter().flatten().rev() {
        // SAFETY: listed cells are allocated.
        let header = unsafe { cell.header_ref() };
        // SAFETY: a cell unlists itself before its value is gone.
        let value = unsafe { &(*cell.as_ptr()).value };
        value.target.set(None);
        if header.count() > 0 && may_run(header) {
            callbacks.extend(value.callback.take());
        }
    }
    callbacks
}
