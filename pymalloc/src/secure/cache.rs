//! A thread's blocks of one class: those at hand, and those in quarantine.
//!
//! ```text
//!  free ──▶ ring: the oldest of 16 ──▶ hand: up to 32 ──▶ chance picks one ──▶ alloc
//!                                        │ full               ▲ empty
//!                                        └──▶ pools.rs ───────┘
//! ```
//! A freed block is used again after as many frees of its class as the ring is long, at the
//! soonest; by chance, much later.

use super::chance::Chance;
use super::pools;
use super::region::Slot;
use crate::size_class::SizeClass;

/// Blocks at hand of a class, at most, and in quarantine.
const HAND: usize = 32;
const RING: usize = 16;
/// Bytes of either.
const BYTES: usize = 16 << 10;

/// How many blocks of each class a hand holds, and a ring.
static LENGTHS: [(u8, u8); SizeClass::COUNT] = {
    let mut lengths = [(1, 1); SizeClass::COUNT];
    let mut index = 0;
    while index < lengths.len() {
        let fit = BYTES / SizeClass::block_size_of(index);
        let hand = if fit < HAND { fit } else { HAND };
        let ring = if fit < RING { fit } else { RING };
        // One at least.
        lengths[index] = (
            hand as u8 | (hand == 0) as u8,
            ring as u8 | (ring == 0) as u8,
        );
        index += 1;
    }
    lengths
};

/// The blocks.
#[derive(Debug)]
pub(crate) struct Cache {
    hand: [Option<Slot>; HAND],
    hand_len: usize,
    ring: [Option<Slot>; RING],
    oldest: usize,
}

/// How many blocks the lists of a class hold: the hand, the ring.
#[inline(always)]
fn lengths(class: SizeClass) -> (usize, usize) {
    // SAFETY: a class's number is below COUNT.
    let (hand, ring) = unsafe { LENGTHS.get_unchecked(class.index()) };
    (usize::from(*hand), usize::from(*ring))
}

impl Cache {
    /// A free block, which is the caller's then.
    #[inline]
    pub(crate) fn take(&mut self, class: SizeClass, chance: &mut Chance) -> Option<Slot> {
        if self.hand_len == 0 {
            self.refill(class, chance);
        }
        let last = self.hand_len.checked_sub(1)?;
        let pick = chance.below(self.hand_len as u32) as usize;
        self.hand_len = last;
        let moved = self.hand.get_mut(last)?.take();
        if pick == last {
            return moved;
        }
        core::mem::replace(self.hand.get_mut(pick)?, moved)
    }

    /// Takes a freed block in.
    #[inline]
    pub(crate) fn put(&mut self, class: SizeClass, slot: Slot) {
        let Some(place) = self.ring.get_mut(self.oldest) else {
            return;
        };
        let released = place.replace(slot);
        let next = self.oldest + 1;
        self.oldest = if next >= lengths(class).1 { 0 } else { next };
        if let Some(released) = released {
            self.keep(class, released);
        }
    }

    #[inline]
    fn keep(&mut self, class: SizeClass, slot: Slot) {
        if self.hand_len >= lengths(class).0 {
            self.give_back(class, self.hand_len.div_ceil(2));
        }
        if let Some(place) = self.hand.get_mut(self.hand_len) {
            *place = Some(slot);
            self.hand_len += 1;
        }
    }

    #[cold]
    #[inline(never)]
    fn refill(&mut self, class: SizeClass, chance: &mut Chance) {
        let most = lengths(class).0.div_ceil(2);
        let Self { hand, hand_len, .. } = self;
        pools::take(class, most, chance, |slot| {
            if let Some(place) = hand.get_mut(*hand_len) {
                *place = Some(slot);
                *hand_len += 1;
            }
        });
    }

    #[cold]
    #[inline(never)]
    fn give_back(&mut self, class: SizeClass, count: usize) {
        let rest = self.hand_len - count.min(self.hand_len);
        let given = self.hand.get_mut(rest..self.hand_len).unwrap_or_default();
        pools::put(class, given.iter_mut().filter_map(Option::take));
        self.hand_len = rest;
    }

    /// Gives everything back.
    pub(crate) fn flush(&mut self, class: SizeClass) {
        if self.hand_len > 0 {
            self.give_back(class, self.hand_len);
        }
        if self.ring.iter().any(Option::is_some) {
            pools::put(class, self.ring.iter_mut().filter_map(Option::take));
        }
        self.oldest = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_are_an_empty_cache() {
        // SAFETY: numbers, and options of which zeros are none: what is asked here.
        let cache: Cache = unsafe { core::mem::zeroed() };
        assert!(cache.hand.iter().chain(&cache.ring).all(Option::is_none));
        assert_eq!((cache.hand_len, cache.oldest), (0, 0));
    }

    #[test]
    fn every_class_has_room_in_both_lists() {
        for class in SizeClass::all() {
            let (hand, ring) = lengths(class);
            assert!((1..=HAND).contains(&hand) && (1..=RING).contains(&ring));
            assert!(hand == 1 || hand * class.block_size() <= BYTES);
        }
    }
}
