//! `DebugFlags` and what they print.

use std::fmt;
use std::io::{self, Write as _};
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

/// Writes a line to standard error. Unlike `eprintln!`, it does not panic when
/// nobody listens there.
pub(crate) fn print(line: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// Ends a program that cannot go on.
#[cold]
pub(crate) fn abort(reason: fmt::Arguments<'_>) -> ! {
    print(format_args!("cyclegc: {reason}"));
    std::process::abort()
}

pub(crate) fn print_start(state: &State, generation: Generation) {
    let [young, middle, old, permanent] = module::generation_sizes(state);
    let index = generation.index();
    print(format_args!("gc: collecting generation {index}..."));
    print(format_args!(
        "gc: objects in each generation: {young} {middle} {old}"
    ));
    print(format_args!(
        "gc: objects in permanent generation: {permanent}"
    ));
    debug_assert_eq!(PERMANENT, 3);
}

pub(crate) fn print_end(stats: &CollectStats) {
    print(format_args!(
        "gc: done, {} unreachable, {} uncollectable, {:.4}s elapsed",
        stats.collected,
        stats.uncollectable,
        stats.duration.as_secs_f64(),
    ));
}

pub(crate) fn print_objects(what: &str, objects: &[NonNull<Header>]) {
    for object in objects {
        // SAFETY: the collection's members are alive; no code of a user runs
        // while the handle exists.
        let any = unsafe { AnyGc::share(*object) };
        print(format_args!("gc: {what} {any:?}"));
        crate::any::forget(any);
    }
}
