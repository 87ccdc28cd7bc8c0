//! What was allocated at one moment: a snapshot, taken, loaded, compared and shown.
//!
//! ```text
//!  recorder ──▶ RawSnapshot ──▶ Snapshot ── statistics, compare_to ──▶ Statistic, StatisticDiff
//!                   ▲   │          │
//!              load │   │ dump     └── export: pprof, flame graph, HTML ...
//!                   file
//! ```
//!
//! A snapshot is addresses until somebody asks for a file name; then all its symbols are resolved
//! at once, and kept with all snapshots that were filtered from it.

mod class;
mod filter;
mod fnmatch;
mod frame;
mod key;
mod leaks;
mod raw;
mod size;
mod statistic;
mod trace;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

pub(crate) use class::{Classes, rounded_up};
pub use filter::{DomainFilter, Filter, FunctionFilter, TraceFilter};
pub use frame::{Frame, Traceback, UNKNOWN};
pub use key::{KeyType, UnknownKeyType};
pub use leaks::{Growth, TooFewSnapshots, Trend, trends};
pub use raw::{
    ArenaUse, ClassUse, HeapMap, Module, PoolUse, RawSnapshot, RawTrace, ThreadName, TimelinePoint,
    Weight,
};
pub use size::Size;
pub(crate) use statistic::Total;
pub use statistic::{StandardError, Statistic, StatisticDiff};
pub use trace::{Trace, Traces};

use crate::symbols::Symbols;

/// The blocks that were allocated at one moment, and where each came from.
///
/// ```
/// use tracemalloc::{KeyType, RawSnapshot, Snapshot};
///
/// let snapshot = Snapshot::from(RawSnapshot::default());
/// for stat in snapshot.statistics(KeyType::Lineno, false).iter().take(10) {
///     println!("{stat}");
/// }
/// ```
///
/// (CPython: `tracemalloc.Snapshot`.)
#[derive(Clone)]
pub struct Snapshot {
    traces: Vec<RawTrace>,
    /// All of the recorder's that is not a trace; `shared.raw.traces` is empty.
    shared: Arc<Shared>,
    all_frames: bool,
}

/// What a snapshot and those filtered from it have in common.
struct Shared {
    raw: RawSnapshot,
    symbols: OnceLock<Symbols>,
}

impl Snapshot {
    /// The traces of blocks, in no particular order.
    #[must_use]
    pub const fn traces(&self) -> Traces<'_> {
        Traces::new(self)
    }

    /// How many return addresses of each stack were kept, at most.
    #[must_use]
    pub fn traceback_limit(&self) -> u16 {
        self.shared.raw.traceback_limit
    }

    /// The mean number of bytes between samples; `None` if every block was recorded.
    #[must_use]
    pub fn sampling(&self) -> Option<u64> {
        self.shared.raw.sampling
    }

    /// When it was taken.
    #[must_use]
    pub fn time(&self) -> SystemTime {
        self.shared.raw.time
    }

    /// The process it is of; 0 if unknown.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.shared.raw.pid
    }

    /// Bytes in blocks, and the most there have been, when it was taken.
    #[must_use]
    pub fn traced_memory(&self) -> (u64, u64) {
        (self.shared.raw.current_bytes, self.shared.raw.peak_bytes)
    }

    /// The process's memory over time, as far as somebody sampled it.
    #[must_use]
    pub fn timeline(&self) -> &[TimelinePoint] {
        &self.shared.raw.timeline
    }

    /// How the allocator's memory is divided, if the recorder noted it.
    #[must_use]
    pub fn heap_map(&self) -> Option<&HeapMap> {
        self.shared.raw.heap.as_ref()
    }

    /// The executable and its libraries.
    #[must_use]
    pub fn modules(&self) -> &[Module] {
        &self.shared.raw.modules
    }

    /// The blocks added up by `key`, the largest sum first.
    ///
    /// A `cumulative` sum counts a block for every frame of its traceback, once each; where all
    /// frames share one key (traceback, thread, size class, domain) that changes nothing.
    ///
    /// The first call that needs names resolves them (see [`symbols`](crate::symbols)). After that
    /// it takes an addition a block and a look-up a distinct stack.
    ///
    /// (CPython: `Snapshot.statistics`, which refuses `cumulative` for tracebacks, and counts a
    /// recursive function once for each call of it.)
    #[must_use]
    pub fn statistics(&self, key: KeyType, cumulative: bool) -> Vec<Statistic> {
        let sampled = self.sampling().is_some();
        let mut statistics: Vec<Statistic> = key::add_up(self, key, cumulative)
            .into_iter()
            .map(|(traceback, total)| total.statistic(traceback, sampled))
            .collect();
        statistics.sort_unstable_by(Statistic::largest_first);
        statistics
    }

    /// What changed since `old`, the largest change first.
    ///
    /// A place that has no blocks any more is listed with size 0.
    ///
    /// (CPython: `Snapshot.compare_to`.)
    #[must_use]
    pub fn compare_to(&self, old: &Self, key: KeyType, cumulative: bool) -> Vec<StatisticDiff> {
        let sampled = self.sampling().is_some() || old.sampling().is_some();
        let mut before = key::add_up(old, key, cumulative);
        let after = key::add_up(self, key, cumulative);
        let mut differences = Vec::with_capacity(after.len());
        for (traceback, new) in after {
            let old = before.remove(&traceback).unwrap_or_default();
            differences.push(StatisticDiff::between(traceback, &old, &new, sampled));
        }
        for (traceback, old) in before {
            let none = Total::default();
            differences.push(StatisticDiff::between(traceback, &old, &none, sampled));
        }
        differences.sort_unstable_by(StatisticDiff::most_changed_first);
        differences
    }

    /// A snapshot of those traces that the filters keep.
    ///
    /// A trace stays if any inclusive filter matches it, or there is none, and no exclusive one
    /// does. Without filters all stay.
    ///
    /// ```
    /// # use tracemalloc::{Filter, RawSnapshot, Snapshot, DomainFilter, TraceFilter};
    /// # let snapshot = Snapshot::from(RawSnapshot::default());
    /// let ours = snapshot.filter_traces([Filter::new(true, "*/src/*")]);
    /// let mixed: [TraceFilter; 2] = [
    ///     Filter::new(false, "*/tests/*").into(),
    ///     DomainFilter::new(true, 0).into(),
    /// ];
    /// let fewer = snapshot.filter_traces(mixed);
    /// ```
    ///
    /// (CPython: `Snapshot.filter_traces`.)
    #[must_use]
    pub fn filter_traces<F: Into<TraceFilter>>(
        &self,
        filters: impl IntoIterator<Item = F>,
    ) -> Self {
        let (inclusive, exclusive): (Vec<TraceFilter>, Vec<TraceFilter>) = filters
            .into_iter()
            .map(Into::into)
            .partition(TraceFilter::is_inclusive);
        if inclusive.is_empty() && exclusive.is_empty() {
            return self.clone();
        }
        // A stack passes a filter or not, whichever block it is of: asked once each.
        let mut known: HashMap<u32, (Vec<bool>, Vec<bool>)> = HashMap::new();
        let mut keeps = |trace: &RawTrace| {
            let (included, excluded) = known.entry(trace.stack).or_insert_with(|| {
                let traceback = self.traceback_of(trace.stack);
                let ask = |filters: &[TraceFilter]| {
                    let pass = |filter: &TraceFilter| filter.passes_traceback(&traceback);
                    filters.iter().map(pass).collect()
                };
                (ask(&inclusive), ask(&exclusive))
            });
            let passes = |(filter, &traceback): (&TraceFilter, &bool)| {
                filter.passes(traceback, trace.domain)
            };
            (inclusive.is_empty() || inclusive.iter().zip(&*included).any(passes))
                && exclusive.iter().zip(&*excluded).all(passes)
        };
        Self {
            traces: self.traces.iter().filter(|t| keeps(t)).copied().collect(),
            shared: Arc::clone(&self.shared),
            all_frames: self.all_frames,
        }
    }

    /// A snapshot of those traces that [`statistics`](Self::statistics) adds up to one of its
    /// results, to be added up by something else.
    ///
    /// ```
    /// # use tracemalloc::{KeyType, RawSnapshot, Snapshot};
    /// # let snapshot = Snapshot::from(RawSnapshot::default());
    /// for thread in snapshot.statistics(KeyType::Thread, false) {
    ///     let its_own = snapshot.filter_group(KeyType::Thread, false, &thread.traceback);
    ///     println!("{thread}, most of it at:");
    ///     if let Some(line) = its_own.statistics(KeyType::Lineno, false).first() {
    ///         println!("{line}");
    ///     }
    /// }
    /// ```
    #[must_use]
    pub fn filter_group(&self, key: KeyType, cumulative: bool, group: &Traceback) -> Self {
        Self {
            traces: key::members(self, key, cumulative, group),
            shared: Arc::clone(&self.shared),
            all_frames: self.all_frames,
        }
    }

    /// The same, with the frames of the standard library and the allocator at both ends of each
    /// traceback shown or not. They are not, at first: `Vec::push` is not where one looks.
    #[must_use]
    pub fn show_all_frames(mut self, all_frames: bool) -> Self {
        self.all_frames = all_frames;
        self
    }

    /// The same, with tracebacks that somebody else resolved: for each of the recorder's stacks its
    /// frames, oldest first. Stacks beyond the list have none.
    #[must_use]
    pub fn with_tracebacks(self, tracebacks: Vec<Vec<Frame>>) -> Self {
        let depths = &self.shared.raw.stack_depths;
        let depth = |i: usize| depths.get(i).copied();
        let stacks = tracebacks.into_iter().enumerate();
        let symbols = Symbols::from_stacks(stacks.map(|(i, frames)| (frames, depth(i))).collect());
        let mut this = self.map_raw(|_| ());
        if let Some(shared) = Arc::get_mut(&mut this.shared) {
            shared.symbols = OnceLock::from(symbols);
        }
        this
    }

    /// The same, with something else than its traces and stacks changed.
    pub(crate) fn map_raw(self, change: impl FnOnce(&mut RawSnapshot)) -> Self {
        let shared = Arc::try_unwrap(self.shared);
        let mut shared = shared.unwrap_or_else(|shared| Shared {
            raw: shared.raw.clone(),
            symbols: shared.symbols.clone(),
        });
        change(&mut shared.raw);
        Self {
            traces: self.traces,
            shared: Arc::new(shared),
            all_frames: self.all_frames,
        }
    }

    /// Resolves the symbols now, with files that `resolver` finds; does nothing if they were
    /// resolved before. Returns what was missing, a line for each file.
    #[cfg(feature = "symbolize")]
    pub fn resolve(
        &self,
        resolver: &crate::symbols::Resolver,
        progress: &mut dyn crate::symbols::Progress,
    ) -> Vec<String> {
        let mut missing = Vec::new();
        self.shared.symbols.get_or_init(|| {
            let (symbols, warnings) = resolver.resolve(&self.shared.raw, progress);
            missing = warnings;
            symbols
        });
        missing
    }

    pub(crate) fn raw_traces(&self) -> &[RawTrace] {
        &self.traces
    }

    /// All but the traces.
    pub(crate) fn raw(&self) -> &RawSnapshot {
        &self.shared.raw
    }

    pub(crate) fn classes(&self) -> Classes<'_> {
        Classes::new(self.heap_map())
    }

    /// Where the blocks of this stack were allocated.
    pub(crate) fn traceback_of(&self, stack: u32) -> Traceback {
        self.symbols().traceback(stack, self.all_frames)
    }

    /// The sums by stack, in the order of the stacks.
    pub(crate) fn totals_by_stack(&self) -> Vec<(u32, Total)> {
        let mut totals = vec![None; self.shared.raw.stacks.len()];
        for trace in &self.traces {
            totals[trace.stack as usize]
                .get_or_insert_with(Total::default)
                .add(trace);
        }
        (0..)
            .zip(totals)
            .filter_map(|(stack, total)| Some((stack, total?)))
            .collect()
    }

    /// What threads are called.
    pub(crate) fn thread_names(&self) -> impl Fn(u64) -> String {
        let named = self.shared.raw.threads.iter().rev();
        let names: HashMap<u64, &str> = named.map(|named| (named.thread, &*named.name)).collect();
        move |thread| match names.get(&thread) {
            Some(name) => format!("thread {thread} ({name})"),
            None => format!("thread {thread}"),
        }
    }

    pub(crate) fn symbols(&self) -> &Symbols {
        self.shared
            .symbols
            .get_or_init(|| crate::untraced(|| Symbols::of_this_process(&self.shared.raw)))
    }

    /// The symbols, if they were resolved.
    pub(crate) fn known_symbols(&self) -> Option<&Symbols> {
        self.shared.symbols.get()
    }

    /// Takes symbols that were resolved elsewhere; the first ones stay.
    pub(crate) fn set_symbols(&self, symbols: Symbols) {
        let _ = self.shared.symbols.set(symbols);
    }
}

impl From<RawSnapshot> for Snapshot {
    /// Takes what a recorder has collected. A trace whose stack is not there loses it.
    fn from(mut raw: RawSnapshot) -> Self {
        let mut traces = std::mem::take(&mut raw.traces);
        let known = raw.stacks.len();
        if traces.iter().any(|trace| trace.stack as usize >= known) {
            raw.stacks.push(Box::default());
            let unknown = known as u32;
            for trace in &mut traces {
                trace.stack = trace.stack.min(unknown);
            }
        }
        Self {
            traces,
            shared: Arc::new(Shared {
                raw,
                symbols: OnceLock::new(),
            }),
            all_frames: false,
        }
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot")
            .field("traces", &self.traces.len())
            .field("stacks", &self.shared.raw.stacks.len())
            .field("sampling", &self.shared.raw.sampling)
            .field("traced_memory", &self.traced_memory())
            .finish_non_exhaustive()
    }
}
