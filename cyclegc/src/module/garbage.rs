//! What collections print, and what they save instead of destroying it.

use crate::any::AnyGc;
use crate::debug::DebugFlags;
use crate::state;

/// Sets what collections print and keep (`gc.set_debug`).
///
/// ```
/// use cyclegc::DebugFlags;
///
/// cyclegc::set_debug(DebugFlags::SAVEALL);
/// assert_eq!(cyclegc::debug(), DebugFlags::SAVEALL);
/// cyclegc::set_debug(DebugFlags::empty());
/// ```
pub fn set_debug(flags: DebugFlags) {
    state::with(|state| state.debug.set(flags));
}

/// The flags of [`set_debug`] (`gc.get_debug`).
///
/// ```
/// assert!(cyclegc::debug().is_empty());
/// ```
#[must_use]
pub fn debug() -> DebugFlags {
    state::with(|state| state.debug.get())
}

/// The objects that collections saved (`gc.garbage`).
///
/// Filled only with [`DebugFlags::SAVEALL`].
///
/// ```
/// use std::cell::RefCell;
/// use cyclegc::{AnyGc, DebugFlags, Gc};
///
/// cyclegc::set_debug(DebugFlags::SAVEALL);
/// let list = Gc::new(RefCell::new(Vec::<AnyGc>::new()));
/// list.borrow_mut().push((&list).into());
/// drop(list);
/// cyclegc::collect();
/// assert_eq!(cyclegc::garbage().len(), 1);
/// cyclegc::set_debug(DebugFlags::empty());
/// cyclegc::take_garbage();
/// assert_eq!(cyclegc::collect().collected, 1);
/// ```
#[must_use]
pub fn garbage() -> Vec<AnyGc> {
    state::with(|state| state.garbage.borrow().clone())
}

/// Empties [`garbage`] and returns what was in it (`gc.garbage.clear()`).
///
/// ```
/// assert!(cyclegc::take_garbage().is_empty());
/// ```
pub fn take_garbage() -> Vec<AnyGc> {
    state::with(|state| state.garbage.take())
}
