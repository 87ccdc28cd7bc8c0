//! Collecting, when it happens by itself, and what it did.

use std::time::Duration;

use crate::collect as collector;
use crate::generation::{Generation, Thresholds};
use crate::state::{self, State};

/// What one collection did.
///
/// CPython's `gc.collect()` returns `collected + uncollectable`.
///
/// ```
/// let stats = cyclegc::collect();
/// assert_eq!((stats.collected, stats.candidates), (0, 0));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CollectStats {
    /// Unreachable objects that were destroyed, or saved in
    /// [`garbage`](crate::garbage).
    pub collected: usize,
    /// Objects whose `trace` panicked: what they hold is kept.
    pub uncollectable: usize,
    /// Objects that were looked at: suspects, and what they reach.
    pub candidates: usize,
    /// How long it took, callbacks of
    /// [`add_callback`](crate::add_callback) not included.
    pub duration: Duration,
}

/// What the collections of one generation did so far (`gc.get_stats`).
///
/// ```
/// use cyclegc::{Generation, GenerationStats};
///
/// cyclegc::collect_generation(Generation::Middle);
/// let expected = GenerationStats { collections: 1, ..GenerationStats::default() };
/// assert_eq!(cyclegc::stats()[1], expected);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GenerationStats {
    /// Number of collections.
    pub collections: usize,
    /// Sum of [`CollectStats::collected`].
    pub collected: usize,
    /// Sum of [`CollectStats::uncollectable`].
    pub uncollectable: usize,
}

impl GenerationStats {
    pub(crate) const ZERO: Self = GenerationStats {
        collections: 0,
        collected: 0,
        uncollectable: 0,
    };

    /// Adds a finished collection.
    pub(crate) fn add(&mut self, stats: &CollectStats) {
        self.collections += 1;
        self.collected += stats.collected;
        self.uncollectable += stats.uncollectable;
    }
}

/// Collects all generations (`gc.collect()`).
///
/// Works while automatic collection is disabled. Called from a finalizer or a
/// callback of a running collection it does nothing and returns empty stats.
/// Costs a visit to every suspect and all it reaches; nothing if no handle but
/// last ones were dropped.
///
/// ```
/// use std::cell::RefCell;
/// use cyclegc::{Gc, Trace};
///
/// #[derive(Trace, Default)]
/// struct Node {
///     next: RefCell<Option<Gc<Node>>>,
/// }
///
/// let a = Gc::new(Node::default());
/// let b = Gc::new(Node { next: RefCell::new(Some(a.clone())) });
/// a.next.replace(Some(b));
/// drop(a);
/// assert_eq!(cyclegc::collect().collected, 2);
/// ```
pub fn collect() -> CollectStats {
    collect_generation(Generation::Old)
}

/// Collects a generation and the younger ones (`gc.collect(generation)`).
///
/// ```
/// use cyclegc::Generation;
///
/// cyclegc::collect_generation(Generation::Young);
/// assert_eq!(cyclegc::count(), (0, 1, 0));
/// ```
pub fn collect_generation(generation: Generation) -> CollectStats {
    state::with(|state| collector::collect(state, generation))
}

/// Turns automatic collection on (`gc.enable`).
///
/// ```
/// cyclegc::enable();
/// assert!(cyclegc::is_enabled());
/// ```
pub fn enable() {
    set_enabled(true);
}

/// Turns automatic collection off (`gc.disable`).
///
/// ```
/// cyclegc::disable();
/// assert!(!cyclegc::is_enabled());
/// cyclegc::enable();
/// ```
pub fn disable() {
    set_enabled(false);
}

fn set_enabled(enabled: bool) {
    state::with(|state| {
        state.enabled.set(enabled);
        state.update_trigger();
    });
}

/// Whether automatic collection is on (`gc.isenabled`).
///
/// ```
/// assert!(cyclegc::is_enabled());
/// ```
#[must_use]
pub fn is_enabled() -> bool {
    state::with(|state| state.enabled.get())
}

/// The thresholds of this thread (`gc.get_threshold`).
///
/// ```
/// assert_eq!(cyclegc::threshold().young, 700);
/// ```
#[must_use]
pub fn threshold() -> Thresholds {
    state::with(|state| state.thresholds.get())
}

/// Sets the thresholds (`gc.set_threshold`); 0 first disables.
///
/// ```
/// let before = cyclegc::threshold();
/// cyclegc::set_threshold(5000, 10, 10);
/// assert_eq!(cyclegc::threshold().young, 5000);
/// cyclegc::set_threshold(before.young, before.middle, before.old);
/// ```
pub fn set_threshold(young: u32, middle: u32, old: u32) {
    state::with(|state| {
        state.thresholds.set(Thresholds::new(young, middle, old));
        state.update_trigger();
    });
}

/// The counts that are compared with the thresholds (`gc.get_count`).
///
/// Tracked objects made minus those freed since the last collection; young
/// collections since a middle one; middle ones since an old one.
///
/// ```
/// cyclegc::collect();
/// let list = cyclegc::Gc::new(vec![cyclegc::Gc::new(1)]);
/// assert_eq!(cyclegc::count(), (1, 0, 0));
/// # drop(list);
/// ```
#[must_use]
pub fn count() -> (u32, u32, u32) {
    state::with(|state| {
        let [young, middle] = &state.counts.collections;
        (state.young_count(), young.get(), middle.get())
    })
}

/// What the collections of each generation did (`gc.get_stats`).
///
/// ```
/// let before = cyclegc::stats();
/// cyclegc::collect();
/// assert_eq!(cyclegc::stats()[2].collections, before[2].collections + 1);
/// ```
#[must_use]
pub fn stats() -> [GenerationStats; 3] {
    state::with(|state| state.stats.each_ref().map(|stats| stats.get()))
}

/// Adds a finished collection to the statistics.
pub(crate) fn record(state: &State, generation: Generation, stats: &CollectStats) {
    let total = &state.stats[generation.index()];
    let mut sum = total.get();
    sum.add(stats);
    total.set(sum);
}
