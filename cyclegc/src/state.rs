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
use crate::header::{COLLECTING, Header, MUT_TAKEN, SUSPECT, TrackedHead, tracked_head};
use crate::module::{CallbackEntry, GenerationStats};
use crate::slots::Slots;
use crate::unraisable::UnraisableHook;
use crate::weak_cell::CellPtr;

pub(crate) struct State {
    /// `registry.count()` when the young count was 0. CPython counts
    /// allocations up and frees down, but not below 0: this follows the
    /// registry down.
    young_base: Cell<u32>,
    /// With so many objects in the registry `Gc::new` takes the slow way.
    trigger: Cell<u32>,
    /// Where the stack was when the outermost destructor of an object
    /// started; 0 if none runs.
    pub(crate) stack_base: Cell<usize>,
    /// How many run inside that one.
    pub(crate) depth: Cell<u32>,
    pub(crate) epochs: Epochs,
    /// Every tracked object of the thread.
    pub(crate) registry: Slots,
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
            young_base: Cell::new(0),
            trigger: Cell::new(0),
            stack_base: Cell::new(0),
            depth: Cell::new(0),
            epochs: Epochs::new(),
            registry: Slots::new(),
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
        if self.registry.count() >= self.trigger.get() {
            self.trigger_reached();
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

    #[cold]
    #[inline(never)]
    fn trigger_reached(&self) {
        self.open();
        if self.is_closed() || self.registry.count() < self.trigger.get() {
            return;
        }
        let generation = self.counts.select(self.thresholds.get());
        collect::collect(self, generation);
        // CPython counts the new object before it collects, and the
        // collection sets the count to 0: the new one is not counted.
        self.young_base.set(self.young_base.get() + 1);
        self.update_trigger();
    }

    /// Tracked objects made minus those freed since the last collection
    /// (CPython `generations[0].count`).
    pub(crate) fn young_count(&self) -> u32 {
        self.registry.count().saturating_sub(self.young_base.get())
    }

    pub(crate) fn reset_young_count(&self) {
        self.young_base.set(self.registry.count());
        self.update_trigger();
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
            _ if on => self.young_base.get().saturating_add(threshold),
            _ => u32::MAX,
        };
        self.trigger.set(trigger);
    }

    /// Enters a new tracked object.
    ///
    /// # Safety
    ///
    /// The object is tracked and in no registry.
    #[inline]
    pub(crate) unsafe fn register(&self, object: NonNull<Header>) {
        let slot = if self.stage.get() == Stage::Closed {
            Slots::NONE
        } else {
            self.registry.insert(object)
        };
        // SAFETY: the caller's object is tracked.
        let head = unsafe { object.cast::<TrackedHead>().sub(1) };
        let fresh = TrackedHead {
            slot: Cell::new(slot),
            aux: Cell::new(self.epochs.now()),
        };
        // SAFETY: the head lies in the allocation and has no destructor.
        unsafe { head.write(fresh) };
    }

    /// Strikes a tracked object that dies out of the registry.
    ///
    /// # Safety
    ///
    /// The object is tracked and was registered.
    #[inline]
    pub(crate) unsafe fn unregister(&self, object: NonNull<Header>) {
        // SAFETY: the caller's.
        let head = unsafe { tracked_head(object) };
        self.registry.remove(head.slot.get());
        let count = self.registry.count();
        if count < self.young_base.get() {
            self.young_base.set(count);
            let trigger = self.trigger.get();
            self.trigger.set(trigger - u32::from(trigger != u32::MAX));
        }
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
        let mut objects = Vec::new();
        self.registry.copy_to(&mut objects);
        let generations: Vec<usize> = objects
            .iter()
            // SAFETY: the registry holds tracked, allocated objects.
            .map(|object| unsafe { self.generation_of(*object) })
            .collect();
        self.epochs.renumber();
        for (object, generation) in objects.into_iter().zip(generations) {
            // SAFETY: the registry holds tracked, allocated objects.
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
        self.stage.set(Stage::Closed);
        self.update_trigger();
        self.registry.take_all();
        for suspects in &self.suspects {
            suspects.take_all();
        }
        drop(self.pending.take());
        self.scratch.replace(collect::Scratch::new());
        self.free_empty_cells();
    }
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
