//! `Trace` for std's cells and locks.
//!
//! They are looked into only if nobody is using them: what a borrowed
//! `RefCell` or a locked `Mutex` holds counts as referenced from outside, and
//! stays alive. Nothing marks a `Cell` as used, so it is looked into only by
//! code that cannot panic ([`Trace::never_panics`]): a panic hook is code of a
//! user, which could take the value out.

use std::cell::{Cell, OnceCell, RefCell};
use std::sync::{Mutex, OnceLock, RwLock, TryLockError};

use crate::edge::EdgeTracer;
use crate::trace::{Trace, Tracer};
use crate::type_depth::TypeDepth;

// SAFETY: the value is owned and asked once.
unsafe impl<T: Trace> Trace for Cell<T> {
    #[inline]
    fn trace(&self, tracer: &mut Tracer<'_>) {
        tracer.in_cell(|tracer| {
            // SAFETY: nothing changes the cell meanwhile. `trace` does not
            // (contract, 3), and no other code runs: what could panic, and so
            // start a panic hook, is left out (contract, 6). A `&mut` to the
            // value would need one to the cell.
            tracer.value(unsafe { &*self.as_ptr() });
        });
    }
    fn trace_edges(&self, tracer: &mut EdgeTracer<'_>) {
        tracer.in_cell(|tracer| {
            // SAFETY: as in `trace`.
            tracer.value(unsafe { &*self.as_ptr() });
        });
    }
    fn never_panics(&self) -> bool {
        true
    }
    fn may_hold_gc(depth: TypeDepth) -> bool {
        depth.inside(T::may_hold_gc)
    }
}

// SAFETY: the value is owned and asked once, unless it is borrowed mutably.
unsafe impl<T: Trace> Trace for RefCell<T> {
    #[inline]
    fn trace(&self, tracer: &mut Tracer<'_>) {
        if let Ok(value) = self.try_borrow() {
            tracer.value(&*value);
        }
    }
    fn trace_edges(&self, tracer: &mut EdgeTracer<'_>) {
        match self.try_borrow() {
            Ok(value) => tracer.value(&*value),
            Err(_) => tracer.hidden(),
        }
    }
    fn never_panics(&self) -> bool {
        true
    }
    #[inline]
    fn may_hold_gc(depth: TypeDepth) -> bool {
        depth.inside(T::may_hold_gc)
    }
}

/// Cells that are filled once.
macro_rules! once {
    ($($type:ident),*) => {$(
        // SAFETY: the value, if it is there, is owned and asked once.
        unsafe impl<T: Trace> Trace for $type<T> {
            fn trace(&self, tracer: &mut Tracer<'_>) {
                if let Some(value) = self.get() {
                    tracer.value(value);
                }
            }
            fn trace_edges(&self, tracer: &mut EdgeTracer<'_>) {
                if let Some(value) = self.get() {
                    tracer.value(value);
                }
            }
            fn never_panics(&self) -> bool {
                true
            }
            fn may_hold_gc(depth: TypeDepth) -> bool {
                depth.inside(T::may_hold_gc)
            }
        }
    )*};
}

once! { OnceCell, OnceLock }

/// Locks. A poisoned one is looked into as well: its value is still owned.
macro_rules! lock {
    ($($type:ident, $try_lock:ident);*) => {$(
        // SAFETY: the value is owned and asked once, unless it is locked.
        unsafe impl<T: Trace> Trace for $type<T> {
            fn trace(&self, tracer: &mut Tracer<'_>) {
                let guard = match self.$try_lock() {
                    Ok(guard) => guard,
                    Err(TryLockError::Poisoned(guard)) => guard.into_inner(),
                    Err(TryLockError::WouldBlock) => return,
                };
                // SAFETY: the guard borrows from `self`, and so is what it protects.
                unsafe { tracer.locked(guard) };
            }
            fn trace_edges(&self, tracer: &mut EdgeTracer<'_>) {
                match self.$try_lock() {
                    Ok(value) => tracer.value(&*value),
                    Err(TryLockError::Poisoned(value)) => tracer.value(&**value.get_ref()),
                    Err(TryLockError::WouldBlock) => tracer.hidden()
                }
            }
            fn never_panics(&self) -> bool {
                true
            }
            fn may_hold_gc(depth: TypeDepth) -> bool {
                depth.inside(T::may_hold_gc)
            }
        }
    )*};
}

lock! { Mutex, try_lock; RwLock, try_read }

#[cfg(loom)]
use loom::sync::{Mutex as LoomMutex, RwLock as LoomRwLock};

#[cfg(loom)]
lock! { LoomMutex, try_lock; LoomRwLock, try_read }
