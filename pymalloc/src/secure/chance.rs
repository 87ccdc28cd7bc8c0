//! Numbers that decide which block is next.
//!
//! Not a cipher: who sees many of the numbers can tell the rest. What is seen of them are
//! the places of blocks, a few bits each, mixed among the threads.

use crate::os;

/// A generator (wyrand), seeded by the kernel.
#[derive(Clone, Debug)]
pub(crate) struct Chance(u64);

impl Chance {
    /// One that nobody else has.
    pub(crate) fn new() -> Self {
        Self(os::random())
    }

    /// The next number, of 32 bits.
    #[inline(always)]
    fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_add(0xa076_1d64_78bd_642f);
        let product = u128::from(self.0) * u128::from(self.0 ^ 0xe703_7ed1_a0b4_28db);
        ((product >> 64) ^ product) as u32
    }

    /// A number below `limit`; 0 for 0.
    #[inline(always)]
    pub(crate) fn below(&mut self, limit: u32) -> u32 {
        ((u64::from(self.next()) * u64::from(limit)) >> 32) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_below_the_limit_comes_about_as_often() {
        let mut chance = Chance::new();
        let mut counts = [0_u32; 10];
        for _ in 0..100_000 {
            counts[chance.below(10) as usize] += 1;
        }
        // Nine standard deviations.
        assert!(
            counts.iter().all(|count| count.abs_diff(10_000) < 855),
            "{counts:?}"
        );
        assert_eq!(chance.below(0), 0);
        assert_ne!(Chance::new().0, Chance::new().0);
    }
}
