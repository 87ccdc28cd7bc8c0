//! Panics that have nobody to go to (CPython `sys.unraisablehook`).
//!
//! A collection runs inside an innocent `Gc::new`, so a panic in somebody's
//! `trace`, finalizer, callback or `drop` must not come out of it. It is
//! caught, the standard panic hook has printed it, and the hook set here hears
//! of it.

use std::any::Any;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::state;

/// What was running when a panic was caught.
///
/// ```
/// use cyclegc::{Gc, UnraisablePlace, Weak};
///
/// cyclegc::set_unraisable_hook(Some(|caught| {
///     assert_eq!(caught.place, UnraisablePlace::Callback);
/// }));
/// let target = Gc::new(1);
/// let weak = Weak::with_callback(&target, || panic!("no"));
/// drop(target); // does not panic
/// # drop(weak);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum UnraisablePlace {
    /// [`Trace::trace`](crate::Trace::trace) in a collection.
    Trace,
    /// [`Finalize::finalize`](crate::Finalize::finalize).
    Finalize,
    /// The callback of a [`Weak`](crate::Weak) or of
    /// [`add_callback`](crate::add_callback).
    Callback,
    /// The destructor of a value that a collection destroys.
    Drop,
}

/// A panic that was caught because nobody could have handled it.
///
/// CPython's `sys.UnraisableHookArgs`.
///
/// ```
/// use cyclegc::{Unraisable, UnraisableHook};
///
/// let hook: UnraisableHook = |caught: &Unraisable<'_>| {
///     let text = caught.payload.downcast_ref::<&str>();
///     eprintln!("{}: {:?}", caught.type_name, text);
/// };
/// cyclegc::set_unraisable_hook(Some(hook));
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct Unraisable<'a> {
    /// What was running.
    pub place: UnraisablePlace,
    /// The type of the object it ran for, or an empty string.
    pub type_name: &'static str,
    /// What was thrown.
    pub payload: &'a (dyn Any + Send),
}

/// The type of [`set_unraisable_hook`]'s hook; see there and [`Unraisable`] for
/// examples.
pub type UnraisableHook = fn(&Unraisable<'_>);

/// Sets what hears of this thread's caught panics; returns the hook before.
///
/// CPython: `sys.unraisablehook`. A panic in the hook itself is ignored.
///
/// ```
/// use cyclegc::{Finalize, Gc, Trace};
///
/// #[derive(Trace)]
/// struct Rude;
///
/// impl Finalize for Rude {
///     fn finalize(&self) {
///         panic!("no");
///     }
/// }
///
/// cyclegc::set_unraisable_hook(Some(|caught| {
///     assert_eq!(caught.place, cyclegc::UnraisablePlace::Finalize);
/// }));
/// drop(Gc::new(Rude)); // does not panic
/// ```
pub fn set_unraisable_hook(hook: Option<UnraisableHook>) -> Option<UnraisableHook> {
    state::with(|state| state.unraisable_hook.replace(hook))
}

/// Hands a caught panic to the hook and gets rid of it.
#[cold]
pub(crate) fn report(
    place: UnraisablePlace,
    type_name: &'static str,
    payload: Box<dyn Any + Send>,
) {
    if let Some(hook) = state::with(|state| state.unraisable_hook.get()) {
        let caught = Unraisable {
            place,
            type_name,
            payload: &*payload,
        };
        discard(catch_unwind(AssertUnwindSafe(|| hook(&caught))));
    }
    discard(catch_unwind(AssertUnwindSafe(|| drop(payload))));
}

/// Runs code of a user that may panic; `None` if it did.
pub(crate) fn guarded<R>(
    place: UnraisablePlace,
    type_name: fn() -> &'static str,
    run: impl FnOnce() -> R,
) -> Option<R> {
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(value) => Some(value),
        Err(payload) => {
            report(place, type_name(), payload);
            None
        }
    }
}

/// A payload whose own destructor panics is leaked.
fn discard(result: Result<(), Box<dyn Any + Send>>) {
    let _leaked = result.map_err(ManuallyDrop::new);
}
