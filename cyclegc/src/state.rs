//! What a thread knows about its objects.
//!
//! One `State` a thread. It has no destructor, so it can be used for as long
//! as the thread runs anything, by the destructors of other thread-locals too;
//! [`Closer`] collects and gives its memory back when the thread ends.
//!
//! # Access
//!
//! Everything is a `Cell`, a `RefCell` that is borrowed for one expression, or
//! [`Slots`]. No borrow is held while code of a user runs.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::mem::ManuallyDrop;
use std::ptr::{self, NonNull};

use crate::any::AnyGc;
use crate::collect;
use crate::debug::DebugFlags;
use crate::generation::{Counts, Epochs, Generation, Thresholds};
use crate::header::{COLLECTING, DEAD, Header, MUT_TAKEN, SUSPECT, TrackedHead, tracked_head};
use crate::heap::Heap;
use crate::module::{CallbackEntry, GenerationStats};
use crate::slots::Slots;
use crate::unraisable::UnraisableHook;
use crate::weak_cell::CellPtr;

pub(crate) struct State {
    /// Tracked objects made minus those freed since the last collection, not
    /// below 0 (CPython `generations[0].count`).
    young_count: Cell<u32>,
    /// With so many young objects `Gc::new` takes the slow way.
    trigger: Cell<u32>,
    /// Tracked objects with a value.
    tracked_count: Cell<usize>,
    pub(crate) heap: Heap,
    /// Where the stack was when the outermost destructor of an object
    /// started; 0 if none runs.
    pub(crate) stack_base: Cell<usize>,

    pub(crate) epochs: Epochs,

    /// Suspects by generation; the last are the frozen ones.
    pub(crate) suspects: [Slots; 4],
    /// Objects whose count is 0 and whose destruction waits (CPython's
    /// trashcan).
    pub(crate) pending: RefCell<Vec<NonNull<Header>>>,
    /// `pending` is not empty.
    pub(crate) has_pending: Cell<bool>,
    /// The outermost destructor is ending what waits.
    pub(crate) draining: Cell<bool>,

    pub(crate) thresholds: Cell<Thresholds>,
    pub(crate) counts: Counts,
    /// Objects that `freeze` froze.
    pub(crate) frozen_live: Cell<usize>,
    pub(crate) enabled: Cell<bool>,
    pub(crate) collecting: Cell<bool>,
    stage: Cell<Stage>,
    pub(crate) stats: [Cell<GenerationStats>; 3],
    pub(crate) debug: Cell<DebugFlags>,
    pub(crate) garbage: RefCell<Vec<AnyGc>>,
    pub(crate) callbacks: RefCell<Vec<CallbackEntry>>,
    pub(crate) next_callback: Cell<u64>,
    pub(crate) unraisable_hook: Cell<Option<UnraisableHook>>,
    /// Weak references that can be cleared one by one, by target address.
    pub(crate) cells: RefCell<BTreeMap<usize, Vec<CellPtr>>>,
    pub(crate) scratch: RefCell<collect::Scratch>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Nothing tracked was made yet.
    Fresh,
    Open,
    /// The thread ends: objects are neither registered nor suspected.
    Closed,
}

thread_local! {
    static STATE: ManuallyDrop<State> = const { ManuallyDrop::new(State::new()) };
    static CLOSER: Closer = const { Closer };
}

/// Runs `f` on this thread's state.
#[inline(always)]
pub(crate) fn with<R>(f: impl FnOnce(&State) -> R) -> R {
    // Small enough to be inlined everywhere, whatever `f` is.
    let state = STATE.with(|state| ptr::from_ref(&**state));
    // SAFETY: the state has no destructor, so it lives as long as the thread
    // runs, and `f` cannot keep the reference longer than this call.
    f(unsafe { &*state })
}

impl State {
    const fn new() -> Self {
        State {
            young_count: Cell::new(0),
            trigger: Cell::new(0),
            tracked_count: Cell::new(0),
            heap: Heap::new(),
            stack_base: Cell::new(0),

            epochs: Epochs::new(),

            suspects: [Slots::new(), Slots::new(), Slots::new(), Slots::new()],
            pending: RefCell::new(Vec::new()),
            has_pending: Cell::new(false),
            draining: Cell::new(false),
            thresholds: Cell::new(Thresholds::new(700, 10, 10)),
            counts: Counts::new(),
            frozen_live: Cell::new(0),
            enabled: Cell::new(true),
            collecting: Cell::new(false),
            stage: Cell::new(Stage::Fresh),
            stats: [const { Cell::new(GenerationStats::ZERO) }; 3],
            debug: Cell::new(DebugFlags::empty()),
            garbage: RefCell::new(Vec::new()),
            callbacks: RefCell::new(Vec::new()),
            next_callback: Cell::new(0),
            unraisable_hook: Cell::new(None),
            cells: RefCell::new(BTreeMap::new()),
            scratch: RefCell::new(collect::Scratch::new()),
        }
    }

    /// Counts a tracked object that is about to be made; may collect.
    #[inline(always)]
    pub(crate) fn before_new(&self) {
        let count = self.young_count.get();
        self.young_count.set(count.wrapping_add(1));
        if count >= self.trigger.get() {
            trigger_reached();
        }
    }

    /// Makes sure that what the thread allocates is given back when it ends.
    pub(crate) fn open(&self) {
        if self.stage.get() == Stage::Fresh {
            self.stage.set(Stage::Open);
            // Registers the destructor. It fails if the thread already runs
            // destructors; then the state's memory is leaked.
            let _ = CLOSER.try_with(|_| ());
            self.update_trigger();
        }
    }

    fn collect_if_due(&self) {
        self.open();
        if self.is_closed() || self.young_count.get() <= self.trigger.get() {
            return;
        }
        // The new object is counted before, as in CPython: not afterwards.
        let generation = self.counts.select(self.thresholds.get());
        collect::collect(self, generation);
    }

    /// Tracked objects made minus those freed since the last collection
    /// (CPython `generations[0].count`).
    pub(crate) fn young_count(&self) -> u32 {
        self.young_count.get()
    }

    pub(crate) fn reset_young_count(&self) {
        self.young_count.set(0);
    }

    /// Tracked objects of the thread.
    pub(crate) fn tracked_count(&self) -> usize {
        self.tracked_count.get()
    }

    /// Every tracked object of the thread, in no particular order.
    pub(crate) fn objects(&self) -> Vec<NonNull<Header>> {
        let mut objects = Vec::with_capacity(self.tracked_count.get());
        self.heap.objects(&mut objects);
        // SAFETY: the heap gives allocated objects.
        objects.retain(|object| !unsafe { object.as_ref() }.has(DEAD));
        objects
    }

    /// Takes note that something which decides about collecting changed.
    pub(crate) fn update_trigger(&self) {
        let threshold = self.thresholds.get().young;
        let on = self.enabled.get()
            && !self.collecting.get()
            && threshold != 0
            && self.stage.get() == Stage::Open;
        let trigger = match self.stage.get() {
            Stage::Fresh => 0,
            _ if on => threshold,
            _ => u32::MAX,
        };
        self.trigger.set(trigger);
    }

    /// Takes note of a new tracked object's birth.
    ///
    /// # Safety
    ///
    /// The object is tracked, and its value was just made.
    #[inline(always)]
    pub(crate) unsafe fn born(&self, object: NonNull<Header>) {
        self.tracked_count.set(self.tracked_count.get() + 1);
        // SAFETY: the caller's object is tracked.
        let head = unsafe { object.cast::<TrackedHead>().sub(1) };
        // SAFETY: the head lies in the block and has no destructor.
        unsafe { head.write(TrackedHead::new(self.epochs.now())) };
    }

    /// Takes note that a tracked object dies.
    #[inline(always)]
    pub(crate) fn died(&self) {
        self.tracked_count.set(self.tracked_count.get() - 1);
        self.was_not_born();
    }

    /// Takes `before_new` back.
    #[inline(always)]
    pub(crate) fn was_not_born(&self) {
        self.young_count
            .set(self.young_count.get().saturating_sub(1));
    }

    /// A drop that is not the last left `object` alive: it becomes a suspect.
    ///
    /// # Safety
    ///
    /// The object is tracked and alive.
    #[cold]
    #[inline(never)]
    pub(crate) unsafe fn suspect(&self, object: NonNull<Header>) {
        // SAFETY: the caller's object is alive.
        let header = unsafe { object.as_ref() };
        header.clear(MUT_TAKEN);
        if header.has(COLLECTING) {
            // The collection that owns it decides; the object stays loud.
            return;
        }
        header.set_quiet();
        if self.stage.get() == Stage::Closed {
            return;
        }
        // SAFETY: the caller's object is tracked.
        let head = unsafe { tracked_head(object) };
        let generation = self.epochs.generation(head.aux.get());
        // SAFETY: the object is tracked, alive and no suspect.
        unsafe { self.add_suspect(object, generation) };
    }

    /// Puts an object among the suspects of the generation with this index.
    ///
    /// # Safety
    ///
    /// The object is tracked, alive and in no array of suspects.
    pub(crate) unsafe fn add_suspect(&self, object: NonNull<Header>, generation: usize) {
        // SAFETY: the caller's object is alive.
        let header = unsafe { object.as_ref() };
        // SAFETY: the caller's object is tracked.
        let head = unsafe { tracked_head(object) };
        header.set(SUSPECT);
        header.set_quiet();
        header.set_suspect_generation(generation);
        // INVARIANT: 5 of `header.rs`.
        head.aux.set(self.suspects[generation].insert(object));
    }

    /// Strikes a suspect out; its next drop makes it a suspect again.
    ///
    /// # Safety
    ///
    /// The object is tracked, allocated, `SUSPECT` and not `COLLECTING`.
    pub(crate) unsafe fn acquit(&self, object: NonNull<Header>) {
        // SAFETY: the caller's object is allocated.
        let header = unsafe { object.as_ref() };
        // SAFETY: the caller's object is tracked.
        let head = unsafe { tracked_head(object) };
        let generation = header.suspect_generation();
        self.suspects[generation].remove(head.aux.get());
        // INVARIANT: 5 of `header.rs`.
        head.aux.set(self.epochs.birth_in(generation));
        header.clear(SUSPECT);
        header.set_loud();
    }

    /// Generation index of a tracked object that is no candidate.
    ///
    /// # Safety
    ///
    /// The object is tracked and allocated.
    pub(crate) unsafe fn generation_of(&self, object: NonNull<Header>) -> usize {
        // SAFETY: the caller's object is allocated.
        let header = unsafe { object.as_ref() };
        if header.has(COLLECTING) {
            return Generation::Old.index();
        }
        if header.has(SUSPECT) {
            return header.suspect_generation();
        }
        // SAFETY: the caller's object is tracked.
        let head = unsafe { tracked_head(object) };
        self.epochs.generation(head.aux.get())
    }

    /// Gives all objects small birth epochs before the epochs overflow.
    pub(crate) fn renumber_epochs(&self) {
        let objects = self.objects();
        let generations: Vec<usize> = objects
            .iter()
            // SAFETY: `objects` gives tracked, allocated objects.
            .map(|object| unsafe { self.generation_of(*object) })
            .collect();
        self.epochs.renumber();
        for (object, generation) in objects.into_iter().zip(generations) {
            // SAFETY: `objects` gives tracked, allocated objects.
            let head = unsafe { tracked_head(object) };
            // SAFETY: as above.
            let header = unsafe { object.as_ref() };
            if !header.has(SUSPECT | COLLECTING) {
                head.aux.set(self.epochs.birth_in(generation));
            }
        }
    }

    /// An empty map keeps an allocation, which nobody would free later.
    pub(crate) fn free_empty_cells(&self) {
        let mut cells = self.cells.borrow_mut();
        if self.is_closed() && cells.is_empty() {
            *cells = BTreeMap::new();
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.stage.get() == Stage::Closed
    }

    /// The thread ends: collect, then give the memory back.
    fn close(&self) {
        collect::collect(self, Generation::Old);
        let callbacks = self.callbacks.take();
        crate::unraisable::guarded(
            crate::unraisable::UnraisablePlace::Drop,
            || "",
            || drop(callbacks),
        );
        let garbage = self.garbage.take();
        crate::unraisable::guarded(
            crate::unraisable::UnraisablePlace::Drop,
            || "",
            || drop(garbage),
        );
        // What only those held, and now without saving it.
        self.debug.set(DebugFlags::empty());
        collect::collect(self, Generation::Old);
        self.stage.set(Stage::Closed);
        self.update_trigger();
        self.heap.close();
        for suspects in &self.suspects {
            suspects.take_all();
        }
        drop(self.pending.take());
        self.scratch.replace(collect::Scratch::new());
        self.free_empty_cells();
    }
}

/// There may be enough young objects for a collection.
///
/// `extern "C"` because it does not unwind, as `heap::slow_allocate`: what a user
/// wrote is caught where it is called.
#[cold]
#[inline(never)]
extern "C" fn trigger_reached() {
    with(State::collect_if_due);
}

/// Ends the state when the thread ends. Cycles that are still alive then,
/// because other thread-locals hold them, are never freed early: their objects
/// die with their last handle or leak.
struct Closer;

impl Drop for Closer {
    fn drop(&mut self) {
        with(State::close);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Gc, collect_generation};
    use std::cell::RefCell;

    type Loop = RefCell<Vec<AnyGc>>;

    fn cycle() -> Gc<Loop> {
        let gc = Gc::new(Loop::default());
        gc.borrow_mut().push((&gc).into());
        gc
    }

    #[test]
    fn renumbered_epochs_keep_every_generation() {
        with(|state| state.epochs.set_near_the_end());
        let frozen = cycle();
        crate::freeze();
        let old = cycle();
        drop(old.clone());
        collect_generation(Generation::Middle);
        let middle = cycle();
        collect_generation(Generation::Young);
        let young = cycle();
        let generations =
            || [&frozen, &old, &middle, &young].map(|gc| AnyGc::from(gc).generation());
        let expected = [
            None,
            Some(Generation::Old),
            Some(Generation::Middle),
            Some(Generation::Young),
        ];
        assert_eq!(generations(), expected);
        with(State::renumber_epochs);
        assert!(!with(|state| state.epochs.must_renumber()));
        assert_eq!(generations(), expected);
        assert_eq!(crate::frozen_count(), 1);
        drop((old, middle, young));
        assert_eq!(crate::collect().collected, 3);
        drop(frozen);
        assert_eq!(crate::collect().collected, 0);
        crate::unfreeze();
        assert_eq!(crate::collect().collected, 1);
    }

    #[test]
    fn a_collection_renumbers_before_the_epochs_overflow() {
        with(|state| state.epochs.set_near_the_end());
        for _ in 0..10 {
            drop(cycle());
            assert_eq!(crate::collect().collected, 1);
        }
        assert!(with(|state| state.epochs.now()) < 100);
    }
}
