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

/// The blocks.
#[derive(Debug)]
pub(crate) struct Cache {
    hand: [Option<Slot>; HAND],
    hand_len: usize,
    ring: [Option<Slot>; RING],
    oldest: usize,
}

/// How many blocks of a class a list of up to `most` holds.
fn length(class: SizeClass, most: usize) -> usize {
    (BYTES / class.block_size()).clamp(1, most)
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
        self.oldest = if self.oldest + 1 >= length(class, RING) {
            0
        } else {
            self.oldest + 1
        };
        if let Some(released) = released {
            self.keep(class, released);
        }
    }

    #[inline]
    fn keep(&mut self, class: SizeClass, slot: Slot) {
        if self.hand_len >= length(class, HAND) {
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
        let most = length(class, HAND).div_ceil(2);
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
