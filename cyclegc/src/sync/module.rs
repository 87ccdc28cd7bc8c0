//! What Python's `gc` module offers, for the whole process.

use std::sync::Arc;

use crate::debug::DebugFlags;
use crate::generation::{Generation, PERMANENT, Thresholds};
use crate::module::{CallbackId, CollectInfo, CollectStats, GenerationStats, Phase};
use crate::sync::any::AnyGc;
use crate::sync::collect as collector;
use crate::sync::domain::domain;
use crate::sync::local;
use crate::sync::types::lock;

/// Collects all generations, in this thread (`gc.collect()`).
///
/// What was garbage when it is called, and at rest, is gone when it returns, unless another
/// thread's collection had found it: this one waits until that has looked, not until its
/// finalizers and destructors are done. Works while automatic collection is disabled. Called from a finalizer or a callback of a collection in this thread
/// it does nothing and returns empty stats. Costs a visit to every suspect and all it reaches:
/// objects that had two handles at once, and have not been seen with one by two full
/// collections since.
///
/// ```
/// use std::sync::Mutex;
/// use cyclegc::{Trace, sync::{self, Gc}};
///
/// #[derive(Trace, Default)]
/// struct Node {
///     next: Mutex<Option<Gc<Node>>>,
/// }
///
/// let a = Gc::new(Node::default());
/// let b = Gc::new(Node { next: Mutex::new(Some(a.clone())) });
/// *a.next.lock().unwrap() = Some(b);
/// drop(a);
/// assert_eq!(sync::collect().collected, 2);
/// ```
pub fn collect() -> CollectStats {
    collect_generation(Generation::Old)
}

/// Collects a generation and the younger ones (`gc.collect(generation)`).
///
/// ```
/// use cyclegc::{Generation, sync};
///
/// sync::collect_generation(Generation::Young);
/// assert_eq!(sync::count(), (0, 1, 0));
/// ```
pub fn collect_generation(generation: Generation) -> CollectStats {
    collector::collect(generation)
}

/// Turns automatic collection on (`gc.enable`).
///
/// ```
/// cyclegc::sync::enable();
/// assert!(cyclegc::sync::is_enabled());
/// ```
pub fn enable() {
    domain().census.set_enabled(true);
}

/// Turns automatic collection off (`gc.disable`).
///
/// ```
/// cyclegc::sync::disable();
/// assert!(!cyclegc::sync::is_enabled());
/// cyclegc::sync::enable();
/// ```
pub fn disable() {
    domain().census.set_enabled(false);
}

/// Whether automatic collection is on (`gc.isenabled`).
///
/// ```
/// assert!(cyclegc::sync::is_enabled());
/// ```
#[must_use]
pub fn is_enabled() -> bool {
    domain().census.is_enabled()
}

/// The thresholds of the process (`gc.get_threshold`).
///
/// ```
/// assert_eq!(cyclegc::sync::threshold().young, 700);
/// ```
#[must_use]
pub fn threshold() -> Thresholds {
    domain().census.threshold()
}

/// Sets the thresholds (`gc.set_threshold`); 0 first disables.
///
/// Threads count for themselves and add up every 64 objects, or every eighth of a small
/// threshold.
///
/// ```
/// use cyclegc::sync;
///
/// let before = sync::threshold();
/// sync::set_threshold(5000, 10, 10);
/// assert_eq!(sync::threshold().young, 5000);
/// sync::set_threshold(before.young, before.middle, before.old);
/// ```
pub fn set_threshold(young: u32, middle: u32, old: u32) {
    let thresholds = Thresholds::new(young, middle, old);
    domain().census.set_threshold(thresholds);
    local::with(|local| local.report());
}

/// The counts that are compared with the thresholds (`gc.get_count`).
///
/// Tracked objects made minus those freed since the last collection, as far as threads have
/// added them up; young collections since a middle one; middle ones since an old one.
///
/// ```
/// use cyclegc::sync::{self, Gc};
///
/// sync::collect();
/// let list = Gc::new(vec![Gc::new(1)]);
/// assert_eq!(sync::count(), (1, 0, 0));
/// # drop(list);
/// ```
#[must_use]
pub fn count() -> (u32, u32, u32) {
    local::with(|local| local.report());
    let collector = lock(&domain().collector);
    let [young, middle] = &collector.counts.collections;
    (domain().census.young(), young.get(), middle.get())
}

/// What the collections of each generation did (`gc.get_stats`).
///
/// ```
/// use cyclegc::sync;
///
/// let before = sync::stats();
/// sync::collect();
/// assert_eq!(sync::stats()[2].collections, before[2].collections + 1);
/// ```
#[must_use]
pub fn stats() -> [GenerationStats; 3] {
    lock(&domain().collector).stats
}

/// The number of tracked objects of the process, as far as threads have added them up: this
/// one and those that have ended have.
///
/// ```
/// use cyclegc::sync::{self, Gc};
///
/// let before = sync::tracked_count();
/// let list = Gc::new(vec![Gc::new(1)]);
/// assert_eq!(sync::tracked_count(), before + 1);
/// # drop(list);
/// ```
#[must_use]
pub fn tracked_count() -> usize {
    local::with(|local| local.report());
    domain().census.alive()
}

/// The number of entries for suspects: objects that had two handles at once, and have not been
/// seen with one by two old collections since. Some may have died; one that was seen with one
/// handle, and cloned after that, is counted twice until the next collection.
///
/// ```
/// use cyclegc::sync::{self, Gc};
///
/// let before = sync::suspect_count();
/// let list = Gc::new(vec![Gc::new(1)]);
/// let again = list.clone();
/// assert_eq!(sync::suspect_count(), before + 1);
/// # drop((list, again));
/// ```
#[must_use]
pub fn suspect_count() -> usize {
    let listed: usize = lock(&domain().collector).lists.iter().map(Vec::len).sum();
    listed + domain().shards.len()
}

/// Takes all tracked objects out of the collections to come (`gc.freeze`).
///
/// They still die by counting. The counts of [`count`] become 0.
///
/// ```
/// use cyclegc::sync::{self, Gc};
///
/// let list = Gc::new(vec![Gc::new(1)]);
/// sync::freeze();
/// assert_eq!(sync::frozen_count(), 1);
/// sync::unfreeze();
/// assert_eq!(sync::frozen_count(), 0);
/// # drop(list);
/// ```
pub fn freeze() {
    local::with(|local| local.report());
    let census = &domain().census;
    collector::locked(|collector| {
        collector.take_shards();
        collector.move_suspects(0..PERMANENT, PERMANENT);
        collector.epochs.freeze();
        collector.has_frozen = true;
        collector.counts.reset();
        census.set_epoch(collector.epochs.now());
        census.freeze_before(collector.epochs.now());
        census.reset_young();
    });
}

/// Makes frozen objects old again (`gc.unfreeze`).
///
/// ```
/// cyclegc::sync::freeze();
/// cyclegc::sync::unfreeze();
/// assert_eq!(cyclegc::sync::frozen_count(), 0);
/// ```
pub fn unfreeze() {
    collector::locked(|collector| {
        collector.move_suspects(PERMANENT..PERMANENT + 1, Generation::Old.index());
        collector.epochs.unfreeze();
        collector.has_frozen = false;
        domain().census.freeze_before(0);
    });
}

/// The number of frozen objects, about (`gc.get_freeze_count`).
///
/// ```
/// assert_eq!(cyclegc::sync::frozen_count(), 0);
/// ```
#[must_use]
pub fn frozen_count() -> usize {
    domain().census.frozen()
}

/// Lets `callback` hear of each collection, in the thread that collects
/// (`gc.callbacks.append`).
///
/// A panic in it goes to [`set_unraisable_hook`](crate::sync::set_unraisable_hook).
///
/// ```
/// use std::sync::{Arc, atomic::{AtomicUsize, Ordering::Relaxed}};
/// use cyclegc::sync;
///
/// let calls = Arc::new(AtomicUsize::new(0));
/// let seen = calls.clone();
/// let id = sync::add_callback(move |_, _| {
///     seen.fetch_add(1, Relaxed);
/// });
/// sync::collect();
/// assert!(sync::remove_callback(id));
/// sync::collect();
/// assert_eq!(calls.load(Relaxed), 2);
/// ```
pub fn add_callback(callback: impl Fn(Phase, &CollectInfo) + Send + Sync + 'static) -> CallbackId {
    domain().settings.add_callback(Arc::new(callback))
}

/// Removes a callback; false if it is not there (`gc.callbacks.remove`).
///
/// A collection that has begun may still call it.
///
/// ```
/// use cyclegc::sync;
///
/// let id = sync::add_callback(|_, _| ());
/// assert!(sync::remove_callback(id));
/// assert!(!sync::remove_callback(id));
/// ```
pub fn remove_callback(id: CallbackId) -> bool {
    domain().settings.remove_callback(id)
}

/// Sets what collections print and keep (`gc.set_debug`).
///
/// ```
/// use cyclegc::{DebugFlags, sync};
///
/// sync::set_debug(DebugFlags::SAVEALL);
/// assert_eq!(sync::debug(), DebugFlags::SAVEALL);
/// sync::set_debug(DebugFlags::empty());
/// ```
pub fn set_debug(flags: DebugFlags) {
    domain().settings.set_debug(flags);
}

/// The flags of [`set_debug`] (`gc.get_debug`).
///
/// ```
/// assert!(cyclegc::sync::debug().is_empty());
/// ```
#[must_use]
pub fn debug() -> DebugFlags {
    domain().settings.debug()
}

/// The objects that collections saved (`gc.garbage`).
///
/// Filled only with [`DebugFlags::SAVEALL`].
///
/// ```
/// use std::sync::Mutex;
/// use cyclegc::{DebugFlags, sync::{self, AnyGc, Gc}};
///
/// sync::set_debug(DebugFlags::SAVEALL);
/// let list = Gc::new(Mutex::new(Vec::<AnyGc>::new()));
/// list.lock().unwrap().push((&list).into());
/// drop(list);
/// sync::collect();
/// assert_eq!(sync::garbage().len(), 1);
/// sync::set_debug(DebugFlags::empty());
/// sync::take_garbage();
/// assert_eq!(sync::collect().collected, 1);
/// ```
#[must_use]
pub fn garbage() -> Vec<AnyGc> {
    lock(&domain().garbage).clone()
}

/// Empties [`garbage`] and returns what was in it (`gc.garbage.clear()`).
///
/// ```
/// assert!(cyclegc::sync::take_garbage().is_empty());
/// ```
pub fn take_garbage() -> Vec<AnyGc> {
    std::mem::take(&mut *lock(&domain().garbage))
}
