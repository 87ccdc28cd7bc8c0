//! What happens to the unreachable set: weak references, finalizers,
//! resurrection, destruction, in CPython 3.11's order.
//!
//! ```text
//!  unreachable --> weak references cleared, callbacks run
//!              --> finalizers run, everything still intact
//!              --> deduced again: resurrected objects live on
//!              --> the rest: all marked DEAD, values dropped, boxes freed
//! ```
//!
//! # Invariants
//!
//! 1. Members are `COLLECTING` until they are let go of; meanwhile one that
//!    dies by counting, because code of a user broke the cycle, is destroyed
//!    at once but keeps its box.
//! 2. Between the last proof that the set is unreachable and the last `DEAD`
//!    mark no code of a user runs. From then on no new handle to a member can
//!    be made: weak references and `State::objects` do not give any.
//! 3. While the values of the set are dropped, each member's count includes
//!    one that this file holds, and is quiet: the handles among members only
//!    count down, and no member is destroyed twice.
//!
//! Source: CPython 3.11 `Modules/gcmodule.c`: `handle_weakrefs`,
//! `finalize_garbage`, `handle_resurrected_objects`, `delete_garbage`.

use std::any::TypeId;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;

use crate::any::AnyGc;
use crate::collect::{Scratch, TracePanics, Unreachable};
use crate::debug::DebugFlags;
use crate::gc_box::GcBox;
use crate::generation::Generation;
use crate::header::{
    COLLECTING, DEAD, HAS_CELLS, Header, SUSPECT, TO_FINALIZE, WEAK_CUT, tracked_head,
};
use crate::prefetch;
use crate::state::{self, State};
use crate::unraisable::{self, UnraisablePlace};
use crate::weak_cell::{self, Callback, WeakCell};

/// Deals with an unreachable set; returns the objects that were destroyed, or
/// saved by `DebugFlags::SAVEALL`: only their number may be looked at.
pub(crate) fn reclaim(
    state: &State,
    scratch: &mut Scratch,
    unreachable: Unreachable,
    generation: Generation,
    panics: &mut TracePanics,
) -> Vec<NonNull<Header>> {
    let mut dead = unreachable.objects;
    if dead.is_empty() {
        return dead;
    }
    let mut late_callbacks = Vec::new();
    if !unreachable.plain {
        for object in &dead {
            // SAFETY: invariant 1: members are allocated.
            unsafe { object.as_ref() }.clear(SUSPECT);
        }
        let called_back = clear_weakrefs(state, &dead);
        let finalized = finalize_garbage(&dead);
        if called_back || finalized {
            dead = handle_resurrected(state, scratch, dead, generation, panics);
            // Finalizers may have made new weak references.
            late_callbacks = cut_weakrefs(state, &dead);
        }
    }
    if state.debug.get().contains(DebugFlags::SAVEALL) {
        save_all(state, &dead);
        run_callbacks(late_callbacks);
    } else {
        delete_garbage(state, &dead, late_callbacks);
    }
    dead
}

/// Clears all weak references to the set, and those that are in it; then runs
/// the callbacks of those outside. True if any ran.
fn clear_weakrefs(state: &State, unreachable: &[NonNull<Header>]) -> bool {
    let callbacks = cut_weakrefs(state, unreachable);
    let any = !callbacks.is_empty();
    run_callbacks(callbacks);
    any
}

/// Clears the weak references and returns the callbacks to run.
fn cut_weakrefs(state: &State, objects: &[NonNull<Header>]) -> Vec<Callback> {
    let mut callbacks = Vec::new();
    let cells_exist = !state.cells.borrow().is_empty();
    for object in objects {
        // SAFETY: invariant 1: members are allocated.
        let header = unsafe { object.as_ref() };
        if header.weak() > 1 {
            header.set(WEAK_CUT);
        }
        if !cells_exist {
            continue;
        }
        if header.has(HAS_CELLS) {
            // A reference that is garbage itself must not run its callback.
            callbacks.extend(weak_cell::clear_all(state, *object, |cell| {
                !cell.has(COLLECTING)
            }));
        }
        if (header.vtable().type_id)() == TypeId::of::<WeakCell>() {
            let cell = object.cast::<GcBox<WeakCell>>();
            // SAFETY: the member's type was just tested, and its value is
            // alive: no code of a user ran since it was found.
            unsafe { &(*cell.as_ptr()).value }.detach();
        }
    }
    callbacks
}

fn run_callbacks(callbacks: Vec<Callback>) {
    for callback in callbacks {
        unraisable::guarded(UnraisablePlace::Callback, || "", callback);
    }
}

/// Runs the finalizers that have not run. True if any did.
fn finalize_garbage(unreachable: &[NonNull<Header>]) -> bool {
    let mut any = false;
    for object in unreachable {
        // SAFETY: invariant 1: members are allocated.
        let header = unsafe { object.as_ref() };
        // A member may have died by counting since, or wait for its end.
        if !header.has(TO_FINALIZE) || header.has(DEAD) || header.count() == 0 {
            continue;
        }
        any = true;
        header.clear(TO_FINALIZE);
        // SAFETY: the member is alive, and no `&mut` to it exists: it is a
        // candidate (invariant 2 of `collect.rs`), or code of a user made it
        // reachable again and has returned.
        let held = unsafe { AnyGc::share(*object) };
        let vtable = header.vtable();
        unraisable::guarded(UnraisablePlace::Finalize, vtable.type_name, || {
            // SAFETY: `held` keeps the value alive.
            unsafe { (vtable.finalize)(*object) };
        });
        // May end the member, if the finalizer broke the cycle.
        unraisable::guarded(UnraisablePlace::Drop, vtable.type_name, || drop(held));
    }
    any
}

/// Code of a user ran: finds out which members are still unreachable and
/// returns them; the others live on, except those that died by counting.
fn handle_resurrected(
    state: &State,
    scratch: &mut Scratch,
    unreachable: Vec<NonNull<Header>>,
    generation: Generation,
    panics: &mut TracePanics,
) -> Vec<NonNull<Header>> {
    let mut remaining = unreachable;
    remaining.retain(|object| {
        // SAFETY: invariant 1: members are allocated.
        let header = unsafe { object.as_ref() };
        let alive = !header.has(DEAD) && header.count() > 0;
        if !alive {
            // SAFETY: it leaves the set here.
            unsafe { let_go_of_dead(*object) };
        }
        alive
    });
    scratch.restart_with(remaining);
    scratch.deduce(None, panics);
    let (resurrected, dead) = scratch.split();
    let next = (generation.index() + 1).min(Generation::Old.index());
    for object in resurrected {
        // SAFETY: invariant 1.
        unsafe { object.as_ref() }.clear(COLLECTING);
        // SAFETY: it is alive and in no array of suspects.
        unsafe { state.add_suspect(object, next) };
    }
    dead
}

/// Lets go of a candidate that died by counting, or is about to.
///
/// # Safety
///
/// The object is a candidate and is looked at no more; its count is 0 or it is
/// `DEAD`.
pub(crate) unsafe fn let_go_of_dead(object: NonNull<Header>) {
    // SAFETY: invariant 1: its box is allocated.
    let header = unsafe { object.as_ref() };
    // It is in no array of suspects any more.
    header.clear(COLLECTING | SUSPECT);
    if header.has(DEAD) {
        // SAFETY: its value is gone, and `COLLECTING` left the box to us.
        unsafe { release_box(object) };
    }
}

/// Puts the set into `garbage` instead of destroying it.
fn save_all(state: &State, dead: &[NonNull<Header>]) {
    for object in dead.iter().copied() {
        // SAFETY: invariant 1.
        let header = unsafe { object.as_ref() };
        header.clear(COLLECTING | SUSPECT);
        header.set_loud();
        // SAFETY: members are tracked.
        let head = unsafe { tracked_head(object) };
        head.aux.set(state.epochs.birth_in(Generation::Old.index()));
        // SAFETY: the member is alive and no `&mut` to it exists.
        let saved = unsafe { AnyGc::share(object) };
        state.garbage.borrow_mut().push(saved);
    }
}

/// Destroys the set.
fn delete_garbage(state: &State, dead: &[NonNull<Header>], late_callbacks: Vec<Callback>) {
    for (index, object) in dead.iter().enumerate() {
        prefetch_ahead(dead, index);
        // SAFETY: invariant 1.
        let header = unsafe { object.as_ref() };
        // INVARIANT: 2 and 3.
        header.set(DEAD);
        header.set_raw_count(header.count() + 1);
        state.died();
    }
    run_callbacks(late_callbacks);

    let mut next = 0;
    while next < dead.len() {
        let dropped = catch_unwind(AssertUnwindSafe(|| {
            while let Some(object) = dead.get(next) {
                prefetch_ahead(dead, next);
                next += 1;
                // SAFETY: invariant 1.
                let vtable = unsafe { object.as_ref() }.vtable();
                // SAFETY: the value is alive, and `DEAD`: this is the one
                // drop. Nothing outside refers to it (invariant 2).
                unsafe { (vtable.drop_value)(*object) };
            }
        }));
        if let Err(payload) = dropped {
            // SAFETY: invariant 1.
            let vtable = unsafe { dead[next - 1].as_ref() }.vtable();
            unraisable::report(UnraisablePlace::Drop, (vtable.type_name)(), payload);
        }
    }

    for (index, object) in dead.iter().enumerate() {
        prefetch_ahead(dead, index);
        // SAFETY: invariant 1.
        let header = unsafe { object.as_ref() };
        header.clear(COLLECTING);
        if header.count() == 1 {
            header.set_raw_count(0);
            // SAFETY: the value is gone and no handle is left.
            unsafe { release_box(*object) };
        }
        // Otherwise a destructor leaked a handle, or panicked and left one
        // behind: the box is leaked with it.
    }
}

/// Gives up the `weak` that a dropped value held.
///
/// # Safety
///
/// The value is dropped and its `weak` not given up yet.
unsafe fn release_box(object: NonNull<Header>) {
    // SAFETY: that `weak` keeps the box allocated.
    let header = unsafe { object.as_ref() };
    if header.weak_decrement() {
        // SAFETY: nothing refers to it any more.
        state::with(|state| unsafe { state.heap.free_any(object) });
    }
}

#[inline]
fn prefetch_ahead(objects: &[NonNull<Header>], index: usize) {
    if let Some(ahead) = objects.get(index + 8) {
        prefetch::header(*ahead);
    }
}
