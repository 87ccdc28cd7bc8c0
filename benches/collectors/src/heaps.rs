//! One module a crate: its node, and how it makes, links, reads and collects it.

use crate::heap::{Heap, Tally};

macro_rules! node {
    ($(#[$attribute:meta])* $gc:ident, $cell:ident $(, #[$skip:meta])?) => {
        /// A node of this crate's.
        $(#[$attribute])*
        #[allow(missing_debug_implementations, reason = "not every crate's handles have one")]
        pub struct Node {
            v: u64,
            $(#[$skip])?
            #[allow(dead_code, reason = "it is there to be dropped")]
            alive: Tally,
            next: $cell<Vec<$gc<Node>>>,
        }
    };
}

macro_rules! heap {
    ($gc:ident, $cell:ident, $borrow:ident $($unwrap:ident)?, { $($rest:tt)* }) => {
        /// This crate.
        #[derive(Debug)]
        pub struct H;
        impl Heap for H {
            type Handle = $gc<Node>;
            #[inline]
            fn new(v: u64) -> $gc<Node> {
                $gc::new(Node { v, alive: Tally::new(), next: $cell::new(Vec::new()) })
            }
            #[inline]
            fn link(from: &$gc<Node>, to: $gc<Node>) {
                from.next.$borrow()$(.$unwrap())?.push(to);
            }
            #[inline]
            fn value(handle: &$gc<Node>) -> u64 {
                handle.v
            }
            $($rest)*
        }
    };
}

/// Reads through a weak handle: made by `$downgrade`, asked by `upgrade`.
macro_rules! through_weak {
    ($gc:ident, |$handle:ident| $weak:expr) => {
        #[inline]
        fn value_through_weak($handle: &$gc<Node>) -> u64 {
            let weak = std::hint::black_box($weak);
            weak.upgrade().map_or(0, |strong| strong.v)
        }
    };
}

/// `Rc`, which leaks cycles.
pub mod rc {
    use super::*;
    use std::cell::RefCell;
    use std::rc::Rc;
    node!(Rc, RefCell);
    heap!(Rc, RefCell, borrow_mut, {
        const COLLECTS: bool = false;
        through_weak!(Rc, |handle| Rc::downgrade(handle));
    });
}

/// `Arc`, which leaks cycles.
#[cfg(feature = "arc")]
pub mod arc {
    use super::*;
    use std::sync::{Arc, Mutex};
    node!(Arc, Mutex);
    heap!(Arc, Mutex, lock unwrap, {
        const COLLECTS: bool = false;
        through_weak!(Arc, |handle| Arc::downgrade(handle));
    });
}

/// cyclegc: counting, and CPython's collector.
#[cfg(feature = "cyclegc")]
pub mod cyclegc {
    use super::*;
    use ::cyclegc::{Gc, Trace};
    use std::cell::RefCell;
    node!(#[derive(Trace)] Gc, RefCell, #[trace(skip)]);
    heap!(Gc, RefCell, borrow_mut, {
        fn collect() {
            ::cyclegc::collect();
        }
        through_weak!(Gc, |handle| Gc::downgrade(handle));
    });
}

/// cyclegc for several threads, here used by one.
#[cfg(feature = "cyclegc-sync")]
pub mod cyclegc_sync {
    use super::*;
    use ::cyclegc::{Trace, sync::Gc};
    use std::sync::Mutex;
    node!(#[derive(Trace)] Gc, Mutex, #[trace(skip)]);
    heap!(Gc, Mutex, lock unwrap, {
        fn collect() {
            ::cyclegc::sync::collect();
        }
        through_weak!(Gc, |handle| Gc::downgrade(handle));
    });
}

/// rust-cc: counting, and trial deletion.
#[cfg(feature = "rust-cc")]
pub mod rust_cc {
    use super::*;
    use ::rust_cc::{Cc, Context, Finalize, Trace};
    use std::cell::RefCell;
    node!(Cc, RefCell);
    impl Finalize for Node {}
    // SAFETY: every link is traced once.
    unsafe impl Trace for Node {
        fn trace(&self, context: &mut Context<'_>) {
            self.next.trace(context);
        }
    }
    heap!(Cc, RefCell, borrow_mut, {
        fn collect() {
            ::rust_cc::collect_cycles();
        }
        through_weak!(Cc, |handle| handle.downgrade());
    });
}

/// gcmodule: counting, and CPython's collector when asked.
#[cfg(feature = "gcmodule")]
pub mod gcmodule {
    use super::*;
    use ::gcmodule::{Cc, Trace, Tracer};
    use std::cell::RefCell;
    node!(Cc, RefCell);
    impl Trace for Node {
        fn trace(&self, tracer: &mut Tracer) {
            self.next.trace(tracer);
        }
        fn is_type_tracked() -> bool {
            true
        }
    }
    heap!(Cc, RefCell, borrow_mut, {
        const AUTOMATIC: bool = false;
        const WEAK: bool = false;
        fn collect() {
            ::gcmodule::collect_thread_cycles();
        }
    });
}

/// bacon_rajan_cc: counting, and trial deletion when asked.
#[cfg(feature = "bacon-rajan")]
pub mod bacon_rajan {
    use super::*;
    use bacon_rajan_cc::{Cc, Trace, Tracer};
    use std::cell::RefCell;
    node!(Cc, RefCell);
    impl Trace for Node {
        fn trace(&self, tracer: &mut Tracer<'_>) {
            self.next.borrow().trace(tracer);
        }
    }
    heap!(Cc, RefCell, borrow_mut, {
        const AUTOMATIC: bool = false;
        fn collect() {
            bacon_rajan_cc::collect_cycles();
        }
        through_weak!(Cc, |handle| handle.downgrade());
    });
}

/// dumpster for one thread.
#[cfg(feature = "dumpster")]
pub mod dumpster {
    use super::*;
    use ::dumpster::{Trace, TraceWith, Visitor, unsync::Gc};
    use std::cell::RefCell;

    // SAFETY: a tally holds no handle.
    unsafe impl<V: Visitor> TraceWith<V> for Tally {
        fn accept(&self, _: &mut V) -> Result<(), ()> {
            Ok(())
        }
    }
    /// A node; its derive does not work inside a macro.
    #[derive(Trace)]
    #[allow(missing_debug_implementations, reason = "as the other crates' nodes")]
    pub struct Node {
        v: u64,
        alive: Tally,
        next: RefCell<Vec<Gc<Node>>>,
    }
    heap!(Gc, RefCell, borrow_mut, {
        const WEAK: bool = false;
        fn collect() {
            ::dumpster::unsync::collect();
        }
    });
}

/// dumpster for several threads, here used by one.
#[cfg(feature = "dumpster-sync")]
pub mod dumpster_sync {
    use super::*;
    use ::dumpster::{Trace, sync::Gc};
    use std::sync::Mutex;

    #[cfg(not(feature = "dumpster"))]
    // SAFETY: a tally holds no handle.
    unsafe impl<V: ::dumpster::Visitor> ::dumpster::TraceWith<V> for Tally {
        fn accept(&self, _: &mut V) -> Result<(), ()> {
            Ok(())
        }
    }
    /// A node; its derive does not work inside a macro.
    #[derive(Trace)]
    #[allow(missing_debug_implementations, reason = "as the other crates' nodes")]
    pub struct Node {
        v: u64,
        alive: Tally,
        next: Mutex<Vec<Gc<Node>>>,
    }
    heap!(Gc, Mutex, lock unwrap, {
        const WEAK: bool = false;
        fn collect() {
            ::dumpster::sync::collect();
        }
    });
}

/// gc: tracing only.
#[cfg(feature = "gc")]
#[expect(non_local_definitions, reason = "what its derive writes")]
pub mod gc {
    use super::*;
    use ::gc::{Finalize, Gc, GcCell, Trace};
    impl Finalize for Tally {}
    // SAFETY: a tally holds no handle.
    unsafe impl Trace for Tally {
        ::gc::unsafe_empty_trace!();
    }
    node!(
        #[derive(Trace, Finalize)]
        Gc,
        GcCell
    );
    heap!(Gc, GcCell, borrow_mut, {
        const WEAK: bool = false;
        fn collect() {
            ::gc::force_collect();
        }
    });
}

/// boa_gc: tracing only.
#[cfg(feature = "boa")]
pub mod boa {
    use super::*;
    use boa_gc::{Finalize, Gc, GcRefCell, Trace, WeakGc};
    impl Finalize for Tally {}
    // SAFETY: a tally holds no handle.
    unsafe impl Trace for Tally {
        boa_gc::empty_trace!();
    }
    node!(
        #[derive(Trace, Finalize)]
        Gc,
        GcRefCell
    );
    heap!(Gc, GcRefCell, borrow_mut, {
        fn collect() {
            boa_gc::force_collect();
        }
        through_weak!(Gc, |handle| WeakGc::new(handle));
    });
}

/// What `main` runs on.
pub use chosen::H as Chosen;

#[cfg(feature = "arc")]
use arc as chosen;
#[cfg(all(feature = "bacon-rajan", not(feature = "rivals")))]
use bacon_rajan as chosen;
#[cfg(all(feature = "boa", not(feature = "rivals")))]
use boa as chosen;
#[cfg(all(feature = "cyclegc", not(feature = "rivals")))]
use cyclegc as chosen;
#[cfg(all(feature = "cyclegc-sync", not(feature = "rivals")))]
use cyclegc_sync as chosen;
#[cfg(all(feature = "dumpster", not(feature = "rivals")))]
use dumpster as chosen;
#[cfg(all(feature = "dumpster-sync", not(feature = "rivals")))]
use dumpster_sync as chosen;
#[cfg(all(feature = "gc", not(feature = "rivals")))]
use gc as chosen;
#[cfg(all(feature = "gcmodule", not(feature = "rivals")))]
use gcmodule as chosen;
#[cfg(not(any(
    feature = "arc",
    feature = "bacon-rajan",
    feature = "boa",
    feature = "cyclegc",
    feature = "cyclegc-sync",
    feature = "dumpster",
    feature = "dumpster-sync",
    feature = "gc",
    feature = "gcmodule",
    feature = "rust-cc",
)))]
use rc as chosen;
#[cfg(all(feature = "rust-cc", not(feature = "rivals")))]
use rust_cc as chosen;
