//! Python's `tracemalloc` for Rust programs: who allocated what.

#[cfg(feature = "export")]
mod export;
mod file;
#[cfg(feature = "pymalloc")]
mod heap;
mod record;
pub mod snapshot;
pub mod symbols;
mod timeline;

#[cfg(feature = "export")]
pub use export::{Format, UnknownFormat};
pub use file::LoadError;
pub use record::{
    BadConfig, Config, Mode, NotTracing, PeakError, StartError, Traced, Unwinder, clear_traces,
    get_address_traceback, get_object_traceback, get_traceback_limit, get_traced_memory,
    get_tracemalloc_memory, is_tracing, reset_peak, start, start_with, stop, take_peak_snapshot,
    take_snapshot, track, untraced, untrack,
};
pub use snapshot::{
    DomainFilter, Filter, Frame, FunctionFilter, KeyType, RawSnapshot, Size, Snapshot,
    StandardError, Statistic, StatisticDiff, Trace, TraceFilter, Traceback, Traces,
};
pub use timeline::Timeline;
