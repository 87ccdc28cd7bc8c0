//! What Python's `gc` module offers.

use std::collections::HashSet;
use std::ptr::NonNull;
use std::rc::Rc;
use std::time::Duration;

use crate::any::AnyGc;
use crate::collect as collector;
use crate::debug::DebugFlags;
use crate::edge::{Edge, edges_of};
use crate::generation::{Generation, PERMANENT, Thresholds};
use crate::header::{DEAD, Header, MUT_TAKEN};
use crate::state::{self, State};
use crate::trace::Tracer;
use crate::unraisable::{self, UnraisablePlace};

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
    /// Unreachable objects that were destroyed, or saved in [`garbage`].
    pub collected: usize,
    /// Objects whose `trace` panicked: what they hold is kept.
    pub uncollectable: usize,
    /// Objects that were looked at: suspects, and what they reach.
    pub candidates: usize,
    /// How long it took, callbacks of [`add_callback`] not included.
    pub duration: Duration,
}

/// What the collections of one generation did so far (`gc.get_stats`).
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
}

/// When a callback of [`add_callback`] runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// A collection is about to start (CPython `"start"`).
    Start,
    /// A collection has finished (CPython `"stop"`).
    Stop,
}

/// What a callback of [`add_callback`] is told (CPython's `info`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CollectInfo {
    /// The oldest generation that is collected.
    pub generation: Generation,
    /// The result; zeros when the collection starts.
    pub stats: CollectStats,
}

/// Names a callback for [`remove_callback`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CallbackId(u64);

type CallbackFn = Rc<dyn Fn(Phase, &CollectInfo)>;

#[derive(Clone)]
pub(crate) struct CallbackEntry {
    id: CallbackId,
    call: CallbackFn,
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

/// All tracked objects, or those of one generation (`gc.get_objects`).
///
/// Frozen objects are not listed, as in CPython, nor are objects that a `&mut`
/// from [`Gc::get_mut`](crate::Gc::get_mut) may still reach.
///
/// Costs a visit to every tracked object. Dropping the handles makes the
/// objects suspects.
///
/// ```
/// use cyclegc::{AnyGc, Gc};
///
/// let list = Gc::new(vec![Gc::new(1)]);
/// assert!(cyclegc::objects(None).contains(&AnyGc::from(&list)));
/// ```
#[must_use]
pub fn objects(generation: Option<Generation>) -> Vec<AnyGc> {
    state::with(|state| {
        visible(state, |index| match generation {
            Some(generation) => index == generation.index(),
            None => index != PERMANENT,
        })
    })
}

/// Handles to the objects whose generation index suits.
fn visible(state: &State, suits: impl Fn(usize) -> bool) -> Vec<AnyGc> {
    state
        .objects()
        .into_iter()
        .filter(|object| {
            // SAFETY: `State::objects` gives tracked, allocated objects.
            let index = unsafe { state.generation_of(*object) };
            // SAFETY: as above.
            suits(index) && is_visible(unsafe { object.as_ref() })
        })
        // SAFETY: just tested.
        .map(|object| unsafe { AnyGc::share(object) })
        .collect()
}

/// The value is alive, and no `&mut` to it can exist.
fn is_visible(header: &Header) -> bool {
    let count = header.count();
    // A `&mut` needs the only handle.
    let may_be_borrowed = header.has(MUT_TAKEN) && count == 1;
    count > 0 && !header.has(DEAD) && !may_be_borrowed
}

/// The tracked objects that hold a handle to `object` (`gc.get_referrers`).
///
/// Frozen objects are not searched, as in CPython. Costs a trace of every
/// tracked object.
///
/// ```
/// use cyclegc::{AnyGc, Gc};
///
/// let inner = Gc::new(1);
/// let outer = Gc::new(vec![inner.clone()]);
/// assert_eq!(cyclegc::referrers(&inner), [AnyGc::from(&outer)]);
/// ```
#[must_use]
pub fn referrers(object: impl Into<AnyGc>) -> Vec<AnyGc> {
    let object = object.into();
    let mut all = objects(None);
    all.retain(|holder| targets(holder).contains(&object.header()));
    all
}

/// The objects that `object` holds handles to (`gc.get_referents`).
///
/// One entry for each handle, so there can be duplicates.
///
/// ```
/// use cyclegc::{AnyGc, Gc};
///
/// let inner = Gc::new(1);
/// let outer = Gc::new(vec![inner.clone(), inner.clone()]);
/// assert_eq!(cyclegc::referents(&outer), [AnyGc::from(&inner), AnyGc::from(&inner)]);
/// ```
#[must_use]
pub fn referents(object: impl Into<AnyGc>) -> Vec<AnyGc> {
    targets(&object.into())
        .into_iter()
        // SAFETY: an edge is a handle, so its target is allocated.
        .filter(|target| !unsafe { target.as_ref() }.has(DEAD))
        // SAFETY: it is alive, and its handle is not mutably borrowed.
        .map(|target| unsafe { AnyGc::share(target) })
        .collect()
}

fn targets(object: &AnyGc) -> Vec<NonNull<Header>> {
    let mut found = Vec::new();
    let mut tracer = Tracer::new(&mut found);
    // SAFETY: the handle keeps the value alive, and since it could be had no
    // `&mut` to it exists.
    unsafe { (object.head().vtable().trace)(object.header(), &mut tracer) };
    found
}

/// As [`referents`], each with the path to the handle.
///
/// ```
/// use std::collections::BTreeMap;
/// use cyclegc::Gc;
///
/// let map = Gc::new(BTreeMap::from([("k", Gc::new(1))]));
/// assert_eq!(cyclegc::edges(&map)[0].name, r#"["k"]"#);
/// ```
#[must_use]
pub fn edges(object: impl Into<AnyGc>) -> Vec<Edge> {
    let object = object.into();
    // SAFETY: as in `targets`.
    unsafe { edges_of(object.header()) }.0
}

/// The bytes of the object and of all it reaches (Pympler's `asizeof`).
///
/// Allocations with their headers, and the buffers of vectors, strings and
/// maps; an object that is reached twice counts once. Costs a visit to all
/// that is reached; no recursion.
///
/// ```
/// use cyclegc::Gc;
///
/// let shared = Gc::new([0_u8; 1000]);
/// let pair = Gc::new((shared.clone(), shared));
/// let size = cyclegc::deep_size_of(&pair);
/// assert!((1016..1100).contains(&size));
/// ```
#[must_use]
pub fn deep_size_of(object: impl Into<AnyGc>) -> usize {
    let mut seen = HashSet::new();
    let mut waiting = vec![object.into()];
    seen.insert(waiting[0].header());
    let mut size_bytes = 0;
    while let Some(object) = waiting.pop() {
        // SAFETY: as in `targets`.
        let (edges, owned_bytes) = unsafe { edges_of(object.header()) };
        size_bytes += object.allocation_size() + owned_bytes;
        for edge in edges {
            if seen.insert(edge.target.header()) {
                waiting.push(edge.target);
            }
        }
    }
    size_bytes
}

/// Takes all tracked objects out of the collections to come (`gc.freeze`).
///
/// They still die by counting. The counts of [`count`] become 0.
///
/// ```
/// use cyclegc::Gc;
///
/// let list = Gc::new(vec![Gc::new(1)]);
/// cyclegc::freeze();
/// assert_eq!(cyclegc::frozen_count(), 1);
/// cyclegc::unfreeze();
/// assert_eq!(cyclegc::frozen_count(), 0);
/// # drop(list);
/// ```
pub fn freeze() {
    state::with(|state| {
        if state.collecting.get() {
            return;
        }
        if state.epochs.must_renumber() {
            state.renumber_epochs();
        }
        for generation in 0..PERMANENT {
            move_suspects(state, generation, PERMANENT);
        }
        state.epochs.freeze();
        state.reset_young_count();
        state.counts.reset();
        state.frozen_live.set(state.tracked_count());
    });
}

/// Makes frozen objects old again (`gc.unfreeze`).
///
/// ```
/// cyclegc::freeze();
/// cyclegc::unfreeze();
/// assert_eq!(cyclegc::frozen_count(), 0);
/// ```
pub fn unfreeze() {
    state::with(|state| {
        if state.collecting.get() {
            return;
        }
        move_suspects(state, PERMANENT, Generation::Old.index());
        state.epochs.unfreeze();
        state.frozen_live.set(0);
    });
}

fn move_suspects(state: &State, from: usize, to: usize) {
    let mut objects = Vec::new();
    state.suspects[from].drain_to(&mut objects);
    for object in objects {
        // SAFETY: a suspect is tracked and alive, and its array was emptied.
        unsafe { state.add_suspect(object, to) };
    }
}

/// The number of frozen objects (`gc.get_freeze_count`).
///
/// Costs a visit to every tracked object.
///
/// ```
/// assert_eq!(cyclegc::frozen_count(), 0);
/// ```
#[must_use]
pub fn frozen_count() -> usize {
    state::with(|state| generation_sizes(state)[PERMANENT])
}

/// The number of tracked objects of this thread, in constant time.
///
/// ```
/// use cyclegc::Gc;
///
/// let before = cyclegc::tracked_count();
/// let list = Gc::new(vec![Gc::new(1)]);
/// assert_eq!(cyclegc::tracked_count(), before + 1);
/// # drop(list);
/// ```
#[must_use]
pub fn tracked_count() -> usize {
    state::with(|state| state.tracked_count())
}

/// The number of suspects of this thread: objects that saw a drop which was
/// not their last, and that no old collection has cleared since.
///
/// ```
/// use cyclegc::Gc;
///
/// let before = cyclegc::suspect_count();
/// let list = Gc::new(vec![Gc::new(1)]);
/// drop(list.clone());
/// assert_eq!(cyclegc::suspect_count(), before + 1);
/// ```
#[must_use]
pub fn suspect_count() -> usize {
    state::with(|state| state.suspects.iter().map(|s| s.len()).sum())
}

/// Lets `callback` hear of each collection (`gc.callbacks.append`).
///
/// A panic in it goes to [`set_unraisable_hook`](crate::set_unraisable_hook).
///
/// ```
/// use std::cell::Cell;
/// use std::rc::Rc;
///
/// let calls = Rc::new(Cell::new(0));
/// let seen = calls.clone();
/// let id = cyclegc::add_callback(move |_, _| seen.set(seen.get() + 1));
/// cyclegc::collect();
/// assert!(cyclegc::remove_callback(id));
/// cyclegc::collect();
/// assert_eq!(calls.get(), 2);
/// ```
pub fn add_callback(callback: impl Fn(Phase, &CollectInfo) + 'static) -> CallbackId {
    state::with(|state| {
        state.open();
        let id = CallbackId(state.next_callback.get());
        state.next_callback.set(id.0 + 1);
        let call = Rc::new(callback);
        state
            .callbacks
            .borrow_mut()
            .push(CallbackEntry { id, call });
        id
    })
}

/// Removes a callback; false if it is not there (`gc.callbacks.remove`).
///
/// ```
/// let id = cyclegc::add_callback(|_, _| ());
/// assert!(cyclegc::remove_callback(id));
/// assert!(!cyclegc::remove_callback(id));
/// ```
pub fn remove_callback(id: CallbackId) -> bool {
    let removed: Vec<CallbackEntry> = state::with(|state| {
        let mut callbacks = state.callbacks.borrow_mut();
        let (removed, kept) = callbacks.drain(..).partition(|entry| entry.id == id);
        *callbacks = kept;
        removed
    });
    !removed.is_empty()
}

/// Tells the callbacks of a collection.
pub(crate) fn notify(state: &State, phase: Phase, generation: Generation, stats: &CollectStats) {
    if state.callbacks.borrow().is_empty() {
        return;
    }
    let callbacks = state.callbacks.borrow().clone();
    let info = CollectInfo {
        generation,
        stats: *stats,
    };
    for entry in callbacks {
        unraisable::guarded(
            UnraisablePlace::Callback,
            || "",
            || {
                (entry.call)(phase, &info);
                drop(entry);
            },
        );
    }
}

/// Sets what collections print and keep (`gc.set_debug`).
///
/// ```
/// use cyclegc::DebugFlags;
///
/// cyclegc::set_debug(DebugFlags::SAVEALL);
/// assert_eq!(cyclegc::debug(), DebugFlags::SAVEALL);
/// cyclegc::set_debug(DebugFlags::empty());
/// ```
pub fn set_debug(flags: DebugFlags) {
    state::with(|state| state.debug.set(flags));
}

/// The flags of [`set_debug`] (`gc.get_debug`).
///
/// ```
/// assert!(cyclegc::debug().is_empty());
/// ```
#[must_use]
pub fn debug() -> DebugFlags {
    state::with(|state| state.debug.get())
}

/// The objects that collections saved (`gc.garbage`).
///
/// Filled only with [`DebugFlags::SAVEALL`].
///
/// ```
/// use std::cell::RefCell;
/// use cyclegc::{AnyGc, DebugFlags, Gc};
///
/// cyclegc::set_debug(DebugFlags::SAVEALL);
/// let list = Gc::new(RefCell::new(Vec::<AnyGc>::new()));
/// list.borrow_mut().push((&list).into());
/// drop(list);
/// cyclegc::collect();
/// assert_eq!(cyclegc::garbage().len(), 1);
/// cyclegc::set_debug(DebugFlags::empty());
/// cyclegc::take_garbage();
/// assert_eq!(cyclegc::collect().collected, 1);
/// ```
#[must_use]
pub fn garbage() -> Vec<AnyGc> {
    state::with(|state| state.garbage.borrow().clone())
}

/// Empties [`garbage`] and returns what was in it (`gc.garbage.clear()`).
///
/// ```
/// assert!(cyclegc::take_garbage().is_empty());
/// ```
pub fn take_garbage() -> Vec<AnyGc> {
    state::with(|state| state.garbage.take())
}

/// Adds a finished collection to the statistics.
pub(crate) fn record(state: &State, generation: Generation, stats: &CollectStats) {
    let total = &state.stats[generation.index()];
    let mut sum = total.get();
    sum.collections += 1;
    sum.collected += stats.collected;
    sum.uncollectable += stats.uncollectable;
    total.set(sum);
}

/// Tracked objects that are not frozen, about.
pub(crate) fn live_count(state: &State) -> usize {
    state
        .tracked_count()
        .saturating_sub(state.frozen_live.get())
}

/// Number of tracked objects in each generation; the last are frozen.
pub(crate) fn generation_sizes(state: &State) -> [usize; 4] {
    let mut sizes = [0; 4];
    for object in state.objects() {
        // SAFETY: `State::objects` gives tracked, allocated objects.
        sizes[unsafe { state.generation_of(object) }] += 1;
    }
    sizes
}
