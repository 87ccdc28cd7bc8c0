//! Death by counting: what happens when the last handle goes.
//!
//! In CPython's order, as in the flavour for one thread: the finalizer runs while weak
//! references still work, and may resurrect the object; then weak references are cleared and
//! their callbacks run; then the value is dropped and the memory given back.
//!
//! No recursion: destructors nest while they take less than [`STACK_BYTES`] of stack, deeper
//! ones wait in `local.pending` until the outermost of their thread is done.
//!
//! # Invariants
//!
//! 1. An object in `pending` has count 0 and a value that is alive, and ending it is up to
//!    the thread alone (invariant 4 of `word.rs`).

use std::any::Any;
use std::mem::needs_drop;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr::{self, NonNull};

use crate::dealloc::stack_address;
use crate::sync::domain::domain;
use crate::sync::gc_box::{Erased, GcBox, free_any, free_box};
use crate::sync::header::Object;
use crate::sync::local::{self, Local};
use crate::sync::second_word::{HAS_CELLS, NUMBERED, TO_FINALIZE};
use crate::sync::unraisable::{guarded, report};
use crate::sync::weak_cell;
use crate::sync::word::CountWord;
use crate::unraisable::UnraisablePlace;

/// Stack that nested destructors may take. A program with threads of 64 KiB must get along
/// with it; a balanced tree of any size takes less.
const STACK_BYTES: usize = 16 * 1024;

/// A handle is gone, and the word that the decrement saw says that others may not be left.
///
/// # Safety
///
/// The caller's handle was the one that is gone, and `before` is what the decrement saw.
#[inline]
pub(crate) unsafe fn handle_gone(object: Object, before: u64) {
    if CountWord::was_last(before) {
        // SAFETY: the caller took the count to 0, and the collector is not in the way.
        unsafe { end(object) };
    }
}

/// Ends an object.
///
/// # Safety
///
/// The object's count is 0, and ending it is up to the caller.
pub(crate) unsafe fn end(object: Object) {
    // SAFETY: the value still counts as weak: the memory is there.
    let head = unsafe { object.head() };
    head.count.acquire_last();
    // SAFETY: the caller's.
    unsafe { (head.vtable.last_drop)(object) };
}

/// Ends an object whose type is `T` (CPython `_Py_Dealloc`).
///
/// # Safety
///
/// As for [`end`], and what others did with the object comes before.
pub(crate) unsafe fn last_drop_of<T: Erased + ?Sized>(object: Object) {
    // SAFETY: the memory is there, as in `end`.
    let second = &unsafe { object.head() }.second;
    if !needs_drop::<T>() && !second.has(TO_FINALIZE | HAS_CELLS) {
        // SAFETY: the caller's; there is no destructor to run.
        drop(unsafe { End::<T>::of(object) });
        return;
    }
    local::with(|local| {
        let _outermost = match Nesting::of(local) {
            Nesting::Outermost(outermost) => Some(outermost),
            Nesting::Inside => None,
            Nesting::TooDeep => {
                // INVARIANT: 1.
                local.pending.borrow_mut().push(object);
                local.has_pending.set(true);
                return;
            }
        };
        // SAFETY: the caller's.
        if second.has(TO_FINALIZE | HAS_CELLS) && !unsafe { prepare(object) } {
            return;
        }
        // SAFETY: the caller's.
        let end = unsafe { End::<T>::of(object) };
        // SAFETY: the object is a `T`.
        let typed: NonNull<GcBox<T>> = unsafe { T::restore(object) };
        // SAFETY: the box is allocated.
        let value = unsafe { &raw mut (*typed.as_ptr()).value };
        // SAFETY: the count is 0, so nobody else uses the value, and nobody else ends it.
        unsafe { ptr::drop_in_place(value) };
        drop(end);
    });
}

/// Gives up the value's part of the memory when the value is gone, also if its destructor
/// panics.
struct End<T: Erased + ?Sized> {
    object: Object,
    of: std::marker::PhantomData<T>,
}

impl<T: Erased + ?Sized> End<T> {
    /// Counts the object's end.
    ///
    /// # Safety
    ///
    /// As for [`last_drop_of`]; the value is dropped while this exists.
    #[inline]
    unsafe fn of(object: Object) -> Self {
        if T::type_may_hold_gc() {
            // SAFETY: the caller's.
            unsafe { count_end(object) };
        }
        End {
            object,
            of: std::marker::PhantomData,
        }
    }
}

/// Counts the end of a tracked object.
///
/// # Safety
///
/// The object is allocated, and tracked.
#[inline]
pub(crate) unsafe fn count_end(object: Object) {
    local::with(Local::died);
    // SAFETY: the caller's.
    domain().census.ended(unsafe { object.tracked() }.birth());
}

impl<T: Erased + ?Sized> Drop for End<T> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: the value's own part keeps the memory.
        let second = &unsafe { self.object.head() }.second;
        // SAFETY: the value's own part is given up.
        if second.ends_plainly() || unsafe { give_up_value(self.object) } {
            // SAFETY: no handle, no weak handle and no hold is left.
            unsafe { free_box::<T>(self.object) };
        }
    }
}

/// Gives up the value's part of the memory; true if the caller must give the memory back.
///
/// # Safety
///
/// The value is gone, and was the caller's to end.
#[must_use]
pub(crate) unsafe fn give_up_value(object: Object) -> bool {
    // SAFETY: the value's own part keeps the memory.
    let second = &unsafe { object.head() }.second;
    if second.has(NUMBERED) {
        domain().numbers.forget(object);
    }
    second.release()
}

/// How a destructor lies in those that run.
enum Nesting<'a> {
    Outermost(Outermost<'a>),
    Inside,
    /// The object must wait.
    TooDeep,
}

/// The outermost destructor, which ends what waits.
struct Outermost<'a>(&'a Local);

impl<'a> Nesting<'a> {
    /// Never too deep for the outermost, so that what waits comes to an end
    /// wherever the stack is.
    #[inline(always)]
    fn of(local: &'a Local) -> Self {
        let base = local.stack_base.get();
        let here = stack_address();
        if base == 0 {
            local.stack_base.set(here);
            Nesting::Outermost(Outermost(local))
        } else if base.abs_diff(here) > STACK_BYTES {
            Nesting::TooDeep
        } else {
            Nesting::Inside
        }
    }
}

impl Drop for Outermost<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        let local = self.0;
        local.stack_base.set(0);
        if local.has_pending.get() && !local.draining.get() {
            drain(local);
        }
    }
}

/// Ends the objects that wait, last first. Goes on after a panic and throws the first one at
/// the end, unless the thread is unwinding already.
#[cold]
#[inline(never)]
fn drain(local: &Local) {
    let mut first: Option<Box<dyn Any + Send>> = None;
    local.draining.set(true);
    loop {
        let next = local.pending.borrow_mut().pop();
        let Some(object) = next else { break };
        // SAFETY: invariant 1.
        let end = AssertUnwindSafe(|| unsafe { end(object) });
        if let Err(payload) = catch_unwind(end) {
            match first {
                None => first = Some(payload),
                Some(_) => report(UnraisablePlace::Drop, "", payload),
            }
        }
    }
    local.draining.set(false);
    local.has_pending.set(false);
    // Its memory is nobody's to free when the thread ends.
    drop(local.pending.take());
    match first {
        Some(payload) if std::thread::panicking() => {
            report(UnraisablePlace::Drop, "", payload);
        }
        Some(payload) => resume_unwind(payload),
        None => {}
    }
}

/// What comes before the value is dropped; false if the object lives on, or its end is
/// somebody else's.
///
/// # Safety
///
/// As for [`end`].
#[cold]
#[inline(never)]
unsafe fn prepare(object: Object) -> bool {
    // SAFETY: the caller's object is allocated, and stays so: its value lives.
    let head = unsafe { object.head() };
    if head.second.clear(TO_FINALIZE) {
        // Held while the finalizer runs, which may make and drop handles; weak ones
        // work.
        head.count.revive();
        guarded(UnraisablePlace::Finalize, head.vtable.type_name, || {
            // SAFETY: the value is alive and held.
            unsafe { (head.vtable.finalize)(object) };
        });
        if !CountWord::was_last(head.count.decrement()) {
            return false;
        }
        head.count.acquire_last();
    }
    if head.second.has(HAS_CELLS) {
        for callback in weak_cell::clear_all(object, |_| true) {
            guarded(UnraisablePlace::Callback, head.vtable.type_name, callback);
        }
    }
    true
}

/// Moves the value out of an object and ends the object.
///
/// # Safety
///
/// The caller took the count to 0 (`CountWord::take_last`).
pub(crate) unsafe fn take_value<T: crate::trace::Trace>(object: NonNull<GcBox<T>>) -> T {
    let erased = Object(object.cast());
    // SAFETY: the value's own part keeps the memory.
    let head = unsafe { erased.head() };
    let callbacks = if head.second.has(HAS_CELLS) {
        weak_cell::clear_all(erased, |_| true)
    } else {
        Vec::new()
    };
    // SAFETY: the count is 0 and the value is moved out below.
    let end = unsafe { End::<T>::of(erased) };
    // SAFETY: the box is allocated.
    let place = unsafe { &raw const (*object.as_ptr()).value };
    // SAFETY: the value is alive, moves out once, and is nobody else's.
    let value = unsafe { place.read() };
    drop(end);
    for callback in callbacks {
        guarded(
            UnraisablePlace::Callback,
            std::any::type_name::<T>,
            callback,
        );
    }
    value
}

/// Ends a weak handle, or another part of the memory.
///
/// # Safety
///
/// The caller gives it up.
pub(crate) unsafe fn release_weak(object: Object) {
    // SAFETY: the part keeps the memory.
    if unsafe { object.head() }.second.release() {
        // SAFETY: nothing is left that refers to it.
        unsafe { free_any(object) };
    }
}
