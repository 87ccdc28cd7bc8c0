//! Generations, thresholds, and when to collect.
//!
//! An object's generation is not stored: it follows from the *epoch* in which
//! the object was born, a number that every collection raises. CPython moves
//! all survivors of a collection one generation up; here the boundaries move
//! instead, and objects that no collection looks at are promoted as well,
//! without being touched:
//!
//! ```text
//!   birth epoch  0 ....... permanent ...... middle ....... young ... now
//!   generation     frozen     |     Old       |   Middle    |  Young
//! ```
//!
//! Suspects, whose `aux` holds a slot instead, carry two generation bits.
//!
//! # Invariants
//!
//! 1. `permanent <= middle <= young`, and `young` is what new objects get.
//!
//! Source: CPython 3.11 `Modules/gcmodule.c`: `gc_select_generation`,
//! `gc_collect_with_callback`.

use std::cell::Cell;
use std::fmt;

/// One of the three generations that a collection can be asked for.
///
/// A collection of a generation looks at the younger ones too. CPython calls
/// them 0, 1 and 2.
///
/// ```
/// use cyclegc::Generation;
///
/// assert_eq!(Generation::try_from(2), Ok(Generation::Old));
/// assert!(Generation::try_from(3).is_err());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Generation {
    /// Objects that no collection has seen yet (CPython generation 0).
    Young = 0,
    /// Objects that survived one collection (CPython generation 1).
    Middle = 1,
    /// All older objects (CPython generation 2).
    Old = 2,
}

impl Generation {
    /// All three, youngest first.
    pub const ALL: [Generation; 3] = [Generation::Young, Generation::Middle, Generation::Old];

    #[inline]
    pub(crate) const fn index(self) -> usize {
        self as usize
    }
}

/// The error of a generation index that is not 0, 1 or 2.
///
/// CPython raises `ValueError: invalid generation`.
///
/// ```
/// let error = cyclegc::Generation::try_from(7).unwrap_err();
/// assert_eq!(error.to_string(), "invalid generation 7: there are 0, 1 and 2");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidGeneration(usize);

impl fmt::Display for InvalidGeneration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invalid generation {}: there are 0, 1 and 2", self.0)
    }
}

impl std::error::Error for InvalidGeneration {}

impl TryFrom<usize> for Generation {
    type Error = InvalidGeneration;

    fn try_from(index: usize) -> Result<Self, InvalidGeneration> {
        Self::ALL
            .get(index)
            .copied()
            .ok_or(InvalidGeneration(index))
    }
}

/// When each generation is collected by itself.
///
/// The young generation is collected when more than `young` tracked objects
/// were allocated than freed since the last collection; the middle one after
/// more than `middle` young collections; the old one after more than `old`
/// middle collections, and only if a quarter of the old objects is new
/// (CPython's 25 % rule). `young == 0` turns automatic collection off.
///
/// ```
/// use cyclegc::Thresholds;
///
/// assert_eq!(cyclegc::threshold(), Thresholds::new(700, 10, 10));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Thresholds {
    /// Net allocations before a young collection (CPython `threshold0`).
    pub young: u32,
    /// Young collections before a middle one (CPython `threshold1`).
    pub middle: u32,
    /// Middle collections before an old one (CPython `threshold2`).
    pub old: u32,
}

impl Thresholds {
    /// Three thresholds, youngest first.
    ///
    /// ```
    /// let thresholds = cyclegc::Thresholds::new(2000, 10, 0);
    /// assert_eq!((thresholds.young, thresholds.old), (2000, 0));
    /// ```
    #[must_use]
    pub const fn new(young: u32, middle: u32, old: u32) -> Self {
        Thresholds { young, middle, old }
    }
}

impl Default for Thresholds {
    /// CPython's `(700, 10, 10)`.
    fn default() -> Self {
        Self::new(700, 10, 10)
    }
}

/// The boundaries between the generations; see the module.
#[derive(Clone)]
pub(crate) struct Epochs {
    young: Cell<u32>,
    middle: Cell<u32>,
    permanent: Cell<u32>,
}

/// Generation index of frozen objects (CPython's permanent generation).
pub(crate) const PERMANENT: usize = 3;

impl Epochs {
    pub(crate) const fn new() -> Self {
        Epochs {
            young: Cell::new(1),
            middle: Cell::new(0),
            permanent: Cell::new(0),
        }
    }

    /// The birth epoch of an object made now.
    #[inline]
    pub(crate) fn now(&self) -> u32 {
        self.young.get()
    }

    /// Generation index of an object born in `birth`.
    pub(crate) fn generation(&self, birth: u32) -> usize {
        if birth >= self.young.get() {
            0
        } else if birth >= self.middle.get() {
            1
        } else if birth >= self.permanent.get() {
            2
        } else {
            PERMANENT
        }
    }

    /// The oldest birth epoch that a collection of `generation` enters.
    pub(crate) fn oldest_birth(&self, generation: Generation) -> u32 {
        match generation {
            Generation::Young => self.young.get(),
            Generation::Middle => self.middle.get(),
            Generation::Old => self.permanent.get(),
        }
    }

    /// A birth epoch that lies in the generation with this index.
    pub(crate) fn birth_in(&self, generation: usize) -> u32 {
        match generation {
            0 => self.young.get(),
            1 => self.middle.get(),
            2 => self.permanent.get(),
            _ => 0,
        }
    }

    /// Ages every object of `generation` and younger by one generation, and
    /// returns the birth epoch of those that survive.
    pub(crate) fn promote(&self, generation: Generation) -> u32 {
        let born = self.young.get();
        self.young.set(born + 1);
        if generation != Generation::Young {
            self.middle.set(born + 1);
        }
        born
    }

    /// Makes every object permanent (CPython `gc.freeze`).
    pub(crate) fn freeze(&self) {
        let next = self.young.get() + 1;
        self.young.set(next);
        self.middle.set(next);
        self.permanent.set(next);
    }

    /// Makes permanent objects old (CPython `gc.unfreeze`).
    pub(crate) fn unfreeze(&self) {
        self.permanent.set(0);
    }

    /// The epochs are about to overflow: renumber.
    pub(crate) fn must_renumber(&self) -> bool {
        self.young.get() >= MAX_EPOCH
    }

    #[cfg(test)]
    pub(crate) fn set_near_the_end(&self) {
        self.young.set(MAX_EPOCH - 3);
        self.middle.set(MAX_EPOCH - 3);
    }

    /// Starts again at the front; every object must then get
    /// [`Self::birth_in`] its generation.
    pub(crate) fn renumber(&self) {
        self.permanent.set(1);
        self.middle.set(2);
        self.young.set(3);
    }
}

/// Renumbering starts here, early enough for a freeze in between.
const MAX_EPOCH: u32 = u32::MAX - 8;

/// What each generation counts toward its threshold (CPython
/// `generations[i].count`) and the two numbers of the 25 % rule.
pub(crate) struct Counts {
    /// Young collections since a middle one, middle ones since an old one.
    pub(crate) collections: [Cell<u32>; 2],
    /// Objects that became old since the last old collection.
    pub(crate) long_lived_pending: Cell<usize>,
    /// Objects that survived the last old collection.
    pub(crate) long_lived_total: Cell<usize>,
    /// Live objects after the last middle or old collection.
    pub(crate) old_live: Cell<usize>,
}

impl Counts {
    pub(crate) const fn new() -> Self {
        Counts {
            collections: [Cell::new(0), Cell::new(0)],
            long_lived_pending: Cell::new(0),
            long_lived_total: Cell::new(0),
            old_live: Cell::new(0),
        }
    }

    /// The oldest generation whose count exceeds its threshold.
    pub(crate) fn select(&self, thresholds: Thresholds) -> Generation {
        let [young, middle] = &self.collections;
        let mostly_seen = self.long_lived_pending.get() < self.long_lived_total.get() / 4;
        if middle.get() > thresholds.old && !mostly_seen {
            Generation::Old
        } else if young.get() > thresholds.middle {
            Generation::Middle
        } else {
            Generation::Young
        }
    }

    /// Counts a collection of `generation` that starts.
    pub(crate) fn start(&self, generation: Generation) {
        if let Some(next) = self.collections.get(generation.index()) {
            next.set(next.get().saturating_add(1));
        }
        for younger in self.collections.iter().take(generation.index()) {
            younger.set(0);
        }
    }

    /// Takes note of `live_count` objects that survived.
    pub(crate) fn survived(&self, generation: Generation, live_count: usize) {
        match generation {
            Generation::Young => return,
            Generation::Middle => {
                let promoted = live_count.saturating_sub(self.old_live.get());
                let pending = self.long_lived_pending.get() + promoted;
                self.long_lived_pending.set(pending);
            }
            Generation::Old => {
                self.long_lived_pending.set(0);
                self.long_lived_total.set(live_count);
            }
        }
        self.old_live.set(live_count);
    }

    /// Zeroes the collection counts (CPython does when it freezes).
    pub(crate) fn reset(&self) {
        for count in &self.collections {
            count.set(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boundaries_promote_like_cpython_lists() {
        let epochs = Epochs::new();
        let first = epochs.now();
        assert_eq!(epochs.generation(first), 0);
        epochs.promote(Generation::Young);
        let second = epochs.now();
        assert_eq!(
            (epochs.generation(first), epochs.generation(second)),
            (1, 0)
        );
        epochs.promote(Generation::Young);
        assert_eq!(
            (epochs.generation(first), epochs.generation(second)),
            (1, 1)
        );
        epochs.promote(Generation::Middle);
        let third = epochs.now();
        assert_eq!(
            (epochs.generation(second), epochs.generation(third)),
            (2, 0)
        );
        let survivor = epochs.promote(Generation::Old);
        assert_eq!(epochs.generation(survivor), 2);
    }

    #[test]
    fn a_birth_in_a_generation_is_in_it() {
        let epochs = Epochs::new();
        epochs.freeze();
        for generation in [Generation::Old, Generation::Middle, Generation::Young] {
            epochs.promote(generation);
        }
        for index in 0..=PERMANENT {
            assert_eq!(epochs.generation(epochs.birth_in(index)), index);
        }
        epochs.unfreeze();
        assert_eq!(epochs.generation(0), 2);
        epochs.renumber();
        for index in 0..=PERMANENT {
            assert_eq!(epochs.generation(epochs.birth_in(index)), index);
        }
    }

    #[test]
    fn the_old_generation_waits_for_a_quarter_of_new_objects() {
        let counts = Counts::new();
        let thresholds = Thresholds::new(700, 10, 10);
        counts.long_lived_total.set(1000);
        counts.collections[1].set(11);
        counts.long_lived_pending.set(249);
        assert_eq!(counts.select(thresholds), Generation::Young);
        counts.long_lived_pending.set(250);
        assert_eq!(counts.select(thresholds), Generation::Old);
        counts.collections[0].set(11);
        counts.long_lived_pending.set(0);
        assert_eq!(counts.select(thresholds), Generation::Middle);
    }
}
