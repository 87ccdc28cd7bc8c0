//! `DebugFlags` and what they print.

use std::ptr::NonNull;

use bitflags::bitflags;

use crate::any::AnyGc;
use crate::generation::{Generation, PERMANENT};
use crate::header::Header;
use crate::module::{self, CollectStats};
use crate::state::State;

bitflags! {
    /// What a collection prints to standard error, and what it keeps.
    ///
    /// The values are CPython's `gc.DEBUG_*`.
    ///
    /// ```
    /// use cyclegc::DebugFlags;
    ///
    /// assert_eq!(DebugFlags::LEAK.bits(), 38);
    /// ```
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct DebugFlags: u32 {
        /// Print how each collection went.
        const STATS = 1;
        /// Print the unreachable objects.
        const COLLECTABLE = 2;
        /// Print the objects whose `trace` panicked.
        const UNCOLLECTABLE = 4;
        /// Put unreachable objects into [`garbage`](crate::garbage) instead of
        /// destroying them.
        const SAVEALL = 32;
        /// To find a leak: all but `STATS`.
        const LEAK = 38;
    }
}

pub(crate) fn print_start(state: &State, generation: Generation) {
    let [young, middle, old, permanent] = module::generation_sizes(state);
    eprintln!("gc: collecting generation {}...", generation.index());
    eprintln!("gc: objects in each generation: {young} {middle} {old}");
    eprintln!("gc: objects in permanent generation: {permanent}");
    debug_assert_eq!(PERMANENT, 3);
}

pub(crate) fn print_end(stats: &CollectStats) {
    eprintln!(
        "gc: done, {} unreachable, {} uncollectable, {:.4}s elapsed",
        stats.collected,
        stats.uncollectable,
        stats.duration.as_secs_f64(),
    );
}

pub(crate) fn print_objects(what: &str, objects: &[NonNull<Header>]) {
    for object in objects {
        // SAFETY: the collection's members are alive; no code of a user runs
        // while the handle exists.
        let any = unsafe { AnyGc::share(*object) };
        eprintln!("gc: {what} {any:?}");
        crate::any::forget(any);
    }
}
