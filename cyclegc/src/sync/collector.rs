//! What the collector keeps between collections, and how its two halves are joined.
//!
//! ```text
//!  shards --take--> lists by generation --> guess --> proof --> garbage
//!                        ^                    |         |
//!                        +---- alive ---------+---------+
//! ```
//!
//! # Invariants
//!
//! 1. Each entry of a list has a hold. A list entry is given up only when its object's value
//!    is gone, or when an old collection finds the object alive with the one handle that an
//!    old collection before it marked (`CountWord::pin`).

use std::any::Any;

use crate::generation::{Counts, Epochs, Generation, PERMANENT};
use crate::module::GenerationStats;
use crate::sync::any::AnyGc;
use crate::sync::dealloc;
use crate::sync::domain::domain;
use crate::sync::guess::{Candidate, Guess, Guessed};
use crate::sync::header::Object;
use crate::sync::proof::{Sentence, Verdict, prove};
use crate::sync::suspects::{keep_living, release_hold};
use crate::sync::unraisable::guarded;
use crate::unraisable::UnraisablePlace;

/// Entries without a value that are not worth a sweep.
const SWEEP_COUNT: usize = 1000;

/// See the module.
pub(crate) struct Collector {
    /// Suspects by generation; the last are the frozen ones.
    pub(crate) lists: [Vec<Object>; 4],
    pub(crate) epochs: Epochs,
    pub(crate) counts: Counts,
    pub(crate) stats: [GenerationStats; 3],
    guess: Guess,
    /// `freeze` was called, and not undone.
    pub(crate) has_frozen: bool,
    /// Entries without a value that were left by the last sweep: `Weak` handles keep their
    /// memory.
    unswept_count: usize,
    /// Some objects may have a birth that is yet to come.
    is_renumbered: bool,
}

/// What is left to do when no lock is held, since it runs code of a user.
#[derive(Default)]
pub(crate) struct Aftermath {
    pub(crate) orphans: Orphans,
    /// What `trace` threw, with the type's name.
    pub(crate) panics: Vec<(&'static str, Box<dyn Any + Send>)>,
    /// For the `garbage`.
    pub(crate) saved: Vec<AnyGc>,
    pub(crate) candidate_count: usize,
}

/// Objects whose last handle went while the collector kept their value: it ends them, when
/// these are dropped, with no lock held.
#[derive(Default)]
pub(crate) struct Orphans(Vec<Object>);

impl Orphans {
    /// Adds an object, whose count was 0 when the caller let its value go.
    pub(crate) fn push(&mut self, object: Object) {
        self.0.push(object);
    }
}

impl Drop for Orphans {
    fn drop(&mut self) {
        for orphan in self.0.drain(..) {
            guarded(
                UnraisablePlace::Drop,
                || "",
                || {
                    // SAFETY: its count was 0 when the collector let its value go.
                    unsafe { dealloc::end(orphan) };
                },
            );
        }
    }
}

impl Collector {
    pub(crate) const fn new() -> Self {
        Collector {
            lists: [const { Vec::new() }; 4],
            epochs: Epochs::new(),
            counts: Counts::new(),
            stats: [GenerationStats::ZERO; 3],
            guess: Guess::new(),
            has_frozen: false,
            unswept_count: 0,
            is_renumbered: false,
        }
    }

    /// Sorts what threads listed by generation.
    pub(crate) fn take_shards(&mut self) {
        let mut taken = Vec::new();
        domain().shards.take(&mut taken);
        for object in taken {
            // SAFETY: suspects are tracked, and an entry has a hold.
            let birth = unsafe { object.tracked() }.birth();
            self.lists[self.epochs.generation(birth)].push(object);
        }
    }

    /// Gives up the entries whose value is gone, if they are half of all or more: lists that
    /// no collection looks at would keep their memory.
    fn sweep_if_worth(&mut self) {
        let alive = domain().census.alive();
        let count = |lists: &[Vec<Object>]| lists.iter().map(Vec::len).sum::<usize>();
        if count(&self.lists) <= 2 * (alive + self.unswept_count) + SWEEP_COUNT {
            return;
        }
        for list in &mut self.lists {
            // SAFETY: an entry has a hold.
            list.retain(|object| unsafe { keep_living(*object) });
            list.shrink_to(2 * list.len());
        }
        self.unswept_count = count(&self.lists).saturating_sub(alive);
    }

    /// Finds the garbage of a generation and the younger ones, guess and proof.
    pub(crate) fn find(
        &mut self,
        generation: Generation,
        sentence: Sentence,
        aftermath: &mut Aftermath,
    ) -> Verdict {
        let census = &domain().census;
        self.counts.start(generation);
        census.reset_young();
        if self.epochs.must_renumber() {
            // Objects keep their birth: all look young until they are looked at.
            self.epochs.renumber();
            self.is_renumbered = true;
        }
        self.take_shards();
        self.sweep_if_worth();
        let oldest_birth = self.epochs.oldest_birth(generation);
        // Objects born from here on are not promoted by this collection.
        let survivor_birth = self.epochs.promote(generation);
        census.set_epoch(self.epochs.now());

        // What a frozen object refers to looks alive, and may be dead when that thaws.
        // Nor are they entered: who makes objects faster than we look must not be chased.
        let births = if self.is_renumbered {
            oldest_birth..=u32::MAX
        } else {
            oldest_birth..=survivor_birth
        };

        let mark = generation == Generation::Old && !self.has_frozen;
        let lists = &mut self.lists[..=generation.index()];
        let suspects = lists.iter_mut().flat_map(std::mem::take);
        let Guessed { garbage, alive } = self.guess.run(suspects, births, mark, aftermath);
        aftermath.candidate_count = garbage.len() + alive.len();
        let next = next_list(generation);
        for candidate in alive {
            // SAFETY: a candidate is tracked and has a hold.
            let tracked = unsafe { candidate.object.tracked() };
            if tracked.birth() > survivor_birth {
                // Born while we looked, or before epochs were renumbered.
                tracked.set_birth(survivor_birth);
            }
            self.put_back(candidate, next);
        }
        let mut verdict = prove(garbage, sentence, aftermath);
        self.acquit(std::mem::take(&mut verdict.alive), generation);
        self.counts.survived(generation, live_count());
        verdict
    }

    /// Lets go of what looked like garbage and was not, or is not known to be.
    pub(crate) fn acquit(&mut self, candidates: Vec<Candidate>, generation: Generation) {
        for candidate in candidates {
            self.put_back(candidate, next_list(generation));
        }
    }

    /// Puts a candidate that came from a list into one again, if it still is a suspect.
    fn put_back(&mut self, candidate: Candidate, list: usize) {
        let object = candidate.object;
        if candidate.still_unshared || !candidate.is_listed {
            // SAFETY: the candidate's hold is given up.
            unsafe { release_hold(object) };
        // SAFETY: the candidate's hold.
        } else if unsafe { keep_living(object) } {
            self.lists[list].push(object);
        }
    }

    /// Moves the suspects of some generations to another.
    pub(crate) fn move_suspects(&mut self, from: std::ops::Range<usize>, to: usize) {
        for list in from {
            let moved = std::mem::take(&mut self.lists[list]);
            self.lists[to].extend(moved);
        }
    }
}

fn next_list(generation: Generation) -> usize {
    (generation.index() + 1).min(Generation::Old.index())
}

/// Tracked objects that are not frozen, about.
pub(crate) fn live_count() -> usize {
    let census = &domain().census;
    census.alive().saturating_sub(census.frozen())
}

const _: () = assert!(PERMANENT == 3);
