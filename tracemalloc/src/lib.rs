//! Python's `tracemalloc` for Rust programs: who allocated what.

mod file;
pub mod snapshot;
pub mod symbols;

pub use file::LoadError;
pub use snapshot::{
    DomainFilter, Filter, Frame, FunctionFilter, KeyType, RawSnapshot, Snapshot, StandardError,
    Statistic, StatisticDiff, Trace, TraceFilter, Traceback, Traces,
};
