//! An array of objects in which each knows its place.
//!
//! The registry of all tracked objects and the arrays of suspects are `Slots`.
//! A free place holds the index of the next free one, so that inserting and
//! removing touch nothing but the array and the object itself, and a place
//! that churns is used again at once.
//!
//! # Invariants
//!
//! 1. No reference into `entries` outlives a method, and no method calls out
//!    of this file while it holds one.

use std::cell::{Cell, UnsafeCell};
use std::ptr::{self, NonNull};

use crate::header::Header;

/// See the module.
pub(crate) struct Slots {
    entries: UnsafeCell<Vec<*mut Header>>,
    /// Head of the list of free places, or `NONE`.
    free: Cell<u32>,
    /// Places in use.
    used_count: Cell<u32>,
}

impl Slots {
    /// No place.
    pub(crate) const NONE: u32 = u32::MAX;

    pub(crate) const fn new() -> Self {
        Slots {
            entries: UnsafeCell::new(Vec::new()),
            free: Cell::new(Self::NONE),
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
        // SAFETY: invariant 1: this is the only reference.
        let entries = unsafe { &mut *self.entries.get() };
        self.used_count.set(self.used_count.get() + 1);
        let free = self.free.get();
        if let Some(entry) = entries.get_mut(free as usize) {
            self.free.set(decode_free(*entry));
            *entry = object.as_ptr();
            return free;
        }
        let Ok(place) = u32::try_from(entries.len()) else {
            too_many()
        };
        if place == Self::NONE {
            too_many();
        }
        entries.push(object.as_ptr());
        place
    }

    /// Gives a place back.
    #[inline]
    pub(crate) fn remove(&self, place: u32) {
        // SAFETY: invariant 1: this is the only reference.
        let entries = unsafe { &mut *self.entries.get() };
        // Not there only after `take_all`, when the thread ends.
        if let Some(entry) = entries.get_mut(place as usize) {
            *entry = encode_free(self.free.get());
            self.free.set(place);
            self.used_count.set(self.used_count.get() - 1);
        }
    }

    /// Appends all objects to `objects`, in the order of their places.
    pub(crate) fn copy_to(&self, objects: &mut Vec<NonNull<Header>>) {
        // SAFETY: invariant 1: this is the only reference.
        let entries = unsafe { &*self.entries.get() };
        objects.reserve(self.len());
        objects.extend(
            entries
                .iter()
                .filter(|e| !is_free(**e))
                .copied()
                .filter_map(NonNull::new),
        );
    }

    /// Moves all objects to `objects` and keeps a small array for reuse.
    pub(crate) fn drain_to(&self, objects: &mut Vec<NonNull<Header>>) {
        if self.len() > 0 {
            self.copy_to(objects);
        }
        // SAFETY: invariant 1: this is the only reference.
        let entries = unsafe { &mut *self.entries.get() };
        entries.clear();
        entries.shrink_to(KEEP_COUNT);
        self.free.set(Self::NONE);
        self.used_count.set(0);
    }

    /// Forgets all objects and gives the array back.
    pub(crate) fn take_all(&self) {
        // SAFETY: invariant 1: this is the only reference.
        let entries = unsafe { &mut *self.entries.get() };
        drop(std::mem::take(entries));
        self.free.set(Self::NONE);
        self.used_count.set(0);
    }
}

/// Places that an emptied array keeps.
const KEEP_COUNT: usize = 4096;

#[inline]
fn encode_free(next: u32) -> *mut Header {
    ptr::without_provenance_mut((next as usize) << 1 | 1)
}

#[inline]
#[allow(
    clippy::cast_possible_truncation,
    reason = "encode_free stored 32 bits"
)]
fn decode_free(entry: *mut Header) -> u32 {
    (entry.addr() >> 1) as u32
}

#[inline]
fn is_free(entry: *mut Header) -> bool {
    entry.addr() & 1 != 0
}

#[cold]
#[inline(never)]
fn too_many() -> ! {
    eprintln!("cyclegc: more than {} tracked objects", u32::MAX - 1);
    std::process::abort()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(address: usize) -> NonNull<Header> {
        NonNull::new(ptr::without_provenance_mut(address * 8)).unwrap()
    }

    #[test]
    fn a_removed_place_is_used_again_first() {
        let slots = Slots::new();
        let places: Vec<u32> = (1..=4).map(|a| slots.insert(object(a))).collect();
        assert_eq!(places, [0, 1, 2, 3]);
        slots.remove(1);
        slots.remove(2);
        assert_eq!(slots.len(), 2);
        assert_eq!(slots.insert(object(5)), 2);
        assert_eq!(slots.insert(object(6)), 1);
        assert_eq!(slots.insert(object(7)), 4);
        let mut all = Vec::new();
        slots.copy_to(&mut all);
        assert_eq!(all, [1, 6, 5, 4, 7].map(object));
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
}
