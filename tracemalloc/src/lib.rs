//! Python's `tracemalloc` for Rust programs: who allocated what.

#[cfg(feature = "export")]
mod export;
mod file;
pub mod snapshot;
pub mod symbols;

#[cfg(feature = "export")]
pub use export::{Format, UnknownFormat};
pub use file::LoadError;
pub use snapshot::{
    DomainFilter, Filter, Frame, FunctionFilter, KeyType, RawSnapshot, Size, Snapshot,
    StandardError, Statistic, StatisticDiff, Trace, TraceFilter, Traceback, Traces,
};
