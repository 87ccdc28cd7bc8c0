//! Callbacks that hear of each collection.

use std::rc::Rc;

use crate::generation::Generation;
use crate::module::CollectStats;
use crate::state::{self, State};
use crate::unraisable::{self, UnraisablePlace};

/// When a callback of [`add_callback`] runs.
///
/// ```
/// use std::cell::RefCell;
/// use std::rc::Rc;
/// use cyclegc::Phase;
///
/// let phases = Rc::new(RefCell::new(Vec::new()));
/// let seen = phases.clone();
/// let id = cyclegc::add_callback(move |phase, _| seen.borrow_mut().push(phase));
/// cyclegc::collect();
/// assert_eq!(*phases.borrow(), [Phase::Start, Phase::Stop]);
/// # cyclegc::remove_callback(id);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// A collection is about to start (CPython `"start"`).
    Start,
    /// A collection has finished (CPython `"stop"`).
    Stop,
}

/// What a callback of [`add_callback`] is told (CPython's `info`).
///
/// ```
/// use cyclegc::{CollectInfo, Generation, Phase};
///
/// let id = cyclegc::add_callback(|phase, info: &CollectInfo| {
///     assert_eq!(info.generation, Generation::Old);
///     assert_eq!(info.stats.collected, 0);
/// });
/// cyclegc::collect();
/// # cyclegc::remove_callback(id);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CollectInfo {
    /// The oldest generation that is collected.
    pub generation: Generation,
    /// The result; zeros when the collection starts.
    pub stats: CollectStats,
}

/// Names a callback for [`remove_callback`].
///
/// ```
/// let ids = [(); 2].map(|()| cyclegc::add_callback(|_, _| ()));
/// assert_ne!(ids[0], ids[1]);
/// assert!(ids.into_iter().all(cyclegc::remove_callback));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CallbackId(pub(crate) u64);

type CallbackFn = Rc<dyn Fn(Phase, &CollectInfo)>;

#[derive(Clone)]
pub(crate) struct CallbackEntry {
    id: CallbackId,
    call: CallbackFn,
}

/// Lets `callback` hear of each collection (`gc.callbacks.append`).
///
/// A panic in it goes to [`set_unraisable_hook`](crate::set_unraisable_hook).
///
/// ```
/// use std::cell::Cell;
/// use std::rc::Rc;
///
/// let calls = Rc::new(Cell::new(0));
/// let seen = calls.clone();
/// let id = cyclegc::add_callback(move |_, _| seen.set(seen.get() + 1));
/// cyclegc::collect();
/// assert!(cyclegc::remove_callback(id));
/// cyclegc::collect();
/// assert_eq!(calls.get(), 2);
/// ```
pub fn add_callback(callback: impl Fn(Phase, &CollectInfo) + 'static) -> CallbackId {
    state::with(|state| {
        state.open();
        let id = CallbackId(state.next_callback.get());
        state.next_callback.set(id.0 + 1);
        let call = Rc::new(callback);
        state
            .callbacks
            .borrow_mut()
            .push(CallbackEntry { id, call });
        id
    })
}

/// Removes a callback; false if it is not there (`gc.callbacks.remove`).
///
/// ```
/// let id = cyclegc::add_callback(|_, _| ());
/// assert!(cyclegc::remove_callback(id));
/// assert!(!cyclegc::remove_callback(id));
/// ```
pub fn remove_callback(id: CallbackId) -> bool {
    let removed: Vec<CallbackEntry> = state::with(|state| {
        let mut callbacks = state.callbacks.borrow_mut();
        let (removed, kept) = callbacks.drain(..).partition(|entry| entry.id == id);
        *callbacks = kept;
        removed
    });
    !removed.is_empty()
}

/// Tells the callbacks of a collection.
pub(crate) fn notify(state: &State, phase: Phase, generation: Generation, stats: &CollectStats) {
    if state.callbacks.borrow().is_empty() {
        return;
    }
    let callbacks = state.callbacks.borrow().clone();
    let info = CollectInfo {
        generation,
        stats: *stats,
    };
    for entry in callbacks {
        unraisable::guarded(
            UnraisablePlace::Callback,
            || "",
            || {
                (entry.call)(phase, &info);
                drop(entry);
            },
        );
    }
}
