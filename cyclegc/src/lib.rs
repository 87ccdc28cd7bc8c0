//! Reference counting with CPython's generational cycle detector.
//!
//! [`Gc<T>`] is a counted pointer like [`Rc`](std::rc::Rc): what counting can
//! free is freed at once. What it cannot, handles that refer to each other in a
//! circle, a collector finds and frees while the program runs. No unsafe code,
//! no guard to dereference, no roots to register:
//!
//! ```
//! use std::cell::RefCell;
//! use cyclegc::{Gc, Trace};
//!
//! #[derive(Trace)]
//! struct Node {
//!     name: &'static str,
//!     links: RefCell<Vec<Gc<Node>>>,
//! }
//!
//! let node = |name| Gc::new(Node { name, links: RefCell::default() });
//! let (parent, child) = (node("parent"), node("child"));
//! parent.links.borrow_mut().push(child.clone());
//! child.links.borrow_mut().push(parent.clone());
//! drop((parent, child)); // a cycle: counting alone would leak it
//! assert_eq!(cyclegc::collect().collected, 2); // `Gc::new` collects by itself, too
//! ```
//!
//! # Threads
//!
//! `Gc` is for one thread, as `Rc`. [`sync::Gc`] is the same for many, as `Arc`: [`sync`] has
//! both side by side.
//!
//! # An object
//!
//! ```text
//!  Gc<Node> ---+
//!              v
//!   [aux|index][count|weak,flags|vtable] [ value ]
//!    tracked     every object: 16 bytes    may hold Gc<_>
//!    only: 8
//! ```
//!
//! Objects lie in *pools* of their thread, 16 KiB of blocks of one size, as
//! CPython's do: `Gc::new` takes a block and a dead object gives it back in a
//! few instructions, and the pools are the collector's list of what there is.
//! Pools come from the program's global allocator and go back to it when they
//! are empty, but for 16 of them and one a size; objects of more than 3584 bytes
//! or with a rare alignment have memory of their own. Built with
//! `--cfg cyclegc_alone` every object has, so that a memory checker sees each.
//!
//! Types that can hold no handle are *untracked*: no collection knows their
//! objects. A drop that is not the last of its object makes it a *suspect*:
//! garbage that counting misses always contains one. A program without cycles
//! is never traced.
//!
//! # A collection in six steps
//!
//! 1. The suspects of the generation and the younger ones, and what they reach
//!    in these, become candidates; their counts are copied.
//! 2. For each handle that a candidate holds, the copy of its target goes down
//!    by one. What stays above zero is referenced from outside, and what it
//!    reaches is alive. The rest is unreachable.
//! 3. Weak references to the unreachable are cleared; callbacks run.
//! 4. Finalizers run, everything still intact.
//! 5. What they resurrected lives on.
//! 6. The others are destroyed: first all values, then all memory.
//!
//! Three generations, thresholds of 700, 10 and 10, the 25 % rule, the order of
//! finalizers and callbacks, and the counts that [`collect`] returns are those
//! of CPython 3.11. Nothing recurses: neither dropping nor collecting needs
//! more stack for more objects. Within one value, 128 levels of boxes and
//! collections are looked into.
//!
//! # What Python calls it
//!
//! | Python | here |
//! |---|---|
//! | `gc.collect()`, `gc.collect(n)` | [`collect`], [`collect_generation`] |
//! | `gc.enable`, `disable`, `isenabled` | [`enable`], [`disable`], [`is_enabled`] |
//! | `gc.get_threshold`, `set_threshold` | [`threshold`], [`set_threshold`] |
//! | `gc.get_count`, `get_stats` | [`count`], [`stats`] |
//! | `gc.get_objects` | [`objects`] |
//! | `gc.get_referrers`, `get_referents` | [`referrers`], [`referents`], [`edges`] |
//! | `gc.is_tracked`, `is_finalized` | [`Gc::is_tracked`], [`Gc::is_finalized`] |
//! | `gc.freeze`, `unfreeze`, `get_freeze_count` | [`freeze`], [`unfreeze`], [`frozen_count`] |
//! | `gc.callbacks` | [`add_callback`], [`remove_callback`] |
//! | `gc.set_debug`, `gc.garbage` | [`set_debug`], [`garbage`], [`take_garbage`] |
//! | `sys.getrefcount`, `sys.getsizeof` | [`Gc::ref_count`], [`AnyGc::size`], [`deep_size_of`] |
//! | `__del__`, `weakref.finalize`, `sys.unraisablehook` | [`Finalize`], [`set_unraisable_hook`] |
//! | `weakref.ref`, `WeakValueDictionary` | [`Weak`], [`WeakValueMap`] |
//! | objgraph, Pympler, heapy | [`objgraph`] |
//! | `sys.intern`, small integers | [`intern::Interner`], [`Gc::small_int`] |
//!
//! # Features
//!
//! `derive` (default); `serde`; `indexmap`, `hashbrown` and `smallvec` for
//! [`Trace`] on their collections, `parking_lot` on its locks.
//!
//! # Invariants
//!
//! Numbered in the files: `header.rs` (what counts and flags mean), `collect.rs`
//! (why suspects are enough, and why no `&mut` is in the way), `delete.rs` (why
//! nothing is freed twice), `pool.rs`, `heap.rs`, `slots.rs` and `dealloc.rs`.

#[cfg(all(doctest, feature = "derive"))]
#[doc = include_str!("../README.md")]
struct Readme;

// The derive's output names this crate.
extern crate self as cyclegc;

mod any;
mod collect;
mod dealloc;
mod debug;
mod delete;
mod derive_support;
mod edge;
mod gc;
mod gc_box;
mod gc_from;
#[cfg(feature = "serde")]
mod gc_serde;
mod gc_traits;
mod generation;
mod header;
mod heap;
pub mod intern;
mod lone;
mod module;
pub mod objgraph;
#[cfg(cyclegc_provenance)]
mod origin;
mod pool;
mod prefetch;
mod slots;
mod state;
pub mod sync;
mod trace;
mod trace_cells;
#[cfg(any(
    feature = "indexmap",
    feature = "hashbrown",
    feature = "smallvec",
    feature = "parking_lot"
))]
mod trace_crates;
mod trace_impls;
mod type_depth;
mod unraisable;
mod weak;
mod weak_cell;
mod weak_map;

pub use any::AnyGc;
pub use debug::DebugFlags;
pub use edge::{Edge, EdgeTracer};
pub use gc::Gc;
pub use generation::{Generation, InvalidGeneration, Thresholds};
pub use module::{
    CallbackId, CollectInfo, CollectStats, GenerationStats, Phase, add_callback, collect,
    collect_generation, count, debug, deep_size_of, disable, edges, enable, freeze, frozen_count,
    garbage, is_enabled, objects, referents, referrers, remove_callback, set_debug, set_threshold,
    stats, suspect_count, take_garbage, threshold, tracked_count, unfreeze,
};
pub use trace::{Finalize, Trace, Tracer};
pub use type_depth::TypeDepth;
pub use unraisable::{Unraisable, UnraisableHook, UnraisablePlace, set_unraisable_hook};
pub use weak::Weak;
pub use weak_map::WeakValueMap;

#[cfg(feature = "derive")]
pub use cyclegc_derive::Trace;

#[doc(hidden)]
pub mod __derive {
    //! For the derive's output.
    pub use crate::derive_support::{Coerce, Finalizer, NoFinalizer};
}
