//! Python's `tracemalloc` for Rust programs: who allocated what.
//!
//! ```
//! # use std::alloc::System;
//! use tracemalloc::{KeyType, Traced};
//!
//! // Or `pymalloc::PyMalloc`, which needs no wrapper.
//! #[global_allocator]
//! static GLOBAL: Traced<System> = Traced(System);
//!
//! tracemalloc::start(25)?;
//! let before = tracemalloc::take_snapshot()?;
//! let kept: Vec<String> = (0..1000).map(|n| format!("number {n}")).collect();
//! let after = tracemalloc::take_snapshot()?;
//! for change in after.compare_to(&before, KeyType::Lineno, false).iter().take(10) {
//!     println!("{change}");
//! }
//! # drop(kept);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The ways through the house
//!
//! ```text
//!  allocator ─▶ record/ ─▶ RawSnapshot ─▶ snapshot/  statistics, compare_to, filter_traces
//!   a block      its stack   addresses        │ ▲
//!                                             ▼ │ names, when first asked
//!                              file/ ◀─ dump  │ symbols/
//!                              load  ─▶       ▼
//!                                         export/  pprof, flame graph, DHAT, speedscope, HTML
//! ```
//!
//! Beside that way lie what needs no recording: [`memory_info`], what the system says of the
//! process; [`waterfall()`], where its resident memory went; [`Timeline`], and [`plot()`], which draws
//! it; [`measure()`], what one thread allocates in a piece of code, for tests; and
//! [`#[profile]`](macro@profile), what each line of a function does.
//!
//! Recording never looks up a name, and a snapshot never looks at the program's memory: between
//! them is [`RawSnapshot`], plain numbers that a file can hold. What CPython calls a thing is said
//! at each; where it differs, that is said as well.

mod dumper;
#[cfg(feature = "export")]
mod export;
mod file;
#[cfg(feature = "pymalloc")]
mod heap;
mod measure;
mod memory_info;
#[cfg(feature = "cyclegc")]
mod objects;
mod plot;
#[cfg(feature = "profile")]
mod profile;
mod record;
pub mod snapshot;
pub mod symbols;
mod timeline;
mod waterfall;
mod worker;

pub use dumper::Dumper;
#[cfg(feature = "export")]
pub use export::{Format, UnknownFormat};
pub use file::LoadError;
pub use measure::{Counted, NotCounted, Region, Usage, measure};
pub use memory_info::{MemoryInfo, memory_info, memory_info_of};
#[cfg(feature = "cyclegc")]
pub use objects::object_stacks;
pub use plot::{PlotError, plot};
#[cfg(feature = "profile")]
pub use profile::profile;
pub use record::{
    BadConfig, Config, Mode, NotTracing, PeakError, StartError, Traced, Unwinder, clear_traces,
    get_address_traceback, get_object_traceback, get_traceback_limit, get_traced_memory,
    get_tracemalloc_memory, is_tracing, reset_peak, start, start_with, stop, take_peak_snapshot,
    take_snapshot, track, untraced, untrack,
};
pub use snapshot::{
    DomainFilter, Filter, Frame, FunctionFilter, Growth, KeyType, RawSnapshot, Size, Snapshot,
    StandardError, Statistic, StatisticDiff, TooFewSnapshots, Trace, TraceFilter, Traceback,
    Traces, Trend, trends,
};
pub use timeline::Timeline;
pub use waterfall::{Waterfall, waterfall};

#[cfg(feature = "profile")]
#[doc(hidden)]
pub mod __profile {
    //! For what `#[profile]` makes of a function.
    pub use crate::profile::{Call, Leaving, Site, WriteTable};
}
