//! The same graph for each crate: a node has a number and links.

/// A crate's counted or traced handles.
pub trait Heap: 'static {
    const NAME: &'static str;
    /// It frees cycles.
    const COLLECTS: bool = true;
    /// It collects by itself; else the workload asks every 1000 operations.
    const AUTOMATIC: bool = true;
    /// Dropping a handle frees what counting can free.
    const COUNTS: bool = true;
    type Handle: Clone + 'static;

    fn new(v: u64) -> Self::Handle;
    fn link(from: &Self::Handle, to: Self::Handle);
    fn value(handle: &Self::Handle) -> u64;
    fn collect() {}
}

macro_rules! node {
    ($(#[$attribute:meta])* $gc:ident, $cell:ident) => {
        $(#[$attribute])*
        pub struct Node {
            v: u64,
            next: $cell<Vec<$gc<Node>>>,
        }
    };
}

macro_rules! heap {
    ($heap:ident, $name:literal, $gc:ident, $cell:ident, { $($rest:tt)* }) => {
        pub struct $heap;
        impl super::Heap for $heap {
            const NAME: &'static str = $name;
            type Handle = $gc<Node>;
            #[inline]
            fn new(v: u64) -> $gc<Node> {
                $gc::new(Node { v, next: $cell::new(Vec::new()) })
            }
            #[inline]
            fn link(from: &$gc<Node>, to: $gc<Node>) {
                from.next.borrow_mut().push(to);
            }
            #[inline]
            fn value(handle: &$gc<Node>) -> u64 {
                handle.v
            }
            $($rest)*
        }
    };
}

pub mod rc {
    use std::cell::RefCell;
    use std::rc::Rc;
    node!(Rc, RefCell);
    heap!(H, "Rc", Rc, RefCell, {
        const COLLECTS: bool = false;
    });
}

pub mod cyclegc {
    use cyclegc::{Gc, Trace};
    use std::cell::RefCell;
    node!(
        #[derive(Trace)]
        Gc,
        RefCell
    );
    heap!(H, "cyclegc", Gc, RefCell, {
        fn collect() {
            cyclegc::collect();
        }
    });
}

pub mod rust_cc {
    use rust_cc::{Cc, Context, Finalize, Trace};
    use std::cell::RefCell;
    node!(Cc, RefCell);
    impl Finalize for Node {}
    // SAFETY: every link is traced once.
    unsafe impl Trace for Node {
        fn trace(&self, ctx: &mut Context<'_>) {
            self.next.trace(ctx);
        }
    }
    heap!(H, "rust-cc", Cc, RefCell, {
        fn collect() {
            rust_cc::collect_cycles();
        }
    });
}

pub mod gcmodule {
    use gcmodule::{Cc, Trace, Tracer};
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
    heap!(H, "gcmodule", Cc, RefCell, {
        const AUTOMATIC: bool = false;
        fn collect() {
            gcmodule::collect_thread_cycles();
        }
    });
}

pub mod bacon_rajan {
    use bacon_rajan_cc::{Cc, Trace, Tracer};
    use std::cell::RefCell;
    node!(Cc, RefCell);
    impl Trace for Node {
        fn trace(&self, tracer: &mut Tracer) {
            self.next.borrow().trace(tracer);
        }
    }
    heap!(H, "bacon_rajan_cc", Cc, RefCell, {
        const AUTOMATIC: bool = false;
        fn collect() {
            bacon_rajan_cc::collect_cycles();
        }
    });
}

pub mod dumpster {
    use dumpster::{Trace, unsync::Gc};
    use std::cell::RefCell;
    // Its derive does not work inside a macro.
    #[derive(Trace)]
    pub struct Node {
        v: u64,
        next: RefCell<Vec<Gc<Node>>>,
    }
    heap!(H, "dumpster", Gc, RefCell, {
        fn collect() {
            dumpster::unsync::collect();
        }
    });
}

pub mod gc {
    use gc::{Finalize, Gc, GcCell, Trace};
    node!(
        #[derive(Trace, Finalize)]
        Gc,
        GcCell
    );
    heap!(H, "gc", Gc, GcCell, {
        const COUNTS: bool = false;
        fn collect() {
            gc::force_collect();
        }
    });
}

pub mod boa {
    use boa_gc::{Finalize, Gc, GcRefCell, Trace};
    node!(
        #[derive(Trace, Finalize)]
        Gc,
        GcRefCell
    );
    heap!(H, "boa_gc", Gc, GcRefCell, {
        const COUNTS: bool = false;
        fn collect() {
            boa_gc::force_collect();
        }
    });
}
