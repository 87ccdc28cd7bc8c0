//! An array of objects in which each knows its place.
//!
//! The suspects of a generation are in `Slots`. A bitmap says which places are
//! in use; new objects take the free places of one word of it, lowest first,
//! then those of the next word that has any:
//!
//! ```text
//!  used     1111 1111 | 1101 0110 | 0011 1011 | ...
//!                       ^ word: its free places are `free_mask`
//!  entries  o o o o ...   what lies at a free place is not looked at
//! ```
//!
//! So inserting and removing touch nothing but this array and the object
//! itself, follow no chain of pointers, and go through memory in order. The
//! search for a free word goes around; it is amortised, because the array
//! grows when fewer than a quarter of its places are free.
//!
//! # Invariants
//!
//! 1. No reference into `lists` outlives a method, and no method calls out of
//!    this file while it holds one.
//! 2. `entries.len() == 64 * used.len()`.
//! 3. The word at `word` is all ones in `used`; its free places are the ones in
//!    `free_mask`.

use std::cell::{Cell, UnsafeCell};
use std::ptr::{self, NonNull};

use crate::header::Header;

/// See the module.
pub(crate) struct Slots {
    lists: UnsafeCell<Lists>,
    /// Free places of the word that is being filled.
    free_mask: Cell<u64>,
    /// Which word that is; `NONE` before the first.
    word: Cell<u32>,
    /// Places in use.
    used_count: Cell<u32>,
}

struct Lists {
    entries: Vec<*mut Header>,
    used: Vec<u64>,
}

/// Places in a word of the bitmap.
const WORD: usize = u64::BITS as usize;

impl Slots {
    /// No place.
    pub(crate) const NONE: u32 = u32::MAX;

    pub(crate) const fn new() -> Self {
        Slots {
            lists: UnsafeCell::new(Lists {
                entries: Vec::new(),
                used: Vec::new(),
            }),
            free_mask: Cell::new(0),
            word: Cell::new(Self::NONE),
            used_count: Cell::new(0),
        }
    }

    /// Number of objects.
    pub(crate) fn len(&self) -> usize {
        self.used_count.get() as usize
    }

    /// Adds an object and returns its place.
    #[inline]
    pub(crate) fn insert(&self, object: NonNull<Header>) -> u32 {
        let mut mask = self.free_mask.get();
        if mask == 0 {
            mask = self.next_word();
        }
        self.free_mask.set(mask & (mask - 1));
        let place = self.word.get() * u64::BITS + mask.trailing_zeros();
        // SAFETY: invariant 1: this is the only reference.
        let lists = unsafe { &mut *self.lists.get() };
        lists.entries[place as usize] = object.as_ptr();
        self.used_count.set(self.used_count.get() + 1);
        place
    }

    /// Gives a place back.
    #[inline]
    pub(crate) fn remove(&self, place: u32) {
        let bit = 1 << (place % u64::BITS);
        let word = place / u64::BITS;
        if word == self.word.get() {
            self.free_mask.set(self.free_mask.get() | bit);
        } else {
            // SAFETY: invariant 1: this is the only reference.
            let lists = unsafe { &mut *self.lists.get() };
            // Not there only after `take_all`, when the thread ends.
            let Some(used) = lists.used.get_mut(word as usize) else {
                return;
            };
            *used &= !bit;
        }
        self.used_count.set(self.used_count.get().wrapping_sub(1));
    }

    /// Goes on to a word with free places, and returns those.
    #[cold]
    #[inline(never)]
    fn next_word(&self) -> u64 {
        // SAFETY: invariant 1: this is the only reference.
        let lists = unsafe { &mut *self.lists.get() };
        let count = lists.used.len();
        let enough_free = self.len() <= count * WORD / 4 * 3;
        let next = self.word.get().wrapping_add(1) as usize;
        let found = if enough_free {
            let around = (next..count).chain(0..next.min(count));
            around
                .into_iter()
                .find(|word| lists.used[*word] != u64::MAX)
        } else {
            None
        };
        let word = found.unwrap_or_else(|| {
            lists.grow();
            count
        });
        let Ok(small) = u32::try_from(word) else {
            too_many()
        };
        // INVARIANT: 3.
        let free = !std::mem::replace(&mut lists.used[word], u64::MAX);
        self.word.set(small);
        free
    }

    /// Appends all objects to `objects`, in the order of their places.
    pub(crate) fn copy_to(&self, objects: &mut Vec<NonNull<Header>>) {
        // SAFETY: invariant 1: this is the only reference.
        let lists = unsafe { &*self.lists.get() };
        objects.reserve(self.len());
        let current = self.word.get() as usize;
        for (word, used) in lists.used.iter().enumerate() {
            let mut used = *used;
            if word == current {
                used &= !self.free_mask.get();
            }
            while used != 0 {
                let place = word * WORD + used.trailing_zeros() as usize;
                objects.extend(NonNull::new(lists.entries[place]));
                used &= used - 1;
            }
        }
    }

    /// Moves all objects to `objects` and keeps a small array for reuse.
    pub(crate) fn drain_to(&self, objects: &mut Vec<NonNull<Header>>) {
        if self.len() == 0 {
            return;
        }
        self.copy_to(objects);
        // SAFETY: invariant 1: this is the only reference.
        let lists = unsafe { &mut *self.lists.get() };
        if lists.used.len() > KEEP_WORDS {
            self.take_all();
            return;
        }
        lists.used.fill(0);
        lists.used[0] = u64::MAX;
        // INVARIANT: 3.
        self.word.set(0);
        self.free_mask.set(u64::MAX);
        self.used_count.set(0);
    }

    /// Forgets all objects and gives the array back.
    pub(crate) fn take_all(&self) {
        // SAFETY: invariant 1: this is the only reference.
        let lists = unsafe { &mut *self.lists.get() };
        lists.entries = Vec::new();
        lists.used = Vec::new();
        self.word.set(Self::NONE);
        self.free_mask.set(0);
        self.used_count.set(0);
    }
}

impl Lists {
    /// Adds a word of free places.
    fn grow(&mut self) {
        let count = self.entries.len() + WORD;
        if u32::try_from(count).is_err() {
            too_many();
        }
        self.entries.resize(count, ptr::null_mut());
        self.used.push(0);
    }
}

/// Words that an emptied array keeps.
const KEEP_WORDS: usize = 64;

#[cold]
#[inline(never)]
fn too_many() -> ! {
    crate::debug::abort(format_args!("more than {} tracked objects", u32::MAX - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(address: usize) -> NonNull<Header> {
        NonNull::new(ptr::without_provenance_mut(address * 8)).unwrap()
    }

    fn all(slots: &Slots) -> Vec<NonNull<Header>> {
        let mut all = Vec::new();
        slots.copy_to(&mut all);
        all
    }

    #[test]
    fn a_place_of_the_current_word_is_used_again_first() {
        let slots = Slots::new();
        let places: Vec<u32> = (1..=4).map(|a| slots.insert(object(a))).collect();
        assert_eq!(places, [0, 1, 2, 3]);
        slots.remove(1);
        slots.remove(2);
        assert_eq!(slots.len(), 2);
        assert_eq!(slots.insert(object(5)), 1);
        assert_eq!(slots.insert(object(6)), 2);
        assert_eq!(slots.insert(object(7)), 4);
        assert_eq!(all(&slots), [1, 5, 6, 4, 7].map(object));
    }

    #[test]
    fn drained_slots_start_again_at_the_front() {
        let slots = Slots::new();
        slots.insert(object(1));
        slots.insert(object(2));
        slots.remove(0);
        let mut all = Vec::new();
        slots.drain_to(&mut all);
        assert_eq!(all, [object(2)]);
        assert_eq!((slots.len(), slots.insert(object(3))), (0, 0));
    }

    #[test]
    fn places_are_reused_before_the_array_doubles() {
        let slots = Slots::new();
        let mut places: Vec<u32> = (0..10_000).map(|_| slots.insert(object(1))).collect();
        for round in 0..100 {
            for place in places.iter().filter(|p| *p % 3 == round % 3) {
                slots.remove(*place);
            }
            for place in places.iter_mut().filter(|p| **p % 3 == round % 3) {
                *place = slots.insert(object(2));
            }
            assert_eq!(slots.len(), 10_000);
        }
        places.sort_unstable();
        places.dedup();
        assert_eq!(places.len(), 10_000);
        assert_eq!(all(&slots).len(), 10_000);
        assert!(places[9_999] < 15_000, "{}", places[9_999]);
    }
}
