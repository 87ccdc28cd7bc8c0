//! What the fuzz targets run: bytes become a program, and the program runs beside the
//! model that the package's own tests use.
//!
//! | target | program | model |
//! |---|---|---|
//! | `alloc_ops` | allocate, resize, free, trim on three threads in turn | `pymalloc/tests/model` |
//! | `alloc_faults` | the same, while chosen system calls fail | the same |
//! | `alloc_races` | three threads at once that exchange blocks, exit and start | `pymalloc/tests/model/exchange.rs` |
//! | `gc_programs` | handles, links, weak references, collections | `cyclegc/tests/model` |
//! | `gc_finalizers` | finalizers that resurrect, breed, cut, watch, panic | the same |
//! | `trace_files` | chunks of a snapshot's file | what loads is written, and loads again, equal |
//!
//! A broken claim is a panic, which libFuzzer reports with the bytes that led to it.

mod allocs;
mod finalizers;
mod graphs;
mod races;
mod snapshots;

#[path = "../../pymalloc/tests/model/mod.rs"]
mod model;
#[path = "../../cyclegc/tests/model/stage.rs"]
mod stage;
#[path = "../../cyclegc/tests/model/tag.rs"]
mod tag;
#[path = "../../cyclegc/tests/model/world.rs"]
mod world;

pub use allocs::{alloc_faults, alloc_ops};
pub use finalizers::gc_finalizers;
pub use graphs::gc_programs;
pub use races::alloc_races;
pub use snapshots::trace_files;
