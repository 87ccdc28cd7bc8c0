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
use super::dump::Found;
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

/// The blocks. Zeros have none, and no room for a freed one before `make_room`. In this order: what
/// every call looks at lies together.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Cache {
    hand_len: u32,
    hand_room: u32,
    oldest: u32,
    ring_len: u32,
    /// The first `hand_len` are blocks.
    hand: [Option<Slot>; HAND],
    ring: [Option<Slot>; RING],
}

/// How many blocks the lists of a class hold: the hand, the ring.
fn lengths(class: SizeClass) -> (u32, u32) {
    // SAFETY: a class's number is below COUNT.
    let (hand, ring) = unsafe { LENGTHS.get_unchecked(class.index()) };
    (u32::from(*hand), u32::from(*ring))
}

impl Cache {
    /// A free block at hand, which is the caller's then; `None` if there is none.
    #[inline(always)]
    pub(crate) fn take(&mut self, chance: &mut Chance) -> Option<Slot> {
        let last = self.hand_len.checked_sub(1)?;
        let pick = chance.below(self.hand_len);
        self.hand_len = last;
        let moved = *self.hand.get(last as usize % HAND)?;
        // What was the last stays behind `hand_len`, where it is nobody's.
        core::mem::replace(self.hand.get_mut(pick as usize % HAND)?, moved)
    }

    /// Takes a freed block in; false, and nothing is done, if the hand is full.
    #[inline(always)]
    pub(crate) fn put(&mut self, slot: Slot) -> bool {
        if self.hand_len >= self.hand_room {
            return false;
        }
        let Some(place) = self.ring.get_mut(self.oldest as usize % RING) else {
            return false;
        };
        let released = place.replace(slot);
        let next = self.oldest + 1;
        self.oldest = if next >= self.ring_len { 0 } else { next };
        if released.is_some()
            && let Some(place) = self.hand.get_mut(self.hand_len as usize % HAND)
        {
            *place = released;
            self.hand_len += 1;
        }
        true
    }

    /// Takes half a hand of blocks from the pools, if they have them, where none is at hand.
    pub(crate) fn refill(&mut self, class: SizeClass, chance: &mut Chance) -> Result<(), Found> {
        if self.hand_len == 0 {
            let most = lengths(class).0.div_ceil(2);
            let places = self.hand.get_mut(..most as usize).unwrap_or_default();
            self.hand_len = pools::take(class, places, chance)? as u32;
        }
        Ok(())
    }

    /// Gives half a hand of blocks to the pools, if it is full.
    pub(crate) fn make_room(&mut self, class: SizeClass) -> Result<(), Found> {
        (self.hand_room, self.ring_len) = lengths(class);
        if self.hand_len >= self.hand_room {
            self.give_back(class, self.hand_len / 2)?;
        }
        Ok(())
    }

    /// Gives blocks to the pools, all but `rest`.
    fn give_back(&mut self, class: SizeClass, rest: u32) -> Result<(), Found> {
        let given = rest as usize..self.hand_len as usize;
        self.hand_len = rest;
        pools::put(class, self.hand.get(given).unwrap_or_default())
    }

    /// Gives everything back.
    pub(crate) fn flush(&mut self, class: SizeClass) -> Result<(), Found> {
        let mut result = Ok(());
        if self.hand_len > 0 {
            result = self.give_back(class, 0);
        }
        if self.ring.iter().any(Option::is_some) {
            result = result.and(pools::put(class, &self.ring));
            self.ring.fill(None);
        }
        self.oldest = 0;
        result
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
            let (hand, ring) = (hand as usize, ring as usize);
            assert!((1..=HAND).contains(&hand) && (1..=RING).contains(&ring));
            assert!(hand == 1 || hand * class.block_size() <= BYTES);
        }
    }
}
