//! Python's `tracemalloc` for Rust programs: who allocated what.

pub mod snapshot;
