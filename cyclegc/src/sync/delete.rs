//! What happens to garbage: callbacks, finalizers, destruction, in CPython 3.11's order. No
//! lock is held.
//!
//! # Invariants
//!
//! 1. Garbage has holds until [`let_go`]: its memory is there.
//! 2. The values of a condemned set are dropped by the thread that condemned it, each once.
//!    Handles among them only count down (`CountWord::was_last` is false of `DEAD`).
//!
//! Source: CPython 3.11 `Modules/gcmodule.c`: `handle_weakrefs`, `finalize_garbage`,
//! `delete_garbage`.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::prefetch;
use crate::sync::any::AnyGc;
use crate::sync::dealloc::{count_end, give_up_value};
use crate::sync::guess::Candidate;
use crate::sync::header::Object;
use crate::sync::second_word::TO_FINALIZE;
use crate::sync::suspects::release_hold;
use crate::sync::unraisable::{guarded, report};
use crate::sync::weak_cell::Callback;
use crate::unraisable::UnraisablePlace;

pub(crate) fn run_callbacks(callbacks: Vec<Callback>) {
    for callback in callbacks {
        guarded(UnraisablePlace::Callback, || "", callback);
    }
}

/// Runs the finalizers that have not run.
pub(crate) fn finalize_garbage(garbage: &[Object]) {
    for object in garbage {
        // SAFETY: invariant 1.
        let head = unsafe { object.head() };
        if !head.second.has(TO_FINALIZE) {
            continue;
        }
        // A member may be gone by now: a finalizer broke the cycle. Or one let a `&mut` to it
        // out: then the second proof finds the member unheard, and lets it live.
        // SAFETY: invariant 1.
        let Some(held) = (unsafe { AnyGc::try_share(*object) }) else {
            continue;
        };
        if head.second.clear(TO_FINALIZE) {
            let type_name = head.vtable.type_name;
            guarded(UnraisablePlace::Finalize, type_name, || {
                // SAFETY: `held` keeps the value alive.
                unsafe { (head.vtable.finalize)(*object) };
            });
        }
        // May end the member, if the finalizer broke the cycle.
        guarded(UnraisablePlace::Drop, head.vtable.type_name, || drop(held));
    }
}

/// Drops the values of a set that was condemned.
pub(crate) fn delete_garbage(dead: &[Object]) {
    let mut next = 0;
    while next < dead.len() {
        let dropped = catch_unwind(AssertUnwindSafe(|| {
            while let Some(object) = dead.get(next) {
                if let Some(ahead) = dead.get(next + 8) {
                    prefetch::header(ahead.0.cast());
                }
                next += 1;
                // SAFETY: invariant 1.
                let vtable = unsafe { object.head() }.vtable;
                // SAFETY: invariant 1; garbage is tracked.
                unsafe { count_end(*object) };
                // SAFETY: invariant 2. Nothing outside refers to it.
                unsafe { (vtable.drop_value)(*object) };
            }
        }));
        if let Err(payload) = dropped {
            // SAFETY: invariant 1.
            let vtable = unsafe { dead[next - 1].head() }.vtable;
            report(UnraisablePlace::Drop, (vtable.type_name)(), payload);
        }
    }
    for object in dead {
        // SAFETY: invariant 1.
        let head = unsafe { object.head() };
        if head.count.count() == 0 {
            head.count.acquire_last();
            // The hold keeps the memory for now.
            // SAFETY: invariant 2: the value was dropped above.
            let _is_last = unsafe { give_up_value(*object) };
        }
        // Otherwise a destructor leaked a handle, or panicked and left one behind: the
        // memory is leaked with it.
    }
}

/// Gives up the holds of what was deleted.
pub(crate) fn let_go(holds: Vec<Candidate>) {
    for (index, candidate) in holds.iter().enumerate() {
        if let Some(ahead) = holds.get(index + 8) {
            prefetch::header(ahead.object.0.cast());
        }
        // SAFETY: the hold is given up.
        unsafe { release_hold(candidate.object) };
    }
}
