//! Python's `tracemalloc` for Rust programs: who allocated what.

mod file;
mod record;
pub mod snapshot;
pub mod symbols;

pub use file::LoadError;
pub use record::{
    BadConfig, Config, Mode, NotTracing, PeakError, StartError, Traced, Unwinder, clear_traces,
    get_address_traceback, get_object_traceback, get_traceback_limit, get_traced_memory,
    get_tracemalloc_memory, is_tracing, reset_peak, start, start_with, stop, take_peak_snapshot,
    take_snapshot, track, untrack,
};
pub use snapshot::{
    DomainFilter, Filter, Frame, FunctionFilter, KeyType, RawSnapshot, Snapshot, StandardError,
    Statistic, StatisticDiff, Trace, TraceFilter, Traceback, Traces,
};
