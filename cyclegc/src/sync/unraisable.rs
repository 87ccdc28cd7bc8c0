//! The process's hook for panics that have nobody to go to.

use std::any::Any;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;

use crate::unraisable::{Unraisable, UnraisableHook, UnraisablePlace};

/// std's, under loom too: nothing else happens while it is locked.
static HOOK: Mutex<Option<UnraisableHook>> = Mutex::new(None);

/// Sets what hears of caught panics, in any thread; returns the hook before.
///
/// CPython: `sys.unraisablehook`. The hook runs in the thread that caught the panic: the one
/// that collects, or that dropped the last handle. A panic in the hook itself is ignored.
///
/// ```
/// use cyclegc::{Finalize, Trace, sync::Gc};
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
/// cyclegc::sync::set_unraisable_hook(Some(|caught| {
///     assert_eq!(caught.place, cyclegc::UnraisablePlace::Finalize);
/// }));
/// drop(Gc::new(Rude)); // does not panic
/// ```
pub fn set_unraisable_hook(hook: Option<UnraisableHook>) -> Option<UnraisableHook> {
    std::mem::replace(&mut *lock(), hook)
}

fn lock() -> std::sync::MutexGuard<'static, Option<UnraisableHook>> {
    HOOK.lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Hands a caught panic to the hook and gets rid of it.
#[cold]
pub(crate) fn report(
    place: UnraisablePlace,
    type_name: &'static str,
    payload: Box<dyn Any + Send>,
) {
    let hook = *lock();
    if let Some(hook) = hook {
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
