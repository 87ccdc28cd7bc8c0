//! Death by counting: what happens when the last handle goes.
//!
//! CPython's order (`subtype_dealloc`): the finalizer runs while weak
//! references still work, and may resurrect the object; then weak references
//! are cleared and their callbacks run; then the value is dropped and the box
//! freed.
//!
//! No recursion: destructors nest while they take less than [`STACK_BYTES`] of
//! stack, deeper ones wait in `state.pending` until the outermost is done
//! (CPython's trashcan, which counts to `PyTrash_UNWIND_LEVEL`).
//!
//! # Invariants
//!
//! 1. An object in `pending` has count 0, a value that is alive, and is no
//!    suspect; nothing but `pending` refers to it.

use std::any::Any;
use std::mem::needs_drop;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr::{self, NonNull};

use crate::gc_box::GcBox;
use crate::header::{
    COLLECTING, COUNT_MASK, DEAD, HAS_CELLS, Header, SUSPECT, TO_FINALIZE, TRACKED,
};
use crate::state::{self, State};
use crate::unraisable::{self, UnraisablePlace};
use crate::weak_cell;

/// Stack that nested destructors may take. A program with threads of 64 KiB
/// must get along with it; a balanced tree of any size takes less.
const STACK_BYTES: usize = 16 * 1024;

/// Flags that make a death slow.
const SPECIAL: u32 = SUSPECT | TO_FINALIZE | HAS_CELLS;

/// A handle is gone, and the count says that more must happen: the object
/// dies, or becomes a suspect.
///
/// # Safety
///
/// The object's box is allocated, its value alive, and `left` is its raw count.
#[inline]
pub(crate) unsafe fn handle_gone<T: ?Sized>(object: NonNull<GcBox<T>>, left: u32) {
    if left & COUNT_MASK != 0 {
        // SAFETY: a loud object is tracked; it is alive.
        state::with(|state| unsafe { state.suspect(object.cast()) });
    } else if size_of::<NonNull<GcBox<T>>>() == size_of::<usize>() {
        // SAFETY: the count is 0, and a thin pointer has no metadata to miss.
        unsafe { last_drop_of(object) };
    } else {
        // SAFETY: the count is 0.
        unsafe { last_drop(object.cast()) };
    }
}

/// Ends an object of a type that is not known here.
///
/// # Safety
///
/// The object's count is 0, its value alive, and nothing else ends it.
pub(crate) unsafe fn last_drop(object: NonNull<Header>) {
    // SAFETY: the caller's object is allocated.
    let vtable = unsafe { object.as_ref() }.vtable();
    // SAFETY: the caller's.
    unsafe { (vtable.last_drop)(object) };
}

/// Ends an object whose concrete type is `T` (CPython `_Py_Dealloc`).
///
/// # Safety
///
/// The object's count is 0, its value alive, nothing else ends it, and `T` is
/// the type it was made with.
#[inline(never)]
pub(crate) unsafe fn last_drop_of<T: ?Sized>(object: NonNull<GcBox<T>>) {
    let erased = object.cast::<Header>();
    // SAFETY: the caller's object is allocated.
    let flags = unsafe { erased.as_ref() }.flags();
    if !needs_drop::<T>() && flags & SPECIAL == 0 {
        // SAFETY: the caller's; there is no destructor to run.
        drop(unsafe { End::of(object, flags) });
        return;
    }
    state::with(|state| {
        let _outermost = match Nesting::of(state) {
            Nesting::Outermost(outermost) => Some(outermost),
            Nesting::Inside => None,
            Nesting::TooDeep => {
                // SAFETY: the caller's.
                unsafe { defer(state, erased) };
                return;
            }
        };
        if flags & SPECIAL != 0 {
            // SAFETY: the caller's.
            let dies = unsafe { prepare(state, erased) };
            if !dies {
                return;
            }
        }
        // SAFETY: the caller's.
        let end = unsafe { End::of(object, flags) };
        // SAFETY: the box is allocated.
        let value = unsafe { &raw mut (*object.as_ptr()).value };
        // SAFETY: the count is 0, so nobody else uses the value, and `DEAD` is
        // set: this is the one drop (invariant 6 of `header.rs`).
        unsafe { ptr::drop_in_place(value) };
        drop(end);
    });
}

/// Frees the box when the value is gone, also if its destructor panics.
struct End {
    object: NonNull<Header>,
}

impl End {
    /// Marks the object dead, and counts it so.
    ///
    /// # Safety
    ///
    /// As for [`last_drop_of`]; the value is dropped while this exists.
    #[inline]
    unsafe fn of<T: ?Sized>(object: NonNull<GcBox<T>>, flags: u32) -> Self {
        let erased = object.cast::<Header>();
        let tracked = flags & TRACKED != 0;
        if tracked {
            state::with(State::died);
        }
        // SAFETY: the caller's object is allocated.
        unsafe { erased.as_ref() }.set(DEAD);
        End { object: erased }
    }
}

impl Drop for End {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: the box is allocated: its `weak` counts the value.
        let header = unsafe { self.object.as_ref() };
        // The collection that looks at an object frees its box.
        if header.ends_plainly() {
            // SAFETY: no handle and no weak handle is left.
            state::with(|state| unsafe { state.heap.free(self.object) });
        } else if !header.has(COLLECTING) && header.weak_decrement() {
            // SAFETY: as above.
            state::with(|state| unsafe { state.heap.free_any(self.object) });
        }
    }
}

/// How a destructor lies in those that run.
enum Nesting<'a> {
    Outermost(Outermost<'a>),
    Inside,
    /// The object must wait.
    TooDeep,
}

/// The outermost destructor, which ends what waits.
struct Outermost<'a>(&'a State);

impl<'a> Nesting<'a> {
    /// Never too deep for the outermost, so that what waits comes to an end
    /// wherever the stack is.
    #[inline(always)]
    fn of(state: &'a State) -> Self {
        let base = state.stack_base.get();
        let here = stack_address();
        if base == 0 {
            state.stack_base.set(here);
            Nesting::Outermost(Outermost(state))
        } else if base.abs_diff(here) > STACK_BYTES {
            Nesting::TooDeep
        } else {
            Nesting::Inside
        }
    }
}

/// Roughly where the stack is.
#[inline(always)]
pub(crate) fn stack_address() -> usize {
    // An address sanitizer moves locals elsewhere, but not this.
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    {
        let address;
        // SAFETY: reads a register.
        unsafe {
            std::arch::asm!("mov {}, rsp", out(reg) address, options(nomem, nostack, preserves_flags));
        }
        address
    }
    #[cfg(all(target_arch = "aarch64", not(miri)))]
    {
        let address;
        // SAFETY: reads a register.
        unsafe {
            std::arch::asm!("mov {}, sp", out(reg) address, options(nomem, nostack, preserves_flags));
        }
        address
    }
    #[cfg(any(miri, not(any(target_arch = "x86_64", target_arch = "aarch64"))))]
    {
        let local = 0_u8;
        ptr::from_ref(&local).addr()
    }
}

impl Drop for Outermost<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        let state = self.0;
        state.stack_base.set(0);
        if state.has_pending.get() && !state.draining.get() {
            drain(state);
        }
    }
}

/// Lets the outermost destructor end the object.
///
/// # Safety
///
/// As for [`last_drop`].
#[cold]
#[inline(never)]
unsafe fn defer(state: &State, object: NonNull<Header>) {
    // SAFETY: the caller's object is allocated.
    let header = unsafe { object.as_ref() };
    if header.has(SUSPECT) && !header.has(COLLECTING) {
        // SAFETY: it is a suspect that no collection holds.
        unsafe { state.acquit(object) };
        header.set_raw_count(0);
    }
    state.open();
    // INVARIANT: 1.
    state.pending.borrow_mut().push(object);
    state.has_pending.set(true);
}

/// Ends the objects that wait, last first. Goes on after a panic and throws
/// the first one at the end, unless the thread is unwinding already.
#[cold]
#[inline(never)]
fn drain(state: &State) {
    let mut first: Option<Box<dyn Any + Send>> = None;
    state.draining.set(true);
    loop {
        let next = state.pending.borrow_mut().pop();
        let Some(object) = next else { break };
        // SAFETY: invariant 1.
        let end = AssertUnwindSafe(|| unsafe { last_drop(object) });
        if let Err(payload) = catch_unwind(end) {
            match first {
                None => first = Some(payload),
                Some(_) => unraisable::report(UnraisablePlace::Drop, "", payload),
            }
        }
    }
    state.draining.set(false);
    state.has_pending.set(false);
    let too_large = state.pending.borrow().capacity() > KEEP_COUNT;
    if too_large || state.is_closed() {
        drop(state.pending.take());
    }
    match first {
        Some(payload) if std::thread::panicking() => {
            unraisable::report(UnraisablePlace::Drop, "", payload);
        }
        Some(payload) => resume_unwind(payload),
        None => {}
    }
}

/// Waiting objects for which `pending` keeps memory.
const KEEP_COUNT: usize = 64 * 1024;

/// What comes before the value is dropped; false if the object lives on.
///
/// # Safety
///
/// As for [`last_drop`].
#[cold]
#[inline(never)]
unsafe fn prepare(state: &State, object: NonNull<Header>) -> bool {
    // SAFETY: the caller's object is allocated, and stays so: its value lives.
    let header = unsafe { object.as_ref() };
    // SAFETY: the caller's.
    unsafe { unsuspect(state, object) };
    if header.has(TO_FINALIZE) {
        header.clear(TO_FINALIZE);
        // Held while the finalizer runs, which may make and drop handles.
        header.increment();
        let vtable = header.vtable();
        unraisable::guarded(UnraisablePlace::Finalize, vtable.type_name, || {
            // SAFETY: the value is alive and held.
            unsafe { (vtable.finalize)(object) };
        });
        let left = header.decrement();
        if left & COUNT_MASK != 0 {
            if header.has(TRACKED) && !header.has(SUSPECT) {
                // SAFETY: the object is tracked and alive.
                unsafe { state.suspect(object) };
            }
            return false;
        }
        // SAFETY: the caller's.
        unsafe { unsuspect(state, object) };
    }
    if header.has(HAS_CELLS) {
        for callback in weak_cell::clear_all(state, object, |_| true) {
            unraisable::guarded(
                UnraisablePlace::Callback,
                header.vtable().type_name,
                callback,
            );
        }
    }
    true
}

/// Strikes an object with count 0 out of the suspects.
///
/// # Safety
///
/// The object is allocated.
unsafe fn unsuspect(state: &State, object: NonNull<Header>) {
    // SAFETY: the caller's object is allocated.
    let header = unsafe { object.as_ref() };
    if header.has(SUSPECT) && !header.has(COLLECTING) {
        // SAFETY: it is a suspect that no collection holds.
        unsafe { state.acquit(object) };
    }
    header.set_quiet();
}

/// Moves the value out of an object and ends the object.
///
/// # Safety
///
/// The caller gives up the only handle.
pub(crate) unsafe fn take_value<T>(object: NonNull<GcBox<T>>) -> T {
    let erased = object.cast::<Header>();
    // SAFETY: the caller's object is allocated.
    let header = unsafe { erased.as_ref() };
    header.set_raw_count(0);
    let (value, callbacks) = state::with(|state| {
        // SAFETY: the count is 0.
        unsafe { unsuspect(state, erased) };
        let callbacks = if header.has(HAS_CELLS) {
            weak_cell::clear_all(state, erased, |_| true)
        } else {
            Vec::new()
        };
        // SAFETY: the count is 0 and the value is moved out below.
        let end = unsafe { End::of(object, header.flags()) };
        // SAFETY: the box is allocated.
        let place = unsafe { &raw const (*object.as_ptr()).value };
        // SAFETY: the value is alive and moves out once: `DEAD` is set.
        let value = unsafe { place.read() };
        drop(end);
        (value, callbacks)
    });
    for callback in callbacks {
        unraisable::guarded(
            UnraisablePlace::Callback,
            std::any::type_name::<T>,
            callback,
        );
    }
    value
}
