//! Reference counting with CPython's generational cycle detector.

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
pub mod intern;
mod module;
mod prefetch;
mod slots;
mod state;
mod trace;
#[cfg(any(feature = "indexmap", feature = "hashbrown", feature = "smallvec"))]
mod trace_crates;
mod trace_impls;
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
pub use trace::{Finalize, Trace, Tracer, TypeDepth};
pub use unraisable::{Unraisable, UnraisableHook, UnraisablePlace, set_unraisable_hook};
pub use weak::Weak;
pub use weak_map::WeakValueMap;

#[cfg(feature = "derive")]
pub use cyclegc_derive::Trace;

#[doc(hidden)]
pub mod __derive {
    //! For the derive's output.
    pub use crate::derive_support::{Finalizer, NoFinalizer};
}
