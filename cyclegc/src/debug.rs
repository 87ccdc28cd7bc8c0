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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gc::Gc;
    use crate::gc_box::vtable_of;
    use crate::header::VTable;
    use crate::trace::{Trace, Tracer};

    struct Bad;

    // SAFETY: no edge is reported.
    unsafe impl Trace for Bad {
        fn trace(&self, _: &mut Tracer<'_>) {
            panic!("trace");
        }
    }

    /// Runs this test again in a process of its own, whose end it returns.
    #[cfg(unix)]
    fn again(name: &str) -> std::process::Output {
        std::process::Command::new(std::env::current_exe().expect("a path"))
            .args(["--exact", name, "--nocapture"])
            .env("CYCLEGC_TEST_ABORTS", "1")
            .output()
            .expect("it starts")
    }

    #[cfg(unix)]
    #[test]
    fn a_panic_that_comes_out_of_a_collection_aborts() {
        use std::os::unix::process::ExitStatusExt;

        if std::env::var_os("CYCLEGC_TEST_ABORTS").is_none() {
            let output = again("debug::tests::a_panic_that_comes_out_of_a_collection_aborts");
            let message = String::from_utf8_lossy(&output.stderr);
            assert!(
                message.contains("cyclegc: a panic came out of a collection"),
                "{message}"
            );
            assert_eq!(output.status.signal(), Some(6), "{message}");
            return;
        }
        // No code of a user can do this: what names a type panics, in the
        // middle of the first pass.
        let table: &'static VTable = Box::leak(Box::new(VTable {
            type_name: || panic!("not caught"),
            ..*vtable_of::<Bad>()
        }));
        let bad = Gc::new(Bad);
        let header = bad.head();
        let (count, flags) = (header.raw_count(), header.flags());
        // SAFETY: it only names the type in another way.
        unsafe { bad.header().write(Header::new(count, flags, table)) };
        drop(bad.clone());
        crate::collect();
    }
}
